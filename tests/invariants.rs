//! What `docs/architecture.md` says of the source and no compiler checks. Each rule is a function from a source text to
//! complaints, so that the rules themselves are tested, too: on texts that break them.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at once")]

#[path = "common/rust_text.rs"]
mod rust_text;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use rust_text::{Part, Token, UsedPath, classify, paths, tokens, without_tests};

/// The rooms from top to bottom; a room may use those on lower levels only.
const LEVELS: [&[&str]; 15] = [
    &["bin"],
    &["cli"],
    &["daemon"],
    &["produce", "evaluate", "synth", "train", "deliver"],
    &["publish", "quality", "notify", "drawing"],
    &["ensemble"],
    &["source", "archive", "model", "prepare", "plot", "ledger"],
    &["fetch", "score"],
    &["field"],
    &["grid"],
    &["config"],
    &["progress"],
    &["time"],
    &["text"],
    &["sys"],
];

/// Foreign crates, and the rooms that may name them.
const CRATES: [(&[&str], &[&str]); 6] = [
    (&["netcdf"], &["source", "publish", "archive", "sys"]),
    (&["gdal"], &["publish", "sys"]),
    (&["netcdf_sys", "hdf5_metno_sys", "gdal_sys", "libloading"], &["sys"]),
    (&["tch"], &["model", "ensemble", "train", "sys"]),
    (&["torch_sys"], &["sys"]),
    (&["rusqlite"], &["ledger"]),
];

/// Readers of the machine's clocks.
const CLOCKS: [&[&str]; 4] =
    [&["Instant", "now"], &["SystemTime", "now"], &["Utc", "now"], &["Local", "now"]];

/// Who opens files that come from outside.
const FOREIGN_READERS: [&[&str]; 5] = [
    &["source", "decode"],
    &["source", "measure"],
    &["osisaf_concentration", "read"],
    &["osisaf_drift", "read"],
    &["merged_thickness", "read"],
];

/// Random numbers without a seed that a product could carry.
const SEEDLESS: [&[&str]; 7] = [
    &["thread_rng"],
    &["ThreadRng"],
    &["OsRng"],
    &["from_entropy"],
    &["from_os_rng"],
    &["rand", "rng"],
    &["rand", "random"],
];

/// Rooms and files that compute only.
const PURE: [&str; 5] = ["prepare", "ensemble", "score", "model", "src/daemon/planner.rs"];
/// Files in them that do not.
const IMPURE: [&str; 2] = ["src/model/checkpoint.rs", "src/model/device.rs"];

/// A line of code is at most this long.
const LONGEST_LINE: usize = 140;

/// A file of `src` as the rules see it: its code without tests.
struct Source {
    path: String,
    text: String,
    tokens: Vec<Token>,
    paths: Vec<UsedPath>,
    /// The files or folders of its modules that are tests.
    test_modules: Vec<String>,
}

impl Source {
    fn new(path: &str, text: &str) -> Self {
        let (tokens, names) = without_tests(&tokens(text));
        let folder = path.trim_end_matches("mod.rs").trim_end_matches("lib.rs").trim_end_matches(".rs");
        let folder = folder.trim_end_matches('/');
        let test_modules = names.iter().map(|name| format!("{folder}/{name}")).collect();
        Self { path: path.to_owned(), text: text.to_owned(), paths: paths(&tokens), tokens, test_modules }
    }

    /// The room that the file stands in; none for the list of rooms.
    fn room(&self) -> Option<&str> {
        let inside = self.path.strip_prefix("src/")?;
        let room = inside.split('/').next()?.trim_end_matches(".rs");
        (room != "lib").then_some(room)
    }

    /// How many modules deep the file's code is; 1 for a room's own file.
    fn depth(&self) -> usize {
        let inside = self.path.trim_start_matches("src/").trim_end_matches(".rs").trim_end_matches("/mod");
        inside.split('/').count()
    }

    fn is_in(&self, places: &[&str]) -> bool {
        places.iter().any(|&place| self.room() == Some(place) || self.path == place)
    }

    fn complaint(&self, line: usize, what: &str) -> String {
        format!("{}:{line}: {what}", self.path)
    }

