//! The ice as parcels that carry area and volume. They move without ever being interpolated, so that nothing is blurred and no
//! volume is lost, and are laid on the grid only to be looked at.

use std::collections::BTreeMap;

use ndarray::{Array2, Zip};
use rand_chacha::ChaCha20Rng;
use rayon::prelude::*;

use super::forcing::Motion;
use super::fractures::{NONE, Network, Texture};
use crate::ensemble::dice::{share, uniform};

/// Ice piles up where its area in a cell is more than this, and water opens where it is less than [`GAP`].
const CROWD: f32 = 1.06;
const GAP: f32 = 0.92;
/// Thin ice gives way first: the readiness to pile up falls with the thickness, m, down to a rest.
const YIELDING_M: f32 = 0.5;
const LEAST_YIELDING: f32 = 0.03;
/// A parcel loses at most this share of its area in a day.
const MOST_PILED: f32 = 0.8;
/// Ice of a cell that is thicker than this, m, lets no thinner ice in.
const IMPENETRABLE_M: f32 = 6.0;
/// Ice of a cell that is thicker than this, m, pushes outwards, [`PUSHES_A_DAY`] times by [`PUSH`] cells for a metre of slope, of
/// which no more than [`LARGEST_PUSH_M`] counts: ice gives way sideways before it piles up without end. Fitted to neXtSIM, whose
/// thickest thousandth at the coast is 7.7 m.
const STRONGEST_M: f32 = 3.5;
const PUSHES_A_DAY: usize = 4;
const PUSH: f32 = 0.1;
const LARGEST_PUSH_M: f32 = 12.0;
/// Parcels smaller than this, cells, are joined to a neighbour.
const SMALLEST_PARCEL: f32 = 0.02;
/// A cell holds at most so many parcels when it is tidied up.
const MOST_IN_A_CELL: usize = 4;
/// First ice on open water, m.
const FIRST_ICE_M: f32 = 0.03;
/// Ice grows by the first over (thickness + the second), m/day: Stefan's law at some 20 degrees below freezing under snow.
const GROWTH_M2_PER_DAY: f32 = 7.0e-3;
const GROWTH_OFFSET_M: f32 = 0.2;
/// Ice that has drifted out of the cold melts by this share a day.
const MELT_PER_DAY: f32 = 0.12;
/// Where this share of the surroundings is land, nothing moves towards it or away, and along it by this share less.
const HELD_LAND_SHARE: f32 = 0.3;
const HELD_ALONG: f32 = 0.6;
/// Blocks with more than this share of their ice at the coast are held by it.
const FAST_SHARE: f32 = 0.2;
/// Ice within this many cells of land counts as at the coast.
pub(super) const COAST_CELLS: i64 = 2;

/// Parts in which the ice is laid on the grid at once.
const PARTS: usize = 4;
/// Share of the strain that is taken by the fractures; the rest goes to smaller ones everywhere, which the grid does not resolve.
const BROKEN_SHARE: f32 = 0.45;

/// The sea that the ice lives on.
#[derive(Debug)]
pub(super) struct Sea {
    pub(super) land: Array2<bool>,
    /// Cells within [`COAST_CELLS`] of land.
    pub(super) coast: Array2<bool>,
    /// True where water freezes and ice grows.
    pub(super) cold: Array2<bool>,
    /// True where ice melts.
    pub(super) warm: Array2<bool>,
    /// Share of land around each cell, a Gaussian mean over some tens of km.
    pub(super) land_around: Array2<f32>,
}

/// Where volume went, in cells times m, and area, in cells; all since the beginning.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Budget {
    /// Volume at the beginning.
    pub initial_volume: f64,
    /// Area at the beginning.
    pub initial_area: f64,
    /// Volume grown by frost.
    pub grown_volume: f64,
    /// Volume molten in warm water.
    pub molten_volume: f64,
    /// Volume that drifted out of the grid.
    pub exported_volume: f64,
    /// Area of water that opened in the pack and froze over.
    pub opened_area: f64,
    /// Area that was lost to ridging.
    pub closed_area: f64,
    /// Volume in all parcels now.
    pub volume: f64,
}

