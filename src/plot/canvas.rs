//! A picture in memory: text and lines by `plotters`, pixels by hand, PNG at the end.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{FontStyle, register_font};

use super::PlotError;

/// The name that the embedded font is registered under.
const FONT: &str = "DejaVu Sans";

/// Where a text stands relative to its point.
#[derive(Debug, Clone, Copy)]
pub(super) enum Anchor {
    /// The point is its left end.
    Left,
    /// The point is its middle.
    Centre,
}

/// How a text looks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lettering {
    pub(super) size: f64,
    pub(super) bold: bool,
    pub(super) colour: RGBColor,
    pub(super) anchor: Anchor,
}

/// A picture of `width` x `height` pixels.
pub(super) struct Canvas {
    pub(super) width: usize,
    pub(super) height: usize,
    pixels: Vec<u8>,
}

impl Canvas {
    /// A white picture.
    pub(super) fn new(width: usize, height: usize) -> Result<Self, PlotError> {
        for (style, bytes) in
            [(FontStyle::Normal, dejavu::sans::regular()), (FontStyle::Bold, dejavu::sans::bold())]
        {
            register_font(FONT, style, bytes)
                .map_err(|_| PlotError::Drawing { reason: "the embedded font is not a font".into() })?;
        }
        Ok(Self { width, height, pixels: vec![255; 3 * width * height] })
    }

    /// Sets one pixel.
    pub(super) fn set(&mut self, x: usize, y: usize, colour: [u8; 3]) {
        if x < self.width && y < self.height {
            let start = 3 * (y * self.width + x);
            self.pixels[start..start + 3].copy_from_slice(&colour);
        }
    }

    /// Draws with `plotters`.
    pub(super) fn draw<E: std::error::Error + Send + Sync>(
        &mut self,
        drawing: impl FnOnce(&DrawingArea<BitMapBackend<'_>, Shift>) -> Result<(), DrawingAreaErrorKind<E>>,
    ) -> Result<(), PlotError> {
        let size = (self.width as u32, self.height as u32);
        let area = BitMapBackend::with_buffer(&mut self.pixels, size).into_drawing_area();
        drawing(&area).map_err(|error| PlotError::Drawing { reason: error.to_string() })
    }

    /// Writes a text; the vertical middle of its capitals is at the height of `at`.
    pub(super) fn text(&mut self, text: &str, at: (i32, i32), lettering: Lettering) -> Result<(), PlotError> {
        let horizontal = match lettering.anchor {
            Anchor::Left => HPos::Left,
            Anchor::Centre => HPos::Center,
        };
        let font_style = if lettering.bold { FontStyle::Bold } else { FontStyle::Normal };
        let style = TextStyle::from((FONT, lettering.size, font_style).into_font())
            .color(&lettering.colour)
            .pos(Pos::new(horizontal, VPos::Center));
        // The library centres the whole line, with room for accents above; the eye looks at the capitals.
        let below = (0.15 * lettering.size).round() as i32;
        self.draw(|area| area.draw(&Text::new(text, (at.0, at.1 + below), style)))
    }

    /// The pixels, line by line: red, green, blue.
    pub(super) fn rgb(&self) -> &[u8] {
        &self.pixels
    }

    /// Writes the picture as PNG.
    pub(super) fn write(&self, path: &Path) -> Result<(), PlotError> {
        let failed = |source| PlotError::File { path: path.to_owned(), source };
        let file = BufWriter::new(File::create(path).map_err(failed)?);
        self.encode(file).map_err(|error| failed(io::Error::other(error)))
    }

    /// The picture as PNG.
    pub(super) fn png(&self) -> Result<Vec<u8>, PlotError> {
        let mut bytes = Vec::new();
        self.encode(&mut bytes).map_err(|error| PlotError::Drawing { reason: error.to_string() })?;
        Ok(bytes)
    }

    fn encode(&self, out: impl Write) -> Result<(), png::EncodingError> {
        let mut encoder = png::Encoder::new(out, self.width as u32, self.height as u32);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&self.pixels)?;
        writer.finish()
    }
}
