//! Training archives through the programs: from safetensors to NetCDF and back, and what a program without NetCDF says to NetCDF.

#![expect(clippy::unwrap_used, reason = "a test may stop at once")]

#[path = "common/small_archive.rs"]
mod small_archive;

use std::path::Path;
use std::process::{Command, Output};

use ndarray::Array2;
use nilas::archive::{Archive, NetCdf, Sample};

const ENGINE: &str = env!("CARGO_BIN_EXE_nilas-engine");
const TRAIN: &str = env!("CARGO_BIN_EXE_nilas-train");

fn convert(from: &Path, to: &Path) -> Output {
    let mut command = Command::new(ENGINE);
    command.args(["archive", "convert", "--from"]).arg(from).arg("--to").arg(to);
    command.output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// The fields of which all others are made, to the bit.
fn bits(sample: &Sample) -> [Array2<u32>; 4] {
    let fields = [
        &sample.effective_thickness_m,
        &sample.low_effective_thickness_m,
        &sample.low_concentration,
        &sample.low_shear_per_day,
    ];
    fields.map(|field| field.mapv(|value| if value.is_nan() { u32::MAX } else { value.to_bits() }))
}

#[test]
fn an_archive_comes_back_from_netcdf_as_it_was_and_cannot_be_trained_on_before() {
    let folder = tempfile::tempdir().unwrap();
    let [first, netcdf, second] = ["first", "netcdf", "second"].map(|name| folder.path().join(name));
    small_archive::write(&first, 2, 48, 3);

    let output = convert(&first, &netcdf);
    assert!(output.status.success(), "{}", stderr(&output));
    let written = Archive::open_as(&netcdf, &NetCdf).unwrap();
    assert_eq!(written.days().count(), 2);

    let mut train = Command::new(TRAIN);
    train
        .args(["train", "--steps", "1", "--archive"])
        .arg(&netcdf)
        .arg("--out")
        .arg(folder.path().join("run"));
    let refused = train.output().unwrap();
    assert_eq!(refused.status.code(), Some(2), "{}", stderr(&refused));
    assert!(stderr(&refused).contains("nilas archive convert"), "{}", stderr(&refused));

    let output = convert(&netcdf, &second);
    assert!(output.status.success(), "{}", stderr(&output));
    let (before, after) = (Archive::open(&first).unwrap(), Archive::open(&second).unwrap());
    assert!(before.days().eq(after.days()));
    for index in 0..2 {
        let ((sample, stated), (found, said)) = (before.read(index).unwrap(), after.read(index).unwrap());
        assert_eq!(stated, said);
        assert!(bits(&sample) == bits(&found), "day {index} has changed");
    }
}

#[test]
fn a_folder_without_an_archive_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let output = convert(folder.path(), &folder.path().join("out"));
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(!folder.path().join("out").exists());
}
