//! The notifier with couriers that only take notes, a ledger in a folder, and a clock that stands still until it is moved.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use proptest::prelude::*;
use tempfile::TempDir;

use super::samples;
use super::*;
use crate::config::{HeartbeatSettings, Notify, Recipients};

/// A clock that is moved by hand.
struct HandClock(Mutex<DateTime<Utc>>);

impl Clock for HandClock {
    fn now(&self) -> DateTime<Utc> {
        *locked(&self.0)
    }

    fn monotonic(&self) -> Duration {
        (self.now() - start()).to_std().unwrap_or_default()
    }
}

fn start() -> DateTime<Utc> {
    "2026-03-02T05:30:00Z".parse().unwrap()
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a courier was given, and whether it takes letters.
#[derive(Default)]
struct Notes {
    taken: Mutex<Vec<(String, Letter)>>,
    tries: Mutex<usize>,
    is_down: Mutex<bool>,
    /// The clock, where each letter takes three minutes, and none arrives.
    slow: Mutex<Option<Arc<HandClock>>>,
    refused: Mutex<Vec<String>>,
}

struct NotingCourier(Arc<Notes>);

#[async_trait]
impl Courier for NotingCourier {
    async fn deliver(&self, letter: &Letter, recipient: &str) -> Result<(), Undelivered> {
        *locked(&self.0.tries) += 1;
        if let Some(clock) = &*locked(&self.0.slow) {
            *locked(&clock.0) += TimeDelta::minutes(3);
            return Err(Undelivered::Letter("not within 180 s".to_owned()));
        }
        if *locked(&self.0.is_down) {
            return Err(Undelivered::Channel("nobody listens".to_owned()));
        }
        if locked(&self.0.refused).iter().any(|refused| refused == recipient) {
            return Err(Undelivered::Letter(format!("no such mailbox {recipient}")));
        }
        locked(&self.0.taken).push((recipient.to_owned(), letter.clone()));
        Ok(())
    }

    fn place(&self) -> String {
        "notes".to_owned()
    }
}

struct World {
    _folder: TempDir,
    ledger: Arc<Ledger>,
    clock: Arc<HandClock>,
    mail: Arc<Notes>,
    webhook: Arc<Notes>,
    config: Notify,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Arc::new(Ledger::open(&folder.path().join("ledger.sqlite")).unwrap());
        let mut config = Notify::default();
        let address = |name: &str| format!("{name}@example.org");
        config.mail.recipients = Recipients {
            failure: vec![address("duty"), address("head")],
            warning: vec![address("duty")],
            notice: Vec::new(),
            digest: vec![address("duty")],
        };
        config.digest.enabled = true;
        let clock = Arc::new(HandClock(Mutex::new(start())));
        Self { _folder: folder, ledger, clock, mail: Arc::default(), webhook: Arc::default(), config }
    }

    fn notifier_with(&self, mail: bool, webhook: bool) -> Notifier {
        let courier = |notes: &Arc<Notes>| Box::new(NotingCourier(Arc::clone(notes))) as Box<dyn Courier>;
        let (mail, webhook) = (mail.then(|| courier(&self.mail)), webhook.then(|| courier(&self.webhook)));
        let clock: Arc<dyn Clock> = Arc::clone(&self.clock) as _;
        Notifier::with_couriers(&self.config, Arc::clone(&self.ledger), clock, mail, webhook).unwrap()
    }

    /// By mail only.
    fn notifier(&self) -> Notifier {
        self.notifier_with(true, false)
    }

    fn raise(&self, key: &str, severity: Severity) {
        self.ledger
            .raise(key, severity, &format!("{key} is the matter; do something"), self.clock.now())
            .unwrap();
    }

    fn settle(&self, key: &str) {
        self.ledger.settle(key, self.clock.now()).unwrap();
    }

    fn pass(&self, minutes: i64) {
        *locked(&self.clock.0) += TimeDelta::minutes(minutes);
    }

    /// One round as the daemon makes it; a new notifier each time, because it must remember nothing.
    fn round(&self) -> Delivered {
        let notifier = self.notifier();
        notifier.queue_due().unwrap();
        deliver(&notifier)
    }

    /// Rounds every ten minutes for so many hours.
    fn rounds(&self, hours: i64) {
        for _ in 0..hours * 6 {
            self.round();
            self.pass(10);
        }
    }

    /// Recipients and subjects so far.
    fn mails(&self) -> Vec<(String, String)> {
        locked(&self.mail.taken).iter().map(|(to, letter)| (name(to), letter.subject.clone())).collect()
    }
}

