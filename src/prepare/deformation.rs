//! Deformation of the ice from its displacements, on the drift product's own grid.

use ndarray::{Array2, Zip};

/// Divergence and shear, 1/day; NaN where one of the four neighbours that they are made of has no drift.
#[derive(Debug, Clone)]
pub struct Deformation {
    /// Divergence.
    pub divergence_per_day: Array2<f32>,
    /// Shear.
    pub shear_per_day: Array2<f32>,
}

/// Deformation of displacements in km, each made in as many `days`, on cells of `cell_km`, row 0 at the top (largest y).
#[must_use]
pub fn deformation(
    displacement_x_km: &Array2<f32>,
    displacement_y_km: &Array2<f32>,
    days: &Array2<f32>,
    cell_km: f64,
) -> Deformation {
    let velocity = |displacement: &Array2<f32>| {
        Zip::from(&median_of_neighbours(displacement))
            .and(days)
            .map_collect(|&km, &days| f64::from(km) / f64::from(days))
    };
    let (u, v) = (velocity(displacement_x_km), velocity(displacement_y_km));
    let at = |values: &Array2<f64>, row: Option<usize>, column: Option<usize>| {
        row.zip(column).and_then(|(row, column)| values.get((row, column)).copied()).unwrap_or(f64::NAN)
    };
    let width = 2.0 * cell_km;
    // Row numbers grow downwards, y upwards.
    let along_x = |values: &Array2<f64>, (r, c): (usize, usize)| {
        (at(values, Some(r), Some(c + 1)) - at(values, Some(r), c.checked_sub(1))) / width
    };
    let along_y = |values: &Array2<f64>, (r, c): (usize, usize)| {
        (at(values, r.checked_sub(1), Some(c)) - at(values, Some(r + 1), Some(c))) / width
    };
    Deformation {
        divergence_per_day: Array2::from_shape_fn(u.dim(), |cell| {
            (along_x(&u, cell) + along_y(&v, cell)) as f32
        }),
        shear_per_day: Array2::from_shape_fn(u.dim(), |cell| {
            (along_x(&u, cell) - along_y(&v, cell)).hypot(along_y(&u, cell) + along_x(&v, cell)) as f32
        }),
    }
}

/// The median of the valid values among the 3 x 3 cells around each valid cell.
fn median_of_neighbours(values: &Array2<f32>) -> Array2<f32> {
    let (rows, columns) = values.dim();
    Array2::from_shape_fn(values.dim(), |(row, column)| {
        if values[[row, column]].is_nan() {
            return f32::NAN;
        }
        let mut near = Vec::with_capacity(9);
        for r in row.saturating_sub(1)..(row + 2).min(rows) {
            for c in column.saturating_sub(1)..(column + 2).min(columns) {
                near.push(values[[r, c]]);
            }
        }
        near.retain(|value| !value.is_nan());
        near.sort_by(f32::total_cmp);
        f32::midpoint(near[(near.len() - 1) / 2], near[near.len() / 2])
    })
}

#[cfg(test)]
mod tests {
    use approx::assert_abs_diff_eq;

    use super::*;

    /// Displacements over 2 days that are linear in x (to the right) and y (upwards), in cells of 10 km.
    fn linear(ux: f32, uy: f32, vx: f32, vy: f32) -> Deformation {
        let displacement = |a: f32, b: f32| {
            Array2::from_shape_fn((7, 7), |(r, c)| 2.0 * (a * 10.0 * c as f32 - b * 10.0 * r as f32))
        };
        deformation(&displacement(ux, uy), &displacement(vx, vy), &Array2::from_elem((7, 7), 2.0), 10.0)
    }

    #[test]
    fn linear_motion_has_the_deformation_of_its_gradient() {
        // The middle cells, away from the edge, where the median of a linear field is the field.
        let opening = linear(0.01, 0.0, 0.0, 0.02);
        assert_abs_diff_eq!(opening.divergence_per_day[[3, 3]], 0.03, epsilon = 1e-6);
        assert_abs_diff_eq!(opening.shear_per_day[[3, 3]], 0.01, epsilon = 1e-6);
        let shearing = linear(0.0, 0.03, 0.0, 0.0);
        assert_abs_diff_eq!(shearing.divergence_per_day[[3, 3]], 0.0, epsilon = 1e-6);
        assert_abs_diff_eq!(shearing.shear_per_day[[3, 3]], 0.03, epsilon = 1e-6);
        let rotating = linear(0.0, -0.02, 0.02, 0.0);
        assert_abs_diff_eq!(rotating.shear_per_day[[3, 3]], 0.0, epsilon = 1e-6);
    }

    #[test]
    fn the_edge_of_the_grid_has_no_deformation() {
        let opening = linear(0.01, 0.0, 0.0, 0.02);
        assert!(opening.divergence_per_day[[0, 3]].is_nan() && opening.shear_per_day[[3, 6]].is_nan());
    }

    #[test]
    fn an_outlier_is_replaced_and_a_missing_vector_stays_missing() {
        let mut values = Array2::from_elem((3, 3), 1.0);
        values[[1, 1]] = 80.0;
        values[[0, 0]] = f32::NAN;
        let smooth = median_of_neighbours(&values);
        assert_abs_diff_eq!(smooth[[1, 1]], 1.0);
        assert!(smooth[[0, 0]].is_nan());
    }
}