    fn complaints(&self, wrong: impl Fn(&UsedPath) -> Option<String>) -> Vec<String> {
        self.paths.iter().filter_map(|path| Some(self.complaint(path.line, &wrong(path)?))).collect()
    }

    /// The room of this crate that a path leads into: an empty text where the path hides it.
    fn room_of<'a>(&self, path: &'a UsedPath) -> Option<&'a str> {
        let root = if self.room() == Some("bin") { "nilas" } else { "crate" };
        let climbs = path.segments.iter().take_while(|segment| *segment == "super").count();
        let begin = if path.begins_with(&[root]) {
            1
        } else if climbs == self.depth() {
            climbs
        } else {
            return None;
        };
        match path.segments.get(begin).map(String::as_str) {
            Some("*" | "self") => Some(""),
            None => path.imported.then_some(""),
            room => room,
        }
    }
}

fn level_of(room: &str) -> Option<usize> {
    LEVELS.iter().position(|level| level.contains(&room))
}

/// Uses of rooms that are not below.
fn wrong_arrows(source: &Source) -> Vec<String> {
    let Some(from) = source.room() else {
        return Vec::new();
    };
    source.complaints(|path| {
        let to = source.room_of(path)?;
        match (level_of(from), level_of(to)) {
            (Some(above), Some(below)) if above < below || from == to => None,
            _ if to.is_empty() => Some(format!("{} hides which room is used", path.segments.join("::"))),
            (_, None) => Some(format!("{from} -> {to}: {to} has no level in this test")),
            (None, _) => Some(format!("{from} -> {to}: {from} has no level in this test")),
            _ => Some(format!("{from} -> {to} does not go down")),
        }
    })
}

/// Foreign crates named where they do not belong.
fn wrong_crates(source: &Source) -> Vec<String> {
    source.complaints(|path| {
        let name = path.segments[0].as_str();
        // A word alone may be a variable.
        let is_path = path.imported || path.segments.len() > 1;
        let (_, places) = CRATES.iter().find(|(names, _)| is_path && names.contains(&name))?;
        (!source.is_in(places)).then(|| format!("{name} may be named in {places:?} only"))
    })
}

/// `unsafe`, and permissions for it.
fn wrong_unsafe(source: &Source) -> Vec<String> {
    let found = source.tokens.iter().filter(|token| ["unsafe", "unsafe_code"].contains(&token.text.as_str()));
    let found = found.filter(|_| !source.is_in(&["sys"]));
    found.map(|token| source.complaint(token.line, "`unsafe` may stand in sys only")).collect()
}

/// Clocks read outside `time`, and random numbers without a seed anywhere.
fn wrong_clocks_and_dice(source: &Source) -> Vec<String> {
    source.complaints(|path| {
        let name = path.segments.join("::");
        if SEEDLESS.iter().any(|seedless| path.holds(seedless)) {
            return Some(format!("{name}: random numbers come from a seed that stands in the product"));
        }
        let reads = CLOCKS.iter().any(|clock| path.holds(clock)) && !source.is_in(&["time"]);
        reads.then(|| format!("{name}: clocks are read in time only"))
    })
}

/// Files from outside that are opened elsewhere than in the process that has given up its rights.
fn wrong_readers(source: &Source) -> Vec<String> {
    if source.is_in(&["source", "src/cli/inspector.rs"]) {
        return Vec::new();
    }
    source.complaints(|path| {
        let opens = FOREIGN_READERS.iter().any(|reader| path.holds(reader));
        opens.then(|| format!("{}: foreign files are opened by nilas-inspect only", path.segments.join("::")))
    })
}

/// What reaches beyond the process's own memory, in code that is to compute only.
fn wrong_reach(source: &Source) -> Vec<String> {
    if !source.is_in(&PURE) || source.is_in(&IMPURE) {
        return Vec::new();
    }
    source.complaints(|path| {
        let foreign =
            ["fs", "net", "process", "env", "os"].iter().any(|part| path.begins_with(&["std", part]));
        // A word alone may be a variant of an error.
        let named = ["File", "OpenOptions", "Command"].contains(&path.segments[0].as_str());
        let named = named && path.segments.len() > 1;
        let words = path.segments.iter().map(String::as_str).skip_while(|&segment| segment == "std");
        let words: Vec<&str> = words.take(2).collect();
        // Errors of whoever stores the results pass through; nothing else of `io` does.
        let io = matches!(words[..], ["io", part] if !["Error", "ErrorKind", "Result"].contains(&part));
        let room = [["crate", "sys"], ["crate", "fetch"]].iter().any(|start| path.begins_with(start));
        // Unsafe, and so in sys, but all that it does is to compute.
        let room = room && !path.begins_with(&["crate", "sys", "fused_convolution"]);
        let clock = ["Clock", "SystemClock"].iter().any(|clock| path.begins_with(&["crate", "time", clock]));
        let reaches = foreign || named || io || room || clock;
        reaches.then(|| format!("{} in code that does no IO and reads no clock", path.segments.join("::")))
    })
}

