//! How much of a listing is taken, whatever a server lists.

use super::FetchError;

/// A folder lists at most so many files. Those of providers get some hundreds in a month; what is a hundred times that is a fault, or
/// made to fill our memory.
pub(super) const MOST_FILES: usize = 20_000;

/// A listing, or a page of one, is at most so large, bytes. The catalog of a month has less than 100 kB, that of so many files some MB.
pub(super) const LARGEST_LISTING: usize = 8 << 20;

/// Refuses the listing of a place when it has more files than that.
pub(super) fn refuse_if_too_many(files: usize, url: &str) -> Result<(), FetchError> {
    if files > MOST_FILES {
        return Err(FetchError::TooMany { url: url.to_owned(), most: MOST_FILES });
    }
    Ok(())
}

/// Refuses the listing of a place when it is larger than any.
pub(super) fn refuse_if_too_large(listing_bytes: usize, url: &str) -> Result<(), FetchError> {
    if listing_bytes > LARGEST_LISTING {
        let reason = format!("the listing is larger than {LARGEST_LISTING} bytes");
        return Err(FetchError::Answer { url: url.to_owned(), reason });
    }
    Ok(())
}
