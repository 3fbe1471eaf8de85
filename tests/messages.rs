//! Every message that a person can get stands in `docs/messages.md` with its cause and what to do: what the code can say is read from
//! `src`, what is explained from the tables of the page, and both must be the same, table by table. The reading itself is tested on
//! made-up sources, so that it is known to find what it is there for.
//!
//! One rule makes a row of a string: each placeholder becomes `…`, several side by side become one, `{{` and `}}` become single
//! braces, and any white space becomes one space. See [`in_words`].

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at once")]

#[expect(dead_code, reason = "another test asks for the names that a text uses; here its strings are wanted")]
#[path = "common/rust_text.rs"]
mod rust_text;

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::ops::Range;
use std::path::Path;

use rust_text::{Part, Token, classify, without_tests};

/// The repository.
const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// The page with the tables.
const PAGE: &str = "docs/messages.md";

/// The tables of the page that are none of a room.
const LETTERS: &str = "Kinds of message";
const NOTICES: &str = "Kinds of notice";
const NOTICE_TEXTS: &str = "What notices and `systemctl status` say";
const DAYS: &str = "How a day stands";
const INPUTS: &str = "How an input stands";
const RUNS: &str = "How a run ended";
const STORIES: &str = "Sentences on the page and of `nilas explain`";
const LOG: &str = "Warnings and errors in the log";
const CHECKS: &str = "Checks of files and products";

/// Where a mark stands in front of the text of a string: no other token begins so.
const STRING: char = '"';
/// What stands for everything that differs from one time to the next.
const DIFFERS: char = '…';
/// A cell with a cause or a remedy is at most this long: somebody reads it at 03:00.
const LONGEST_CELL: usize = 160;

/// Files whose sentences are texts of notices, stand on the page, or say why a mail or a file is refused: the table that they belong
/// in, and how many fixed words are a sentence there.
const TELLERS: [(&str, &str, usize); 18] = [
    ("src/daemon/incidents.rs", NOTICE_TEXTS, 3),
    ("src/daemon/carrying.rs", NOTICE_TEXTS, 3),
    ("src/daemon/recovery.rs", NOTICE_TEXTS, 3),
    ("src/daemon/withdrawal.rs", NOTICE_TEXTS, 3),
    ("src/daemon/service.rs", NOTICE_TEXTS, 3),
    ("src/produce/gather/watch.rs", NOTICE_TEXTS, 3),
    ("src/daemon/overview.rs", STORIES, 3),
    ("src/daemon/explanation.rs", STORIES, 2),
    ("src/daemon/records.rs", STORIES, 3),
    ("src/daemon/round.rs", STORIES, 3),
    ("src/daemon/production.rs", STORIES, 3),
    ("src/daemon/worker.rs", STORIES, 3),
    ("src/daemon/http/mod.rs", STORIES, 3),
    ("src/daemon/http/files.rs", STORIES, 3),
    ("src/daemon/http/page.rs", STORIES, 3),
    ("src/produce/gather/error.rs", STORIES, 2),
    ("src/notify/smtp.rs", "notify", 3),
    ("src/source/inspection.rs", "source", 4),
];
/// Of these files only whole sentences count, with their stop: the clauses that they are put together from say nothing alone.
const WITH_STOP: [&str; 1] = ["src/daemon/explanation.rs"];
/// So many fixed words are a sentence about a word on the command line.
const SENTENCE: usize = 3;
/// What is said to browsers is no sentence.
const FOR_BROWSERS: &str = "default-src";

/// What carries a finished message, beside errors that only pass one on: those are found by their empty texts.
const CARRIERS: [(&str, &str); 9] = [
    ("Failure", "Usage"),
    ("Failure", "NotThereYet"),
    ("Failure", "Refused"),
    ("Failure", "FailedChecks"),
    ("Failure", "Other"),
    ("Failure", "other"),
    ("Failure", "with_code"),
    ("Mishap", "Killed"),
    ("Mishap", "Died"),
];

/// A remedy behind a semicolon begins with one of these words.
const REMEDIES: [&str; 27] = [
    "add", "begin", "call", "change", "check", "choose", "correct", "fetch", "find", "free", "give", "if",
    "install", "look", "make", "name", "put", "raise", "run", "see", "set", "stop", "take", "try", "use",
    "wait", "write",
];

/// Something that a person can be told.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Message {
    /// The heading of its table.
    table: String,
    text: String,
    /// Where it stands; empty for one of the page.
    place: String,
}

impl Message {
    fn key(&self) -> (&str, &str) {
        (&self.table, &self.text)
    }
}

/// A file of `src` as it is read here: its tokens with strings among them, tests taken away.
struct Source {
    path: String,
    tokens: Vec<Token>,
    /// The files, and folders with a slash, of its modules that are tests.
    tests: Vec<String>,
}

impl Source {
    fn new(path: &str, text: &str) -> Self {
        let with_tests = Self { path: path.to_owned(), tokens: tokens(text), tests: Vec::new() };
        let (tokens, modules) = without_tests(&with_tests.tokens);
        Self { tests: with_tests.test_files(&modules), tokens, ..with_tests }
    }

