//! The ledger as its users see it, and as it must be when it is damaged, old, new, or shared.

use std::fs::{self, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Barrier;
use std::thread;

use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::{Connection, ErrorCode};
use tempfile::TempDir;

use super::*;
use crate::time::ProductDay;

/// A ledger in a folder of its own.
struct Scratch {
    folder: TempDir,
    ledger: Ledger,
}

impl Scratch {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&folder.path().join("state/ledger.sqlite")).unwrap();
        Self { folder, ledger }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("state/ledger.sqlite")
    }

    /// The file by itself, after the ledger was closed.
    fn closed(self) -> (TempDir, PathBuf) {
        let path = self.path();
        (self.folder, path)
    }

    fn count(&self, table: &str) -> i64 {
        let sql = format!("SELECT count(*) FROM {table}");
        self.ledger.read(|connection| connection.query_row(&sql, [], |row| row.get(0))).unwrap()
    }
}

fn day(text: &str) -> ProductDay {
    text.parse().unwrap()
}

fn now() -> DateTime<Utc> {
    "2026-03-02T05:30:00.250Z".parse().unwrap()
}

fn check(name: &str, measured: f64) -> CheckRow {
    CheckRow { name: name.to_owned(), measured, least: Some(0.5), most: None, passed: true }
}

/// An accepted file centred on a day.
fn accepted(role: &str, centre: &str, checks: Vec<CheckRow>) -> FileRow {
    let centre = day(centre);
    FileRow {
        name: format!("{role}_{}.nc", centre.compact()),
        sha256: format!("{:064}", centre.compact()),
        role: role.to_owned(),
        product: "amsr3".to_owned(),
        first_day: centre.plus_days(-3),
        last_day: centre.plus_days(3),
        centre,
        server: "met-norway".to_owned(),
        url: format!("https://example.org/{role}"),
        size_bytes: 12_345_678_901,
        fetched_at: now(),
        judged_at: now(),
        verdict: Verdict::Accepted,
        checks,
    }
}

fn refused(file: &FileRow, reason: &str) -> FileRow {
    let refusal = Refusal {
        kind: "implausible".to_owned(),
        reason: reason.to_owned(),
        quarantine: Some("/var/lib/nilas/quarantine/file.nc".into()),
    };
    FileRow { verdict: Verdict::Refused(refusal), ..file.clone() }
}

fn chosen(file: &FileRow, age_days: u32) -> DayInput {
    DayInput { role: file.role.clone(), sha256: file.sha256.clone(), name: file.name.clone(), age_days }
}

#[test]
fn a_file_is_given_back_as_it_was_recorded() {
    let scratch = Scratch::new();
    let unlimited = CheckRow { least: None, passed: false, ..check("ice_on_land_percent", 0.125) };
    let file = accepted("thickness", "2026-03-01", vec![unlimited, check("mean", 1.0 / 3.0)]);
    scratch.ledger.record_file(&file).unwrap();
    let found = scratch.ledger.previous_accepted("thickness", day("2026-03-02")).unwrap();
    assert_eq!(found.as_ref(), Some(&file));
    assert_eq!(found.and_then(|found| found.measured("mean")), Some(1.0 / 3.0));
    assert_eq!(scratch.ledger.known_file(&file.sha256, &file.name).unwrap().as_ref(), Some(&file));
    assert_eq!(scratch.ledger.known_file(&file.sha256, "other.nc").unwrap(), None);
}

#[test]
fn no_sentence_is_kept_that_nobody_would_read_to_its_end() {
    let scratch = Scratch::new();
    let (ledger, endless) = (&scratch.ledger, "no end ".repeat(1000));
    let file = refused(&accepted("drift", "2026-03-01", Vec::new()), &endless);
    ledger.record_file(&file).unwrap();
    ledger.raise("late:drift", Severity::Warning, &endless, now()).unwrap();
    ledger.set_day(day("2026-03-01"), DayState::Waiting, &endless, now()).unwrap();
    let later = now() + TimeDelta::hours(1);
    ledger.set_day(day("2026-03-01"), DayState::Waiting, &endless, later).unwrap();
    let known = ledger.known_file(&file.sha256, &file.name).unwrap().unwrap();
    let Verdict::Refused(refusal) = known.verdict else { panic!("it is refused") };
    let incident = ledger.incident("late:drift").unwrap().unwrap();
    let row = ledger.day(day("2026-03-01")).unwrap().unwrap();
    for kept in [refusal.reason, incident.text, row.note] {
        assert!(kept.starts_with("no end no end") && kept.ends_with('…'), "{kept}");
        assert_eq!(kept.chars().count(), 1000);
    }
}

