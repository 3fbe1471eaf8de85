//! `nilas inspect`: may this input file be used?

use std::path::PathBuf;

use clap::Args;

use super::configuration::ConfigurationFile;
use super::failure::Failure;
use super::{inspection_program, print, runtime};
use crate::config::Config;
use crate::quality::{Finding, judge};
use crate::source::{Inspected, Inspector, Measured};

/// Looks at an input file as it is done before the file is used: in a confined process, against the configured limits.
#[derive(Args)]
pub(super) struct Arguments {
    /// The file, under its provider's name.
    file: PathBuf,
    #[command(flatten)]
    configuration: ConfigurationFile,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let config = arguments.configuration.load()?;
    let measured = match look(arguments, &config)? {
        Inspected::Measured(measured) => measured,
        Inspected::Refused(refusal) => return Err(Failure::Refused(refusal.reason)),
    };
    let findings = judge(&measured, None, measured.role.checks(&config.checks));
    print(format_args!("{}, {}", measured.role, in_words(&measured)));
    table(&findings);
    let failed: Vec<String> =
        findings.iter().filter(|finding| !finding.passed()).map(ToString::to_string).collect();
    if failed.is_empty() {
        return Ok(());
    }
    Err(Failure::Refused(format!(
        "{} is not plausible: {}; fetch it again, and if it is right all the same, change [checks] in the configuration",
        arguments.file.display(),
        failed.join("; ")
    )))
}

fn look(arguments: &Arguments, config: &Config) -> Result<Inspected, Failure> {
    let inspector = inspection_program()?;
    let inspected = inspector.inspect(&arguments.file, &config.inspection);
    runtime()?.block_on(inspected).map_err(Failure::other)
}

fn in_words(measured: &Measured) -> String {
    let minutes = "%Y-%m-%d %H:%M";
    let (start, end) = (measured.window.start.format(minutes), measured.window.end.format(minutes));
    format!("{}, {start} to {end}", measured.product)
}

fn table(findings: &[Finding]) {
    print(format_args!("{:<32} {:>14}  limits", "check", "measured"));
    for finding in findings {
        let verdict = if finding.passed() { "ok" } else { "WRONG" };
        let (measured, limits) = (finding.measured_in_words(), finding.limits_in_words());
        print(format_args!("{:<32} {measured:>14}  {limits:<26} {verdict}", finding.check));
    }
}
