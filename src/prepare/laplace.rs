//! Laplace's equation on cells of any shape: conjugate gradients with multigrid as preconditioner.
//!
//! Each coarser level joins 2 x 2 cells into one and adds up the links between them (aggregation). So coasts and holes of any shape stay
//! what they are, a link of one level is at most one link of the next, and every level is the same kind of problem. The coarse
//! corrections are lengthened, because a field that is constant over joined cells is stiffer than a smooth one (Braess 1995).

/// The equations are solved until the residual is this share of the right-hand side's.
const TOLERANCE: f64 = 1e-9;
/// Steps after which no answer is better than the one so far; a few dozen are usual.
const MOST_STEPS: usize = 1000;
/// How much longer coarse corrections are made. Braess found 1.8 best for cycles that go down once; with two visits 1.5 is.
const LENGTHENING: f64 = 1.5;
/// A level of so few cells is solved by sweeps alone.
const COARSEST_CELLS: usize = 16;
const COARSEST_SWEEPS: usize = 8;
/// No neighbour on this side.
pub(super) const NO_CELL: u32 = u32::MAX;

/// For each cell i the equation `diagonal[i] x[i] - sum over its links (weight x[neighbour]) = right side`.
pub(super) struct Laplace {
    levels: Vec<Level>,
}

struct Level {
    /// The cells linked with each; a cell itself, with weight 0, where it has no link on a side: so no sum has to ask.
    links: Vec<[u32; 4]>,
    weights: Vec<[f64; 4]>,
    diagonal: Vec<f64>,
    /// One over the diagonal: sweeps wait for each cell before the next, and a division takes long.
    inverse: Vec<f64>,
    /// The cell of the next level that each cell is joined into; empty on the last one.
    joined: Vec<u32>,
}

impl Laplace {
    /// `places` are the rows and columns of the cells, `links` the numbers of the cells above, below, on the left and on the right
    /// ([`NO_CELL`] where there is none to solve for), `degrees` how many neighbours of any kind each cell has.
    pub(super) fn new(places: Vec<(u32, u32)>, mut links: Vec<[u32; 4]>, degrees: Vec<f64>) -> Self {
        let weights =
            links.iter().map(|links| links.map(|link| f64::from(u8::from(link != NO_CELL)))).collect();
        for (cell, links) in links.iter_mut().enumerate() {
            links.iter_mut().filter(|link| **link == NO_CELL).for_each(|link| *link = cell as u32);
        }
        let inverse = degrees.iter().map(|degree| degree.recip()).collect();
        let mut levels = vec![Level { links, weights, diagonal: degrees, inverse, joined: Vec::new() }];
        let mut places = places;
        while places.len() > COARSEST_CELLS {
            let last = levels.len() - 1;
            let (coarse, coarser_places) = levels[last].join(&places);
            if coarser_places.len() == places.len() {
                // Cells that nothing links.
                levels[last].joined.clear();
                break;
            }
            levels.push(coarse);
            places = coarser_places;
        }
        Self { levels }
    }

    /// The solution for a right-hand side, beginning with `start` everywhere.
    pub(super) fn solve(&self, right: &[f64], start: f64) -> Vec<f64> {
        let top = &self.levels[0];
        let mut x = vec![start; right.len()];
        let mut residual: Vec<f64> = right.iter().zip(top.apply(&x)).map(|(b, ax)| b - ax).collect();
        let goal = (TOLERANCE * TOLERANCE * dot(right, right)).max(f64::MIN_POSITIVE);
        let mut direction = vec![0.0; right.len()];
        let mut energy = f64::INFINITY;
        for _ in 0..MOST_STEPS {
            if dot(&residual, &residual) <= goal {
                break;
            }
            let preconditioned = self.cycle(0, &residual);
            let next = dot(&residual, &preconditioned);
            let share = next / energy;
            direction.iter_mut().zip(&preconditioned).for_each(|(d, p)| *d = p + share * *d);
            energy = next;
            let image = top.apply(&direction);
            let length = energy / dot(&direction, &image);
            x.iter_mut().zip(&direction).for_each(|(x, d)| *x += length * d);
            residual.iter_mut().zip(&image).for_each(|(r, i)| *r -= length * i);
        }
        x
    }

