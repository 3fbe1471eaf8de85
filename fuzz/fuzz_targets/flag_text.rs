//! The free text that says what the bits of a flag mean.

#![no_main]

use libfuzzer_sys::fuzz_target;
use nilas::source::bits_in;

fuzz_target!(|text: &str| {
    for (bit, meaning) in bits_in(text) {
        assert!(bit.is_power_of_two(), "{bit}");
        assert!(!meaning.trim().is_empty());
    }
});
