//! Whom Nilas tells, how, and how often: typed, with everything off where nothing is said.

use std::fs;
use std::path::{Path, PathBuf};

use lettre::message::Mailbox;
use serde::{Deserialize, Serialize};
use url::Url;

use super::validation::Wrong;
use super::{ConfigError, beside, parse, passwords};

/// Whom Nilas tells, how, and how often.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Notify {
    /// Hours from the first message of an incident to the first reminder; doubled for each one after.
    pub first_reminder_hours: f64,
    /// The longest time between two reminders, hours.
    pub longest_reminder_hours: f64,
    /// A folder of templates: a file there takes the place of the built-in one of the same name.
    pub templates: Option<PathBuf>,
    /// By mail.
    pub mail: MailSettings,
    /// The daily mail.
    pub digest: DigestSettings,
    /// By HTTP POST.
    pub webhook: WebhookSettings,
    /// A sign of life for a watcher outside.
    pub heartbeat: HeartbeatSettings,
}

impl Default for Notify {
    fn default() -> Self {
        Self {
            first_reminder_hours: 24.0,
            longest_reminder_hours: 168.0,
            templates: None,
            mail: MailSettings::default(),
            digest: DigestSettings::default(),
            webhook: WebhookSettings::default(),
            heartbeat: HeartbeatSettings::default(),
        }
    }
}

/// How mails are sent, and to whom.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MailSettings {
    /// Whether mails are sent at all.
    pub enabled: bool,
    /// Host name of the mail server.
    pub server: String,
    /// Its port.
    pub port: u16,
    /// How the way to it is protected.
    pub security: MailSecurity,
    /// Name of a systemd credential, or absolute path of a file: first line the user, second line the password.
    pub credentials: Option<PathBuf>,
    /// A file in PEM with the authorities that its certificate may come from, beside those that the system trusts.
    pub authorities: Option<PathBuf>,
    /// Whom mails are from: an address, with a name before it or without.
    pub from: String,
    /// The word by which mail programs tell Nilas' mails from others (header List-Id).
    pub list_id: String,
    /// Who gets what.
    pub recipients: Recipients,
}

impl Default for MailSettings {
    fn default() -> Self {
        Self {
            enabled: false,
            server: String::new(),
            port: 587,
            security: MailSecurity::StartTls,
            credentials: None,
            authorities: None,
            from: String::new(),
            list_id: "nilas.localhost".to_owned(),
            recipients: Recipients::default(),
        }
    }
}

/// How the way to the mail server is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MailSecurity {
    /// Begins in the clear and changes to TLS before anything is said; a server that does not is refused.
    StartTls,
    /// TLS from the first byte.
    Tls,
    /// In the clear: for a server on this machine or in the same room.
    None,
}

/// Who gets a mail: addresses by what it is about.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Recipients {
    /// Failures: somebody must act.
    pub failure: Vec<String>,
    /// Warnings: somebody should look.
    pub warning: Vec<String>,
    /// Notices: good to know.
    pub notice: Vec<String>,
    /// The daily mail.
    pub digest: Vec<String>,
}

/// The daily mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DigestSettings {
    /// Whether there is one.
    pub enabled: bool,
    /// The hour of the day at which it is sent, UTC.
    pub hour_utc: u32,
}

impl Default for DigestSettings {
    fn default() -> Self {
        Self { enabled: false, hour_utc: 7 }
    }
}

/// Messages by HTTP POST.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WebhookSettings {
    /// Whether there are any.
    pub enabled: bool,
    /// Where they are sent, where everybody may know it.
    pub url: Option<String>,
    /// Name of a systemd credential, or absolute path of a file, whose first line is the URL.
    pub url_file: Option<PathBuf>,
    /// What matters less is not sent there.
    pub smallest_severity: SmallestSeverity,
    /// The template of what is sent.
    pub template: String,
}

impl Default for WebhookSettings {
    fn default() -> Self {
        Self {
            enabled: false,
            url: None,
            url_file: None,
            smallest_severity: SmallestSeverity::Warning,
            template: "webhook.json".to_owned(),
        }
    }
}

/// The least that is sent; the names are those of severities in messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SmallestSeverity {
    /// Everything.
    Notice,
    /// Warnings and failures.
    Warning,
    /// Failures only.
    Failure,
}

