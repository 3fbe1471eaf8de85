//! Carries what is published to other places: folders, stores, and services that are told. Each place gets everything that stands in
//! the product root; what it has already stands in the ledger, so that a place that is down for days misses nothing.
//!
//! What was taken back is told first. Then go revisions, the newest before the others, then the files of the root that lead to them,
//! `latest.json` last: readers of a place find whole products only. Services are told of a revision when every other place has it.

mod folder;
mod service;
mod store;

use std::collections::BTreeMap;
use std::env;
use std::fs::{self, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use tempfile::{NamedTempFile, TempDir};
use tokio::time;

use crate::config::{Config, Target, TargetKind};
use crate::ledger::{CarriedRoot, Ledger, LedgerError, ProductRow, Withdrawal};
use crate::publish::{self, FileRecord, ManifestError, Status, WithdrawalNote};
use crate::sys;
use crate::time::{Clock, ProductDay};

use folder::Folder;
use service::Service;
use store::Store;

/// What a file may take on its way to a place: the largest, of 64 MB, needs nine minutes on a line of 1 Mbit/s. Without an end, a mount
/// whose server is gone would keep from every other target what is new.
const LONGEST_PUT: Duration = Duration::from_mins(30);

/// What is published is for all to read.
const READABLE: u32 = 0o644;

/// Why something could not be carried. It is tried again.
#[derive(Debug, thiserror::Error)]
pub enum DeliverError {
    /// A target cannot be set up as it is configured.
    #[error("targets.{target}: {reason}")]
    Settings {
        /// The target.
        target: String,
        /// What is wrong, and what helps.
        reason: String,
    },
    /// A file of the product root cannot be read, or one of a folder not be written.
    #[error("{path}: {source}; see that it is there, may be read or written, and that there is space")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A place or a service does not take it.
    #[error("{place}: {reason}")]
    Refused {
        /// The address, without what is secret.
        place: String,
        /// What it says, and what helps.
        reason: String,
    },
    /// A revision is not what was published.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A file of a revision cannot be read.
    #[error(
        "{path} of revision {revision} of {day} cannot be read ({source}), and the revision is not passed on; see that it is there, look at the disk, \
         take the revision back (`nilas withdraw {day} --revision {revision} --reason TEXT`) and make the day again (`nilas backfill {day} --again`)"
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Its day.
        day: ProductDay,
        /// Its revision.
        revision: u32,
        /// What the system said.
        source: io::Error,
    },
    /// A file of a revision is not the one that was published.
    #[error(
        "{path} is not what was published (its SHA-256 is not that of the manifest), and is not passed on; see what `nilas verify {}` says, look at \
         the disk, take the revision back (`nilas withdraw {day} --revision {revision} --reason TEXT`) and make the day again \
         (`nilas backfill {day} --again`)",
        path.parent().unwrap_or(path).display()
    )]
    Changed {
        /// The file.
        path: PathBuf,
        /// Its day.
        day: ProductDay,
        /// Its revision.
        revision: u32,
    },
    /// The ledger cannot be used.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl DeliverError {
    /// Whether it is a revision here that has the fault, so that everything else can be carried all the same.
    #[must_use]
    pub fn is_of_a_revision(&self) -> bool {
        matches!(self, Self::Manifest(_) | Self::Unreadable { .. } | Self::Changed { .. })
    }
}

/// A place for files.
#[async_trait]
pub trait Place: Send + Sync {
    /// Its address or path, without what is secret.
    fn address(&self) -> String;

    /// Puts a file under a path below the place, with slashes; one that is there is replaced as a whole.
    ///
    /// # Errors
    /// [`DeliverError`]; what was there before stays.
    async fn put(&self, path: &str, file: &Path) -> Result<(), DeliverError>;

    /// Removes what is under a path below the place, where there is something.
    ///
    /// # Errors
    /// [`DeliverError`]; what was there may still be there.
    async fn remove(&self, path: &str) -> Result<(), DeliverError>;

