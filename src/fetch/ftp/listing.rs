//! The lines of a folder's listing: the machines' form of RFC 3659, or what people see.

use suppaftp::list::ListParser;

use crate::fetch::is_plain_name;
use crate::text::excerpt;

/// An entry of a folder that may be a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its name.
    pub(super) name: String,
    /// What it is.
    pub(super) kind: Kind,
}

/// What an entry is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A file, of so many bytes where the listing says so.
    File(Option<u64>),
    /// A link, or something else that only the server's answer about it can settle.
    Link,
}

/// The forms in which a folder is listed.
#[derive(Clone, Copy)]
pub(super) enum Form {
    /// That of RFC 3659, where the server has it.
    Machines,
    /// That of `ls`, or of DOS: written down nowhere.
    People,
}

/// A line that is not in the form it should have.
struct Unreadable;

impl Form {
    /// The command that asks for it.
    pub(super) fn command(self) -> &'static str {
        match self {
            Self::Machines => "MLSD",
            Self::People => "LIST",
        }
    }

    /// The files and links of a listing. A line that cannot be read is passed over, for it may be of a device or of a name in
    /// another alphabet; where no line can be read, the form is another one, which is an error.
    pub(super) fn read(self, listing: &[u8]) -> Result<Vec<Entry>, String> {
        let (mut entries, mut has_readable, mut unreadable) = (Vec::new(), false, None);
        for line in listing.split(|byte| matches!(byte, b'\r' | b'\n')).filter(|line| !line.is_empty()) {
            match self.read_line(line) {
                Ok(entry) => {
                    has_readable = true;
                    entries.extend(entry);
                }
                Err(Unreadable) => unreadable = unreadable.or(Some(line)),
            }
        }
        match unreadable.map(|line| excerpt(&String::from_utf8_lossy(line))) {
            Some(line) if !has_readable => {
                Err(format!("the listing is in no form that is known; it holds \"{line}\""))
            }
            Some(line) => {
                tracing::debug!(line, "lines of a listing are passed over, such as this");
                Ok(entries)
            }
            None => Ok(entries),
        }
    }

    fn read_line(self, line: &[u8]) -> Result<Option<Entry>, Unreadable> {
        let line = str::from_utf8(line).map_err(|_| Unreadable)?;
        match self {
            Self::Machines => machine_line(line),
            Self::People => human_line(line),
        }
    }
}

/// Reads a line of `MLSD`; `None` for a folder.
fn machine_line(line: &str) -> Result<Option<Entry>, Unreadable> {
    // A value has no semicolon, so the first one before a space ends the facts. All else is the name, whatever it holds.
    let (facts, name) =
        line.strip_prefix(' ').map(|name| ("", name)).or_else(|| line.split_once("; ")).ok_or(Unreadable)?;
    let fact = |wanted: &str| {
        let mut facts = facts.split(';').filter_map(|fact| fact.split_once('='));
        facts.find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.to_ascii_lowercase())
    };
    let kind = match fact("type").as_deref() {
        Some("dir" | "cdir" | "pdir") => return Ok(None),
        Some("file") => Kind::File(fact("size").and_then(|size| size.parse().ok())),
        _ => Kind::Link,
    };
    Ok(entry(name, kind))
}

/// Reads a line of `LIST`; `None` for a folder, and for the line that only counts blocks.
fn human_line(line: &str) -> Result<Option<Entry>, Unreadable> {
    if line
        .strip_prefix("total ")
        .is_some_and(|count| count.trim().bytes().all(|digit| digit.is_ascii_digit()))
    {
        return Ok(None);
    }
    let parsed =
        ListParser::parse_posix(line).or_else(|_| ListParser::parse_dos(line)).map_err(|_| Unreadable)?;
    if parsed.is_directory() {
        return Ok(None);
    }
    let kind = if parsed.is_symlink() { Kind::Link } else { Kind::File(u64::try_from(parsed.size()).ok()) };
    Ok(entry(parsed.name(), kind))
}

