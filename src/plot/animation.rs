//! Maps of successive days as an animation (WebP).

use ndarray::Array2;
use plotters::prelude::*;
use webp_animation::{ColorMode, Encoder, EncoderOptions, EncodingConfig};

use super::bar::{self, INK, QUIET, WARNING, letters};
use super::canvas::{Anchor, Canvas};
use super::map::{self, Frame};
use super::{ColourScale, Ground, PlotError};

const LONGEST_SIDE: usize = 720;
const NARROWEST: usize = 480;
const MARGIN: usize = 16;
const HEADER: usize = 64;
const BAR_SPACE: usize = 86;
/// How long a day is shown, and how long the last one.
const DAY_MILLISECONDS: i32 = 350;
const LAST_MILLISECONDS: i32 = 2000;
/// Of WebP's lossy compression, 0 to 100.
const QUALITY: f32 = 80.0;

/// One map of the animation.
#[derive(Debug, Clone)]
pub struct Still<'a> {
    /// What lies under the values.
    pub ground: Ground<'a>,
    /// The values, `[row, column]`, NaN where there is none.
    pub values: &'a Array2<f32>,
    /// What stands above the map.
    pub heading: String,
    /// A word beside it where readers must be warned.
    pub warning: Option<&'static str>,
}

/// An animation that is being drawn; all stills have the grid of the first.
pub struct Animation {
    encoder: Encoder,
    frame: Frame,
    size: (usize, usize),
    scale: ColourScale,
    stills: i32,
}

impl Animation {
    /// One without a still yet, for maps of so many rows and columns.
    ///
    /// # Errors
    /// [`PlotError::Drawing`].
    pub fn new((rows, columns): (usize, usize), scale: ColourScale) -> Result<Self, PlotError> {
        let pixels_per_cell = LONGEST_SIDE as f64 / rows.max(columns) as f64;
        let side = |cells: usize| ((cells as f64 * pixels_per_cell) as usize).max(1);
        let width = (side(columns) + 2 * MARGIN).max(NARROWEST);
        let frame = Frame {
            left: (width - side(columns)) / 2,
            top: HEADER,
            width: side(columns),
            height: side(rows),
            scale: pixels_per_cell,
        };
        let size = (width, HEADER + frame.height + BAR_SPACE);
        let options = EncoderOptions {
            color_mode: ColorMode::Rgb,
            encoding_config: Some(EncodingConfig::new_lossy(QUALITY)),
            ..EncoderOptions::default()
        };
        let encoder = Encoder::new_with_options((size.0 as u32, size.1 as u32), options).map_err(failed)?;
        Ok(Self { encoder, frame, size, scale, stills: 0 })
    }

    /// Adds a day.
    ///
    /// # Errors
    /// [`PlotError`].
    pub fn add(&mut self, still: &Still<'_>) -> Result<(), PlotError> {
        let mut canvas = Canvas::new(self.size.0, self.size.1)?;
        let frame = self.frame;
        map::paint(&mut canvas, frame, still.ground, still.values, &self.scale);
        map::paint_ice_edge(&mut canvas, frame, still.ground);
        map::draw_graticule(&mut canvas, frame, still.ground.grid)?;
        canvas.text(&still.heading, (MARGIN as i32, 32), letters(22.0, true, INK, Anchor::Left))?;
        if let Some(warning) = still.warning {
            let right = (self.size.0 - MARGIN) as i32;
            let width = 10 * warning.chars().count() as i32 + 20;
            let corners = [(right - width, 18), (right, 46)];
            canvas.draw(|area| area.draw(&Rectangle::new(corners, WARNING.filled())))?;
            canvas.text(warning, (right - width / 2, 32), letters(14.0, true, WHITE, Anchor::Centre))?;
        }
        let (left, top) = (frame.left as i32, frame.top as i32);
        let corners = [(left - 1, top - 1), (left + frame.width as i32, top + frame.height as i32)];
        canvas.draw(|area| area.draw(&Rectangle::new(corners, QUIET.stroke_width(1))))?;
        let length = (self.size.0 - 4 * MARGIN).min(420);
        let at = ((self.size.0 - length) / 2, frame.top + frame.height + 18);
        bar::draw(&mut canvas, at, length, &self.scale)?;
        self.encoder.add_frame(canvas.rgb(), DAY_MILLISECONDS * self.stills).map_err(failed)?;
        self.stills += 1;
        Ok(())
    }

    /// The animation as WebP.
    ///
    /// # Errors
    /// [`PlotError::Drawing`], also where there is no still.
    pub fn webp(self) -> Result<Vec<u8>, PlotError> {
        let end = DAY_MILLISECONDS * (self.stills - 1) + LAST_MILLISECONDS;
        self.encoder.finalize(end).map(|bytes| bytes.to_vec()).map_err(failed)
    }
}

fn failed(error: webp_animation::Error) -> PlotError {
    PlotError::Drawing { reason: format!("{error:?}") }
}

#[cfg(test)]
mod tests {
    use crate::grid::GridSpec;
    use crate::plot::Ramp;

    use super::*;

    #[test]
    fn every_day_is_shown_and_the_last_one_longer() {
        let grid = GridSpec::test_square(20);
        let (land, concentration) = (Array2::from_elem((20, 20), false), Array2::from_elem((20, 20), 0.9));
        let scale =
            ColourScale { ramp: Ramp::Viridis, highest: 4.0, is_open: true, label: "thickness, m".into() };
        let mut animation = Animation::new((20, 20), scale).unwrap();
        for day in 0..3 {
            let values = Array2::from_elem((20, 20), day as f32);
            let ground = Ground { grid: &grid, land: &land, concentration: &concentration, ice_edge: 0.15 };
            let heading = format!("day {day}");
            animation.add(&Still { ground, values: &values, heading, warning: Some("PROVISIONAL") }).unwrap();
        }
        let bytes = animation.webp().unwrap();
        let decoder = webp_animation::Decoder::new(&bytes).unwrap();
        let shown: Vec<_> = decoder.into_iter().map(|frame| frame.timestamp()).collect();
        assert_eq!(shown, [350, 700, 2700]);
    }
}
