//! What ended a command, and the exit code that says so to a script.

use std::fmt;
use std::process::ExitCode;

use crate::config::ConfigError;
use crate::daemon::DaemonError;
use crate::evaluate::EvaluateError;
use crate::model::ModelError;
use crate::produce::{GatherError, ProduceError};
use crate::source::SourceError;
use crate::synth::SynthError;
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
    /// What it was has been said to whoever started this process, with this code.
    Told(u8),
}

impl Failure {
    /// The failure of another process, by the code that it ended with.
    pub(super) fn with_code(code: u8, reason: String) -> Self {
        match code {
            2 => Self::Usage(reason),
            3 => Self::NotThereYet(reason),
            4 => Self::Refused(reason),
            5 => Self::FailedChecks(reason),
            _ => Self::Other(reason),
        }
    }

    /// The number that says so to a script.
    pub(super) fn code(&self) -> u8 {
        match self {
            Self::Other(_) => 1,
            Self::Usage(_) => 2,
            Self::NotThereYet(_) => 3,
            Self::Refused(_) => 4,
            Self::FailedChecks(_) => 5,
            Self::Told(code) => *code,
        }
    }

    /// Whether the reason has been said already.
    pub(super) fn is_told(&self) -> bool {
        matches!(self, Self::Told(_))
    }

    pub(super) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code())
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
            Self::Told(code) => write!(formatter, "ended with code {code}"),
        }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::Usage(error.to_string())
    }
}

impl From<DaemonError> for Failure {
    fn from(error: DaemonError) -> Self {
        match error {
            DaemonError::Config(error) => error.into(),
            DaemonError::Produce(error) => error.into(),
            DaemonError::Gather(error) => error.into(),
            DaemonError::Cron { .. } | DaemonError::Listen { .. } => Self::Usage(error.to_string()),
            _ => Self::other(error),
        }
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
            // No file has a fault where none could be looked at.
            ProduceError::Source(SourceError::Inspector { .. }) => Self::other(error),
            ProduceError::Source(_) | ProduceError::NoIce { .. } => Self::Refused(error.to_string()),
            ProduceError::Grid(_) | ProduceError::Output { .. } | ProduceError::OtherCheckpoint { .. } => {
                Self::Usage(error.to_string())
            }
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
            TrainError::Option(_)
            | TrainError::Beginning { .. }
            | TrainError::OtherTraining { .. }
            | TrainError::State { .. }
            | TrainError::Archive(_) => Self::Usage(error.to_string()),
            TrainError::Model(error) => error.into(),
            _ => Self::other(error),
        }
    }
}

impl From<SynthError> for Failure {
    fn from(error: SynthError) -> Self {
        Self::Usage(error.to_string())
    }
}

impl From<EvaluateError> for Failure {
    fn from(error: EvaluateError) -> Self {
        match error {
            EvaluateError::Option(_) | EvaluateError::Archive(_) => Self::Usage(error.to_string()),
            EvaluateError::Model(error) => error.into(),
            _ => Self::other(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_becomes_the_failure_that_has_it() {
        for code in 1..=5 {
            assert_eq!(Failure::with_code(code, String::new()).code(), code);
        }
        assert_eq!(Failure::with_code(101, String::new()).code(), 1);
    }
}