fn name(address: &str) -> String {
    address.split('@').next().unwrap().to_owned()
}

fn deliver(notifier: &Notifier) -> Delivered {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(notifier.deliver()).unwrap()
}

fn mails(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(to, subject)| ((*to).to_owned(), (*subject).to_owned())).collect()
}

#[test]
fn an_incident_is_told_once_when_it_begins_and_once_when_it_is_over() {
    let world = World::new();
    world.raise("late:drift", Severity::Warning);
    world.rounds(12);
    world.raise("late:drift", Severity::Warning);
    world.rounds(2);
    world.settle("late:drift");
    world.rounds(500);
    let subjects = [
        ("duty", "[Nilas] warning: late:drift is the matter"),
        ("duty", "[Nilas] over: late:drift is the matter"),
    ];
    assert_eq!(world.mails(), mails(&subjects));
    let taken = locked(&world.mail.taken);
    let (first, over) = (&taken[0].1, &taken[1].1);
    assert_eq!(over.follows.as_ref(), Some(&first.id), "they are one thread");
    assert_eq!(first.follows, None);
    assert_ne!(over.id, first.id);
    assert_eq!(first.date, start());
}

#[test]
fn nothing_is_said_of_what_is_over_before_anybody_was_told() {
    let world = World::new();
    world.raise("late:drift", Severity::Failure);
    world.settle("late:drift");
    world.rounds(48);
    assert_eq!(world.mails(), []);
}

#[test]
fn reminders_come_after_growing_pauses_and_stop_when_somebody_knows() {
    let world = World::new();
    world.raise("late:drift", Severity::Warning);
    world.rounds(24 * 8);
    let subjects: Vec<String> = world.mails().into_iter().map(|(_, subject)| subject).collect();
    let expected = [
        "[Nilas] warning: late:drift is the matter",
        "[Nilas] reminder 1, warning: late:drift is the matter",
        "[Nilas] reminder 2, warning: late:drift is the matter",
        "[Nilas] reminder 3, warning: late:drift is the matter",
    ];
    assert_eq!(subjects, expected);
    let days: Vec<i64> =
        locked(&world.mail.taken).iter().map(|(_, letter)| (letter.date - start()).num_days()).collect();
    assert_eq!(days, [0, 1, 3, 7]);
    assert!(world.ledger.acknowledge("late:drift", world.clock.now()).unwrap());
    assert!(!world.ledger.acknowledge("late:thickness", world.clock.now()).unwrap());
    world.rounds(24 * 30);
    assert_eq!(world.mails().len(), 4);
    world.settle("late:drift");
    world.rounds(1);
    assert_eq!(world.mails().len(), 5, "it is over also for who has acknowledged it");
}

#[test]
fn what_becomes_worse_is_told_at_once_to_those_who_are_told_of_that() {
    let world = World::new();
    world.raise("late:drift", Severity::Warning);
    world.round();
    world.ledger.acknowledge("late:drift", world.clock.now()).unwrap();
    world.pass(60);
    world.raise("late:drift", Severity::Failure);
    world.rounds(2);
    world.raise("late:drift", Severity::Warning);
    world.rounds(2);
    world.raise("late:drift", Severity::Failure);
    world.rounds(2);
    world.settle("late:drift");
    world.rounds(2);
    let expected = [
        ("duty", "[Nilas] warning: late:drift is the matter"),
        ("duty", "[Nilas] worse, failure: late:drift is the matter"),
        ("head", "[Nilas] worse, failure: late:drift is the matter"),
        ("duty", "[Nilas] over: late:drift is the matter"),
        ("head", "[Nilas] over: late:drift is the matter"),
    ];
    assert_eq!(world.mails(), mails(&expected));
}