fn entry(name: &str, kind: Kind) -> Option<Entry> {
    is_plain_name(name).then(|| Entry { name: name.to_owned(), kind })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_another_kind_are_passed_over_but_a_form_that_is_not_known_is_an_error() {
        let listing = b"total 8\r\n-rw-r--r-- 1 ftp ftp 1 Feb 28 12:00 a.nc\r\n-rw-r--r-- 1 ftp ftp 1 Feb 28 12:00 \xfc.nc\r\n";
        let names: Vec<_> =
            Form::People.read(listing).ok().unwrap().into_iter().map(|entry| entry.name).collect();
        assert_eq!(names, ["a.nc"]);
        assert_eq!(Form::Machines.read(b""), Ok(Vec::new()));
        let refused = Form::Machines.read(b"<html>\n<body>\n").unwrap_err();
        assert!(refused.ends_with("it holds \"<html>\""), "{refused}");
    }

    #[test]
    fn of_a_line_without_end_the_beginning_is_told() {
        let refused = Form::Machines.read(&vec![b'x'; 1 << 20]).unwrap_err();
        assert!(refused.chars().count() < 300 && refused.ends_with("x…\""), "{refused}");
    }

    /// What a line is read as: name and size, `link`, `folder`, or `unreadable`.
    fn read(reader: fn(&str) -> Result<Option<Entry>, Unreadable>, line: &str) -> String {
        match reader(line) {
            Ok(Some(Entry { name, kind: Kind::File(size) })) => format!("{name} {size:?}"),
            Ok(Some(Entry { name, kind: Kind::Link })) => format!("{name} link"),
            Ok(None) => "nothing".to_owned(),
            Err(Unreadable) => "unreadable".to_owned(),
        }
    }

    #[test]
    fn lines_for_machines_are_read() {
        let cases = [
            (
                "Type=file;Size=1048;Modify=20260228120000; W_XX-ESA,SMOS_CS2,NH.nc",
                "W_XX-ESA,SMOS_CS2,NH.nc Some(1048)",
            ),
            ("type=file;size=0; a; b = 100%.nc", "a; b = 100%.nc Some(0)"),
            ("type=file;unix.mode=0644; no size", "no size None"),
            ("type=file;size=-1; odd", "odd None"),
            ("type=OS.unix=slink:../2026;size=4; LATEST", "LATEST link"),
            (" no facts", "no facts link"),
            ("type=dir;sizd=4096; 2026", "nothing"),
            ("type=cdir;modify=20260228120000; .", "nothing"),
            ("type=file;size=1; ../astray", "nothing"),
            ("type=file;size=1; ", "nothing"),
            ("<html>", "unreadable"),
        ];
        for (line, expected) in cases {
            assert_eq!(read(machine_line, line), expected, "{line}");
        }
    }

    #[test]
    fn lines_for_people_are_read() {
        let cases = [
            (
                "-rw-r--r--   1 ftp ftp  1048 Feb 28 12:00 W_XX-ESA,SMOS NH.nc",
                "W_XX-ESA,SMOS NH.nc Some(1048)",
            ),
            ("-rw-r--r--   1 ftp ftp  1048 Feb 29  2024 leap.nc", "leap.nc Some(1048)"),
            ("lrwxrwxrwx   1 ftp ftp     9 Feb 28 12:00 now.nc -> 2026/a.nc", "now.nc link"),
            ("drwxr-xr-x   2 ftp ftp  4096 Feb 28 12:00 2026", "nothing"),
            ("02-28-26  12:00PM       1048 dos.nc", "dos.nc Some(1048)"),
            ("02-28-26  12:00PM       <DIR>          2026", "nothing"),
            ("total 12", "nothing"),
            ("230 welcome", "unreadable"),
        ];
        for (line, expected) in cases {
            assert_eq!(read(human_line, line), expected, "{line}");
        }
    }
}