impl Budget {
    /// Share of the volume that the entries do not explain.
    #[must_use]
    pub fn imbalance(&self) -> f64 {
        let expected = self.initial_volume + self.grown_volume - self.molten_volume - self.exported_volume;
        (self.volume - expected).abs() / self.initial_volume
    }
}

/// What the grid shows of the ice; `[row, column]`.
#[derive(Debug, Clone)]
pub(super) struct View {
    /// Fraction.
    pub(super) concentration: Array2<f32>,
    /// Effective, m.
    pub(super) thickness_m: Array2<f32>,
    /// Motion of the last day, cells/day along columns and rows; NaN where there is no ice.
    pub(super) u: Array2<f32>,
    pub(super) v: Array2<f32>,
}

/// A piece of ice.
#[derive(Debug, Clone, Copy)]
struct Parcel {
    column: f32,
    row: f32,
    /// Cells.
    area: f32,
    /// Cells times m.
    volume: f32,
    /// Motion of the last day, cells/day.
    u: f32,
    v: f32,
    block: u32,
}

/// All ice.
#[derive(Debug, Default)]
pub(super) struct Pack {
    parcels: Vec<Parcel>,
    pub(super) budget: Budget,
}

impl Pack {
    /// Adds a parcel in the middle of a cell.
    pub(super) fn add(&mut self, cell: (usize, usize), area: f32, thickness_m: f32, block: u32) {
        let volume = area * thickness_m;
        self.budget.initial_volume += f64::from(volume);
        self.budget.initial_area += f64::from(area);
        self.parcels.push(Parcel {
            column: cell.1 as f32,
            row: cell.0 as f32,
            area,
            volume,
            u: 0.0,
            v: 0.0,
            block,
        });
    }

    /// Breaks a region anew for every `every` cells of ice, each the largest part of at most `size` cells around a piece of ice
    /// drawn at random. The new cuts have no part in how thick the ice was at first.
    pub(super) fn break_again(
        &mut self,
        network: &mut Network,
        motion: &Motion,
        every: f64,
        size: (f64, f64),
        dice: &mut ChaCha20Rng,
    ) {
        if self.parcels.is_empty() {
            return;
        }
        let area: f64 = self.parcels.iter().map(|p| f64::from(p.area)).sum();
        let count = area / every + share(dice);
        let mut wholes: Vec<u32> = (0..count as usize)
            .map(|_| {
                let drawn = (share(dice) * self.parcels.len() as f64) as usize;
                network.ancestor(self.parcels[drawn].block, uniform(dice, size.0, size.1) as f32)
            })
            .collect();
        wholes.sort_unstable();
        wholes.dedup();
        let belonging = network.belonging(&wholes);
        let mut corners = BTreeMap::new();
        for p in self.parcels.iter().filter(|p| belonging[p.block as usize] != NONE) {
            let [left, top, right, bottom] = corners.entry(belonging[p.block as usize]).or_insert([
                f32::MAX,
                f32::MAX,
                f32::MIN,
                f32::MIN,
            ]);
            (*left, *right) = (left.min(p.column), right.max(p.column));
            (*top, *bottom) = (top.min(p.row), bottom.max(p.row));
        }
        let roots: BTreeMap<u32, u32> = corners
            .into_iter()
            .map(|(whole, [left, top, right, bottom])| {
                let margin = 0.2 * (right - left).max(bottom - top) + 1.0;
                let region = [left - margin, top - margin, right + margin, bottom + margin];
                (whole, network.cut(region, motion, Texture::default(), dice))
            })
            .collect();
        let network = &*network;
        self.parcels.par_iter_mut().for_each(|p| {
            if let Some(&root) = roots.get(&belonging[p.block as usize]) {
                p.block = network.block_at(root, p.column, p.row);
            }
        });
    }