/// A sign of life for a watcher outside, which raises an alarm when it stays away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HeartbeatSettings {
    /// The address that is asked for (GET), where everybody may know it; without one there is no heartbeat.
    pub url: Option<String>,
    /// Name of a systemd credential, or absolute path of a file, whose first line is the address.
    pub url_file: Option<PathBuf>,
    /// Minutes from one to the next.
    pub interval_minutes: u32,
}

impl Default for HeartbeatSettings {
    fn default() -> Self {
        Self { url: None, url_file: None, interval_minutes: 5 }
    }
}

impl HeartbeatSettings {
    /// Whether there is a heartbeat.
    #[must_use]
    pub fn is_configured(&self) -> bool {
        self.url.is_some() || self.url_file.is_some()
    }
}

/// The part of a configuration that the failure mailer needs.
#[derive(Deserialize)]
struct MailPart {
    notify: Option<NotifyPart>,
}

#[derive(Deserialize)]
struct NotifyPart {
    mail: Option<toml::Value>,
}

impl MailSettings {
    /// Reads `[notify.mail]` of a configuration whose other parts may be anything: this is for telling that a configuration cannot
    /// be used. Where the file is not even TOML, the text of the table alone is read.
    ///
    /// # Errors
    /// [`ConfigError`], where the file cannot be read or the table itself cannot be used.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        // A stray byte elsewhere must not keep this part from being read.
        let bytes = fs::read(path).map_err(|source| ConfigError::File { path: path.to_owned(), source })?;
        Self::from_text(&String::from_utf8_lossy(&bytes), path)
    }

    /// The same from a text that stands, or could stand, in the file `path`.
    ///
    /// # Errors
    /// [`ConfigError`], where the table cannot be used.
    pub fn from_text(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let part = match toml::from_str::<MailPart>(text) {
            Ok(part) => part,
            Err(_) => parse(&mail_tables(text), path)?,
        };
        let mut settings = match part.notify.and_then(|notify| notify.mail) {
            None => Self::default(),
            Some(table) => table.try_into().map_err(|error: toml::de::Error| ConfigError::Shape {
                path: path.to_owned(),
                line: header_line(text),
                reason: error.message().replace('\n', " "),
            })?,
        };
        settings.resolve_paths(path);
        match wrong_mail(&settings) {
            None => Ok(settings),
            Some(Wrong { key, value, remedy }) => {
                Err(ConfigError::Value { path: path.to_owned(), key, value, remedy })
            }
        }
    }

    fn resolve_paths(&mut self, file: &Path) {
        if let Some(authorities) = &mut self.authorities {
            *authorities = beside(file, authorities);
        }
    }
}

/// The header of the table that a line begins, without its brackets and spaces.
fn header(line: &str) -> Option<String> {
    let line = line.trim().strip_prefix('[')?;
    Some(line.split(']').next()?.chars().filter(|character| !character.is_whitespace()).collect())
}

fn is_mail(header: &str) -> bool {
    header == "notify.mail" || header.starts_with("notify.mail.")
}

/// The lines of `[notify.mail]` and its own tables.
fn mail_tables(text: &str) -> String {
    let mut inside = false;
    let lines = text.lines().filter(|line| {
        if let Some(header) = header(line) {
            // An array over several lines has lines that begin with a bracket, too; those of addresses do not.
            inside = is_mail(&header);
        }
        inside
    });
    lines.flat_map(|line| [line, "\n"]).collect()
}

/// Where `[notify.mail]` begins, from 1.
fn header_line(text: &str) -> usize {
    text.lines()
        .position(|line| header(line).is_some_and(|header| is_mail(&header)))
        .map_or(1, |line| line + 1)
}

impl Notify {
    /// Makes relative paths absolute: they are meant from the folder of `file`.
    pub(super) fn resolve_paths(&mut self, file: &Path) {
        self.mail.resolve_paths(file);
        if let Some(templates) = &mut self.templates {
            *templates = beside(file, templates);
        }
    }
}

