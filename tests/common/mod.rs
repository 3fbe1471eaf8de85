//! What several tests need.

#![allow(clippy::allow_attributes, dead_code, reason = "each test program uses its own part of this")]

pub(crate) mod demo_window;
pub(crate) mod folders;
pub(crate) mod netcdf_copy;
pub(crate) mod nilas;
pub(crate) mod sample_layouts;
