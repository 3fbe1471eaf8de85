//! The bar that explains colours, with its ticks and its label.

use plotters::prelude::*;

use super::canvas::{Anchor, Canvas, Lettering};
use super::{ColourScale, PlotError};

pub(super) const INK: RGBColor = RGBColor(30, 36, 44);
pub(super) const QUIET: RGBColor = RGBColor(90, 98, 108);
pub(super) const WARNING: RGBColor = RGBColor(190, 30, 45);

const THICKNESS: usize = 16;

pub(super) fn letters(size: f64, bold: bool, colour: RGBColor, anchor: Anchor) -> Lettering {
    Lettering { size, bold, colour, anchor }
}

/// Draws a bar of `length` pixels with its upper left corner at `at`; an arrow at its end says that larger values have the last
/// colour.
pub(super) fn draw(
    canvas: &mut Canvas,
    at: (usize, usize),
    length: usize,
    scale: &ColourScale,
) -> Result<(), PlotError> {
    let (left, top) = at;
    for x in 0..length {
        let colour = scale.colour_at(x as f64 / (length - 1) as f64);
        (0..THICKNESS).for_each(|y| canvas.set(left + x, top + y, colour));
    }
    for x in 0..if scale.is_open { THICKNESS } else { 0 } {
        let narrower = x / 2;
        (narrower..THICKNESS - narrower)
            .for_each(|y| canvas.set(left + length + x, top + y, scale.colour_at(1.0)));
    }
    let bottom = (top + THICKNESS) as i32;
    for tick in 0..=4 {
        let x = (left + (length - 1) * tick / 4) as i32;
        canvas.draw(|area| {
            area.draw(&PathElement::new(vec![(x, bottom), (x, bottom + 5)], INK.stroke_width(1)))
        })?;
        let value = tick_text(f64::from(scale.highest) * tick as f64 / 4.0);
        canvas.text(&value, (x, bottom + 15), letters(16.0, false, INK, Anchor::Centre))?;
    }
    let middle = (left + length / 2) as i32;
    canvas.text(&scale.label, (middle, bottom + 37), letters(17.0, false, INK, Anchor::Centre))
}

/// A number with as many decimals as it needs, three at most.
fn tick_text(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_have_as_many_decimals_as_they_need() {
        assert_eq!([0.0, 0.025, 0.5, 4.0].map(tick_text), ["0", "0.025", "0.5", "4"]);
    }
}
