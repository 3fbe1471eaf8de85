//! Scores checkpoints on an archive, beside baselines, and writes what it found: `metrics.json` and a report that can be read in a
//! browser without anything else.
//!
//! What is scored, and how, is said in `docs/evaluation.md`; the formulas stand in [`crate::score`].

mod calibrate;
mod forecast;
mod observed;
mod record;
mod report;
mod scenes;
mod store;

use std::path::{Path, PathBuf};

use crate::archive::{Archive, ArchiveError, ObservedArchive};
use crate::config::SamplerChoice;
use crate::ensemble::EnsembleError;
use crate::model::{Checkpoint, ModelError, Objective};
use crate::plot::PlotError;
use crate::progress::{Bar, Stages};
use crate::score::{self, AnomalyStatistics, Tally};
use crate::time::{Clock, ProductDay};

use forecast::Forecast;
use record::Entry;
use scenes::Place;
use store::{Scored, Store};

pub use calibrate::calibrate;
pub use forecast::Variant;
pub use observed::{ObservedMeasure, ObservedRecord, ObservedRow};
pub use record::{Evaluation, Row};

/// Side of a cell of an archive, km.
const CELL_KM: f64 = 3.0;
/// The scenes whose maps the report shows.
const SHOWN: usize = 2;

/// What can go wrong with an evaluation.
#[derive(Debug, thiserror::Error)]
pub enum EvaluateError {
    /// The archive cannot be used.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The model cannot be used.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// Members could not be drawn.
    #[error("{row}, {day}: {source}")]
    Ensemble {
        /// The row of the table.
        row: String,
        /// The day.
        day: ProductDay,
        /// What went wrong.
        source: EnsembleError,
    },
    /// A picture could not be made.
    #[error(transparent)]
    Plot(#[from] PlotError),
    /// The report could not be filled in.
    #[error("the report cannot be written ({reason}); report this with metrics.json")]
    Report {
        /// What the template engine said.
        reason: String,
    },
    /// A file could not be read or written.
    #[error("{path}: {source}; see that the folder of --out may be written and has space")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// An option cannot be used with this archive.
    #[error("{0}")]
    Option(String),
    /// The spread of a checkpoint cannot be put right by a calibration.
    #[error(
        "{0}: more than a calibration is for; see the spread in the report of nilas evaluate and train further, or on more days"
    )]
    Calibration(String),
}

/// Which days of an archive are scored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DayChoice {
    /// All.
    All,
    /// So many, evenly spaced over the archive.
    Number(usize),
    /// These.
    Listed(Vec<ProductDay>),
}

/// How to evaluate.
#[derive(Debug, Clone)]
pub struct EvaluateOptions {
    /// The days.
    pub days: DayChoice,
    /// Cells along a side of the one window that is cut from each day; `None` takes whole fields.
    pub window: Option<usize>,
    /// Members that are drawn for each scene.
    pub members: usize,
    /// Seed of the members' noise, of the windows, and of the ties of ranks.
    pub seed: u64,
    /// Members handled at once on a GPU.
    pub batch: usize,
    /// Samplers: with each checkpoint and variant a row.
    pub samplers: Vec<SamplerChoice>,
    /// What is done to members; without any, they are as published, and uncalibrated as well where the checkpoint is calibrated.
    pub variants: Vec<Variant>,
    /// Whether structural similarity is computed, too.
    pub with_similarity: bool,
    /// The first days without a truth, so many at most.
    pub observed_days: Option<usize>,
    /// Cells along a side of the one window that is cut from all days without a truth; `None` takes whole fields.
    pub observed_window: Option<usize>,
}

impl Default for EvaluateOptions {
    /// Twenty windows of 256 cells, 30 members, each checkpoint with the sampler that it says itself.
    fn default() -> Self {
        Self {
            days: DayChoice::Number(20),
            window: Some(256),
            members: 30,
            seed: 1,
            batch: 8,
            samplers: vec![SamplerChoice::default()],
            variants: Vec::new(),
            with_similarity: false,
            observed_days: None,
            observed_window: None,
        }
    }
}

/// The networks that are scored.
#[derive(Debug)]
pub struct Candidates {
    /// Those that draw members.
    pub checkpoints: Vec<Checkpoint>,
    /// Those that were trained for the mean; the others' means are held against the first of them.
    pub regressions: Vec<Checkpoint>,
}

/// What is evaluated on; at least one of the two.
#[derive(Debug, Clone, Copy)]
pub struct Grounds<'a> {
    /// Days with a truth, and their folder.
    pub archive: Option<(&'a Archive, &'a Path)>,
    /// Days as satellites saw them, and their folder.
    pub observed: Option<(&'a ObservedArchive, &'a Path)>,
}

