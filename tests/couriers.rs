//! What every courier must do, asked of each with a real server at the other end; and what is the webhook's own.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "common/hand_clock.rs"]
mod hand_clock;
#[path = "common/smtp_server.rs"]
mod smtp_server;
#[path = "common/webhook_server.rs"]
mod webhook_server;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use chrono::TimeDelta;
use mail_parser::MessageParser;
use nilas::config::{HeartbeatSettings, MailSecurity, Notify, WebhookSettings};
use nilas::ledger::{Ledger, Severity};
use nilas::notify::{Courier, Letter, Notifier, SmtpCourier, Undelivered, WebhookCourier};
use nilas::time::Clock;
use serde_json::{Value, json};
use tempfile::TempDir;

use hand_clock::HandClock;
use smtp_server::{PASSWORD, SmtpServer};
use webhook_server::WebhookServer;

/// A part of the webhook's address that nobody may see.
const TOKEN: &str = "T0KEN-9f31";

/// The server at the other end.
enum Server {
    Mail(SmtpServer),
    Webhook(WebhookServer),
}

impl Server {
    fn is_down(&mut self, is_down: bool) {
        match (self, is_down) {
            (Self::Mail(server), true) => server.end(),
            (Self::Mail(server), false) => server.begin(),
            (Self::Webhook(server), true) => server.answer(503),
            (Self::Webhook(server), false) => server.answer(200),
        }
    }

    /// Texts of what has arrived.
    fn texts(&self) -> Vec<String> {
        match self {
            Self::Mail(server) => {
                let text = |mail: &smtp_server::Arrived| {
                    assert_eq!(mail.to, ["duty@example.org"]);
                    assert!(mail.is_encrypted && mail.user.is_some());
                    let message = MessageParser::default().parse(&mail.mail).unwrap();
                    format!("{}: {}", message.subject().unwrap(), message.body_text(0).unwrap().trim_end())
                };
                server.arrived().iter().map(text).collect()
            }
            Self::Webhook(server) => {
                server.bodies().iter().map(|body| body["text"].as_str().unwrap().to_owned()).collect()
            }
        }
    }
}

/// A courier and its server.
struct Peer {
    courier: Box<dyn Courier>,
    server: Server,
    /// A recipient who is refused, where the channel has recipients.
    refused: Option<&'static str>,
    secret: &'static str,
}

async fn peers() -> Vec<Peer> {
    let server = WebhookServer::start().await;
    let url = format!("{}/{TOKEN}", server.url());
    let settings = WebhookSettings { enabled: true, url: Some(url), ..WebhookSettings::default() };
    let courier = Box::new(WebhookCourier::new(&settings).unwrap());
    let mut peers = vec![Peer { courier, server: Server::Webhook(server), refused: None, secret: TOKEN }];
    for security in [MailSecurity::StartTls, MailSecurity::Tls] {
        let Some(server) = SmtpServer::start(security, true, &["gone@example.org"]) else { continue };
        let courier = Box::new(SmtpCourier::new(&server.settings()).unwrap());
        let refused = Some("gone@example.org");
        peers.push(Peer { courier, server: Server::Mail(server), refused, secret: PASSWORD });
    }
    peers
}

fn letter(number: u32) -> Letter {
    let (subject, text) = (format!("Zeichen № {number}"), format!("Eis – 海氷 {number}\n.\nFrom here"));
    Letter {
        severity: Severity::Warning,
        json: json!({ "text": format!("{subject}: {text}") }).to_string(),
        html: format!("<p>{text}</p>"),
        subject,
        text,
        date: HandClock::new("2026-03-02T05:30:00Z").now(),
        id: format!("letter.{number}"),
        follows: None,
        picture: None,
    }
}

fn expected(number: u32) -> String {
    let letter = letter(number);
    format!("{}: {}", letter.subject, letter.text)
}

#[tokio::test]
async fn a_letter_arrives_once_and_whole() {
    for peer in peers().await {
        peer.courier.deliver(&letter(1), "duty@example.org").await.unwrap();
        peer.courier.deliver(&letter(2), "duty@example.org").await.unwrap();
        let texts: Vec<String> = peer.server.texts().iter().map(|text| text.replace("\r\n", "\n")).collect();
        assert_eq!(texts, [expected(1), expected(2)]);
    }
}

#[tokio::test]
async fn a_server_that_is_down_is_no_fault_of_the_letter_and_it_passes_later() {
    for mut peer in peers().await {
        peer.server.is_down(true);
        let undelivered = peer.courier.deliver(&letter(1), "duty@example.org").await.unwrap_err();
        assert!(matches!(undelivered, Undelivered::Channel(_)), "{undelivered:?}");
        let reason = undelivered.to_string();
        assert!(reason.contains(&peer.courier.place()) && reason.contains("check"), "{reason}");
        assert!(!reason.contains(peer.secret) && !peer.courier.place().contains(peer.secret), "{reason}");
        peer.server.is_down(false);
        let before = peer.server.texts().len();
        peer.courier.deliver(&letter(2), "duty@example.org").await.unwrap();
        assert_eq!(peer.server.texts().len(), before + 1);
    }
}