    /// Whether it could be written to now.
    ///
    /// # Errors
    /// [`DeliverError`] where it could not.
    async fn probe(&self) -> Result<(), DeliverError>;
}

/// Where things go.
enum Receiver {
    Place(Box<dyn Place>),
    Service(Service),
}

impl Receiver {
    /// What the ledger knows it by. A place somewhere else is another one, and has nothing; where a service is told is its own affair.
    fn key(&self, name: &str) -> String {
        match self {
            Self::Place(place) => format!("{name} {}", place.address().trim_end_matches('/')),
            Self::Service(_) => name.to_owned(),
        }
    }
}

/// Everything that is configured.
pub struct Carrier {
    receivers: BTreeMap<String, Receiver>,
}

/// How carrying to one target ended.
#[derive(Debug)]
pub struct Carried {
    /// The target.
    pub target: String,
    /// How many revisions it got.
    pub revisions: usize,
    /// What ended it early, and how many revisions wait.
    pub failure: Option<(DeliverError, usize)>,
}

impl Carrier {
    /// Prepares for the targets of a configuration; nothing is connected yet.
    ///
    /// # Errors
    /// [`DeliverError::Settings`].
    pub fn new(config: &Config) -> Result<Self, DeliverError> {
        let receiver = |(name, target): (&String, &Target)| {
            let refuse = |reason: String| DeliverError::Settings { target: name.clone(), reason };
            let receiver = match target.kind {
                TargetKind::Folder => Receiver::Place(Box::new(Folder::new(target))),
                TargetKind::S3 => Receiver::Place(Box::new(Store::new(target).map_err(refuse)?)),
                TargetKind::Webhook => Receiver::Service(Service::new(target).map_err(refuse)?),
            };
            Ok::<_, DeliverError>((name.clone(), receiver))
        };
        Ok(Self { receivers: config.targets.iter().map(receiver).collect::<Result<_, _>>()? })
    }

    /// The targets by name.
    pub fn targets(&self) -> impl Iterator<Item = &str> {
        self.receivers.keys().map(String::as_str)
    }

    /// Asks a target whether it could take something now; a service is not asked, since it would believe it.
    ///
    /// # Errors
    /// [`DeliverError`] where it could not.
    pub async fn probe(&self, target: &str) -> Result<(), DeliverError> {
        match self.receivers.get(target) {
            Some(Receiver::Place(place)) => place.probe().await,
            _ => Ok(()),
        }
    }