    /// The files of modules under `#[cfg(test)]`, by their own names or by those of `#[path = "..."]`.
    fn test_files(&self, modules: &[String]) -> Vec<String> {
        let beside = self.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let own = self.path.trim_end_matches("/mod.rs").trim_end_matches("/lib.rs").trim_end_matches(".rs");
        let named = modules.iter().flat_map(|name| [format!("{own}/{name}.rs"), format!("{own}/{name}/")]);
        let attribute = ["#", "[", "cfg", "(", "test", ")", "]", "#", "[", "path", "="];
        let elsewhere = (0..self.tokens.len())
            .filter(|at| self.has(*at, &attribute))
            .filter_map(|at| self.string(at + attribute.len()));
        named.chain(elsewhere.map(|name| format!("{beside}/{name}"))).collect()
    }

    /// The room that the file stands in.
    fn room(&self) -> &str {
        let inside = self.path.trim_start_matches("src/");
        inside.split('/').next().unwrap_or(inside).trim_end_matches(".rs")
    }

    fn text(&self, at: usize) -> &str {
        self.tokens.get(at).map_or("", |token| &token.text)
    }

    /// The string at a place, where one is.
    fn string(&self, at: usize) -> Option<&str> {
        self.text(at).strip_prefix(STRING)
    }

    fn has(&self, at: usize, words: &[&str]) -> bool {
        words.iter().enumerate().all(|(step, word)| self.text(at + step) == *word)
    }

    /// From a bracket that opens to behind the one that closes it.
    fn brackets(&self, open: usize) -> Range<usize> {
        let mut depth = 0;
        for at in open..self.tokens.len() {
            match self.text(at) {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return open..at + 1;
            }
        }
        open..self.tokens.len()
    }

    /// The arguments between brackets, divided by the commas that no inner brackets hold.
    fn arguments(&self, brackets: &Range<usize>) -> Vec<Range<usize>> {
        let (mut arguments, mut at) = (Vec::new(), brackets.start + 1);
        let (mut begin, last) = (at, brackets.end.saturating_sub(1));
        while at < last {
            match self.text(at) {
                "(" | "[" | "{" => at = self.brackets(at).end,
                "," => {
                    arguments.push(begin..at);
                    at += 1;
                    begin = at;
                }
                _ => at += 1,
            }
        }
        arguments.push(begin..last);
        arguments
    }

    /// The text that an argument is: a string, or several by `concat!`, in which a constant differs.
    fn text_of(&self, argument: &Range<usize>) -> Option<String> {
        if self.has(argument.start, &["concat", "!", "("]) {
            let parts = self.arguments(&self.brackets(argument.start + 2));
            let of = |part: &Range<usize>| self.string(part.start).map_or(DIFFERS.to_string(), str::to_owned);
            return Some(parts.iter().filter(|part| !part.is_empty()).map(of).collect());
        }
        self.string(argument.start).map(str::to_owned)
    }
}

/// The tokens of a text: words, `::`, other characters, and strings with what they mean.
fn tokens(text: &str) -> Vec<Token> {
    let parts = classify(text);
    let (mut tokens, mut line, mut at) = (Vec::new(), 1, 0);
    while at < parts.len() {
        let (first, part) = parts[at];
        let rest = &parts[at..];
        let while_it =
            |wanted: &dyn Fn(&(char, Part)) -> bool| rest.iter().take_while(|one| wanted(one)).count();
        let length = match part {
            Part::Literal => while_it(&|(_, part)| *part == Part::Literal),
            Part::Code if is_of_word(first) => while_it(&|(c, part)| *part == Part::Code && is_of_word(*c)),
            Part::Code if matches!(rest, [(':', _), (':', Part::Code), ..]) => 2,
            Part::Code | Part::Comment => 1,
        };
        let characters: Vec<char> = rest[..length].iter().map(|(character, _)| *character).collect();
        let token = match part {
            Part::Literal => string(&characters).map(|text| format!("{STRING}{text}")),
            Part::Code if !first.is_whitespace() => Some(characters.iter().collect()),
            Part::Code | Part::Comment => None,
        };
        tokens.extend(token.map(|text| Token { text, line }));
        line += characters.iter().filter(|character| **character == '\n').count();
        at += length;
    }
    tokens
}

fn is_of_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// What a literal says; none for a single character.
fn string(literal: &[char]) -> Option<String> {
    let open = literal.iter().position(|&character| character == '"')?;
    if literal[0] == '\'' {
        return None;
    }
    let close = literal.iter().rposition(|&character| character == '"')?;
    let inside = literal.get(open + 1..close)?;
    if literal[..open].contains(&'r') { Some(inside.iter().collect()) } else { Some(unescaped(inside)) }
}

