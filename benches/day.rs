//! What a day costs beside the network: remapping, smoothing, deformation, preparing, noise, statistics and writing, on a square of
//! 400 x 400 cells.

#![expect(clippy::unwrap_used, reason = "a benchmark may stop at once")]

use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use ndarray::Array2;
use nilas::config::Publisher;
use nilas::ensemble::{InMemory, MemberStore, distribution, member_noise};
use nilas::field::Field;
use nilas::grid::{Grid, GridSpec, Kernel, Projection, Weights};
use nilas::prepare::{Remaps, SatelliteFields, deformation, prepare, smooth};
use nilas::publish::{Features, write_features};

const SIDE: usize = 400;

/// A square around the pole with cells of `cell_km`, 1200 km wide.
fn square(cell_km: f64) -> Arc<GridSpec> {
    let size = (1200.0 / cell_km) as usize;
    let half_m = 500.0 * cell_km * (size as f64 - 1.0);
    Arc::new(GridSpec {
        name: format!("square-{cell_km}"),
        projection: Projection::parse(
            "+proj=stere +lat_0=90 +lat_ts=60 +lon_0=-45 +a=6378273 +b=6356889.4489",
        )
        .unwrap(),
        rows: size,
        columns: size,
        cell_size_m: 1000.0 * cell_km,
        first_cell_centre_x_m: -half_m,
        first_cell_centre_y_m: half_m,
    })
}

fn field(cell_km: f64, value: impl Fn(f64, f64) -> f32) -> Field {
    let grid = square(cell_km);
    let values = Array2::from_shape_fn(grid.shape(), |(row, column)| {
        value(grid.x_m(column) / 1e6, grid.y_m(row) / 1e6)
    });
    Field::new(grid, values).unwrap()
}

fn benchmarks(criterion: &mut Criterion) {
    let grid = Grid { spec: square(3.0), land: Array2::from_elem((SIDE, SIDE), false) };
    let concentration = field(10.0, |_, _| 0.95);
    let thickness = field(25.0, |x, y| 2.0 + (3.0 * x).sin() as f32 * (3.0 * y).cos() as f32);
    let hole = |x: f64, y: f64| x.hypot(y) < 0.15;
    let displacement =
        field(62.5, |x, y| if hole(x, y) { f32::NAN } else { (20.0 * (4.0 * x).sin()) as f32 });
    let still = field(62.5, |x, y| if hole(x, y) { f32::NAN } else { 0.0 });
    let days = field(62.5, |_, _| 2.0);
    let weights = |from: &Field, scale_km: f64, radius_km: f64| {
        Weights::build(from.grid(), &grid.spec, &grid.sea(), Kernel::Gaussian { scale_km, radius_km })
            .unwrap()
    };
    let remaps = Remaps {
        concentration: weights(&concentration, 10.0, 20.0),
        thickness: weights(&thickness, 30.0, 60.0),
        deformation: weights(&displacement, 50.0, 150.0),
    };
    let fields = SatelliteFields {
        concentration: &concentration,
        thickness_m: &thickness,
        thickness_uncertainty_m: None,
        displacement_x_km: &displacement,
        displacement_y_km: &still,
        drift_days: &days,
        provided: None,
    };
    criterion.bench_function("remap: build weights from 25 km", |bench| {
        bench.iter(|| weights(&thickness, 30.0, 60.0));
    });
    criterion.bench_function("remap: apply weights from 25 km", |bench| {
        bench.iter(|| remaps.thickness.apply(thickness.values().view()));
    });
    criterion.bench_function("remap: nearest cells of 25 km", |bench| {
        bench.iter(|| remaps.thickness.heaviest(thickness.values().view()));
    });
    let remapped = remaps.thickness.apply(thickness.values().view());
    criterion.bench_function("prepare: smoothing", |bench| bench.iter(|| smooth(&remapped)));
    criterion.bench_function("prepare: deformation", |bench| {
        bench.iter(|| deformation(displacement.values(), still.values(), days.values(), 62.5));
    });
    criterion.bench_function("prepare: a whole day", |bench| {
        bench.iter(|| prepare(fields, &remaps, &grid, Some(150.0)));
    });

    let day = "2022-04-15".parse().unwrap();
    let prepared = prepare(fields, &remaps, &grid, Some(150.0));
    let publisher = Publisher {
        institution: "Nilas".into(),
        url: "https://example.org".into(),
        email: "nilas@example.org".into(),
        license: "CC-BY-4.0".into(),
    };
    let features = Features {
        day,
        created: chrono::DateTime::UNIX_EPOCH,
        grid: &grid,
        prepared: &prepared,
        inputs: &[],
        publisher: &publisher,
    };
    let folder = tempfile::tempdir().unwrap();
    criterion.bench_function("writing: the features of a day as NetCDF", |bench| {
        bench.iter(|| write_features(&folder.path().join("features.nc"), &features).unwrap());
    });
    criterion
        .bench_function("noise: one member", |bench| bench.iter(|| member_noise(1, day, 0, SIDE * SIDE)));
    let mut store = InMemory::default();
    for member in 0..30 {
        let noise = member_noise(1, day, member, SIDE * SIDE);
        store.append(Array2::from_shape_vec((SIDE, SIDE), noise).unwrap().view()).unwrap();
    }
    criterion.bench_function("statistics: three quantiles and a probability of 30 members", |bench| {
        bench.iter(|| distribution(&store, (SIDE, SIDE), &[0.1, 0.5, 0.9], &[0.3]).unwrap());
    });
}

criterion_group! {
    name = day;
    config = Criterion::default().sample_size(10);
    targets = benchmarks
}
criterion_main!(day);