#[test]
fn what_could_not_be_measured_comes_back_as_missing() {
    let scratch = Scratch::new();
    let file = accepted("drift", "2026-03-01", vec![check("mean", f64::NAN)]);
    scratch.ledger.record_file(&file).unwrap();
    let found = scratch.ledger.previous_accepted("drift", day("2026-03-02")).unwrap().unwrap();
    assert!(found.measured("mean").unwrap().is_nan());
    assert_eq!(found.measured("valid_percent"), None);
}

#[test]
fn bytes_that_come_again_are_judged_anew() {
    let scratch = Scratch::new();
    let file = accepted("drift", "2026-03-01", vec![check("mean", 9.0), check("valid_percent", 30.0)]);
    for reason in ["too fast", "too fast by far"] {
        let refused = refused(&file, reason);
        scratch.ledger.record_file(&refused).unwrap();
        let known = scratch.ledger.known_file(&file.sha256, &file.name).unwrap().unwrap();
        assert_eq!(known.verdict, refused.verdict);
    }
    assert_eq!(scratch.ledger.previous_accepted("drift", day("2026-03-02")).unwrap(), None);

    let later = now() + TimeDelta::days(1);
    let again =
        FileRow { fetched_at: later, judged_at: later, checks: vec![check("mean", 8.0)], ..file.clone() };
    scratch.ledger.record_file(&again).unwrap();
    let found = scratch.ledger.previous_accepted("drift", day("2026-03-02")).unwrap();
    assert_eq!(found, Some(FileRow { fetched_at: file.fetched_at, ..again }));
    assert_eq!((scratch.count("files"), scratch.count("checks")), (1, 1));
}

#[test]
fn a_file_is_compared_with_the_youngest_accepted_one_of_its_role_before_it() {
    let scratch = Scratch::new();
    let file = |centre| accepted("concentration", centre, Vec::new());
    for row in [
        file("2026-02-27"),
        file("2026-02-25"),
        refused(&file("2026-02-28"), "empty"),
        file("2026-03-01"),
        accepted("drift", "2026-02-28", Vec::new()),
    ] {
        scratch.ledger.record_file(&row).unwrap();
    }
    let before = |text| scratch.ledger.previous_accepted("concentration", day(text)).unwrap();
    assert_eq!(before("2026-03-01"), Some(file("2026-02-27")));
    assert_eq!(before("2026-03-02"), Some(file("2026-03-01")));
    assert_eq!(before("2026-02-25"), None);
}

#[test]
fn a_file_and_its_checks_are_written_together_or_not_at_all() {
    let scratch = Scratch::new();
    let file = accepted("drift", "2026-03-01", vec![check("mean", 9.0), check("mean", 9.0)]);
    assert!(matches!(scratch.ledger.record_file(&file), Err(LedgerError::Sql { .. })));
    assert_eq!((scratch.count("files"), scratch.count("checks")), (0, 0));
}

#[test]
fn a_choice_is_news_when_it_is_another_than_before() {
    let scratch = Scratch::new();
    let today = day("2026-03-01");
    let older = accepted("thickness", "2026-02-27", Vec::new());
    let own = accepted("thickness", "2026-03-01", Vec::new());
    let concentration = accepted("concentration", "2026-03-01", Vec::new());
    for file in [&older, &own, &concentration] {
        scratch.ledger.record_file(file).unwrap();
    }
    let record = |inputs: &[DayInput]| scratch.ledger.record_day_inputs(today, inputs, now()).unwrap();
    let provisional = [chosen(&concentration, 0), chosen(&older, 2)];
    let better = [chosen(&concentration, 0), chosen(&own, 0)];
    assert!(record(&provisional));
    assert!(!record(&provisional));
    assert_eq!(scratch.ledger.day_inputs(today).unwrap(), provisional);
    assert!(record(&better));
    assert_eq!(scratch.ledger.day_inputs(today).unwrap(), better);
    assert!(record(&provisional), "a choice that was left and is taken again is news, too");
    assert_eq!(scratch.count("day_inputs"), 4);
    assert_eq!(scratch.ledger.day_inputs(day("2026-03-02")).unwrap(), []);
}

