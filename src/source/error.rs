//! Why a file is refused.

use std::path::PathBuf;

use crate::field::ShapeMismatch;
use crate::grid::GridError;
use crate::source::Refusal;
use crate::text::excerpt;

/// Why a file is refused. Each names the file, what was expected, and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A file that was named is not there.
    #[error("{path}: there is no such file, expected {expected}; name a file that exists, or fetch it")]
    NoFile {
        /// The file.
        path: PathBuf,
        /// What should be there.
        expected: &'static str,
    },
    /// The system does not give the file away.
    #[error(
        "{path}: expected {expected}, which cannot be read ({source}); see that it is a file that Nilas may read"
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What should be there.
        expected: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file of no bytes.
    #[error("{path}: the file is empty, expected {expected}; fetch it again")]
    Empty {
        /// The file.
        path: PathBuf,
        /// What should be there.
        expected: &'static str,
    },
    /// A web page was stored under the product's name.
    #[error(
        "{path}: expected {expected}, found an HTML page, not a NetCDF file (the server answered with an error or login page); \
         check address and account, then fetch it again"
    )]
    Html {
        /// The file.
        path: PathBuf,
        /// What should be there.
        expected: &'static str,
    },
    /// The first bytes are those of another format.
    #[error(
        "{path}: expected {expected}, found something that is not NetCDF; fetch it again, unpacked if it was compressed"
    )]
    NotNetcdf {
        /// The file.
        path: PathBuf,
        /// What should be there.
        expected: &'static str,
    },
    /// NetCDF that ends too early or cannot be read.
    #[error("{path}: expected {expected}, but the file is truncated or damaged ({reason}); fetch it again")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What should be there.
        expected: &'static str,
        /// Where reading failed.
        reason: String,
    },
    /// The file is another product, or another version of it.
    #[error("{path}: expected {expected}, found {found}; give a file of a product that is known")]
    UnknownProduct {
        /// The file.
        path: PathBuf,
        /// The products known.
        expected: &'static str,
        /// What the file says it is.
        found: String,
    },
    /// A variable or attribute is not as the product's documents say.
    #[error(
        "{path}: expected {expected}, found {found}; fetch it again, and if it stays so the product has a new layout that Nilas must learn"
    )]
    Layout {
        /// The file.
        path: PathBuf,
        /// What the documents say.
        expected: String,
        /// What the file has.
        found: String,
    },
    /// A unit that is not known.
    #[error(
        "{path}: {variable} is in \"{found}\", expected {expected}; fetch it again, and if it stays so the product has a new layout that Nilas must learn"
    )]
    Unit {
        /// The file.
        path: PathBuf,
        /// The variable.
        variable: String,
        /// Its unit.
        found: String,
        /// The units known.
        expected: &'static str,
    },
    /// The cells do not lie where they should.
    #[error(
        "{path}: wrong grid, expected {expected}, found {found}; give the file of the product on this grid"
    )]
    WrongGrid {
        /// The file.
        path: PathBuf,
        /// The known grid.
        expected: String,
        /// The file's grid.
        found: String,
    },
    /// The file observes another time.
    #[error(
        "{path}: wrong date, expected {expected}, found {found} inside the file; give the file of the right day"
    )]
    WrongDate {
        /// The file.
        path: PathBuf,
        /// The time asked for.
        expected: String,
        /// The time in the file.
        found: String,
    },
    /// The values cannot be right.
    #[error(
        "{path}: {variable} is not plausible, expected {expected}, found {found}; fetch it again, and if it stays so tell the provider"
    )]
    Implausible {
        /// The file.
        path: PathBuf,
        /// The variable.
        variable: String,
        /// What values should be like.
        expected: &'static str,
        /// What they are like.
        found: String,
    },
    /// The file gives its flags other meanings than the ones by which they are read.
    #[error(
        "{path}: the flags of {variable} mean other things, expected {expected}, found {found}; fetch it again, and if it stays so the product has a new layout that Nilas must learn"
    )]
    UnknownFlags {
        /// The file.
        path: PathBuf,
        /// The variable.
        variable: String,
        /// A flag as it is read.
        expected: String,
        /// The same as the file describes it.
        found: String,
    },
    /// What the confined process says of a file that it cannot decode.
    #[error("{}", .0.reason)]
    Refused(Refusal),
    /// The program that opens files in confinement does not do its work; no fault of any file.
    #[error("{program}: {reason}; install all programs of one version of Nilas into one folder")]
    Inspector {
        /// The program.
        program: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A known grid cannot be built.
    #[error(transparent)]
    Grid(#[from] GridError),
    /// An array does not fit its grid.
    #[error(transparent)]
    Shape(#[from] ShapeMismatch),
}

impl SourceError {
    /// One word for it, by which refusals are counted and found.
    #[must_use]
    pub fn kind(&self) -> &str {
        match self {
            Self::NoFile { .. } => "no_file",
            Self::Unreadable { .. } => "unreadable",
            Self::Empty { .. } => "empty",
            Self::Html { .. } => "html",
            Self::NotNetcdf { .. } => "not_netcdf",
            Self::Damaged { .. } => "damaged",
            Self::UnknownProduct { .. } => "unknown_product",
            Self::Layout { .. } | Self::Shape(_) => "layout",
            Self::Unit { .. } => "unit",
            Self::WrongGrid { .. } | Self::Grid(_) => "wrong_grid",
            Self::WrongDate { .. } => "wrong_date",
            Self::Implausible { .. } => "implausible",
            Self::UnknownFlags { .. } => "unknown_flags",
            Self::Refused(refusal) => &refusal.kind,
            Self::Inspector { .. } => "inspector",
        }
    }

    /// The same with what comes from the file made plain and short, so that what we say ourselves, the remedy above all, is not lost in it.
    pub(super) fn in_plain_words(mut self) -> Self {
        let foreign: Vec<&mut String> = match &mut self {
            Self::Damaged { reason: text, .. } | Self::UnknownProduct { found: text, .. } => vec![text],
            Self::Layout { expected, found, .. }
            | Self::WrongGrid { expected, found, .. }
            | Self::WrongDate { expected, found, .. } => vec![expected, found],
            Self::Unit { variable, found, .. } | Self::Implausible { variable, found, .. } => {
                vec![variable, found]
            }
            Self::UnknownFlags { variable, expected, found, .. } => vec![variable, expected, found],
            Self::NoFile { .. }
            | Self::Unreadable { .. }
            | Self::Empty { .. }
            | Self::Html { .. }
            | Self::NotNetcdf { .. }
            | Self::Refused(_)
            | Self::Inspector { .. }
            | Self::Grid(_)
            | Self::Shape(_) => Vec::new(),
        };
        for text in foreign {
            *text = excerpt(text);
        }
        self
    }
}
