//! A small product for tests.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use ndarray::Array2;

use crate::config::{Consistency, Publisher, SamplerKind, TimeGrid};
use crate::ensemble::{InMemory, MemberStore, Quantiles, Statistics, Thinner};
use crate::grid::{Grid, GridSpec, Region, Regions};
use crate::prepare::{Prepared, flag};
use crate::progress::StageTiming;
use crate::time::{ProductDay, Window};

use super::{InputRecord, Lineage, Product, Status};

const MEMBERS: usize = 4;

/// Owns what a product refers to: ice in a disc around the middle, land along the left edge.
pub(super) struct Synthetic {
    grid: Grid,
    prepared: Prepared,
    statistics: Statistics,
    quantiles: Quantiles,
    thinner: Vec<Thinner>,
    nowhere: Array2<bool>,
    regions: Regions,
    members: InMemory,
    lineage: Lineage,
    publisher: Publisher,
    timings: Vec<StageTiming>,
}

impl Synthetic {
    /// On a square test grid of `size` cells of 10 km.
    pub(super) fn new(size: usize) -> Self {
        let grid = Grid {
            spec: Arc::new(GridSpec::test_square(size)),
            land: Array2::from_shape_fn((size, size), |(_, column)| column == 0),
        };
        let distance = |row: usize, column: usize| {
            let offset = |index: usize| index as f32 - 0.5 * (size as f32 - 1.0);
            offset(row).hypot(offset(column)) / size as f32
        };
        let mask =
            Array2::from_shape_fn((size, size), |(row, column)| column > 0 && distance(row, column) < 0.4);
        let on_mask = |value: &dyn Fn(usize, usize) -> f32| {
            Array2::from_shape_fn((size, size), |(r, c)| if mask[[r, c]] { value(r, c) } else { f32::NAN })
        };
        let thickness = |row: usize, column: usize| 3.0 - 4.0 * distance(row, column);
        let member = |k: usize| on_mask(&|r, c| thickness(r, c) + 0.2 * (k as f32 - 1.5));
        let mut members = InMemory::default();
        (0..MEMBERS).for_each(|k| members.append(member(k).view()).unwrap());
        let quantile = |share: f32| on_mask(&|r, c| thickness(r, c) + 0.6 * (share - 0.5));
        Self {
            prepared: prepared(&grid, &mask, &on_mask(&thickness)),
            statistics: Statistics {
                members: MEMBERS,
                mean_m: on_mask(&thickness),
                spread_m: on_mask(&|_, _| 0.258_199),
                fine_spread_m: on_mask(&|_, _| 0.15),
                input_spread_m: Some(on_mask(&|_, _| 0.21)),
                clamped: Array2::from_shape_fn((size, size), |(row, column)| {
                    mask[[row, column]] && distance(row, column) < 0.04
                }),
                clamped_fraction: 0.0,
            },
            quantiles: Quantiles {
                probabilities: vec![0.1, 0.5, 0.9],
                values_m: [0.1, 0.5, 0.9].map(quantile).to_vec(),
            },
            thinner: [0.3, 2.0]
                .map(|threshold_m| Thinner { threshold_m, share: on_mask(&|r, c| thickness(r, c) / 4.0) })
                .to_vec(),
            nowhere: Array2::from_elem((size, size), false),
            regions: regions(size),
            grid,
            members,
            lineage: lineage(),
            publisher: Publisher {
                institution: "Test".into(),
                url: "https://example.org/nilas".into(),
                email: "nilas@example.org".into(),
                license: "CC-BY-4.0".into(),
            },
            timings: vec![StageTiming { stage: "prepare".into(), seconds: 1.25 }],
        }
    }

    /// The product, provisional.
    pub(super) fn product(&self) -> Product<'_> {
        Product {
            day: day(),
            status: Status::Provisional,
            created: DateTime::<Utc>::UNIX_EPOCH + TimeDelta::days(20_515),
            grid: &self.grid,
            prepared: &self.prepared,
            statistics: &self.statistics,
            quantiles: &self.quantiles,
            thinner: &self.thinner,
            members: &self.members,
            with_members: true,
            outside_training_range: &self.nowhere,
            regions: Some(&self.regions),
            animation_days: 3,
            lineage: &self.lineage,
            publisher: &self.publisher,
            timings: &self.timings,
        }
    }
}

fn day() -> ProductDay {
    "2026-03-01".parse().unwrap()
}

/// A western and an eastern half.
fn regions(size: usize) -> Regions {
    let region = |id: &str, title: &str| Region { id: id.into(), title: title.into() };
    Regions {
        source: "halves of the test grid".into(),
        list: vec![region("west-sea", "West Sea"), region("east-sea", "East Sea")],
        index: Array2::from_shape_fn((size, size), |(_, column)| Some(u8::from(2 * column >= size))),
    }
}

fn prepared(grid: &Grid, mask: &Array2<bool>, effective_m: &Array2<f32>) -> Prepared {
    let shape = grid.spec.shape();
    let flags = Array2::from_shape_fn(shape, |cell| match (grid.land[cell], mask[cell]) {
        (true, _) => flag::LAND,
        (_, true) => flag::ICE,
        _ => flag::OPEN_WATER,
    });
    let concentration = Array2::from_shape_fn(shape, |cell| match (grid.land[cell], mask[cell]) {
        (true, _) => f32::NAN,
        (_, true) => 0.9,
        _ => 0.0,
    });
    Prepared {
        thickness_m: effective_m / &concentration,
        effective_thickness_m: effective_m.clone(),
        effective_thickness_uncertainty_m: Some(effective_m.mapv(|value| 0.1 * value)),
        divergence_per_day: effective_m.mapv(|value| 0.01 * value),
        shear_per_day: effective_m.mapv(|value| 0.02 * value),
        deformation_per_day: effective_m.mapv(|value| 0.022_36 * value),
        concentration,
        mask: mask.clone(),
        flags,
    }
}

fn lineage() -> Lineage {
    let input = |role: &str, name: &str, start: i64, end: i64| {
        let window = Window { start: day().plus_days(start).noon(), end: day().plus_days(end).noon() };
        InputRecord {
            role: role.into(),
            name: name.into(),
            product: "OSI-408-a".into(),
            sha256: "00".repeat(32),
            window,
            age_days: window.age_days(day()),
        }
    };
    Lineage {
        declared_gaps: Vec::new(),
        inputs: vec![
            input("concentration", "concentration.nc", 0, 0),
            input("thickness", "thickness.nc", -8, -2),
            input("drift", "drift.nc", -2, 0),
        ],
        checkpoint: "small".into(),
        checkpoint_sha256: "11".repeat(32),
        training_data: "Synthetic fields, not model output.".into(),
        sampler: SamplerKind::Ddim,
        steps: 40,
        time_grid: Some(TimeGrid::Angle),
        lowest_noise_rate: Some(0.31),
        calibration: None,
        input_perturbed: true,
        consistency: Consistency::Seen,
        seed: 1,
        device: "cpu".into(),
        precision: "f32".into(),
        config_hash: "22".repeat(32),
        code_version: "0.1.0".into(),
        degradation: None,
    }
}
