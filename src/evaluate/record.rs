//! What an evaluation found, as it stands in `metrics.json`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::archive::{Archive, Provenance};
use crate::model::{CheckpointInfo, Sampler};
use crate::score::{
    self, Estimate, MEASURES, Regimes, SpectraTally, THIN_ICE_M, Tally, bands, estimates, measure, ratio,
};
use crate::sys;

use super::forecast::Forecast;
use super::observed::ObservedRecord;
use super::scenes::{self, Dice, Place};
use super::store::{self, Scored};
use super::{EvaluateError, EvaluateOptions, SHOWN, report};

/// Sets of days that are drawn for the uncertainty of a measure.
const DRAWS: usize = 400;
/// A point of a reliability curve stands for so many cells at least.
const FEWEST_CELLS: f64 = 200.0;

/// What was scored, on what, and what came out.
#[derive(Debug, Serialize)]
pub struct Evaluation {
    /// Version of Nilas.
    pub version: &'static str,
    /// What was scored on.
    pub archive: Option<ArchiveRecord>,
    /// Members that were drawn for each.
    pub members: usize,
    /// The seed.
    pub seed: u64,
    /// The rows of the table.
    pub rows: Vec<Row>,
    /// What days without a truth showed.
    pub observed: Option<ObservedRecord>,
    /// Maps of truth and low resolution of the scenes that are shown.
    #[serde(skip)]
    pub(super) shown: Vec<Shown>,
    /// What the rows come from.
    #[serde(skip)]
    pub(super) entries: Vec<Entry>,
}

/// An archive with a truth.
#[derive(Debug, Serialize)]
pub struct ArchiveRecord {
    /// Its folder.
    pub folder: String,
    /// What it says of its data.
    pub provenance: Provenance,
    /// The scenes.
    pub scenes: Vec<SceneRecord>,
}

/// Where a scene lies in the archive.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SceneRecord {
    /// The day.
    pub day: String,
    /// First row and column.
    pub corner: [usize; 2],
    /// Rows and columns.
    pub shape: [usize; 2],
    /// Cells of ice.
    pub ice_cells: usize,
    /// SHA-256 of inputs and truth.
    pub sha256: String,
}

/// What stands in the table for one baseline, or one network with one sampler.
#[derive(Debug, Serialize)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// What it is.
    pub meaning: String,
    /// The checkpoint.
    pub checkpoint: Option<CheckpointRecord>,
    /// The sampler.
    pub sampler: Option<Sampler>,
    /// Seconds that a member took, mean over the scenes; with the device it is only as good as the machine was idle.
    pub seconds_per_member: f64,
    /// The measures by name.
    pub measures: BTreeMap<&'static str, Estimate>,
    /// Measures over those of another row on the same days.
    pub comparisons: BTreeMap<&'static str, Estimate>,
    /// Spectra, means over windows, m^2 km^2.
    pub spectra: SpectraRecord,
    /// Where the regimes meet.
    pub regimes: Regimes,
    /// Cells with the truth at each rank.
    pub ranks: Vec<f64>,
    /// The same for ice below 0.5 m.
    pub ranks_thin: Vec<f64>,
    /// Reliability of the probability of thin ice.
    pub reliability: Vec<ReliabilityRecord>,
}

/// A checkpoint in `metrics.json`.
#[derive(Debug, Clone, Serialize)]
pub struct CheckpointRecord {
    /// SHA-256 of its file.
    pub sha256: String,
    /// Parameters of the network.
    pub parameters: i64,
    /// The device it ran on.
    pub device: String,
    /// The number format that it computed in.
    pub precision: &'static str,
    /// What it says of itself.
    pub info: CheckpointInfo,
}

