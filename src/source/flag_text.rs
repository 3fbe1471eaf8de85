//! Descriptions of flags in free text, such as `0: nominal; bit 6 (100000): lake; bit 7 (1000000): land`.

use std::collections::BTreeMap;

/// The bits that a text describes: what each is worth, and its meaning in lower case.
///
/// An entry is the word `bit` and a number, counted from 1, so that bit n is worth 2^(n-1). A binary literal in parentheses behind
/// the number says the worth outright and is believed first. The meaning reaches to the next entry, semicolon or end of a line. What
/// is no entry is passed over.
#[must_use]
pub fn bits_in(text: &str) -> BTreeMap<u32, String> {
    let text = text.to_ascii_lowercase();
    text.split([';', '\n']).flat_map(entries).filter_map(bit).collect()
}

const BIT: &str = "bit";

/// What stands behind each word `bit` with a number, up to the next.
fn entries(text: &str) -> Vec<&str> {
    let is_entry = |at: usize| {
        !text[..at].ends_with(char::is_alphanumeric) && number_after(&text[at + BIT.len()..]).is_some()
    };
    let starts: Vec<usize> = text.match_indices(BIT).map(|(at, _)| at).filter(|at| is_entry(*at)).collect();
    let ends = starts.iter().copied().skip(1).chain([text.len()]);
    starts.iter().zip(ends).map(|(start, end)| &text[start + BIT.len()..end]).collect()
}

fn bit(entry: &str) -> Option<(u32, String)> {
    let (number, rest) = number_after(entry)?;
    let (worth, meaning) = match literal(rest) {
        Some((worth, meaning)) => (worth, meaning),
        None => (1_u32.checked_shl(number.checked_sub(1)?)?, rest),
    };
    let meaning = meaning.trim_matches(|sign: char| sign.is_whitespace() || ":=,.-".contains(sign));
    (!meaning.is_empty()).then(|| (worth, meaning.to_owned()))
}

/// A number right behind the word `bit`, and what follows it.
fn number_after(text: &str) -> Option<(u32, &str)> {
    let text = text.trim_start_matches([' ', '\t', '#', '_', '-']);
    let end = text.find(|sign: char| !sign.is_ascii_digit()).unwrap_or(text.len());
    let (number, rest) = text.split_at(end);
    Some((number.parse().ok()?, rest))
}

/// A binary literal of one bit in parentheses, and what follows it.
fn literal(text: &str) -> Option<(u32, &str)> {
    let (digits, rest) = text.trim_start().strip_prefix('(')?.split_once(')')?;
    let worth = u32::from_str_radix(digits.trim(), 2).ok()?;
    worth.is_power_of_two().then_some((worth, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bits(text: &str) -> Vec<(u32, String)> {
        bits_in(text).into_iter().collect()
    }

    fn one(worth: u32, meaning: &str) -> (u32, String) {
        (worth, meaning.to_owned())
    }

    #[test]
    fn the_text_of_the_products_is_read() {
        let text = "0: nominal; bit 2 (10): open water filter; bit 4 (1000): 37 GHz polarisation difference; \
                    bit 8 (10000000): near coast; bit 9 (100000000): missing value";
        let expected = [
            one(2, "open water filter"),
            one(8, "37 ghz polarisation difference"),
            one(128, "near coast"),
            one(256, "missing value"),
        ];
        assert_eq!(bits(text), expected);
    }

    #[test]
    fn separators_may_be_others() {
        let expected = [one(32, "lake"), one(64, "land")];
        for text in [
            "bit 6: lake; bit 7: land",
            "Bit 6 = Lake, bit 7 = land.",
            "bit6 (100000) lake\nbit7 (1000000) land",
            "0 nominal, bit 6 - lake bit 7 - land",
            "bit_6: lake;;; bit #7: land;",
        ] {
            assert_eq!(bits(text), expected, "{text}");
        }
    }

    #[test]
    fn a_literal_says_more_than_the_number_before_it() {
        assert_eq!(bits("bit 6 (1000000): land"), [one(64, "land")]);
        assert_eq!(bits("bit 7 (land or ice shelf)"), [one(64, "(land or ice shelf)")]);
        assert_eq!(bits("bit 2 (11): both"), [one(2, "(11): both")]);
    }

    #[test]
    fn what_is_no_entry_is_passed_over() {
        for text in [
            "",
            "0: nominal",
            "orbit 7: land",
            "bits and pieces",
            "bit 0: x",
            "bit 33: x",
            "bit 99999999999: x",
            "bit 7",
        ] {
            assert_eq!(bits(text), [], "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic_and_what_is_found_is_one_bit_with_a_meaning(
            text in prop_oneof![".*", "((bit|Bit|;|\\PC) ?[0-9]{0,3} ?(\\([01]{0,40}\\))?:? ?\\PC{0,8}){0,6}"]
        ) {
            for (worth, meaning) in bits_in(&text) {
                prop_assert!(worth.is_power_of_two() && !meaning.is_empty());
            }
        }
    }
}
