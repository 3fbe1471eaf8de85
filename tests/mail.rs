//! Mail as it arrives: Nilas talks to a real mail server with TLS and login, and what the server was given is taken apart.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "common/hand_clock.rs"]
mod hand_clock;
#[path = "common/smtp_server.rs"]
mod smtp_server;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use chrono::TimeDelta;
use mail_parser::{Address, HeaderValue, Message, MessageParser, MimeHeaders, PartType};
use nilas::config::{MailSecurity, MailSettings, Notify};
use nilas::ledger::{Ledger, Severity};
use nilas::notify::{Delivered, Digest, DigestEntry, DigestInput, DigestTiming, Notifier};
use nilas::time::Clock;
use tempfile::TempDir;

use hand_clock::HandClock;
use smtp_server::{PASSWORD, SmtpServer, USER};

/// What is the matter, with letters that ASCII does not have.
const TEXT: &str = "drift is late: the newest is centred on 2026-02-27 (Grønland, 海氷 <b>); see <https://example.org/?a=1&b=2>";

const WRONG_PASSWORD: &str = "wrong password";

/// A ledger, a clock, and what leads to a server.
struct World {
    folder: TempDir,
    ledger: Arc<Ledger>,
    clock: Arc<HandClock>,
    config: Notify,
}

impl World {
    fn new(settings: MailSettings) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Arc::new(Ledger::open(&folder.path().join("ledger.sqlite")).unwrap());
        let clock = Arc::new(HandClock::new("2026-03-02T05:30:00Z"));
        let mut config = Notify { mail: settings, ..Notify::default() };
        config.digest.enabled = true;
        Self { folder, ledger, clock, config }
    }

    fn notifier(&self) -> Notifier {
        let clock: Arc<dyn Clock> = Arc::clone(&self.clock) as _;
        Notifier::new(&self.config, Arc::clone(&self.ledger), clock).unwrap()
    }

    fn raise(&self, key: &str, text: &str) {
        self.ledger.raise(key, Severity::Warning, text, self.clock.now()).unwrap();
    }

    /// One round as the daemon makes it.
    async fn round(&self) -> Delivered {
        let notifier = self.notifier();
        notifier.queue_due().unwrap();
        notifier.deliver().await.unwrap()
    }
}

fn parsed(mail: &[u8]) -> Message<'_> {
    MessageParser::default().parse(mail).unwrap()
}

/// The only text of a header.
fn header(message: &Message<'_>, name: &str) -> String {
    let values: Vec<_> = message.header_values(name).collect();
    let [value] = values.as_slice() else { panic!("{name}: {values:?}") };
    match value {
        HeaderValue::Text(text) => text.to_string(),
        HeaderValue::Address(Address::List(list)) => list[0].address.as_deref().unwrap().to_owned(),
        other => panic!("{name}: {other:?}"),
    }
}

/// The names of a message's parts, in their order.
fn structure(message: &Message<'_>) -> Vec<String> {
    let name = |part: &mail_parser::MessagePart<'_>| {
        let kind = part.content_type().unwrap();
        format!("{}/{}", kind.ctype(), kind.subtype().unwrap())
    };
    message.parts.iter().map(name).collect()
}