/// The spectra of a row; of each the fifth percentile, the value and the ninety-fifth percentile over draws of days.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct SpectraRecord {
    /// Windows.
    pub windows: f64,
    /// Wavelengths, km.
    pub wavelengths_km: Vec<f64>,
    /// Truth.
    pub truth: Vec<[f64; 3]>,
    /// Low resolution.
    pub low: Vec<[f64; 3]>,
    /// Members.
    pub members: Vec<[f64; 3]>,
    /// Mean of the members.
    pub mean: Vec<[f64; 3]>,
    /// Low resolution minus truth.
    pub low_error: Vec<[f64; 3]>,
    /// Mean minus truth.
    pub mean_error: Vec<[f64; 3]>,
    /// The same for the mean of endlessly many members.
    pub fair_mean_error: Vec<[f64; 3]>,
    /// Members minus truth.
    pub member_error: Vec<[f64; 3]>,
    /// Members over truth.
    pub ratio: Vec<[f64; 3]>,
}

/// Reliability of one event.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReliabilityRecord {
    /// The event: effective thickness below this, m.
    pub thinner_than_m: f32,
    /// Probability that was said, and how often it was so.
    pub curve: Vec<(f64, f64)>,
}

/// A row while it is scored.
#[derive(Debug)]
pub(super) struct Entry {
    name: String,
    meaning: String,
    checkpoint: Option<CheckpointRecord>,
    sampler: Option<Sampler>,
    role: Role,
    seconds: Vec<f64>,
    /// What was scored, scene by scene.
    pub(super) days: Vec<Tally>,
    /// Maps by name, for the scenes that are shown.
    pub(super) pictures: Vec<Vec<(&'static str, Vec<u8>)>>,
}

/// What a row is to the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Low,
    Random,
    Regression,
    Members,
}

/// Maps of a scene that do not depend on the row, as PNG.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) day: String,
    /// Name and picture.
    pub(super) pictures: Vec<(&'static str, Vec<u8>)>,
    /// Highest values of the colours of thickness and spread, m, and their bars.
    pub(super) bars: [(f32, Vec<u8>); 2],
}