#[test]
fn a_day_is_made_of_recorded_files_only() {
    let scratch = Scratch::new();
    let (known, unknown) =
        (accepted("drift", "2026-03-01", Vec::new()), accepted("thickness", "2026-03-01", Vec::new()));
    scratch.ledger.record_file(&known).unwrap();
    let inputs = [chosen(&known, 0), chosen(&unknown, 0)];
    let error = scratch.ledger.record_day_inputs(day("2026-03-01"), &inputs, now()).unwrap_err();
    assert!(matches!(error, LedgerError::Sql { .. }), "{error}");
    assert_eq!(scratch.count("day_inputs"), 0);
}

#[test]
fn foreign_keys_hold() {
    let scratch = Scratch::new();
    let file = accepted("drift", "2026-03-01", vec![check("mean", 9.0)]);
    scratch.ledger.record_file(&file).unwrap();
    scratch.ledger.record_day_inputs(day("2026-03-01"), &[chosen(&file, 0)], now()).unwrap();
    let breaks = |sql: &str| {
        let error = scratch.ledger.write(|connection| connection.execute(sql, [])).unwrap_err();
        let LedgerError::Sql { source, .. } = error else { panic!("{error}") };
        assert_eq!(source.sqlite_error_code(), Some(ErrorCode::ConstraintViolation), "{sql}");
    };
    breaks("DELETE FROM files");
    breaks("INSERT INTO checks (file, name, passed) VALUES (99, 'mean', 1)");
    breaks("UPDATE files SET verdict = 'refused'");
}

#[test]
fn a_gap_is_declared_once() {
    let scratch = Scratch::new();
    let hole = day("2025-03-25");
    let declare =
        |role| scratch.ledger.declare_gap(hole, role, "the series went on without it", now()).unwrap();
    assert!(!scratch.ledger.is_gap(hole, "thickness").unwrap());
    assert!(declare("thickness"));
    assert!(!declare("thickness"));
    assert!(scratch.ledger.is_gap(hole, "thickness").unwrap());
    assert!(!scratch.ledger.is_gap(hole, "drift").unwrap());
    assert!(!scratch.ledger.is_gap(hole.plus_days(1), "thickness").unwrap());
    assert!(declare("drift"));
}

#[test]
fn an_incident_is_told_once_when_it_begins_and_once_when_it_is_over() {
    let Scratch { ledger, folder: _folder } = Scratch::new();
    let key = "late/drift";
    let (first, second, third) = (now(), now() + TimeDelta::hours(1), now() + TimeDelta::hours(2));
    assert!(!ledger.settle(key, first).unwrap());
    assert!(ledger.raise(key, Severity::Warning, "drift is late", first).unwrap());
    assert!(!ledger.raise(key, Severity::Failure, "drift is missing", second).unwrap());
    let mut expected = Incident {
        key: key.to_owned(),
        severity: Severity::Failure,
        text: "drift is missing".to_owned(),
        opened_at: first,
        last_seen_at: second,
        count: 2,
        closed_at: None,
        acknowledged_at: None,
    };
    assert_eq!(ledger.incident(key).unwrap().as_ref(), Some(&expected));
    assert!(ledger.settle(key, third).unwrap());
    assert!(!ledger.settle(key, third).unwrap());
    expected.closed_at = Some(third);
    assert_eq!(ledger.incident(key).unwrap(), Some(expected));
    assert!(ledger.raise(key, Severity::Warning, "drift is late again", third).unwrap(), "a new one");
    assert_eq!(ledger.incident(key).unwrap().unwrap().opened_at, third);
    assert_eq!(ledger.incident("late/thickness").unwrap(), None);
}

#[test]
fn open_incidents_are_listed_the_oldest_first() {
    let Scratch { ledger, folder: _folder } = Scratch::new();
    for (key, hours) in [("b", 0), ("c", 1), ("a", 2)] {
        ledger.raise(key, Severity::Notice, "text", now() + TimeDelta::hours(hours)).unwrap();
    }
    ledger.settle("c", now()).unwrap();
    let open: Vec<String> =
        ledger.open_incidents().unwrap().into_iter().map(|incident| incident.key).collect();
    assert_eq!(open, ["b", "a"]);
}

/// The step that tells people of the only incident first.
fn first_step(ledger: &Ledger) -> IncidentStep {
    let [told] = ledger.incidents_to_tell().unwrap().try_into().unwrap();
    IncidentStep {
        incident: told.id,
        kind: MessageKind::First,
        reminders_before: 0,
        remind_at: Some(now() + TimeDelta::hours(24)),
        told_severity: Severity::Warning,
        is_worse: false,
    }
}

