//! What the operating system and foreign libraries must be asked for: the only `unsafe` of the crate, and files that are whole
//! or not there, or for this user alone.

mod confinement;
mod digest;
mod environment;
mod fail_points;
mod files;
pub mod fused_convolution;
mod private;
mod processes;
#[cfg(test)]
mod warnings;

use std::ffi::c_int;

pub use confinement::{confine, has_landlock, keep_memory_private, try_to_refuse_calls};
pub use digest::{sha256, sha256_of_file};
pub use environment::{FAULT_VARIABLES, NO_HDF5_LOCKS, NO_HDF5_PLUGINS, listed_variables};
pub use fail_points::{FAIL_POINTS, fail_point};
pub use files::{FileMap, TEMPORARY, replace_file, replace_file_through};
#[cfg(test)]
pub(crate) use private::mode;
pub use private::{keep_private, make_private, make_private_folder, open_private};
pub use processes::{
    WorkGroup, die_with_parent, free_bytes, peak_resident_bytes, resident_bytes, resident_bytes_of_family,
    signal_reload, yield_to_others,
};
#[cfg(test)]
pub(crate) use warnings::warnings;

/// Keeps freed memory in the process. Large tensors come and go with every layer of the network, and the default of glibc
/// returns and faults each of them in anew: half of the time of a network call on CPU. Call it before any thread starts.
#[expect(unsafe_code, reason = "allocator parameters are a C call")]
pub fn keep_freed_memory() {
    const HEAD_ROOM: c_int = 256 << 20;
    // SAFETY: mallopt only changes parameters of the allocator and may be called at any time.
    unsafe {
        libc::mallopt(libc::M_MMAP_MAX, 0);
        libc::mallopt(libc::M_TRIM_THRESHOLD, c_int::MAX);
        libc::mallopt(libc::M_TOP_PAD, HEAD_ROOM);
    }
}

/// Loads libtorch's CUDA part, which registers itself; must run before the first question about CUDA.
///
/// # Errors
/// What the dynamic linker said where the library is not there: this is then an installation for CPU only.
#[expect(unsafe_code, reason = "a library is loaded by name")]
pub fn load_cuda_library() -> Result<(), String> {
    use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
    // SAFETY: the library is libtorch's own and its initialisers only register kernels.
    let library = unsafe { Library::open(Some("libtorch_cuda.so"), RTLD_NOW | RTLD_GLOBAL) };
    // Forgotten on purpose: unloading would take the registered kernels away.
    library.map(std::mem::forget).map_err(|error| error.to_string())
}

/// Free memory of a CUDA device, bytes; none where there is no such device, or its library was not loaded. It is this thread's device
/// from then on.
#[expect(unsafe_code, reason = "CUDA's runtime is called by name")]
#[must_use]
pub fn free_cuda_bytes(device: usize) -> Option<u64> {
    use libloading::os::unix::{Library, Symbol};
    type Choose = unsafe extern "C" fn(c_int) -> c_int;
    type MemoryInfo = unsafe extern "C" fn(*mut usize, *mut usize) -> c_int;
    let (mut free, mut total) = (0, 0);
    // SAFETY: the symbols are those of the CUDA runtime, whose signatures these are, and it writes to the two numbers only.
    let has_answered = unsafe {
        let choose: Symbol<Choose> = Library::this().get(b"cudaSetDevice\0").ok()?;
        let ask: Symbol<MemoryInfo> = Library::this().get(b"cudaMemGetInfo\0").ok()?;
        choose(c_int::try_from(device).ok()?) == 0 && ask(&raw mut free, &raw mut total) == 0
    };
    has_answered.then_some(free as u64)
}

/// Stops HDF5 from printing its own error stack on this thread; errors reach us as return values.
/// HDF5 keeps this setting per thread, so whoever opens NetCDF files calls it first.
#[expect(unsafe_code, reason = "HDF5's error printer is set by a C call")]
pub fn silence_hdf5_errors() {
    let _lock = netcdf_sys::libnetcdf_lock.lock();
    // SAFETY: the call sets a callback to none under the library's global lock.
    unsafe {
        hdf5_metno_sys::h5e::H5Eset_auto2(hdf5_metno_sys::h5e::H5E_DEFAULT, None, std::ptr::null_mut());
    }
}

/// Says which unit a raster band is in; the `gdal` crate can only read it.
#[expect(unsafe_code, reason = "the unit is set by a C call")]
pub fn set_band_unit(band: &mut gdal::raster::RasterBand<'_>, unit: &std::ffi::CStr) {
    // SAFETY: the band is alive and not used elsewhere, and GDAL copies the text.
    unsafe {
        gdal_sys::GDALSetRasterUnitType(band.c_rasterband(), unit.as_ptr());
    }
}