#[test]
fn nobody_is_told_of_what_nobody_wants_to_know_until_it_matters() {
    let world = World::new();
    world.raise("season:drift", Severity::Notice);
    world.rounds(2);
    assert_eq!(world.mails(), []);
    world.raise("season:drift", Severity::Warning);
    world.rounds(2);
    assert_eq!(world.mails(), mails(&[("duty", "[Nilas] warning: season:drift is the matter")]));
}

#[test]
fn a_server_that_is_down_for_a_day_loses_nothing_and_floods_nobody() {
    let world = World::new();
    *locked(&world.mail.is_down) = true;
    for key in ["a", "b", "c"] {
        world.raise(key, Severity::Warning);
        world.rounds(1);
    }
    world.settle("b");
    let tries = *locked(&world.mail.tries);
    assert!(tries <= 12, "{tries} tries in 3 hours: one letter stands for all");
    world.rounds(22);
    let down = world.round();
    assert_eq!((down.sent, down.waiting), (0, 4));
    *locked(&world.mail.is_down) = false;
    world.rounds(2);
    let expected = ["warning: a", "warning: b", "warning: c", "over: b"]
        .map(|subject| ("duty", format!("[Nilas] {subject} is the matter")));
    let found = world.mails();
    let expected: Vec<_> = expected.iter().map(|(to, subject)| (*to, subject.as_str())).collect();
    assert_eq!(found, mails(&expected), "each once, in the order in which they were queued");
}

#[test]
fn reminders_do_not_pile_up_while_a_server_is_down() {
    let world = World::new();
    world.raise("a", Severity::Warning);
    world.round();
    *locked(&world.mail.is_down) = true;
    world.rounds(24 * 4);
    assert_eq!(
        world.ledger.unsent(Channel::Mail).unwrap(),
        1,
        "the newer reminder takes the place of the older one"
    );
    *locked(&world.mail.is_down) = false;
    world.rounds(2);
    let subjects: Vec<String> = world.mails().into_iter().map(|(_, subject)| subject).collect();
    assert_eq!(
        subjects,
        ["[Nilas] warning: a is the matter", "[Nilas] reminder 2, warning: a is the matter"]
    );
    *locked(&world.mail.is_down) = true;
    world.rounds(24 * 4);
    world.settle("a");
    *locked(&world.mail.is_down) = false;
    world.rounds(2);
    assert_eq!(world.mails().len(), 3, "what is over is not reminded of");
}

#[test]
fn a_round_of_slow_letters_ends_and_the_others_have_their_turn_later() {
    let world = World::new();
    *locked(&world.mail.slow) = Some(Arc::clone(&world.clock));
    for key in ["a", "b", "c", "d"] {
        world.raise(key, Severity::Failure);
    }
    let first = world.round();
    assert_eq!((first.failed, first.waiting), (4, 8), "a round of twelve minutes, of eight letters");
    *locked(&world.mail.slow) = None;
    world.rounds(1);
    assert_eq!(world.mails().len(), 8);
}

/// A clock that was ahead has put the next try far off, and what was said then came from the future.
#[test]
fn a_clock_that_was_ahead_holds_up_no_letter_when_it_is_right_again() {
    let world = World::new();
    world.pass(365 * 24 * 60);
    *locked(&world.mail.is_down) = true;
    world.raise("a", Severity::Warning);
    assert_eq!(world.round().failed, 1);
    *locked(&world.mail.is_down) = false;
    world.pass(-365 * 24 * 60);
    world.raise("b", Severity::Warning);
    assert_eq!(world.round().sent, 2);
}