impl Entry {
    pub(super) fn of(forecast: &Forecast<'_>) -> Self {
        let (sampler, role) = match forecast {
            Forecast::Low => (None, Role::Low),
            Forecast::Random(_) => (None, Role::Random),
            Forecast::Regression(_) => (None, Role::Regression),
            Forecast::Members { sampler, .. } => (Some(*sampler), Role::Members),
        };
        let checkpoint = forecast.checkpoint().map(|checkpoint| CheckpointRecord {
            sha256: checkpoint.sha256.clone(),
            parameters: checkpoint.network.parameter_count(),
            device: checkpoint.placement().device_name(),
            precision: checkpoint.placement().precision.name(),
            info: checkpoint.info.clone(),
        });
        Self {
            name: forecast.name(),
            meaning: forecast.meaning(),
            checkpoint,
            sampler,
            role,
            seconds: Vec::new(),
            days: Vec::new(),
            pictures: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, scored: Scored) {
        self.seconds.push(scored.seconds_per_member);
        self.days.push(scored.tally);
    }

    fn row(&self, seed: u64) -> Row {
        let mut dice = dice(seed);
        let named = MEASURES.iter().zip(estimates(&self.days, DRAWS, &mut || dice.share()));
        let all = Tally::sum(&self.days);
        let reliability = all.reliability.iter().zip(THIN_ICE_M).map(|(event, thinner_than_m)| {
            ReliabilityRecord { thinner_than_m, curve: event.curve(FEWEST_CELLS) }
        });
        Row {
            name: self.name.clone(),
            meaning: self.meaning.clone(),
            checkpoint: self.checkpoint.clone(),
            sampler: self.sampler,
            seconds_per_member: self.seconds.iter().sum::<f64>() / self.seconds.len() as f64,
            measures: named.filter_map(|(measure, estimate)| Some((measure.name, estimate?))).collect(),
            comparisons: BTreeMap::new(),
            spectra: self.spectra(&all, seed),
            regimes: score::regimes(&all.spectra, all.members),
            reliability: reliability.collect(),
            ranks: all.ranks.all,
            ranks_thin: all.ranks.thin,
        }
    }

    fn spectra(&self, all: &Tally, seed: u64) -> SpectraRecord {
        if all.spectra.windows < 1.0 {
            return SpectraRecord::default();
        }
        let members = all.members;
        let band = |curve: &dyn Fn(&SpectraTally) -> Vec<f64>| {
            let mut dice = dice(seed);
            bands(&self.days, DRAWS, &mut || dice.share(), |tally| curve(&tally.spectra))
        };
        SpectraRecord {
            windows: all.spectra.windows,
            wavelengths_km: all.spectra.wavelengths_km(),
            truth: band(&|spectra| per_window(&spectra.truth, spectra)),
            low: band(&|spectra| per_window(&spectra.low, spectra)),
            members: band(&|spectra| per_window(&spectra.members, spectra)),
            mean: band(&|spectra| per_window(&spectra.mean, spectra)),
            low_error: band(&|spectra| per_window(&spectra.low_error, spectra)),
            mean_error: band(&|spectra| per_window(&spectra.mean_error, spectra)),
            fair_mean_error: band(&|spectra| per_window(&spectra.fair_mean_error(members), spectra)),
            member_error: band(&|spectra| per_window(&spectra.member_error, spectra)),
            ratio: band(&|spectra| {
                spectra.members.iter().zip(&spectra.truth).map(|(members, truth)| members / truth).collect()
            }),
        }
    }
}

fn per_window(ring: &[f64], spectra: &SpectraTally) -> Vec<f64> {
    ring.iter().map(|power| power / spectra.windows).collect()
}

/// The same draws of days for every row.
fn dice(seed: u64) -> Dice {
    Dice::new(&format!("bootstrap|{seed}"))
}

impl Evaluation {
    pub(super) fn new(options: &EvaluateOptions) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION"),
            archive: None,
            members: options.members,
            seed: options.seed,
            rows: Vec::new(),
            observed: None,
            shown: Vec::new(),
            entries: Vec::new(),
        }
    }

    /// Says what is scored on.
    pub(super) fn begin(
        &mut self,
        archive: &Archive,
        folder: &Path,
        places: &[Place],
    ) -> Result<(), EvaluateError> {
        for place in places.iter().take(SHOWN) {
            self.shown.push(store::shown(&scenes::read(archive, place)?)?);
        }
        let scenes = places.iter().map(|place| SceneRecord {
            day: place.day.to_string(),
            corner: place.corner,
            shape: place.shape,
            ice_cells: place.ice_cells,
            sha256: place.sha256.clone(),
        });
        self.archive = Some(ArchiveRecord {
            folder: folder.display().to_string(),
            provenance: archive.read(0)?.1,
            scenes: scenes.collect(),
        });
        Ok(())
    }

    /// Adds what days without a truth showed, and writes everything.
    pub(super) fn show_observed(&mut self, seen: ObservedRecord, out: &Path) -> Result<(), EvaluateError> {
        self.observed = Some(seen);
        self.write(out)
    }

    /// Adds a row and writes everything that is known by now.
    pub(super) fn add(&mut self, entry: Entry, out: &Path) -> Result<(), EvaluateError> {
        let mut row = entry.row(self.seed);
        let against = [
            ("fair_rmse_over_regression", Role::Regression, "fair_mean_rmse_m", "mean_rmse_m"),
            ("crps_over_random_field", Role::Random, "fair_crps_m", "fair_crps_m"),
        ];
        for (name, role, of, other_of) in against {
            // Of several regressions the first counts.
            let other = self.entries.iter().find(|other| other.role == role);
            if let (Some(other), Some(of), Some(other_of)) = (other, measure(of), measure(other_of)) {
                let mut dice = dice(self.seed);
                let found = ratio((&entry.days, of), (&other.days, other_of), DRAWS, &mut || dice.share());
                row.comparisons.extend(found.map(|found| (name, found)));
            }
        }
        self.rows.push(row);
        self.entries.push(entry);
        self.write(out)
    }

    fn write(&self, out: &Path) -> Result<(), EvaluateError> {
        let refuse = |reason: String| EvaluateError::Report { reason };
        let metrics = serde_json::to_vec_pretty(self).map_err(|error| refuse(error.to_string()))?;
        let page = report::page(self).map_err(|error| refuse(error.to_string()))?;
        for (name, bytes) in [("metrics.json", metrics), ("report.html", page.into_bytes())] {
            let path: PathBuf = out.join(name);
            sys::replace_file(&path, &bytes).map_err(|source| EvaluateError::File { path, source })?;
        }
        Ok(())
    }
}
