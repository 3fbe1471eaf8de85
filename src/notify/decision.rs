//! Which message an incident needs now. Nothing but the ledger's word and the time goes into it.

use chrono::{DateTime, TimeDelta, Utc};

use crate::config;
use crate::ledger::{IncidentStep, MessageKind, Severity, Told};

/// When reminders come.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rhythm {
    first: TimeDelta,
    longest: TimeDelta,
}

impl Rhythm {
    pub(super) fn new(config: &config::Notify) -> Self {
        let hours = |hours: f64| TimeDelta::seconds((hours * 3600.0) as i64);
        Self { first: hours(config.first_reminder_hours), longest: hours(config.longest_reminder_hours) }
    }

    /// The pause after so many reminders.
    pub(super) fn pause(self, reminders: u32) -> TimeDelta {
        let doubled = 1_i32.checked_shl(reminders.min(30)).and_then(|factor| self.first.checked_mul(factor));
        doubled.unwrap_or(self.longest).min(self.longest)
    }
}

/// The next message of an incident, where one is due.
///
/// Notices are never reminded of: there is nothing to do about them. One that has ended before anybody was told needs no message.
pub(super) fn next_step(told: &Told, now: DateTime<Utc>, rhythm: Rhythm) -> Option<IncidentStep> {
    let incident = &told.incident;
    let step = |kind, told_severity, reminders_after: Option<u32>, is_worse| {
        let pause = reminders_after.map(|reminders| rhythm.pause(reminders));
        let remind_at = pause.filter(|_| incident.severity > Severity::Notice).map(|pause| now + pause);
        let reminders_before = told.reminders;
        Some(IncidentStep { incident: told.id, kind, reminders_before, remind_at, told_severity, is_worse })
    };
    match (told.severity, incident.closed_at) {
        (None, None) => step(MessageKind::First, incident.severity, Some(0), false),
        (Some(severity), Some(_)) => step(MessageKind::Recovery, severity, None, false),
        (Some(_), None) if incident.acknowledged_at.is_some() => None,
        (Some(severity), None) if incident.severity > severity => {
            step(MessageKind::Reminder, incident.severity, Some(0), true)
        }
        // One due later than the longest pause is of a clock that was ahead.
        (Some(severity), None)
            if told.remind_at.is_some_and(|due| due <= now || due > now + rhythm.longest) =>
        {
            step(MessageKind::Reminder, severity, Some(told.reminders.saturating_add(1)), false)
        }
        (None, Some(_)) | (Some(_), None) => None,
    }
}

/// The pause after so many failed tries: a minute, doubled up to an hour.
pub(super) fn backoff(failed_before: u32) -> TimeDelta {
    TimeDelta::minutes((1_i64 << failed_before.min(6)).min(60))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Incident;

    fn at(hours: i64) -> DateTime<Utc> {
        "2026-03-02T05:30:00Z".parse::<DateTime<Utc>>().unwrap() + TimeDelta::hours(hours)
    }

    fn rhythm() -> Rhythm {
        Rhythm::new(&config::Notify::default())
    }

    fn untold(severity: Severity) -> Told {
        let incident = Incident {
            key: "late:drift".to_owned(),
            severity,
            text: "drift is late".to_owned(),
            opened_at: at(0),
            last_seen_at: at(0),
            count: 1,
            closed_at: None,
            acknowledged_at: None,
        };
        Told { id: 7, incident, severity: None, reminders: 0, remind_at: None }
    }

    #[test]
    fn each_state_needs_its_message() {
        use Severity::{Failure, Notice, Warning};
        let told = |severity, reminders, due: Option<i64>| Told {
            severity: Some(severity),
            reminders,
            remind_at: due.map(at),
            ..untold(Warning)
        };
        let closed = |told: Told| Told {
            incident: Incident { closed_at: Some(at(5)), ..told.incident.clone() },
            ..told
        };
        let acknowledged = |told: Told| Told {
            incident: Incident { acknowledged_at: Some(at(5)), ..told.incident.clone() },
            ..told
        };
        let worse =
            |told: Told| Told { incident: Incident { severity: Failure, ..told.incident.clone() }, ..told };
        let now = at(10);
        for (what, state, expected) in [
            ("new", untold(Warning), Some((MessageKind::First, Warning, Some(at(34)), false))),
            ("new notice", untold(Notice), Some((MessageKind::First, Notice, None, false))),
            (
                "new, known to somebody",
                acknowledged(untold(Warning)),
                Some((MessageKind::First, Warning, Some(at(34)), false)),
            ),
            ("over before anybody was told", closed(untold(Failure)), None),
            ("told", told(Warning, 0, Some(11)), None),
            (
                "told while the clock was a year ahead",
                told(Warning, 0, Some(24 * 365)),
                Some((MessageKind::Reminder, Warning, Some(at(58)), false)),
            ),
            (
                "reminder due",
                told(Warning, 0, Some(10)),
                Some((MessageKind::Reminder, Warning, Some(at(58)), false)),
            ),
            (
                "third reminder",
                told(Warning, 2, Some(3)),
                Some((MessageKind::Reminder, Warning, Some(at(178)), false)),
            ),
            ("acknowledged", acknowledged(told(Warning, 0, Some(10))), None),
            ("no reminders", told(Warning, 0, None), None),
            (
                "worse",
                worse(told(Warning, 2, Some(100))),
                Some((MessageKind::Reminder, Failure, Some(at(34)), true)),
            ),
            ("better than told", told(Failure, 0, Some(100)), None),
            (
                "better, reminder due",
                told(Failure, 0, Some(1)),
                Some((MessageKind::Reminder, Failure, Some(at(58)), false)),
            ),
            ("over", closed(told(Failure, 3, Some(1))), Some((MessageKind::Recovery, Failure, None, false))),
            (
                "over, acknowledged",
                closed(acknowledged(told(Warning, 0, None))),
                Some((MessageKind::Recovery, Warning, None, false)),
            ),
        ] {
            let step = next_step(&state, now, rhythm());
            let found = step.map(|step| (step.kind, step.told_severity, step.remind_at, step.is_worse));
            assert_eq!(found, expected, "{what}");
        }
    }

    #[test]
    fn pauses_between_reminders_are_doubled_up_to_the_longest() {
        let hours: Vec<i64> = [0, 1, 2, 3, 4, 40, u32::MAX].map(|n| rhythm().pause(n).num_hours()).to_vec();
        assert_eq!(hours, [24, 48, 96, 168, 168, 168, 168]);
    }

    #[test]
    fn tries_become_rarer_up_to_one_an_hour() {
        let minutes: Vec<i64> = (0..9).map(|failed| backoff(failed).num_minutes()).collect();
        assert_eq!(minutes, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(backoff(u32::MAX).num_minutes(), 60);
    }
}
