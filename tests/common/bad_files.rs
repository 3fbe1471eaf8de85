//! The corpus of bad files: made from the sample day, named as its files are, each with what a first look at it must bring.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use chrono::TimeDelta;
use futures_util::{StreamExt, stream};
use nilas::config::{Checks, Config, Inspection, Overrides};
use nilas::quality::judge;
use nilas::source::{Inspected, InspectionProgram, Inspector, Measured, Role, measure};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::demo_window::repository;
use super::sample_layouts::{self as layouts, CONCENTRATION, DRIFT, THICKNESS};

const INSPECTOR: &str = env!("CARGO_BIN_EXE_nilas-inspect");
/// Tighter than the shipped limits, so that what takes too much shows.
const LIMITS: Inspection = Inspection { memory_megabytes: 256, cpu_seconds: 10 };
const CHILDREN_AT_ONCE: usize = 2;
/// How far the measures of a file that passes may lie from those of the sound one, as a share.
const LARGEST_DEVIATION: f64 = 0.05;

const KIB: usize = 1024;

/// What files are refused for; a process that goes under (`crashed` and the like) has its own words.
const KINDS: [&str; 13] = [
    "empty",
    "html",
    "not_netcdf",
    "damaged",
    "unknown_product",
    "layout",
    "unit",
    "wrong_grid",
    "wrong_date",
    "implausible",
    "unknown_flags",
    "crashed",
    "out_of_memory",
];

static CHECKS: LazyLock<Checks> =
    LazyLock::new(|| Config::load(&repository("config/nilas.toml"), &Overrides::default()).unwrap().checks);

/// Makes bad bytes of sound ones.
type Spoil = dyn Fn(&[u8]) -> Vec<u8>;

/// A file to look at.
pub(crate) struct Case {
    what: String,
    sound: Arc<Sound>,
    spoil: Box<Spoil>,
    expected: Expected,
}

