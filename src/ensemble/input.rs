//! The uncertainty of the low-resolution thickness: each member starts from a thickness of its own.

use ndarray::{Array2, Zip};

use super::{CELL_KM, standard_normal};
use crate::time::ProductDay;

/// Distance at which the errors of two places are correlated by 1/e, km: what the merged product resolves.
const CORRELATION_KM: f64 = 120.0;
/// White noise under a Gaussian of this width has that correlation, km.
const KERNEL_KM: f64 = 0.5 * CORRELATION_KM;
/// Distance of the numbers that are drawn, km: half a kernel's width, so that the nodes cannot be seen in the field.
const NODE_KM: f64 = 0.5 * KERNEL_KM;
/// A node reaches so many widths of the kernel.
const REACH_WIDTHS: f64 = 4.0;

/// The low-resolution effective thickness, m, that member `member` starts from: `low` plus its standard deviation
/// `uncertainty_m` times a smooth random field. 0 outside `mask`, as `low` is.
///
/// The step is cut at plus and minus the thickness itself. So no thickness is below 0, and as it is cut on both sides, none is favoured.
pub(super) fn perturbed(
    low: &Array2<f32>,
    uncertainty_m: &Array2<f32>,
    mask: &Array2<bool>,
    field: &Array2<f32>,
) -> Array2<f32> {
    Zip::from(low).and(uncertainty_m).and(mask).and(field).map_collect(
        |&low, &uncertainty, &inside, &field| {
            let most = low.max(0.0);
            if inside { low + (uncertainty * field).clamp(-most, most) } else { low }
        },
    )
}

/// The random field of a member: standard normal in every cell, Gaussian correlation of 120 km; cells of 3 km.
pub(super) fn input_field(seed: u64, day: ProductDay, member: usize, shape: (usize, usize)) -> Array2<f32> {
    let (down, along) = (node_weights(shape.0), node_weights(shape.1));
    let nodes = (down.ncols(), along.ncols());
    let drawn = standard_normal(&format!("{seed}|{day}|{member}|input"), nodes.0 * nodes.1);
    let drawn = Array2::from_shape_fn(nodes, |(row, column)| drawn[row * nodes.1 + column]);
    down.dot(&drawn).dot(&along.t())
}

/// How much each cell of a side takes of each node, `[cell, node]`; the squares of a cell's weights add up to 1.
fn node_weights(cells: usize) -> Array2<f32> {
    let before = (REACH_WIDTHS * KERNEL_KM / NODE_KM).ceil();
    let nodes = (cells as f64 * CELL_KM / NODE_KM).ceil() + 2.0 * before;
    let mut weights = Array2::from_shape_fn((cells, nodes as usize), |(cell, node)| {
        let distance_km = cell as f64 * CELL_KM - (node as f64 - before) * NODE_KM;
        (-0.5 * (distance_km / KERNEL_KM).powi(2)).exp() as f32
    });
    for mut row in weights.rows_mut() {
        let size = row.dot(&row).sqrt();
        row.mapv_inplace(|weight| weight / size);
    }
    weights
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day() -> ProductDay {
        "2022-04-15".parse().unwrap()
    }

    #[test]
    fn the_field_is_standard_normal_and_correlated_over_the_products_resolution() {
        const AWAY: usize = (CORRELATION_KM / CELL_KM) as usize;
        let (mut mean, mut square, mut near, mut far) = (0.0, 0.0, 0.0, 0.0);
        let mut count = 0.0;
        for member in 0..400 {
            let field = input_field(5, day(), member, (61, 130)).mapv(f64::from);
            for place in [[0, 0], [30, 7], [60, 45]] {
                let [row, column] = place;
                mean += field[place];
                square += field[place].powi(2);
                near += field[place] * field[[row, column + AWAY]];
                far += field[place] * field[[row, column + 2 * AWAY]];
                count += 1.0;
            }
        }
        assert!((mean / count).abs() < 0.15, "mean {}", mean / count);
        assert!((square / count - 1.0).abs() < 0.15, "variance {}", square / count);
        assert!((near / count - (-1.0_f64).exp()).abs() < 0.15, "correlation {}", near / count);
        assert!((far / count).abs() < 0.15, "correlation {}", far / count);
    }

    #[test]
    fn the_field_has_no_steps() {
        let field = input_field(1, day(), 0, (200, 90));
        let steps = Zip::from(field.slice(ndarray::s![1.., ..]))
            .and(field.slice(ndarray::s![..-1, ..]))
            .fold(0.0_f32, |largest, a, b| largest.max((a - b).abs()));
        assert!(steps < 0.2, "{steps}");
    }

    #[test]
    fn members_days_and_seeds_differ_and_nothing_else_matters() {
        let first = input_field(1, day(), 3, (9, 8));
        assert_eq!(first, input_field(1, day(), 3, (9, 8)));
        for other in [input_field(1, day(), 4, (9, 8)), input_field(2, day(), 3, (9, 8))] {
            assert_ne!(first, other);
        }
        assert_ne!(first, input_field(1, day().plus_days(1), 3, (9, 8)));
    }

    #[test]
    fn thickness_stays_above_zero_and_none_is_favoured() {
        const DRAWS: usize = 4000;
        let low = ndarray::array![[0.0, 0.2, 2.0, 0.0]];
        let uncertainty = ndarray::array![[0.3, 0.6, 0.5, f32::NAN]];
        let mask = ndarray::array![[true, true, true, false]];
        let mut mean = Array2::<f32>::zeros((1, 4));
        for value in standard_normal("draws", DRAWS) {
            let field = Array2::from_elem((1, 4), value);
            let drawn = perturbed(&low, &uncertainty, &mask, &field);
            assert!(drawn.iter().all(|value| (0.0..6.0).contains(value)), "{drawn}");
            mean += &drawn;
        }
        for (mean, low) in mean.iter().zip(&low) {
            assert!((mean / DRAWS as f32 - low).abs() < 0.03, "{mean} {low}");
        }
    }
}
