//! Members do not depend on how they are drawn.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "common/patience.rs"]
mod patience;
#[path = "common/say.rs"]
mod say;

use std::fs::{self, Permissions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use ndarray::{Array2, Array3, ArrayView2, Axis};
use nilas::config::{Consistency, Precision, SamplerChoice};
use nilas::drawing::{DrawingProcess, Weights};
use nilas::ensemble::{
    Drawer, EDGE_TOLERANCE_M, EnsembleError, INNER_TOLERANCE_M, InMemory, Listener, MemberStore, Plan,
    SatelliteView, Statistics, Sums, Work, draw, draw_together,
};
use nilas::model::{Calibration, Checkpoint, Placement, SpreadFactor, closed_ice, has_bfloat16};
use nilas::progress::Bar;
use patience::wait_for;
use say::say;
use tch::Device;

const ROWS: usize = 61;
const COLUMNS: usize = 90;

const CHECKPOINT: &str = "models/small.safetensors";
const ENGINE: &str = env!("CARGO_BIN_EXE_nilas-engine");
const TRAIN: &str = env!("CARGO_BIN_EXE_nilas-train");

fn checkpoint(placement: Placement) -> Checkpoint {
    Checkpoint::load(Path::new(CHECKPOINT), placement).unwrap()
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

fn plan(members: usize, batch: usize) -> Plan<'static> {
    let wanted = SamplerChoice { steps: Some(6), ..SamplerChoice::default() };
    let sampler = checkpoint(Placement::CPU).info.sampler(wanted).unwrap();
    Plan { batch, ..Plan::new("2022-04-15".parse().unwrap(), members, sampler, 7) }
}

fn draw_members(checkpoint: &Checkpoint, plan: Plan<'_>) -> Vec<Array2<f32>> {
    let mut store = InMemory::default();
    draw(checkpoint, &context(), plan, &mut store, &Bar::hidden()).unwrap();
    (0..store.len()).map(|member| store.rows(member, 0..ROWS).unwrap()).collect()
}

fn bits(field: &Array2<f32>) -> Array2<u32> {
    field.mapv(f32::to_bits)
}

/// What the input may be wrong by, m.
fn uncertainty() -> Array2<f32> {
    Array2::from_shape_fn((ROWS, COLUMNS), |(row, column)| {
        if row + column > 40 { 0.1 + 0.001 * column as f32 } else { f32::NAN }
    })
}

fn low() -> Array2<f32> {
    context().index_axis(Axis(0), 1).to_owned()
}

fn mask() -> Array2<bool> {
    context().index_axis(Axis(0), 3).mapv(|inside| inside > 0.5)
}

#[test]
fn a_member_is_the_same_to_the_bit_whatever_the_ensemble_the_batch_and_the_threads() {
    let checkpoint = checkpoint(Placement::CPU);
    let uncertainty = uncertainty();
    let plan = |members, batch| Plan { input_uncertainty_m: Some(&uncertainty), ..plan(members, batch) };
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
    let mut store = InMemory::default();
    let others = processes(&[ENGINE, TRAIN], &checkpoint);
    let plan = plan(5, 2);
    let shared = draw_together(&checkpoint, others, &context(), plan, &mut store, &Bar::hidden()).unwrap();
    let alone = draw(&checkpoint, &context(), plan, &mut InMemory::default(), &Bar::hidden()).unwrap();
    for (member, drawn) in store.into_members().iter().enumerate() {
        assert_eq!(bits(drawn), bits(&five[member]), "member {member}, three processes");
    }
    assert_eq!((shared.members, &shared.clamped), (5, &alone.clamped));
    let spreads = |statistics: &Statistics| {
        let fields = [&statistics.mean_m, &statistics.spread_m, &statistics.fine_spread_m];
        [fields.map(Array2::clone).to_vec(), statistics.input_spread_m.iter().cloned().collect()].concat()
    };
    assert_eq!(spreads(&shared).len(), 4);
    for (shared, alone) in spreads(&shared).iter().zip(spreads(&alone)) {
        for ((cell, shared), alone) in shared.indexed_iter().zip(alone) {
            assert!((shared - alone).abs() < 1e-6 || shared.is_nan() && alone.is_nan(), "{cell:?}");
        }
    }
}

/// Processes of these programs that draw beside this one.
fn processes(programs: &[&str], checkpoint: &Checkpoint) -> Vec<Box<dyn Drawer>> {
    let weights = Weights::File(CHECKPOINT.into());
    let start = |program: &&str| DrawingProcess::start_program(Path::new(program), Placement::CPU, 1);
    programs.iter().map(|program| start(program).unwrap().with(&weights, checkpoint)).collect()
}

/// Draws for as long as anybody wants it to.
struct Tireless;

impl Drawer for Tireless {
    fn draw(
        self: Box<Self>,
        _work: Work<'_>,
        listener: &dyn Listener,
    ) -> Result<Option<Sums>, EnsembleError> {
        while listener.drawn(Array2::zeros((ROWS, COLUMNS))) {}
        Ok(None)
    }
}

/// The error of an ensemble for which these draw beside this process, and one who has to be told when all is over.
fn failure(mut others: Vec<Box<dyn Drawer>>, checkpoint: &Checkpoint) -> EnsembleError {
    others.insert(0, Box::new(Tireless));
    let mut store = InMemory::default();
    draw_together(checkpoint, others, &context(), plan(1000, 1), &mut store, &Bar::hidden()).unwrap_err()
}

#[test]
fn a_process_that_fails_ends_the_drawing_and_says_why() {
    let mut checkpoint = checkpoint(Placement::CPU);
    let folder = tempfile::tempdir().unwrap();
    let nonsense = folder.path().join("nonsense");
    fs::write(&nonsense, "#!/bin/sh\necho I see ice\ncat > /dev/null\nexec sleep 600\n").unwrap();
    fs::set_permissions(&nonsense, Permissions::from_mode(0o700)).unwrap();
    let reason = failure(processes(&["/bin/false"], &checkpoint), &checkpoint).to_string();
    assert!(
        reason.starts_with("the process that draws on cpu failed: it died without a word (exit status: 1"),
        "{reason}"
    );
    let reason = failure(processes(&[nonsense.to_str().unwrap()], &checkpoint), &checkpoint).to_string();
    assert!(reason.contains("it says what is not understood (expected value"), "{reason}");
    let good = processes(&[TRAIN, ENGINE], &checkpoint);
    checkpoint.sha256 = "of another".into();
    let others = good.into_iter().chain(processes(&[TRAIN], &checkpoint)).collect();
    let error = failure(others, &checkpoint);
    assert!(!error.is_of_gpu() && error.to_string().contains("the checkpoint has changed"), "{error}");
    let missing = DrawingProcess::start_program(&folder.path().join("none"), Placement::CPU, 1).unwrap_err();
    assert!(missing.to_string().contains("it cannot be started (No such file"), "{missing}");
}

/// The processes that a process has started, by their numbers.
fn children(process: u32) -> Vec<u32> {
    let listed = fs::read_to_string(format!("/proc/{process}/task/{process}/children"));
    listed.unwrap_or_default().split_whitespace().map(|number| number.parse().unwrap()).collect()
}

#[test]
fn processes_end_with_the_one_that_started_them() {
    // It waits for what this test could still say to it.
    let draw = format!("exec 3<&0; {TRAIN} draw --device cpu --threads 1 --parent $$ <&3 & wait");
    let mut shell = Command::new("sh").args(["-c", &draw]).stdin(Stdio::piped()).spawn().unwrap();
    let is_named = |process: &u32| {
        fs::read_to_string(format!("/proc/{process}/comm")).is_ok_and(|name| name.trim() == "nilas-draw")
    };
    let helper = wait_for("a process that draws", || children(shell.id()).into_iter().find(is_named));
    shell.kill().unwrap();
    wait_for("its end", || (!is_named(&helper) || is_zombie(helper)).then_some(()));
    shell.wait().unwrap();
}

/// Whether a process has ended, and nobody has asked how.
fn is_zombie(process: u32) -> bool {
    fs::read_to_string(format!("/proc/{process}/stat")).is_ok_and(|stat| stat.contains(") Z "))
}

#[test]
fn a_member_that_is_no_number_is_refused() {
    let mut checkpoint = checkpoint(Placement::CPU);
    checkpoint.info.target_scale.constant_m = f32::INFINITY;
    let error =
        draw(&checkpoint, &context(), plan(2, 1), &mut InMemory::default(), &Bar::hidden()).unwrap_err();
    let ice = mask().iter().filter(|&&inside| inside).count();
    assert!(matches!(error, EnsembleError::NotANumber { member: 0, cells, .. } if cells == ice), "{error}");
}

/// Refuses the second member.
struct Full(InMemory);

impl MemberStore for Full {
    fn append(&mut self, member: ArrayView2<'_, f32>) -> io::Result<()> {
        if self.0.len() == 1 { Err(io::ErrorKind::StorageFull.into()) } else { self.0.append(member) }
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn rows(&self, member: usize, rows: Range<usize>) -> io::Result<Array2<f32>> {
        self.0.rows(member, rows)
    }
}

#[test]
fn a_store_that_is_full_ends_the_drawing_with_its_own_error() {
    let checkpoint = checkpoint(Placement::CPU);
    let others = processes(&[TRAIN], &checkpoint);
    let mut store = Full(InMemory::default());
    let error =
        draw_together(&checkpoint, others, &context(), plan(40, 1), &mut store, &Bar::hidden()).unwrap_err();
    assert!(matches!(error, EnsembleError::Store { member: 1, .. }), "{error}");
    assert_eq!(store.len(), 1, "what was kept stays");
}

#[test]
fn a_frame_around_the_ice_gives_what_the_whole_grid_gives() {
    let checkpoint = checkpoint(Placement::CPU);
    let reach = checkpoint.network.configuration().reach_cells();
    let whole = closed_ice(2 * reach + 96, 40);
    let ice = |(row, column): (usize, usize)| (reach + 40..reach + 72).contains(&row) && column > 3;
    let mut context = whole.clone();
    for channel in 0..4 {
        let mut channel = context.index_axis_mut(Axis(0), channel);
        channel.indexed_iter_mut().for_each(|(cell, value)| *value *= f32::from(u8::from(ice(cell))));
    }
    // A cell of ice in two corners makes the frame the whole grid.
    let mut marked = context.clone();
    for corner in [(0, 0), (2 * reach + 95, 39)] {
        (0..4)
            .for_each(|channel| marked[[channel, corner.0, corner.1]] = whole[[channel, corner.0, corner.1]]);
    }
    let members = |context: &Array3<f32>| {
        let mut store = InMemory::default();
        let plan = Plan { consistency: None, ..plan(2, 1) };
        draw(&checkpoint, context, plan, &mut store, &Bar::hidden()).unwrap();
        store.into_members()
    };
    for (framed, whole) in members(&context).iter().zip(members(&marked)) {
        for (cell, value) in framed.indexed_iter() {
            assert_eq!(value.is_nan(), !ice(cell), "{cell:?}");
            assert!(
                value.is_nan() || (value - whole[cell]).abs() < 1e-5,
                "{cell:?}: {value} and {}",
                whole[cell]
            );
        }
    }
}

#[test]
fn members_keep_their_bounds_and_their_mask() {
    let checkpoint = checkpoint(Placement::CPU);
    let uncertainty = uncertainty();
    for input_uncertainty_m in [None, Some(&uncertainty)] {
        let mut store = InMemory::default();
        let plan = Plan { input_uncertainty_m, ..plan(3, 1) };
        let statistics = draw(&checkpoint, &context(), plan, &mut store, &Bar::hidden()).unwrap();
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
}

#[test]
fn members_agree_with_what_they_started_from_as_it_is_asked() {
    let checkpoint = checkpoint(Placement::CPU);
    let mut context = context();
    let view = SatelliteView::of_day(&mask(), context.index_axis(Axis(0), 0));
    // So thick that members stray beyond the tolerances by themselves.
    let ice = Array2::from_shape_fn((ROWS, COLUMNS), |(row, column)| {
        1.8 + 1.2 * ((row + 2 * column) as f32 / 60.0).sin()
    });
    let low = view.of(ice.view());
    context.index_axis_mut(Axis(0), 1).assign(&low);
    let means = SatelliteView::of_means(&mask());
    let means_of_low = means.of(low.view());
    for (asked, view, wanted) in [(Consistency::Seen, view, low), (Consistency::Means, means, means_of_low)] {
        let differences = |consistency| {
            let (mut store, plan) = (InMemory::default(), Plan { consistency, ..plan(3, 1) });
            draw(&checkpoint, &context, plan, &mut store, &Bar::hidden()).unwrap();
            let of = |member: Array2<f32>| view.difference(member.view(), wanted.view());
            store.into_members().into_iter().map(of).collect::<Vec<_>>()
        };
        let (free, held) = (differences(None), differences(Some(asked)));
        for held in &held {
            assert!(
                held.inner_m < INNER_TOLERANCE_M && held.edge_m < EDGE_TOLERANCE_M,
                "{asked:?}: {held:?}"
            );
        }
        let moved = free.iter().zip(&held).any(|(free, held)| held.edge_m < free.edge_m);
        assert!(moved, "{asked:?}: there is something to do: {free:?}");
    }
}

#[test]
fn the_spread_has_the_uncertainty_of_the_input_in_it() {
    let (checkpoint, uncertainty) = (checkpoint(Placement::CPU), uncertainty());
    let statistics = |input_uncertainty_m| {
        let plan = Plan { input_uncertainty_m, ..plan(12, 1) };
        draw(&checkpoint, &context(), plan, &mut InMemory::default(), &Bar::hidden()).unwrap()
    };
    let (plain, perturbed) = (statistics(None), statistics(Some(&uncertainty)));
    assert!(plain.input_spread_m.is_none());
    assert_eq!(bits(&plain.fine_spread_m), bits(&plain.spread_m));
    let input = perturbed.input_spread_m.unwrap();
    // Where the ice is thick the step is not cut; a window of 270 km has few places that are independent of each other.
    let thick = |field: &Array2<f32>| {
        let squares: Vec<f64> =
            field.slice(ndarray::s![40.., 20..]).iter().map(|v| f64::from(*v).powi(2)).collect();
        (squares.iter().sum::<f64>() / squares.len() as f64).sqrt()
    };
    let (stated, drawn) = (thick(&uncertainty), thick(&input));
    assert!((0.6..1.4).contains(&(drawn / stated)), "{drawn} instead of {stated}");
    let (total, fine) = (thick(&perturbed.spread_m), thick(&perturbed.fine_spread_m));
    assert!(total > thick(&plain.spread_m), "{total}");
    assert!((total / fine.hypot(drawn) - 1.0).abs() < 0.2, "{total} from {fine} and {drawn}");
}

#[test]
fn a_calibration_changes_the_spread_only_where_it_is_asked_for() {
    let mut checkpoint = checkpoint(Placement::CPU);
    checkpoint.info.calibration = None;
    let free = |calibrated| Plan { consistency: None, calibrated, ..plan(1, 1) };
    let before = draw_members(&checkpoint, free(true));
    let factor = |thickness_m, factor| SpreadFactor { thickness_m, factor };
    checkpoint.info.calibration = Some(Calibration {
        noise_temperature: 1.0,
        stretch: 0.0,
        spread_factors: vec![factor(0.2, 1.0), factor(0.6, 0.5)],
        fitted_on: "nothing".into(),
    });
    assert_eq!(bits(&draw_members(&checkpoint, free(false))[0]), bits(&before[0]));
    let after = draw_members(&checkpoint, free(true));
    // Half of the anomaly where the ice is thick enough that the bound holds nothing.
    let (low, cell) = (low(), [55, 60]);
    let (half, whole) = (after[0][cell] - low[cell], before[0][cell] - low[cell]);
    assert!(whole.abs() > 1e-3 && (half / whole - 0.5).abs() < 1e-2, "{half} of {whole}");
    checkpoint.info.calibration.as_mut().unwrap().stretch = 0.2;
    let stretched = draw_members(&checkpoint, free(true))[0][cell] - low[cell];
    let typical = checkpoint.info.target_scale.at(low[cell]);
    let expected = half * (1.0 + 0.2 * whole.abs() / typical);
    assert!((stretched / expected - 1.0).abs() < 1e-2, "{stretched} instead of {expected}");
    checkpoint.info.calibration.as_mut().unwrap().noise_temperature = 1.5;
    assert_ne!(bits(&draw_members(&checkpoint, free(true))[0]), bits(&after[0]));
}

#[test]
fn bfloat16_members_are_near_those_of_32_bits() {
    if !has_bfloat16() {
        return say("skipped: this processor has no instructions for bfloat16");
    }
    let plan = plan(2, 1);
    let exact = draw_members(&checkpoint(Placement::CPU), plan);
    let rounded =
        draw_members(&checkpoint(Placement { device: Device::Cpu, precision: Precision::Bf16 }), plan);
    let (mut error, mut signal) = (0.0, 0.0);
    for (exact, rounded) in exact.iter().zip(&rounded) {
        for ((&exact, &rounded), low) in exact.iter().zip(rounded).zip(context().index_axis(Axis(0), 1)) {
            if !exact.is_nan() {
                error += f64::from(exact - rounded).powi(2);
                signal += f64::from(exact - low).powi(2);
            }
        }
    }
    let relative = (error / signal).sqrt();
    assert!(relative > 0.0 && relative < 0.1, "{relative}");
}
