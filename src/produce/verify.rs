//! Looking at a published day again.

use std::path::Path;

use crate::publish::{self, ManifestError};
use crate::quality::{self, Checked};

/// What a published revision turned out to be.
#[derive(Debug)]
pub struct Verdict {
    /// One line for every file or check that was looked at and is as it should be.
    pub good: Vec<String>,
    /// One line for everything that is not.
    pub bad: Vec<String>,
}

/// Checks the revision in `folder`: its manifest, every file's checksum, the conventions of the files, the physics of the fields.
///
/// # Errors
/// [`ManifestError`] when there is no manifest to check against.
pub fn verify(folder: &Path) -> Result<Verdict, ManifestError> {
    let read = publish::read_back(folder)?;
    let mut verdict =
        Verdict { good: Vec::new(), bad: read.violations.iter().map(ToString::to_string).collect() };
    match publish::read_withdrawal(folder) {
        Ok(None) => {}
        Ok(Some(note)) => {
            verdict.bad.push(format!(
                "it was taken back at {}: {}",
                note.withdrawn_at.format("%Y-%m-%d %H:%M UTC"),
                note.reason
            ));
        }
        Err(error) => verdict.bad.push(error.to_string()),
    }
    let broken = |name: &str| read.violations.iter().any(|violation| violation.file() == name);
    for file in read.manifest.files.iter().filter(|file| !broken(&file.name)) {
        verdict.good.push(format!("{}: as published", file.name));
    }
    if let Some(fields) = &read.fields {
        let findings = quality::check(&Checked {
            mask: fields.mask.view(),
            mean_m: fields.mean_m.view(),
            spread_m: fields.spread_m.view(),
            quantiles: &fields.quantiles,
        });
        for finding in findings {
            if finding.passed() { &mut verdict.good } else { &mut verdict.bad }.push(finding.to_string());
        }
        if fields.wrong_member_cells > 0 {
            let cells = fields.wrong_member_cells;
            verdict.bad.push(format!(
                "{cells} cells of the members are negative, missing inside the mask or set outside it"
            ));
        }
    }
    Ok(verdict)
}
