//! Where the input files come from, which of them are taken, when they are expected, and what they must be like.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::time::YearPart;

/// A server that input files come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// How it is spoken to.
    pub kind: ServerKind,
    /// Its root: a URL; for a folder, its path.
    pub address: String,
    /// Connections at once, at most.
    pub connections: usize,
    /// Name of a systemd credential, or absolute path of a file: first line the user, second line the password.
    pub credentials: Option<PathBuf>,
    /// A file in PEM with the authorities that its certificate may come from, beside those that the system trusts.
    pub authorities: Option<PathBuf>,
    /// The region of an S3 store.
    pub region: Option<String>,
}

/// How a server is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ServerKind {
    /// HTTP(S) with THREDDS catalogs.
    Thredds,
    /// HTTP(S) with folders that are listed as a page of links.
    Http,
    /// FTP without encryption.
    Ftp,
    /// FTP that changes to TLS before it logs in.
    Ftps,
    /// A folder of this machine.
    Folder,
    /// An S3-compatible store, addressed as `https://host/bucket`.
    S3,
}

/// The three quantities that make a day.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inputs {
    /// Sea-ice concentration.
    pub concentration: Input,
    /// Merged sea-ice thickness.
    pub thickness: Input,
    /// Merged sea-ice drift.
    pub drift: Input,
}

/// One quantity: which products give it, where they lie, and when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The products that are taken, the best first: the word of the file name that tells them apart.
    pub products: Vec<String>,
    /// Thickness only: the ways of processing that are taken, the best first.
    #[serde(default)]
    pub processing: Vec<Processing>,
    /// Where they lie, the first asked first: `server:folder`.
    pub places: Vec<Place>,
    /// A provisional product takes a file whose window is centred at most this many days before the day.
    pub oldest_days: u32,
    /// Hours from the end of a file's window until it is usually there.
    pub expected_after_hours: u32,
    /// Hours after which it is late.
    pub late_after_hours: u32,
    /// Hours after which it is not waited for any more.
    pub missing_after_hours: u32,
    /// Thickness only: with no file centred on any of this many days, the season is over.
    #[serde(default)]
    pub off_season_after_days: Option<u32>,
    /// Thickness only: the part of the year in which the season is never over, whatever there is.
    #[serde(default)]
    pub always_in_season: Option<YearPart>,
}

/// How a thickness file was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Processing {
    /// `o`: with the inputs that were there on the day.
    #[serde(rename = "o")]
    Operational,
    /// `r`: again, a month later, with better ones.
    #[serde(rename = "r")]
    Reprocessed,
}

/// A folder of a server, written `server:folder`; `{year}` and `{month}` stand for those of the file that is looked for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Place {
    /// Name of the server.
    pub server: String,
    /// Folder below its root, with its placeholders.
    pub folder: String,
}

impl TryFrom<String> for Place {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let Some((server, folder)) = text.split_once(':') else {
            return Err(format!("\"{text}\" is no place: write server:folder"));
        };
        let plain = folder.replace("{year}", "").replace("{month}", "");
        if plain.contains(['{', '}']) {
            return Err(format!("\"{text}\" has a placeholder that is neither {{year}} nor {{month}}"));
        }
        let below = folder.trim_end_matches('/');
        let is_astray = !below.is_empty() && below.split('/').any(|part| matches!(part, "" | "." | ".."));
        if folder.starts_with('/') || is_astray {
            return Err(format!(
                "\"{text}\": the folder is meant from the server's root: without / before it, without empty parts, . or .."
            ));
        }
        Ok(Self { server: server.to_owned(), folder: below.to_owned() })
    }
}

impl From<Place> for String {
    fn from(place: Place) -> Self {
        format!("{}:{}", place.server, place.folder)
    }
}

