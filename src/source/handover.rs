//! Decoded fields on their way from the confined process that opens a file to the one that works with them: a line of JSON that says
//! what comes, then every plane in turn, `[row, column]`, without gaps; numbers are 32-bit floats, least significant byte first.
//!
//! Who receives them does not trust who sends them, which has read a foreign file: the grids are known here, so nothing sent decides
//! how much is read, and values are held to what the reader promises.

use std::io::{self, Write};
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use crate::field::Field;
use crate::grid::{GridError, GridSpec};
use crate::source::merged_thickness::{self, Basis, Thickness};
use crate::source::native_grid::{osisaf_100, osisaf_625};
use crate::source::osisaf_concentration::{self, Concentration};
use crate::source::osisaf_drift::{self, Drift};
use crate::source::{Decoded, FlagCounts, Identity, Refusal, SourceError, ThicknessLayout};
use crate::text::excerpt;
use crate::time::Window;

/// The longest first line.
const LONGEST_HEAD_BYTES: usize = 64 << 10;
/// More than the planes of any product have.
pub(super) const LONGEST_HANDOVER_BYTES: u64 = 64 << 20;

/// A value without bounds of its own: readers leave no infinite ones.
const FINITE: RangeInclusive<f64> = f64::MIN..=f64::MAX;

/// What comes.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Head {
    Decoded(Summary),
    Refused(Refusal),
}

/// What is known of a file beside its planes.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Summary {
    product: String,
    window: Window,
    planes: Planes,
}

/// Which planes come, and what belongs to them.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Planes {
    Concentration { has_uncertainty: bool, flags: FlagCounts },
    Thickness { has_uncertainty: bool, layout: ThicknessLayout },
    Drift { flags: FlagCounts },
}

/// Sends what was read of a file, or why it is refused.
///
/// # Errors
/// Those of `out`.
pub fn hand_over(read: Result<Decoded, SourceError>, out: &mut impl Write) -> io::Result<()> {
    match read {
        Ok(Decoded::Concentration(read)) => {
            let has_uncertainty = read.uncertainty_fraction.is_some();
            say(
                &read.identity,
                read.window,
                Planes::Concentration { has_uncertainty, flags: read.flags },
                out,
            )?;
            put_fields([Some(&read.fraction), read.uncertainty_fraction.as_ref()], out)?;
            put_codes(&read.near_coast, |near| u8::from(*near), out)
        }
        Ok(Decoded::Thickness(read)) => {
            let has_uncertainty = read.uncertainty_m.is_some();
            say(
                &read.identity,
                read.window,
                Planes::Thickness { has_uncertainty, layout: read.layout },
                out,
            )?;
            put_fields([Some(&read.thickness_m), read.uncertainty_m.as_ref()], out)?;
            put_codes(&read.basis, |basis| code_of(*basis), out)
        }
        Ok(Decoded::Drift(read)) => {
            say(&read.identity, read.window, Planes::Drift { flags: read.flags }, out)?;
            let Drift { displacement_x_km, displacement_y_km, uncertainty_km, duration_days, .. } = &read;
            let fields = [displacement_x_km, displacement_y_km, uncertainty_km, duration_days];
            put_fields(fields.map(Some), out)
        }
        Err(error) => put_head(&Head::Refused(Refusal::from(error)), out),
    }
}

fn say(identity: &Identity, window: Window, planes: Planes, out: &mut impl Write) -> io::Result<()> {
    put_head(&Head::Decoded(Summary { product: identity.product.clone(), window, planes }), out)
}

fn put_head(head: &Head, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{}", serde_json::to_string(head)?)
}

fn put_fields<const N: usize>(fields: [Option<&Field>; N], out: &mut impl Write) -> io::Result<()> {
    for field in fields.into_iter().flatten() {
        let bytes: Vec<u8> = field.values().iter().flat_map(|value| value.to_le_bytes()).collect();
        out.write_all(&bytes)?;
    }
    Ok(())
}

fn put_codes<T>(values: &Array2<T>, code: impl Fn(&T) -> u8, out: &mut impl Write) -> io::Result<()> {
    out.write_all(&values.iter().map(code).collect::<Vec<u8>>())
}

/// 0 stands for none.
fn code_of(basis: Option<Basis>) -> u8 {
    let place = basis.and_then(|basis| Basis::ALL.iter().position(|known| *known == basis));
    place.map_or(0, |place| place as u8 + 1)
}

