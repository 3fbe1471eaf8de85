//! File names: what is recognised is written the same again, and no name is too strange to be told as news or not.

#![no_main]

use std::path::Path;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use nilas::config::{Config, Inputs, Overrides};
use nilas::source::{recognise, unknown_shape};

static INPUTS: LazyLock<Inputs> = LazyLock::new(|| {
    let shipped = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../config/nilas.toml"));
    Config::load(shipped, &Overrides::default()).expect("the shipped configuration is good").inputs
});

fuzz_target!(|name: &str| {
    if let Some(known) = recognise(name) {
        assert_eq!(known.to_string(), name);
        assert!(known.start <= known.end);
    }
    if let Some(shape) = unknown_shape(name, &INPUTS) {
        assert!(!shape.is_empty());
    }
});