#[tokio::test]
async fn a_recipient_who_is_refused_is_no_fault_of_the_channel() {
    for peer in peers().await {
        let Some(refused) = peer.refused else { continue };
        let undelivered = peer.courier.deliver(&letter(1), refused).await.unwrap_err();
        assert!(
            matches!(&undelivered, Undelivered::Letter(reason) if reason.contains(refused)),
            "{undelivered:?}"
        );
        peer.courier.deliver(&letter(2), "duty@example.org").await.unwrap();
        assert_eq!(peer.server.texts().len(), 1);
    }
}

#[tokio::test]
async fn what_the_service_answers_decides_whether_others_may_pass() {
    let mut server = WebhookServer::start().await;
    let settings = WebhookSettings {
        enabled: true,
        url: Some(format!("{}/{TOKEN}", server.url())),
        ..WebhookSettings::default()
    };
    let courier = WebhookCourier::new(&settings).unwrap();
    for (status, is_channel) in [
        (400, false),
        (413, false),
        (422, false),
        (302, true),
        (401, true),
        (404, true),
        (429, true),
        (500, true),
    ] {
        server.answer(status);
        let undelivered = courier.deliver(&letter(1), "webhook").await.unwrap_err();
        assert_eq!(matches!(undelivered, Undelivered::Channel(_)), is_channel, "{status}: {undelivered}");
        assert!(undelivered.to_string().contains(&status.to_string()), "{undelivered}");
        assert!(!undelivered.to_string().contains(TOKEN), "{undelivered}");
    }
}

/// A notifier that tells by webhook and gives signs of life.
fn notifier(folder: &TempDir, config: &Notify, clock: &Arc<HandClock>) -> (Notifier, Arc<Ledger>) {
    let ledger = Arc::new(Ledger::open(&folder.path().join("ledger.sqlite")).unwrap());
    let clock: Arc<dyn Clock> = Arc::clone(clock) as _;
    (Notifier::new(config, Arc::clone(&ledger), clock).unwrap(), ledger)
}

#[tokio::test]
async fn a_centre_says_what_its_service_is_sent_and_its_address_stays_secret() {
    let mut server = WebhookServer::start().await;
    let folder = tempfile::tempdir().unwrap();
    let url_file = folder.path().join("url");
    fs::write(&url_file, format!("{}/{TOKEN}\n", server.url())).unwrap();
    fs::set_permissions(&url_file, fs::Permissions::from_mode(0o600)).unwrap();
    let templates = folder.path().join("templates");
    fs::create_dir(&templates).unwrap();
    let template = r#"{"msgtype": "m.text", "body": {{ subject }}, "level": {{ severity }}, "key": {{ incident.key if incident }}}"#;
    fs::write(templates.join("chat.json"), template).unwrap();
    let mut config = Notify { templates: Some(templates), ..Notify::default() };
    config.webhook = WebhookSettings {
        enabled: true,
        url_file: Some(url_file),
        template: "chat.json".to_owned(),
        ..config.webhook
    };
    let clock = Arc::new(HandClock::new("2026-03-02T05:30:00Z"));
    let (notifier, ledger) = notifier(&folder, &config, &clock);

    ledger.raise("season:drift", Severity::Notice, "the season is over", clock.now()).unwrap();
    ledger.raise("late:drift", Severity::Warning, "drift is \"late\"", clock.now()).unwrap();
    assert_eq!(notifier.queue_due().unwrap(), 1);
    server.answer(500);
    let delivered = notifier.deliver().await.unwrap();
    assert_eq!((delivered.sent, delivered.failed, delivered.waiting), (0, 1, 1));
    let reason = delivered.first_failure.unwrap();
    assert!(reason.starts_with("webhook: 127.0.0.1 answers 500") && !reason.contains(TOKEN), "{reason}");
    server.answer(204);
    assert_eq!(notifier.deliver().await.unwrap().sent, 0, "not before a minute has passed");
    clock.pass(TimeDelta::minutes(1));
    assert_eq!(notifier.deliver().await.unwrap().sent, 1);
    let message: Value = server.bodies().pop().unwrap();
    let expected = json!({
        "msgtype": "m.text", "body": "[Nilas] warning: drift is \"late\"", "level": "warning", "key": "late:drift",
    });
    assert_eq!(message, expected);
    assert_eq!(server.paths(), vec![format!("POST /hook/{TOKEN}"); 2]);
}

#[tokio::test]
async fn a_sign_of_life_is_a_get_and_a_watcher_who_does_not_take_it_is_named() {
    let mut server = WebhookServer::start().await;
    let folder = tempfile::tempdir().unwrap();
    let url = Some(format!("{}/{TOKEN}", server.url()));
    let config =
        Notify { heartbeat: HeartbeatSettings { url, ..HeartbeatSettings::default() }, ..Notify::default() };
    let clock = Arc::new(HandClock::new("2026-03-02T05:30:00Z"));
    let (notifier, _ledger) = notifier(&folder, &config, &clock);
    notifier.beat().await.unwrap();
    assert_eq!(server.paths(), [format!("GET /hook/{TOKEN}")]);
    server.answer(404);
    let failed = notifier.beat().await.unwrap_err().to_string();
    assert!(failed.contains("127.0.0.1 answers 404") && !failed.contains(TOKEN), "{failed}");
    drop(server);
    let lines = notifier.send_test().await.unwrap_err().to_string();
    assert!(
        lines.starts_with("heartbeat: FAILS: 127.0.0.1 cannot be reached") && !lines.contains(TOKEN),
        "{lines}"
    );
}
