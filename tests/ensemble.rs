//! Members do not depend on how they are drawn.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use ndarray::{Array2, Array3};
use nilas::config::{Precision, SamplerChoice};
use nilas::ensemble::{InMemory, MemberStore, Plan, draw};
use nilas::model::{Checkpoint, Placement};
use nilas::progress::Bar;
use tch::Device;

const ROWS: usize = 61;
const COLUMNS: usize = 90;

fn checkpoint(placement: Placement) -> Checkpoint {
    Checkpoint::load(Path::new("models/small.safetensors"), placement).unwrap()
}

/// A scene with ice, a coast and thin ice in a corner.
fn context() -> Array3<f32> {
    Array3::from_shape_fn((4, ROWS, COLUMNS), |(channel, row, column)| {
        let inside = row + column > 40;
        let value = match channel {
            0 => 0.9,
            1 => 0.01 + 0.02 * row as f32,
            2 => -4.0 + 0.01 * column as f32,
            _ => 1.0,
        };
        if inside { value } else { 0.0 }
    })
}

fn plan(members: usize, batch: usize) -> Plan {
    let wanted = SamplerChoice { steps: Some(6), ..SamplerChoice::default() };
    let sampler = checkpoint(Placement::CPU).info.sampler(wanted).unwrap();
    Plan { day: "2022-04-15".parse().unwrap(), members, sampler, seed: 7, batch }
}

fn draw_members(checkpoint: &Checkpoint, plan: Plan) -> Vec<Array2<f32>> {
    let mut store = InMemory::default();
    draw(checkpoint, &context(), plan, &mut store, &Bar::hidden()).unwrap();
    (0..store.len()).map(|member| store.rows(member, 0..ROWS).unwrap()).collect()
}

fn bits(field: &Array2<f32>) -> Array2<u32> {
    field.mapv(f32::to_bits)
}

#[test]
fn a_member_is_the_same_to_the_bit_whatever_the_ensemble_the_batch_and_the_threads() {
    let checkpoint = checkpoint(Placement::CPU);
    tch::set_num_threads(2);
    let five = draw_members(&checkpoint, plan(5, 1));
    for (name, threads, plan) in
        [("2 members", 2, plan(2, 1)), ("batches of 2", 2, plan(5, 2)), ("1 thread", 1, plan(2, 1))]
    {
        tch::set_num_threads(threads);
        for (member, drawn) in draw_members(&checkpoint, plan).iter().enumerate() {
            assert_eq!(bits(drawn), bits(&five[member]), "member {member}, {name}");
        }
    }
    assert_ne!(bits(&five[0]), bits(&five[1]));
}

#[test]
fn members_keep_their_bounds_and_their_mask() {
    let mut store = InMemory::default();
    let statistics =
        draw(&checkpoint(Placement::CPU), &context(), plan(3, 1), &mut store, &Bar::hidden()).unwrap();
    let mut at_zero = 0;
    for member in 0..3 {
        for ((row, column), value) in store.rows(member, 0..ROWS).unwrap().indexed_iter() {
            assert_eq!(value.is_nan(), row + column <= 40);
            assert!(value.is_nan() || *value >= 0.0);
            at_zero += usize::from(*value == 0.0);
        }
    }
    let cells = (ROWS * COLUMNS - 41 * 42 / 2) * 3;
    assert!((statistics.clamped_fraction - at_zero as f64 / cells as f64).abs() < 1e-9);
}

#[test]
fn bfloat16_members_are_near_those_of_32_bits() {
    let plan = plan(2, 1);
    let exact = draw_members(&checkpoint(Placement::CPU), plan);
    let rounded =
        draw_members(&checkpoint(Placement { device: Device::Cpu, precision: Precision::Bf16 }), plan);
    let (mut error, mut signal) = (0.0, 0.0);
    for (exact, rounded) in exact.iter().zip(&rounded) {
        for ((&exact, &rounded), low) in
            exact.iter().zip(rounded).zip(context().index_axis(ndarray::Axis(0), 1))
        {
            if !exact.is_nan() {
                error += f64::from(exact - rounded).powi(2);
                signal += f64::from(exact - low).powi(2);
            }
        }
    }
    let relative = (error / signal).sqrt();
    assert!(relative > 0.0 && relative < 0.1, "{relative}");
}
