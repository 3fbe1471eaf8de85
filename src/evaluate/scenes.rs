//! The scenes: days of an archive, or a window of each.

use ndarray::{Array2, Array3, Axis, Zip, s};
use rand_chacha::ChaCha20Rng;

use crate::archive::{Archive, Sample};
use crate::ensemble::dice;
use crate::prepare;
use crate::progress::Bar;
use crate::score::Scene;
use crate::sys;
use crate::time::ProductDay;

use super::{CELL_KM, DayChoice, EvaluateError, EvaluateOptions};

/// A window with less ice than this is drawn again.
const LEAST_ICE: f64 = 0.5;
/// Draws until a window with enough ice is found; a day without one is left out.
const DRAWS: usize = 400;

/// Where a scene lies.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Place {
    /// Number of the day in the archive.
    index: usize,
    /// The day.
    pub(super) day: ProductDay,
    /// First row and column.
    pub(super) corner: [usize; 2],
    /// Rows and columns.
    pub(super) shape: [usize; 2],
    /// Cells of ice.
    pub(super) ice_cells: usize,
    /// SHA-256 of what is scored on.
    pub(super) sha256: String,
}

/// What is scored on.
#[derive(Debug)]
pub(super) struct SceneFields {
    pub(super) day: ProductDay,
    /// The network's inputs before standardising, `[4, row, column]`.
    pub(super) context: Array3<f32>,
    /// High-resolution effective thickness, m; NaN outside the mask.
    pub(super) truth_m: Array2<f32>,
    /// Low-resolution effective thickness, m; NaN outside the mask.
    pub(super) low_m: Array2<f32>,
    /// Ice whose thickness is known.
    pub(super) mask: Array2<bool>,
}

impl SceneFields {
    pub(super) fn view(&self) -> Scene<'_> {
        Scene {
            truth_m: &self.truth_m,
            low_m: &self.low_m,
            concentration: self.context.index_axis(Axis(0), prepare::CONCENTRATION_CHANNEL),
            mask: &self.mask,
            cell_km: CELL_KM,
        }
    }

    /// The same rule as in training: ice where concentration says so and thickness is known.
    pub(super) fn of(day: ProductDay, sample: &Sample) -> Self {
        let deformation = Zip::from(&sample.low_divergence_per_day)
            .and(&sample.low_shear_per_day)
            .map_collect(|divergence, shear| divergence.hypot(*shear));
        let mask = Zip::from(&sample.low_concentration)
            .and(&sample.effective_thickness_m)
            .and(&sample.low_effective_thickness_m)
            .map_collect(|&concentration, truth, low| {
                concentration >= prepare::ICE_EDGE && !(truth.is_nan() || low.is_nan())
            });
        let inside = |values: &Array2<f32>| {
            Zip::from(values).and(&mask).map_collect(|&value, &inside| if inside { value } else { f32::NAN })
        };
        let (low, concentration) = (&sample.low_effective_thickness_m, &sample.low_concentration);
        Self {
            day,
            context: prepare::context(concentration, low, &deformation, &mask),
            truth_m: inside(&sample.effective_thickness_m),
            low_m: inside(low),
            mask,
        }
    }

    /// The cells inside the mask.
    pub(super) fn cells(&self) -> impl Iterator<Item = (usize, usize)> {
        self.mask.indexed_iter().filter(|(_, inside)| **inside).map(|(cell, _)| cell)
    }

    pub(super) fn cut(&self, [row, column]: [usize; 2], [rows, columns]: [usize; 2]) -> Self {
        let window = s![row..row + rows, column..column + columns];
        Self {
            day: self.day,
            context: self.context.slice(s![.., row..row + rows, column..column + columns]).to_owned(),
            truth_m: self.truth_m.slice(window).to_owned(),
            low_m: self.low_m.slice(window).to_owned(),
            mask: self.mask.slice(window).to_owned(),
        }
    }

    pub(super) fn sha256(&self) -> String {
        let values = self.context.iter().chain(&self.truth_m);
        sys::sha256(values.flat_map(|value| value.to_bits().to_le_bytes()).collect::<Vec<u8>>())
    }
}

