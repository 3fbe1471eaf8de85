//! How much is taken of what a server says, whatever it says.

use super::FetchError;

/// A folder lists at most so many files. Those of providers get some hundreds in a month; what is a hundred times that is a fault, or
/// made to fill our memory.
pub(super) const MOST_FILES: usize = 20_000;

/// A listing, or a page of one, is at most so large, bytes. The catalog of a month has less than 100 kB, that of so many files some MB.
pub(super) const LARGEST_LISTING: usize = 8 << 20;

/// So much of a server's words is repeated, characters. They come into logs, messages, the ledger and pages.
pub(super) const LONGEST_WORDS: usize = 200;

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

/// The beginning of a server's words, with an ellipsis where they go on.
pub(super) fn excerpt(words: impl IntoIterator<Item = char>) -> String {
    let mut words = words.into_iter();
    let mut excerpt: String = words.by_ref().take(LONGEST_WORDS).collect();
    if words.next().is_some() {
        excerpt.pop();
        excerpt.push('…');
    }
    excerpt
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_long_words_the_beginning_is_repeated() {
        assert_eq!(excerpt("".chars()), "");
        let longest = "ä".repeat(LONGEST_WORDS);
        assert_eq!(excerpt(longest.chars()), longest);
        let cut = excerpt("ä".repeat(LONGEST_WORDS + 1).chars());
        assert_eq!(cut, format!("{}…", "ä".repeat(LONGEST_WORDS - 1)));
    }
}
