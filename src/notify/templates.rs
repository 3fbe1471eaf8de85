//! Letters are written from templates. A centre's own files take the place of the built-in ones; should one of them fail, people are
//! told all the same, in the built-in words.

use std::fs;
use std::path::Path;

use chrono::{DateTime, TimeDelta, Utc};
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, Error, UndefinedBehavior, Value};
use serde_json::{Map, Value as Json};

use super::letter::{Content, stretch, time};
use super::{NotifyError, advice, samples};
use crate::ledger::Severity;

/// The built-in templates by their names.
const BUILT_IN: [(&str, &str); 13] = [
    ("subject.txt", include_str!("templates/subject.txt")),
    ("incident.txt", include_str!("templates/incident.txt")),
    ("incident.html", include_str!("templates/incident.html")),
    ("digest.txt", include_str!("templates/digest.txt")),
    ("digest.html", include_str!("templates/digest.html")),
    ("announcement.txt", include_str!("templates/announcement.txt")),
    ("announcement.html", include_str!("templates/announcement.html")),
    ("test.txt", include_str!("templates/test.txt")),
    ("test.html", include_str!("templates/test.html")),
    ("failure.txt", include_str!("templates/failure.txt")),
    ("failure.html", include_str!("templates/failure.html")),
    ("base.html", include_str!("templates/base.html")),
    ("webhook.json", include_str!("templates/webhook.json")),
];

/// A subject is at most this long, characters: mail programs show less.
const LONGEST_SUBJECT: usize = 150;
/// Of a cause at most so much stands in a subject, characters.
const LONGEST_CAUSE: usize = 110;

/// What a letter is written from.
pub(super) struct Matter<'a> {
    pub(super) content: &'a Content,
    /// What kind of message it is: `first`, `reminder`, `recovery`, `digest`, `announcement`, `test`, `failure`.
    pub(super) kind: &'a str,
    pub(super) severity: Severity,
    /// When it was decided on.
    pub(super) date: DateTime<Utc>,
    /// Whether a picture goes with it.
    pub(super) has_picture: bool,
}

/// A letter's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Words {
    pub(super) subject: String,
    pub(super) text: String,
    pub(super) html: String,
    pub(super) json: String,
}

/// The templates in use.
pub(super) struct Templates {
    own: Option<Environment<'static>>,
    built_in: Environment<'static>,
    /// The template of the webhook.
    webhook: String,
    host: String,
}

impl Templates {
    /// The built-in templates alone.
    ///
    /// # Errors
    /// [`NotifyError::Template`].
    pub(super) fn built_in(host: &str) -> Result<Self, NotifyError> {
        let mut built_in = environment();
        for (name, source) in BUILT_IN {
            built_in.add_template(name, source).map_err(|error| wrong(name, &error))?;
        }
        Ok(Self { own: None, built_in, webhook: "webhook.json".to_owned(), host: host.to_owned() })
    }

    /// The built-in templates, with those of `folder` in their places. Every kind of letter is written once, so that what is wrong
    /// with a template is found out now.
    ///
    /// # Errors
    /// [`NotifyError::Template`], naming template and remedy.
    pub(super) fn load(folder: Option<&Path>, webhook: &str, host: &str) -> Result<Self, NotifyError> {
        let mut templates = Self { webhook: webhook.to_owned(), ..Self::built_in(host)? };
        if let Some(folder) = folder {
            let mut own = templates.built_in.clone();
            for (name, source) in files(folder)? {
                own.add_template_owned(name.clone(), source).map_err(|error| wrong(&name, &error))?;
            }
            templates.own = Some(own);
        }
        let environment = templates.own.as_ref().unwrap_or(&templates.built_in);
        if environment.get_template(webhook).is_err() {
            let reason = "there is no such template; put it into notify.templates, or use webhook.json";
            return Err(NotifyError::Template { name: webhook.to_owned(), reason: reason.to_owned() });
        }
        for sample in samples::all() {
            templates.words_of(environment, &templates.webhook, &sample.matter())?;
        }
        Ok(templates)
    }

