//! A ledger of a service that has been at work for some days, for the tests of what readers are shown.

use std::fs;
use std::path::Path;

use chrono::{DateTime, TimeDelta, Utc};
use tempfile::TempDir;

use crate::config::{Config, Overrides};
use crate::ledger::{
    Aftermath, DayInput, DayState, FileRow, Ledger, Origin, Outcome, ProductInput, ProductRow, Refusal,
    RunEnd, Severity, Verdict, Withdrawal,
};
use crate::publish;
use crate::source::{Role, window_end};
use crate::time::ProductDay;

/// The bytes of the picture of every product.
pub(crate) const PICTURE: &[u8] = b"\x89PNG\r\n\x1a\n and what follows";

/// A ledger and a configuration in a folder of their own.
pub(crate) struct House {
    folder: TempDir,
    pub(crate) ledger: Ledger,
    pub(crate) config: Config,
}

pub(crate) fn day(text: &str) -> ProductDay {
    text.parse().unwrap()
}

pub(crate) fn time(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

impl House {
    /// Nothing has happened yet.
    pub(crate) fn empty() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::load(Path::new("config/nilas.toml"), &Overrides::default()).unwrap();
        config.folders.state = folder.path().to_owned();
        config.folders.products = folder.path().join("products");
        config.schedule.first_day = Some(day("2026-02-25"));
        let ledger = Ledger::open(&folder.path().join(Ledger::FILE_NAME)).unwrap();
        Self { folder, ledger, config }
    }

    /// The morning of 2 March 2026: a final, a provisional, a withdrawn and a failed day, a file that was refused, and incidents.
    pub(crate) fn full() -> Self {
        let house = Self::empty();
        let ledger = &house.ledger;
        for text in ["2026-02-25", "2026-02-26", "2026-02-27", "2026-02-28", "2026-03-01"] {
            house.file(Role::Concentration, day(text));
        }
        for text in ["2026-02-25", "2026-02-26", "2026-02-27", "2026-02-28"] {
            house.file(Role::Drift, day(text));
        }
        for text in ["2026-02-20", "2026-02-25"] {
            house.file(Role::Thickness, day(text));
        }
        house.publish(day("2026-02-25"), [0, 0, 0], "2026-02-28T12:10:00Z");
        house.publish(day("2026-02-26"), [0, 1, 0], "2026-02-28T12:30:00Z");
        house.publish(day("2026-02-27"), [0, 2, 0], "2026-03-01T05:20:00Z");
        let reason = "the drift was of the wrong day".to_owned();
        let withdrawal = Withdrawal { at: time("2026-03-01T09:00:00Z"), reason };
        ledger.withdraw_product(day("2026-02-27"), 1, &withdrawal).unwrap();
        let note = "its product was taken back";
        ledger.set_day(day("2026-02-27"), DayState::Waiting, note, withdrawal.at).unwrap();
        ledger.record_file(&house.refused()).unwrap();
        house.fail(day("2026-02-28"), "2026-03-02T05:25:00Z");
        let lacks = "waits for drift of 2026-02-28, which should be there";
        ledger.set_day(day("2026-03-01"), DayState::Waiting, lacks, time("2026-03-02T00:00:00Z")).unwrap();
        ledger.ask_for(&[day("2026-01-10"), day("2026-01-11")], false, time("2026-03-01T10:00:00Z")).unwrap();
        for (key, severity, text) in [
            ("late:drift", Severity::Warning, "drift is late: the newest file is centred on 2026-02-28"),
            ("production", Severity::Failure, "the production of 2026-02-28 fails: exit code 9"),
        ] {
            ledger.raise(key, severity, text, time("2026-03-02T04:40:00Z")).unwrap();
        }
        ledger.acknowledge("late:drift", time("2026-03-02T05:00:00Z")).unwrap();
        house
    }

    /// Its parts; the folder goes when it is dropped.
    pub(crate) fn into_parts(self) -> (TempDir, Ledger, Config) {
        (self.folder, self.ledger, self.config)
    }

    /// When [`House::full`] is looked at.
    pub(crate) fn now() -> DateTime<Utc> {
        time("2026-03-02T05:30:00Z")
    }

    /// A text without the folder that this house happens to have.
    pub(crate) fn without_folder(&self, text: &str) -> String {
        text.replace(&self.folder.path().display().to_string(), "HOUSE")
    }

    fn row(role: Role, centre: ProductDay) -> FileRow {
        let came = window_end(role, centre) + TimeDelta::minutes(271);
        FileRow {
            name: format!("{role}_{}.nc", centre.compact()),
            sha256: format!("{:0>64}", format!("{}{}", role.name().len(), centre.compact())),
            role: role.name().to_owned(),
            product: "amsr3".to_owned(),
            first_day: centre,
            last_day: centre,
            centre,
            server: if role == Role::Thickness { "awi" } else { "met-norway" }.to_owned(),
            url: format!("https://example.org/{role}"),
            size_bytes: 12_345_678,
            fetched_at: came,
            judged_at: came,
            verdict: Verdict::Accepted,
            checks: Vec::new(),
        }
    }

    /// A file arrives, four and a half hours after the end of what it observes.
    pub(crate) fn file(&self, role: Role, centre: ProductDay) {
        self.ledger.record_file(&Self::row(role, centre)).unwrap();
    }

    fn refused(&self) -> FileRow {
        let refusal = Refusal {
            kind: "implausible".to_owned(),
            reason: "mean is 91, and at most 60 passes".to_owned(),
            quarantine: Some(self.folder.path().join("quarantine/drift_20260301.nc")),
        };
        let came = time("2026-03-02T05:05:00Z");
        let verdict = Verdict::Refused(refusal);
        FileRow { verdict, fetched_at: came, judged_at: came, ..Self::row(Role::Drift, day("2026-03-01")) }
    }

    /// A day is made of files of these ages in days, and published.
    pub(crate) fn publish(&self, day: ProductDay, ages: [u32; 3], at: &str) {
        let at = time(at);
        let files = Role::ALL.into_iter().zip(ages);
        let files: Vec<(FileRow, u32)> =
            files.map(|(role, age)| (Self::row(role, day.plus_days(-i64::from(age))), age)).collect();
        let chosen = |(file, age): &(FileRow, u32)| {
            self.ledger.record_file(file).unwrap();
            let FileRow { role, sha256, name, .. } = file.clone();
            DayInput { role, sha256, name, age_days: *age }
        };
        let chosen: Vec<DayInput> = files.iter().map(chosen).collect();
        self.ledger.record_day_inputs(day, &chosen, at - TimeDelta::minutes(11)).unwrap();
        let run = self.ledger.begin_run(day, Origin::Schedule, 0, at - TimeDelta::minutes(10)).unwrap();
        let folder = publish::revision_folder(&self.config.folders.products, day, run.revision);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("nilas_sit_epsg3413-3km_20260301_r01.png"), PICTURE).unwrap();
        let is_final = ages == [0, 0, 0];
        let inputs = chosen.iter().map(|input| ProductInput {
            role: input.role.clone(),
            name: input.name.clone(),
            sha256: input.sha256.clone(),
            age_days: f64::from(input.age_days),
        });
        let product = ProductRow {
            day,
            revision: run.revision,
            run: Some(run.id),
            is_final,
            published_at: at,
            size_bytes: 40_000_000,
            manifest_sha256: "a".repeat(64),
            checkpoint_sha256: "b".repeat(64),
            config_hash: "c".repeat(64),
            degradation: (day.compact() == "20260226")
                .then(|| "made on cpu, because the GPU failed".to_owned()),
            withdrawal: None,
            removed_at: None,
            inputs: inputs.collect(),
        };
        let state = if is_final { DayState::Final } else { DayState::Provisional };
        let note = format!("revision {} stands", run.revision);
        let aftermath = Aftermath { state, note, counts_as_failure: false };
        self.ledger.end_run(&run, &Self::end(at, Outcome::Published), Some(&product), &aftermath).unwrap();
    }

    fn end(at: DateTime<Utc>, outcome: Outcome) -> RunEnd {
        RunEnd {
            at,
            outcome,
            exit_code: (outcome == Outcome::Failed).then_some(9),
            reason: match outcome {
                Outcome::Failed => Some("the model did not answer".to_owned()),
                Outcome::Abandoned => Some("it was told to stop".to_owned()),
                _ => None,
            },
            device: Some("cpu".to_owned()),
            peak_memory_bytes: Some(1_234_000_000),
            stages: vec![("prepare".to_owned(), 12.5), ("ensemble".to_owned(), 540.25)],
        }
    }

    /// The production of a day fails, five minutes after it began.
    pub(crate) fn fail(&self, day: ProductDay, at: &str) {
        let at = time(at);
        let run = self.ledger.begin_run(day, Origin::Schedule, 0, at - TimeDelta::minutes(5)).unwrap();
        let note = "exit code 9: the model did not answer".to_owned();
        let aftermath = Aftermath { state: DayState::Failed, note, counts_as_failure: true };
        self.ledger.end_run(&run, &Self::end(at, Outcome::Failed), None, &aftermath).unwrap();
    }

    /// The production of a day that has failed before is told to stop, two minutes after it began.
    pub(crate) fn stop(&self, day: ProductDay, at: &str) {
        let at = time(at);
        let run = self.ledger.begin_run(day, Origin::Schedule, 0, at - TimeDelta::minutes(2)).unwrap();
        let note = "production was stopped".to_owned();
        let aftermath = Aftermath { state: DayState::Failed, note, counts_as_failure: false };
        self.ledger.end_run(&run, &Self::end(at, Outcome::Abandoned), None, &aftermath).unwrap();
    }
}
