//! The programs for training: a training that was killed goes on as if nothing had happened, and `nilas model` computes what
//! the library computes.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at once")]

#[path = "common/small_archive.rs"]
mod small_archive;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use nilas::archive::Archive;
use nilas::config::{SamplerChoice, SamplerKind};
use nilas::model::{
    Checkpoint, CheckpointInfo, NoisePredictor, Placement, Unconstrained, has_bfloat16, read_tensors,
    write_tensors,
};
use sha2::{Digest, Sha256};
use tch::{Device, Kind, Tensor};
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_nilas-train");
/// Steps of the training that is killed: enough that a kill lands between the first saved state and the end.
const STEPS: u64 = 48;
/// Steps between two lines of the log.
const VALIDATE_EVERY: u64 = 8;
/// Steps between two savings; not those between two lines of the log, so that states are saved with a line and without.
const SAVE_EVERY: u64 = 7;
/// Kills that may come too late before the test gives up.
const TRIES: usize = 5;
const KILLED: i32 = 9;

/// A folder with a small archive, and the trainings made of it.
struct Workshop(TempDir);

impl Workshop {
    fn new() -> Self {
        let workshop = Self(tempfile::tempdir().unwrap());
        let archive = workshop.path("archive");
        small_archive::write(&archive, 4, 64, 2);
        workshop
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The command that trains a very small network into folder `out`, with some options changed or added.
    fn train(&self, out: &str, steps: u64, changed: &[(&str, &str)]) -> Command {
        let (steps, save_every, validate_every) =
            (steps.to_string(), SAVE_EVERY.to_string(), VALIDATE_EVERY.to_string());
        let usual = [
            ("--widths", "4,6,8"),
            ("--block-depth", "1"),
            ("--batch", "2"),
            ("--window", "32"),
            ("--steps", &steps),
            ("--save-every", &save_every),
            ("--validate-every", &validate_every),
            ("--device", "cpu"),
            ("--threads", "1"),
        ];
        let mut command = Command::new(PROGRAM);
        command.arg("train").arg("--archive").arg(self.path("archive")).arg("--out").arg(self.path(out));
        // An option that is given twice is refused for that alone.
        let kept = usual.iter().filter(|(name, _)| !changed.iter().any(|(other, _)| other == name));
        for (name, value) in kept.chain(changed) {
            command.args([name, value]);
        }
        command
    }

    /// A checkpoint of two steps.
    fn checkpoint(&self) -> PathBuf {
        assert_success(&run(&mut self.train("small", 2, &[])));
        self.path("small/nilas.safetensors")
    }
}

fn run(command: &mut Command) -> Output {
    command.output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn assert_success(output: &Output) {
    assert!(output.status.success(), "{}: {}", output.status, stderr(output));
}

/// The step of the state in a folder; none while there is no state.
fn saved_step(folder: &Path) -> Option<u64> {
    let index = fs::read(folder.join("state.json")).ok()?;
    let index: serde_json::Value = serde_json::from_slice(&index).unwrap();
    index["progress"]["step"].as_u64()
}

/// Everything that a training has written, by name.
fn written(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let folders = [folder.to_owned(), folder.join("state")];
    let files = folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap());
    let files = files.map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    files
        .map(|path| (path.strip_prefix(folder).unwrap().display().to_string(), fs::read(path).unwrap()))
        .collect()
}

/// The steps that the log in a folder tells of.
fn logged_steps(folder: &Path) -> Vec<u64> {
    let log = fs::read_to_string(folder.join("log.csv")).unwrap_or_default();
    log.lines().skip(1).filter_map(|line| line.split(',').next()?.parse().ok()).collect()
}

/// Whether a state is saved that knows of a best checkpoint, and is not the last one.
fn is_in_the_middle(folder: &Path) -> bool {
    saved_step(folder).is_some_and(|saved| (VALIDATE_EVERY..STEPS).contains(&saved))
}

/// Puts the log ahead of the state, as if the kill had come between the two, so that going on must undo a part of the log.
fn put_log_ahead(folder: &Path, saved: u64) {
    let path = folder.join("log.csv");
    let log = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{log}{},0,0,0,0,0,0\n", saved + 1)).unwrap();
}

/// Starts a training in a new folder and kills it in the middle; gives its folder and the step that was saved.
fn killed_in_the_middle(workshop: &Workshop) -> (String, u64) {
    for number in 0..TRIES {
        let out = format!("killed-{number}");
        let folder = workshop.path(&out);
        let mut child =
            workshop.train(&out, STEPS, &[]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let ready = (0..30_000).any(|_| {
            thread::sleep(Duration::from_millis(2));
            is_in_the_middle(&folder) || child.try_wait().unwrap().is_some()
        });
        child.kill().unwrap();
        let status = child.wait().unwrap();
        assert!(ready, "the training came neither to a best checkpoint nor to its end");
        if status.signal() == Some(KILLED) && is_in_the_middle(&folder) {
            return (out, saved_step(&folder).unwrap());
        }
    }
    panic!("{TRIES} trainings could not be killed in the middle");
}

#[test]
fn a_killed_training_goes_on_to_the_same_bits() {
    let workshop = Workshop::new();
    assert_success(&run(&mut workshop.train("whole", STEPS, &[])));
    let (out, step) = killed_in_the_middle(&workshop);
    assert!(!workshop.path(&out).join("nilas.safetensors").exists(), "the killed training has a result");
    put_log_ahead(&workshop.path(&out), step);

    let resumed = run(&mut workshop.train(&out, STEPS, &[]));
    assert_success(&resumed);
    let said = stdout(&resumed);
    assert!(
        said.contains(&format!("{STEPS} of {STEPS} (this run began at {step})")),
        "state of step {step}, but: {said}"
    );
    let (whole, parts) = (written(&workshop.path("whole")), written(&workshop.path(&out)));
    assert_eq!(whole.keys().collect::<Vec<_>>(), parts.keys().collect::<Vec<_>>());
    for file in ["nilas.safetensors", "best.safetensors", "log.csv", "report.html", "state.json"] {
        assert!(whole.contains_key(file), "no {file}");
    }
    for (file, bytes) in &whole {
        assert!(*bytes == parts[file], "{file} differs after a kill behind step {step}");
    }
    let expected: Vec<_> = (1..=STEPS / VALIDATE_EVERY).map(|number| VALIDATE_EVERY * number).collect();
    assert_eq!(logged_steps(&workshop.path("whole")), expected);
}

#[test]
fn a_training_that_has_no_more_time_saves_and_goes_on_to_the_same_bits() {
    let workshop = Workshop::new();
    assert_success(&run(&mut workshop.train("whole", 5, &[])));
    for step in 1..=5 {
        let output = run(&mut workshop.train("pieces", 5, &[("--minutes", "0")]));
        assert_success(&output);
        assert_eq!(saved_step(&workshop.path("pieces")), Some(step), "{}", stdout(&output));
        assert_eq!(workshop.path("pieces/nilas.safetensors").exists(), step == 5);
        let said = stdout(&output);
        assert_eq!(said.contains("none before the first validation"), step < 5, "{said}");
    }
    assert!(written(&workshop.path("whole")) == written(&workshop.path("pieces")));
}

/// The learning rate is next to nothing, so that what the second network computes shows whether it took the weights over.
#[test]
fn a_training_begins_with_the_weights_of_a_checkpoint_and_keeps_what_they_mean() {
    let workshop = Workshop::new();
    let meaning = [("--objective", "velocity"), ("--max-signal-rate", "0.9998")];
    assert_success(&run(&mut workshop.train("first", 8, &meaning)));
    let first = workshop.path("first/nilas.safetensors");
    let archive = workshop.path("other-archive");
    small_archive::write(&archive, 4, 64, 9);
    let begin_with = |out: &str, checkpoint: &Path, further: &[&str]| {
        let mut command = Command::new(PROGRAM);
        command.arg("train").arg("--archive").arg(&archive).arg("--out").arg(workshop.path(out));
        command.args(["--steps", "2", "--batch", "2", "--window", "32", "--device", "cpu", "--threads", "1"]);
        command.args(["--learning-rate", "1e-12", "--begin-with"]).arg(checkpoint).args(further);
        run(&mut command)
    };
    let refused = begin_with("second", &first, &["--objective", "noise"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("--objective"), "{}", stderr(&refused));

    assert_success(&begin_with("second", &first, &[]));
    let second = workshop.path("second/nilas.safetensors");
    let of = |path: &Path| Checkpoint::load(path, Placement::CPU).unwrap();
    let (before, after) = (of(&first), of(&second));
    let gives = |checkpoint: &Checkpoint| {
        tch::no_grad(|| checkpoint.network.predict(&tensors(1, 0.0), &tensors(4, 1.0), 0.36).unwrap())
    };
    let (were, are) = (gives(&before), gives(&after));
    let (apart, size) = ((&were - are).square().mean(Kind::Double), were.square().mean(Kind::Double));
    // Only the running statistics of the normalisation follow the new data.
    assert!((apart / size).double_value(&[]) < 0.01);
    let means = |of: &Checkpoint| {
        let CheckpointInfo { network, statistics, target_scale, schedule, objective, .. } = of.info.clone();
        (network, statistics, target_scale, schedule, objective)
    };
    assert_eq!(means(&before), means(&after));
    let data = &after.info.training.data;
    assert!(data.contains("seed 9") && data.contains("seed 2") && data.contains(&before.sha256), "{data}");

    let moved = workshop.path("moved.safetensors");
    fs::rename(&first, &moved).unwrap();
    assert_success(&begin_with("second", &moved, &[]));
    let refused = begin_with("second", &second, &[]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("begin_with"), "{}", stderr(&refused));

    assert_success(&begin_with("third", &second, &[]));
    let data = of(&workshop.path("third/nilas.safetensors")).info.training.data;
    assert!(data.contains("2 steps on the same; begun with"), "{data}");
    assert_eq!(data.matches("seed 9").count(), 1, "{data}");

    let table = workshop.path("sweep.toml");
    fs::write(&table, "[[run]]\nname = \"regression\"\nobjective = \"mean\"").unwrap();
    let refused = begin_with("sweep", &second, &["--sweep", table.to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(
        stderr(&refused).contains("second/nilas.safetensors cannot be begun with"),
        "{}",
        stderr(&refused)
    );
}

#[test]
fn bfloat16_and_a_shortened_gradient_still_learn() {
    let workshop = Workshop::new();
    let loss = |out: &str, changed: &[(&str, &str)]| {
        assert_success(&run(&mut workshop.train(out, 32, changed)));
        let log = fs::read_to_string(workshop.path(out).join("log.csv")).unwrap();
        log.lines().last().unwrap().split(',').nth(3).unwrap().parse::<f64>().unwrap()
    };
    let exact = loss("exact", &[]);
    // In f32 where the processor has no instructions for bfloat16.
    let rounded = loss("rounded", &[("--precision", "bf16")]);
    let short = loss("short", &[("--clip-gradient", "0.01")]);
    assert!((exact - rounded).abs() < 0.02, "{rounded} instead of {exact}");
    assert_eq!(exact.to_bits() != rounded.to_bits(), has_bfloat16());
    assert!(exact < 1.0 && (short - exact).abs() > 1e-6 && short < 1.0, "{short} and {exact}");
}

#[test]
fn a_network_for_the_mean_is_trained_and_refused_where_noise_is_wanted() {
    let workshop = Workshop::new();
    assert_success(&run(&mut workshop.train("mean", 2, &[("--objective", "mean")])));
    let path = workshop.path("mean/nilas.safetensors");
    let checkpoint = Checkpoint::load(&path, Placement::CPU).unwrap();
    let context = tensors(4, 1.0);
    assert_eq!(checkpoint.mean(&context).unwrap().size(), [2, 1, 32, 32]);
    let (input, out) = (workshop.path("in.safetensors"), workshop.path("out.safetensors"));
    let given = [("noise".to_owned(), tensors(1, 0.0)), ("context".to_owned(), context)];
    write_tensors(&input, &given, None).unwrap();
    let refused = run(&mut model("sample", &path, &input, &out));
    let said = stderr(&refused);
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(said.contains("--objective mean") && said.contains("--objective noise"), "{said}");
}

#[test]
fn a_network_for_the_velocity_tells_the_noise_and_draws_fields() {
    let workshop = Workshop::new();
    let further = [("--objective", "velocity"), ("--max-signal-rate", "0.9998")];
    assert_success(&run(&mut workshop.train("velocity", 2, &further)));
    let checkpoint = Checkpoint::load(&workshop.path("velocity/nilas.safetensors"), Placement::CPU).unwrap();
    let (noisy, context) = (tensors(1, 0.0), tensors(4, 1.0));
    let (noise, velocity) = tch::no_grad(|| {
        let velocity = checkpoint.network.predict(&noisy, &context, 0.36).unwrap();
        (checkpoint.predict(&noisy, &context, 0.36).unwrap(), velocity)
    });
    let expected = velocity * 0.8 + &noisy * 0.6;
    assert!((noise - expected).abs().max().double_value(&[]) < 1e-5);
    let sampler = checkpoint.info.sampler(SamplerChoice::default()).unwrap();
    assert_eq!(sampler.kind, SamplerKind::DpmSolverPlusPlus);
    let drawn = checkpoint.sample(sampler, &Unconstrained, &noisy, &context, || {}).unwrap();
    assert!(bool::try_from(drawn.isfinite().all()).unwrap());
}

#[test]
fn a_table_of_trainings_is_trained_scored_and_drawn_and_nothing_is_done_twice() {
    let workshop = Workshop::new();
    let table = workshop.path("sweep.toml");
    let text = r#"
        [all]
        warm_up = 1
        [evaluate]
        samplers = ["ddim:2"]
        members = 2
        days = 1
        window = 32
        [[run]]
        name = "one"
        figure = "seeds"
        [[run]]
        name = "two"
        figure = "seeds"
        seed = 2
        [[run]]
        name = "calls"
        samplers = ["ddim:1", "ddim:3"]
        target = "full"
        features = { deformation = false }
        [[run]]
        name = "regression"
        objective = "mean"
    "#;
    fs::write(&table, text).unwrap();
    let sweep = || run(workshop.train("sweep", 2, &[]).arg("--sweep").arg(&table));
    assert_success(&sweep());
    let folder = workshop.path("sweep");
    let csv = fs::read_to_string(folder.join("sweep.csv")).unwrap();
    let lines: Vec<Vec<&str>> = csv.lines().map(|line| line.split(',').collect()).collect();
    let runs: Vec<&str> = lines[1..].iter().map(|line| line[0]).collect();
    assert_eq!(runs, ["one", "two", "calls", "calls", "regression"], "{csv}");
    assert!(lines.iter().all(|line| line.len() == lines[0].len()), "{csv}");
    assert_ne!(lines[1][3], lines[2][3], "two seeds have one loss");
    assert!(lines[1][4].parse::<f64>().unwrap() > 0.0, "{csv}");
    let page = fs::read_to_string(folder.join("sweep.html")).unwrap();
    assert_eq!(page.matches("<svg").count(), 10, "two figures of five charts");

    let state = fs::metadata(folder.join("one/state.json")).unwrap().modified().unwrap();
    assert_success(&sweep());
    assert_eq!(fs::metadata(folder.join("one/state.json")).unwrap().modified().unwrap(), state);
    assert_eq!(fs::read_to_string(folder.join("sweep.csv")).unwrap(), csv);

    fs::write(&table, "[[run]]\nname = \"one\"\nlearning_speed = 3").unwrap();
    let refused = sweep();
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("learning_speed") && stderr(&refused).contains("sweep.toml"));
}

#[test]
fn other_options_are_refused_by_name_and_change_nothing() {
    let workshop = Workshop::new();
    let checkpoint = workshop.checkpoint();
    let folder = checkpoint.parent().unwrap();
    let contents = || written(folder);
    let before = contents();
    for (option, value) in [("--learning-rate", "0.01"), ("--seed", "8"), ("--drop-deformation", "0.5")] {
        let refused = run(&mut workshop.train("small", 2, &[(option, value)]));
        assert_eq!(refused.status.code(), Some(2), "{option}");
        let said = stderr(&refused);
        assert!(
            said.replace('_', "-").contains(option.trim_start_matches('-')),
            "{option} is not named in: {said}"
        );
        assert!(said.contains("state.json"), "{said}");
        assert!(contents() == before, "{option}: something was written");
    }
}

#[test]
fn other_held_out_days_are_another_archive_and_refused() {
    let workshop = Workshop::new();
    workshop.checkpoint();
    let archive = workshop.path("archive");
    let mut held_out = Archive::open(&archive).unwrap().read_day(3).unwrap();
    held_out.sample.low_effective_thickness_m.mapv_inplace(|thickness| 1.1 * thickness);
    nilas::archive::write(&archive, "2001-01-04".parse().unwrap(), held_out.entry()).unwrap();
    let refused = run(&mut workshop.train("small", 2, &[]));
    assert_eq!(refused.status.code(), Some(2), "{}", stderr(&refused));
    assert!(stderr(&refused).contains("(days)"), "{}", stderr(&refused));
}

#[test]
fn options_that_make_no_sense_end_with_2() {
    let workshop = Workshop::new();
    let wrong = [
        ("--widths", "4"),
        ("--window", "4"),
        ("--batch", "0"),
        ("--network", "huge"),
        ("--max-signal-rate", "1.5"),
        ("--min-signal-rate", "0.99"),
        ("--holes", "2"),
        ("--clip-gradient", "0"),
        ("--log-snr-share", "1.5"),
        ("--validation-days", "1.5"),
    ];
    for (option, value) in wrong {
        let refused = run(&mut workshop.train("wrong", 2, &[(option, value)]));
        assert_eq!(refused.status.code(), Some(2), "{option} {value}: {}", stderr(&refused));
        assert!(stderr(&refused).contains(option), "{option} {value}: {}", stderr(&refused));
    }
    assert!(!workshop.path("wrong").exists());
}

#[test]
fn info_says_what_the_checkpoint_is() {
    let workshop = Workshop::new();
    let checkpoint = workshop.checkpoint();
    let output = run(Command::new(PROGRAM).args(["model", "info"]).arg(&checkpoint));
    assert_success(&output);
    let said = stdout(&output);
    let fact = |name: &str| {
        let line = said.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("no {name} in: {said}")).trim().to_owned()
    };
    let is_buffer = |name: &str| name.ends_with("running_mean") || name.ends_with("running_var");
    let tensors = read_tensors(&checkpoint).unwrap();
    let count: usize =
        tensors.iter().filter(|(name, _)| !is_buffer(name)).map(|(_, tensor)| tensor.numel()).sum();
    let sha256 = Sha256::digest(fs::read(&checkpoint).unwrap());
    let sha256: Vec<_> = sha256.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(fact("parameters"), count.to_string());
    assert_eq!(fact("sha256"), sha256.concat());
    assert_eq!(fact("widths"), "[4, 6, 8]");
    assert_eq!(fact("block depth"), "1");
    assert_eq!(fact("name"), "nilas");
    assert_eq!(fact("thickness"), "effective");
    assert_eq!(fact("signal rates"), "0.95 to 0.02");
    assert_eq!(fact("gives"), "noise of the anomaly");
    assert_eq!(fact("sees"), "thickness, mask, concentration, deformation");
    assert_eq!(fact("training"), "2 steps of 2 windows of 32 x 32 on cpu");
    assert!(fact("data").contains(small_archive::ORIGIN) && fact("data").contains("seed 2"), "{said}");
}

#[test]
fn info_knows_the_built_in_sizes() {
    let counts = ["small", "reference"].map(|name| {
        let output = run(Command::new(PROGRAM).args(["model", "info", name]));
        assert_success(&output);
        let said = stdout(&output);
        said.lines().find_map(|line| line.strip_prefix("parameters")).unwrap().trim().parse::<u64>().unwrap()
    });
    assert!(0 < counts[0] && counts[0] < counts[1], "{counts:?}");
}

/// Two samples of 32 x 32 cells of anything.
fn tensors(channels: i64, phase: f64) -> Tensor {
    let size = [2, channels, 32, 32];
    let angles = Tensor::arange(size.iter().product::<i64>(), (Kind::Double, Device::Cpu)) * 0.37 + phase;
    angles.sin().to_kind(Kind::Float).reshape(size)
}

fn model(verb: &str, checkpoint: &Path, input: &Path, out: &Path) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(["model", verb]).arg(checkpoint).arg("--in").arg(input).arg("--out").arg(out);
    command.args(["--device", "cpu", "--threads", "1"]);
    command
}

fn assert_same_bits(file: &Path, name: &str, expected: &Tensor) {
    let found = read_tensors(file).unwrap();
    assert_eq!(found.keys().collect::<Vec<_>>(), [name]);
    assert_eq!(found[name].size(), expected.size());
    assert!(found[name].equal(&expected.contiguous()), "{name} is not what the library computes");
    assert!(bool::try_from(found[name].isfinite().all()).unwrap());
}

#[test]
fn apply_and_sample_give_what_the_library_gives() {
    let workshop = Workshop::new();
    let path = workshop.checkpoint();
    let (field, context) = (tensors(1, 0.0), tensors(4, 1.0));
    // As many threads as the program is given: sums are then made in the same order.
    tch::set_num_threads(1);
    let checkpoint = Checkpoint::load(&path, Placement::CPU).unwrap();
    let apply = |variance| tch::no_grad(|| checkpoint.network.predict(&field, &context, variance).unwrap());
    let sample = |kind, steps| {
        let wanted = SamplerChoice { kind: Some(kind), steps: Some(steps), ..SamplerChoice::default() };
        let sampler = checkpoint.info.sampler(wanted).unwrap();
        checkpoint.sample(sampler, &Unconstrained, &field, &context, || {}).unwrap()
    };
    let (ddim, dpm_solver) = (SamplerKind::Ddim, SamplerKind::DpmSolverPlusPlus);
    // Results that do not depend on what is varied would agree whatever the program did with it.
    assert!(!apply(0.3).equal(&apply(0.6)));
    assert!(!sample(ddim, 3).equal(&sample(ddim, 4)));
    assert!(!sample(ddim, 3).equal(&sample(dpm_solver, 3)));

    let (input, out) = (workshop.path("in.safetensors"), workshop.path("out.safetensors"));
    let variance = Tensor::from_slice(&[0.3_f64]);
    let given = [("z", &field), ("noise", &field), ("context", &context), ("noise_variance", &variance)];
    let given = given.map(|(name, tensor)| (name.to_owned(), tensor.shallow_clone()));
    write_tensors(&input, &given, None).unwrap();
    assert_success(&run(&mut model("apply", &path, &input, &out)));
    assert_same_bits(&out, "noise", &apply(0.3));
    assert_success(&run(model("sample", &path, &input, &out).args(["--steps", "3"])));
    assert_same_bits(&out, "anomaly", &sample(ddim, 3));
    let mut other = model("sample", &path, &input, &out);
    assert_success(&run(other.args(["--sampler", "dpm-solver++", "--steps", "3"])));
    assert_same_bits(&out, "anomaly", &sample(dpm_solver, 3));
    let too_far = run(model("sample", &path, &input, &out).args(["--lowest-noise-rate", "0.02"]));
    assert_eq!(too_far.status.code(), Some(2));
    assert!(stderr(&too_far).contains("0.3122"), "{}", stderr(&too_far));
}

#[test]
fn a_missing_tensor_is_named() {
    let workshop = Workshop::new();
    let checkpoint = workshop.checkpoint();
    let (input, out) = (workshop.path("in.safetensors"), workshop.path("out.safetensors"));
    let given = [
        ("z", tensors(1, 0.0)),
        ("noise", tensors(1, 0.0)),
        ("context", tensors(4, 1.0)),
        ("noise_variance", Tensor::from_slice(&[0.3_f32])),
    ];
    let cases = [
        ("apply", "z"),
        ("apply", "context"),
        ("apply", "noise_variance"),
        ("sample", "context"),
        ("sample", "noise"),
    ];
    for (verb, missing) in cases {
        let rest = given.iter().filter(|(name, _)| *name != missing);
        let rest: Vec<_> = rest.map(|(name, tensor)| ((*name).to_owned(), tensor.shallow_clone())).collect();
        write_tensors(&input, &rest, None).unwrap();
        let refused = run(&mut model(verb, &checkpoint, &input, &out));
        assert_eq!(refused.status.code(), Some(1), "{verb} without {missing}");
        let said = stderr(&refused);
        assert!(said.contains(&format!("`{missing}`")) && said.contains("in.safetensors"), "{verb}: {said}");
        assert!(!out.exists(), "{verb} without {missing} wrote a result");
    }
}

#[test]
fn a_calibration_is_fitted_and_kept_in_the_checkpoint() {
    let workshop = Workshop::new();
    // After two steps a velocity is still nothing, and members are noise of the target's own size; noise would be told wrongly.
    assert_success(&run(&mut workshop.train("small", 2, &[("--objective", "velocity")])));
    let (checkpoint, out) =
        (workshop.path("small/nilas.safetensors"), workshop.path("calibrated.safetensors"));
    let calibrate = |checkpoint: &Path, out: &Path, members: &str| {
        let mut command = Command::new(PROGRAM);
        command.args(["model", "calibrate"]).arg(checkpoint);
        command.arg("--archive").arg(workshop.path("archive")).arg("--out").arg(out);
        command.args(["--window", "0", "--days", "all", "--steps", "3", "--members", members]);
        run(command.args(["--device", "cpu", "--threads", "1"]))
    };
    assert_success(&calibrate(&checkpoint, &out, "4"));
    let (before, after) = (CheckpointInfo::read(&checkpoint).unwrap(), CheckpointInfo::read(&out).unwrap());
    let fitted = after.calibration.clone().unwrap();
    assert!((0.5..=2.0).contains(&fitted.noise_temperature), "{fitted:?}");
    assert!(!fitted.spread_factors.is_empty(), "{fitted:?}");
    assert!(fitted.fitted_on.contains("4 members, ddim in 3 calls"), "{fitted:?}");
    assert_eq!(
        (after.sampler.kind, after.sampler.steps),
        (Some(SamplerKind::Ddim), Some(3)),
        "fitted with it"
    );
    let unfitted = CheckpointInfo { calibration: None, sampler: before.sampler, ..after };
    assert_eq!(unfitted, before, "nothing else has changed");
    let names = |path: &Path| read_tensors(path).unwrap().into_keys().collect::<Vec<_>>();
    assert_eq!(names(&out), names(&checkpoint));

    // What is fitted anew does not build on what was fitted before.
    let again = workshop.path("again.safetensors");
    assert_success(&calibrate(&out, &again, "4"));
    assert_eq!(CheckpointInfo::read(&again).unwrap().calibration, Some(fitted));
    assert_eq!(calibrate(&checkpoint, &again, "1").status.code(), Some(2), "one member has no spread");

    // What no factor mends is not mended, and nothing is written.
    let hopeless = workshop.path("hopeless.safetensors");
    assert_success(&run(&mut workshop.train("noise", 2, &[])));
    let refused = calibrate(&workshop.path("noise/nilas.safetensors"), &hopeless, "4");
    assert_eq!(refused.status.code(), Some(1), "{}", stderr(&refused));
    assert!(stderr(&refused).contains("more than a calibration is for") && !hopeless.exists());
}