/// The first value of the section that cannot be used.
pub(super) fn wrong(notify: &Notify) -> Option<Wrong> {
    let Notify { mail, digest, webhook, heartbeat, .. } = notify;
    let (first, longest) = (notify.first_reminder_hours, notify.longest_reminder_hours);
    let hours = 1.0 <= first && first <= longest && longest <= 8760.0;
    let remedy = "give at least 1 hour, the first not above the longest, the longest not above a year (8760)";
    Wrong::unless(
        hours,
        "notify.first_reminder_hours, longest_reminder_hours",
        format!("{first}, {longest}"),
        remedy,
    )
    .or_else(|| wrong_mail(mail))
    .or_else(|| wrong_digest(*digest, mail))
    .or_else(|| wrong_webhook(webhook))
    .or_else(|| {
        let both = heartbeat.url.is_some() && heartbeat.url_file.is_some();
        Wrong::unless(!both, "notify.heartbeat.url", "url and url_file", "give one of the two")
            .or_else(|| wrong_url("notify.heartbeat.url", heartbeat.url.as_deref()))
            .or_else(|| {
                let minutes = heartbeat.interval_minutes;
                Wrong::unless(minutes > 0, "notify.heartbeat.interval_minutes", minutes, "give at least 1")
            })
    })
}

/// Values are looked at where mail is off, too, so that switching it on brings no surprise; what is empty is only missed where it is on.
fn wrong_mail(mail: &MailSettings) -> Option<Wrong> {
    let MailSettings { enabled, server, from, list_id, recipients, .. } = mail;
    let host = "give the mail server's name, such as smtp.example.org, without port or scheme";
    let plain = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || "-._:[]".contains(c));
    let in_clear = mail.security == MailSecurity::None && mail.credentials.is_some();
    let here = passwords::is_this_machine(server);
    Wrong::unless(plain(server) && !(*enabled && server.is_empty()), "notify.mail.server", quoted(server), host)
        .or_else(|| Wrong::unless(mail.port > 0, "notify.mail.port", mail.port, "587 (starttls), 465 (tls) or 25 (none) is usual"))
        .or_else(|| {
            let remedy = "a password must not cross the network in the clear: use starttls or tls, or leave credentials out";
            Wrong::unless(!in_clear || here, "notify.mail.security", "\"none\" with credentials", remedy)
        })
        .or_else(|| {
            let right = from.parse::<Mailbox>().is_ok() || (from.is_empty() && !enabled);
            let remedy = "give an address, such as nilas@example.org or Nilas <nilas@example.org>";
            Wrong::unless(right, "notify.mail.from", quoted(from), remedy)
        })
        .or_else(|| {
            let remedy = "give a word like a host name, such as nilas.example.org";
            let right = !list_id.is_empty() && plain(list_id) && list_id.contains('.');
            Wrong::unless(right, "notify.mail.list_id", quoted(list_id), remedy)
        })
        .or_else(|| {
            let lists = [
                ("failure", &recipients.failure),
                ("warning", &recipients.warning),
                ("notice", &recipients.notice),
                ("digest", &recipients.digest),
            ];
            lists.into_iter().find_map(|(name, list)| {
                let wrong = list.iter().find(|address| address.parse::<Mailbox>().is_err())?;
                let key = format!("notify.mail.recipients.{name}");
                Wrong::unless(false, &key, quoted(wrong), "give addresses, such as duty@example.org")
            })
        })
        .or_else(|| {
            let someone = !enabled || !recipients.failure.is_empty();
            let remedy = "somebody must be told of failures: give at least one address";
            Wrong::unless(someone, "notify.mail.recipients.failure", "[]", remedy)
        })
}

fn wrong_digest(digest: DigestSettings, mail: &MailSettings) -> Option<Wrong> {
    let hour = digest.hour_utc;
    Wrong::unless(hour < 24, "notify.digest.hour_utc", hour, "give an hour from 0 to 23").or_else(|| {
        let someone = !digest.enabled || !mail.enabled || !mail.recipients.digest.is_empty();
        let remedy =
            "the daily mail is switched on: give at least one address, or set notify.digest.enabled = false";
        Wrong::unless(someone, "notify.mail.recipients.digest", "[]", remedy)
    })
}