    /// Moves the ice by a day, piles it up where it is crowded, and gives what the grid shows then. After that water freezes and
    /// ice grows.
    pub(super) fn step(
        &mut self,
        sea: &Sea,
        motion: &Motion,
        network: &Network,
        day: i64,
        dice: &mut ChaCha20Rng,
    ) -> View {
        self.set_in_motion(sea, motion, network, day);
        self.drift(sea);
        let crowded = self.areas(sea, |_| 1.0);
        self.pile_up(sea, &crowded);
        for _ in 0..PUSHES_A_DAY {
            self.spread_thickest(sea);
        }
        let view = self.look(sea);
        let covered = self.areas(sea, |_| 1.0);
        self.freeze(sea, &covered, dice);
        self.tidy(sea);
        self.budget.volume = self.parcels.iter().map(|p| f64::from(p.volume)).sum();
        view
    }

    /// Gives every parcel the motion of the body that it belongs to.
    fn set_in_motion(&mut self, sea: &Sea, motion: &Motion, network: &Network, day: i64) {
        self.parcels
            .par_iter_mut()
            .for_each(|p| (p.u, p.v) = sea.along_coast(p.column, p.row, motion.at(p.column, p.row)));
        let mut sums = vec![Moments::default(); network.len()];
        for p in &self.parcels {
            sums[p.block as usize] += Moments::of(p, sea);
        }
        network.add_up(&mut sums);
        let bodies = network.bodies(day);
        let motions: Vec<RigidMotion> = sums.iter().map(Moments::rigid_motion).collect();
        self.parcels.par_iter_mut().for_each(|p| {
            let body = &motions[bodies[p.block as usize] as usize];
            let (u, v) = body.at(p.column, p.row);
            let spread = if body.held { 0.0 } else { 1.0 - BROKEN_SHARE };
            (p.u, p.v) = (u + spread * (p.u - u), v + spread * (p.v - v));
        });
    }

    /// Moves the parcels. Those that would come ashore or into stronger ice stay; those that leave the grid are gone.
    fn drift(&mut self, sea: &Sea) {
        let (rows, columns) = sea.land.dim();
        let (right, bottom) = (columns as f32 - 0.5, rows as f32 - 0.5);
        let volumes = self.volumes(sea);
        self.parcels.par_iter_mut().for_each(|p| {
            let here = cell_at(p.column, p.row, sea.land.dim()).map_or(0.0, |cell| volumes[cell]);
            let blocked = (1..=4).any(|quarter| {
                let share = 0.25 * quarter as f32;
                cell_at(p.column + share * p.u, p.row + share * p.v, sea.land.dim()).is_some_and(|cell| {
                    sea.land[cell] || volumes[cell] > IMPENETRABLE_M && volumes[cell] > here
                })
            });
            if blocked {
                (p.u, p.v) = (0.0, 0.0);
            }
            p.column += p.u;
            p.row += p.v;
        });
        let exported = &mut self.budget.exported_volume;
        self.parcels.retain(|p| {
            let stays = (-0.5..right).contains(&p.column) && (-0.5..bottom).contains(&p.row);
            if !stays {
                *exported += f64::from(p.volume);
            }
            stays
        });
    }

    /// Area in each cell, weighed by `weight` of the parcels' thickness.
    fn areas(&self, sea: &Sea, weight: impl Fn(f32) -> f32 + Sync) -> Array2<f32> {
        self.laid_out(sea, |p| p.area * weight(p.thickness_m()))
    }

    /// Volume in each cell.
    fn volumes(&self, sea: &Sea) -> Array2<f32> {
        self.laid_out(sea, |p| p.volume)
    }

    /// Sum in each cell, each parcel spread over three by three cells of sea. Always in the same parts, so that the sums do not
    /// depend on the number of threads.
    fn laid_out(&self, sea: &Sea, amount: impl Fn(&Parcel) -> f32 + Sync) -> Array2<f32> {
        let part = self.parcels.len().div_ceil(PARTS).max(1);
        let sums: Vec<Array2<f32>> = self
            .parcels
            .par_chunks(part)
            .map(|parcels| {
                let mut sum = Array2::zeros(sea.land.dim());
                for p in parcels {
                    let amount = amount(p);
                    sea.each_weight(p, |cell, share| sum[cell] += share * amount);
                }
                sum
            })
            .collect();
        sums.into_iter().reduce(|sum, other| sum + other).unwrap_or_else(|| Array2::zeros(sea.land.dim()))
    }

