//! `nilas archive`: training archives in their two formats.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::failure::Failure;
use super::print;
use crate::archive::{self, Archive, ArchiveError, Format, NetCdf, Safetensors};
use crate::progress::Stages;
use crate::time::SystemClock;

/// Looks after training archives.
#[derive(Subcommand)]
pub(super) enum Arguments {
    Convert(Convert),
}

/// Writes an archive anew in the other format: NetCDF (model/features/YYYYMMDD.nc, as SuperIce has it) as safetensors, which
/// `nilas train` and `nilas evaluate` read, and safetensors as NetCDF. Days that are there already are written again.
#[derive(Args)]
pub(super) struct Convert {
    /// Folder of the archive that is read (the one that holds model/features).
    #[arg(long)]
    from: PathBuf,
    /// Folder of the archive that is written.
    #[arg(long)]
    to: PathBuf,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let Arguments::Convert(arguments) = arguments;
    let (archive, target) = match Archive::open_as(&arguments.from, &NetCdf) {
        Ok(archive) => (archive, &Safetensors as &dyn Format),
        Err(ArchiveError::Format { .. }) => {
            (Archive::open(&arguments.from).map_err(usage)?, &NetCdf as &dyn Format)
        }
        Err(error) => return Err(usage(error)),
    };
    let days: Vec<_> = archive.days().collect();
    let clock = SystemClock::new();
    Stages::new(&clock).run("convert", days.len(), |bar| {
        for (index, &day) in days.iter().enumerate() {
            let read = archive.read_day(index).map_err(usage)?;
            archive::write_as(&arguments.to, target, day, read.entry()).map_err(Failure::other)?;
            bar.step();
        }
        Ok::<_, Failure>(())
    })?;
    print(format_args!("{} days as .{} in {}", days.len(), target.suffix(), arguments.to.display()));
    Ok(())
}

fn usage(error: ArchiveError) -> Failure {
    Failure::Usage(error.to_string())
}