fn message(queued_at: DateTime<Utc>) -> NewMessage {
    NewMessage { severity: Severity::Warning, queued_at, payload: "{}".to_owned() }
}

fn recipient(address: &str) -> Recipient {
    Recipient { channel: Channel::Mail, address: address.to_owned() }
}

#[test]
fn two_who_decide_the_same_queue_one_message() {
    let scratch = Scratch::new();
    let ledger = &scratch.ledger;
    ledger.raise("late/drift", Severity::Warning, "drift is late", now()).unwrap();
    let first = first_step(ledger);
    let queue = |step: &IncidentStep| {
        ledger.queue_about_incident(step, &message(now()), &[recipient("a"), recipient("b")]).unwrap()
    };
    assert!(queue(&first));
    assert!(!queue(&first));
    let reminder = IncidentStep { kind: MessageKind::Reminder, ..first.clone() };
    let over = IncidentStep { kind: MessageKind::Recovery, remind_at: None, ..first.clone() };
    let worse = IncidentStep { is_worse: true, told_severity: Severity::Failure, ..reminder.clone() };
    assert!(!queue(&over), "it is not over");
    assert!(queue(&worse));
    assert!(!queue(&worse));
    for delivery in ledger.due_deliveries(Channel::Mail, now()).unwrap() {
        ledger.record_sent(delivery.id, now(), now()).unwrap();
    }
    assert!(queue(&reminder));
    assert!(!queue(&reminder));
    ledger.acknowledge("late/drift", now()).unwrap();
    assert_eq!(ledger.unsent(Channel::Mail).unwrap(), 0, "what has not gone out is taken back");
    assert!(!queue(&IncidentStep { reminders_before: 1, ..reminder.clone() }), "somebody knows");
    ledger.settle("late/drift", now()).unwrap();
    let over = IncidentStep { reminders_before: 1, ..over };
    assert!(queue(&over));
    assert!(!queue(&over));
    assert_eq!(ledger.incidents_to_tell().unwrap(), []);
    assert_eq!((scratch.count("messages"), scratch.count("deliveries")), (4, 6));
}

#[test]
fn a_message_and_the_note_at_its_incident_are_written_together_or_not_at_all() {
    let scratch = Scratch::new();
    let ledger = &scratch.ledger;
    ledger.raise("late/drift", Severity::Warning, "drift is late", now()).unwrap();
    let first = first_step(ledger);
    let forbid = "CREATE TRIGGER forbid BEFORE INSERT ON deliveries BEGIN SELECT raise(ABORT, 'full'); END";
    ledger.write(|connection| connection.execute_batch(forbid)).unwrap();
    assert!(ledger.queue_about_incident(&first, &message(now()), &[recipient("a")]).is_err());
    assert_eq!(scratch.count("messages"), 0);
    ledger.write(|connection| connection.execute_batch("DROP TRIGGER forbid")).unwrap();
    assert!(ledger.queue_about_incident(&first, &message(now()), &[recipient("a")]).unwrap());
}

#[test]
fn while_a_server_is_waited_for_nothing_is_tried_and_a_refused_letter_holds_up_no_other() {
    let Scratch { ledger, folder: _folder } = Scratch::new();
    let queue = |key: &str| {
        assert!(ledger.queue_once(MessageKind::Digest, key, &message(now()), &[recipient("a")]).unwrap());
    };
    let due = |minutes| {
        let due = ledger.due_deliveries(Channel::Mail, now() + TimeDelta::minutes(minutes)).unwrap();
        due.into_iter().map(|delivery| delivery.message).collect::<Vec<_>>()
    };
    queue("one");
    queue("two");
    assert_eq!(due(0), [1, 2]);
    ledger.record_failure(1, "no such mailbox", false, now() + TimeDelta::minutes(5)).unwrap();
    assert_eq!((due(0), due(5)), (vec![2], vec![1, 2]));
    ledger.record_failure(1, "nobody listens", true, now() + TimeDelta::minutes(9)).unwrap();
    queue("three");
    assert_eq!((due(8), due(9)), (vec![], vec![1, 2, 3]));
    assert_eq!(ledger.due_deliveries(Channel::Webhook, now()).unwrap(), []);
    ledger.record_sent(1, now(), now()).unwrap();
    assert_eq!(due(0), [2, 3]);
    assert_eq!(ledger.give_up_deliveries(&[recipient("b")], now()).unwrap(), 2);
    assert_eq!(ledger.prune_messages(now()).unwrap(), 0);
    assert_eq!(ledger.prune_messages(now() + TimeDelta::seconds(1)).unwrap(), 3);
}