    fn pile_up(&mut self, sea: &Sea, areas: &Array2<f32>) {
        let yielding = self.areas(sea, yielding);
        let rate = Zip::from(areas)
            .and(&yielding)
            .map_collect(|&area, &yielding| (area - CROWD).max(0.0) / yielding.max(1e-6));
        self.parcels.par_iter_mut().for_each(|p| {
            let mut crowded = 0.0;
            sea.each_weight(p, |cell, share| crowded += share * rate[cell]);
            let lost = (crowded * yielding_of(p)).min(MOST_PILED);
            p.area *= 1.0 - lost;
        });
        let before: f64 = areas.iter().map(|&area| f64::from(area)).sum();
        let after: f64 = self.parcels.iter().map(|p| f64::from(p.area)).sum();
        self.budget.closed_area += before - after;
    }

    /// Ice that has become very thick gives way sideways: parcels are pushed down the slope of what is above a thickness.
    fn spread_thickest(&mut self, sea: &Sea) {
        let volumes = self.volumes(sea);
        let pressure = |place: (i64, i64)| {
            sea.sea_cell(place).map(|cell| (volumes[cell] - STRONGEST_M).clamp(0.0, LARGEST_PUSH_M))
        };
        self.parcels.par_iter_mut().for_each(|p| {
            let (row, column) = ((p.row + 0.5).floor() as i64, (p.column + 0.5).floor() as i64);
            let here = pressure((row, column)).unwrap_or(0.0);
            let slope = |ahead, behind| pressure(ahead).unwrap_or(here) - pressure(behind).unwrap_or(here);
            let (down, right) =
                (slope((row + 1, column), (row - 1, column)), slope((row, column + 1), (row, column - 1)));
            let (to_row, to_column) = (p.row - PUSH * down, p.column - PUSH * right);
            if cell_at(to_column, to_row, sea.land.dim()).is_some_and(|cell| !sea.land[cell]) {
                (p.row, p.column) = (to_row, to_column);
            }
        });
    }

    /// Ice grows where it is cold, water freezes there, and ice melts elsewhere.
    fn freeze(&mut self, sea: &Sea, covered: &Array2<f32>, dice: &mut ChaCha20Rng) {
        let shape = sea.land.dim();
        let (mut grown, mut molten) = (0.0, 0.0);
        for p in &mut self.parcels {
            let Some(cell) = cell_at(p.column, p.row, shape) else { continue };
            let before = p.volume;
            if sea.cold[cell] {
                p.volume += p.area * GROWTH_M2_PER_DAY / (p.thickness_m() + GROWTH_OFFSET_M);
                grown += f64::from(p.volume - before);
            } else if sea.warm[cell] {
                p.area *= 1.0 - MELT_PER_DAY;
                p.volume *= 1.0 - MELT_PER_DAY;
                molten += f64::from(before - p.volume);
            }
        }
        let mut owner = Array2::from_elem(shape, NONE);
        for p in &self.parcels {
            if let Some(cell) = cell_at(p.column, p.row, shape) {
                owner[cell] = p.block;
            }
        }
        for ((r, c), &area) in covered.indexed_iter() {
            if sea.land[[r, c]] || !sea.cold[[r, c]] || area >= GAP {
                continue;
            }
            let Some(block) = nearest_owner(&owner, (r, c)) else { continue };
            let opened = 1.0 - area;
            let mut jitter = || uniform(dice, -0.45, 0.45) as f32;
            let (column, row) = (c as f32 + jitter(), r as f32 + jitter());
            let volume = opened * FIRST_ICE_M;
            self.parcels.push(Parcel { column, row, area: opened, volume, u: 0.0, v: 0.0, block });
            self.budget.opened_area += f64::from(opened);
            grown += f64::from(volume);
        }
        self.budget.grown_volume += grown;
        self.budget.molten_volume += molten;
    }

