//! The ice at the beginning of a series: a large-scale thickness made from a real one, its floes, and where it is cold.

use ndarray::{Array2, Zip};
use rand_chacha::ChaCha20Rng;
use rayon::prelude::*;

use super::SynthError;
use super::forcing::Forcing;
use super::fractures::Network;
use super::observation::{bilinear, gaussian};
use super::pack::{COAST_CELLS, Pack, Sea};
use crate::ensemble::dice::{share, uniform};
use crate::field::Field;
use crate::grid::{Grid, LonLat};

/// The marginal ice zone is the real ice edge smoothed by a Gaussian of a sigma between these, cells: 24 to 75 km.
const EDGE_CELLS: (f64, f64) = (8.0, 25.0);
/// Where more of the smoothed field is ice than this, water freezes; where less than [`MELTING`], ice melts.
const FREEZING: f32 = 0.9;
const MELTING: f32 = 0.35;
/// The thickness field is turned around the pole by at most so much, degrees.
const MOST_TURNED_DEGREES: f64 = 25.0;
/// Gaussian sigma of the surroundings in which land is felt, cells: 90 km. Ice that is pressed against a coast takes the pressure
/// that far out; with less, all that the smooth drift brings piles up in the last cells.
const COAST_REACH_CELLS: f32 = 30.0;
/// Meridian about which fields are mirrored, degrees east.
const MIRROR_DEGREES: f64 = -45.0;

/// Large-scale fields on the product grid.
#[derive(Debug)]
pub(super) struct Start {
    pub(super) sea: Sea,
    /// Mean thickness over the ice, m.
    thickness_m: Array2<f32>,
    /// Share of each cell that is ice.
    cover: Array2<f32>,
}

impl Start {
    /// Draws a beginning. `season` is 0 in the middle of October and 1 in the middle of April.
    pub(super) fn draw(
        forcing: &Forcing,
        grid: &Grid,
        season: f32,
        mirrored: bool,
        dice: &mut ChaCha20Rng,
    ) -> Result<Self, SynthError> {
        let places = grid.spec.lonlat()?;
        let covered =
            Field::new(std::sync::Arc::clone(forcing.thickness_m().grid()), forcing.covered().clone())
                .map_err(|error| SynthError::Option(error.to_string()))?;
        let edge_cells = uniform(dice, EDGE_CELLS.0, EDGE_CELLS.1) as f32;
        let cover = gaussian(&sample(&covered, &places, &|at| at)?, edge_cells);
        let mut turned = || {
            let turn = uniform(dice, -MOST_TURNED_DEGREES, MOST_TURNED_DEGREES);
            sample(forcing.thickness_m(), &places, &move |at: LonLat| {
                let off = at.lon - MIRROR_DEGREES;
                LonLat { lon: MIRROR_DEGREES + turn + if mirrored { -off } else { off }, ..at }
            })
        };
        let (one, other) = (turned()?, turned()?);
        let mixture = Mixture::draw(dice);
        let aged = AgeAndSeason::draw(season, dice);
        let thickness_m = Array2::from_shape_fn(grid.land.dim(), |(r, c)| {
            let share = mixture.at(r, c);
            aged.thickness_m(share * one[[r, c]] + (1.0 - share) * other[[r, c]])
        });
        let coast = near(&grid.land, COAST_CELLS);
        let (cold, warm) = (cover.mapv(|cover| cover > FREEZING), cover.mapv(|cover| cover < MELTING));
        let land_around = gaussian(&grid.land.mapv(|land| f32::from(u8::from(land))), COAST_REACH_CELLS);
        let sea = Sea { land: grid.land.clone(), coast, cold, warm, land_around };
        Ok(Self { sea, thickness_m, cover })
    }

    /// A parcel for every cell with ice, thicker or thinner by the texture of the block that it belongs to.
    pub(super) fn pack(&self, network: &Network, root: u32) -> Pack {
        let mut pack = Pack::default();
        for ((r, c), &land) in self.sea.land.indexed_iter() {
            let cover = ((self.cover[[r, c]] - 0.05) / 0.85).clamp(0.0, 1.0);
            if land || cover == 0.0 {
                continue;
            }
            let block = network.block_at(root, c as f32, r as f32);
            pack.add((r, c), cover, self.thickness_m[[r, c]] * network.texture(block).exp(), block);
        }
        pack
    }
}

