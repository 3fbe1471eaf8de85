//! The option that names the configuration file, as most verbs have it.

use std::path::PathBuf;

use clap::Args;

use crate::config::{Config, ConfigError, Overrides};

/// Which configuration is meant.
#[derive(Args)]
pub(super) struct ConfigurationFile {
    /// Configuration file [default: nilas.toml in ./config, /etc/nilas or share/nilas/config].
    #[arg(long)]
    config: Option<PathBuf>,
}

impl ConfigurationFile {
    /// The file that is named, else the one that is found.
    pub(super) fn path(&self) -> Result<PathBuf, ConfigError> {
        self.config.clone().map_or_else(|| Config::find("nilas.toml"), Ok)
    }

    /// What stands in it.
    pub(super) fn load(&self) -> Result<Config, ConfigError> {
        self.load_with(&Overrides::default())
    }

    /// The same with what the command line says instead.
    pub(super) fn load_with(&self, overrides: &Overrides) -> Result<Config, ConfigError> {
        Config::load(&self.path()?, overrides)
    }
}