/// Printing outside `cli`; `progress` asks whether standard error is a terminal.
fn wrong_printing(source: &Source) -> Vec<String> {
    if source.is_in(&["cli"]) {
        return Vec::new();
    }
    let macros = ["print", "println", "eprint", "eprintln"];
    let printed =
        source.tokens.windows(2).filter(|two| two[1].text == "!" && macros.contains(&&*two[0].text));
    let mut complaints: Vec<String> =
        printed.map(|two| source.complaint(two[0].line, "nothing prints but cli")).collect();
    complaints.extend(source.complaints(|path| {
        let stream =
            path.holds(&["io", "stdout"]) || path.holds(&["io", "stderr"]) && !source.is_in(&["progress"]);
        stream.then(|| "nothing prints but cli".to_owned())
    }));
    complaints
}

/// What was left for later. clippy refuses the macros, too; it does not read comments.
fn unfinished(source: &Source) -> Vec<String> {
    let macros = ["todo", "unimplemented", "dbg"];
    let left = source.tokens.windows(2).filter(|two| two[1].text == "!" && macros.contains(&&*two[0].text));
    let mut complaints: Vec<String> =
        left.map(|two| source.complaint(two[0].line, &format!("{}!", two[0].text))).collect();
    for (index, line) in source.text.lines().enumerate() {
        let marks = line.split(|character: char| !character.is_alphanumeric());
        let marks = marks.filter(|word| ["TODO", "FIXME", "XXX"].contains(word));
        complaints.extend(marks.map(|word| source.complaint(index + 1, word)));
    }
    complaints
}

/// Files that do not begin by saying what they are, and lines too long to read.
/// Sentences for people do not count: they stay in one piece so that they can be searched for.
fn wrong_form(source: &Source) -> Vec<String> {
    let mut complaints = Vec::new();
    if !source.text.starts_with("//! ") {
        complaints
            .push(source.complaint(1, "the file does not begin with a `//!` line that says what it is"));
    }
    let parts = classify(&source.text);
    for (index, line) in parts.split(|(character, _)| *character == '\n').enumerate() {
        let length = line.iter().filter(|(_, part)| *part != Part::Literal).count();
        if length > LONGEST_LINE {
            complaints.push(source.complaint(index + 1, &format!("{length} characters in a line")));
        }
    }
    complaints
}

/// Keys of a configuration, as its parser sees them.
fn parsed_keys(table: &toml::Table, prefix: &str, keys: &mut BTreeSet<String>) {
    for (name, value) in table {
        let key = format!("{prefix}{name}");
        match value {
            toml::Value::Table(inner) => parsed_keys(inner, &format!("{key}."), keys),
            _ => {
                keys.insert(key);
            }
        }
    }
}

/// Keys of a configuration whose line, or whose table, has no comment right above it.
fn undocumented_keys(text: &str) -> Vec<String> {
    let mut wanted = BTreeSet::new();
    parsed_keys(&text.parse().unwrap(), "", &mut wanted);
    let (mut table, mut table_documented, mut comment_above) = (String::new(), false, false);
    let mut documented = Vec::new();
    for line in text.lines().map(str::trim) {
        if let Some(header) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            (table, table_documented) = (format!("{header}."), comment_above);
        } else if let Some((name, _)) = line.split_once('=')
            && !line.starts_with('#')
            && (comment_above || table_documented)
        {
            documented.push(format!("{table}{}", name.trim()));
        }
        comment_above = line.starts_with('#');
    }
    // The values of `{ ... }` stand on the line of their key.
    let is_documented =
        |key: &str| documented.iter().any(|known| key == known || key.starts_with(&format!("{known}.")));
    wanted.into_iter().filter(|key| !is_documented(key)).collect()
}

