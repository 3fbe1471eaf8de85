//! Checks of an input file: what was measured, and its change against the file accepted before, held against the configured limits.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;

use crate::config::{Limits, Measure};
use crate::quality::Finding;
use crate::source::Measured;
use crate::time::Window;

/// A file that is older says nothing about what is plausible now, days.
const LONGEST_GAP_DAYS: f64 = 30.0;

/// Each change with the measure that it is the change of.
const CHANGES: [(Measure, Measure); 2] = [
    (Measure::IceAreaChangePercentPerDay, Measure::IceAreaMillionKm2),
    (Measure::MeanChangePercentPerDay, Measure::Mean),
];

/// Judges an input file: a finding for everything that was measured or has limits, by the measure's name. What has limits and was
/// not measured fails; but for the changes, which need a file accepted before of the same product and at most a month away.
#[must_use]
pub fn judge(
    measured: &Measured,
    previous: Option<&Measured>,
    limits: &BTreeMap<Measure, Limits>,
) -> Vec<Finding> {
    let previous = previous.filter(|previous| are_comparable(measured, previous));
    let mut values = measured.values.clone();
    values.extend(previous.into_iter().flat_map(|previous| changes(measured, previous)));
    let is_asked = |measure: &&Measure| previous.is_some() || !is_change(**measure);
    let measures: BTreeSet<Measure> = values.keys().chain(limits.keys()).filter(is_asked).copied().collect();
    measures.into_iter().map(|measure| finding(measure, values.get(&measure), limits.get(&measure))).collect()
}

fn finding(measure: Measure, measured: Option<&f64>, limits: Option<&Limits>) -> Finding {
    let Limits { least, most } = limits.copied().unwrap_or_default();
    Finding {
        check: measure.name(),
        measured: measured.copied().unwrap_or(f64::NAN),
        lowest: least.unwrap_or(f64::NEG_INFINITY),
        highest: most.unwrap_or(f64::INFINITY),
    }
}

fn is_change(measure: Measure) -> bool {
    CHANGES.iter().any(|(change, _)| *change == measure)
}

/// Whether two files measure the same thing by the same product, whatever its version, at times that lie close enough.
fn are_comparable(one: &Measured, other: &Measured) -> bool {
    let product = |measured: &Measured| measured.product.split(' ').next().map(str::to_owned);
    one.role == other.role
        && product(one) == product(other)
        && days_between(&one.window, &other.window) <= LONGEST_GAP_DAYS
}

fn changes(measured: &Measured, previous: &Measured) -> Vec<(Measure, f64)> {
    // Two files of one day, where the second corrects the first, may differ as those of neighbouring days do.
    let days = days_between(&measured.window, &previous.window).max(1.0);
    let change = |of: Measure| {
        let (now, before) = (measured.values.get(&of)?, previous.values.get(&of)?);
        Some(100.0 * (now - before) / before / days)
    };
    CHANGES.iter().filter_map(|&(measure, of)| Some((measure, change(of)?))).collect()
}

