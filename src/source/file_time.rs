//! What time a file says it observes.

use chrono::{NaiveDate, NaiveDateTime, TimeDelta};

use crate::source::SourceError;
use crate::source::netcdf_file::NetcdfFile;
use crate::time::{ProductDay, Window};

/// The time bounds of a file.
///
/// # Errors
/// [`SourceError`] where they are not there, or not as the CF conventions have them.
pub(super) fn window(file: &NetcdfFile) -> Result<Window, SourceError> {
    let time = file.variable(&["time"])?;
    let bounds_name = time.text("bounds").unwrap_or_else(|| "time_bnds".into());
    let bounds = file.variable(&[&bounds_name])?;
    // By convention the bounds of an axis may leave their units to the axis.
    let units = bounds.text("units").or_else(|| time.text("units")).unwrap_or_default();
    let values = bounds.values()?;
    let moments: Vec<NaiveDateTime> = values.iter().filter_map(|value| moment(&units, *value)).collect();
    match moments.as_slice() {
        [start, end] if start < end => Ok(Window { start: *start, end: *end }),
        _ => Err(file.layout(
            format!("{bounds_name} of a beginning and a later end, in seconds since a date"),
            format!("{values:?} in \"{units}\""),
        )),
    }
}

/// Refuses a file whose window begins or ends on other days than these.
pub(super) fn verify_days(
    file: &NetcdfFile,
    window: &Window,
    start: ProductDay,
    end: ProductDay,
) -> Result<(), SourceError> {
    if window.start.date() == start.date() && window.end.date() == end.date() {
        return Ok(());
    }
    Err(wrong_date(file, format!("{start} to {end}"), window))
}

/// Refuses a file whose window has its centre further than half a day from noon of `centre`, or is not about `days` long.
pub(super) fn verify_centre(
    file: &NetcdfFile,
    window: &Window,
    centre: ProductDay,
    days: i64,
) -> Result<(), SourceError> {
    // Some products count the last day in, others end with it.
    if window.age_days(centre).abs() <= 0.5 && (window.days() - days as f64).abs() <= 1.0 {
        return Ok(());
    }
    let length = if days == 1 { "one day".to_owned() } else { format!("{days} days") };
    Err(wrong_date(file, format!("{length} centred on {centre}"), window))
}

fn wrong_date(file: &NetcdfFile, expected: String, window: &Window) -> SourceError {
    let minutes = |moment: NaiveDateTime| moment.format("%Y-%m-%d %H:%M").to_string();
    let found = format!("{} to {}", minutes(window.start), minutes(window.end));
    SourceError::WrongDate { path: file.path().to_owned(), expected, found }
}

/// The moment that a number in CF units such as "seconds since 1978-01-01 00:00:00" means.
fn moment(units: &str, value: f64) -> Option<NaiveDateTime> {
    let (unit, since) = units.split_once(" since ")?;
    let unit_seconds = match unit.trim() {
        "seconds" | "second" | "s" => 1.0,
        "minutes" | "minute" => 60.0,
        "hours" | "hour" | "h" => 3600.0,
        "days" | "day" | "d" => 86_400.0,
        _ => return None,
    };
    let milliseconds = (value * unit_seconds * 1000.0).round();
    if !milliseconds.is_finite() {
        return None;
    }
    reference(since)?.checked_add_signed(TimeDelta::try_milliseconds(milliseconds as i64)?)
}

fn reference(text: &str) -> Option<NaiveDateTime> {
    let text = text.trim().trim_end_matches("UTC").trim_end_matches('Z').trim_end();
    ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M"]
        .into_iter()
        .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())
        .or_else(|| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_usual_units_are_read() {
        let noon = ProductDay::from_compact("20220415").unwrap().noon();
        for (units, value) in [
            ("seconds since 1978-01-01 00:00:00", 1_397_563_200.0),
            ("seconds since 1978-01-01T00:00:00Z", 1_397_563_200.0),
            ("hours since 2022-04-15", 12.0),
            ("days since 2022-04-14 00:00:00.0 UTC", 1.5),
            ("minutes since 2022-04-15 11:00", 60.0),
        ] {
            assert_eq!(moment(units, value), Some(noon), "{units}");
        }
    }

    #[test]
    fn other_units_and_missing_values_are_no_moment() {
        for units in ["fortnights since 2022-04-15", "seconds", "seconds since yesterday", ""] {
            assert_eq!(moment(units, 0.0), None, "{units}");
        }
        assert_eq!(moment("days since 2022-04-15", f64::NAN), None);
        assert_eq!(moment("days since 2022-04-15", 1e300), None);
    }

    proptest! {
        #[test]
        fn no_units_make_it_panic(units in "(days|hours) since \\PC{0,20}|.*", value in any::<f64>()) {
            let _ = moment(&units, value);
        }
    }
}
