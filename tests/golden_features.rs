//! The network's inputs of the sample day against an independent implementation of `docs/method.md`
//! (`tests/tools/reference_features.py`).

#![expect(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::path::PathBuf;
use std::sync::LazyLock;

use common::demo_window::{DAY, on_the_demo_window, repository, shared};
use common::netcdf_copy::open;
use netcdf::AttributeValue;
use nilas::prepare::flag;

/// Rows and columns of the demo grid.
const GRID: (usize, usize) = (816, 384);
/// What stands for no value in our files.
const FILL: f32 = -9999.0;
/// Share of cells in which both must agree on whether there is a value.
const SAME_VALIDITY: f64 = 0.999;
const RELATIVE: f32 = 1e-3;
/// Divergence crosses zero, where no relative difference is small enough: there a difference in 1/day is allowed as well,
/// far below the 0.002 per day under which the network sees no deformation.
const FLOOR_PER_DAY: f32 = 1e-8;

/// The features of the sample day as `nilas features` writes them.
static FEATURES: LazyLock<PathBuf> = LazyLock::new(|| {
    let path = shared("features.nc");
    let run = on_the_demo_window("features")
        .option("--state", shared("state"))
        .option("--date", DAY)
        .option("--out", &path)
        .expect_code(0);
    assert!(run.stdout.contains("features.nc: 816 x 384\n"), "{}", run.stdout);
    path
});

/// The golden window and the same cells of the features.
struct Both {
    features: netcdf::File,
    golden: netcdf::File,
    first: (usize, usize),
    shape: (usize, usize),
}

impl Both {
    fn open() -> Self {
        let golden = open(&repository("tests/data/golden/features_window.nc"));
        let first = (number(&golden, "first_row") as usize, number(&golden, "first_column") as usize);
        let shape = (golden.dimension_len("y").unwrap(), golden.dimension_len("x").unwrap());
        Self { features: open(&FEATURES), golden, first, shape }
    }

    /// Values of one variable: ours in the window, and the golden ones.
    fn values<T: netcdf::NcTypeDescriptor + Copy>(&self, name: &str) -> Vec<T> {
        let (rows, columns) =
            (self.first.0..self.first.0 + self.shape.0, self.first.1..self.first.1 + self.shape.1);
        self.features.variable(name).unwrap().get_values::<T, _>((rows, columns)).unwrap()
    }

    fn golden<T: netcdf::NcTypeDescriptor + Copy>(&self, name: &str) -> Vec<T> {
        self.golden.variable(name).unwrap().get_values::<T, _>(..).unwrap()
    }

    /// Both values of every cell, NaN where there is none.
    fn pairs(&self, name: &str) -> Vec<(f32, f32)> {
        let ours = self.values::<f32>(name).into_iter();
        let ours = ours.map(|value| if value.to_bits() == FILL.to_bits() { f32::NAN } else { value });
        ours.zip(self.golden::<f32>(name)).collect()
    }

    /// Fails where a bit of the flags is not the golden 0 or 1, which must both occur.
    fn assert_same_bits(&self, name: &str, ours: &[bool], golden: &[bool]) {
        assert_eq!(ours.len(), self.shape.0 * self.shape.1);
        let differing = ours.iter().zip(golden).filter(|(ours, golden)| ours != golden).count();
        assert_eq!(differing, 0, "cells with another {name}");
        assert!(golden.contains(&true) && golden.contains(&false), "the window shows nothing of {name}");
    }
}

fn number(file: &netcdf::File, attribute: &str) -> f64 {
    match file.attribute(attribute).unwrap().value().unwrap() {
        AttributeValue::Int(value) => f64::from(value),
        AttributeValue::Double(value) => value,
        other => panic!("{attribute} is {other:?}"),
    }
}

#[test]
fn the_features_lie_on_the_whole_grid_and_the_window_where_it_says() {
    let both = Both::open();
    let length = |name| both.features.dimension_len(name).unwrap();
    assert_eq!((length("y"), length("x")), GRID);
    for (axis, first, golden) in
        [("y", both.first.0, "first_cell_centre_y_m"), ("x", both.first.1, "first_cell_centre_x_m")]
    {
        let centre: f64 = both.features.variable(axis).unwrap().get_value([first]).unwrap();
        assert!((centre - number(&both.golden, golden)).abs() < 1e-6, "{axis}: {centre}");
    }
}

#[test]
fn the_same_cells_have_the_same_values() {
    let both = Both::open();
    for (name, floor) in [
        ("sea_ice_area_fraction", 0.0),
        ("sea_ice_thickness", 0.0),
        ("effective_sea_ice_thickness", 0.0),
        ("divergence", FLOOR_PER_DAY),
        ("shear", 0.0),
        ("deformation", 0.0),
    ] {
        let pairs = both.pairs(name);
        let same = pairs.iter().filter(|(ours, golden)| ours.is_nan() == golden.is_nan()).count();
        assert!(same as f64 >= SAME_VALIDITY * pairs.len() as f64, "{name}: {same} of {}", pairs.len());

        let valid: Vec<_> =
            pairs.iter().filter(|(ours, golden)| !ours.is_nan() && !golden.is_nan()).collect();
        assert!(2 * valid.len() > pairs.len(), "{name} has values in {} cells only", valid.len());
        let off = |(ours, golden): &&&(f32, f32)| (ours - golden).abs() > RELATIVE * golden.abs() + floor;
        let wrong: Vec<_> = valid.iter().filter(off).take(5).collect();
        assert!(wrong.is_empty(), "{name}: ours and golden {wrong:?} ...");
    }
}

#[test]
fn the_mask_and_what_was_filled_are_the_same_cell_by_cell() {
    let both = Both::open();
    let golden =
        |name: &str| -> Vec<bool> { both.golden::<u8>(name).iter().map(|value| *value != 0).collect() };
    let flags = both.values::<i32>("status_flag");
    let bit = |bit: u32| -> Vec<bool> { flags.iter().map(|&flags| flags as u32 & bit != 0).collect() };
    let mask = golden("mask");

    let ours: Vec<bool> = both.values::<i32>("mask").iter().map(|value| *value != 0).collect();
    both.assert_same_bits("mask", &ours, &mask);
    both.assert_same_bits("ice flag", &bit(flag::ICE), &mask);
    for (name, bits) in [
        ("filled_thickness", bit(flag::FILLED_THICKNESS)),
        ("filled_deformation", bit(flag::FILLED_DRIFT)),
        ("missing_deformation", bit(flag::MISSING_DRIFT)),
    ] {
        both.assert_same_bits(name, &bits, &golden(name));
    }
}
