//! A field: one quantity on one grid. NaN means that there is no value.

use std::sync::Arc;

use ndarray::Array2;

use crate::grid::GridSpec;

/// One quantity on the cells of a grid; `values[[row, column]]`, row 0 at the top, NaN where there is no value.
///
/// The unit is said by whoever names the field: `thickness_m`, `displacement_x_km`, a fraction otherwise.
#[derive(Debug, Clone)]
pub struct Field {
    grid: Arc<GridSpec>,
    values: Array2<f32>,
}

/// An array was put on a grid of another shape.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "an array of {found:?} (rows, columns) does not fit the grid {grid}, which has {expected:?}; report this with the file that was read"
)]
pub struct ShapeMismatch {
    /// Name of the grid.
    pub grid: String,
    /// Rows and columns of the grid.
    pub expected: (usize, usize),
    /// Rows and columns of the array.
    pub found: (usize, usize),
}

impl Field {
    /// Puts `values` on `grid`.
    ///
    /// # Errors
    /// [`ShapeMismatch`] when the array has not the grid's rows and columns.
    pub fn new(grid: Arc<GridSpec>, values: Array2<f32>) -> Result<Self, ShapeMismatch> {
        if values.dim() == grid.shape() {
            Ok(Self { grid, values })
        } else {
            Err(ShapeMismatch { grid: grid.name.clone(), expected: grid.shape(), found: values.dim() })
        }
    }

    /// The grid under the field.
    #[must_use]
    pub fn grid(&self) -> &Arc<GridSpec> {
        &self.grid
    }

    /// The values, `[row, column]`.
    #[must_use]
    pub fn values(&self) -> &Array2<f32> {
        &self.values
    }

    /// Gives the values away.
    #[must_use]
    pub fn into_values(self) -> Array2<f32> {
        self.values
    }

    /// Number of cells that hold a value.
    #[must_use]
    pub fn valid_cells(&self) -> usize {
        self.values.iter().filter(|value| !value.is_nan()).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_array_of_another_shape_is_refused() {
        let grid = Arc::new(GridSpec::test_square(3));
        let error = Field::new(grid, Array2::zeros((2, 3))).unwrap_err();
        assert_eq!(error.expected, (3, 3));
        assert_eq!(error.found, (2, 3));
        assert!(error.to_string().ends_with("; report this with the file that was read"), "{error}");
    }

    #[test]
    fn valid_cells_are_those_with_a_value() {
        let mut values = Array2::zeros((3, 3));
        values[[1, 1]] = f32::NAN;
        let field = Field::new(Arc::new(GridSpec::test_square(3)), values).unwrap();
        assert_eq!(field.valid_cells(), 8);
    }
}
