//! One field as a small picture without lettering, for pages that bring their own.

use ndarray::Array2;

use super::canvas::Canvas;
use super::map::NO_VALUE;
use super::{ColourScale, PlotError, Ramp};

/// How values become colours: linear between two values, beyond them the colours of the ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shades {
    /// The colours.
    pub ramp: Ramp,
    /// The value of the first colour.
    pub lowest: f32,
    /// The value of the last colour.
    pub highest: f32,
}

impl Shades {
    fn colour(&self, value: f32) -> [u8; 3] {
        if value.is_nan() {
            return NO_VALUE;
        }
        let scale = ColourScale { ramp: self.ramp, highest: 1.0, is_open: false, label: String::new() };
        scale.colour_at(f64::from((value - self.lowest) / (self.highest - self.lowest)))
    }
}

/// A field as PNG. It is enlarged by a whole number, or cells are averaged, so that its longer side comes as near to `side` pixels as
/// possible without exceeding it.
///
/// # Errors
/// [`PlotError::Drawing`] when the picture cannot be encoded.
pub fn picture(values: &Array2<f32>, shades: Shades, side: usize) -> Result<Vec<u8>, PlotError> {
    let (rows, columns) = values.dim();
    let longer = rows.max(columns).max(1);
    let (enlarged, merged) = ((side / longer).max(1), longer.div_ceil(side.max(1)));
    let (height, width) = (rows.div_ceil(merged) * enlarged, columns.div_ceil(merged) * enlarged);
    let mut canvas = Canvas::new(width.max(1), height.max(1))?;
    for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
        let (row, column) = (y / enlarged * merged, x / enlarged * merged);
        let cells = (row..rows.min(row + merged))
            .flat_map(|row| (column..columns.min(column + merged)).map(move |column| values[[row, column]]));
        let (sum, count) = cells
            .filter(|value| !value.is_nan())
            .fold((0.0, 0_usize), |(sum, count), value| (sum + value, count + 1));
        let value = if count > 0 { sum / count as f32 } else { f32::NAN };
        canvas.set(x, y, shades.colour(value));
    }
    canvas.png()
}

/// A bar of all colours from the first to the last, as PNG.
///
/// # Errors
/// [`PlotError::Drawing`] when the picture cannot be encoded.
pub fn colour_bar(shades: Shades) -> Result<Vec<u8>, PlotError> {
    const LENGTH: usize = 256;
    let value =
        |x: usize| shades.lowest + (shades.highest - shades.lowest) * (x as f32 + 0.5) / LENGTH as f32;
    picture(&Array2::from_shape_fn((10, LENGTH), |(_, x)| value(x)), shades, LENGTH)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHADES: Shades = Shades { ramp: Ramp::Viridis, lowest: 0.0, highest: 1.0 };

    fn size(bytes: &[u8]) -> (u32, u32) {
        let reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
        (reader.info().width, reader.info().height)
    }

    #[test]
    fn small_fields_are_enlarged_and_large_ones_averaged() {
        let of = |rows, columns| size(&picture(&Array2::zeros((rows, columns)), SHADES, 300).unwrap());
        assert_eq!(of(64, 100), (300, 192));
        assert_eq!(of(1086, 1308), (262, 218));
    }

    #[test]
    fn what_is_missing_has_its_own_colour_and_the_ends_theirs() {
        assert_eq!(SHADES.colour(f32::NAN), NO_VALUE);
        assert_eq!(SHADES.colour(7.0), SHADES.colour(1.0));
        assert_ne!(SHADES.colour(0.0), SHADES.colour(1.0));
        assert!(size(&colour_bar(SHADES).unwrap()).0 == 256);
    }
}
