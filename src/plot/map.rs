//! One field as pixels, and the lines over it.

use ndarray::Array2;
use plotters::prelude::*;
use rayon::prelude::*;

use crate::grid::{GridError, GridSpec, LonLat};

use super::canvas::Canvas;
use super::{ColourScale, Ground, PlotError, Ramp};

/// Colour of land.
pub(super) const LAND: [u8; 3] = [176, 172, 166];
/// Colour of water without ice.
pub(super) const WATER: [u8; 3] = [230, 240, 247];
/// Colour of sea that may have ice and that the product has no value for.
pub(super) const NO_VALUE: [u8; 3] = [214, 196, 222];
/// Colour of the line along the ice edge.
pub(super) const EDGE: [u8; 3] = [200, 30, 60];
const GRATICULE: RGBAColor = RGBAColor(70, 80, 90, 0.38);

/// No ice edge is drawn so near to land, cells.
const COAST_CELLS: usize = 3;

/// Looks at each pixel in so many places along each side, which smooths coasts and averages cells that share a pixel.
const SAMPLES: usize = 3;

/// Where a map lies in the picture.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    pub(super) left: usize,
    pub(super) top: usize,
    pub(super) width: usize,
    pub(super) height: usize,
    /// Pixels along the side of a cell.
    pub(super) scale: f64,
}

impl ColourScale {
    /// The colour at a share of the scale, 0..1: red, green, blue.
    #[must_use]
    pub fn colour_at(&self, share: f64) -> [u8; 3] {
        let share = share.clamp(0.0, 1.0);
        let colour = match self.ramp {
            Ramp::Viridis => colorous::VIRIDIS.eval_continuous(share),
            Ramp::Cividis => colorous::CIVIDIS.eval_continuous(share),
            Ramp::Magma => colorous::MAGMA.eval_continuous(share),
            Ramp::BlueRed => colorous::RED_BLUE.eval_continuous(1.0 - share),
        };
        [colour.r, colour.g, colour.b]
    }
}

/// Fills the frame with the colours of the cells.
pub(super) fn paint(
    canvas: &mut Canvas,
    frame: Frame,
    ground: Ground<'_>,
    values: &Array2<f32>,
    scale: &ColourScale,
) {
    let (rows, columns) = values.dim();
    // Once for each cell, for most of them are seen in several places; colours cost more than all else here.
    let colours: Vec<Vec<[u8; 3]>> = (0..rows)
        .into_par_iter()
        .map(|row| (0..columns).map(|column| cell_colour(ground, values, scale, [row, column])).collect())
        .collect();
    let (rows, columns) = (seen(frame.height, rows, frame.scale), seen(frame.width, columns, frame.scale));
    let line = |rows: &[usize]| -> Vec<[u8; 3]> {
        columns.chunks(SAMPLES).map(|columns| mean_colour(&colours, rows, columns)).collect()
    };
    let lines: Vec<_> = rows.par_chunks(SAMPLES).map(line).collect();
    for (y, line) in lines.into_iter().enumerate() {
        for (x, colour) in line.into_iter().enumerate() {
            canvas.set(frame.left + x, frame.top + y, colour);
        }
    }
}

/// The cells that are seen in each place along a side, [`SAMPLES`] of them for each pixel.
fn seen(pixels: usize, cells: usize, scale: f64) -> Vec<usize> {
    let cell = |place: usize| {
        let (pixel, part) = ((place / SAMPLES) as f64, (place % SAMPLES) as f64);
        (((pixel + (part + 0.5) / SAMPLES as f64) / scale) as usize).min(cells - 1)
    };
    (0..pixels * SAMPLES).map(cell).collect()
}

fn mean_colour(colours: &[Vec<[u8; 3]>], rows: &[usize], columns: &[usize]) -> [u8; 3] {
    let mut sum = [0_usize; 3];
    for line in rows.iter().map(|row| &colours[*row]) {
        for colour in columns.iter().map(|column| line[*column]) {
            for (total, part) in sum.iter_mut().zip(colour) {
                *total += usize::from(part);
            }
        }
    }
    sum.map(|total| (total / (SAMPLES * SAMPLES)) as u8)
}

fn cell_colour(ground: Ground<'_>, values: &Array2<f32>, scale: &ColourScale, cell: [usize; 2]) -> [u8; 3] {
    let value = values[cell];
    if ground.land[cell] {
        LAND
    } else if !value.is_nan() {
        scale.colour_at(f64::from(value / scale.highest))
    } else if ground.concentration[cell] < ground.ice_edge {
        WATER
    } else {
        NO_VALUE
    }
}