#[test]
fn who_cannot_tell_queues_for_who_can() {
    let mut world = World::new();
    world.config.mail.enabled = true;
    world.config.mail.server = "smtp.example.org".to_owned();
    world.config.mail.from = "Nilas <nilas@example.org>".to_owned();
    world.config.mail.credentials = Some("mail".into());
    world.config.heartbeat.url_file = Some("watcher".into());
    let clock: Arc<dyn Clock> = Arc::clone(&world.clock) as _;
    assert!(Notifier::new(&world.config, Arc::clone(&world.ledger), Arc::clone(&clock)).is_err());
    let patient = Notifier::patient(&world.config, Arc::clone(&world.ledger), clock).unwrap();
    assert!(
        patient.queue_announcement("a", Severity::Warning, "a was taken back", "Do not use it.").unwrap()
    );
    let delivered = deliver(&patient);
    assert_eq!((delivered.failed, delivered.waiting), (1, 1));
    assert!(
        delivered
            .first_failure
            .unwrap()
            .contains("credentials = \"mail\" is the name of a systemd credential")
    );
    world.config.heartbeat = HeartbeatSettings::default();
    world.pass(2);
    assert_eq!(world.round().sent, 1, "the daemon can");
}

#[test]
fn a_recipient_who_is_refused_keeps_nobody_else_from_being_told() {
    let world = World::new();
    locked(&world.mail.refused).push("duty@example.org".to_owned());
    world.raise("a", Severity::Failure);
    let delivered = world.round();
    assert_eq!((delivered.sent, delivered.failed, delivered.waiting), (1, 1, 1));
    let reason = delivered.first_failure.unwrap();
    assert_eq!(reason, "mail: no such mailbox duty@example.org");
    assert_eq!(world.mails(), mails(&[("head", "[Nilas] failure: a is the matter")]));
    locked(&world.mail.refused).clear();
    assert_eq!(world.round().sent, 0, "not before a minute has passed");
    world.pass(1);
    assert_eq!(world.round().sent, 1);
}

#[test]
fn a_channel_that_fails_does_not_hold_up_the_other() {
    let world = World::new();
    *locked(&world.mail.is_down) = true;
    world.raise("a", Severity::Warning);
    world.raise("b", Severity::Notice);
    let notifier = world.notifier_with(true, true);
    assert_eq!(notifier.queue_due().unwrap(), 1, "notices go nowhere here");
    let delivered = deliver(&notifier);
    assert_eq!((delivered.sent, delivered.failed, delivered.waiting), (1, 1, 1));
    let taken = locked(&world.webhook.taken);
    let json: serde_json::Value = serde_json::from_str(&taken[0].1.json).unwrap();
    let text = json["text"].as_str().unwrap();
    assert!(
        text.starts_with("[Nilas] warning: a is the matter\n\nWARNING: a is the matter; do something"),
        "{text}"
    );
}

#[test]
fn without_a_channel_nothing_is_marked_and_who_is_told_later_hears_of_what_is_open_then() {
    let world = World::new();
    let nobody = world.notifier_with(false, false);
    world.raise("over", Severity::Failure);
    assert_eq!(nobody.queue_due().unwrap(), 0);
    assert!(!nobody.queue_announcement("key", Severity::Failure, "subject", "text").unwrap());
    world.settle("over");
    world.raise("open", Severity::Warning);
    assert_eq!(nobody.queue_due().unwrap(), 0);
    assert_eq!(deliver(&nobody), Delivered::default());
    world.rounds(1);
    assert_eq!(world.mails(), mails(&[("duty", "[Nilas] warning: open is the matter")]));
}