    /// Writes a letter.
    ///
    /// # Errors
    /// [`NotifyError::Template`], where not even the built-in template can say it.
    pub(super) fn words(&self, matter: &Matter<'_>) -> Result<Words, NotifyError> {
        if let Some(own) = &self.own {
            match self.words_of(own, &self.webhook, matter) {
                Ok(words) => return Ok(words),
                Err(error) => tracing::warn!("{error}; the built-in words are used instead"),
            }
        }
        let webhook = if self.own.is_some() { "webhook.json" } else { &self.webhook };
        self.words_of(&self.built_in, webhook, matter)
    }

    fn words_of(
        &self,
        environment: &Environment<'_>,
        webhook: &str,
        matter: &Matter<'_>,
    ) -> Result<Words, NotifyError> {
        let render = |name: &str, variables: &Map<String, Json>| {
            let template = environment.get_template(name);
            template
                .and_then(|template| template.render(Serde(variables)))
                .map_err(|error| wrong(name, &error))
        };
        let mut variables = self.variables(matter).map_err(|error| NotifyError::Template {
            name: matter.kind.to_owned(),
            reason: format!("the content cannot be told ({error})"),
        })?;
        let about = match matter.content {
            Content::Incident(_) => "incident",
            Content::Digest { .. } => "digest",
            Content::Announcement { .. } => "announcement",
            Content::Test => "test",
            Content::Failure { .. } => "failure",
        };
        let subject = one_line(&render("subject.txt", &variables)?, LONGEST_SUBJECT);
        let text = render(&format!("{about}.txt"), &variables)?;
        let html = render(&format!("{about}.html"), &variables)?;
        // The subject of an announcement is a part of its content; a webhook is given that of the letter.
        variables.extend([
            ("subject".to_owned(), subject.as_str().into()),
            ("body".to_owned(), text.as_str().into()),
        ]);
        let json = render(webhook, &variables)?;
        if let Err(error) = serde_json::from_str::<Json>(&json) {
            let reason = format!(
                "what it makes is no JSON ({error}); write texts as {{{{ subject }}}}, without quotes around them"
            );
            return Err(NotifyError::Template { name: webhook.to_owned(), reason });
        }
        Ok(Words { subject, text, html, json })
    }

    /// The variables of a template: those of every letter, and the content's own.
    fn variables(&self, matter: &Matter<'_>) -> Result<Map<String, Json>, serde_json::Error> {
        let mut variables = Map::new();
        if let Json::Object(content) = serde_json::to_value(matter.content)? {
            variables.extend(content);
        }
        if let Content::Incident(told) = matter.content {
            let lasted = stretch(told.closed_at.unwrap_or(matter.date) - told.opened_at);
            let mut incident = serde_json::to_value(told)?;
            incident["lasted"] = lasted.into();
            variables.insert("incident".to_owned(), incident);
            variables.insert("advice".to_owned(), serde_json::to_value(advice::of(&told.key))?);
        }
        let common = [
            ("kind", matter.kind.into()),
            ("severity", matter.severity.name().into()),
            ("now", serde_json::to_value(matter.date)?),
            ("has_picture", matter.has_picture.into()),
            ("host", self.host.as_str().into()),
            ("version", env!("CARGO_PKG_VERSION").into()),
        ];
        variables.extend(common.map(|(name, value)| (name.to_owned(), value)));
        Ok(variables)
    }
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    // A misspelt variable must show when templates are loaded, not as a hole in a message.
    environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
    environment.set_auto_escape_callback(|name| match name.rsplit('.').next() {
        Some("html") => AutoEscape::Html,
        Some("json") => AutoEscape::Json,
        _ => AutoEscape::None,
    });
    environment.add_filter("time", |value: &str| {
        value.parse::<DateTime<Utc>>().map(time).unwrap_or(value.to_owned())
    });
    environment.add_filter("cause", cause);
    environment.add_filter("shell", shell);
    environment.add_filter("age", age);
    environment.add_filter("commands", commands);
    environment.add_filter("seconds", |seconds: f64| match seconds {
        seconds if seconds < 100.0 => format!("{seconds:.1} s"),
        seconds => stretch(TimeDelta::seconds(seconds as i64)),
    });
    environment
}