fn unescaped(inside: &[char]) -> String {
    let (mut text, mut rest) = (String::new(), inside.iter().copied().peekable());
    while let Some(character) = rest.next() {
        if character != '\\' {
            text.push(character);
            continue;
        }
        match rest.next() {
            // The next line goes on where its first word stands.
            Some('\n') => while rest.next_if(|character| character.is_whitespace()).is_some() {},
            Some('n') => text.push('\n'),
            Some('t') => text.push('\t'),
            Some('u') => {
                let digits: String = rest.by_ref().skip(1).take_while(|digit| *digit != '}').collect();
                text.extend(u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32));
            }
            other => text.extend(other),
        }
    }
    text
}

/// A string as the page has it: what differs is `…`, white space is one space.
fn in_words(string: &str) -> String {
    let (mut text, mut rest) = (String::new(), string.chars().peekable());
    while let Some(character) = rest.next() {
        match character {
            '{' | '}' if rest.next_if_eq(&character).is_some() => text.push(character),
            '{' => {
                let _placeholder = rest.by_ref().find(|character| *character == '}');
                if !text.ends_with(DIFFERS) {
                    text.push(DIFFERS);
                }
            }
            _ => text.push(character),
        }
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// How many fixed words a text has: those by which it can be found.
fn fixed_words(text: &str) -> usize {
    text.split(|character: char| character.is_whitespace() || character == DIFFERS)
        .filter(|word| word.chars().any(char::is_alphabetic))
        .count()
}

/// Whether a text names a cause and behind it what to do.
fn ends_in_a_remedy(text: &str) -> bool {
    let begins = |part: &str| part.split([' ', ':', ',']).next().is_some_and(|word| REMEDIES.contains(&word));
    text.split("; ").skip(1).any(begins)
}

/// The reading of a source: what was found, and which tokens have been read.
struct Reading<'a> {
    source: &'a Source,
    is_read: Vec<bool>,
    found: Vec<Message>,
}

impl Reading<'_> {
    fn of(source: &Source, carriers: &[(String, String)]) -> Vec<Message> {
        let mut reading = Reading { source, is_read: vec![false; source.tokens.len()], found: Vec::new() };
        reading.attributes();
        reading.log();
        reading.names();
        reading.carried(carriers);
        reading.answers();
        reading.command_lines();
        reading.sentences();
        reading.remedies();
        reading.found
    }

    /// Takes a message into a table, if it says something by itself: a text of placeholders only passes another one on.
    fn tell(&mut self, table: &str, at: usize, text: &str) {
        let text = in_words(text);
        if fixed_words(&text) > 0 {
            let place = format!("{}:{}", self.source.path, self.source.tokens[at].line);
            self.found.push(Message { table: table.to_owned(), text, place });
        }
    }

    fn read(&mut self, tokens: Range<usize>) {
        self.is_read[tokens].fill(true);
    }

    /// The strings in a range that were not read yet, with their places.
    fn unread(&self, range: Range<usize>) -> Vec<(usize, String)> {
        let strings = range.filter(|at| !self.is_read[*at]);
        strings.filter_map(|at| Some((at, self.source.string(at)?.to_owned()))).collect()
    }

    /// The unread strings in a range are messages, those with fewer fixed words left out.
    fn tell_all(&mut self, table: &str, range: Range<usize>, least_words: usize) {
        for (at, text) in self.unread(range) {
            if fixed_words(&in_words(&text)) >= least_words {
                self.tell(table, at, &text);
                self.read(at..at + 1);
            }
        }
    }

    /// `#[error("...")]`; what stands in other attributes is told to nobody.
    fn attributes(&mut self) {
        let source = self.source;
        for at in 0..source.tokens.len() {
            let open = at + if source.text(at + 1) == "!" { 2 } else { 1 };
            if source.text(at) != "#" || source.text(open) != "[" {
                continue;
            }
            let attribute = source.brackets(open);
            if let Some((_, text)) = error_text(source, open) {
                self.tell(source.room(), open, &text);
            }
            self.read(attribute);
        }
    }

    /// `warn!` and `error!`: the first argument that is a string, behind the fields. What is said at lower levels, or when an incident is
    /// over, is good news.
    fn log(&mut self) {
        let source = self.source;
        for at in 0..source.tokens.len() {
            let open = at + 2;
            if self.is_read[at] {
                continue;
            }
            if source.text(at) == "settle" && source.text(at + 1) == "(" {
                self.read(source.brackets(at + 1));
            }
            if source.text(at + 1) != "!" || source.text(open) != "(" {
                continue;
            }
            let call = source.brackets(open);
            match source.text(at) {
                "warn" | "error" => {
                    let arguments = source.arguments(&call);
                    if let Some(text) = arguments.iter().find_map(|argument| source.text_of(argument)) {
                        self.tell(LOG, at, &text);
                    }
                    self.read(call);
                }
                "info" | "debug" | "trace" | "info_span" => self.read(call),
                _ => {}
            }
        }
    }

    /// What has a name that is always the same.
    fn names(&mut self) {
        let source = self.source;
        let all = 0..source.tokens.len();
        match source.path.as_str() {
            "src/notify/advice.rs" => {
                for at in all.clone() {
                    if let Some(name) = source.string(at)
                        && source.text(at - 1) == "("
                        && source.has(at + 1, &[",", "Advice"])
                    {
                        self.tell(NOTICES, at, name);
                    }
                }
                self.read(all);
            }
            "src/ledger/outbox.rs" => self.named_values("MessageKind", LETTERS),
            "src/ledger/standing.rs" => self.named_values("DayState", DAYS),
            "src/ledger/runs.rs" => self.named_values("Outcome", RUNS),
            "src/notify/mod.rs" | "src/notify/failure.rs" => {
                for at in all {
                    if let Some(name) = source.string(at + 2)
                        && source.has(at, &["kind", ":"])
                    {
                        self.tell(LETTERS, at + 2, name);
                    }
                }
            }
            "src/daemon/overview.rs" => self.standings(),
            "src/config/inputs.rs" => {
                for (at, _, name) in arms(source) {
                    self.tell(CHECKS, at, &name);
                }
            }
            "src/quality/product.rs" => self.tell_all(CHECKS, all, 2),
            _ => {}
        }
    }

    /// The names in `named_value!(Kind { Value => "name", ... })`.
    fn named_values(&mut self, kind: &str, table: &str) {
        for at in 0..self.source.tokens.len() {
            if self.source.has(at, &["named_value", "!", "(", kind]) {
                self.tell_all(table, self.source.brackets(at + 2), 1);
            }
        }
    }

    /// How days and inputs stand: words instead of names, where there are some.
    fn standings(&mut self) {
        for (at, key, text) in arms(self.source) {
            match key.as_str() {
                // The name of an input's standing, or the words for a day that the ledger does not know.
                "UNKNOWN" => self.tell(DAYS, at, &text),
                key if !key.starts_with(STRING) => self.tell(INPUTS, at, &text),
                _ => {}
            }
            self.read(at..at + 1);
        }
    }

    /// The strings in constructors that carry a finished message: more than a word, which would be a name.
    fn carried(&mut self, carriers: &[(String, String)]) {
        let source = self.source;
        for at in 0..source.tokens.len() {
            let is_carrier = carriers.iter().any(|(kind, value)| source.has(at, &[kind, "::", value]));
            if is_carrier && ["(", "{"].contains(&source.text(at + 3)) {
                for (at, _) in
                    self.unread(source.brackets(at + 3)).iter().filter(|(_, text)| text.contains(' '))
                {
                    self.tell_all(source.room(), *at..at + 1, 1);
                }
            }
        }
    }

    /// What is answered over HTTP beside pages: a status and a text.
    fn answers(&mut self) {
        let source = self.source;
        for at in 0..source.tokens.len() {
            if source.has(at, &["StatusCode", "::"])
                && source.text(at + 3) == ","
                && source.string(at + 4).is_some()
            {
                self.tell_all(STORIES, at + 4..at + 5, 1);
            }
        }
    }

    /// What is said of a word on the command line that cannot be used.
    fn command_lines(&mut self) {
        let source = self.source;
        for at in 0..source.tokens.len() {
            if source.has(at, &["fn", "from_str"])
                && let Some(body) = (at..source.tokens.len()).find(|at| source.text(*at) == "{")
            {
                self.tell_all(source.room(), source.brackets(body), SENTENCE);
            }
            if source.has(at, &["usage_error", "("]) {
                self.tell_all(source.room(), source.brackets(at + 1), 1);
            }
            if let Some(text) = source.string(at)
                && !self.is_read[at]
                && text.starts_with("--")
                && text.contains(": ")
            {
                self.tell_all(source.room(), at..at + 1, 1);
            }
        }
    }

    /// The sentences of a teller. A part of one begins with a mark or a space.
    fn sentences(&mut self) {
        let path = &self.source.path;
        let Some((_, table, least)) = TELLERS.iter().find(|(teller, ..)| teller == path) else { return };
        for (at, text) in self.unread(0..self.source.tokens.len()) {
            let is_whole = text.starts_with(|first: char| first.is_alphanumeric() || "{`".contains(first))
                && (!WITH_STOP.contains(&path.as_str()) || text.ends_with('.'))
                && !text.starts_with(FOR_BROWSERS);
            if is_whole && fixed_words(&in_words(&text)) >= *least {
                self.tell(table, at, &text);
                self.read(at..at + 1);
            }
        }
    }

    /// Whatever else names a cause and a remedy: reasons that stand behind the colon of another message.
    fn remedies(&mut self) {
        for (at, text) in self.unread(0..self.source.tokens.len()) {
            if ends_in_a_remedy(&text) {
                self.tell(self.source.room(), at, &text);
            }
        }
    }
}

