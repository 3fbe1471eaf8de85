//! Pictures: maps on the product grid, as quicklooks show them, small pictures of fields and charts for reports.

mod animation;
mod bar;
mod canvas;
mod chart;
mod legend;
mod map;
mod page;
mod picture;
mod quicklook;

use std::path::PathBuf;

use ndarray::Array2;

use crate::grid::{GridError, GridSpec};

pub use animation::{Animation, Still};
pub use chart::{Axis, Chart, Curve, Stroke, escape};
pub use legend::{Key, draw_legend};
pub use page::{page, table};
pub use picture::{Shades, colour_bar, picture};
pub use quicklook::draw_quicklook;

/// A picture cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum PlotError {
    /// The file cannot be written.
    #[error("picture {path}: {source}; see that its folder is writable and has space")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system or the encoder said.
        source: std::io::Error,
    },
    /// Something could not be drawn.
    #[error("the picture cannot be drawn ({reason}); report this with the product's manifest")]
    Drawing {
        /// What the drawing library said.
        reason: String,
    },
    /// The grid has no place for the lines of longitude and latitude.
    #[error(transparent)]
    Grid(#[from] GridError),
}

/// A perceptually uniform ramp of colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ramp {
    /// From violet over green to yellow.
    Viridis,
    /// From black over red to pale yellow.
    Magma,
    /// From dark blue over grey to yellow.
    Cividis,
    /// From blue over white to red, for what lies on both sides of 0.
    BlueRed,
}

/// How values become colours: linear from 0 to `highest`; values above have the last colour.
#[derive(Debug, Clone)]
pub struct ColourScale {
    /// The colours.
    pub ramp: Ramp,
    /// The value of the last colour, in the unit of the values; above 0.
    pub highest: f32,
    /// Whether there may be larger values: the bar then ends in an arrow.
    pub is_open: bool,
    /// What stands beside the bar, with the unit.
    pub label: String,
}

/// One map of a quicklook.
#[derive(Debug, Clone)]
pub struct Panel<'a> {
    /// What stands above the map.
    pub title: String,
    /// The values, `[row, column]`, NaN where there is none.
    pub values: &'a Array2<f32>,
    /// Their colours.
    pub scale: ColourScale,
}

/// What lies under the values of a map.
#[derive(Debug, Clone, Copy)]
pub struct Ground<'a> {
    /// The grid of all arrays.
    pub grid: &'a GridSpec,
    /// True where a cell is land.
    pub land: &'a Array2<bool>,
    /// Sea-ice concentration, fraction; the line of the ice edge comes from it.
    pub concentration: &'a Array2<f32>,
    /// Concentration at the ice edge, fraction.
    pub ice_edge: f32,
}

/// Two maps of one grid side by side, with what a reader must know.
#[derive(Debug, Clone)]
pub struct Quicklook<'a> {
    /// What lies under both maps.
    pub ground: Ground<'a>,
    /// The first line.
    pub heading: String,
    /// The line below it.
    pub subheading: String,
    /// A word in a red box at the top, where readers must be warned.
    pub stamp: Option<String>,
    /// Lines in red below the others that say what is wrong.
    pub notice: Option<String>,
    /// The maps.
    pub panels: [Panel<'a>; 2],
    /// The lines at the foot.
    pub footer: [String; 2],
}