#[test]
fn incidents_that_are_over_are_forgotten_when_no_message_is_about_them_and_open_ones_never() {
    let Scratch { ledger, folder: _folder } = Scratch::new();
    let later = now() + TimeDelta::days(1);
    ledger.raise("told", Severity::Warning, "it rains", now()).unwrap();
    let step = first_step(&ledger);
    assert!(ledger.queue_about_incident(&step, &message(now()), &[recipient("a")]).unwrap());
    for key in ["open", "over"] {
        ledger.raise(key, Severity::Warning, "it rains", now()).unwrap();
    }
    for key in ["over", "told"] {
        ledger.settle(key, now()).unwrap();
    }
    assert_eq!(ledger.prune_incidents(now()).unwrap(), 0, "they have just ended");
    assert_eq!(ledger.prune_incidents(later).unwrap(), 1);
    let left = ["open", "over", "told"].map(|key| ledger.incident(key).unwrap().is_some());
    assert_eq!(left, [true, false, true]);
}

#[test]
fn a_ledger_of_the_first_version_is_brought_up_and_tells_of_what_is_open_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.sqlite");
    let old = Connection::open(&path).unwrap();
    old.execute_batch(include_str!("migrations/1_inputs.sql")).unwrap();
    old.pragma_update(None, "user_version", 1).unwrap();
    for (key, closed) in [("open", "NULL"), ("over", "'2026-03-01T12:00:00.000Z'")] {
        let sql = format!(
            "INSERT INTO incidents (key, severity, text, opened_at, last_seen_at, closed_at) VALUES
             ('{key}', 'warning', 'text', '2026-03-01T11:00:00.000Z', '2026-03-01T11:00:00.000Z', {closed})"
        );
        old.execute(&sql, []).unwrap();
    }
    drop(old);
    // Also for whoever only looks.
    let ledger = Ledger::open_to_look(&path).unwrap();
    let to_tell = ledger.incidents_to_tell().unwrap();
    let keys: Vec<&str> = to_tell.iter().map(|told| told.incident.key.as_str()).collect();
    assert_eq!(keys, ["open"]);
    assert!(ledger.incident("over").unwrap().unwrap().closed_at.is_some());
}

#[test]
fn everything_is_still_there_when_it_is_opened_again() {
    let scratch = Scratch::new();
    let file = accepted("drift", "2026-03-01", vec![check("mean", 9.0)]);
    scratch.ledger.record_file(&file).unwrap();
    scratch.ledger.raise("key", Severity::Notice, "text", now()).unwrap();
    let (_folder, path) = scratch.closed();
    let again = Ledger::open(&path).unwrap();
    assert_eq!(again.previous_accepted("drift", day("2026-03-02")).unwrap(), Some(file));
    assert!(!again.raise("key", Severity::Notice, "text", now()).unwrap());
}

#[test]
fn many_open_a_new_ledger_and_write_at_once_and_one_of_them_raises() {
    const WRITERS: i64 = 4;
    const ROUNDS: i64 = 25;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.sqlite");
    let begin = Barrier::new(WRITERS as usize);
    let write = |writer: i64| {
        begin.wait();
        let ledger = Ledger::open(&path).unwrap();
        let raises = (0..ROUNDS).filter(|round| {
            let file = accepted(&format!("role {writer}"), "2026-03-01", vec![check("mean", 1.0)]);
            let centre = file.centre.plus_days(*round);
            ledger.record_file(&FileRow { name: format!("{writer} {round}"), centre, ..file }).unwrap();
            ledger.raise("key", Severity::Warning, "text", now()).unwrap()
        });
        raises.count()
    };
    let raises: usize = thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS).map(|writer| scope.spawn(move || write(writer))).collect();
        writers.into_iter().map(|writer| writer.join().unwrap()).sum()
    });
    assert_eq!(raises, 1);
    let scratch = Scratch { ledger: Ledger::open(&path).unwrap(), folder };
    assert_eq!(scratch.count("files"), WRITERS * ROUNDS);
    assert_eq!(i64::from(scratch.ledger.incident("key").unwrap().unwrap().count), WRITERS * ROUNDS);
}

/// Opening must fail with a sentence that names the file and has all `parts` in it.
#[track_caller]
fn refuses(path: &Path, parts: &[&str]) {
    let message = Ledger::open(path).unwrap_err().to_string();
    assert!(message.contains(&path.display().to_string()), "{message}");
    for part in parts {
        assert!(message.contains(part), "{part} is not in: {message}");
    }
}