/// The templates of a folder: its files that end as templates do.
fn files(folder: &Path) -> Result<Vec<(String, String)>, NotifyError> {
    let refuse = |path: &Path, error: std::io::Error| NotifyError::Template {
        name: path.display().to_string(),
        reason: format!(
            "it cannot be read ({error}); correct notify.templates, or make it readable for the user that runs Nilas"
        ),
    };
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(|error| refuse(folder, error))? {
        let path = entry.map_err(|error| refuse(folder, error))?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let is_template = ["txt", "html", "json"].iter().any(|end| name.ends_with(&format!(".{end}")));
        if is_template && !name.starts_with('.') && path.is_file() {
            found.push((name, fs::read_to_string(&path).map_err(|error| refuse(&path, error))?));
        }
    }
    found.sort();
    Ok(found)
}

fn wrong(name: &str, error: &Error) -> NotifyError {
    let line = error.line().map_or(String::new(), |line| format!("line {line}: "));
    let detail = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
    NotifyError::Template {
        name: name.to_owned(),
        reason: format!("{line}{detail}; docs/operations.md lists the variables and filters"),
    }
}

/// The first clause of a message: what is the matter, without the remedy.
fn cause(text: &str) -> String {
    one_line(text.split("; ").next().unwrap_or(text), LONGEST_CAUSE)
}

/// A text on one line, cut at the end of a word where it is too long.
fn one_line(text: &str, longest: usize) -> String {
    let mut line = String::new();
    let mut length = 0;
    for word in text.split_whitespace() {
        let word_length = word.chars().count();
        if length + 1 + word_length > longest {
            if line.is_empty() {
                line.extend(word.chars().take(longest - 1));
            }
            line.push('…');
            break;
        }
        if !line.is_empty() {
            line.push(' ');
            length += 1;
        }
        line.push_str(word);
        length += word_length;
    }
    line
}

/// A word as it can be pasted into a shell: names of files, which come from outside, are parts of keys.
#[must_use]
pub fn shell(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:/@%+=,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// A text as HTML, for templates of mails and pages: what stands between backticks becomes code, the rest is escaped.
#[must_use]
pub fn commands(text: &str) -> Value {
    let parts = text.split('`').enumerate().map(|(index, part)| {
        let escaped =
            part.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
        if index % 2 == 1 { format!("<code>{escaped}</code>") } else { escaped }
    });
    Value::from_safe_string(parts.collect())
}

/// The age of an input in words.
fn age(days: f64) -> String {
    let rounded = (days * 10.0).round() / 10.0;
    match rounded {
        0.0 => "of the day itself".to_owned(),
        1.0 => "1 day old".to_owned(),
        -1.0 => "1 day after the day".to_owned(),
        days if days < 0.0 => format!("{} days after the day", -days),
        days => format!("{days} days old"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_the_first_clause_and_no_longer_than_a_subject_shows() {
        assert_eq!(cause("drift is late; ask the provider"), "drift is late");
        assert_eq!(cause("a\r\n b\tc"), "a b c");
        let long = cause(&"word ".repeat(60));
        assert!(long.ends_with("word…") && long.chars().count() <= LONGEST_CAUSE, "{long}");
        let endless = cause(&"x".repeat(300));
        assert_eq!(endless.chars().count(), LONGEST_CAUSE);
    }

    #[test]
    fn a_key_can_be_pasted_into_a_shell() {
        assert_eq!(shell("late:drift"), "late:drift");
        assert_eq!(shell("target:ice $(reboot)'s"), r"'target:ice $(reboot)'\''s'");
        assert_eq!(shell(""), "''");
    }

    #[test]
    fn ages_are_told_in_words() {
        let words = [0.04, 1.0, 4.0, 3.5, -1.0].map(age);
        assert_eq!(
            words,
            ["of the day itself", "1 day old", "4 days old", "3.5 days old", "1 day after the day"]
        );
    }

    #[test]
    fn commands_are_code_and_nothing_else_is() {
        assert_eq!(commands("run `a <b>` & c").to_string(), "run <code>a &lt;b&gt;</code> &amp; c");
    }
}
