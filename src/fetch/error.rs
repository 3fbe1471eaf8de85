//! Why a file could not be listed or fetched. Each says where, and what to do.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// What can go wrong while files are looked for or fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The server is there, the file or folder is not: "not yet", or never.
    #[error(
        "{url} is not there; wait until the provider delivers, or correct the place in the configuration"
    )]
    NotFound {
        /// What was asked for.
        url: String,
    },
    /// The server wants another user, or none at all.
    #[error(
        "{url} is denied ({reason}); check the credentials of the server, and whether the provider still gives this away"
    )]
    Denied {
        /// What was asked for.
        url: String,
        /// What the server said.
        reason: String,
    },
    /// No connection: no such host, nobody listens, no trust.
    #[error("{url} cannot be reached ({reason}); check the address, the network and the proxy")]
    Unreachable {
        /// What was asked for.
        url: String,
        /// What the system or the TLS library said.
        reason: String,
    },
    /// The server is in trouble and says so.
    #[error("{url}: the server answers {answer}; it is asked again later")]
    Busy {
        /// What was asked for.
        url: String,
        /// Its words.
        answer: String,
        /// How long it wants to be left alone.
        retry_after: Option<Duration>,
    },
    /// A transfer was cut, stalled, or had another length than announced.
    #[error("{url}: the transfer broke ({reason}); it is asked for again later")]
    Broken {
        /// What was asked for.
        url: String,
        /// How.
        reason: String,
    },
    /// The server answers, but not as its protocol wants, or with what Nilas does not take.
    #[error(
        "{url}: {reason}; look at the address with a browser, and correct the server in the configuration"
    )]
    Answer {
        /// What was asked for.
        url: String,
        /// What is wrong with the answer.
        reason: String,
    },
    /// More bytes than an input can have.
    #[error(
        "{url} is larger than {largest_bytes} bytes and was not fetched; if that is right, raise fetching.largest_file_megabytes"
    )]
    TooLarge {
        /// What was asked for.
        url: String,
        /// The limit.
        largest_bytes: u64,
    },
    /// More files than a folder of inputs can have.
    #[error(
        "{url} lists more than {most} files and was not looked through; name a folder with fewer of them in inputs.*.places, such as one for \
         each month by {{year}} and {{month}}"
    )]
    TooMany {
        /// The folder.
        url: String,
        /// The limit.
        most: usize,
    },
    /// All tries failed.
    #[error("{}{last}", effort(*tries, *seconds))]
    GaveUp {
        /// How many there were.
        tries: u32,
        /// How long they took together.
        seconds: u64,
        /// What ended the last one.
        last: Box<FetchError>,
    },
    /// The configuration of a server cannot be used.
    #[error("server {server}: {reason}")]
    Server {
        /// Its name.
        server: String,
        /// What is wrong, with the remedy.
        reason: String,
    },
    /// A file of this machine cannot be read or written.
    #[error("{path}: {source}; check that it exists, that Nilas may use it, and that there is space")]
    Local {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl FetchError {
    /// Whether the same request may succeed in a moment.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Busy { .. } | Self::Broken { .. })
    }

    /// Whether the server answered that there is no such file: neither its fault nor ours.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }
}

/// How hard it was tried, where that was more than once.
fn effort(tries: u32, seconds: u64) -> String {
    if tries == 1 { String::new() } else { format!("gave up after {tries} tries in {seconds} s: ") }
}