#[test]
fn who_only_looks_sees_what_others_write_and_writes_nothing() {
    let scratch = Scratch::new();
    let looking = Ledger::open_to_look(&scratch.path()).unwrap();
    scratch.ledger.hold("written down", now()).unwrap();
    assert_eq!(looking.current_hold().unwrap().unwrap().reason, "written down");
    let error = looking.resume(now()).unwrap_err();
    assert!(matches!(&error, LedgerError::Sql { .. }), "{error}");
    assert!(scratch.ledger.current_hold().unwrap().is_some());
}

/// A ledger of years is read through by those alone who write to it: who only looks does not wait for that.
#[test]
fn who_only_looks_is_told_of_damage_where_it_is_met() {
    let scratch = Scratch::new();
    scratch.ledger.hold("written down", now()).unwrap();
    for number in 0..200 {
        let file = accepted("drift", "2026-03-01", vec![check("mean", 9.0)]);
        scratch.ledger.record_file(&FileRow { name: number.to_string(), ..file }).unwrap();
    }
    let of_files = "SELECT pageno FROM dbstat WHERE name = 'checks' AND pagetype = 'leaf'";
    let page = |connection: &Connection| connection.query_row(of_files, [], |row| row.get::<_, u32>(0));
    let page = u64::from(scratch.ledger.read(page).unwrap());
    let (_folder, path) = scratch.closed();
    OpenOptions::new()
        .write(true)
        .open(&path)
        .unwrap()
        .write_all_at(&[0xA5; 4096], (page - 1) * 4096)
        .unwrap();

    refuses(&path, &["is damaged ("]);
    let looking = Ledger::open_to_look(&path).unwrap();
    assert_eq!(looking.current_hold().unwrap().unwrap().reason, "written down");
    let all = looking.read(|connection| {
        connection.query_row("SELECT count(measured) FROM checks", [], |row| row.get::<_, i64>(0))
    });
    assert!(matches!(all, Err(LedgerError::Damaged { .. })), "{all:?}");
}

#[test]
fn a_damaged_file_is_refused_with_the_remedy() {
    let remedy =
        "start the daemon (again): it keeps the file under another name, puts the newest copy in its place";
    let scratch = Scratch::new();
    for centre in 0..200 {
        let file = accepted("drift", "2026-03-01", vec![check("mean", 9.0)]);
        scratch.ledger.record_file(&FileRow { name: centre.to_string(), ..file }).unwrap();
    }
    let (_folder, path) = scratch.closed();
    let whole = fs::read(&path).unwrap();

    let mut file = OpenOptions::new().write(true).open(&path).unwrap();
    file.seek(SeekFrom::Start(whole.len() as u64 / 2)).unwrap();
    file.write_all(&[0xA5; 8192]).unwrap();
    refuses(&path, &["is damaged (", remedy]);

    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    refuses(&path, &["is damaged (", remedy]);

    fs::write(
        &path,
        "<!DOCTYPE html> this was never a ledger, and it is longer than the header of one. ".repeat(9),
    )
    .unwrap();
    refuses(&path, &["is damaged (file is not a database", remedy]);

    fs::write(&path, &whole).unwrap();
    Ledger::open(&path).unwrap();
}

#[test]
fn a_ledger_of_a_newer_version_is_refused_and_left_as_it_is() {
    let (_folder, path) = Scratch::new().closed();
    let foreign = Connection::open(&path).unwrap();
    foreign.pragma_update(None, "user_version", 7).unwrap();
    drop(foreign);
    refuses(&path, &["has version 7, and this Nilas knows none above 5", "run the newer Nilas"]);
    let foreign = Connection::open(&path).unwrap();
    let version: i32 = foreign.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    assert_eq!(version, 7);
}

#[test]
fn a_place_without_a_write_ahead_log_is_refused() {
    let in_memory = Connection::open_in_memory().unwrap();
    let error = opening::settle(&in_memory, Path::new("ledger.sqlite")).unwrap_err();
    assert!(matches!(error, LedgerError::NoWriteAheadLog { .. }), "{error}");
    assert!(error.to_string().contains("folders.state"), "{error}");
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let error = Ledger::open(&file.join("ledger.sqlite")).unwrap_err();
    assert!(matches!(error, LedgerError::Folder { .. }), "{error}");
    assert!(error.to_string().contains("folders.state"), "{error}");
}