#[test]
fn what_waits_for_too_long_or_for_nobody_is_given_up() {
    let mut world = World::new();
    *locked(&world.mail.is_down) = true;
    world.raise("a", Severity::Failure);
    world.round();
    world.config.mail.recipients.failure.retain(|address| !address.starts_with("head"));
    assert_eq!(world.round().waiting, 1);
    world.settle("a");
    world.round();
    world.pass(60 * 24 * 7 + 1);
    assert_eq!(world.round().waiting, 0);
    *locked(&world.mail.is_down) = false;
    world.rounds(2);
    assert_eq!(world.mails(), []);
}

#[test]
fn a_digest_and_an_announcement_go_out_once() {
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    let quicklook = folder.path().join("nilas_sit_epsg3413-3km_20260301_r01.png");
    fs::write(&quicklook, b"\x89PNG").unwrap();
    world.raise("late:drift", Severity::Warning);
    let notifier = world.notifier();
    let digest = |day: &str, quicklook: Option<&Path>| Digest {
        day: day.parse().unwrap(),
        published: Vec::new(),
        quicklook: quicklook.map(Path::to_owned),
    };
    assert!(notifier.queue_digest(&digest("2026-03-02", Some(&quicklook))).unwrap());
    assert!(!notifier.queue_digest(&digest("2026-03-02", None)).unwrap());
    assert!(notifier.queue_digest(&digest("2026-03-03", Some(Path::new("/nowhere.png")))).unwrap());
    let announce = || {
        notifier.queue_announcement("withdraw/2026-03-01/1", Severity::Warning, "withdrawn", "why").unwrap()
    };
    assert!(announce());
    assert!(!announce());
    assert_eq!(deliver(&notifier).sent, 3);
    let taken = locked(&world.mail.taken);
    let subjects: Vec<&str> = taken.iter().map(|(_, letter)| letter.subject.as_str()).collect();
    let expected = [
        "[Nilas] 2026-03-02: nothing published, 1 open",
        "[Nilas] 2026-03-03: nothing published, 1 open",
        "[Nilas] withdrawn",
    ];
    assert_eq!(subjects, expected);
    let picture = taken[0].1.picture.as_ref().unwrap();
    assert_eq!(
        (picture.name.as_str(), picture.png.as_slice()),
        ("nilas_sit_epsg3413-3km_20260301_r01.png", &b"\x89PNG"[..])
    );
    assert!(taken[0].1.html.contains("cid:quicklook") && !taken[1].1.html.contains("cid:quicklook"));
    assert_eq!(world.ledger.prune_messages(start() + TimeDelta::hours(1)).unwrap(), 3);
}

#[test]
fn a_template_of_the_centre_takes_the_place_of_the_built_in_one() {
    let mut world = World::new();
    let folder = tempfile::tempdir().unwrap();
    world.config.templates = Some(folder.path().to_owned());
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("subject.txt", "Meereis {{ severity }}{% if about == 'incident' %} {{ incident.key }}{% endif %}");
    write("README.md", "not a {{ template");
    world.raise("late:drift", Severity::Warning);
    world.round();
    assert_eq!(world.mails(), mails(&[("duty", "Meereis warning late:drift")]));
    for (name, text, words) in [
        ("incident.txt", "{{ incident.txet }}", ["incident.txt", "undefined"]),
        ("incident.html", "{% if %}", ["incident.html", "line 1"]),
        ("webhook.json", "{\"text\": \"{{ subject }}\"}", ["webhook.json", "without quotes"]),
    ] {
        write(name, text);
        let error = Templates::load(Some(folder.path()), "webhook.json", "here").err().unwrap().to_string();
        for word in words {
            assert!(error.contains(word), "{word} is not in: {error}");
        }
        fs::remove_file(folder.path().join(name)).unwrap();
    }
    let missing = Templates::load(None, "chat.json", "here").err().unwrap().to_string();
    assert!(missing.contains("chat.json") && missing.contains("notify.templates"), "{missing}");
    let nowhere =
        Templates::load(Some(Path::new("/nowhere")), "webhook.json", "here").err().unwrap().to_string();
    assert!(nowhere.contains("/nowhere") && nowhere.contains("notify.templates"), "{nowhere}");
}