    /// One W-cycle from 0: the same forwards as backwards, as conjugate gradients want it.
    fn cycle(&self, number: usize, right: &[f64]) -> Vec<f64> {
        let level = &self.levels[number];
        let mut x = vec![0.0; right.len()];
        if number + 1 == self.levels.len() {
            (0..COARSEST_SWEEPS).for_each(|_| level.sweep(&mut x, right, 0..right.len()));
            (0..COARSEST_SWEEPS).for_each(|_| level.sweep(&mut x, right, (0..right.len()).rev()));
            return x;
        }
        level.sweep(&mut x, right, 0..right.len());
        let mut coarse_right = vec![0.0; self.levels[number + 1].diagonal.len()];
        for (cell, joined) in level.joined.iter().enumerate() {
            coarse_right[*joined as usize] += right[cell] - level.apply_at(&x, cell);
        }
        let mut correction = self.cycle(number + 1, &coarse_right);
        if number + 2 < self.levels.len() {
            let image = self.levels[number + 1].apply(&correction);
            coarse_right.iter_mut().zip(image).for_each(|(right, image)| *right -= image);
            let more = self.cycle(number + 1, &coarse_right);
            correction.iter_mut().zip(more).for_each(|(correction, more)| *correction += more);
        }
        x.iter_mut()
            .zip(&level.joined)
            .for_each(|(x, joined)| *x += LENGTHENING * correction[*joined as usize]);
        level.sweep(&mut x, right, (0..right.len()).rev());
        x
    }
}

impl Level {
    /// What comes to a cell through its links.
    #[inline]
    fn inflow(&self, x: &[f64], cell: usize) -> f64 {
        let (links, weights) = (&self.links[cell], &self.weights[cell]);
        let side = |side: usize| weights[side] * x[links[side] as usize];
        // What the sweep before has just written comes in last.
        ((side(0) + side(1)) + side(3)) + side(2)
    }

    fn apply_at(&self, x: &[f64], cell: usize) -> f64 {
        self.diagonal[cell] * x[cell] - self.inflow(x, cell)
    }

    fn apply(&self, x: &[f64]) -> Vec<f64> {
        (0..x.len()).map(|cell| self.apply_at(x, cell)).collect()
    }

    /// Solves one equation after the other (Gauss and Seidel).
    fn sweep(&self, x: &mut [f64], right: &[f64], cells: impl Iterator<Item = usize>) {
        for cell in cells {
            x[cell] = (right[cell] + self.inflow(x, cell)) * self.inverse[cell];
        }
    }

    /// The next level with the places of its cells; says of each cell of this one which it is joined into.
    fn join(&mut self, places: &[(u32, u32)]) -> (Self, Vec<(u32, u32)>) {
        let columns = places.iter().map(|place| place.1 / 2 + 1).max().unwrap_or(0) as usize;
        let rows = places.iter().map(|place| place.0 / 2 + 1).max().unwrap_or(0) as usize;
        let mut numbers = vec![NO_CELL; rows * columns];
        let mut coarse_places = Vec::new();
        for &(row, column) in places {
            let number = &mut numbers[(row / 2) as usize * columns + (column / 2) as usize];
            if *number == NO_CELL {
                *number = coarse_places.len() as u32;
                coarse_places.push((row / 2, column / 2));
            }
            self.joined.push(*number);
        }
        let count = coarse_places.len();
        let mut coarse = Self {
            links: (0..count as u32).map(|cell| [cell; 4]).collect(),
            weights: vec![[0.0; 4]; count],
            diagonal: vec![0.0; count],
            inverse: Vec::new(),
            joined: Vec::new(),
        };
        for (cell, &own) in self.joined.iter().enumerate() {
            coarse.diagonal[own as usize] += self.diagonal[cell];
            for side in 0..4 {
                let (link, weight) = (self.links[cell][side], self.weights[cell][side]);
                let other = self.joined[link as usize];
                if other == own {
                    coarse.diagonal[own as usize] -= weight;
                } else {
                    coarse.links[own as usize][side] = other;
                    coarse.weights[own as usize][side] += weight;
                }
            }
        }
        coarse.inverse = coarse.diagonal.iter().map(|diagonal| diagonal.recip()).collect();
        (coarse, coarse_places)
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
