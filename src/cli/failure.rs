//! What ended a command, and the exit code that says so to a script.

use std::fmt;
use std::process::ExitCode;

use crate::config::ConfigError;
use crate::model::ModelError;
use crate::produce::{GatherError, ProduceError};
use crate::train::TrainError;

/// Why a command ended without doing what was asked; the kinds are the exit codes of the command contract.
#[derive(Debug)]
pub(super) enum Failure {
    /// 2: the command line or the configuration cannot be used.
    Usage(String),
    /// 3: the day's inputs are not there yet.
    NotThereYet(String),
    /// 4: an input was refused.
    Refused(String),
    /// 5: the product failed its checks.
    FailedChecks(String),
    /// 1: anything else.
    Other(String),
}

impl Failure {
    pub(super) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Other(_) => 1,
            Self::Usage(_) => 2,
            Self::NotThereYet(_) => 3,
            Self::Refused(_) => 4,
            Self::FailedChecks(_) => 5,
        })
    }

    /// Any error that has no exit code of its own.
    pub(super) fn other(error: impl fmt::Display) -> Self {
        Self::Other(error.to_string())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(text)
            | Self::NotThereYet(text)
            | Self::Refused(text)
            | Self::FailedChecks(text)
            | Self::Other(text) => formatter.write_str(text),
        }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::Usage(error.to_string())
    }
}

impl From<ModelError> for Failure {
    fn from(error: ModelError) -> Self {
        match error {
            ModelError::Torch { .. } | ModelError::Tensors { .. } => Self::other(error),
            _ => Self::Usage(error.to_string()),
        }
    }
}

impl From<ProduceError> for Failure {
    fn from(error: ProduceError) -> Self {
        match error {
            ProduceError::Config(error) => error.into(),
            ProduceError::Model(error) => error.into(),
            ProduceError::Source(_) | ProduceError::NoIce { .. } => Self::Refused(error.to_string()),
            ProduceError::Grid(_) | ProduceError::Output { .. } => Self::Usage(error.to_string()),
            ProduceError::Quality { .. } => Self::FailedChecks(error.to_string()),
            _ => Self::other(error),
        }
    }
}

impl From<GatherError> for Failure {
    fn from(error: GatherError) -> Self {
        match error {
            error if error.is_not_there_yet() => Self::NotThereYet(error.to_string()),
            GatherError::Refused { .. } => Self::Refused(error.to_string()),
            GatherError::Fetch(_) => Self::Usage(error.to_string()),
            _ => Self::other(error),
        }
    }
}

impl From<TrainError> for Failure {
    fn from(error: TrainError) -> Self {
        match error {
            TrainError::Option(_) | TrainError::OtherTraining { .. } | TrainError::Archive(_) => {
                Self::Usage(error.to_string())
            }
            TrainError::Model(error) => error.into(),
            _ => Self::other(error),
        }
    }
}