#[test]
fn people_are_told_in_the_built_in_words_where_a_template_fails_later() {
    let folder = tempfile::tempdir().unwrap();
    let text = "{% if incident.key == 'odd' %}{{ incident.nothing.at.all }}{% endif %}own words";
    fs::write(folder.path().join("incident.txt"), text).unwrap();
    let mut world = World::new();
    world.config.templates = Some(folder.path().to_owned());
    world.raise("even", Severity::Warning);
    world.raise("odd", Severity::Warning);
    world.round();
    let taken = locked(&world.mail.taken);
    assert_eq!(taken[0].1.text, "own words");
    assert!(taken[1].1.text.starts_with("WARNING: odd is the matter"), "{}", taken[1].1.text);
}

#[test]
fn a_letter_says_cause_severity_remedy_and_what_happens_meanwhile() {
    let templates = Templates::load(None, "webhook.json", "ice.example.org").unwrap();
    for sample in samples::all() {
        let words = templates.words(&sample.matter()).unwrap();
        for text in [&words.text, &words.html] {
            assert!(text.contains("ice.example.org"), "{text}");
            assert!(!text.contains("None") && !text.contains("undefined"), "{text}");
            if ["first", "reminder"].contains(&sample.kind) {
                for part in
                    [&sample.severity.name().to_uppercase(), "drift is late", "meanwhile", "What you can do"]
                {
                    assert!(text.contains(part), "{part} is not in {text}");
                }
            }
            if sample.kind == "failure" {
                assert!(
                    text.contains("journalctl -u nilas.service")
                        && text.contains("nilas check --offline")
                        && text.contains("systemctl reset-failed nilas.service"),
                    "{text}"
                );
            }
        }
        assert!(!words.subject.is_empty() && words.subject.chars().count() <= 150, "{}", words.subject);
    }
}

#[test]
fn what_comes_from_outside_stays_text_in_html_and_json() {
    let templates = Templates::load(None, "webhook.json", "here").unwrap();
    let hostile = "<script>alert(\"1\")</script> \u{1} & {{ host }}\r\nBcc: all@example.org";
    let content = Content::Announcement { subject: hostile.to_owned(), text: hostile.to_owned() };
    let matter = Matter {
        content: &content,
        kind: "announcement",
        severity: Severity::Warning,
        date: start(),
        has_picture: false,
    };
    let words = templates.words(&matter).unwrap();
    assert!(!words.html.contains("<script>"), "{}", words.html);
    assert!(words.html.contains("&lt;script&gt;"), "{}", words.html);
    assert!(!words.subject.contains(['\r', '\n']), "{}", words.subject);
    let json: serde_json::Value = serde_json::from_str(&words.json).unwrap();
    assert!(json["text"].as_str().unwrap().contains("{{ host }}"));
}

#[test]
fn a_test_goes_to_everybody_once_and_says_what_does_not_work() {
    let world = World::new();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let lines = runtime.block_on(world.notifier_with(true, true).send_test()).unwrap();
    let expected = [
        "mail: notes has taken a mail to duty@example.org",
        "mail: notes has taken a mail to head@example.org",
        "webhook: notes has taken a message",
    ];
    assert_eq!(lines, expected);
    locked(&world.mail.refused).push("head@example.org".to_owned());
    let failed = runtime.block_on(world.notifier_with(true, true).send_test()).unwrap_err().to_string();
    assert!(failed.contains("has taken a mail to duty@example.org"), "{failed}");
    assert!(failed.contains("mail: FAILS: no such mailbox head@example.org"), "{failed}");
    let nobody = runtime.block_on(world.notifier_with(false, false).send_test()).unwrap_err().to_string();
    assert!(nobody.contains("notify.mail.enabled"), "{nobody}");
}