#[tokio::test]
async fn the_mails_of_an_incident_are_a_thread_that_programs_sort_and_do_not_answer() {
    let Some(server) = SmtpServer::start(MailSecurity::StartTls, true, &[]) else { return };
    let world = World::new(server.settings());
    world.raise("late:drift", TEXT);
    assert_eq!(world.round().await, Delivered { sent: 1, ..Delivered::default() });
    world.clock.pass(TimeDelta::hours(24));
    assert_eq!(world.round().await.sent, 1);
    world.clock.pass(TimeDelta::hours(3));
    world.ledger.settle("late:drift", world.clock.now()).unwrap();
    assert_eq!(world.round().await.sent, 1);
    assert_eq!(world.round().await.sent, 0);

    let arrived = server.arrived();
    let [first, reminder, over] = arrived.as_slice() else { panic!("{} mails", arrived.len()) };
    for (mail, start, hours) in
        [(first, "warning: ", 0), (reminder, "reminder 1, warning: ", 24), (over, "over: ", 27)]
    {
        assert_eq!(mail.to, ["duty@example.org"]);
        assert!(mail.is_encrypted);
        assert_eq!(mail.user.as_deref(), Some(USER));
        assert!(mail.mail.is_ascii(), "everything is encoded for servers without 8BITMIME");
        let message = parsed(&mail.mail);
        let subject = message.subject().unwrap();
        assert_eq!(
            subject,
            format!("[Nilas] {start}drift is late: the newest is centred on 2026-02-27 (Grønland, 海氷 <b>)")
        );
        let from = message.from().unwrap().first().unwrap();
        assert_eq!((from.name(), from.address()), (Some("Nilas Øst"), Some("nilas@ice.example.org")));
        let to = message.to().unwrap().first().unwrap();
        assert_eq!((to.name(), to.address()), (Some("Vakt Nødetat"), Some("duty@example.org")));
        let date = message.date().unwrap().to_timestamp();
        assert_eq!(date, (world.clock.now() - TimeDelta::hours(27 - hours)).timestamp());
        assert_eq!(header(&message, "List-Id"), "nilas.ice.example.org");
        assert_eq!(header(&message, "Auto-Submitted"), "auto-generated");
        assert_eq!(structure(&message), ["multipart/alternative", "text/plain", "text/html"]);
        let text = message.body_text(0).unwrap();
        assert!(text.contains("Grønland, 海氷 <b>"), "{text}");
        let html = message.body_html(0).unwrap();
        assert!(html.contains("Grønland, 海氷 &lt;b&gt;"), "{html}");
    }
    let (first, reminder, over) = (parsed(&first.mail), parsed(&reminder.mail), parsed(&over.mail));
    let thread = first.message_id().unwrap();
    assert!(thread.ends_with("@ice.example.org"), "{thread}");
    assert!(first.in_reply_to().as_text().is_none() && first.references().as_text().is_none());
    for later in [&reminder, &over] {
        assert_eq!(later.in_reply_to().as_text(), Some(thread));
        assert_eq!(later.references().as_text(), Some(thread));
        assert_ne!(later.message_id(), Some(thread));
    }
    assert_ne!(reminder.message_id(), over.message_id());
}

#[tokio::test]
async fn the_daily_mail_shows_the_picture_inside_the_html() {
    let Some(server) = SmtpServer::start(MailSecurity::Tls, true, &[]) else { return };
    let world = World::new(server.settings());
    let quicklook = world.folder.path().join("nilas_sit_epsg3413-3km_20260301_r01.png");
    let png: Vec<u8> = (0..200_000_u32).map(|number| (number.wrapping_mul(number) >> 7) as u8).collect();
    fs::write(&quicklook, &png).unwrap();
    let entry = DigestEntry {
        day: "2026-03-01".parse().unwrap(),
        revision: 1,
        status: "provisional".to_owned(),
        published_at: world.clock.now(),
        inputs: vec![DigestInput {
            role: "thickness".to_owned(),
            name: "cs2smos_v206.nc".to_owned(),
            age_days: 4.0,
        }],
        timings: vec![DigestTiming { stage: "members".to_owned(), seconds: 512.0 }],
        place: None,
    };
    let day = "2026-03-02".parse().unwrap();
    let digest = Digest { day, published: vec![entry], quicklook: Some(quicklook) };
    let notifier = world.notifier();
    assert!(notifier.queue_digest(&digest).unwrap());
    assert_eq!(notifier.deliver().await.unwrap().sent, 1);

    let arrived = server.arrived();
    assert!(arrived[0].is_encrypted);
    let message = parsed(&arrived[0].mail);
    let expected = ["multipart/alternative", "text/plain", "multipart/related", "text/html", "image/png"];
    assert_eq!(structure(&message), expected);
    let image = message.parts.last().unwrap();
    assert_eq!(image.content_id(), Some("quicklook"));
    assert!(image.content_disposition().unwrap().is_inline());
    assert_eq!(image.attachment_name(), Some("nilas_sit_epsg3413-3km_20260301_r01.png"));
    let (PartType::InlineBinary(bytes) | PartType::Binary(bytes)) = &image.body else {
        panic!("{:?}", image.body)
    };
    assert_eq!(bytes.as_ref(), png);
    assert!(message.body_html(0).unwrap().contains("src=\"cid:quicklook\""));
    let text = message.body_text(0).unwrap();
    for part in
        ["2026-03-01, revision 1, PROVISIONAL", "thickness: 4 days old, cs2smos_v206.nc", "Nothing is open."]
    {
        assert!(text.contains(part), "{part} is not in {text}");
    }
}

