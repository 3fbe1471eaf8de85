//! Where the ice is broken: networks of lines that cut it into blocks, each block moving as a rigid body.
//!
//! A region is cut by a line, each part again, and so on down to the smallest blocks. Lines lie at about
//! 43 degrees to the direction in which the ice is squeezed most, in pairs, as faults do. A cut is at rest most days and then opens
//! again: ice remembers where it broke.

use rand_chacha::ChaCha20Rng;

use super::forcing::Motion;
use crate::ensemble::dice::{normal, share, uniform};

/// Blocks larger than this always move by themselves: the drift resolves them. Cells of 3 km.
const ALWAYS_ACTIVE: f32 = 40.0;
/// Side of the smallest blocks, cells.
const SMALLEST: f32 = 6.0;
/// Share of the days on which a smaller cut is active.
const ACTIVE_SHARE: f64 = 0.5;
/// A cut stays active, or at rest, for a number of days between these.
const RHYTHM_DAYS: (f64, f64) = (1.5, 8.0);
/// Half of the angle between a pair of conjugate faults, degrees.
const FAULT_ANGLE_DEGREES: f32 = 43.0;
/// Deviation of the faults from that angle, degrees.
const FAULT_ANGLE_SPREAD_DEGREES: f32 = 6.0;
/// Parts of wholes larger than this, cells, do not differ in their first thickness: the large-scale field has these scales.
const LARGEST_TEXTURE: f32 = 60.0;
/// A block longer than this many times its width is cut across.
const LONGEST_ASPECT: f32 = 3.5;
/// Wavelengths of the waves that bend the lines, cells, each with an amplitude of this share of it.
const BENDS: [f32; 4] = [420.0, 160.0, 60.0, 23.0];
const BEND_AMPLITUDE: f32 = 0.035;

pub(super) const NONE: u32 = u32::MAX;

/// A block, or what was one before it was cut.
#[derive(Debug, Clone)]
struct Node {
    parent: u32,
    /// The parts on both sides of the cut; [`NONE`] for a block that is whole.
    parts: [u32; 2],
    /// Points p with normal * p > offset are in the second part.
    normal: [f32; 2],
    offset: f32,
    /// Root of the area, cells.
    size: f32,
    /// Of the cut: the days of a phase of activity or rest, and where in it day 0 lies.
    rhythm_days: f32,
    phase: f32,
    /// Logarithm by which the ice of this part was thicker than that of the whole at the beginning.
    texture: f32,
}

/// All blocks there are and were, in the order in which they came: a part always after its whole.
#[derive(Debug)]
pub(super) struct Network {
    nodes: Vec<Node>,
    seed: u64,
    bends: [(f32, f32, f32, f32); BENDS.len()],
}

/// How much the first thickness differs between the parts of a whole.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Texture {
    /// Deviation of its logarithm for a whole of [`ALWAYS_ACTIVE`] cells.
    pub(super) amplitude: f32,
    /// Power of the size with which the deviation grows: a ring-summed spectrum of slope -1 - 2 * roughness.
    pub(super) roughness: f32,
}

type Polygon = Vec<[f32; 2]>;

impl Network {
    pub(super) fn new(seed: u64, dice: &mut ChaCha20Rng) -> Self {
        let mut turn = || uniform(dice, 0.0, std::f64::consts::TAU) as f32;
        let bends = BENDS.map(|_| (turn(), turn(), turn(), turn()));
        Self { nodes: Vec::new(), seed, bends }
    }

    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Cuts a rectangle (column, row of two corners) into blocks and gives its root. `texture` says how much the first
    /// thickness differs between the two parts of a cut.
    pub(super) fn cut(
        &mut self,
        corners: [f32; 4],
        motion: &Motion,
        texture: Texture,
        dice: &mut ChaCha20Rng,
    ) -> u32 {
        let [left, top, right, bottom] = corners;
        let region = vec![[left, top], [right, top], [right, bottom], [left, bottom]];
        let root = self.add(NONE, &region, 0.0, dice);
        let mut waiting = vec![(root, region)];
        while let Some((node, polygon)) = waiting.pop() {
            let limit = SMALLEST * uniform(dice, 0.7, 2.2) as f32;
            if self.nodes[node as usize].size < limit {
                continue;
            }
            let Some((normal, offset, parts)) = divide(&polygon, motion, dice) else { continue };
            let size = self.nodes[node as usize].size;
            for (side, part) in parts.into_iter().enumerate() {
                let deviation = if size < LARGEST_TEXTURE {
                    texture.amplitude * (size / ALWAYS_ACTIVE).powf(texture.roughness)
                } else {
                    0.0
                };
                let textured = deviation * normal_number(dice);
                let child = self.add(node, &part, textured, dice);
                let whole = &mut self.nodes[node as usize];
                (whole.normal, whole.offset) = (normal, offset);
                whole.parts[side] = child;
                waiting.push((child, part));
            }
        }
        root
    }

