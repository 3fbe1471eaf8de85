//! From satellite fields on their own grids to the network's inputs on the product grid. No IO, no clock.
//!
//! `docs/method.md` says what is computed, exactly.

mod deformation;
mod features;
mod fill;
mod laplace;
mod smooth;
mod uncertainty;

use ndarray::{Array2, Array3, Zip};

use crate::field::Field;
use crate::grid::{Grid, Weights};

pub use deformation::{Deformation, deformation};
pub use features::{CONCENTRATION_CHANNEL, context, outside_training_range, standardise};
pub use smooth::smooth;

/// What is known of a cell, as bits. The bits are the published ones (`status_flag`).
pub mod flag {
    /// The cell is land.
    pub const LAND: u32 = 1;
    /// Sea where the concentration is known to be below 15 %.
    pub const OPEN_WATER: u32 = 2;
    /// Inside the ice mask: the product has a value here.
    pub const ICE: u32 = 4;
    /// The deformation was filled from its neighbourhood.
    pub const FILLED_DRIFT: u32 = 8;
    /// The thickness was filled from its neighbourhood.
    pub const FILLED_THICKNESS: u32 = 16;
    /// Sea of unknown concentration, or ice of unknown thickness that could not be filled.
    pub const MISSING_INPUT: u32 = 32;
    /// Ice that covers less than 80 % of the cell.
    pub const BELOW_80_PERCENT: u32 = 512;
    /// The concentration product says that the nearest of its cells is near a coast: valid, but less certain.
    pub const NEAR_COAST: u32 = 1024;
    /// Sea that the grid of an input does not reach.
    pub const OUTSIDE_DOMAIN: u32 = 16_384;

    // Where the thickness product says what its values rest on, one of these is set.

    /// Thickness from altimetry and radiometry together.
    pub const COMBINED_THICKNESS: u32 = 32_768;
    /// Thickness from altimetry only.
    pub const ALTIMETRY_ONLY: u32 = 65_536;
    /// Thickness from radiometry only.
    pub const RADIOMETRY_ONLY: u32 = 131_072;
    /// Thickness that the provider interpolated.
    pub const INTERPOLATED_THICKNESS: u32 = 262_144;

    /// Ice whose deformation is not known and could not be filled: the network is told nothing of it.
    pub const MISSING_DRIFT: u32 = 524_288;

    // What is known only when a product is published is set then, never here; these on every cell ...

    /// The product is provisional.
    pub const PROVISIONAL: u32 = 64;
    /// The drift is older than that of the day.
    pub const AGED_DRIFT: u32 = 128;
    /// The thickness is older than that of the day.
    pub const AGED_THICKNESS: u32 = 256;

    // ... and these where they hold.

    /// North of 88 degrees, where no altimeter looks.
    pub const POLE: u32 = 2048;
    /// At least one member is held at 0 m.
    pub const CLAMPED: u32 = 4096;
    /// An input of the network lies far from those that it was trained with.
    pub const OUTSIDE_TRAINING_RANGE: u32 = 8192;

    /// Every flag with its name in `flag_meanings`.
    pub const ALL: [(u32, &str); 20] = [
        (LAND, "land"),
        (OPEN_WATER, "open_water"),
        (ICE, "ice"),
        (FILLED_DRIFT, "filled_drift"),
        (FILLED_THICKNESS, "filled_thickness"),
        (MISSING_INPUT, "missing_input"),
        (PROVISIONAL, "provisional"),
        (AGED_DRIFT, "aged_drift"),
        (AGED_THICKNESS, "aged_thickness"),
        (BELOW_80_PERCENT, "concentration_below_80_percent"),
        (NEAR_COAST, "near_coast_concentration"),
        (POLE, "pole"),
        (CLAMPED, "clamped"),
        (OUTSIDE_TRAINING_RANGE, "outside_training_range"),
        (OUTSIDE_DOMAIN, "outside_domain"),
        (COMBINED_THICKNESS, "thickness_from_altimetry_and_radiometry"),
        (ALTIMETRY_ONLY, "thickness_from_altimetry_only"),
        (RADIOMETRY_ONLY, "thickness_from_radiometry_only"),
        (INTERPOLATED_THICKNESS, "thickness_interpolated_by_provider"),
        (MISSING_DRIFT, "missing_drift"),
    ];
}

