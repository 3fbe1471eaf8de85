//! Foreign text made plain: what files and servers say is repeated in errors, logs and on terminals, where control characters end
//! lines and move the cursor, and format characters hide or turn around what is shown.

use std::ops::RangeInclusive;

/// As much of a foreign text is repeated, characters.
const LONGEST_EXCERPT: usize = 200;

/// Characters of Unicode's categories Cf (format), Zl and Zp (separators of lines and paragraphs), with what lies unassigned between
/// them: above all zero-width characters and those that change the direction of writing.
const FORMAT: [RangeInclusive<char>; 20] = [
    '\u{ad}'..='\u{ad}',
    '\u{600}'..='\u{605}',
    '\u{61c}'..='\u{61c}',
    '\u{6dd}'..='\u{6dd}',
    '\u{70f}'..='\u{70f}',
    '\u{890}'..='\u{891}',
    '\u{8e2}'..='\u{8e2}',
    '\u{180e}'..='\u{180e}',
    '\u{200b}'..='\u{200f}',
    '\u{2028}'..='\u{202e}',
    '\u{2060}'..='\u{206f}',
    '\u{feff}'..='\u{feff}',
    '\u{fff9}'..='\u{fffb}',
    '\u{110bd}'..='\u{110bd}',
    '\u{110cd}'..='\u{110cd}',
    '\u{13430}'..='\u{1343f}',
    '\u{1bca0}'..='\u{1bca3}',
    '\u{1d173}'..='\u{1d17a}',
    '\u{e0001}'..='\u{e0001}',
    '\u{e0020}'..='\u{e007f}',
];

/// Whether a character stands for itself, and does nothing to what is around it.
#[must_use]
pub fn is_plain(character: char) -> bool {
    character.is_ascii_graphic()
        || !character.is_control() && !FORMAT.iter().any(|range| range.contains(&character))
}

/// A text in one line, with a space for every character that is not plain.
#[must_use]
pub fn plain_text(text: &str) -> String {
    text.chars().map(plain).collect()
}

/// The same for text of several lines, which stay.
#[must_use]
pub fn plain_lines(text: &str) -> String {
    text.chars().map(|character| if character == '\n' { '\n' } else { plain(character) }).collect()
}

/// A plain text of at most 200 characters: of a longer one its beginning, and a sign that more was said.
#[must_use]
pub fn excerpt(text: &str) -> String {
    if text.chars().nth(LONGEST_EXCERPT).is_none() {
        return plain_text(text);
    }
    text.chars().take(LONGEST_EXCERPT - 1).map(plain).chain(['…']).collect()
}

fn plain(character: char) -> char {
    if is_plain(character) { character } else { ' ' }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_moves_hides_or_turns_around_becomes_a_space() {
        let evil = "a\u{1b}[2Jb\r\nc\td\u{202e}e\u{200b}f\u{2066}g\u{feff}h\u{2028}i\u{9b}j\u{e0041}k\u{ad}l";
        assert_eq!(plain_text(evil), "a [2Jb  c d e f g h i j k l");
        assert_eq!(plain_lines(evil), "a [2Jb \nc d e f g h i j k l");
        let good = "Søre Sunnmøre, 北極, \"+proj=stere\", 3 °C — «is» \u{301}";
        assert_eq!(plain_text(good), good);
    }

    #[test]
    fn of_a_long_text_the_beginning_is_repeated() {
        assert_eq!(excerpt("50 %"), "50 %");
        let fits = "å".repeat(LONGEST_EXCERPT);
        assert_eq!(excerpt(&fits), fits);
        let cut = excerpt(&"\u{1}å".repeat(100_000));
        assert!(cut.starts_with(" å å") && cut.ends_with(" …"), "{cut}");
        assert_eq!(cut.chars().count(), LONGEST_EXCERPT);
    }

    proptest! {
        #[test]
        fn whatever_was_said_is_plain_and_short_afterwards(said in prop::collection::vec(any::<char>(), 0..300)) {
            let said = String::from_iter(said);
            prop_assert!(plain_text(&said).chars().all(is_plain));
            prop_assert_eq!(plain_lines(&said).matches('\n').count(), said.matches('\n').count());
            let excerpt = excerpt(&said);
            prop_assert!(excerpt.chars().all(is_plain) && excerpt.chars().count() <= LONGEST_EXCERPT);
        }
    }
}