/// The arms of matches that give a string: place, the token before the arrow, and the string.
fn arms(source: &Source) -> Vec<(usize, String, String)> {
    let arm = |at: usize| {
        let text = source.string(at).filter(|_| at >= 3 && source.has(at - 2, &["=", ">"]))?;
        Some((at, source.text(at - 3).to_owned(), text.to_owned()))
    };
    (0..source.tokens.len()).filter_map(arm).collect()
}

/// The text of `[error("...")]` and where it ends; none for another attribute, and for one that passes its source on.
fn error_text(source: &Source, open: usize) -> Option<(usize, String)> {
    let argument = source.arguments(&source.brackets(open + 2)).into_iter().next()?;
    let text = source.has(open + 1, &["error", "("]).then(|| source.text_of(&argument))??;
    Some((source.brackets(open).end, text))
}

/// The variants of errors that only pass a text on: it is written where they are made.
fn pass_on(source: &Source) -> Vec<(String, String)> {
    let (mut carriers, mut kind) = (Vec::new(), "");
    for at in 0..source.tokens.len() {
        if source.text(at) == "enum" {
            kind = source.text(at + 1);
        }
        if source.has(at, &["#", "["])
            && let Some((end, text)) = error_text(source, at + 1)
            && fixed_words(&in_words(&text)) == 0
            && !["pub", "struct", "enum"].contains(&source.text(end))
        {
            carriers.push((kind.to_owned(), source.text(end).to_owned()));
        }
    }
    carriers
}

