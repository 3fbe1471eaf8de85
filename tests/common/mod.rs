//! What several tests need.

pub(crate) mod netcdf_copy;
pub(crate) mod sample_layouts;