fn wrong_webhook(webhook: &WebhookSettings) -> Option<Wrong> {
    let given = usize::from(webhook.url.is_some()) + usize::from(webhook.url_file.is_some());
    let right = given == 1 || (given == 0 && !webhook.enabled);
    let value = ["neither url nor url_file", "one", "url and url_file"][given.min(2)];
    let remedy = "give one of url and url_file";
    Wrong::unless(right, "notify.webhook.url", value, remedy)
        .or_else(|| wrong_url("notify.webhook.url", webhook.url.as_deref()))
        .or_else(|| {
            let name = &webhook.template;
            let right = !name.is_empty() && !name.starts_with('.') && !name.contains('/');
            let remedy = "give the name of a file in notify.templates, or of a built-in one: webhook.json";
            Wrong::unless(right, "notify.webhook.template", quoted(name), remedy)
        })
}

fn wrong_url(key: &str, url: Option<&str>) -> Option<Wrong> {
    let url = url?;
    let right = Url::parse(url).is_ok_and(|url| ["http", "https"].contains(&url.scheme()) && url.has_host());
    let elsewhere = "no password belongs here: write the URL to a file that only Nilas may read, and name that as url_file";
    Wrong::unless(!passwords::stands_in(url), key, "a URL with a user or a password", elsewhere)
        .or_else(|| Wrong::unless(right, key, quoted(url), "give a URL with http:// or https://"))
}