/// How files are fetched.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fetching {
    /// Seconds until a connection must stand.
    pub connect_seconds: u64,
    /// Seconds without a byte after which a transfer is broken off.
    pub stall_seconds: u64,
    /// Seconds that one try may take.
    pub try_seconds: u64,
    /// Seconds that all tries for a file or a listing may take together, with the pauses between them.
    pub deadline_seconds: u64,
    /// The shortest pause between two tries, seconds.
    pub shortest_pause_seconds: f64,
    /// The longest, seconds; a server that asks for more by Retry-After gets it within the deadline.
    pub longest_pause_seconds: f64,
    /// The largest file that is believed to be an input, MB.
    pub largest_file_megabytes: u64,
    /// What fetched files may take in the cache, MB; the longest unused are given up first.
    pub cache_megabytes: u64,
}

/// The confined process that opens a file for the first time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inspection {
    /// Memory that it may address, MB.
    pub memory_megabytes: u64,
    /// Processor time that it may use, seconds.
    pub cpu_seconds: u64,
}

/// What a file's values must be like: for each quantity, measures and their limits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checks {
    /// Of concentration.
    pub concentration: BTreeMap<Measure, Limits>,
    /// Of thickness.
    pub thickness: BTreeMap<Measure, Limits>,
    /// Of drift.
    pub drift: BTreeMap<Measure, Limits>,
}

/// Something that is measured on every file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Cells with a value, percent of the file's cells.
    ValidPercent,
    /// Mean of the values: concentration in percent, thickness in m, drift as speed in km per day.
    Mean,
    /// Standard deviation of the values, in the unit of the mean: 0 for a field that is the same everywhere.
    StandardDeviation,
    /// Area with ice (concentration of 15 % and more, a thickness above 0, a drift vector), million km2.
    IceAreaMillionKm2,
    /// Cells on land or lakes that hold ice all the same, percent of the land and lake cells that the file flags.
    IceOnLandPercent,
    /// Cells whose flag has a meaning that is not known, percent of the file's cells.
    UnknownFlagPercent,
    /// Change of the ice area against the file accepted before, percent per day between them.
    IceAreaChangePercentPerDay,
    /// Change of the mean against the file accepted before, percent per day between them.
    MeanChangePercentPerDay,
}

impl Measure {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::ValidPercent,
        Self::Mean,
        Self::StandardDeviation,
        Self::IceAreaMillionKm2,
        Self::IceOnLandPercent,
        Self::UnknownFlagPercent,
        Self::IceAreaChangePercentPerDay,
        Self::MeanChangePercentPerDay,
    ];

    /// The name in configurations and of the check that holds it against its limits.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ValidPercent => "valid_percent",
            Self::Mean => "mean",
            Self::StandardDeviation => "standard_deviation",
            Self::IceAreaMillionKm2 => "ice_area_million_km2",
            Self::IceOnLandPercent => "ice_on_land_percent",
            Self::UnknownFlagPercent => "unknown_flag_percent",
            Self::IceAreaChangePercentPerDay => "ice_area_change_percent_per_day",
            Self::MeanChangePercentPerDay => "mean_change_percent_per_day",
        }
    }
}

/// Limits of a measure; one that is not given does not limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// The least that passes.
    pub least: Option<f64>,
    /// The most that passes.
    pub most: Option<f64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_named_from_the_root_part_by_part() {
        let place = |text: &str| Place::try_from(text.to_owned()).map(|place| place.folder);
        assert_eq!(place("here:a/{year}/..b/"), Ok("a/{year}/..b".to_owned()));
        assert_eq!(place("here:"), Ok(String::new()));
        for astray in ["here:/a", "here:/", "here:a/../b", "here:a//b", "here:./a", "here:a/."] {
            assert!(place(astray).unwrap_err().contains("from the server's root"), "{astray}");
        }
    }

    #[test]
    fn a_measure_is_named_as_it_is_written() {
        for measure in Measure::ALL {
            assert_eq!(serde_json::to_value(measure).unwrap(), measure.name());
        }
    }
}
