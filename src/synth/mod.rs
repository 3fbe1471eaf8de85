//! Synthetic truth to learn from: ice of parcels, driven by real large-scale drift, broken into blocks that move as rigid bodies,
//! and seen through the satellites' eyes.
//!
//! The large scale is real: drift of the winters since 2017 (OSI SAF), and a thickness of one April (CS2SMOS), turned, mirrored,
//! mixed and aged. What is finer than some 25 km is a prior and no evidence; `docs/training.md` says what it is compared with.

mod forcing;
mod fractures;
mod observation;
mod pack;
mod portrait;
mod report;
mod start;

use std::collections::VecDeque;
use std::path::PathBuf;

use rand_chacha::ChaCha20Rng;

pub use forcing::Forcing;
pub use observation::Observer;
pub use pack::Budget;
pub use portrait::Portrait;
pub use report::Report;

use crate::archive::{Provenance, Sample};
use crate::ensemble::dice::{dice, share, uniform};
use crate::grid::GridError;
use crate::source::Satellites;
use crate::time::ProductDay;
use fractures::{Network, Texture};
use observation::WINDOW_DAYS;
use pack::{Pack, Sea, View};
use start::Start;

/// The name of this generator as it is; whoever changes what it makes gives it another (a test compares what it makes).
pub const RECIPE: &str = "parcels-3";
/// Days that the ice is driven before the first sample of a series.
const SPIN_UP_DAYS: i64 = 18;
/// Days between two samples of a series.
const EVERY_DAYS: i64 = 4;
/// Samples of a series.
const SAMPLES: i64 = 5;
/// Cells of ice for each region that breaks anew in a day, and the size of such a region, cells.
const BREAK_AGAIN: (f64, (f64, f64)) = (6.0e4, (40.0, 110.0));
/// How much the first thickness differs between neighbouring floes, and the power with which that grows with their size. Nothing
/// observed fixes the second below 25 km, so that it varies: slopes of -1.5, 0.3 either way.
const TEXTURE_AMPLITUDE: (f64, f64) = (0.04, 0.07);
const TEXTURE_ROUGHNESS: (f64, f64) = (0.1, 0.4);

/// What can go wrong while ice is made.
#[derive(Debug, thiserror::Error)]
pub enum SynthError {
    /// The forcing cannot be used.
    #[error(
        "forcing {path}: {reason}; name the file that ships, share/nilas/forcing/arctic-winters.safetensors, with --forcing, or make one as \
         forcing/README.md says"
    )]
    Forcing {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The grid cannot be used.
    #[error(transparent)]
    Grid(#[from] GridError),
    /// An option cannot be used.
    #[error("{0}")]
    Option(String),
}

/// Which part of what there is may be used, so that tests are held out by whole winters and by geography, not by seed only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// Winters to learn from; thickness as it lay.
    Training,
    /// A winter to choose by; thickness as it lay.
    Validation,
    /// Winters to be judged by; thickness mirrored.
    Test,
}

impl Split {
    /// The years in which its winters end.
    #[must_use]
    pub fn winters(self) -> &'static [i32] {
        match self {
            Self::Training => &[2018, 2019, 2020, 2021, 2023],
            Self::Validation => &[2024],
            Self::Test => &[2025],
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Training => "training",
            Self::Validation => "validation",
            Self::Test => "test",
        }
    }
}

/// What is said of the archive that is made with a seed from a part of the winters.
#[must_use]
pub fn provenance(split: Split, seed: u64) -> Provenance {
    Provenance {
        origin: format!(
            "SYNTHETIC: nilas synth, recipe {}, {} part (drift of winters ending {}; thickness {}), seed {seed}",
            RECIPE,
            split.name(),
            split.winters().iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
            if split == Split::Test { "mirrored" } else { "as it lay" },
        ),
        thickness_definition: "effective".into(),
        degradation: observation::DEGRADATION.into(),
    }
}

/// A day of a series.
#[derive(Debug)]
pub struct SyntheticDay {
    /// The day whose drift it had.
    pub driven_by: ProductDay,
    /// Truth, and what `prepare` makes of what the satellites saw.
    pub sample: Sample,
    /// What they saw.
    pub seen: Satellites,
}

