//! Input files of any day, laid out in folders as a provider does: those of the sample day with another date. Synthetic as series.

use std::fs;
use std::path::{Path, PathBuf};

use netcdf::Options;
use nilas::source::{KnownName, Role, recognise};
use nilas::time::ProductDay;

use super::netcdf_copy::{Dataset, Values};
use super::sample_layouts as layouts;

/// The day that the sample's files are centred on.
const SAMPLE_DAY: &str = "2022-04-15";

/// A provider's folder.
pub(crate) struct Series {
    pub(crate) folder: PathBuf,
}

impl Series {
    pub(crate) fn new(folder: &Path) -> Self {
        fs::create_dir_all(folder).unwrap();
        Self { folder: folder.to_owned() }
    }

    /// The file of `role` centred on `day` arrives.
    pub(crate) fn deliver(&self, role: Role, day: &str) -> PathBuf {
        self.deliver_changed(role, day, |_| {})
    }

    /// The same with changes.
    pub(crate) fn deliver_changed(
        &self,
        role: Role,
        day: &str,
        change: impl FnOnce(&mut Dataset),
    ) -> PathBuf {
        let later = day.parse::<ProductDay>().unwrap().days_since(SAMPLE_DAY.parse().unwrap());
        let mut dataset = Dataset::read(&layouts::sample(sample_of(role))).unwrap();
        for name in ["time", "time_bnds"] {
            let Values::Double(seconds) = &mut dataset.variable(name).values else {
                panic!("{name} is double")
            };
            for seconds in seconds {
                *seconds += 86_400.0 * later as f64;
            }
        }
        change(&mut dataset);
        let path = self.folder.join(name_of(role, day));
        // Beside the folder first, so that nobody who watches it meets half of a file.
        let arriving = self.folder.with_extension("arriving");
        dataset.write(&arriving, Options::NETCDF4).unwrap();
        fs::rename(&arriving, &path).unwrap();
        path
    }

    /// Takes the file of `role` centred on `day` away.
    pub(crate) fn withdraw(&self, role: Role, day: &str) {
        fs::remove_file(self.folder.join(name_of(role, day))).unwrap();
    }
}

/// The name of the file of `role` centred on `day`.
pub(crate) fn name_of(role: Role, day: &str) -> String {
    let KnownName { product, start, end } = recognise(sample_of(role)).unwrap();
    let later = day.parse::<ProductDay>().unwrap().days_since(SAMPLE_DAY.parse().unwrap());
    KnownName { product, start: start.plus_days(later), end: end.plus_days(later) }.to_string()
}

fn sample_of(role: Role) -> &'static str {
    match role {
        Role::Concentration => layouts::CONCENTRATION,
        Role::Thickness => layouts::THICKNESS,
        Role::Drift => layouts::DRIFT,
    }
}