    fn add(&mut self, parent: u32, polygon: &Polygon, texture: f32, dice: &mut ChaCha20Rng) -> u32 {
        self.nodes.push(Node {
            parent,
            parts: [NONE; 2],
            normal: [0.0; 2],
            offset: 0.0,
            size: area(polygon).sqrt(),
            rhythm_days: uniform(dice, RHYTHM_DAYS.0, RHYTHM_DAYS.1) as f32,
            phase: share(dice) as f32,
            texture,
        });
        (self.nodes.len() - 1) as u32
    }

    /// The whole block below `root` in which a place lies.
    pub(super) fn block_at(&self, root: u32, column: f32, row: f32) -> u32 {
        let [x, y] = self.bend(column, row);
        let mut at = root;
        loop {
            let node = &self.nodes[at as usize];
            if node.parts[0] == NONE {
                return at;
            }
            at = node.parts[usize::from(node.normal[0] * x + node.normal[1] * y > node.offset)];
        }
    }

    /// Logarithm by which the ice of a block was thicker than its surroundings at the beginning.
    pub(super) fn texture(&self, block: u32) -> f32 {
        let mut at = block;
        let mut sum = 0.0;
        while at != NONE {
            sum += self.nodes[at as usize].texture;
            at = self.nodes[at as usize].parent;
        }
        sum
    }

    /// The largest whole of at most `size` cells that a block belongs to.
    pub(super) fn ancestor(&self, block: u32, size: f32) -> u32 {
        let mut at = block;
        loop {
            let parent = self.nodes[at as usize].parent;
            if parent == NONE || self.nodes[parent as usize].size > size {
                return at;
            }
            at = parent;
        }
    }

    /// For every node the one of `wholes` to which it belongs, or [`NONE`].
    pub(super) fn belonging(&self, wholes: &[u32]) -> Vec<u32> {
        let mut belonging = vec![NONE; self.nodes.len()];
        for &whole in wholes {
            belonging[whole as usize] = whole;
        }
        for index in 0..self.nodes.len() {
            let parent = self.nodes[index].parent;
            if parent != NONE && belonging[index] == NONE {
                belonging[index] = belonging[parent as usize];
            }
        }
        belonging
    }

    /// For every node the one with which it moves as one body on a day.
    pub(super) fn bodies(&self, day: i64) -> Vec<u32> {
        let mut bodies: Vec<u32> = (0..self.nodes.len() as u32).collect();
        for index in 0..self.nodes.len() {
            let parent = self.nodes[index].parent;
            if parent != NONE && (bodies[parent as usize] != parent || !self.is_active(parent, day)) {
                bodies[index] = bodies[parent as usize];
            }
        }
        bodies
    }

    /// Adds what is known of the parts to their wholes.
    pub(super) fn add_up<T: Copy + std::ops::AddAssign>(&self, sums: &mut [T]) {
        for index in (0..self.nodes.len()).rev() {
            let parent = self.nodes[index].parent;
            if parent != NONE {
                let part = sums[index];
                sums[parent as usize] += part;
            }
        }
    }

    fn is_active(&self, node: u32, day: i64) -> bool {
        let Node { size, rhythm_days, phase, .. } = self.nodes[node as usize];
        let phase_number = (day as f32 / rhythm_days + phase).floor() as i64 as u64;
        size > ALWAYS_ACTIVE
            || hash(self.seed ^ (u64::from(node) << 32) ^ phase_number) as f64 / u64::MAX as f64
                <= ACTIVE_SHARE
    }

    /// Straight cuts become curved ones.
    fn bend(&self, column: f32, row: f32) -> [f32; 2] {
        let (mut x, mut y) = (column, row);
        for (wavelength, (direction, phase, other, later)) in BENDS.into_iter().zip(self.bends) {
            let k = std::f32::consts::TAU / wavelength;
            let size = BEND_AMPLITUDE * wavelength;
            let along = |angle: f32| k * (column * angle.cos() + row * angle.sin());
            x += size * (along(direction) + phase).sin();
            y += size * (along(other) + later).sin();
        }
        [x, y]
    }
}

/// A cut through a polygon: its normal and offset, and the two parts. `None` when no part would be left.
fn divide(
    polygon: &Polygon,
    motion: &Motion,
    dice: &mut ChaCha20Rng,
) -> Option<([f32; 2], f32, [Polygon; 2])> {
    let centre = centre(polygon);
    let (long, aspect) = longest_axis(polygon, centre);
    let line = if aspect > LONGEST_ASPECT {
        long + std::f32::consts::FRAC_PI_2 + 0.3 * normal_number(dice)
    } else {
        let side = if share(dice) < 0.5 { -1.0 } else { 1.0 };
        let angle = side * FAULT_ANGLE_DEGREES + FAULT_ANGLE_SPREAD_DEGREES * normal_number(dice);
        squeezed_most(motion, centre) + angle.to_radians()
    };
    let normal = [-line.sin(), line.cos()];
    let span = area(polygon).sqrt();
    let offset = normal[0] * centre[0] + normal[1] * centre[1] + 0.16 * span * normal_number(dice);
    let parts = [clip(polygon, normal, offset, -1.0), clip(polygon, normal, offset, 1.0)];
    parts.iter().all(|part| part.len() > 2 && area(part) > 1.0).then_some((normal, offset, parts))
}

