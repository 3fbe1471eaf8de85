//! `nilas notify`: tries the ways to people, and tells them when the daemon cannot.

use std::env;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, Subcommand};

use super::failure::Failure;
use super::print;
use crate::config::{Config, MailSettings, Overrides};
use crate::ledger::Ledger;
use crate::notify::{Notifier, NotifyError, UnitFailure, mail_unit_failure};
use crate::time::{Clock, SystemClock};

/// Tries the ways to people, and tells them when the daemon cannot.
#[derive(Subcommand)]
pub(super) enum Arguments {
    /// Sends one message to everybody who may be told something, by each configured way, and says what each server answers.
    Test(Common),
    /// Mails that a unit of systemd has failed: for `OnFailure=`, when Nilas itself cannot. It reads nothing but the mail settings.
    Failure {
        /// The unit.
        unit: String,
        #[command(flatten)]
        common: Common,
    },
}

#[derive(Args)]
pub(super) struct Common {
    /// Configuration file [default: nilas.toml in ./config, /etc/nilas or share/nilas/config].
    #[arg(long)]
    config: Option<PathBuf>,
}

impl Common {
    fn path(&self) -> Result<PathBuf, Failure> {
        Ok(self.config.clone().map_or_else(|| Config::find("nilas.toml"), Ok)?)
    }
}

pub(super) fn run(arguments: Arguments) -> Result<(), Failure> {
    match arguments {
        Arguments::Test(common) => test(&common),
        Arguments::Failure { unit, common } => failure(unit, &common),
    }
}

fn test(common: &Common) -> Result<(), Failure> {
    let config = Config::load(&common.path()?, &Overrides::default())?;
    let ledger = Ledger::open(&config.folders.state.join(Ledger::FILE_NAME)).map_err(Failure::other)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let notifier = Notifier::new(&config.notify, Arc::new(ledger), clock)?;
    super::runtime()?.block_on(notifier.send_test())?.into_iter().for_each(print);
    Ok(())
}

fn failure(unit: String, common: &Common) -> Result<(), Failure> {
    let settings = MailSettings::read(&common.path()?)?;
    let failure = UnitFailure {
        unit,
        result: monitored("SERVICE_RESULT"),
        exit_code: monitored("EXIT_CODE"),
        exit_status: monitored("EXIT_STATUS"),
        invocation: monitored("INVOCATION_ID"),
    };
    let told = super::runtime()?.block_on(mail_unit_failure(&settings, failure, &SystemClock::new()))?;
    print(format_args!("mailed {}", told.join(", ")));
    Ok(())
}

/// What systemd says of the unit that failed.
fn monitored(what: &str) -> Option<String> {
    env::var(format!("MONITOR_{what}")).ok().filter(|value| !value.is_empty())
}

impl From<NotifyError> for Failure {
    fn from(error: NotifyError) -> Self {
        match error {
            NotifyError::Nobody | NotifyError::Settings { .. } | NotifyError::Template { .. } => {
                Self::Usage(error.to_string())
            }
            _ => Self::other(error),
        }
    }
}