/// One piece of ice driven through some weeks of a winter.
#[derive(Debug)]
pub struct Series<'a> {
    forcing: &'a Forcing,
    observer: &'a Observer,
    sea: Sea,
    network: Network,
    pack: Pack,
    dice: ChaCha20Rng,
    first: ProductDay,
    /// Days driven so far.
    driven: i64,
    views: VecDeque<View>,
}

impl<'a> Series<'a> {
    /// Number of samples that a series gives.
    pub const SAMPLES: usize = SAMPLES as usize;

    /// Begins series `number` of a seed.
    ///
    /// # Errors
    /// [`SynthError`] when the forcing lacks the winter or the grid cannot be related to it.
    pub fn begin(
        forcing: &'a Forcing,
        observer: &'a Observer,
        split: Split,
        seed: u64,
        number: usize,
    ) -> Result<Self, SynthError> {
        let mut dice = dice(&format!("synth|{}|{seed}|{number}", split.name()));
        let winters = split.winters();
        let winter = winters[(share(&mut dice) * winters.len() as f64) as usize % winters.len()];
        let (begin, end) = forcing.winter(winter)?;
        let spare = end.days_since(begin) - (SPIN_UP_DAYS + EVERY_DAYS * SAMPLES + WINDOW_DAYS as i64);
        let first = begin.plus_days((share(&mut dice) * spare.max(0) as f64) as i64);
        let grid = observer.grid();
        let season = (first.days_since(begin) as f32 / end.days_since(begin) as f32).clamp(0.0, 1.0);
        let start = Start::draw(forcing, grid, season, split == Split::Test, &mut dice)?;
        let motion = forcing.motion(first, &grid.spec)?;
        let mut network = Network::new((share(&mut dice) * 1e15) as u64, &mut dice);
        let (rows, columns) = grid.land.dim();
        let margin = 40.0;
        let corners = [-margin, -margin, columns as f32 + margin, rows as f32 + margin];
        let texture = Texture {
            amplitude: uniform(&mut dice, TEXTURE_AMPLITUDE.0, TEXTURE_AMPLITUDE.1) as f32,
            roughness: uniform(&mut dice, TEXTURE_ROUGHNESS.0, TEXTURE_ROUGHNESS.1) as f32,
        };
        let whole = network.cut(corners, &motion, texture, &mut dice);
        let pack = start.pack(&network, whole);
        Ok(Self {
            forcing,
            observer,
            sea: start.sea,
            network,
            pack,
            dice,
            first,
            driven: 0,
            views: VecDeque::with_capacity(WINDOW_DAYS),
        })
    }

    /// Where the volume went so far.
    #[must_use]
    pub fn budget(&self) -> Budget {
        self.pack.budget
    }

    /// Drives the ice on to the next sample.
    ///
    /// # Errors
    /// [`SynthError`] when a day has no drift.
    pub fn next_sample(&mut self) -> Result<SyntheticDay, SynthError> {
        let half = WINDOW_DAYS as i64 / 2;
        let passed = (self.driven - SPIN_UP_DAYS - half).max(-1);
        let number = passed.div_euclid(EVERY_DAYS) + 1;
        let last = SPIN_UP_DAYS + EVERY_DAYS * number + half;
        while self.driven < last {
            self.drive()?;
        }
        let window: Vec<&View> = self.views.iter().collect();
        let (sample, seen) = self.observer.observe(&window, &mut self.dice)?;
        Ok(SyntheticDay { driven_by: self.first.plus_days(self.driven - half - 1), sample, seen })
    }

    fn drive(&mut self) -> Result<(), SynthError> {
        let day = self.first.plus_days(self.driven);
        let motion = self.forcing.motion(day, &self.observer.grid().spec)?;
        let (every, size) = BREAK_AGAIN;
        self.pack.break_again(&mut self.network, &motion, every, size, &mut self.dice);
        let view = self.pack.step(&self.sea, &motion, &self.network, self.driven, &mut self.dice);
        if self.views.len() == WINDOW_DAYS {
            self.views.pop_front();
        }
        self.views.push_back(view);
        self.driven += 1;
        Ok(())
    }
}
