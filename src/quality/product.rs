//! Checks of a product before it is published.

use ndarray::{ArrayView2, Zip};

use crate::ensemble::Quantiles;
use crate::quality::Finding;

/// The area-mean of effective thickness that is still believed, m.
const THICKEST_MEAN_M: f64 = 8.0;
/// The effective thickness of one cell that is still believed, m.
const THICKEST_CELL_M: f64 = 25.0;
/// What rounding in the published files may move a value by, m: two halves of 2^-10 m, and what `f32` adds.
const ROUNDING_M: f32 = 1.1e-3;

/// What is checked: effective thickness, m, all arrays `[row, column]` of one grid, NaN where there is no value.
#[derive(Debug, Clone, Copy)]
pub struct Checked<'a> {
    /// True where the product must have a value.
    pub mask: ArrayView2<'a, bool>,
    /// Mean of the members.
    pub mean_m: ArrayView2<'a, f32>,
    /// Standard deviation between the members.
    pub spread_m: ArrayView2<'a, f32>,
    /// Quantiles of the members.
    pub quantiles: &'a Quantiles,
}

/// Looks at a product; every check gives a finding, whether it passed or not.
#[must_use]
pub fn check(product: &Checked<'_>) -> Vec<Finding> {
    let mut findings = check_extent(product);
    findings.extend(check_thickness(product));
    findings.extend(check_distribution(product));
    findings
}

/// Is there ice, and is there a value in every cell of the mask and in no other?
fn check_extent(product: &Checked<'_>) -> Vec<Finding> {
    let ice_cells = product.mask.iter().filter(|&&ice| ice).count();
    let layers = || {
        let quantiles = product.quantiles.values_m.iter().map(|values| values.view());
        [product.mean_m, product.spread_m].into_iter().chain(quantiles)
    };
    let count = |wrong: fn(bool, f32) -> bool| {
        layers().map(|values| count_cells(&product.mask, &values, wrong)).sum::<usize>()
    };
    vec![
        Finding { check: "cells with ice", measured: ice_cells as f64, lowest: 1.0, highest: f64::INFINITY },
        Finding::none_may("values missing inside the mask", count(|ice, value| ice && !value.is_finite())),
        Finding::none_may("values outside the mask", count(|ice, value| !ice && !value.is_nan())),
    ]
}

fn check_thickness(product: &Checked<'_>) -> Vec<Finding> {
    let inside =
        || product.mask.iter().zip(product.mean_m).filter(|(ice, _)| **ice).map(|(_, &mean)| f64::from(mean));
    let thickness = |check, measured, highest| Finding { check, measured, lowest: 0.0, highest };
    let cells = inside().count().max(1);
    let lowest = inside().fold(f64::INFINITY, f64::min);
    vec![
        thickness("mean thickness over the mask, m", inside().sum::<f64>() / cells as f64, THICKEST_MEAN_M),
        thickness("thinnest cell, m", lowest, THICKEST_CELL_M),
        thickness("thickest cell, m", inside().fold(0.0, f64::max), THICKEST_CELL_M),
    ]
}

fn check_distribution(product: &Checked<'_>) -> Vec<Finding> {
    let negative = count_cells(&product.mask, &product.spread_m, |ice, spread| ice && spread < 0.0);
    let mut findings = vec![Finding::none_may("negative spread", negative)];
    let quantiles = &product.quantiles.values_m;
    let falling: usize = quantiles
        .windows(2)
        .map(|pair| {
            Zip::from(&pair[0]).and(&pair[1]).fold(0, |cells, low, high| cells + usize::from(low > high))
        })
        .sum();
    findings.push(Finding::none_may("quantiles that fall with rising probability", falling));
    if let Some(median) = median(product.quantiles) {
        // The mean of any numbers lies within one standard deviation of their median.
        let apart = Zip::from(product.mean_m)
            .and(median)
            .and(product.spread_m)
            .fold(0, |cells, mean, median, spread| {
                cells + usize::from((mean - median).abs() > spread + ROUNDING_M)
            });
        findings.push(Finding::none_may("mean further from the median than the spread", apart));
    }
    findings
}

fn median(quantiles: &Quantiles) -> Option<ArrayView2<'_, f32>> {
    let position = quantiles.probabilities.iter().position(|probability| (probability - 0.5).abs() < 1e-9)?;
    quantiles.values_m.get(position).map(|values| values.view())
}

fn count_cells(
    mask: &ArrayView2<'_, bool>,
    values: &ArrayView2<'_, f32>,
    wrong: fn(bool, f32) -> bool,
) -> usize {
    Zip::from(mask).and(values).fold(0, |cells, &ice, &value| cells + usize::from(wrong(ice, value)))
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, array};

    use super::*;

    struct Good {
        mask: Array2<bool>,
        mean_m: Array2<f32>,
        spread_m: Array2<f32>,
        quantiles: Quantiles,
    }

    fn good() -> Good {
        let on_mask = |value: f32| array![[value, f32::NAN], [value, value]];
        Good {
            mask: array![[true, false], [true, true]],
            mean_m: on_mask(1.5),
            spread_m: on_mask(0.3),
            quantiles: Quantiles {
                probabilities: vec![0.1, 0.5, 0.9],
                values_m: [1.1, 1.4, 2.0].map(on_mask).to_vec(),
            },
        }
    }

    fn failed(good: &Good) -> Vec<&'static str> {
        let checked = Checked {
            mask: good.mask.view(),
            mean_m: good.mean_m.view(),
            spread_m: good.spread_m.view(),
            quantiles: &good.quantiles,
        };
        check(&checked).into_iter().filter(|finding| !finding.passed()).map(|finding| finding.check).collect()
    }

    #[test]
    fn a_good_product_passes_every_check() {
        assert!(failed(&good()).is_empty());
    }

    #[test]
    fn each_fault_is_found_by_its_check() {
        type Harm = fn(&mut Good);
        let faults: [(Harm, &str); 7] = [
            (|product| product.mask.fill(false), "cells with ice"),
            (|product| product.mean_m[[0, 0]] = f32::NAN, "values missing inside the mask"),
            (|product| product.quantiles.values_m[1][[0, 1]] = 1.0, "values outside the mask"),
            (|product| product.mean_m.fill(9.0), "mean thickness over the mask, m"),
            (|product| product.mean_m[[0, 0]] = -0.1, "thinnest cell, m"),
            (|product| product.spread_m[[1, 1]] = -0.1, "negative spread"),
            (
                |product| product.quantiles.values_m[0][[1, 0]] = 1.45,
                "quantiles that fall with rising probability",
            ),
        ];
        for (harm, check) in faults {
            let mut product = good();
            harm(&mut product);
            assert!(failed(&product).contains(&check), "{check} in {:?}", failed(&product));
        }
    }

    #[test]
    fn a_mean_far_from_the_median_is_found() {
        let mut product = good();
        product.mean_m[[0, 0]] = 1.9;
        assert_eq!(failed(&product), ["mean further from the median than the spread"]);
    }
}
