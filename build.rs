//! Gives every binary and test the run-time search path of libtorch, keeps the symbols of static
//! libraries (`SQLite` above all) from leaking into the shared libraries that GDAL brings along, compiles the little C++
//! that reaches what libtorch offers to its dispatcher only, and embeds the map page if `./dev viewer` has built it.

use std::fmt::Write;
use std::path::Path;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    embed_viewer()?;
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    println!("cargo:rustc-link-arg=-Wl,--exclude-libs,ALL");
    let libtorch = env::vars()
        .find(|(name, _)| name.starts_with("DEP_") && name.ends_with("LIBTORCH_LIB"))
        .map(|(_, folder)| folder);
    if let Some(libtorch) = &libtorch {
        compile_convolutions(Path::new(libtorch));
    }
    let installed = "$ORIGIN/../lib/nilas/torch/lib".to_owned();
    for folder in [Some(installed), libtorch].into_iter().flatten() {
        println!("cargo:rustc-link-arg=-Wl,-rpath,{folder}");
    }
    Ok(())
}

/// `libtorch` is the folder of its libraries; the headers lie beside it.
fn compile_convolutions(libtorch: &Path) {
    const SOURCE: &str = "src/sys/fused_convolution.cpp";
    println!("cargo:rerun-if-changed={SOURCE}");
    println!("cargo:rerun-if-env-changed=LIBTORCH_INCLUDE");
    let headers = env::var_os("LIBTORCH_INCLUDE")
        .map_or(libtorch.join("..").join("include"), |folder| Path::new(&folder).join("include"));
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        // The headers are libtorch's own.
        .warnings(false)
        .flag("-w")
        .include(headers)
        .file(SOURCE)
        .compile("nilas_convolutions");
}

/// Writes a list of the page's files; an empty one where it was not built.
fn embed_viewer() -> io::Result<()> {
    let folder = Path::new(&env::var("CARGO_MANIFEST_DIR").unwrap_or_default()).join("viewer/dist");
    println!("cargo:rerun-if-changed={}", folder.display());
    let entries = fs::read_dir(&folder).into_iter().flatten();
    let mut names: Vec<_> = entries
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<io::Result<_>>()?;
    names.retain(|name| !name.starts_with('.'));
    names.sort();
    let mut list = "const FILES: &[(&str, &[u8])] = &[\n".to_owned();
    for name in names {
        let path = folder.join(&name);
        println!("cargo:rerun-if-changed={}", path.display());
        // Writing to a String cannot fail.
        let _ = writeln!(list, "    ({name:?}, include_bytes!({:?})),", path.to_string_lossy());
    }
    list.push_str("];\n");
    fs::write(Path::new(&env::var("OUT_DIR").unwrap_or_default()).join("viewer.rs"), list)
}