/// Understands what was handed over of `file`.
///
/// # Errors
/// In words, what of it makes no sense.
pub(super) fn taken_over(said: &[u8], file: &Path) -> Result<Result<Decoded, Refusal>, String> {
    let end = said.iter().take(LONGEST_HEAD_BYTES).position(|byte| *byte == b'\n').ok_or("no first line")?;
    let head = serde_json::from_slice(&said[..end]).map_err(|error| excerpt(&error.to_string()))?;
    let Summary { product, window, planes } = match head {
        Head::Refused(refusal) => return Ok(Err(refusal.in_plain_words())),
        Head::Decoded(summary) => summary,
    };
    let identity = Identity::new(&product, None, file);
    let rest = &said[end + 1..];
    Ok(Ok(match planes {
        Planes::Concentration { has_uncertainty, flags } => {
            let mut sent = Sent::on(osisaf_100(), rest)?;
            Decoded::Concentration(Concentration {
                fraction: sent.field(&osisaf_concentration::PLAUSIBLE)?,
                uncertainty_fraction: has_uncertainty.then(|| sent.field(&FINITE)).transpose()?,
                near_coast: sent.last_codes(|code| (code <= 1).then_some(code == 1))?,
                flags,
                identity,
                window,
            })
        }
        Planes::Thickness { has_uncertainty, layout } => {
            let mut sent = Sent::on(layout.grid(), rest)?;
            Decoded::Thickness(Thickness {
                thickness_m: sent.field(&merged_thickness::PLAUSIBLE_M)?,
                uncertainty_m: has_uncertainty.then(|| sent.field(&FINITE)).transpose()?,
                basis: sent.last_codes(basis_of)?,
                layout,
                identity,
                window,
            })
        }
        Planes::Drift { flags } => {
            let mut sent = Sent::on(osisaf_625(), rest)?;
            let drift = Drift {
                displacement_x_km: sent.field(&osisaf_drift::PLAUSIBLE_KM)?,
                displacement_y_km: sent.field(&osisaf_drift::PLAUSIBLE_KM)?,
                uncertainty_km: sent.field(&FINITE)?,
                duration_days: sent.field(&FINITE)?,
                flags,
                identity,
                window,
            };
            sent.is_all()?;
            Decoded::Drift(drift)
        }
    }))
}

#[expect(clippy::option_option, reason = "a code that is none, and one that stands for none")]
fn basis_of(code: u8) -> Option<Option<Basis>> {
    match code {
        0 => Some(None),
        code => Basis::ALL.get(usize::from(code) - 1).map(|basis| Some(*basis)),
    }
}

/// The planes that are still to be taken.
struct Sent<'a> {
    grid: Arc<GridSpec>,
    rest: &'a [u8],
}

impl<'a> Sent<'a> {
    fn on(grid: Result<GridSpec, GridError>, rest: &'a [u8]) -> Result<Self, String> {
        Ok(Self { grid: Arc::new(grid.map_err(|error| error.to_string())?), rest })
    }