/// Everything that the sources can say.
fn said_by(sources: &[Source]) -> Vec<Message> {
    let named = CARRIERS.iter().map(|(kind, value)| ((*kind).to_owned(), (*value).to_owned()));
    let carriers: Vec<_> = named.chain(sources.iter().flat_map(pass_on)).collect();
    let mut found: Vec<Message> = sources.iter().flat_map(|source| Reading::of(source, &carriers)).collect();
    in_day_words(&mut found, sources);
    found
}

/// The ledger's names of states become the words that people see.
fn in_day_words(found: &mut [Message], sources: &[Source]) {
    let Some(overview) = sources.iter().find(|source| source.path == "src/daemon/overview.rs") else {
        return;
    };
    for (_, key, words) in arms(overview) {
        let name = key.trim_start_matches(STRING);
        for message in found.iter_mut().filter(|message| [DAYS, INPUTS].contains(&&*message.table)) {
            if key.starts_with(STRING) && message.text == name {
                message.text.clone_from(&words);
            }
        }
    }
}

/// A row of the page.
#[derive(Debug)]
struct Row {
    message: Message,
    line: usize,
    cause: String,
    remedy: String,
}

/// The rows of all tables with the three columns, each under its heading.
fn rows(page: &str) -> Vec<Row> {
    let (mut rows, mut heading, mut is_ours) = (Vec::new(), "", false);
    for (index, line) in page.lines().enumerate() {
        if line.starts_with('#') {
            heading = line.trim_start_matches('#').trim();
        }
        let cells = cells(line);
        match cells.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["message", "cause", "what to do"] => is_ours = true,
            [] => is_ours = false,
            [rule, ..] if !rule.is_empty() && rule.chars().all(|mark| "-:".contains(mark)) => {}
            [text, cause, remedy] if is_ours => rows.push(Row {
                message: Message { table: heading.to_owned(), text: text.to_owned(), place: String::new() },
                line: index + 1,
                cause: cause.to_owned(),
                remedy: remedy.to_owned(),
            }),
            _ if is_ours => panic!("{PAGE}:{}: the row has not three cells", index + 1),
            _ => {}
        }
    }
    rows
}

/// The cells of a line of a table; `\|` is a bar inside of one.
fn cells(line: &str) -> Vec<String> {
    let Some(inside) = line.trim().strip_prefix('|').and_then(|line| line.strip_suffix('|')) else {
        return Vec::new();
    };
    let marked = inside.replace("\\|", "\u{0}");
    marked.split('|').map(|cell| cell.replace('\u{0}', "|").trim().to_owned()).collect()
}

/// What is wrong between the messages of the code and the rows of the page; empty where nothing is.
fn differences(said: &[Message], rows: &[Row]) -> String {
    let known: BTreeSet<_> = rows.iter().map(|row| row.message.key()).collect();
    let said_keys: BTreeSet<_> = said.iter().map(Message::key).collect();
    let mut complaints = String::new();
    let mut missed = BTreeSet::new();
    for message in said.iter().filter(|message| !known.contains(&message.key())) {
        if missed.insert(message.key()) {
            let Message { table, text, place } = message;
            let row = text.replace('|', "\\|");
            writeln!(complaints, "{place}: not explained in {PAGE} under \"{table}\":\n| {row} | | |")
                .unwrap();
        }
    }
    let mut before = BTreeSet::new();
    for Row { message, line, cause, remedy } in rows {
        let Message { table, text, .. } = message;
        let mut complain = |what: &str| writeln!(complaints, "{PAGE}:{line}: {what}: {text}").unwrap();
        if !said_keys.contains(&message.key()) {
            complain(&format!("nothing in the code says this under \"{table}\""));
        }
        if !before.insert(message.key()) {
            complain("explained twice");
        }
        for (name, cell) in [("cause", cause), ("remedy", remedy)] {
            match cell.chars().count() {
                0 => complain(&format!("the {name} is empty")),
                1..=LONGEST_CELL => {}
                length => complain(&format!("the {name} has {length} characters, more than {LONGEST_CELL}")),
            }
        }
    }
    complaints
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every file of a folder of `src` that is no test: neither under `#[cfg(test)]` nor named by a module that is.
fn sources(folder: &Path, found: &mut Vec<Source>) {
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(ROOT).unwrap().to_str().unwrap();
            found.push(Source::new(name, &read(&path)));
        }
    }
}

