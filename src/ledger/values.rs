//! How days, times, paths and sentences stand in the ledger: as texts that sort, and that a person can read.

use std::borrow::Cow;
use std::path::Path;

use chrono::{DateTime, SecondsFormat, Utc};
use rusqlite::Row;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};

use crate::time::ProductDay;

/// A time in the ledger, to the millisecond.
#[derive(Debug, Clone, Copy)]
pub(super) struct UtcTime(pub(super) DateTime<Utc>);

impl ToSql for UtcTime {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.to_rfc3339_opts(SecondsFormat::Millis, true).into())
    }
}

impl FromSql for UtcTime {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_str()?.parse().map(Self).map_err(FromSqlError::other)
    }
}

impl ToSql for ProductDay {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.to_string().into())
    }
}

impl FromSql for ProductDay {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_str()?.parse().map_err(FromSqlError::other)
    }
}

/// The values of a row in the order of its columns. To look each up by its name is felt where somebody asks for twenty years.
pub(super) struct InOrder<'row> {
    row: &'row Row<'row>,
    column: usize,
}

impl<'row> InOrder<'row> {
    /// From the first column on.
    pub(super) fn of(row: &'row Row<'row>) -> Self {
        Self { row, column: 0 }
    }

    /// The next one.
    pub(super) fn next<T: FromSql>(&mut self) -> rusqlite::Result<T> {
        let value = self.row.get(self.column)?;
        self.column += 1;
        Ok(value)
    }
}

/// A path as a text.
///
/// # Errors
/// Where it is none in UTF-8: it could not be read again.
pub(super) fn path_text(path: &Path) -> rusqlite::Result<&str> {
    path.to_str().ok_or_else(|| rusqlite::Error::InvalidPath(path.to_owned()))
}

/// A sentence that comes from elsewhere is kept up to this length, characters: nobody reads on, and mails and pages would grow with it.
const LONGEST_SENTENCE: usize = 1000;

/// A sentence as it is kept: its beginning, with an ellipsis in the place of the last sign, where it is longer than that.
pub(super) fn sentence(text: &str) -> Cow<'_, str> {
    let mut signs = text.char_indices().skip(LONGEST_SENTENCE - 1);
    match (signs.next(), signs.next()) {
        (Some((last, _)), Some(_)) => Cow::Owned(format!("{}…", &text[..last])),
        _ => Cow::Borrowed(text),
    }
}

/// Lets an enumeration stand in the ledger, and in messages, by the names of its values.
macro_rules! named_value {
    ($kind:ident { $($value:ident => $name:literal),+ $(,)? }) => {
        impl $kind {
            /// All of them, in order.
            pub const ALL: &'static [Self] = &[$(Self::$value),+];

            /// Its name in the ledger and in messages.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$value => $name),+
                }
            }
        }

        impl rusqlite::types::ToSql for $kind {
            fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
                Ok(self.name().into())
            }
        }

        impl rusqlite::types::FromSql for $kind {
            fn column_result(value: rusqlite::types::ValueRef<'_>) -> rusqlite::types::FromSqlResult<Self> {
                match value.as_str()? {
                    $($name => Ok(Self::$value),)+
                    _ => Err(rusqlite::types::FromSqlError::InvalidType),
                }
            }
        }
    };
}
pub(super) use named_value;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_is_kept_whole_or_up_to_a_sign() {
        for whole in ["", "a file is late", &"ä".repeat(LONGEST_SENTENCE)] {
            assert_eq!(sentence(whole), whole);
        }
        let cut = sentence(&"ä".repeat(LONGEST_SENTENCE + 1)).into_owned();
        assert_eq!(cut, format!("{}…", "ä".repeat(LONGEST_SENTENCE - 1)));
    }
}