/// The scenes that are asked for. Days without enough ice are left out, and said so.
pub(super) fn choose(
    archive: &Archive,
    options: &EvaluateOptions,
    bar: &Bar,
) -> Result<Vec<Place>, EvaluateError> {
    let days: Vec<ProductDay> = archive.days().collect();
    let mut places = Vec::new();
    for index in indices(&days, &options.days)? {
        let day = days[index];
        let fields = SceneFields::of(day, &archive.read(index)?.0);
        let (rows, columns) = fields.mask.dim();
        let shape = options.window.map_or([rows, columns], |side| [side, side]);
        if shape[0] > rows || shape[1] > columns {
            return Err(EvaluateError::Option(format!(
                "day {day} has {rows} x {columns} cells, fewer than the window of {}; give a smaller --window",
                shape[0]
            )));
        }
        if let Some(corner) = corner(&fields.mask, shape, &format!("window|{}|{day}", options.seed)) {
            let scene = fields.cut(corner, shape);
            let ice_cells = scene.mask.iter().filter(|&&inside| inside).count();
            places.push(Place { index, day, corner, shape, ice_cells, sha256: scene.sha256() });
        } else {
            tracing::warn!(%day, "no window of the day is half ice; it is left out");
        }
        bar.step();
    }
    if places.is_empty() {
        return Err(EvaluateError::Option(
            "no day of the archive has a window that is half ice; give a smaller --window or other --days"
                .into(),
        ));
    }
    Ok(places)
}

/// Reads a scene.
pub(super) fn read(archive: &Archive, place: &Place) -> Result<SceneFields, EvaluateError> {
    let (sample, _) = archive.read(place.index)?;
    Ok(SceneFields::of(place.day, &sample).cut(place.corner, place.shape))
}

fn indices(days: &[ProductDay], choice: &DayChoice) -> Result<Vec<usize>, EvaluateError> {
    match choice {
        DayChoice::All => Ok((0..days.len()).collect()),
        DayChoice::Number(number) => {
            let number = (*number).min(days.len());
            // In the middle of so many equal parts.
            Ok((0..number).map(|part| (2 * part + 1) * days.len() / (2 * number)).collect())
        }
        DayChoice::Listed(listed) => listed
            .iter()
            .map(|day| {
                days.iter().position(|known| known == day).ok_or_else(|| {
                    EvaluateError::Option(format!("--days {day}: the archive does not have this day"))
                })
            })
            .collect(),
    }
}

/// A corner of a window that is half ice, drawn by `key`; that of the whole field where it is asked for and has ice.
pub(super) fn corner(mask: &Array2<bool>, [rows, columns]: [usize; 2], key: &str) -> Option<[usize; 2]> {
    if mask.dim() == (rows, columns) {
        return mask.iter().any(|&inside| inside).then_some([0, 0]);
    }
    let mut dice = Dice::new(key);
    (0..DRAWS).find_map(|_| {
        let corner = [dice.below(mask.nrows() - rows + 1), dice.below(mask.ncols() - columns + 1)];
        let window = mask.slice(s![corner[0]..corner[0] + rows, corner[1]..corner[1] + columns]);
        let ice = window.iter().filter(|&&inside| inside).count();
        (ice as f64 >= LEAST_ICE * (rows * columns) as f64).then_some(corner)
    })
}

/// Random numbers that belong to a key.
pub(super) struct Dice(ChaCha20Rng);

impl Dice {
    pub(super) fn new(key: &str) -> Self {
        Self(dice::dice(&format!("evaluate|{key}")))
    }

    /// A number in 0..1.
    pub(super) fn share(&mut self) -> f64 {
        dice::share(&mut self.0)
    }

    fn below(&mut self, limit: usize) -> usize {
        dice::below(&mut self.0, limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn days(count: i64) -> Vec<ProductDay> {
        let first: ProductDay = "2020-01-01".parse().unwrap();
        (0..count).map(|number| first.plus_days(number)).collect()
    }

    #[test]
    fn a_number_of_days_is_spread_over_the_archive() {
        let days = days(10);
        assert_eq!(indices(&days, &DayChoice::Number(2)).unwrap(), [2, 7]);
        assert_eq!(indices(&days, &DayChoice::Number(99)).unwrap().len(), 10);
        assert_eq!(indices(&days, &DayChoice::Listed(vec![days[3]])).unwrap(), [3]);
        let unknown = days[0].plus_days(-1);
        indices(&days, &DayChoice::Listed(vec![unknown])).unwrap_err();
    }

    #[test]
    fn a_window_is_half_ice_and_the_same_for_the_same_key() {
        let mask = Array2::from_shape_fn((60, 60), |(row, _)| row >= 40);
        let found = corner(&mask, [20, 20], "a").unwrap();
        assert!(found[0] >= 30, "{found:?}");
        assert_eq!(corner(&mask, [20, 20], "a"), Some(found));
        assert_ne!(corner(&mask, [20, 20], "b"), Some(found));
        assert_eq!(corner(&mask, [50, 50], "a"), None, "no such window is half ice");
        assert_eq!(corner(&mask, [60, 60], "a"), Some([0, 0]), "a whole field needs ice only");
    }
}
