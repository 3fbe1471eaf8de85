//! What the process that produces a day is told, and what it says: one JSON object each, a line for every piece of news.

use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::progress::{Processor, StageNews};
use crate::time::ProductDay;

use super::{Gathered, Produced};

/// What a production is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// The whole configuration, as whoever gives the order has it: the file may have changed since.
    pub config: Config,
    /// The accepted input files.
    pub gathered: Gathered,
    /// The number that the product gets.
    pub revision: u32,
    /// The number of the run, for the log.
    pub run: i64,
    /// What is worse than it should be already, in a sentence.
    pub degradation: Option<String>,
}

impl Order {
    /// The day to produce.
    #[must_use]
    pub fn day(&self) -> ProductDay {
        self.gathered.day
    }
}

/// What a production says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A stage begins.
    Begins {
        /// Its name.
        stage: String,
        /// Its steps.
        steps: usize,
        /// Where it does its work.
        #[serde(default)]
        processor: Processor,
    },
    /// A stage has ended.
    Ended {
        /// Its name.
        stage: String,
        /// How long it took, seconds.
        seconds: f64,
    },
    /// The day is produced: the last piece of news.
    Produced(Box<Produced>),
    /// It is not: the last piece of news.
    Failed(Failed),
}

/// Why a production ended without a product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    /// The exit code that says so to a script.
    pub exit_code: u8,
    /// Whether the device failed that the network ran on, so that another may do.
    pub of_device: bool,
    /// The reason, with what to do.
    pub reason: String,
}

impl From<StageNews<'_>> for Event {
    fn from(news: StageNews<'_>) -> Self {
        match news {
            StageNews::Begins { stage, steps, processor } => {
                Self::Begins { stage: stage.to_owned(), steps, processor }
            }
            StageNews::Ended(timing) => Self::Ended { stage: timing.stage.clone(), seconds: timing.seconds },
        }
    }
}