/// The rooms in the order in which `docs/architecture.md` lists them.
fn rooms_in(document: &str) -> Vec<String> {
    let list = document.lines().skip_while(|line| !line.starts_with("    bin "));
    let entries = list.take_while(|line| line.starts_with("    ")).flat_map(|line| line.trim().split("  "));
    let names = entries.filter_map(|entry| entry.split_whitespace().next());
    names.filter(|name| level_of(name).is_some()).map(str::to_owned).collect()
}

fn read(path: impl AsRef<Path>) -> String {
    let path = path.as_ref();
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn collect(folder: &Path, sources: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            sources.push(Source::new(path.to_str().unwrap(), &read(&path)));
        }
    }
}

/// Every file of `src`, tests included.
fn all_sources() -> Vec<Source> {
    let mut sources = Vec::new();
    collect(Path::new("src"), &mut sources);
    assert!(
        sources.iter().any(|source| source.path == "src/lib.rs"),
        "run the tests from the repository root"
    );
    sources
}

/// Every file of `src` that is no test.
fn production_sources() -> Vec<Source> {
    let mut sources = all_sources();
    let tests: BTreeSet<String> =
        sources.iter().flat_map(|source| &source.test_modules).map(|module| format!("{module}/")).collect();
    let is_test = |path: &str| tests.iter().any(|test| path.replace(".rs", "/").starts_with(test));
    sources.retain(|source| !is_test(&source.path));
    sources
}

fn assert_all_keep(sources: &[Source], rule: impl Fn(&Source) -> Vec<String>) {
    let complaints: Vec<String> = sources.iter().flat_map(rule).collect();
    assert!(complaints.is_empty(), "{} places:\n{}", complaints.len(), complaints.join("\n"));
}

#[test]
fn arrows_go_down_only() {
    assert_all_keep(&production_sources(), wrong_arrows);
}

#[test]
fn every_room_has_a_level() {
    let library = Source::new("src/lib.rs", &read("src/lib.rs"));
    let declared = library.tokens.windows(3).filter(|three| three[0].text == "mod" && three[2].text == ";");
    let declared: Vec<&str> = declared.map(|three| three[1].text.as_str()).collect();
    assert!(declared.contains(&"sys"), "no modules were found in src/lib.rs");
    let unknown: Vec<_> = declared.iter().filter(|room| level_of(room).is_none()).collect();
    assert!(unknown.is_empty(), "no level for {unknown:?}");
}

#[test]
fn the_list_of_rooms_in_the_document_is_the_one_that_is_checked() {
    assert_eq!(rooms_in(&read("docs/architecture.md")), LEVELS.concat());
}

#[test]
fn foreign_crates_are_named_where_they_belong() {
    assert_all_keep(&production_sources(), wrong_crates);
}

#[test]
fn unsafe_stands_in_sys_only() {
    assert_all_keep(&all_sources(), wrong_unsafe);
}

#[test]
fn clocks_are_read_in_time_only_and_dice_have_seeds() {
    assert_all_keep(&production_sources(), wrong_clocks_and_dice);
}

#[test]
fn foreign_files_are_opened_in_confinement_only() {
    assert_all_keep(&production_sources(), wrong_readers);
}

#[test]
fn computing_rooms_only_compute() {
    assert_all_keep(&production_sources(), wrong_reach);
}

#[test]
fn nothing_prints_but_cli() {
    assert_all_keep(&production_sources(), wrong_printing);
}

#[test]
fn nothing_is_left_for_later() {
    assert_all_keep(&all_sources(), unfinished);
}

#[test]
fn files_say_what_they_are_and_lines_can_be_read() {
    assert_all_keep(&all_sources(), wrong_form);
}

#[test]
fn the_changelog_knows_this_version() {
    let changelog = read("CHANGELOG.md");
    let known = ["Unreleased", env!("CARGO_PKG_VERSION")];
    let heads = |line: &str| known.iter().any(|name| line.starts_with(&format!("## [{name}]")));
    assert!(changelog.lines().any(heads), "CHANGELOG.md has no section for any of {known:?}");
}

