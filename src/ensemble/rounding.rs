//! What the number format of the network changes in a member.

use ndarray::{Array2, Array3, ArrayView2, Axis, s};

use super::{EnsembleError, InMemory, MemberStore, Plan, draw};
use crate::model::Checkpoint;
use crate::progress::Bar;

/// Side of the window that is drawn, cells.
const WINDOW: usize = 256;

/// By how much the members of two networks differ, as a share of what they add to the low-resolution thickness, root mean squares.
/// Drawn is one member, on a window of 256 x 256 cells with as much ice as can be. 0 where there is no ice.
///
/// # Errors
/// [`EnsembleError`].
pub fn relative_difference(
    exact: &Checkpoint,
    rounded: &Checkpoint,
    context: &Array3<f32>,
    plan: Plan<'_>,
) -> Result<f64, EnsembleError> {
    let (row, column) = icy_window(context.index_axis(Axis(0), 3));
    let (rows, columns) = (context.dim().1.min(row + WINDOW), context.dim().2.min(column + WINDOW));
    let window = context.slice(s![.., row..rows, column..columns]).to_owned();
    let plan = Plan { members: 1, batch: 1, input_uncertainty_m: None, ..plan };
    let member = |checkpoint| {
        let mut members = InMemory::default();
        draw(checkpoint, &window, plan, &mut members, &Bar::hidden())?;
        let rows = 0..window.dim().1;
        members.rows(0, rows).map_err(|source| EnsembleError::Store { member: 0, source })
    };
    Ok(share(&member(exact)?, &member(rounded)?, window.index_axis(Axis(0), 1)))
}

fn share(exact: &Array2<f32>, rounded: &Array2<f32>, low: ArrayView2<'_, f32>) -> f64 {
    let (mut error, mut signal) = (0.0_f64, 0.0_f64);
    for ((&exact, &rounded), &low) in exact.iter().zip(rounded).zip(low) {
        if !exact.is_nan() {
            error += f64::from(exact - rounded).powi(2);
            signal += f64::from(exact - low).powi(2);
        }
    }
    if error > 0.0 { (error / signal).sqrt() } else { 0.0 }
}

/// The first row and column of the window that has the most ice, among windows half of their side apart.
fn icy_window(mask: ArrayView2<'_, f32>) -> (usize, usize) {
    let starts = |length: usize| {
        let last = length.saturating_sub(WINDOW);
        (0..last).step_by(WINDOW / 2).chain([last])
    };
    let (rows, columns) = mask.dim();
    let ice = |&(row, column): &(usize, usize)| {
        let window = mask.slice(s![row..rows.min(row + WINDOW), column..columns.min(column + WINDOW)]);
        window.iter().filter(|&&inside| inside > 0.5).count()
    };
    let windows = starts(rows).flat_map(|row| starts(columns).map(move |column| (row, column)));
    windows.max_by_key(ice).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_is_where_the_ice_is() {
        let mask = |ice: [usize; 2]| {
            let near =
                |(row, column): (usize, usize)| row.abs_diff(ice[0]) < 90 && column.abs_diff(ice[1]) < 90;
            Array2::from_shape_fn((700, 900), |cell| f32::from(u8::from(near(cell))))
        };
        for ice in [[128, 128], [600, 800], [350, 300]] {
            let (row, column) = icy_window(mask(ice).view());
            assert!((row..row + WINDOW).contains(&ice[0]) && (column..column + WINDOW).contains(&ice[1]));
            assert!(row + WINDOW <= 700 && column + WINDOW <= 900);
        }
        assert_eq!(icy_window(Array2::zeros((40, 50)).view()), (0, 0));
    }

    #[test]
    fn the_share_is_that_of_root_mean_squares() {
        let nan = f32::NAN;
        let (exact, rounded) = (ndarray::array![[2.0, 1.0, nan]], ndarray::array![[2.1, 1.0, nan]]);
        let low = ndarray::array![[1.0, 1.0, 0.0]];
        assert!((share(&exact, &rounded, low.view()) - 0.1).abs() < 1e-5);
        assert!(share(&exact, &exact, low.view()).abs() < 1e-12);
    }
}
