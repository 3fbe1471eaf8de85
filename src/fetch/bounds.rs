//! How much is taken of what a server says, whatever it says.

/// So much of a server's words is repeated, characters. They come into logs, messages, the ledger and pages.
pub(super) const LONGEST_WORDS: usize = 200;

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