/// The relative links of a page in Markdown.
fn links(page: &str) -> Vec<&str> {
    let targets = page.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    targets
        .map(|target| target.split('#').next().unwrap_or_default())
        .filter(|t| !t.is_empty() && !t.contains("://"))
        .collect()
}

#[test]
fn links_between_pages_lead_somewhere() {
    let folders = [".", "docs", "models", "tests/data"];
    let mut followed = 0;
    for folder in folders {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|ending| ending == "md") {
                for link in links(&read(&path)) {
                    assert!(
                        Path::new(folder).join(link).exists(),
                        "{}: {link} leads nowhere",
                        path.display()
                    );
                    followed += 1;
                }
            }
        }
    }
    assert!(followed > 5 && links("see [a](no/such.md#part) and [b](https://c.d)") == ["no/such.md"]);
}

/// The tests that a page names as `file.rs::name`: file and name.
fn named_tests(page: &str) -> Vec<(&str, &str)> {
    let quoted = page.split('`').skip(1).step_by(2);
    let is_source = |file: &str| Path::new(file).extension().is_some_and(|ending| ending == "rs");
    quoted.filter_map(|text| text.split_once("::")).filter(|(file, _)| is_source(file)).collect()
}

#[test]
fn every_promise_names_tests_that_are_there() {
    let page = read("docs/promises.md");
    let mut named = 0;
    for row in page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| promise")) {
        let tests = named_tests(row);
        assert!(!tests.is_empty(), "nothing shows that {row}");
        for (file, name) in tests {
            assert!(
                read(file).contains(&format!("fn {name}()")),
                "docs/promises.md: {file} has no test {name}"
            );
            named += 1;
        }
    }
    assert!(named > 30 && named_tests("`a`, `tests/a.rs::b`") == [("tests/a.rs", "b")]);
}

#[test]
fn every_key_of_the_configuration_is_explained() {
    let missing = undocumented_keys(&read("config/nilas.toml"));
    assert!(missing.is_empty(), "config/nilas.toml: no comment above {missing:?} or above their tables");
}

/// What `systemd-analyze security`, which `./dev check` asks, does not count.
#[test]
fn units_and_container_keep_what_no_table_of_exposure_counts() {
    let port = read("config/nilas.toml")
        .lines()
        .find_map(|line| line.strip_prefix("listen = \"127.0.0.1:")?.strip_suffix('"').map(str::to_owned));
    let page = format!("SocketBindAllow=tcp:{}", port.unwrap());
    let all = ["LimitCORE=0", "SocketBindDeny=any"];
    let folders = ["CacheDirectoryMode=0700", "TasksMax=2048", "NoExecPaths=/var/lib/nilas /var/cache/nilas"];
    let container = [
        "    read_only: true",
        "      - /tmp:size=256m,mode=1777,noexec,nosuid,nodev",
        "    cap_drop:",
        "      - no-new-privileges:true",
        "    pids_limit: 2048",
        "      core: 0",
    ];
    for (file, wanted) in [
        ("systemd/nilas.service", [&all[..], &folders, &[&*page]].concat()),
        ("systemd/nilas-produce@.service", [&all[..], &folders].concat()),
        ("systemd/nilas-failure@.service", [&all[..], &["TasksMax=64"]].concat()),
        ("compose.yaml", container.to_vec()),
    ] {
        let text = read(file);
        let missing: Vec<_> =
            wanted.iter().filter(|wanted| !text.lines().any(|line| line == **wanted)).collect();
        assert!(missing.is_empty(), "{file} lacks {missing:?}");
    }
}

/// The rules on texts that break them, and on the nearest texts that do not.
mod rules {
    use super::*;

    /// The lines that a rule complains of.
    fn lines(rule: impl Fn(&Source) -> Vec<String>, path: &str, text: &str) -> Vec<usize> {
        let complaints = rule(&Source::new(path, text));
        complaints.iter().map(|text| text.split(':').nth(1).unwrap().parse().unwrap()).collect()
    }