/// Between the centres of two windows, whichever is the earlier.
fn days_between(one: &Window, other: &Window) -> f64 {
    let twice = (one.start - other.start) + (one.end - other.end);
    twice.abs().as_seconds_f64() / TimeDelta::days(2).as_seconds_f64()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Role;
    use crate::time::ProductDay;

    fn measured(day: &str, product: &str, values: &[(Measure, f64)]) -> Measured {
        let day: ProductDay = day.parse().unwrap();
        let window = Window { start: day.plus_days(-1).noon(), end: day.plus_days(1).noon() };
        let values = values.iter().copied().collect();
        Measured { role: Role::Drift, product: product.to_owned(), window, values }
    }

    fn limits(measure: Measure, least: f64, most: f64) -> BTreeMap<Measure, Limits> {
        BTreeMap::from([(measure, Limits { least: Some(least), most: Some(most) })])
    }

    /// Each finding by name: what was measured, and whether it passed.
    fn found(findings: &[Finding]) -> Vec<(&str, f64, bool)> {
        findings.iter().map(|finding| (finding.check, finding.measured, finding.passed())).collect()
    }

    #[test]
    fn limits_are_held_and_what_has_none_is_told_all_the_same() {
        let file = measured("2026-03-02", "P 1", &[(Measure::Mean, 5.0), (Measure::ValidPercent, 12.0)]);
        for (least, most, passes) in
            [(4.0, 6.0, true), (5.0, 5.0, true), (5.1, 6.0, false), (4.0, 4.9, false)]
        {
            let findings = judge(&file, None, &limits(Measure::Mean, least, most));
            assert_eq!(found(&findings), [("valid_percent", 12.0, true), ("mean", 5.0, passes)]);
        }
        let one_sided = BTreeMap::from([(Measure::Mean, Limits { least: None, most: Some(4.0) })]);
        let text: Vec<String> = judge(&file, None, &one_sided).iter().map(ToString::to_string).collect();
        assert_eq!(text, ["valid_percent: 12 (any)", "mean: 5 (at most 4)"]);
    }

    #[test]
    fn what_has_a_limit_and_no_number_fails() {
        let file = measured("2026-03-02", "P 1", &[(Measure::Mean, f64::NAN)]);
        let mut limits = limits(Measure::Mean, 0.0, 9.0);
        limits.insert(Measure::ValidPercent, Limits { least: Some(0.0), most: Some(100.0) });
        let findings = judge(&file, None, &limits);
        assert!(findings.len() == 2 && findings.iter().all(|finding| !finding.passed()), "{findings:?}");
        assert_eq!(findings[0].to_string(), "valid_percent: not measured (from 0 to 100)");
    }

    #[test]
    fn a_change_is_counted_per_day() {
        let limits = limits(Measure::MeanChangePercentPerDay, -10.0, 10.0);
        let before =
            measured("2026-03-01", "P 1", &[(Measure::Mean, 10.0), (Measure::IceAreaMillionKm2, 4.0)]);
        for (day, mean, change, passes) in [
            ("2026-03-02", 11.0, 10.0, true),
            ("2026-03-02", 11.1, 11.0, false),
            ("2026-03-05", 13.0, 7.5, true),
            ("2026-02-27", 8.0, -10.0, true),
            ("2026-03-01", 8.0, -20.0, false),
        ] {
            let file = measured(day, "P 1.1", &[(Measure::Mean, mean)]);
            let findings = judge(&file, Some(&before), &limits);
            let [_, finding] = findings.as_slice() else { panic!("{findings:?}") };
            assert_eq!((finding.check, finding.passed()), ("mean_change_percent_per_day", passes), "{day}");
            assert!((finding.measured - change).abs() < 1e-9, "{day}: {}", finding.measured);
        }
    }

    #[test]
    fn a_change_against_what_cannot_be_compared_is_not_asked_for() {
        let limits = limits(Measure::MeanChangePercentPerDay, 0.0, 0.0);
        let file = measured("2026-03-02", "P 1", &[(Measure::Mean, 5.0)]);
        let other_role = Measured { role: Role::Thickness, ..file.clone() };
        let old = measured("2026-01-30", "P 1", &[(Measure::Mean, 10.0)]);
        let other = measured("2026-03-01", "Q 1", &[(Measure::Mean, 10.0)]);
        for previous in [None, Some(&other_role), Some(&old), Some(&other)] {
            assert_eq!(found(&judge(&file, previous, &limits)), [("mean", 5.0, true)], "{previous:?}");
        }
    }

    #[test]
    fn a_change_that_has_a_limit_and_cannot_be_worked_out_fails() {
        let limits = limits(Measure::MeanChangePercentPerDay, -9.0, 9.0);
        let before = measured("2026-03-01", "P 1", &[]);
        let file = measured("2026-03-02", "P 1", &[(Measure::Mean, 5.0)]);
        let findings = judge(&file, Some(&before), &limits);
        assert!(
            findings
                .iter()
                .any(|finding| finding.check == "mean_change_percent_per_day" && !finding.passed())
        );
    }
}