    /// Carries to the targets that are `wanted` what they do not have: to places first, then services.
    ///
    /// # Errors
    /// [`DeliverError::Ledger`]; everything else is in what comes back.
    pub async fn carry(
        &self,
        ledger: &Ledger,
        root: &Path,
        clock: &dyn Clock,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<Vec<Carried>, DeliverError> {
        let (places, services): (Vec<_>, Vec<_>) = self
            .receivers
            .iter()
            .filter(|(name, _)| wanted(name))
            .partition(|(_, receiver)| matches!(receiver, Receiver::Place(_)));
        let mut carried = Vec::new();
        for (name, receiver) in places.into_iter().chain(services) {
            let key = receiver.key(name);
            let trip = Trip { carrier: self, ledger, root, clock, target: name, key };
            let mut revisions = 0;
            let failure = match trip.go(receiver, &mut revisions).await {
                Ok(()) => None,
                Err(error @ DeliverError::Ledger(_)) => return Err(error),
                Err(error) => Some((error, ledger.undelivered(&receiver.key(name))?.len())),
            };
            carried.push(Carried { target: name.clone(), revisions, failure });
        }
        Ok(carried)
    }

    /// Whether every place has a revision, so that it can be told where it lies.
    fn is_everywhere(
        &self,
        ledger: &Ledger,
        (day, revision): (ProductDay, u32),
    ) -> Result<bool, DeliverError> {
        for (name, receiver) in &self.receivers {
            if matches!(receiver, Receiver::Place(_))
                && !ledger.is_delivered(&receiver.key(name), day, revision)?
            {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// One way to one target.
struct Trip<'a> {
    carrier: &'a Carrier,
    ledger: &'a Ledger,
    root: &'a Path,
    clock: &'a dyn Clock,
    target: &'a str,
    /// What the ledger knows it by.
    key: String,
}

impl Trip<'_> {
    async fn go(&self, receiver: &Receiver, revisions: &mut usize) -> Result<(), DeliverError> {
        match receiver {
            Receiver::Place(place) => {
                let fault = self.carry_revisions(&**place, revisions).await?;
                self.carry_root(&**place).await?;
                fault.map_or(Ok(()), Err)
            }
            Receiver::Service(service) => {
                let withdrawn = self.tell_withdrawals(service).await;
                for product in self.ledger.undelivered(&self.key)? {
                    let number = (product.day, product.revision);
                    if self.carrier.is_everywhere(self.ledger, number)? {
                        service.tell("published", number, status(&product), &folder_of(&product)).await?;
                        self.ledger.delivered(&self.key, number, self.clock.now())?;
                        *revisions += 1;
                    }
                }
                withdrawn
            }
        }
    }

    /// All revisions that a place does not have. One with a fault of its own keeps no other back; the first such fault comes back.
    async fn carry_revisions(
        &self,
        place: &dyn Place,
        revisions: &mut usize,
    ) -> Result<Option<DeliverError>, DeliverError> {
        let mut fault = None;
        self.put_notes(place).await?;
        for product in self.ledger.undelivered(&self.key)? {
            match self.carry(place, &product).await {
                Ok(()) => *revisions += 1,
                Err(error) if error.is_of_a_revision() => {
                    fault.get_or_insert(error);
                }
                Err(error) => return Err(error),
            }
            self.put_notes(place).await?;
        }
        Ok(fault)
    }

    /// The notes of what was taken back. It does harm for as long as nobody says so, and a first carrying takes hours.
    async fn put_notes(&self, place: &dyn Place) -> Result<(), DeliverError> {
        for product in self.ledger.untold_withdrawals(&self.key)? {
            self.put_note(place, &product).await?;
            self.told(&product)?;
        }
        Ok(())
    }

    /// Tells a service of what was taken back. One that it does not take keeps no other back.
    async fn tell_withdrawals(&self, service: &Service) -> Result<(), DeliverError> {
        let mut all = Ok(());
        for product in self.ledger.untold_withdrawals(&self.key)? {
            let number = (product.day, product.revision);
            match service.tell("withdrawn", number, status(&product), &folder_of(&product)).await {
                Ok(()) => self.told(&product)?,
                Err(error) => all = all.and(Err(error)),
            }
        }
        all
    }

    /// A revision, if all of it is as it was published: its files, then the manifest.
    async fn carry(&self, place: &dyn Place, product: &ProductRow) -> Result<(), DeliverError> {
        let manifest = publish::read_manifest(&self.root.join(folder_of(product)))?;
        for file in &manifest.files {
            self.compare(product, file).await?;
        }
        for file in &manifest.files {
            self.put(place, product, &file.name).await?;
        }
        self.put(place, product, publish::MANIFEST).await?;
        let number = (product.day, product.revision);
        self.ledger.delivered(&self.key, number, self.clock.now())?;
        tracing::info!(target = self.target, day = %product.day, revision = product.revision, "carried");
        Ok(())
    }

    async fn put(&self, place: &dyn Place, product: &ProductRow, name: &str) -> Result<(), DeliverError> {
        let path = format!("{}/{name}", folder_of(product));
        put(place, &path, &self.root.join(&path)).await
    }

    /// The note of a revision that was taken back, as the ledger has it: the revision's own folder may have been cleared away.
    async fn put_note(&self, place: &dyn Place, product: &ProductRow) -> Result<(), DeliverError> {
        let Some(Withdrawal { at, reason }) = &product.withdrawal else { return Ok(()) };
        let note = WithdrawalNote { withdrawn_at: *at, reason: reason.clone() };
        let failed = |source| DeliverError::File { path: env::temp_dir(), source };
        let mut file = NamedTempFile::new().map_err(failed)?;
        file.write_all(&note.to_json().map_err(failed)?).map_err(failed)?;
        file.as_file().set_permissions(Permissions::from_mode(READABLE)).map_err(failed)?;
        put(place, &format!("{}/{}", folder_of(product), publish::WITHDRAWN), file.path()).await
    }

    /// Holds a file against its record in the manifest: what has gone bad on the disk must not go bad elsewhere, too.
    async fn compare(&self, product: &ProductRow, file: &FileRecord) -> Result<(), DeliverError> {
        let path = self.root.join(folder_of(product)).join(&file.name);
        let read = path.clone();
        let found = tokio::task::spawn_blocking(move || sys::sha256_of_file(&read)).await;
        match found.unwrap_or_else(|error| Err(io::Error::other(error))) {
            Ok(found) if found == file.sha256 => Ok(()),
            Ok(_) => Err(DeliverError::Changed { path, day: product.day, revision: product.revision }),
            Err(source) => {
                Err(DeliverError::Unreadable { path, day: product.day, revision: product.revision, source })
            }
        }
    }

    /// The files of the root that lead to revisions, where the target does not have them as they are. Those that are not there any more,
    /// because what they led to was taken back, go there, too. Nothing goes while the target lacks what `latest.json` names: it gets both
    /// later.
    async fn carry_root(&self, place: &dyn Place) -> Result<(), DeliverError> {
        let failed = |source| DeliverError::File { path: self.root.to_owned(), source };
        let files = publish::root_files(self.root).map_err(failed)?;
        let (now, before) = (digest(self.root, &files)?, self.ledger.delivered_root(&self.key)?);
        if before.as_ref().is_some_and(|before| before.digest == now) {
            return Ok(());
        }
        // An empty folder, such as that of a disk which is not mounted, says nothing of what readers are to be led to.
        let leads = self.root.join(publish::LATEST);
        if self.ledger.newest_product()?.is_some() && !leads.is_file() {
            return Err(DeliverError::File { path: leads, source: io::ErrorKind::NotFound.into() });
        }
        // What is looked at has to be what is sent, and a publication may replace it at any time.
        let copy = TempDir::new().map_err(|source| DeliverError::File { path: env::temp_dir(), source })?;
        self.copy_root(&files, copy.path())?;
        if !self.has_what_is_named(copy.path())? {
            return Ok(());
        }
        let gone = before.map(|before| before.files).unwrap_or_default();
        for path in gone.iter().rev().filter(|path| !files.contains(path)) {
            in_time(place, path, place.remove(path)).await?;
        }
        for path in &files {
            put(place, path, &copy.path().join(path)).await?;
        }
        let root = CarriedRoot { digest: digest(copy.path(), &files)?, files };
        Ok(self.ledger.set_delivered_root(&self.key, &root, self.clock.now())?)
    }

    fn copy_root(&self, files: &[String], copy: &Path) -> Result<(), DeliverError> {
        for path in files {
            let (from, to) = (self.root.join(path), copy.join(path));
            let folder = fs::create_dir_all(to.parent().unwrap_or(copy));
            let copied = folder.and_then(|()| fs::copy(&from, &to));
            copied.map_err(|source| DeliverError::File { path: from, source })?;
        }
        Ok(())
    }

    /// Whether the target has the revisions that a copy of `latest.json` names.
    fn has_what_is_named(&self, copy: &Path) -> Result<bool, DeliverError> {
        let path = self.root.join(publish::LATEST);
        let unusable = |error| DeliverError::File { path, source: io::Error::other(error) };
        let named = publish::read_latest(copy).map_err(unusable)?;
        for pointer in named.iter().flat_map(|latest| [Some(&latest.newest), latest.newest_final.as_ref()]) {
            let Some(pointer) = pointer else { continue };
            if !self.ledger.is_delivered(&self.key, pointer.day, pointer.revision)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn told(&self, product: &ProductRow) -> Result<(), DeliverError> {
        Ok(self.ledger.told_withdrawn(&self.key, (product.day, product.revision), self.clock.now())?)
    }
}

/// A digest of files below a folder, names included.
fn digest(folder: &Path, files: &[String]) -> Result<String, DeliverError> {
    let lines = files.iter().map(|path| {
        let file = folder.join(path);
        let digest =
            sys::sha256_of_file(&file).map_err(|source| DeliverError::File { path: file, source })?;
        Ok(format!("{path} {digest}\n"))
    });
    Ok(sys::sha256(lines.collect::<Result<String, DeliverError>>()?))
}

/// The folder of a revision below the product root, with slashes.
fn folder_of(product: &ProductRow) -> String {
    publish::revision_folder(Path::new(""), product.day, product.revision).to_string_lossy().into_owned()
}

/// Puts a file under a path below a place.
async fn put(place: &dyn Place, path: &str, file: &Path) -> Result<(), DeliverError> {
    in_time(place, path, place.put(path, file)).await
}

/// Waits for what a place does with a path, which may not take for ever.
async fn in_time(
    place: &dyn Place,
    path: &str,
    work: impl Future<Output = Result<(), DeliverError>>,
) -> Result<(), DeliverError> {
    time::timeout(LONGEST_PUT, work).await.unwrap_or_else(|_| {
        let minutes = LONGEST_PUT.as_secs() / 60;
        let reason = format!("did not take {path} within {minutes} min; see to the mount or the network");
        Err(DeliverError::Refused { place: place.address(), reason })
    })
}

fn status(product: &ProductRow) -> Status {
    if product.is_final { Status::Final } else { Status::Provisional }
}

/// What a file is, by the ending of its name.
fn media_type(path: &str) -> &'static str {
    match path.rsplit('.').next().unwrap_or_default() {
        "nc" => "application/netcdf",
        "tif" => "image/tiff; application=geotiff; profile=cloud-optimized",
        "json" => "application/json",
        "csv" => "text/csv; charset=utf-8",
        "qml" => "text/xml; charset=utf-8",
        "png" => "image/png",
        "webp" => "image/webp",
        "html" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

/// The bytes of a file that is small.
fn read(file: &Path) -> Result<Vec<u8>, DeliverError> {
    fs::read(file).map_err(|source| DeliverError::File { path: file.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::SystemClock;

    /// A folder whose server may be gone.
    struct Mount {
        hangs: bool,
    }

    #[async_trait]
    impl Place for Mount {
        fn address(&self) -> String {
            "/mnt/ice".to_owned()
        }

        async fn put(&self, _path: &str, _file: &Path) -> Result<(), DeliverError> {
            if self.hangs { std::future::pending().await } else { Ok(()) }
        }

        async fn remove(&self, _path: &str) -> Result<(), DeliverError> {
            Ok(())
        }

        async fn probe(&self) -> Result<(), DeliverError> {
            Ok(())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_that_hangs_is_left_and_holds_nobody_up() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&folder.path().join("ledger.sqlite")).unwrap();
        fs::write(folder.path().join("catalog.json"), "{}").unwrap();
        let receiver =
            |(name, hangs): (&str, bool)| (name.to_owned(), Receiver::Place(Box::new(Mount { hangs })));
        let carrier = Carrier { receivers: [("gone", true), ("mirror", false)].map(receiver).into() };
        let clock = SystemClock::new();
        let carrying = carrier.carry(&ledger, folder.path(), &clock, |_| true);
        let carried = time::timeout(Duration::from_hours(24), carrying).await.unwrap().unwrap();
        let (error, _) = carried[0].failure.as_ref().unwrap();
        let words = "/mnt/ice: did not take catalog.json within 30 min; see to the mount";
        assert!(error.to_string().contains(words), "{error}");
        assert!(carried[1].failure.is_none(), "{carried:?}");
        assert!(ledger.delivered_root("gone /mnt/ice").unwrap().is_none());
        assert!(ledger.delivered_root("mirror /mnt/ice").unwrap().is_some());
    }
}
