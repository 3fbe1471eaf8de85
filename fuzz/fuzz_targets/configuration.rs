//! Configurations: any text is taken or refused with a sentence, and what is taken is taken again when it is written out.

#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use nilas::config::{Config, Overrides};

fuzz_target!(|text: &str| {
    match Config::from_text(text, Path::new("/etc/nilas/nilas.toml"), &Overrides::default()) {
        Ok(config) => assert!(config.ensemble.members >= 2),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