fn quoted(text: &str) -> String {
    format!("\"{text}\"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Overrides};

    const FILE: &str = "config/nilas.toml";
    const MAIL: &str = "[notify.mail]\nenabled = true\nserver = \"smtp.example.org\"\nfrom = \"Nilas <nilas@example.org>\"\n\
                        authorities = \"own.pem\"\n[notify.mail.recipients]\nfailure = [\n    \"duty@example.org\",\n]\n";

    fn notify(section: &str) -> Result<Notify, ConfigError> {
        let text = fs::read_to_string("config/demo.toml").unwrap();
        let path = Path::new("/etc/nilas/changed.toml");
        Config::from_text(&format!("{text}\n{section}"), path, &Overrides::default())
            .map(|config| config.notify)
    }

    #[test]
    fn nobody_is_told_where_nothing_is_said_and_as_shipped() {
        let said_nothing = notify("").unwrap();
        assert_eq!(said_nothing, Notify::default());
        assert!(!said_nothing.mail.enabled && !said_nothing.webhook.enabled && !said_nothing.digest.enabled);
        assert!(!said_nothing.heartbeat.is_configured());
        let shipped = Config::load(Path::new(FILE), &Overrides::default()).unwrap().notify;
        assert!(!shipped.mail.enabled && !shipped.webhook.enabled && !shipped.heartbeat.is_configured());
    }

    #[test]
    fn relative_paths_are_meant_from_the_file() {
        let read = notify(&format!("[notify]\ntemplates = \"templates\"\n{MAIL}")).unwrap();
        assert_eq!(read.templates.as_deref(), Some(Path::new("/etc/nilas/templates")));
        assert_eq!(read.mail.authorities.as_deref(), Some(Path::new("/etc/nilas/own.pem")));
    }

    #[test]
    fn errors_name_the_key_the_value_and_the_remedy() {
        let mail = |change: &str, to: &str| {
            assert!(MAIL.contains(change), "{change}");
            MAIL.replace(change, to)
        };
        for (section, words) in [
            (mail("smtp.example.org", ""), ["notify.mail.server", "\"\"", "smtp.example.org"]),
            (
                mail("smtp.example.org", "smtp://a"),
                ["notify.mail.server", "smtp://a", "without port or scheme"],
            ),
            (mail("nilas@example.org>", "nilas>"), ["notify.mail.from", "<nilas>", "give an address"]),
            (
                mail("duty@example.org", "duty"),
                ["notify.mail.recipients.failure", "\"duty\"", "duty@example.org"],
            ),
            (mail("\"duty@example.org\",", ""), ["notify.mail.recipients.failure", "[]", "at least one"]),
            (mail("[notify.mail]", "[notify.mail]\nport = 0"), ["notify.mail.port", "0", "587"]),
            (
                mail("[notify.mail]", "[notify.mail]\nsecurity = \"none\"\ncredentials = \"smtp\""),
                ["notify.mail.security", "none", "in the clear"],
            ),
            (
                mail("[notify.mail]", "[notify.mail]\nlist_id = \"a b\""),
                ["notify.mail.list_id", "a b", "host name"],
            ),
            (mail("[notify.mail]", "[notify.mail]\nsecurty = \"tls\""), ["unknown field", "securty", "line"]),
            (
                format!("{MAIL}[notify.digest]\nenabled = true\n"),
                ["notify.mail.recipients.digest", "[]", "notify.digest.enabled"],
            ),
            ("[notify.digest]\nhour_utc = 24\n".into(), ["notify.digest.hour_utc", "24", "0 to 23"]),
            (
                "[notify]\nfirst_reminder_hours = 200.0\n".into(),
                ["notify.first_reminder_hours", "200", "not above"],
            ),
            (
                "[notify]\nfirst_reminder_hours = nan\n".into(),
                ["notify.first_reminder_hours", "NaN", "not above"],
            ),
            ("[notify.webhook]\nenabled = true\n".into(), ["notify.webhook.url", "neither", "one of"]),
            ("[notify.webhook]\nurl = \"a.b/c\"\n".into(), ["notify.webhook.url", "a.b/c", "https://"]),
            (
                "[notify.webhook]\ntemplate = \"../x\"\n".into(),
                ["notify.webhook.template", "../x", "webhook.json"],
            ),
            (
                "[notify.heartbeat]\nurl = \"https://ice:secret@a/\"\n".into(),
                ["notify.heartbeat.url", "with a user or a password", "url_file"],
            ),
            (
                "[notify.heartbeat]\nurl = \"ftp://a/\"\n".into(),
                ["notify.heartbeat.url", "ftp://a/", "https://"],
            ),
            (
                "[notify.heartbeat]\ninterval_minutes = 0\n".into(),
                ["notify.heartbeat.interval_minutes", "0", "at least 1"],
            ),
        ] {
            let message = notify(&section).unwrap_err().to_string();
            for word in words {
                assert!(message.contains(word), "{word} is not in: {message}");
            }
        }
    }

    #[test]
    fn the_failure_mailer_reads_its_part_whatever_stands_around_it() {
        let path = Path::new("/etc/nilas/nilas.toml");
        let expected = MailSettings::from_text(MAIL, path).unwrap();
        assert!(expected.enabled);
        assert_eq!(expected.recipients.failure, ["duty@example.org"]);
        assert_eq!(expected.authorities.as_deref(), Some(Path::new("/etc/nilas/own.pem")));
        for around in [
            ("grid = 7\n[unknown]\nkey = \"value\"\n", "[ensemble]\nmembers = -1\n"),
            ("[notify]\nfirst_reminder_hours = \"often\"\n", "[notify.digest]\nenabled = 3\n"),
            ("[folders\nproducts = no quotes\n", "[ensemble]\nmembers ==\n"),
            ("grid = \"unfinished\n", "[notify.webhook]\nurl\n"),
            ("[a]\nkey = 1\nkey = 2\n[a]\n", ""),
        ] {
            let text = format!("{}{MAIL}{}", around.0, around.1);
            assert_eq!(MailSettings::from_text(&text, path).unwrap(), expected, "{text}");
        }
        let none = MailSettings::from_text("grid = 7\n", path).unwrap();
        assert!(!none.enabled);
    }

    #[test]
    fn the_failure_mailer_says_what_is_wrong_with_its_own_part() {
        let path = Path::new("/etc/nilas/nilas.toml");
        let of = |text: &str| MailSettings::from_text(text, path).unwrap_err().to_string();
        let shape = of("grid = 7\n[notify.mail]\nenabled = \"yes\"\n");
        assert!(shape.contains("line 2") && shape.contains("/etc/nilas/nilas.toml"), "{shape}");
        let value = of(&MAIL.replace("smtp.example.org", ""));
        assert!(value.contains("notify.mail.server"), "{value}");
        let missing = MailSettings::read(Path::new("/nowhere/nilas.toml")).unwrap_err().to_string();
        assert!(missing.contains("/nowhere/nilas.toml"), "{missing}");
    }
}
