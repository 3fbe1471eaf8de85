//! The verbs that need libtorch, GDAL and NetCDF: demo, produce, features, verify.

use std::process::ExitCode;

fn main() -> ExitCode {
    nilas::cli::engine()
}