#[tokio::test]
async fn a_server_that_is_down_for_a_day_gets_every_mail_once_afterwards() {
    let Some(mut server) = SmtpServer::start(MailSecurity::StartTls, true, &[]) else { return };
    let world = World::new(server.settings());
    server.end();
    let mut failed = 0;
    for round in 0..24 * 4 {
        if round % 16 == 0 {
            world.raise(&format!("cause:{}", round / 16), &format!("cause {}", round / 16));
        }
        let delivered = world.round().await;
        assert_eq!(delivered.sent, 0);
        failed += delivered.failed;
        if let Some(reason) = delivered.first_failure {
            assert!(reason.contains("localhost:") && reason.contains("notify.mail.server"), "{reason}");
        }
        world.clock.pass(TimeDelta::minutes(15));
    }
    assert!(failed <= 28, "{failed} tries: one an hour is enough");
    world.ledger.settle("cause:3", world.clock.now()).unwrap();
    server.begin();
    let mut sent = 0;
    for _ in 0..12 {
        sent += world.round().await.sent;
        world.clock.pass(TimeDelta::minutes(10));
    }
    assert_eq!(sent, 7);
    let arrived = server.arrived();
    let subjects: Vec<String> =
        arrived.iter().map(|mail| parsed(&mail.mail).subject().unwrap().to_owned()).collect();
    let mut expected: Vec<String> = (0..6).map(|cause| format!("[Nilas] warning: cause {cause}")).collect();
    expected.push("[Nilas] over: cause 3".to_owned());
    assert_eq!(subjects, expected);
}

#[tokio::test]
async fn a_mailbox_that_is_refused_keeps_no_other_from_its_mail() {
    let Some(server) = SmtpServer::start(MailSecurity::StartTls, true, &["gone@example.org"]) else { return };
    let mut settings = server.settings();
    settings.recipients.warning = vec!["gone@example.org".to_owned(), "duty@example.org".to_owned()];
    let world = World::new(settings);
    world.raise("late:drift", TEXT);
    let delivered = world.round().await;
    assert_eq!((delivered.sent, delivered.failed, delivered.waiting), (1, 1, 1));
    let reason = delivered.first_failure.unwrap();
    assert!(reason.contains("gone@example.org") && reason.contains("no such mailbox"), "{reason}");
    assert_eq!(server.arrived()[0].to, ["duty@example.org"]);
}

/// No password that a test uses may stand there.
fn assert_keeps_passwords(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for password in [PASSWORD, WRONG_PASSWORD] {
        assert!(!text.contains(password), "{text}");
    }
}

/// The reason why nothing arrives with these settings.
async fn refusal(server: &SmtpServer, settings: MailSettings) -> String {
    let world = World::new(settings);
    world.raise("late:drift", TEXT);
    let delivered = world.round().await;
    assert_eq!((delivered.sent, delivered.waiting), (0, 1));
    assert_eq!(server.arrived().len(), 0);
    let reason = delivered.first_failure.unwrap();
    assert_keeps_passwords(reason.as_bytes());
    for entry in fs::read_dir(world.folder.path()).unwrap() {
        assert_keeps_passwords(&fs::read(entry.unwrap().path()).unwrap());
    }
    reason
}

#[tokio::test]
async fn a_server_is_refused_that_nobody_vouches_for() {
    for security in [MailSecurity::StartTls, MailSecurity::Tls] {
        let Some(server) = SmtpServer::start(security, true, &[]) else { return };
        let unknown = refusal(&server, MailSettings { authorities: None, ..server.settings() }).await;
        assert!(unknown.contains("UnknownIssuer") && unknown.contains("authorities"), "{unknown}");
        let another =
            refusal(&server, MailSettings { server: "127.0.0.1".to_owned(), ..server.settings() }).await;
        assert!(another.contains("127.0.0.1") && another.contains("certificate"), "{another}");
    }
}

#[tokio::test]
async fn nothing_is_said_to_a_server_that_does_not_change_to_tls() {
    let Some(server) = SmtpServer::start(MailSecurity::None, true, &[]) else { return };
    let settings = MailSettings { security: MailSecurity::StartTls, ..server.settings() };
    let reason = refusal(&server, settings).await;
    assert!(reason.contains("STARTTLS") && reason.contains("notify.mail.security"), "{reason}");
}

#[tokio::test]
async fn a_wrong_password_is_said_and_not_shown() {
    let Some(server) = SmtpServer::start(MailSecurity::StartTls, true, &[]) else { return };
    let settings =
        MailSettings { credentials: Some(server.credentials(WRONG_PASSWORD)), ..server.settings() };
    let reason = refusal(&server, settings).await;
    assert!(reason.contains(&format!("does not let {USER} in")), "{reason}");
    assert!(reason.contains("535") && reason.contains("notify.mail.credentials"), "{reason}");
}