fn production_sources() -> Vec<Source> {
    let mut all = Vec::new();
    sources(&Path::new(ROOT).join("src"), &mut all);
    let of_tests: Vec<String> = all.iter().flat_map(|source| source.tests.clone()).collect();
    all.retain(|source| !of_tests.iter().any(|file| source.path.starts_with(file)));
    all
}

#[test]
fn every_message_is_explained_and_nothing_else_is() {
    let said = said_by(&production_sources());
    let complaints = differences(&said, &rows(&read(&Path::new(ROOT).join(PAGE))));
    assert!(complaints.is_empty(), "\n{complaints}");
}

#[test]
fn each_kind_of_message_is_found() {
    let said = said_by(&production_sources());
    let tables = [LETTERS, NOTICES, NOTICE_TEXTS, DAYS, INPUTS, RUNS, STORIES, LOG, CHECKS];
    for table in tables.into_iter().chain(["cli", "config", "fetch", "source", "ledger", "publish", "train"])
    {
        assert!(said.iter().any(|message| message.table == table), "no message for \"{table}\" was found");
    }
    let silent: Vec<_> = TELLERS
        .iter()
        .filter(|(path, ..)| !said.iter().any(|message| message.place.starts_with(path)))
        .collect();
    assert!(silent.is_empty(), "{silent:?} say nothing: were they moved?");
}

#[test]
fn commands_on_the_page_exist() {
    let front = Source::new("src/cli/front.rs", &read(&Path::new(ROOT).join("src/cli/front.rs")));
    let is_verb =
        |at: &usize| front.text(*at) == "(" && front.text(*at + 2) == "," && front.text(*at + 4) == ",";
    let verbs: BTreeSet<&str> =
        (0..front.tokens.len()).filter(is_verb).filter_map(|at| front.string(at + 1)).collect();
    assert!(verbs.contains("explain"), "no verbs were found in src/cli/front.rs");
    let page = read(&Path::new(ROOT).join(PAGE));
    let verb = |behind: &str| behind.chars().take_while(char::is_ascii_lowercase).collect::<String>();
    let named = page.split("`nilas ").skip(1).filter(|behind| !behind.starts_with('-')).map(verb);
    let unknown: BTreeSet<String> = named.filter(|verb| !verbs.contains(verb.as_str())).collect();
    assert!(unknown.is_empty(), "{PAGE} names verbs that do not exist: {unknown:?}");
}

/// The reading on texts that are made up for it.
mod rules {
    use super::*;

    fn messages(path: &str, text: &str) -> Vec<Message> {
        said_by(&[Source::new(path, text)])
    }

    /// What a source says, as `table: text`.
    fn said(path: &str, text: &str) -> Vec<String> {
        messages(path, text).iter().map(|message| format!("{}: {}", message.table, message.text)).collect()
    }