/// Sea ice is where the smoothed concentration is at least this, as a fraction.
pub const ICE_EDGE: f32 = 0.15;

/// Below this concentration, as a fraction, satellite thickness is less reliable.
const CLOSED_ICE: f32 = 0.8;

/// One day as the satellites see it, each quantity on its own grid.
#[derive(Debug, Clone, Copy)]
pub struct SatelliteFields<'a> {
    /// Sea-ice concentration, fraction.
    pub concentration: &'a Field,
    /// Mean thickness over the ice, m.
    pub thickness_m: &'a Field,
    /// Standard deviation of its error, m, on the same grid; None where it is not known.
    pub thickness_uncertainty_m: Option<&'a Field>,
    /// Displacement along the x axis of its grid, km.
    pub displacement_x_km: &'a Field,
    /// Displacement along the y axis of its grid (upwards), km.
    pub displacement_y_km: &'a Field,
    /// Time in which the ice was displaced, days, on the drift's grid.
    pub drift_days: &'a Field,
    /// Bits of [`flag`] that the providers' own flags give, for those who publish them.
    pub provided: Option<ProvidedFlags<'a>>,
}

/// Bits of [`flag`] on the grids of the inputs; a cell of the product takes those of the nearest one.
#[derive(Debug, Clone, Copy)]
pub struct ProvidedFlags<'a> {
    /// On the grid of the concentration.
    pub concentration: &'a Array2<u32>,
    /// On the grid of the thickness.
    pub thickness: &'a Array2<u32>,
}

/// The weights that bring each quantity to the sea cells of the product grid.
#[derive(Debug)]
pub struct Remaps {
    /// For the concentration.
    pub concentration: Weights,
    /// For the thickness.
    pub thickness: Weights,
    /// For divergence and shear.
    pub deformation: Weights,
}

/// The prepared fields of one day on the product grid, `[row, column]`, NaN where there is no value.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// Sea-ice concentration, fraction 0..1, smoothed.
    pub concentration: Array2<f32>,
    /// Mean thickness over the ice of a cell, m, smoothed and filled.
    pub thickness_m: Array2<f32>,
    /// Volume per cell area: thickness times concentration, m.
    pub effective_thickness_m: Array2<f32>,
    /// Standard deviation of the error of the effective thickness, m, inside the mask; None where it is not known.
    pub effective_thickness_uncertainty_m: Option<Array2<f32>>,
    /// Divergence of the ice motion, 1/day.
    pub divergence_per_day: Array2<f32>,
    /// Shear of the ice motion, 1/day.
    pub shear_per_day: Array2<f32>,
    /// Total deformation, 1/day.
    pub deformation_per_day: Array2<f32>,
    /// True where the product has a value.
    pub mask: Array2<bool>,
    /// Bits of [`flag`].
    pub flags: Array2<u32>,
}

impl Prepared {
    /// The context of the network before standardising; see [`context`].
    #[must_use]
    pub fn context(&self) -> Array3<f32> {
        context(&self.concentration, &self.effective_thickness_m, &self.deformation_per_day, &self.mask)
    }
}

