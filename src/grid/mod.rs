//! Grids: where the cells of a field lie, which of them are land, and how to go from one grid to another.

mod land;
mod projection;
mod regions;
mod remap;

use std::path::PathBuf;
use std::sync::Arc;

use ndarray::Array2;
use rayon::prelude::*;

use crate::config::GridFile;

pub use projection::{LonLat, Projection};
pub use regions::{Region, Regions};
pub use remap::{Kernel, RemapCache, Weights};

/// What can go wrong with a grid, its land mask or its remap weights.
#[derive(Debug, thiserror::Error)]
pub enum GridError {
    /// The projection text is not understood.
    #[error(
        "the projection \"{text}\" is not understood ({reason}); give a PROJ string with +proj=stere or +proj=laea"
    )]
    Projection {
        /// The text as given.
        text: String,
        /// What the projection library said.
        reason: String,
    },
    /// A point has no image in the projection.
    #[error(
        "the point ({0}, {1}) cannot be projected with \"{2}\"; choose a grid nearer to the projection's centre"
    )]
    Unprojectable(f64, f64, String),
    /// A source grid has more cells than remap weights can name.
    #[error(
        "the grid {grid} has more than {most_cells} cells, which remapping cannot handle; use a coarser input product"
    )]
    TooLarge {
        /// Its name.
        grid: String,
        /// How many there may be.
        most_cells: usize,
    },
    /// A file could not be read or written.
    #[error("{path}: {source}; see `grid` in the configuration and `land_mask` in the grid file")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The land mask is not a PNG image of the grid's shape.
    #[error(
        "land mask {path}: {reason}; it must be a greyscale PNG of {rows} rows and {columns} columns, white for land"
    )]
    LandMask {
        /// The image file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
        /// Rows expected.
        rows: usize,
        /// Columns expected.
        columns: usize,
    },
    /// The seas of the grid are not told as they must be.
    #[error("regions {path}: {reason}; see config/regions/arctic-seas.toml for the shape of such a file")]
    Regions {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

/// Where the cells of a regular, projected grid lie. Cells are square; row 0 is the top (largest y).
#[derive(Debug, Clone, PartialEq)]
pub struct GridSpec {
    /// Name of the grid, as it stands in file names.
    pub name: String,
    /// The projection that x and y live in.
    pub projection: Projection,
    /// Number of rows.
    pub rows: usize,
    /// Number of columns.
    pub columns: usize,
    /// Side of a cell, m.
    pub cell_size_m: f64,
    /// x of the centre of cell (0, 0), m.
    pub first_cell_centre_x_m: f64,
    /// y of the centre of cell (0, 0), m.
    pub first_cell_centre_y_m: f64,
}

impl GridSpec {
    /// Rows and columns.
    #[must_use]
    pub fn shape(&self) -> (usize, usize) {
        (self.rows, self.columns)
    }

    /// x of the centres of a column, m.
    #[must_use]
    pub fn x_m(&self, column: usize) -> f64 {
        self.first_cell_centre_x_m + self.cell_size_m * column as f64
    }

    /// y of the centres of a row, m.
    #[must_use]
    pub fn y_m(&self, row: usize) -> f64 {
        self.first_cell_centre_y_m - self.cell_size_m * row as f64
    }

    /// Row and column of a point, as real numbers: whole numbers at cell centres.
    #[must_use]
    pub fn position(&self, x_m: f64, y_m: f64) -> (f64, f64) {
        (
            (self.first_cell_centre_y_m - y_m) / self.cell_size_m,
            (x_m - self.first_cell_centre_x_m) / self.cell_size_m,
        )
    }

    /// Longitude and latitude of every cell centre, `[row, column]`, in degrees.
    ///
    /// # Errors
    /// [`GridError::Unprojectable`] when the grid reaches beyond its projection.
    pub fn lonlat(&self) -> Result<Array2<LonLat>, GridError> {
        let cells = (0..self.rows * self.columns)
            .into_par_iter()
            .map(|cell| {
                let (row, column) = (cell / self.columns, cell % self.columns);
                self.projection.to_lonlat(self.x_m(column), self.y_m(row))
            })
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Array2::from_shape_fn(self.shape(), |(row, column)| cells[row * self.columns + column]))
    }

    /// A square grid of `size` cells of 10 km around the pole, for tests.
    #[cfg(test)]
    pub(crate) fn test_square(size: usize) -> Self {
        let half = 5_000.0 * (size as f64 - 1.0);
        Self {
            name: "test".into(),
            projection: Projection::parse(
                "+proj=stere +lat_0=90 +lat_ts=70 +lon_0=-45 +a=6378273 +b=6356889.44891",
            )
            .unwrap(),
            rows: size,
            columns: size,
            cell_size_m: 10_000.0,
            first_cell_centre_x_m: -half,
            first_cell_centre_y_m: half,
        }
    }
}

/// A grid that Nilas works on, with its land.
#[derive(Debug, Clone)]
pub struct Grid {
    /// Where the cells lie.
    pub spec: Arc<GridSpec>,
    /// True where a cell is land, `[row, column]`.
    pub land: Array2<bool>,
}

impl Grid {
    /// Builds the grid that a grid file describes and reads its land mask.
    ///
    /// # Errors
    /// [`GridError`] when the projection or the land mask cannot be used.
    pub fn load(file: &GridFile) -> Result<Self, GridError> {
        let spec = GridSpec {
            name: file.name.clone(),
            projection: Projection::parse(&file.projection)?,
            rows: file.rows,
            columns: file.columns,
            cell_size_m: file.cell_size_m,
            first_cell_centre_x_m: file.first_cell_centre_x_m,
            first_cell_centre_y_m: file.first_cell_centre_y_m,
        };
        let land = land::read(&file.land_mask, spec.shape())?;
        Ok(Self { spec: Arc::new(spec), land })
    }

    /// True where a cell is sea, `[row, column]`.
    #[must_use]
    pub fn sea(&self) -> Array2<bool> {
        self.land.mapv(|land| !land)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_whole_at_cell_centres() {
        let grid = GridSpec::test_square(4);
        assert_eq!(grid.position(grid.x_m(3), grid.y_m(1)), (1.0, 3.0));
    }

    #[test]
    fn rows_go_down_from_the_top() {
        let grid = GridSpec::test_square(4);
        assert!(grid.y_m(0) > grid.y_m(3));
        assert!(grid.x_m(0) < grid.x_m(3));
    }
}
