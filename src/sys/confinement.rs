//! A process that takes its own rights away.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// More files than a reader has open at once.
const OPEN_FILES: u64 = 32;

/// More than it has to say, where its output is a file.
const LARGEST_FILE_BYTES: u64 = 1 << 20;

/// Limits this process for the rest of its life: the memory that it may address, the processor time, and no large file written, no
/// core left behind, and no process or thread started (the last does not bind root).
///
/// # Errors
/// What the system says; then only some of the limits hold.
pub fn confine(memory_bytes: u64, cpu_seconds: u64) -> io::Result<()> {
    for (resource, most) in [
        (Resource::As, memory_bytes),
        (Resource::Cpu, cpu_seconds),
        (Resource::Nofile, OPEN_FILES),
        (Resource::Nproc, 0),
        (Resource::Fsize, LARGEST_FILE_BYTES),
        (Resource::Core, 0),
    ] {
        limit(resource, most)?;
    }
    Ok(())
}

fn limit(resource: Resource, most: u64) -> io::Result<()> {
    // What the system grants already must not be asked for again: less is fine.
    let granted = getrlimit(resource).maximum.unwrap_or(u64::MAX);
    // A process at its hard limit of time is killed; at the soft one, a second before, it dies of a signal that tells why.
    let grace = u64::from(resource == Resource::Cpu);
    let most = most.min(granted);
    Ok(setrlimit(resource, Rlimit { current: Some(most), maximum: Some(granted.min(most + grace)) })?)
}