    #[test]
    fn upward_and_sideways_arrows_are_found_however_they_are_written() {
        let text = "use crate::{time::Clock, publish::{self, netcdf}};\n\
                    fn f() { crate::train::go(); }\n\
                    fn g(x: <crate::model::Network as Tidy>::Output) {}\n\
                    use super::super::quality;\n\
                    use crate::*;\n\
                    use crate as everything;\n\
                    use crate::unheard_of::Thing;\n\
                    use crate::prepare::flag; use super::flag; use std::fmt; use crate::grid::Grid;\n";
        assert_eq!(lines(wrong_arrows, "src/prepare/fill.rs", text), [1, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(
            wrong_arrows(&Source::new("src/prepare/mod.rs", "use super::source;")),
            ["src/prepare/mod.rs:1: prepare -> source does not go down"]
        );
    }

    #[test]
    fn the_lowest_rooms_have_an_order_too() {
        assert!(lines(wrong_arrows, "src/progress.rs", "use crate::time::Clock;").is_empty());
        assert_eq!(lines(wrong_arrows, "src/time/mod.rs", "use crate::progress::Bar;"), [1]);
        assert_eq!(lines(wrong_arrows, "src/sys/mod.rs", "use crate::time::Clock;"), [1]);
    }

    #[test]
    fn programs_use_the_library_and_nothing_uses_programs() {
        assert!(lines(wrong_arrows, "src/bin/nilas.rs", "fn main() { nilas::cli::front() }").is_empty());
        assert_eq!(lines(wrong_arrows, "src/bin/nilas.rs", "use nilas::*;"), [1]);
        assert_eq!(lines(wrong_arrows, "src/cli/mod.rs", "use crate::bin::nilas;"), [1]);
    }

    #[test]
    fn tests_comments_and_texts_may_name_anything() {
        let text = "// crate::publish\n\
                    /* crate::publish /* unsafe */ crate::publish */\n\
                    const A: &str = \"crate::publish \\\" unsafe\"; const B: &str = r#\"\"crate::publish unsafe\"#;\n\
                    const C: char = '\"'; fn f<'a>(x: &'a str) {}\n\
                    #[cfg(test)]\n\
                    #[expect(clippy::all)]\n\
                    mod tests { use crate::publish; fn f() { unsafe { g() } } }\n\
                    #[cfg(test)]\n\
                    fn conformance(a: [u8; 3]) -> crate::publish::X { crate::publish::X }\n\
                    use crate::cli;\n";
        assert_eq!(lines(wrong_arrows, "src/grid/mod.rs", text), [10]);
        assert_eq!(lines(wrong_unsafe, "src/grid/mod.rs", text), Vec::<usize>::new());
    }

    #[test]
    fn files_of_test_modules_are_known() {
        let text = "mod a;\n#[cfg(test)]\nmod synthetic;\n#[cfg(test)]\nmod tests { }\nmod b;";
        assert_eq!(Source::new("src/publish/mod.rs", text).test_modules, ["src/publish/synthetic"]);
        assert_eq!(Source::new("src/publish/cf.rs", text).test_modules, ["src/publish/cf/synthetic"]);
        assert_eq!(Source::new("src/lib.rs", text).test_modules, ["src/synthetic"]);
    }

    #[test]
    fn foreign_crates_in_other_rooms_are_found() {
        let text = "use netcdf::Options;\nfn f() { gdal::config(); }\nuse {::tch::Tensor, rusqlite};\nlet netcdf = 1;\n";
        assert_eq!(lines(wrong_crates, "src/prepare/mod.rs", text), [1, 2, 3, 3]);
        assert_eq!(lines(wrong_crates, "src/publish/cf.rs", text), [3, 3]);
        assert_eq!(lines(wrong_crates, "src/source/mod.rs", "use self::netcdf::x; use netcdf_sys::y;"), [1]);
        assert_eq!(lines(wrong_crates, "src/model/mod.rs", "fn f() -> tch::Tensor { ::gdal::x() }"), [1]);
    }

    #[test]
    fn unsafe_in_other_rooms_is_found() {
        let text = "#![allow(unsafe_code)]\nfn f() { unsafe { g() } }\nunsafe impl Send for X {}";
        assert_eq!(lines(wrong_unsafe, "src/grid/mod.rs", text), [1, 2, 3]);
        assert_eq!(lines(wrong_unsafe, "src/sys/files.rs", text), Vec::<usize>::new());
    }

    #[test]
    fn clocks_and_dice_are_found() {
        let text = "let a = std::time::Instant::now();\nlet b = chrono::Utc::now();\nlet c = clock.now();\n\
                    let d = rand::rng();\nuse rand::{thread_rng};\nlet e = SystemTime::now().elapsed();\n";
        assert_eq!(lines(wrong_clocks_and_dice, "src/train/mod.rs", text), [1, 2, 4, 5, 6]);
        assert_eq!(lines(wrong_clocks_and_dice, "src/time/mod.rs", text), [4, 5]);
    }

    #[test]
    fn readers_of_foreign_files_are_found() {
        let text = "use crate::source::{decode, Role};\nlet a = osisaf_drift::read(path, start, end);\nlet b = decode(path);\n\
                    let c = crate::source::measure(path);\nuse crate::source::hand_over;\n";
        assert_eq!(lines(wrong_readers, "src/produce/inputs.rs", text), [1, 2, 4]);
        assert_eq!(lines(wrong_readers, "src/cli/inspector.rs", text), Vec::<usize>::new());
    }

    #[test]
    fn reaching_out_of_computing_rooms_is_found() {
        let text = "use std::{fmt, fs};\nfn f() { std::process::abort() }\nuse std::io;\n\
                    fn g() -> io::Result<()> { Err(std::io::Error::other(\"x\")) }\nlet x = io::stdin();\n\
                    let x = File::open(p);\nuse crate::time::{Clock, ProductDay};\nuse crate::sys;\n\
                    use std::io::{Error, Read};\nlet x = ModelError::File; enum E { File }\n";
        assert_eq!(lines(wrong_reach, "src/ensemble/store.rs", text), [1, 2, 5, 6, 7, 8, 9]);
        assert_eq!(lines(wrong_reach, "src/model/network.rs", text), [1, 2, 5, 6, 7, 8, 9]);
        assert_eq!(lines(wrong_reach, "src/model/checkpoint.rs", text), Vec::<usize>::new());
        assert_eq!(lines(wrong_reach, "src/publish/mod.rs", text), Vec::<usize>::new());
    }

    #[test]
    fn printing_is_found() {
        let text = "println!(\"x\");\nwriteln!(std::io::stdout(), \"x\");\nlet x = io::stderr();";
        assert_eq!(lines(wrong_printing, "src/train/mod.rs", text), [1, 2, 3]);
        assert_eq!(lines(wrong_printing, "src/progress.rs", text), [1, 2]);
        assert_eq!(lines(wrong_printing, "src/cli/mod.rs", text), Vec::<usize>::new());
    }

    #[test]
    fn work_left_for_later_is_found() {
        let marks = ["TO", "DO"].concat();
        let text = format!("fn f() {{ todo!() }}\n// {marks}: more\nfn todo() {{ dbg!(1); }}\n// {marks}S");
        let mut found = lines(unfinished, "src/grid/mod.rs", &text);
        found.sort_unstable();
        assert_eq!(found, [1, 2, 3]);
    }

    #[test]
    fn missing_heads_and_long_lines_are_found() {
        let fits =
            format!("//! A file.\nlet x = \"{}\";\n// {}\n", "x".repeat(200), "x".repeat(LONGEST_LINE - 3));
        assert!(lines(wrong_form, "src/grid/mod.rs", &fits).is_empty());
        let long =
            format!("// A file.\n// {}\nlet {} = 1;\n", "x".repeat(LONGEST_LINE), "x".repeat(LONGEST_LINE));
        assert_eq!(lines(wrong_form, "src/grid/mod.rs", &long), [1, 2, 3]);
    }

    #[test]
    fn unexplained_keys_are_found() {
        let text = "# Said.\na = 1\nb = 2\n\n# Said of the table.\n[c]\nd = 3\ne = { f = 4 }\n[c.g]\n# Said.\nh = 5\ni = 6\n";
        assert_eq!(undocumented_keys(text), ["b", "c.g.i"]);
        assert_eq!(undocumented_keys("# Said, but not of this.\n\na = { b = 1 }\n"), ["a.b"]);
    }

    #[test]
    fn rooms_of_a_document_come_in_its_order() {
        let document = "text\n\n    bin       the programs\n    cli       prints       sys  bottom\n\n    time  elsewhere\n";
        assert_eq!(rooms_in(document), ["bin", "cli", "sys"]);
    }
}