    /// Joins the smallest parcels of crowded cells to one of their neighbours in the cell.
    fn tidy(&mut self, sea: &Sea) {
        let (rows, columns) = sea.land.dim();
        let key = |p: &Parcel| {
            let cell = cell_at(p.column, p.row, (rows, columns)).unwrap_or_default();
            cell[0] * columns + cell[1]
        };
        let mut starts = vec![0_u32; rows * columns + 1];
        for p in &self.parcels {
            starts[key(p) + 1] += 1;
        }
        for cell in 0..rows * columns {
            starts[cell + 1] += starts[cell];
        }
        let mut next = starts.clone();
        let mut sorted = self.parcels.clone();
        for p in &self.parcels {
            let place = &mut next[key(p)];
            sorted[*place as usize] = *p;
            *place += 1;
        }
        self.parcels.clear();
        for bounds in starts.windows(2) {
            join(&mut sorted[bounds[0] as usize..bounds[1] as usize], &mut self.parcels);
        }
    }

    /// Lays the ice on the grid.
    pub(super) fn look(&self, sea: &Sea) -> View {
        let shape = sea.land.dim();
        let [mut areas, mut volumes, mut u, mut v] = [(); 4].map(|()| Array2::<f32>::zeros(shape));
        for p in &self.parcels {
            sea.each_weight(p, |cell, share| {
                areas[cell] += share * p.area;
                volumes[cell] += share * p.volume;
                u[cell] += share * p.area * p.u;
                v[cell] += share * p.area * p.v;
            });
        }
        for sum in [&mut u, &mut v] {
            Zip::from(sum)
                .and(&areas)
                .for_each(|sum, &area| *sum = if area > 0.05 { *sum / area } else { f32::NAN });
        }
        View { concentration: areas.mapv(|area| area.min(1.0)), thickness_m: volumes, u, v }
    }
}

impl Parcel {
    fn thickness_m(&self) -> f32 {
        self.volume / self.area.max(1e-6)
    }
}

fn yielding(thickness_m: f32) -> f32 {
    (-thickness_m / YIELDING_M).exp() + LEAST_YIELDING
}

fn yielding_of(parcel: &Parcel) -> f32 {
    yielding(parcel.thickness_m())
}

/// Keeps the largest parcels of a cell and joins the others to those that are nearest in thickness.
fn join(cell: &mut [Parcel], kept: &mut Vec<Parcel>) {
    cell.sort_unstable_by(|a, b| b.area.total_cmp(&a.area));
    let most = cell.iter().take_while(|p| p.area >= SMALLEST_PARCEL).count().clamp(1, MOST_IN_A_CELL);
    if cell.len() <= most {
        kept.extend_from_slice(cell);
        return;
    }
    let (large, small) = cell.split_at_mut(most);
    for p in small {
        let distance = |other: &Parcel| (other.thickness_m() - p.thickness_m()).abs();
        if let Some(other) = large.iter_mut().min_by(|a, b| distance(a).total_cmp(&distance(b))) {
            let area = other.area + p.area;
            other.column = (other.column * other.area + p.column * p.area) / area;
            other.row = (other.row * other.area + p.row * p.area) / area;
            other.area = area;
            other.volume += p.volume;
        }
    }
    kept.extend_from_slice(large);
}

/// The block of the nearest ice within three cells.
fn nearest_owner(owner: &Array2<u32>, (row, column): (usize, usize)) -> Option<u32> {
    (0..=3).find_map(|reach: usize| {
        let rows = row.saturating_sub(reach)..(row + reach + 1).min(owner.nrows());
        let columns = column.saturating_sub(reach)..(column + reach + 1).min(owner.ncols());
        owner.slice(ndarray::s![rows, columns]).iter().copied().find(|&block| block != NONE)
    })
}

/// The cell in which a place lies.
fn cell_at(column: f32, row: f32, (rows, columns): (usize, usize)) -> Option<[usize; 2]> {
    let (r, c) = ((row + 0.5).floor(), (column + 0.5).floor());
    let inside = (0.0..rows as f32).contains(&r) && (0.0..columns as f32).contains(&c);
    inside.then_some([r as usize, c as usize])
}