/// Direction of the strongest compression of the large-scale motion, as an angle from the columns' axis towards the rows'.
fn squeezed_most(motion: &Motion, [x, y]: [f32; 2]) -> f32 {
    let step = 20.0;
    let (east, west) = (motion.at(x + step, y), motion.at(x - step, y));
    let (south, north) = (motion.at(x, y + step), motion.at(x, y - step));
    let (ux, vx) = (east.0 - west.0, east.1 - west.1);
    let (uy, vy) = (south.0 - north.0, south.1 - north.1);
    let stretched_most = 0.5 * (uy + vx).atan2(ux - vy);
    stretched_most + std::f32::consts::FRAC_PI_2
}

fn clip(polygon: &Polygon, normal: [f32; 2], offset: f32, side: f32) -> Polygon {
    let beyond = |p: [f32; 2]| side * (normal[0] * p[0] + normal[1] * p[1] - offset);
    let mut out = Vec::with_capacity(polygon.len() + 1);
    for (index, &from) in polygon.iter().enumerate() {
        let to = polygon[(index + 1) % polygon.len()];
        let (a, b) = (beyond(from), beyond(to));
        if a >= 0.0 {
            out.push(from);
        }
        if (a >= 0.0) != (b >= 0.0) {
            let t = a / (a - b);
            out.push([from[0] + t * (to[0] - from[0]), from[1] + t * (to[1] - from[1])]);
        }
    }
    out
}

fn area(polygon: &Polygon) -> f32 {
    let next = polygon.iter().cycle().skip(1);
    0.5 * polygon.iter().zip(next).map(|(a, b)| a[0] * b[1] - b[0] * a[1]).sum::<f32>().abs()
}

fn centre(polygon: &Polygon) -> [f32; 2] {
    let count = polygon.len() as f32;
    let sum = polygon.iter().fold([0.0, 0.0], |sum, p| [sum[0] + p[0], sum[1] + p[1]]);
    [sum[0] / count, sum[1] / count]
}

/// Direction of the longest axis of the corners, and how many times longer than the shortest one it is.
fn longest_axis(polygon: &Polygon, centre: [f32; 2]) -> (f32, f32) {
    let [xx, xy, yy] = polygon.iter().fold([0.0; 3], |[xx, xy, yy], p| {
        let (x, y) = (p[0] - centre[0], p[1] - centre[1]);
        [xx + x * x, xy + x * y, yy + y * y]
    });
    let (half, difference) = (0.5 * (xx + yy), (0.25 * (xx - yy).powi(2) + xy * xy).sqrt());
    (0.5 * (2.0 * xy).atan2(xx - yy), ((half + difference) / (half - difference).max(1e-6)).sqrt())
}

fn normal_number(dice: &mut ChaCha20Rng) -> f32 {
    normal(dice) as f32
}

/// A well-mixed number from another (splitmix64, Steele et al. 2014).
fn hash(number: u64) -> u64 {
    let mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ensemble::dice::dice;

    fn network() -> (Network, u32) {
        let mut dice = dice("fractures");
        let mut network = Network::new(3, &mut dice);
        let motion = Motion::of(8, 60.0, |x, y| (0.01 * x, -0.01 * y));
        let root = network.cut(
            [0.0, 0.0, 200.0, 200.0],
            &motion,
            Texture { amplitude: 0.1, roughness: 0.25 },
            &mut dice,
        );
        (network, root)
    }

    #[test]
    fn blocks_fill_the_region_and_are_small() {
        let (network, root) = network();
        let whole = |node: &&Node| node.parts[0] == NONE;
        let blocks: Vec<&Node> = network.nodes.iter().filter(whole).collect();
        let total: f32 = blocks.iter().map(|block| block.size * block.size).sum();
        assert!((total - 40_000.0).abs() < 40.0, "{total}");
        let large = blocks.iter().filter(|block| block.size > 2.2 * SMALLEST);
        assert!(large.map(|block| block.size * block.size).sum::<f32>() < 0.02 * total);
        assert_eq!(network.nodes[network.block_at(root, 50.0, 60.0) as usize].parts[0], NONE);
    }

    #[test]
    fn a_block_moves_with_the_smallest_whole_whose_cuts_above_are_all_active() {
        let (network, _) = network();
        for day in 0..20 {
            let bodies = network.bodies(day);
            for (index, node) in network.nodes.iter().enumerate().skip(1) {
                let own = bodies[index] == index as u32;
                let parent = node.parent;
                let free = bodies[parent as usize] == parent && network.is_active(parent, day);
                assert_eq!(own, free);
            }
        }
    }

    #[test]
    fn the_faults_lie_on_both_sides_of_the_squeezed_direction() {
        // Stretched along the columns' axis, squeezed along the rows'.
        let motion = Motion::of(8, 60.0, |x, y| (0.01 * x, -0.01 * y));
        let angle = squeezed_most(&motion, [200.0, 200.0]);
        assert!(angle.cos().abs() < 1e-3, "{angle}");
    }
}