/// Draws the line between ice and water.
pub(super) fn paint_ice_edge(canvas: &mut Canvas, frame: Frame, ground: Ground<'_>) {
    let (rows, columns) = ground.land.dim();
    let middles = |pixels: usize, cells: usize| -> Vec<usize> {
        (0..pixels).map(|pixel| (((pixel as f64 + 0.5) / frame.scale) as usize).min(cells - 1)).collect()
    };
    let (down, across) = (middles(frame.height, rows), middles(frame.width, columns));
    let cell = |x: usize, y: usize| [down[y], across[x]];
    // Where the concentration is not known there is no edge: both comparisons are false for NaN.
    let ice = |cell: [usize; 2]| ground.concentration[cell] >= ground.ice_edge;
    let water = |cell: [usize; 2]| ground.concentration[cell] < ground.ice_edge;
    // Along coasts concentration is too uncertain for a line.
    let sea = |[row, column]: [usize; 2]| {
        let near = |middle: usize, end: usize| {
            middle.saturating_sub(COAST_CELLS)..(middle + COAST_CELLS + 1).min(end)
        };
        !near(row, rows).any(|row| near(column, columns).any(|column| ground.land[[row, column]]))
    };
    for y in 0..frame.height - 1 {
        for x in 0..frame.width - 1 {
            let here = cell(x, y);
            let crosses =
                |there| (ice(here) && water(there) || water(here) && ice(there)) && sea(here) && sea(there);
            if crosses(cell(x + 1, y)) || crosses(cell(x, y + 1)) {
                canvas.set(frame.left + x, frame.top + y, EDGE);
            }
        }
    }
}

/// Draws meridians every 30 degrees and parallels every 5, thin, over land and sea.
pub(super) fn draw_graticule(canvas: &mut Canvas, frame: Frame, grid: &GridSpec) -> Result<(), PlotError> {
    let meridians = (0..12)
        .map(|k| (0..=180).map(|i| (30.0 * f64::from(k) - 180.0, 40.0 + 0.25 * f64::from(i))).collect());
    let parallels = (8..18).map(|k| (0..=360).map(|i| (f64::from(i) - 180.0, 5.0 * f64::from(k))).collect());
    for line in meridians.chain(parallels) {
        for piece in pieces_inside(frame, grid, line)? {
            canvas.draw(|area| area.draw(&PathElement::new(piece, GRATICULE.stroke_width(1))))?;
        }
    }
    Ok(())
}

/// The stretches of a line (longitude, latitude) that lie inside the frame, in pixels.
fn pieces_inside(
    frame: Frame,
    grid: &GridSpec,
    line: Vec<(f64, f64)>,
) -> Result<Vec<Vec<(i32, i32)>>, GridError> {
    let mut pieces = vec![Vec::new()];
    for (lon, lat) in line.into_iter().filter(|(_, lat)| *lat < 89.0) {
        let (x_m, y_m) = grid.projection.from_lonlat(LonLat { lon, lat })?;
        let (row, column) = grid.position(x_m, y_m);
        let (x, y) = ((column + 0.5) * frame.scale, (row + 0.5) * frame.scale);
        let inside = x >= 0.0 && y >= 0.0 && x < frame.width as f64 && y < frame.height as f64;
        if let (true, Some(piece)) = (inside, pieces.last_mut()) {
            piece.push((frame.left as i32 + x as i32, frame.top as i32 + y as i32));
        } else if pieces.last().is_some_and(|piece| !piece.is_empty()) {
            pieces.push(Vec::new());
        }
    }
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use crate::grid::GridSpec;

    use super::*;

    /// Whether cells are larger than pixels or smaller: a pixel has the mean colour of nine places in it.
    #[test]
    fn a_pixel_is_the_mean_of_what_is_seen_in_it() {
        for (side, scale) in [(8, 5.3), (40, 0.7)] {
            let grid = GridSpec::test_square(side);
            let land = Array2::from_shape_fn((side, side), |(row, column)| row + column < side / 3);
            let concentration =
                Array2::from_shape_fn((side, side), |(row, _)| [0.9, 0.05, f32::NAN][row % 3]);
            let values = Array2::from_shape_fn((side, side), |(row, column)| {
                if row % 4 == 0 { (column as f32 / side as f32) * 5.0 } else { f32::NAN }
            });
            let ground = Ground { grid: &grid, land: &land, concentration: &concentration, ice_edge: 0.15 };
            let colours =
                ColourScale { ramp: Ramp::Viridis, highest: 4.0, is_open: true, label: String::new() };
            let pixels = (side as f64 * scale) as usize;
            let frame = Frame { left: 2, top: 3, width: pixels, height: pixels - 1, scale };
            let mut canvas = Canvas::new(pixels + 2, pixels + 2).unwrap();
            paint(&mut canvas, frame, ground, &values, &colours);
            let cell = |pixel: usize, part: usize| {
                let place = (pixel as f64 + (part as f64 + 0.5) / 3.0) / scale;
                (place as usize).min(side - 1)
            };
            for (y, x) in (0..pixels - 1).flat_map(|y| (0..pixels).map(move |x| (y, x))) {
                let mut sum = [0_usize; 3];
                for (part_y, part_x) in (0..3).flat_map(|y| (0..3).map(move |x| (y, x))) {
                    let colour = cell_colour(ground, &values, &colours, [cell(y, part_y), cell(x, part_x)]);
                    sum.iter_mut().zip(colour).for_each(|(total, part)| *total += usize::from(part));
                }
                let start = 3 * ((y + frame.top) * canvas.width + x + frame.left);
                assert_eq!(canvas.rgb()[start..start + 3], sum.map(|total| (total / 9) as u8), "{y} {x}");
            }
        }
    }
}