/// Something that happens to an incident, or to the server.
#[derive(Debug, Clone, Copy)]
enum Event {
    Raise(Severity),
    Settle,
    Acknowledge,
    /// The server is down for so many hours.
    Outage(i64),
    Rounds(i64),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        prop_oneof![Just(Severity::Warning), Just(Severity::Failure)].prop_map(Event::Raise),
        Just(Event::Settle),
        Just(Event::Acknowledge),
        (1_i64..100).prop_map(Event::Outage),
        (1_i64..60).prop_map(Event::Rounds),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    /// Whatever happens, every incident has at most one first mail for each recipient, exactly one recovery where there was a first
    /// and it is over, reminders after growing pauses, and none once somebody knows.
    #[test]
    fn people_are_told_as_promised(events in prop::collection::vec(event(), 1..30)) {
        let world = World::new();
        // A round an hour is enough here.
        let rounds = |hours: i64| for _ in 0..hours { world.round(); world.pass(60); };
        for event in events {
            match event {
                Event::Raise(severity) => world.raise("a", severity),
                Event::Settle => world.settle("a"),
                Event::Acknowledge => { world.ledger.acknowledge("a", world.clock.now()).unwrap(); }
                Event::Outage(hours) => {
                    *locked(&world.mail.is_down) = true;
                    rounds(hours);
                    *locked(&world.mail.is_down) = false;
                    rounds(2);
                }
                Event::Rounds(hours) => rounds(hours),
            }
        }
        world.settle("a");
        rounds(3);
        prop_assert_eq!(world.ledger.unsent(Channel::Mail).unwrap(), 0);
        let taken = locked(&world.mail.taken);
        let duty: Vec<&Letter> = taken.iter().filter(|(to, _)| to.starts_with("duty")).map(|(_, letter)| letter).collect();
        let firsts = duty.iter().filter(|letter| letter.follows.is_none());
        let firsts: Vec<&str> = firsts.map(|letter| letter.id.as_str()).collect();
        let different: std::collections::BTreeSet<&str> = firsts.iter().copied().collect();
        prop_assert_eq!(different.len(), firsts.len(), "one first mail for each incident");
        for first in &firsts {
            let follows = |letter: &&&Letter| letter.follows.as_deref() == Some(first);
            let of_kind = |kind: &'static str| move |letter: &&&Letter| letter.id.starts_with(kind);
            let later = |kind| duty.iter().filter(follows).filter(of_kind(kind)).collect::<Vec<_>>();
            prop_assert_eq!(later("recovery").len(), 1, "one recovery for each incident");
            // Those that say that it has become worse come when it does.
            let plain = later("reminder").into_iter().filter(|letter| letter.subject.contains("reminder"));
            let plain: Vec<_> = plain.map(|letter| letter.date).collect();
            for pair in plain.windows(2) {
                prop_assert!(pair[1] - pair[0] >= TimeDelta::hours(24), "reminders too close: {plain:?}");
            }
        }
        let mut followed = duty.iter().filter_map(|letter| letter.follows.as_deref());
        prop_assert!(followed.all(|first| different.contains(first)), "nothing follows a mail that did not arrive");
    }

    /// The pauses between reminders of one incident never shrink while it does not become worse.
    #[test]
    fn reminders_grow(first_hours in 1_i64..48, longest_factor in 1_i64..20) {
        let config = Notify {
            first_reminder_hours: first_hours as f64,
            longest_reminder_hours: (first_hours * longest_factor) as f64,
            ..Notify::default()
        };
        let rhythm = Rhythm::new(&config);
        let pauses: Vec<TimeDelta> = (0..40).map(|reminders| rhythm.pause(reminders)).collect();
        prop_assert!(pauses.is_sorted());
        prop_assert_eq!(pauses[0], TimeDelta::hours(first_hours));
        prop_assert_eq!(pauses[39], TimeDelta::hours(first_hours * longest_factor));
    }
}