/// Makes the network's inputs of one day. `fill_reach_km` is how far from data holes inside the ice are filled; `None` leaves them.
#[must_use]
pub fn prepare(
    fields: SatelliteFields<'_>,
    remaps: &Remaps,
    grid: &Grid,
    fill_reach_km: Option<f64>,
) -> Prepared {
    let drift_cell_km = fields.displacement_x_km.grid().cell_size_m / 1000.0;
    let motion = deformation(
        fields.displacement_x_km.values(),
        fields.displacement_y_km.values(),
        fields.drift_days.values(),
        drift_cell_km,
    );
    let on_grid = |weights: &Weights, values: &Array2<f32>| smooth(&weights.apply(values.view()));
    let concentration = on_grid(&remaps.concentration, fields.concentration.values());
    let mut thickness_m = on_grid(&remaps.thickness, fields.thickness_m.values());
    let uncertainty_m =
        fields.thickness_uncertainty_m.map(|field| on_grid(&remaps.thickness, field.values()));
    let mut divergence_per_day = on_grid(&remaps.deformation, &motion.divergence_per_day);
    let mut shear_per_day = on_grid(&remaps.deformation, &motion.shear_per_day);

    let ice = concentration.mapv(|value| value >= ICE_EDGE);
    let reach = fill_reach_km.map_or(0.0, |km| km * 1000.0 / grid.spec.cell_size_m);
    let (filled_drift, (filled_thickness, uncertainty_m)) = rayon::join(
        || fill(&mut [&mut divergence_per_day, &mut shear_per_day], &ice, reach),
        || {
            let filled = fill(&mut [&mut thickness_m], &ice, reach);
            (filled, uncertainty_m.map(|known| uncertainty::filled(known, &ice, reach)))
        },
    );

    let deformation_per_day = Zip::from(&divergence_per_day)
        .and(&shear_per_day)
        .map_collect(|divergence, shear| divergence.hypot(*shear));
    let mask = mask(&concentration, &thickness_m);
    let uncertainty_m = uncertainty_m.and_then(|filled| uncertainty::complete(filled, &mask));
    let mut flags = Array2::from_shape_fn(mask.dim(), |cell| {
        let when = |condition: bool, bit: u32| if condition { bit } else { 0 };
        let land = grid.land[cell];
        when(land, flag::LAND)
            | when(!land && concentration[cell] < ICE_EDGE, flag::OPEN_WATER)
            | when(mask[cell], flag::ICE)
            | when(filled_drift[cell], flag::FILLED_DRIFT)
            | when(mask[cell] && filled_thickness[cell], flag::FILLED_THICKNESS)
            | when(mask[cell] && deformation_per_day[cell].is_nan(), flag::MISSING_DRIFT)
            | when(mask[cell] && concentration[cell] < CLOSED_ICE, flag::BELOW_80_PERCENT)
            | when(!land && (concentration[cell].is_nan() || ice[cell] && !mask[cell]), flag::MISSING_INPUT)
    });
    if let Some(provided) = fields.provided {
        add_provided(&mut flags, provided, remaps);
    }
    Prepared {
        effective_thickness_m: &thickness_m * &concentration,
        effective_thickness_uncertainty_m: uncertainty_m.map(|uncertainty_m| uncertainty_m * &concentration),
        concentration,
        thickness_m,
        divergence_per_day,
        shear_per_day,
        deformation_per_day,
        mask,
        flags,
    }
}

/// True where there is ice, by `concentration`, whose thickness is known: what is drawn is detail of that thickness. Deformation tells
/// more, and need not be there.
#[must_use]
pub fn mask(concentration: &Array2<f32>, thickness_m: &Array2<f32>) -> Array2<bool> {
    Zip::from(concentration)
        .and(thickness_m)
        .map_collect(|&concentration, thickness| concentration >= ICE_EDGE && !thickness.is_nan())
}

/// Gives each cell of sea the bits of the nearest cells of the inputs, and says where there are none. What is said of thickness only
/// holds where the product has one of its own.
fn add_provided(flags: &mut Array2<u32>, provided: ProvidedFlags<'_>, remaps: &Remaps) {
    let concentration = remaps.concentration.heaviest(provided.concentration.view());
    let thickness = remaps.thickness.heaviest(provided.thickness.view());
    Zip::from(flags).and(&concentration).and(&thickness).for_each(|flags, concentration, thickness| {
        let (land, ice, filled) = (*flags & flag::LAND, *flags & flag::ICE, *flags & flag::FILLED_THICKNESS);
        *flags |= match (concentration, thickness) {
            _ if land != 0 => 0,
            (None, _) | (_, None) => flag::OUTSIDE_DOMAIN,
            (Some(concentration), Some(thickness)) if ice != 0 && filled == 0 => concentration | thickness,
            (Some(concentration), Some(_)) => *concentration,
        };
    });
}

/// Fills the holes that lie inside `ice` and at most `reach` cells from data; the fields have the same valid cells. True where a cell
/// was filled.
pub fn fill(fields: &mut [&mut Array2<f32>], ice: &Array2<bool>, reach: f64) -> Array2<bool> {
    let holes = fill::Holes::find(fields[0], ice, reach);
    holes.fill(fields);
    holes.filled()
}