impl Sea {
    /// What a coast leaves of a motion: ice near it moves along it. Drift products do not see the last tens of kilometres.
    fn along_coast(&self, column: f32, row: f32, (u, v): (f32, f32)) -> (f32, f32) {
        let Some([r, c]) = cell_at(column, row, self.land.dim()) else { return (u, v) };
        let held = (self.land_around[[r, c]] / HELD_LAND_SHARE).min(1.0);
        if held < 0.01 {
            return (u, v);
        }
        let (rows, columns) = self.land.dim();
        let across =
            self.land_around[[r, (c + 1).min(columns - 1)]] - self.land_around[[r, c.saturating_sub(1)]];
        let down = self.land_around[[(r + 1).min(rows - 1), c]] - self.land_around[[r.saturating_sub(1), c]];
        let length = across.hypot(down).max(1e-9);
        let (nx, ny) = (across / length, down / length);
        let towards = u * nx + v * ny;
        let along = 1.0 - HELD_ALONG * held;
        (
            along * (u - towards * nx) + (1.0 - held) * towards * nx,
            along * (v - towards * ny) + (1.0 - held) * towards * ny,
        )
    }

    /// Weights of the three by three cells around a parcel (quadratic B-splines), those of land given to the sea beside it.
    fn each_weight(&self, parcel: &Parcel, mut each: impl FnMut([usize; 2], f32)) {
        let (row, column) = ((parcel.row + 0.5).floor(), (parcel.column + 0.5).floor());
        let spline = |d: f32| [0.5 * (0.5 - d).powi(2), 0.75 - d * d, 0.5 * (0.5 + d).powi(2)];
        let (rows, columns) = (spline(parcel.row - row), spline(parcel.column - column));
        let cells = (0..9).filter_map(|k| {
            let (i, j) = (k / 3, k % 3);
            let place = (row as i64 + i as i64 - 1, column as i64 + j as i64 - 1);
            self.sea_cell(place).map(|cell| (cell, rows[i] * columns[j]))
        });
        share_out(cells, &mut each);
    }

    fn sea_cell(&self, (row, column): (i64, i64)) -> Option<[usize; 2]> {
        let cell = [usize::try_from(row).ok()?, usize::try_from(column).ok()?];
        self.land.get(cell).is_some_and(|land| !land).then_some(cell)
    }
}

/// Gives each cell its weight, made so that they add up to 1.
fn share_out(cells: impl Iterator<Item = ([usize; 2], f32)> + Clone, each: &mut impl FnMut([usize; 2], f32)) {
    let total: f32 = cells.clone().map(|(_, weight)| weight).sum();
    if total > 0.0 {
        cells.for_each(|(cell, weight)| each(cell, weight / total));
    }
}

/// Sums over the parcels of a block from which its best rigid motion follows.
#[derive(Debug, Clone, Copy, Default)]
struct Moments {
    count: f64,
    coastal: f64,
    x: f64,
    y: f64,
    u: f64,
    v: f64,
    squares: f64,
    turning: f64,
}

impl Moments {
    fn of(p: &Parcel, sea: &Sea) -> Self {
        let (x, y, u, v) = (f64::from(p.column), f64::from(p.row), f64::from(p.u), f64::from(p.v));
        let coastal = cell_at(p.column, p.row, sea.coast.dim()).is_some_and(|cell| sea.coast[cell]);
        Self {
            count: 1.0,
            coastal: f64::from(u8::from(coastal)),
            x,
            y,
            u,
            v,
            squares: x * x + y * y,
            turning: x * v - y * u,
        }
    }