    #[test]
    fn strings_are_read_however_they_are_written() {
        let texts = |text: &str| {
            let source = Source::new("src/x.rs", text);
            (0..source.tokens.len()).filter_map(|at| source.string(at).map(str::to_owned)).collect::<Vec<_>>()
        };
        assert_eq!(texts(r#"f("a \"b\" \\ c", 'd', '"', "\u{2026}\n")"#), [r#"a "b" \ c"#, "…\n"]);
        assert_eq!(texts("f(r\"a\\b\", r#\"c \"d\" e\"#, b\"f\")"), ["a\\b", "c \"d\" e", "f"]);
        assert_eq!(texts("f(\"one \\\n     two\") // \"three\"\n/* \"four\" */"), ["one two"]);
        assert_eq!(texts("fn f<'a>(x: &'a str) { g('\\'', \"b\") }"), ["b"]);
    }

    #[test]
    fn what_differs_becomes_a_mark() {
        assert_eq!(in_words("{path}: {source}; see {0} and {error:?}"), "…: …; see … and …");
        assert_eq!(in_words("{}{last} of {a}{b:>3}"), "… of …");
        assert_eq!(in_words("write {{ name }}\n   or {{}}"), "write { name } or {}");
        assert_eq!(fixed_words("…: … (…) 12"), 0);
        assert_eq!(fixed_words("… is late: …"), 2);
    }

    #[test]
    fn errors_are_found_with_their_room() {
        let text = "#[derive(thiserror::Error)]\nenum E {\n\
                    #[error(\"{path} is \\\"bad\\\"; fetch it again\")] Bad { path: PathBuf },\n\
                    #[error(\n    \"lacks {}: \\\n     {reason}\",\n    names.join(\" or more of \")\n)] Lacks,\n\
                    #[error(transparent)] Other(#[from] io::Error),\n\
                    #[error(concat!(\"in \", env!(\"X\"), \" only\"))] Only,\n\
                    #[error(\"{0}\")] Text(String),\n}\n\
                    #[error(r#\"the \"{0}\" of it\"#)] struct S(String);\n\
                    #[serde(rename = \"some other words; give none\")] struct T;";
        let expected = ["… is \"bad\"; fetch it again", "lacks …: …", "in … only", "the \"…\" of it"];
        assert_eq!(said("src/grid/mod.rs", text), expected.map(|text| format!("grid: {text}")));
    }

    #[test]
    fn a_text_that_is_passed_on_is_found_where_it_is_made() {
        let text = "enum E { #[error(\"{0}\")] Option(String) }\n\
                    fn f() -> E { E::Option(format!(\"--days {day}: not there\")) }\n\
                    fn g() -> E { E::Option(\"no day\".into()) }\n\
                    fn h(e: E) { match e { E::Option(text) => print(\"nobody hears of this\") } }";
        assert_eq!(said("src/train/mod.rs", text), ["train: --days …: not there", "train: no day"]);
    }

    #[test]
    fn failures_of_commands_are_found() {
        let text = "return Err(Failure::Usage(format!(\"{folder} is no folder; {remedy}\")));\n\
                    Failure::Other(\"1 check failed\".into());\n\
                    match failure { Failure::Other(text) | Failure::Usage(text) => text }\n\
                    Failure::other(error); usage_error(&format!(\"there is no verb \\\"{verb}\\\"\"));\n\
                    impl FromStr for D { fn from_str(text: &str) -> R { Err(format!(\"{text} is not a day\")) } }\n\
                    let rules = [(a > 0, \"--rate: need a number\")];";
        let expected = [
            "… is no folder; …",
            "1 check failed",
            "there is no verb \"…\"",
            "… is not a day",
            "--rate: need a number",
        ];
        let found: BTreeSet<_> = said("src/cli/x.rs", text).into_iter().collect();
        assert_eq!(found, expected.map(|text| format!("cli: {text}")).into());
    }

    #[test]
    fn warnings_and_errors_are_found_and_nothing_below_them() {
        let text = "tracing::warn!(path = %path.display(), %error, \"a file is \\\"left\\\" out\");\n\
                    warn!(\n    given_up,\n    \"so many words: {}, {reason}\",\n    names.join(\"; see other words\")\n);\n\
                    tracing::error!(%day, concat!(\"production \", \"failed\")); error!(\"{text}\");\n\
                    tracing::info!(\"all is well; see nothing\"); debug!(x, \"nothing; see nothing\");\n\
                    if error != wrong { ledger.settle(key, \"it is over; see nothing\") }";
        let expected = ["a file is \"left\" out", "so many words: …, …", "production failed"];
        assert_eq!(said("src/fetch/cache.rs", text), expected.map(|text| format!("{LOG}: {text}")));
    }

    #[test]
    fn tests_and_comments_say_nothing() {
        let text = "// warn!(\"not this\")\n/// Failure::Other(\"nor this\")\n\
                    #[cfg(test)]\nmod tests { fn f() { tracing::warn!(\"not in a test\"); } }\n\
                    #[cfg(test)]\nfn helper() { Failure::Other(\"not here\".into()) }\n\
                    fn f() { tracing::warn!(\"but this\") }";
        assert_eq!(said("src/cli/x.rs", text), [format!("{LOG}: but this")]);
        let text = "#[cfg(test)]\nmod tests;\n#[cfg(test)]\n#[path = \"b_tests.rs\"]\nmod tests;\nmod c;";
        let files =
            ["src/a/b/tests.rs", "src/a/b/tests/", "src/a/b/tests.rs", "src/a/b/tests/", "src/a/b_tests.rs"];
        assert_eq!(Source::new("src/a/b.rs", text).tests, files);
        assert_eq!(Source::new("src/a/mod.rs", "#[cfg(test)]\nmod x;").tests, ["src/a/x.rs", "src/a/x/"]);
    }

    #[test]
    fn reasons_with_a_remedy_of_their_own_are_found() {
        let text = "let refuse = |error| format!(\"{named} cannot be read ({error}); put it there\");\n\
                    let kind = \"text/html; charset=utf-8\"; let unit = \"spread over error; 1 is right\";\n\
                    let both = \"one thing; it is so; correct it\";";
        let expected =
            ["fetch: … cannot be read (…); put it there", "fetch: one thing; it is so; correct it"];
        assert_eq!(said("src/fetch/x.rs", text), expected);
    }

    #[test]
    fn notices_and_what_they_say_are_found() {
        let text = "const KNOWN: [(&str, Advice); 1] = [(\"late\", Advice { meanwhile: \"It waits; see it.\", remedy: \"R\" })];";
        assert_eq!(said("src/notify/advice.rs", text), [format!("{NOTICES}: late")]);
        let text = "let text = format!(\"{day} cannot be made: {reason}{more}\");\n\
                    let more = format!(\" ({} more days lack files)\", n);\n\
                    settle(ledger, KEY, \"every day is made\", now)?; const KEY: &str = \"overdue\";";
        assert_eq!(said("src/daemon/incidents.rs", text), [format!("{NOTICE_TEXTS}: … cannot be made: …")]);
        let text = "named_value!(MessageKind { First => \"first\", Digest => \"digest\" });\n\
                    named_value!(Channel { Mail => \"mail\" });";
        let letters = ["first", "digest"].map(|name| format!("{LETTERS}: {name}"));
        assert_eq!(said("src/ledger/outbox.rs", text), letters);
        let text = "let matter = Matter { content: &content, kind: \"failure\", date: now };";
        assert_eq!(said("src/notify/failure.rs", text), [format!("{LETTERS}: failure")]);
    }

    #[test]
    fn standings_are_found_in_the_words_that_people_see() {
        let overview = "match self.state { \"running\" => \"at work\", UNKNOWN => \"not looked at\", state => state }\n\
                        match self.standing { \"none\" => \"none has come yet\", standing => standing }\n\
                        match centre { None => \"none\", Some(_) => \"late\" }";
        let states = "named_value!(DayState { Waiting => \"waiting\", Running => \"running\" });";
        let sources =
            [Source::new("src/daemon/overview.rs", overview), Source::new("src/ledger/standing.rs", states)];
        let found: BTreeSet<_> =
            said_by(&sources).into_iter().map(|found| (found.table, found.text)).collect();
        let expected = [
            (DAYS, "at work"),
            (DAYS, "not looked at"),
            (DAYS, "waiting"),
            (INPUTS, "late"),
            (INPUTS, "none has come yet"),
        ];
        let expected = expected.map(|(table, text)| (table.to_owned(), text.to_owned()));
        assert_eq!(found, expected.into());
    }

    #[test]
    fn sentences_of_the_page_are_found() {
        let text = "told.push(format!(\"{none}: it is late, and is waited for.\"));\n\
                    let again = \", also where a product stands\"; let why = \"because it was due\";";
        let expected = format!("{STORIES}: …: it is late, and is waited for.");
        assert_eq!(said("src/daemon/explanation.rs", text), [expected]);
        let text = "const POLICY: &str = \"default-src 'none'; img-src 'self'; style-src 'self'\";\n\
                    let late = (StatusCode::SERVICE_UNAVAILABLE, \"try again\\n\");";
        assert_eq!(said("src/daemon/http/mod.rs", text), [format!("{STORIES}: try again")]);
    }

    #[test]
    fn checks_are_found_by_name() {
        let text = "match self { Self::Mean => \"mean\", Self::ValidPercent => \"valid_percent\" }";
        let expected = ["mean", "valid_percent"].map(|name| format!("{CHECKS}: {name}"));
        assert_eq!(said("src/config/inputs.rs", text), expected);
        let text = "Finding::none_may(\"negative spread\", negative)";
        assert_eq!(said("src/quality/product.rs", text), [format!("{CHECKS}: negative spread")]);
    }

    const ROWS: &str = "# Messages\n\n| code | means |\n|---|---|\n| 1 | anything |\n\n## grid\n\n\
                        | message | cause | what to do |\n|---|---|---|\n\
                        | … is bad \\| worse | it broke | mend it |\n| … is gone | it went | |\n";

    #[test]
    fn rows_are_read_from_tables_with_three_columns_only() {
        let rows = rows(ROWS);
        let keys: Vec<_> = rows.iter().map(|row| (row.message.key(), row.line)).collect();
        assert_eq!(keys, [(("grid", "… is bad | worse"), 11), (("grid", "… is gone"), 12)]);
        assert_eq!((rows[0].cause.as_str(), rows[0].remedy.as_str()), ("it broke", "mend it"));
    }

    #[test]
    fn every_difference_is_told() {
        let error = |text: &str| messages("src/grid/mod.rs", &format!("#[error(\"{text}\")] struct S;"));
        let (bad, gone) = (error("{a} is bad | worse"), error("{a} is gone"));
        assert_eq!(
            differences(&[bad.clone(), gone.clone()].concat(), &rows(ROWS)),
            format!("{PAGE}:12: the remedy is empty: … is gone\n")
        );
        let whole = ROWS.replace("it went | |", "it went | fetch it |");
        assert_eq!(differences(&[bad.clone(), gone.clone()].concat(), &rows(&whole)), "");
        assert_eq!(
            differences(&bad, &rows(&whole)),
            format!("{PAGE}:12: nothing in the code says this under \"grid\": … is gone\n")
        );
        let more = [bad.clone(), gone.clone(), error("{a} is new")].concat();
        let expected =
            format!("src/grid/mod.rs:1: not explained in {PAGE} under \"grid\":\n| … is new | | |\n");
        assert_eq!(differences(&more, &rows(&whole)), expected);
        let elsewhere = whole.replace("## grid", "## time");
        assert_eq!(differences(&[bad.clone(), gone.clone()].concat(), &rows(&elsewhere)).lines().count(), 6);
        let twice =
            format!("{whole}| … is gone | it went | fetch it |\n| … is gone | {} | x |\n", "x".repeat(161));
        let found = differences(&[bad, gone].concat(), &rows(&twice));
        assert_eq!(found.matches("explained twice").count(), 2, "{found}");
        assert!(found.contains("the cause has 161 characters"), "{found}");
    }
}
