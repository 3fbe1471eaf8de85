//! Gives every binary and test the run-time search path of libtorch, and keeps the symbols of static
//! libraries (`SQLite` above all) from leaking into the shared libraries that GDAL brings along.

fn main() {
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    println!("cargo:rustc-link-arg=-Wl,--exclude-libs,ALL");
    let libtorch = std::env::vars()
        .find(|(name, _)| name.starts_with("DEP_") && name.ends_with("LIBTORCH_LIB"))
        .map(|(_, folder)| folder);
    let installed = "$ORIGIN/../lib/nilas/torch/lib".to_owned();
    for folder in [Some(installed), libtorch].into_iter().flatten() {
        println!("cargo:rustc-link-arg=-Wl,-rpath,{folder}");
    }
}