/// What a look at a file must bring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expected {
    /// A refusal of this kind.
    Refused(&'static str),
    /// This check finds it.
    Fails(&'static str),
    /// It is sound, and measured as such.
    Sound,
    /// It is refused, or a check finds it, or it is like the sound file in all that is measured.
    Handled,
}

/// A sound file and what it is like.
pub(crate) struct Sound {
    pub(crate) name: &'static str,
    format: &'static str,
    bytes: Vec<u8>,
    measured: Measured,
}

impl Sound {
    fn new(path: &Path, name: &'static str, format: &'static str) -> Arc<Self> {
        Arc::new(Self { name, format, bytes: fs::read(path).unwrap(), measured: measure(path).unwrap() })
    }

    /// Concentration, thickness and drift as they come now, and the drift as it came in the classic format, without any checksums.
    pub(crate) fn all() -> [Arc<Self>; 4] {
        let folder = tempfile::tempdir().unwrap();
        let classic = layouts::drift_405c(folder.path()).unwrap();
        let [concentration, thickness, drift] =
            [CONCENTRATION, THICKNESS, DRIFT].map(|name| Self::new(&layouts::sample(name), name, "NetCDF-4"));
        [concentration, thickness, drift, Self::new(&classic, DRIFT, "classic")]
    }

    /// A case that is made of the bytes of this file.
    pub(crate) fn case(
        self: &Arc<Self>,
        what: &str,
        expected: Expected,
        spoil: impl Fn(&[u8]) -> Vec<u8> + 'static,
    ) -> Case {
        let what = format!("{} ({}), {what}", self.measured.role, self.format);
        Case { what, sound: Arc::clone(self), spoil: Box::new(spoil), expected }
    }

    /// The same a day earlier: what was accepted before.
    fn of_the_eve(&self) -> Measured {
        let mut measured = self.measured.clone();
        measured.window.start -= TimeDelta::days(1);
        measured.window.end -= TimeDelta::days(1);
        measured
    }

    fn is_like(&self, measured: &Measured) -> bool {
        self.measured.values.iter().all(|(measure, sound)| {
            let found = measured.values.get(measure).copied().unwrap_or(f64::NAN);
            (found - sound).abs() <= LARGEST_DEVIATION * sound.abs().max(1.0)
        })
    }
}

/// Files that end too early: of the ends at every KiB of the first 64 and every 64 KiB after, each `step`-th.
pub(crate) fn truncated(step: usize) -> Vec<Case> {
    let ends = |length: usize| {
        let ends = (1..=64).map(|kib| kib * KIB).chain((2..).map(|part| part * 64 * KIB));
        ends.take_while(move |end| *end < length).step_by(step)
    };
    let cut = |sound: &Arc<Sound>, end: usize| {
        let expected = Expected::Refused("damaged");
        sound.case(&format!("cut at {end}"), expected, move |bytes| bytes[..end].to_vec())
    };
    let sound = Sound::all();
    sound.iter().flat_map(|sound| ends(sound.bytes.len()).map(|end| cut(sound, end))).collect()
}

/// So many files of each sound one, with one to eight bytes changed: of every three one in the header of the classic format, one
/// where NetCDF-4 has its structure, and one anywhere.
pub(crate) fn flipped(files_of_each: usize) -> Vec<Case> {
    let mut dice = ChaCha8Rng::seed_from_u64(20_220_415);
    let mut below = move |end: usize| dice.next_u32() as usize % end;
    let mut cases = Vec::new();
    for sound in Sound::all() {
        for number in 0..files_of_each {
            let end = [4 * KIB, 32 * KIB, sound.bytes.len()][number % 3];
            let count = if number % 2 == 0 { 1 } else { 2 + below(7) };
            let flips: Vec<_> = (0..count).map(|_| (below(end), 1 + below(255) as u8)).collect();
            cases.push(sound.case(&format!("changed by {flips:?}"), Expected::Handled, move |bytes| {
                let mut bytes = bytes.to_vec();
                for (at, change) in &flips {
                    bytes[*at] ^= change;
                }
                bytes
            }));
        }
    }
    cases
}

/// What looking at many files brought: how often each.
pub(crate) type Tally = BTreeMap<String, usize>;

/// Looks at every file as the daemon does. Some files at once, each by a process of its own.
///
/// # Panics
/// Where a look does not bring what it must.
pub(crate) fn look_at(cases: Vec<Case>) -> Tally {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let looks = stream::iter(cases).map(|case| async move { (case.look().await, case) });
    let seen: Vec<_> = runtime.block_on(looks.buffer_unordered(CHILDREN_AT_ONCE).collect());
    let mut tally = Tally::new();
    let mut complaints = Vec::new();
    for (seen, case) in seen {
        *tally.entry(seen.in_a_word()).or_default() += 1;
        if !case.is_met_by(&seen) {
            complaints.push(format!("{}: {:?} was expected, not {seen:?}", case.what, case.expected));
        }
    }
    assert!(complaints.is_empty(), "{} files:\n{}", complaints.len(), complaints.join("\n"));
    tally
}

/// What a look brought.
#[derive(Debug)]
enum Seen {
    Refused(String, String),
    Failed(BTreeSet<&'static str>, Measured),
    Passed(Measured),
}

impl Seen {
    fn in_a_word(&self) -> String {
        match self {
            Self::Refused(kind, _) => kind.clone(),
            Self::Failed(..) => "failed checks".to_owned(),
            Self::Passed(_) => "passed".to_owned(),
        }
    }
}

impl Case {
    async fn look(&self) -> Seen {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(self.sound.name);
        fs::write(&path, (self.spoil)(&self.sound.bytes)).unwrap();
        match InspectionProgram::new(INSPECTOR.into()).inspect(&path, &LIMITS).await.unwrap() {
            Inspected::Refused(refusal) => {
                assert!(refusal.reason.starts_with(&format!("{}: ", path.display())), "{}", refusal.reason);
                assert!(refusal.reason.contains("; "), "no remedy: {}", refusal.reason);
                Seen::Refused(refusal.kind, refusal.reason)
            }
            Inspected::Measured(measured) => self.judge(measured),
        }
    }

    fn judge(&self, measured: Measured) -> Seen {
        let limits = match measured.role {
            Role::Concentration => &CHECKS.concentration,
            Role::Thickness => &CHECKS.thickness,
            Role::Drift => &CHECKS.drift,
        };
        let findings = judge(&measured, Some(&self.sound.of_the_eve()), limits);
        let failed: BTreeSet<_> =
            findings.iter().filter(|finding| !finding.passed()).map(|finding| finding.check).collect();
        if failed.is_empty() { Seen::Passed(measured) } else { Seen::Failed(failed, measured) }
    }

    fn is_met_by(&self, seen: &Seen) -> bool {
        match (self.expected, seen) {
            (Expected::Refused(kind), Seen::Refused(found, _)) => kind == found,
            (Expected::Fails(check), Seen::Failed(failed, _)) => failed.contains(check),
            (Expected::Sound, Seen::Passed(measured)) => *measured == self.sound.measured,
            (Expected::Handled, Seen::Refused(kind, _)) => KINDS.contains(&kind.as_str()),
            (Expected::Handled, Seen::Failed(..)) => true,
            (Expected::Handled, Seen::Passed(measured)) => self.sound.is_like(measured),
            _ => false,
        }
    }
}