/// How much of two fields is mixed where: a wave of half the basin's size.
struct Mixture {
    wave: (f32, f32),
    phase: f32,
}

impl Mixture {
    fn draw(dice: &mut ChaCha20Rng) -> Self {
        let direction = uniform(dice, 0.0, std::f64::consts::TAU) as f32;
        let number = std::f32::consts::TAU / uniform(dice, 600.0, 1200.0) as f32;
        let phase = (std::f64::consts::TAU * share(dice)) as f32;
        Self { wave: (number * direction.cos(), number * direction.sin()), phase }
    }

    fn at(&self, row: usize, column: usize) -> f32 {
        0.5 + 0.5 * (self.wave.0 * column as f32 + self.wave.1 * row as f32 + self.phase).sin()
    }
}

/// First-year ice of 0.2 to 0.8 m and older ice of 1.5 to 2.5 m in October, both thicker later; the April thickness says how
/// much of each there is.
struct AgeAndSeason {
    first_year: f32,
    older: f32,
}

impl AgeAndSeason {
    fn draw(season: f32, dice: &mut ChaCha20Rng) -> Self {
        let mut vary = || uniform(dice, 0.85, 1.15) as f32;
        Self { first_year: vary() * (1.0 + 0.9 * season), older: vary() * (1.0 + 0.35 * season) }
    }

    fn thickness_m(&self, april_m: f32) -> f32 {
        let old_share = smooth_step((april_m - 0.9) / 1.6);
        let first_year_m = self.first_year * (0.2 + 0.6 * (april_m / 1.6).clamp(0.0, 1.0));
        let older_m = self.older * (1.5 + 1.0 * ((april_m - 1.3) / 1.7).clamp(0.0, 1.0));
        (1.0 - old_share) * first_year_m + old_share * older_m
    }
}

fn smooth_step(x: f32) -> f32 {
    let x = x.clamp(0.0, 1.0);
    x * x * (3.0 - 2.0 * x)
}

/// A field at places moved by `to`, bilinear.
fn sample(
    field: &Field,
    places: &Array2<LonLat>,
    to: &(dyn Fn(LonLat) -> LonLat + Sync),
) -> Result<Array2<f32>, SynthError> {
    let grid = field.grid();
    let values = field.values();
    let flat: Vec<f32> = places
        .as_slice()
        .unwrap_or_default()
        .par_iter()
        .map(|&place| {
            let (x_m, y_m) = grid.projection.from_lonlat(to(place))?;
            let (row, column) = grid.position(x_m, y_m);
            let (row, column) =
                (row.clamp(0.0, grid.rows as f64 - 1.001), column.clamp(0.0, grid.columns as f64 - 1.001));
            Ok(bilinear(values, row, column))
        })
        .collect::<Result<_, SynthError>>()?;
    Array2::from_shape_vec(places.dim(), flat).map_err(|error| SynthError::Option(error.to_string()))
}

/// True within `reach` cells of a true cell.
fn near(cells: &Array2<bool>, reach: i64) -> Array2<bool> {
    let mut out = cells.clone();
    for dr in -reach..=reach {
        for dc in -reach..=reach {
            let (rows, columns) = (span(dr, cells.nrows()), span(dc, cells.ncols()));
            Zip::from(out.slice_mut(ndarray::s![rows.0.clone(), columns.0.clone()]))
                .and(cells.slice(ndarray::s![rows.1, columns.1]))
                .for_each(|out, &cell| *out |= cell);
        }
    }
    out
}

/// The ranges of an array and of itself moved by `offset` that lie on each other.
fn span(offset: i64, length: usize) -> (std::ops::Range<usize>, std::ops::Range<usize>) {
    let length = length as i64;
    let range = |offset: i64| (offset.max(0) as usize)..((length + offset.min(0)) as usize);
    (range(offset), range(-offset))
}
