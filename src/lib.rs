//! Nilas: daily high-resolution sea-ice thickness from satellite inputs.
//!
//! One day goes through the house in this order; arrows go one way:
//!
//! ```text
//! day -> fetch -> source -> prepare -> ensemble -> quality -> publish
//!        bytes    fields    features   members     verdict    files
//! ```
//!
//! * [`fetch`] brings bytes and knows no product.
//! * [`source`] knows the products: their names, versions, layouts and flags.
//! * [`prepare`] makes the network's inputs on the 3 km grid.
//! * [`model`] is the diffusion model: tensors only, it knows no geography.
//! * [`ensemble`] draws members and their statistics, [`drawing`] with a process for each GPU.
//! * [`quality`] judges inputs and products.
//! * [`publish`] writes files, all or nothing.
//! * [`notify`] tells people, when they can help.
//! * [`produce`] is the story of one day, from top to bottom.
//!
//! Beside the way: [`archive`] (training archives), [`synth`] (synthetic truth), [`train`], [`evaluate`] (how good a checkpoint is),
//! [`plot`], [`ledger`] (what is remembered). Below it: [`score`] (metrics), [`field`], [`grid`], [`config`], [`time`], [`progress`],
//! [`text`] (foreign text made plain), [`sys`]. Above it: [`cli`]. `docs/architecture.md` has the invariants, `tests/invariants.rs`
//! holds them.

pub mod archive;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod deliver;
pub mod drawing;
pub mod ensemble;
pub mod evaluate;
pub mod fetch;
pub mod field;
pub mod grid;
pub mod ledger;
pub mod model;
pub mod notify;
pub mod plot;
pub mod prepare;
pub mod produce;
pub mod progress;
pub mod publish;
pub mod quality;
pub mod score;
pub mod source;
pub mod synth;
pub mod sys;
pub mod text;
pub mod time;
pub mod train;
