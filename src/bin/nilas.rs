//! The light front: finds out what is asked for and hands on.

fn main() {}
