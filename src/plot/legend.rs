//! A legend: what the colours of maps mean, without a map.

use std::path::Path;

use plotters::prelude::*;

use super::bar::{self, INK, QUIET, letters};
use super::canvas::{Anchor, Canvas};
use super::{ColourScale, PlotError};

/// A colour that stands for one thing.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Red, green, blue.
    pub colour: [u8; 3],
    /// What it stands for.
    pub meaning: &'static str,
}

const WIDTH: usize = 620;
const MARGIN: usize = 30;
/// From one bar to the next.
const BAR: usize = 86;
/// From one key to the next.
const LINE: usize = 30;

/// Draws the scales below each other and the keys below them, and writes the legend as PNG.
///
/// # Errors
/// [`PlotError`] when something cannot be drawn or the file cannot be written.
pub fn draw_legend(path: &Path, scales: &[ColourScale], keys: &[Key]) -> Result<(), PlotError> {
    let bars = MARGIN + BAR * scales.len();
    let mut canvas = Canvas::new(WIDTH, bars + LINE * keys.len() + MARGIN)?;
    for (number, scale) in scales.iter().enumerate() {
        bar::draw(&mut canvas, (MARGIN, MARGIN + BAR * number), WIDTH - 3 * MARGIN, scale)?;
    }
    for (number, key) in keys.iter().enumerate() {
        let (left, middle) = (MARGIN as i32, (bars + LINE * number + LINE / 2) as i32);
        let corners = [(left, middle - 8), (left + 24, middle + 8)];
        let [red, green, blue] = key.colour;
        canvas.draw(|area| area.draw(&Rectangle::new(corners, RGBColor(red, green, blue).filled())))?;
        canvas.draw(|area| area.draw(&Rectangle::new(corners, QUIET.stroke_width(1))))?;
        canvas.text(key.meaning, (left + 36, middle), letters(16.0, false, INK, Anchor::Left))?;
    }
    canvas.write(path)
}
