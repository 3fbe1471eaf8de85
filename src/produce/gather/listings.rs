//! What servers have said and given: asked once for all days that are looked at together.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::config::Place;
use crate::fetch::{FetchError, Fetcher, Remote};
use crate::produce::AcceptedFile;

/// The files of a folder, or why they are not known.
pub(super) type Listing = Result<Arc<[Remote]>, Arc<FetchError>>;

/// Answers that are still good.
#[derive(Debug, Default)]
pub(super) struct Listings(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    folders: BTreeMap<Place, Listing>,
    /// Files that were fetched and accepted, by server and path.
    files: BTreeMap<(String, String), AcceptedFile>,
}

impl Listings {
    /// What lies in a folder: as it was listed before, else as its server says now.
    pub(super) async fn list(&self, fetcher: &Fetcher, place: &Place) -> Listing {
        if let Some(known) = self.known().folders.get(place) {
            return known.clone();
        }
        let listed = fetcher.list(&place.server, &place.folder).await;
        let listing = listed.map(Arc::from).map_err(Arc::new);
        self.known().folders.insert(place.clone(), listing.clone());
        listing
    }

    /// A file that was accepted before.
    pub(super) fn accepted(&self, server: &str, path: &str) -> Option<AcceptedFile> {
        self.known().files.get(&(server.to_owned(), path.to_owned())).cloned()
    }

    /// A file is accepted.
    pub(super) fn accept(&self, server: &str, path: &str, file: &AcceptedFile) {
        self.known().files.insert((server.to_owned(), path.to_owned()), file.clone());
    }

    /// Everything is asked for anew from now on.
    pub(super) fn forget(&self) {
        *self.known() = Known::default();
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