    fn plane(&mut self, bytes_per_cell: usize) -> Result<&'a [u8], String> {
        let (rows, columns) = self.grid.shape();
        let (plane, rest) =
            self.rest.split_at_checked(rows * columns * bytes_per_cell).ok_or("too few values")?;
        self.rest = rest;
        Ok(plane)
    }

    fn field(&mut self, plausible: &RangeInclusive<f64>) -> Result<Field, String> {
        let plane = self.plane(size_of::<f32>())?;
        let (numbers, _) = plane.as_chunks();
        let values: Vec<f32> = numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        if let Some(value) =
            values.iter().find(|value| !value.is_nan() && !plausible.contains(&f64::from(**value)))
        {
            return Err(format!("the value {value}"));
        }
        let values = Array2::from_shape_vec(self.grid.shape(), values).map_err(|error| error.to_string())?;
        Field::new(Arc::clone(&self.grid), values).map_err(|error| error.to_string())
    }

    /// The plane of codes that ends what is sent.
    fn last_codes<T>(&mut self, meaning: impl Fn(u8) -> Option<T>) -> Result<Array2<T>, String> {
        let plane = self.plane(1)?;
        self.is_all()?;
        let meant = |code: &u8| meaning(*code).ok_or_else(|| format!("the code {code}"));
        let values: Vec<T> = plane.iter().map(meant).collect::<Result<_, _>>()?;
        Array2::from_shape_vec(self.grid.shape(), values).map_err(|error| error.to_string())
    }

    fn is_all(&self) -> Result<(), String> {
        if self.rest.is_empty() { Ok(()) } else { Err("too many values".into()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::ProductDay;

    const NAME: &str = "ice_drift_nh_polstere-625_multi-oi_202204141200-202204161200.nc";

    fn field(grid: &Arc<GridSpec>, at: impl Fn(usize) -> f32) -> Field {
        let (rows, columns) = grid.shape();
        let values = Array2::from_shape_fn((rows, columns), |(row, column)| at(row * columns + column));
        Field::new(Arc::clone(grid), values).unwrap()
    }

    fn window() -> Window {
        let day: ProductDay = "2022-04-15".parse().unwrap();
        let noon = day.noon();
        Window { start: noon - chrono::TimeDelta::days(1), end: noon + chrono::TimeDelta::days(1) }
    }

    fn identity() -> Identity {
        Identity::new("A product", Some("1.0"), Path::new(NAME))
    }

    /// Some values, and holes.
    fn value(cell: usize) -> f32 {
        if cell.is_multiple_of(7) { f32::NAN } else { (cell % 100) as f32 / 100.0 }
    }

    fn samples() -> [Decoded; 3] {
        let flags = FlagCounts { land: 5, ice_on_land: 1, unknown: 2 };
        let (coarse, fine) = (Arc::new(osisaf_625().unwrap()), Arc::new(osisaf_100().unwrap()));
        let layout = ThicknessLayout::V206;
        let thick = Arc::new(layout.grid().unwrap());
        [
            Decoded::Concentration(Concentration {
                fraction: field(&fine, value),
                near_coast: Array2::from_shape_fn(fine.shape(), |(row, _)| row.is_multiple_of(3)),
                uncertainty_fraction: None,
                flags,
                identity: identity(),
                window: window(),
            }),
            Decoded::Thickness(Thickness {
                thickness_m: field(&thick, value),
                uncertainty_m: Some(field(&thick, |cell| value(cell) / 2.0)),
                basis: Array2::from_shape_fn(thick.shape(), |(row, _)| Basis::ALL.get(row % 6).copied()),
                layout,
                identity: identity(),
                window: window(),
            }),
            Decoded::Drift(Drift {
                displacement_x_km: field(&coarse, value),
                displacement_y_km: field(&coarse, |cell| -value(cell)),
                uncertainty_km: field(&coarse, value),
                duration_days: field(&coarse, |_| 2.0),
                flags,
                identity: identity(),
                window: window(),
            }),
        ]
    }

    fn handed_over(decoded: Decoded) -> Vec<u8> {
        let mut bytes = Vec::new();
        hand_over(Ok(decoded), &mut bytes).unwrap();
        bytes
    }

    #[test]
    fn what_arrives_is_what_was_sent() {
        for sent in samples() {
            let bytes = handed_over(sent.clone());
            assert!((bytes.len() as u64) < LONGEST_HANDOVER_BYTES);
            let arrived = taken_over(&bytes, Path::new(NAME)).unwrap().unwrap();
            assert_eq!(arrived.role(), sent.role());
            assert_eq!(format!("{arrived:?}"), format!("{sent:?}"));
            // What a summary of a large array leaves out.
            assert!(handed_over(arrived) == bytes);
        }
    }

    #[test]
    fn a_refusal_arrives_in_plain_words() {
        let mut bytes = Vec::new();
        let error = SourceError::Damaged { path: NAME.into(), expected: "ice", reason: "a\nb".into() };
        let said = error.to_string().replace('\n', " ");
        hand_over(Err(error), &mut bytes).unwrap();
        let refusal = taken_over(&bytes, Path::new(NAME)).unwrap().unwrap_err();
        assert_eq!(refusal, Refusal { kind: "damaged".into(), reason: said });
    }

    #[test]
    fn what_no_reader_sends_is_not_taken() {
        let [_, _, drift] = samples();
        let whole = handed_over(drift);
        let head = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        let with = |place: usize, value: f32| {
            let mut bytes = whole.clone();
            bytes[place..place + 4].copy_from_slice(&value.to_le_bytes());
            bytes
        };
        let long = [b"x".repeat(LONGEST_HEAD_BYTES), whole.clone()].concat();
        for (bytes, why) in [
            (Vec::new(), "no first line"),
            (long, "no first line"),
            (b"{}\n".to_vec(), "expected value"),
            (whole[..whole.len() - 1].to_vec(), "too few values"),
            ([whole.as_slice(), b"x"].concat(), "too many values"),
            (with(head, 151.0), "the value 151"),
            (with(whole.len() - 4, f32::INFINITY), "the value inf"),
        ] {
            let said = taken_over(&bytes, Path::new(NAME)).unwrap_err();
            assert!(said.contains(why), "{said}, not {why}");
        }
    }

    #[test]
    fn a_code_without_a_meaning_is_not_taken() {
        let [concentration, thickness, _] = samples();
        for decoded in [concentration, thickness] {
            let mut bytes = handed_over(decoded);
            *bytes.last_mut().unwrap() = 9;
            assert_eq!(taken_over(&bytes, Path::new(NAME)).unwrap_err(), "the code 9");
        }
    }
}