/// Distance of each cell to the nearest one that is true, in cells; infinite where there is none.
#[must_use]
pub fn distance_cells(to: &Array2<bool>) -> Array2<f32> {
    let distances = fill::distance_to(to);
    Array2::from_shape_fn(to.dim(), |(row, column)| distances[row * to.ncols() + column] as f32)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::grid::{GridSpec, Kernel};

    const SIZE: usize = 12;

    /// A day on one grid for everything, so that remapping leaves values alone: ice 2 m thick, 0.9 of each cell, moving apart.
    struct Day {
        grid: Grid,
        fields: [Field; 5],
        uncertainty_m: Option<f32>,
        provided: Option<[Array2<u32>; 2]>,
    }

    impl Day {
        fn new() -> Self {
            let spec = Arc::new(GridSpec::test_square(SIZE));
            let field = |of: &dyn Fn(usize, usize) -> f32| {
                Field::new(Arc::clone(&spec), Array2::from_shape_fn((SIZE, SIZE), |(r, c)| of(r, c))).unwrap()
            };
            let fields = [
                field(&|_, _| 0.9),
                field(&|_, _| 2.0),
                field(&|_, c| 0.4 * c as f32),
                field(&|_, _| 0.0),
                field(&|_, _| 2.0),
            ];
            Self {
                grid: Grid { spec: Arc::clone(&spec), land: Array2::from_elem((SIZE, SIZE), false) },
                fields,
                uncertainty_m: None,
                provided: None,
            }
        }

        fn set(&mut self, field: usize, cell: [usize; 2], value: f32) {
            let mut values = self.fields[field].values().clone();
            values[cell] = value;
            self.fields[field] = Field::new(Arc::clone(&self.grid.spec), values).unwrap();
        }

        fn prepare(&self, fill_reach_km: Option<f64>) -> Prepared {
            let spec = &self.grid.spec;
            let weights = || Weights::build(spec, spec, &self.grid.sea(), Kernel::Bilinear).unwrap();
            let remaps = Remaps { concentration: weights(), thickness: weights(), deformation: weights() };
            let [concentration, thickness_m, displacement_x_km, displacement_y_km, drift_days] = &self.fields;
            let uncertainty_m = self
                .uncertainty_m
                .map(|value| Field::new(Arc::clone(spec), Array2::from_elem((SIZE, SIZE), value)).unwrap());
            let fields = SatelliteFields {
                concentration,
                thickness_m,
                thickness_uncertainty_m: uncertainty_m.as_ref(),
                displacement_x_km,
                displacement_y_km,
                drift_days,
                provided: self
                    .provided
                    .as_ref()
                    .map(|[concentration, thickness]| ProvidedFlags { concentration, thickness }),
            };
            prepare(fields, &remaps, &self.grid, fill_reach_km)
        }
    }

    #[test]
    fn what_the_providers_say_of_a_cell_is_said_of_the_product() {
        let mut day = Day::new();
        let mut near_coast = Array2::zeros((SIZE, SIZE));
        near_coast[[5, 5]] = flag::NEAR_COAST;
        day.provided = Some([near_coast, Array2::from_elem((SIZE, SIZE), flag::RADIOMETRY_ONLY)]);
        for column in 0..3 {
            day.set(0, [5, column], 0.5);
            day.set(0, [4, column], 0.5);
            day.set(0, [6, column], 0.5);
        }
        let flags = day.prepare(None).flags;
        assert_eq!(flags[[5, 5]], flag::ICE | flag::NEAR_COAST | flag::RADIOMETRY_ONLY);
        assert_eq!(flags[[8, 8]], flag::ICE | flag::RADIOMETRY_ONLY);
        assert_eq!(flags[[5, 1]], flag::ICE | flag::BELOW_80_PERCENT | flag::RADIOMETRY_ONLY);
    }

    #[test]
    fn every_flag_is_one_bit_of_its_own() {
        let all = flag::ALL.iter().fold(0, |all, (bit, meaning)| {
            assert!(bit.is_power_of_two() && all & bit == 0, "{meaning}");
            all | bit
        });
        assert!(i32::try_from(all).is_ok(), "the files hold them as 32-bit integers with a sign");
    }

    #[test]
    fn a_plain_day_is_ice_with_effective_thickness() {
        let prepared = Day::new().prepare(None);
        let middle = [5, 5];
        assert_eq!(prepared.flags[middle], flag::ICE);
        assert!((prepared.effective_thickness_m[middle] - 1.8).abs() < 1e-5);
        // 0.4 km per cell of 10 km in two days.
        assert!(
            (prepared.divergence_per_day[middle] - 0.02).abs() < 1e-4,
            "{}",
            prepared.divergence_per_day[middle]
        );
        assert_eq!(
            prepared.flags[[0, 5]],
            flag::ICE | flag::MISSING_DRIFT,
            "the edge has no deformation and nothing is filled"
        );
        assert!(prepared.deformation_per_day[[0, 5]].is_nan());
    }

    #[test]
    fn the_uncertainty_of_the_thickness_is_that_of_its_effective_thickness() {
        let mut day = Day::new();
        assert!(day.prepare(None).effective_thickness_uncertainty_m.is_none());
        day.uncertainty_m = Some(0.5);
        day.set(1, [5, 2], f32::NAN);
        let prepared = day.prepare(Some(150.0));
        let uncertainty_m = prepared.effective_thickness_uncertainty_m.unwrap();
        assert!(uncertainty_m.iter().all(|value| (value - 0.45).abs() < 1e-5), "{uncertainty_m}");
    }

    #[test]
    fn filling_brings_the_ice_to_the_edge_and_says_so() {
        let prepared = Day::new().prepare(Some(150.0));
        assert!(prepared.mask.iter().all(|&inside| inside));
        assert_eq!(prepared.flags[[0, 5]], flag::ICE | flag::FILLED_DRIFT);
        assert_eq!(prepared.flags[[5, 5]], flag::ICE);
    }

    #[test]
    fn land_and_open_water_and_missing_thickness_are_told_apart() {
        let mut day = Day::new();
        day.grid.land[[3, 3]] = true;
        for cell in 0..25 {
            day.set(0, [6 + cell / 5, 6 + cell % 5], 0.0);
        }
        day.set(1, [5, 2], f32::NAN);
        let prepared = day.prepare(Some(150.0));
        assert_eq!(prepared.flags[[3, 3]], flag::LAND);
        assert!(prepared.concentration[[3, 3]].is_nan());
        assert_eq!(prepared.flags[[8, 8]], flag::OPEN_WATER);
        assert_eq!(prepared.flags[[5, 2]], flag::ICE | flag::FILLED_THICKNESS);
        assert!((prepared.thickness_m[[5, 2]] - 2.0).abs() < 1e-5);
        assert!(!prepared.mask[[3, 3]] && !prepared.mask[[8, 8]]);
    }

    #[test]
    fn ice_of_unknown_thickness_has_no_estimate() {
        let mut day = Day::new();
        day.set(1, [5, 5], f32::NAN);
        let prepared = day.prepare(None);
        assert_eq!(prepared.flags[[5, 5]], flag::MISSING_INPUT);
        assert!(!prepared.mask[[5, 5]]);
    }

    #[test]
    fn filled_deformation_is_told_of_ice_of_unknown_thickness_too() {
        let mut day = Day::new();
        let unknown = Array2::from_elem((SIZE, SIZE), f32::NAN);
        day.fields[1] = Field::new(Arc::clone(&day.grid.spec), unknown).unwrap();
        let prepared = day.prepare(Some(150.0));
        assert_eq!(prepared.flags[[0, 5]], flag::MISSING_INPUT | flag::FILLED_DRIFT);
        assert_eq!(prepared.flags[[5, 5]], flag::MISSING_INPUT);
    }

    #[test]
    fn where_the_concentration_is_not_known_nobody_says_open_water() {
        let mut day = Day::new();
        for cell in 0..25 {
            day.set(0, [4 + cell / 5, 4 + cell % 5], f32::NAN);
        }
        let prepared = day.prepare(Some(150.0));
        assert_eq!(prepared.flags[[6, 6]], flag::MISSING_INPUT);
    }

    #[test]
    fn outside_the_mask_the_network_sees_nothing() {
        let mut day = Day::new();
        day.grid.land[[3, 3]] = true;
        let prepared = day.prepare(Some(150.0));
        assert!(prepared.context().slice(ndarray::s![.., 3, 3]).iter().all(|&value| value == 0.0));
    }
}