#[tokio::test]
async fn a_server_in_the_same_room_may_be_spoken_to_in_the_clear() {
    let Some(server) = SmtpServer::start(MailSecurity::None, false, &[]) else { return };
    let world = World::new(server.settings());
    world.raise("late:drift", TEXT);
    assert_eq!(world.round().await.sent, 1);
    let arrived = server.arrived();
    assert!(!arrived[0].is_encrypted && arrived[0].user.is_none());
}

/// The mail settings as they stand in a configuration.
fn mail_section(settings: &MailSettings) -> String {
    #[derive(serde::Serialize)]
    struct Section<'a> {
        notify: Mail<'a>,
    }
    #[derive(serde::Serialize)]
    struct Mail<'a> {
        mail: &'a MailSettings,
    }
    toml::to_string(&Section { notify: Mail { mail: settings } }).unwrap()
}

fn nilas(arguments: &[&str], config: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nilas"));
    command.args(arguments).arg("--config").arg(config);
    command
        .env("NILAS_LOG", "trace")
        .env("MONITOR_SERVICE_RESULT", "exit-code")
        .env("MONITOR_EXIT_CODE", "exited");
    command.env("MONITOR_EXIT_STATUS", "2").env("MONITOR_INVOCATION_ID", "4c1e8f0e2f6b4f0e");
    let output = command.output().unwrap();
    for stream in [&output.stdout, &output.stderr] {
        assert_keeps_passwords(stream);
    }
    output
}

/// The demonstration's configuration with this section, as a file in `folder`.
fn configuration(folder: &Path, section: &str) -> PathBuf {
    let root = env!("CARGO_MANIFEST_DIR");
    let text = fs::read_to_string(format!("{root}/config/demo.toml")).unwrap();
    let text = text
        .replace("\"grids/", &format!("\"{root}/config/grids/"))
        .replace("\"../demo", &format!("\"{}", folder.display()));
    let text = text.replace("\"../", &format!("\"{root}/"));
    let path = folder.join("nilas.toml");
    fs::write(&path, format!("{text}\n{section}")).unwrap();
    path
}

#[test]
fn a_test_says_what_each_server_answers() {
    let Some(server) = SmtpServer::start(MailSecurity::StartTls, true, &[]) else { return };
    let folder = tempfile::tempdir().unwrap();
    let tested = nilas(&["notify", "test"], &configuration(folder.path(), &mail_section(&server.settings())));
    let said = String::from_utf8(tested.stdout).unwrap();
    assert_eq!(tested.status.code(), Some(0), "{said}");
    assert!(
        said.starts_with("mail: localhost:")
            && said.contains("has taken a mail to Vakt Nødetat <duty@example.org>"),
        "{said}"
    );
    assert_eq!(server.arrived().len(), 1);
    let settings =
        MailSettings { credentials: Some(server.credentials(WRONG_PASSWORD)), ..server.settings() };
    let failed = nilas(&["notify", "test"], &configuration(folder.path(), &mail_section(&settings)));
    let said = String::from_utf8(failed.stderr).unwrap();
    assert_eq!(failed.status.code(), Some(1), "{said}");
    assert!(said.contains("mail: FAILS: the mail server localhost:"), "{said}");
    assert_eq!(server.arrived().len(), 1);
}

#[test]
fn a_failed_unit_is_mailed_whatever_the_rest_of_the_configuration_is() {
    let Some(server) = SmtpServer::start(MailSecurity::StartTls, true, &[]) else { return };
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("nilas.toml");
    let section = mail_section(&server.settings());
    for text in [
        format!("grid = 7\n{section}"),
        format!("[folders\nproducts =\n{section}\n[ensemble]\nmembers = many\n"),
    ] {
        fs::write(&config, text).unwrap();
        let output = nilas(&["notify", "failure", "nilas.service"], &config);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(0), "{said}");
    }
    let arrived = server.arrived();
    assert_eq!(arrived.len(), 2);
    let message = parsed(&arrived[1].mail);
    let subject = message.subject().unwrap();
    assert!(subject.starts_with("[Nilas] failure: nilas.service has stopped on "), "{subject}");
    assert_eq!(header(&message, "Importance"), "high");
    let text = message.body_text(0).unwrap();
    for part in
        ["journalctl -u nilas.service", "nilas check --offline", "exit-code", "exited 2", "4c1e8f0e2f6b4f0e"]
    {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    assert_ne!(parsed(&arrived[0].mail).message_id(), message.message_id());
}

#[test]
fn a_failed_unit_that_nobody_is_told_of_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("nilas.toml");
    fs::write(&config, "grid = 7\n").unwrap();
    let output = nilas(&["notify", "failure", "nilas.service"], &config);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("nobody is told by mail") && said.contains("notify.mail.enabled"), "{said}");
}
