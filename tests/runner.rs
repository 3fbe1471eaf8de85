//! The runner that the tests of the programs stand on: it must fail where a program does not do as expected.

#![expect(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::nilas::Nilas;

/// A program that writes `stderr` and ends with `code`.
fn program(stderr: &str, code: i32) -> Nilas {
    Nilas::of_program("sh").arg("-c").arg(format!("printf '%s\\n' '{stderr}' >&2; exit {code}"))
}

const INFO: &str = "2026-03-01T03:00:00.123456Z  INFO no CUDA device: cannot open, an error that is none";
const WARN: &str = "2026-03-01T03:00:00.123456Z  WARN a revision is passed over";

#[test]
fn a_run_with_a_quiet_log_passes_and_gives_what_was_said() {
    let run = program(&format!("{INFO}\nnilas: the file is empty"), 4).expect_code(4);
    assert_eq!(run.said(), ["nilas: the file is empty"]);
    program(INFO, 0).expect_code(0);
}

#[test]
fn an_expected_complaint_passes() {
    program(WARN, 0).expecting("passed over").expect_code(0);
}

#[test]
fn a_figure_of_the_report_is_found() {
    let run = Nilas::of_program("echo").arg("figures\n  peak memory      0.76 GiB").expect_code(0);
    assert!((run.figure("peak memory") - 0.76).abs() < 1e-12);
}

#[test]
#[should_panic(expected = "unexpected: [\"2026-03-01T03:00:00.123456Z  WARN a revision")]
fn a_warning_fails() {
    program(WARN, 4).expect_code(4);
}

#[test]
#[should_panic(expected = "unexpected: [\"HDF5-DIAG: Error detected")]
fn an_error_of_a_library_fails() {
    program("HDF5-DIAG: Error detected", 4).expect_code(4);
}

#[test]
#[should_panic(expected = "unexpected: [\"hello")]
fn chatter_of_a_run_that_succeeds_fails() {
    program("hello", 0).expect_code(0);
}

#[test]
#[should_panic(expected = "left: Some(1)")]
fn another_code_fails() {
    program("nilas: no", 1).expect_code(0);
}

#[test]
#[should_panic(expected = "\"passed over\" was expected from")]
fn a_complaint_that_does_not_come_fails() {
    program(INFO, 0).expecting("passed over").expect_code(0);
}