/// Scores every checkpoint with every sampler, on days with a truth and on days without. What is scored is kept in `out`, row by row and
/// day by day, so that the same call goes on after an interruption, and one with more rows takes what is there.
///
/// # Errors
/// [`EvaluateError`]; what was scored until then stays in `out`.
pub fn evaluate(
    grounds: Grounds<'_>,
    candidates: &Candidates,
    options: &EvaluateOptions,
    out: &Path,
    stages: &mut Stages<'_>,
) -> Result<Evaluation, EvaluateError> {
    let (regressions, rows) = rows(candidates, options)?;
    let store = Store::new(out);
    let mut evaluation = Evaluation::new(options);
    if let Some((archive, folder)) = grounds.archive {
        let days = archive.days().len();
        let places = stages.run("look", days, |bar| scenes::choose(archive, options, bar))?;
        let work = Work { archive, places: &places, options, store: &store };
        evaluation.begin(archive, folder, &places)?;
        let low = work.score(&Forecast::Low, stages)?;
        let pooled = Tally::sum(&low.days);
        evaluation.add(low, out)?;
        if let Some(statistics) = AnomalyStatistics::of(&pooled.spectra, &pooled.classes) {
            evaluation.add(work.score(&Forecast::Random(statistics), stages)?, out)?;
        } else {
            tracing::warn!(
                "no window of 128 x 128 cells is all ice: there are no spectra and no baseline of random fields"
            );
        }
        for row in regressions.iter().chain(&rows) {
            evaluation.add(work.score(row, stages)?, out)?;
        }
    }
    if let Some(observed) = grounds.observed {
        let truth = grounds.archive.map(|(archive, _)| archive);
        let seen = observed::look(observed, truth, &rows, options, &store, stages)?;
        evaluation.show_observed(seen, out)?;
    }
    Ok(evaluation)
}

/// The rows of networks: regressions, then those that draw members.
fn rows<'a>(
    candidates: &'a Candidates,
    options: &EvaluateOptions,
) -> Result<(Vec<Forecast<'a>>, Vec<Forecast<'a>>), EvaluateError> {
    let (mut regressions, mut rows) = (Vec::new(), Vec::new());
    for checkpoint in &candidates.regressions {
        checkpoint.info.refuse_unless(Objective::Mean)?;
        regressions.push(Forecast::Regression(checkpoint));
    }
    for checkpoint in &candidates.checkpoints {
        checkpoint.info.refuse_unless(Objective::Noise)?;
        for &choice in &options.samplers {
            let sampler = checkpoint.info.sampler(choice)?;
            // Without a word, what calibration did is told where there was one.
            let usual: &[Variant] = match checkpoint.info.calibration {
                Some(_) => &[Variant::Published, Variant::Uncalibrated],
                None => &[Variant::Published],
            };
            let variants = if options.variants.is_empty() { usual } else { &options.variants };
            rows.extend(variants.iter().map(|&variant| Forecast::Members { checkpoint, sampler, variant }));
        }
    }
    Ok((regressions, rows))
}

/// What every row is scored on.
struct Work<'a> {
    archive: &'a Archive,
    places: &'a [Place],
    options: &'a EvaluateOptions,
    store: &'a Store,
}

impl Work<'_> {
    /// Scores one row on every scene, or takes what was scored before.
    fn score(&self, forecast: &Forecast<'_>, stages: &mut Stages<'_>) -> Result<Entry, EvaluateError> {
        let clock = stages.clock();
        let calls = forecast.calls(self.options.members);
        let name = forecast.name();
        tracing::info!(row = name, scenes = self.places.len(), "row begins");
        stages.run(&name, calls * self.places.len(), |bar| {
            let mut entry = Entry::of(forecast);
            for (number, place) in self.places.iter().enumerate() {
                let key = store::key(&forecast.identity(), place, self.options);
                let shown = number < SHOWN;
                let scored = match self.store.find(&key, shown) {
                    Some(kept) => kept,
                    None => self.score_scene(forecast, place, shown, &key, (clock, bar))?,
                };
                if shown {
                    entry.pictures.push(self.store.pictures(&key)?);
                }
                entry.add(scored);
                bar.jump_to(calls * (number + 1));
            }
            Ok(entry)
        })
    }

    /// Draws members on a scene, scores them, and keeps the score and, where the scene is shown, maps.
    fn score_scene(
        &self,
        forecast: &Forecast<'_>,
        place: &Place,
        shown: bool,
        key: &str,
        (clock, bar): (&dyn Clock, &Bar),
    ) -> Result<Scored, EvaluateError> {
        let scene = scenes::read(self.archive, place)?;
        let begin = clock.monotonic();
        let members = forecast.members(&scene, self.options, bar)?;
        let seconds = clock.monotonic().saturating_sub(begin).as_secs_f64();
        let mut dice = scenes::Dice::new(&format!("ranks|{}|{}", self.options.seed, place.day));
        let tally = score::tally(&scene.view(), &members, self.options.with_similarity, &mut || dice.share());
        let scored = Scored { tally, seconds_per_member: seconds / members.len() as f64 };
        if shown {
            self.store.keep_pictures(key, &scene, &members)?;
        }
        self.store.keep(key, &scored)?;
        Ok(scored)
    }
}