    fn rigid_motion(&self) -> RigidMotion {
        if self.count == 0.0 || self.coastal > f64::from(FAST_SHARE) * self.count {
            return RigidMotion { held: true, ..RigidMotion::default() };
        }
        let [x, y, u, v] = [self.x, self.y, self.u, self.v].map(|sum| sum / self.count);
        let squares = self.squares / self.count - x * x - y * y;
        let turning = self.turning / self.count - (x * v - y * u);
        let turn = if squares > 0.1 { turning / squares } else { 0.0 };
        RigidMotion { x, y, u, v, turn, held: false }
    }
}

impl std::ops::AddAssign for Moments {
    fn add_assign(&mut self, other: Self) {
        self.count += other.count;
        self.coastal += other.coastal;
        self.x += other.x;
        self.y += other.y;
        self.u += other.u;
        self.v += other.v;
        self.squares += other.squares;
        self.turning += other.turning;
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct RigidMotion {
    x: f64,
    y: f64,
    u: f64,
    v: f64,
    /// Radians a day, from columns towards rows.
    turn: f64,
    /// By the coast.
    held: bool,
}

impl RigidMotion {
    fn at(&self, column: f32, row: f32) -> (f32, f32) {
        let (dx, dy) = (f64::from(column) - self.x, f64::from(row) - self.y);
        ((self.u - self.turn * dy) as f32, (self.v + self.turn * dx) as f32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ensemble::dice::dice;
    use crate::synth::observation::gaussian;

    const SIDE: usize = 150;

    /// A sea without frost or coast, with ice `thickness_m(row, column)` thick in the middle and open water around it.
    fn scene(frost: bool, thickness_m: impl Fn(usize, usize) -> f32) -> (Sea, Network, Pack) {
        let shape = (SIDE, SIDE);
        let sea = Sea {
            land: Array2::from_elem(shape, false),
            coast: Array2::from_elem(shape, false),
            cold: Array2::from_elem(shape, frost),
            warm: Array2::from_elem(shape, false),
            land_around: Array2::zeros(shape),
        };
        let mut dice = dice("pack");
        let mut network = Network::new(1, &mut dice);
        let side = SIDE as f32;
        let whole = network.cut([0.0, 0.0, side, side], &shearing(), Texture::default(), &mut dice);
        let mut pack = Pack::default();
        for row in 30..120 {
            for column in 30..120 {
                let block = network.block_at(whole, column as f32, row as f32);
                pack.add((row, column), 1.0, thickness_m(row, column), block);
            }
        }
        (sea, network, pack)
    }

    /// Ice that drifts, turns and is sheared by 0.01 a day.
    fn shearing() -> Motion {
        Motion::of(12, 15.0, |x, y| (0.3 + 0.01 * (y - 75.0), -0.2 + 0.002 * (x - 75.0)))
    }

    fn turning() -> Motion {
        Motion::of(12, 15.0, |x, y| (0.41 - 0.006 * (y - 75.0), 0.23 + 0.006 * (x - 75.0)))
    }

    fn drive(scene: &mut (Sea, Network, Pack), motion: &Motion, days: i64) -> View {
        let (sea, network, pack) = scene;
        let mut dice = dice("drive");
        (0..days).map(|day| pack.step(sea, motion, network, day, &mut dice)).last().unwrap()
    }

    /// Sum of squares about the mean over the ice.
    fn variance(values: &Array2<f32>, ice: &Array2<f32>) -> f32 {
        let inside: Vec<f32> = values.iter().zip(ice).filter(|(_, c)| **c > 0.9).map(|(v, _)| *v).collect();
        let mean = inside.iter().sum::<f32>() / inside.len() as f32;
        inside.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / inside.len() as f32
    }

    #[test]
    fn a_stripe_of_12_km_keeps_its_contrast_for_30_days() {
        let stripe = |_: usize, column: usize| if (73..77).contains(&column) { 3.0 } else { 1.0 };
        let mut scene = scene(false, stripe);
        let before = 4.0 * (4.0 / 90.0) * (1.0 - 4.0 / 90.0);
        let view = drive(&mut scene, &turning(), 30);
        let kept = variance(&view.thickness_m, &view.concentration) / before;
        assert!((0.8..1.05).contains(&kept), "{kept}");
    }

    #[test]
    fn volume_is_what_came_less_what_went() {
        for frost in [false, true] {
            let mut scene = scene(frost, |row, column| 0.5 + 0.02 * (row + column) as f32);
            let view = drive(&mut scene, &shearing(), 25);
            let budget = scene.2.budget;
            assert!(budget.imbalance() < 1e-3, "{budget:?}");
            let on_grid: f64 = view.thickness_m.iter().map(|&m| f64::from(m)).sum();
            let grown_today = if frost { 0.02 } else { 1e-3 };
            assert!((on_grid / budget.volume - 1.0).abs() < grown_today, "{on_grid} of {}", budget.volume);
            assert!(budget.closed_area > 0.0, "shear between blocks closes some ice: {budget:?}");
        }
    }

    #[test]
    fn the_recipe_makes_what_it_made() {
        // Thick ice before a coast, which breaks anew every day.
        let made = || {
            let (mut sea, mut network, mut pack) =
                scene(true, |_, column| if column > 105 { 4.5 } else { 1.5 });
            sea.land.slice_mut(ndarray::s![.., 118..]).fill(true);
            sea.land_around = gaussian(&sea.land.mapv(|land| f32::from(u8::from(land))), 12.0);
            pack.parcels.retain(|p| p.column < 117.5);
            let mut dice = dice("recipe");
            let days = (0..15).map(|day| {
                pack.break_again(&mut network, &shearing(), 2000.0, (20.0, 60.0), &mut dice);
                pack.step(&sea, &shearing(), &network, day, &mut dice)
            });
            days.last().unwrap().thickness_m
        };
        let (one, other) = (made(), made());
        assert!(
            one.iter().zip(&other).all(|(a, b)| a.to_bits() == b.to_bits()),
            "the same seed, the same ice"
        );
        let squares: f64 = one.iter().map(|&m| f64::from(m).powi(2)).sum();
        let rough: f64 =
            one.windows((1, 2)).into_iter().map(|w| f64::from(w[[0, 0]] - w[[0, 1]]).abs()).sum();
        // Whoever changes these numbers gives RECIPE a new name.
        assert_eq!(super::super::RECIPE, "parcels-3");
        assert!(
            (squares / 40_174.798 - 1.0).abs() < 1e-4 && (rough / 1_696.892 - 1.0).abs() < 1e-4,
            "{squares} {rough}"
        );
    }

    #[test]
    fn leads_freeze_over_with_thin_ice_and_squeezed_ice_gets_thicker() {
        let squeeze = Motion::of(12, 15.0, |x, y| (0.012 * (x - 75.0), -0.012 * (y - 75.0)));
        let mut scene = scene(true, |_, _| 1.5);
        let view = drive(&mut scene, &squeeze, 20);
        let budget = scene.2.budget;
        assert!(budget.opened_area > 50.0 && budget.closed_area > 50.0, "{budget:?}");
        let inside = |test: fn(f32) -> bool| {
            view.thickness_m.slice(ndarray::s![60..90, 60..90]).iter().filter(|m| test(**m)).count()
        };
        assert!(inside(|m| m < 1.0) > 0 && inside(|m| m > 2.0) > 0);
    }

    #[test]
    fn coasts_stop_the_ice() {
        let mut scene = scene(false, |_, _| 1.0);
        scene.0.land.slice_mut(ndarray::s![.., 118..]).fill(true);
        let before = scene.2.parcels.iter().filter(|p| p.column < 117.5).count();
        scene.2.parcels.retain(|p| p.column < 117.5);
        let to_the_right = Motion::of(12, 15.0, |_, _| (1.5, 0.0));
        let view = drive(&mut scene, &to_the_right, 10);
        assert!(view.thickness_m.slice(ndarray::s![.., 118..]).iter().all(|&m| m == 0.0));
        assert!(before > 0 && scene.2.parcels.iter().all(|p| p.column < 117.5));
        let pressed = view.thickness_m.slice(ndarray::s![60..90, 110..118]).mean().unwrap();
        assert!(pressed > 1.2, "ice piles up at the coast: {pressed} m");
    }
}
