//! What several tests need.

#![allow(clippy::allow_attributes, dead_code, reason = "each test program uses its own part of this")]

pub(crate) mod aftermath;
pub(crate) mod bad_files;
pub(crate) mod broken_machine;
pub(crate) mod demo_window;
pub(crate) mod folders;
pub(crate) mod memory_group;
pub(crate) mod netcdf_copy;
pub(crate) mod nilas;
pub(crate) mod patience;
pub(crate) mod replay_tree;
pub(crate) mod sample_layouts;
pub(crate) mod say;
pub(crate) mod series;
pub(crate) mod small_disk;
pub(crate) mod spoiled_files;
pub(crate) mod stand_in;
pub(crate) mod tiny_window;
