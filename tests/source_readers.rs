//! The readers against the sample day, the same day in the products' other layouts, and every kind of bad file.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::float_cmp,
    reason = "a test may stop at once, and decoded values are exact"
)]

mod common;

use std::fs;
use std::path::Path;

use common::netcdf_copy::{Dataset, Values};
use common::sample_layouts as layouts;
use netcdf::AttributeValue;
use nilas::field::Field;
use nilas::source;
use nilas::source::merged_thickness::Basis;
use nilas::source::{SourceError, ThicknessLayout, merged_thickness, osisaf_concentration, osisaf_drift};
use nilas::time::ProductDay;

fn day(text: &str) -> ProductDay {
    text.parse().unwrap()
}

fn concentration(path: &Path) -> Result<osisaf_concentration::Concentration, SourceError> {
    osisaf_concentration::read(path, day("2022-04-15"))
}

fn drift(path: &Path) -> Result<osisaf_drift::Drift, SourceError> {
    osisaf_drift::read(path, day("2022-04-14"), day("2022-04-16"))
}

fn thickness(path: &Path) -> Result<merged_thickness::Thickness, SourceError> {
    merged_thickness::read(path, day("2022-04-12"), day("2022-04-18"))
}

/// Same values in the same cells, missing ones included.
fn same(one: &Field, two: &Field) -> bool {
    one.grid() == two.grid()
        && one
            .values()
            .iter()
            .zip(two.values())
            .all(|(one, two)| one.to_bits() == two.to_bits() || one.is_nan() && two.is_nan())
}

fn mean(field: &Field) -> f64 {
    let valid = field.values().iter().filter(|value| !value.is_nan());
    valid.map(|value| f64::from(*value)).sum::<f64>() / field.valid_cells() as f64
}

/// The message of a refusal, which must name the file and say each of `parts`.
#[track_caller]
fn assert_says<T>(result: Result<T, SourceError>, path: &Path, parts: &[&str]) {
    let error = result.err().expect("the file must be refused");
    let message = error.to_string();
    assert!(message.starts_with(&path.display().to_string()), "the file is not named: {message}");
    for part in parts {
        assert!(message.contains(part), "\"{part}\" is not in: {message}");
    }
}

#[test]
fn the_sample_concentration_is_decoded() {
    let read = concentration(&layouts::sample(layouts::CONCENTRATION)).unwrap();
    assert_eq!(read.fraction.grid().name, "osisaf-100");
    assert_eq!(read.identity.product, "OSI-408-a 1.0");
    assert_eq!(read.identity.name, layouts::CONCENTRATION);
    assert_eq!(read.window.days(), 1.0);
    assert_eq!(read.window.age_days(day("2022-04-15")), 0.0);
    let (land, near_coast) = (418_527, 15_545 + 24_815);
    assert_eq!(read.fraction.valid_cells(), 1120 * 760 - land);
    assert_eq!(read.near_coast.iter().filter(|near| **near).count(), near_coast);
    let (largest, smallest) = read
        .fraction
        .values()
        .iter()
        .filter(|value| !value.is_nan())
        .fold((f32::MIN, f32::MAX), |(largest, smallest), value| (largest.max(*value), smallest.min(*value)));
    assert!(smallest == 0.0 && (0.9..=1.0).contains(&largest), "{smallest} {largest}");
    assert!(read.uncertainty_fraction.unwrap().values().iter().all(|value| value.is_nan() || *value < 1.0));
}

#[test]
fn the_sample_drift_has_2255_usable_vectors_over_two_days() {
    let read = drift(&layouts::sample(layouts::DRIFT)).unwrap();
    assert_eq!(read.displacement_x_km.grid().name, "osisaf-625");
    for field in [&read.displacement_x_km, &read.displacement_y_km, &read.uncertainty_km] {
        assert_eq!(field.valid_cells(), 2255);
    }
    assert!(read.duration_days.values().iter().all(|days| *days == 2.0));
    assert_eq!(read.window.age_days(day("2022-04-15")), 0.0);
    assert_eq!(read.identity.product, "OSI-405-d");
}

#[test]
fn the_sample_thickness_is_decoded() {
    let read = thickness(&layouts::sample(layouts::THICKNESS)).unwrap();
    assert_eq!((read.layout, read.thickness_m.grid().name.as_str()), (ThicknessLayout::V206, "ease2-250"));
    assert_eq!(read.identity.product, "CS2SMOS v206");
    assert_eq!(read.thickness_m.valid_cells(), 22_906);
    assert!((mean(&read.thickness_m) - 1.29).abs() < 0.01, "{}", mean(&read.thickness_m));
    assert_eq!(read.uncertainty_m.unwrap().grid().name, "ease2-250");
    assert!(read.window.age_days(day("2022-04-15")).abs() < 0.001);
}

#[test]
fn the_other_concentrations_decode_to_the_same_values() {
    let folder = tempfile::tempdir().unwrap();
    let reference = concentration(&layouts::sample(layouts::CONCENTRATION)).unwrap();
    for (product, version, name) in
        [("OSI-401-d", "4.1", layouts::CONCENTRATION_401D), ("OSI-408-g", "1.0", layouts::CONCENTRATION_408G)]
    {
        let path = layouts::concentration_of(folder.path(), product, version, name).unwrap();
        let read = concentration(&path).unwrap();
        assert!(same(&read.fraction, &reference.fraction));
        assert_eq!(read.near_coast, reference.near_coast);
        assert_eq!(read.identity.product, format!("{product} {version}"));
    }
}

#[test]
fn the_classic_drift_decodes_to_the_same_values() {
    let folder = tempfile::tempdir().unwrap();
    let reference = drift(&layouts::sample(layouts::DRIFT)).unwrap();
    let path = layouts::drift_405c(folder.path()).unwrap();
    assert_eq!(fs::read(&path).unwrap()[..4], *b"CDF\x01");
    let read = drift(&path).unwrap();
    assert!(same(&read.displacement_x_km, &reference.displacement_x_km));
    assert!(same(&read.displacement_y_km, &reference.displacement_y_km));
    assert!(same(&read.uncertainty_km, &reference.uncertainty_km));
    assert_eq!(read.identity.product, "OSI-405-c");
}

#[test]
fn the_fine_thickness_decodes_to_the_same_values_in_kilometres_and_metres() {
    let folder = tempfile::tempdir().unwrap();
    let coarse = thickness(&layouts::sample(layouts::THICKNESS)).unwrap();
    for unit in ["km", "m"] {
        let read = thickness(&layouts::thickness_v300(folder.path(), unit).unwrap()).unwrap();
        assert_eq!(
            (read.layout, read.thickness_m.grid().name.as_str()),
            (ThicknessLayout::V300, "ease2-125")
        );
        assert_eq!(read.identity.product, "CS3SMOS v300");
        for (one, two) in [
            (&read.thickness_m, &coarse.thickness_m),
            (read.uncertainty_m.as_ref().unwrap(), coarse.uncertainty_m.as_ref().unwrap()),
        ] {
            assert!(one.values().indexed_iter().all(|((row, column), value)| {
                let expected = two.values()[[row / 2, column / 2]];
                value.to_bits() == expected.to_bits() || value.is_nan() && expected.is_nan()
            }));
        }
    }
}

#[test]
fn what_a_thickness_rests_on_is_told_in_words_that_are_known_or_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = layouts::thickness_v300(folder.path(), "m").unwrap();
    let flagged = folder.path().join("flagged.nc");
    let known = "combined_altimetry_radiometry altimetry_only radiometry_only interpolated";
    let other = known.replace("interpolated", "gap_filled");
    for (meanings, fourth) in [(known, Basis::Interpolated), (other.as_str(), Basis::Unknown)] {
        let mut dataset = Dataset::read(&path).unwrap();
        layouts::add_quality_flag(&mut dataset, "sea_ice_thickness", meanings);
        dataset.write(&flagged, netcdf::Options::NETCDF4).unwrap();
        let read = thickness(&flagged).unwrap();
        let (rows, columns) = read.basis.dim();
        for ((row, column), basis) in read.basis.indexed_iter() {
            let expected = match ((rows - 1 - row) * columns + column) % 5 {
                0 => Some(Basis::Combined),
                1 => Some(Basis::AltimetryOnly),
                2 => Some(Basis::RadiometryOnly),
                // A word that is not known matters where there is a value.
                3 if fourth == Basis::Unknown && read.thickness_m.values()[[row, column]].is_nan() => None,
                3 => Some(fourth),
                _ => None,
            };
            assert_eq!(*basis, expected, "row {row}, column {column}: {meanings}");
        }
    }
}

#[test]
fn a_thickness_is_not_refused_for_how_its_flags_are_listed() {
    let folder = tempfile::tempdir().unwrap();
    let path = layouts::thickness_v300(folder.path(), "m").unwrap();
    let flagged = folder.path().join("flagged.nc");
    let meanings = "combined_altimetry_radiometry altimetry_only radiometry_only interpolated";
    let told: [(AttributeValue, bool); 4] = [
        (vec![0_i64, 1, 2, 3].into(), true),
        ("0b, 1b, 2b, 3b".into(), true),
        ("0, 1, 2".into(), false),
        ("from 0 to 3".into(), false),
    ];
    for (values, is_known) in told {
        let mut dataset = Dataset::read(&path).unwrap();
        layouts::add_quality_flag(&mut dataset, "sea_ice_thickness", meanings);
        dataset.variable("quality_flag").set("flag_values", values.clone());
        dataset.write(&flagged, netcdf::Options::NETCDF4).unwrap();
        let read = thickness(&flagged).unwrap();
        let has = |wanted: Basis| read.basis.iter().any(|basis| *basis == Some(wanted));
        assert_eq!((has(Basis::Interpolated), has(Basis::Unknown)), (is_known, !is_known), "{values:?}");
    }
}

#[test]
fn rules_for_drift_vectors_hold_cell_by_cell() {
    let folder = tempfile::tempdir().unwrap();
    let reference = drift(&layouts::sample(layouts::DRIFT)).unwrap();
    let cells: Vec<usize> = (0..177 * 119)
        .filter(|cell| !reference.uncertainty_km.values()[[cell / 119, cell % 119]].is_nan())
        .collect();
    let path = layouts::changed(folder.path(), layouts::DRIFT, |sample| {
        let Values::Byte(flags) = &mut sample.variable("status_flag").values else {
            panic!("flags are bytes")
        };
        for (cell, flag) in cells[..6].iter().zip([20, 21, 22, 23, 13, -128]) {
            flags[*cell] = flag;
        }
        let Values::Float(x) = &mut sample.variable("dX").values else { panic!("displacements are floats") };
        (x[cells[6]], x[cells[7]]) = (-150.0, 149.0);
        let Values::Float(uncertainty) = &mut sample.variable("uncert_dX_and_dY").values else {
            panic!("floats")
        };
        (uncertainty[cells[8]], uncertainty[cells[9]]) = (0.0, -1e10);
        let Values::Int(offset) = &mut sample.variable("dt1").values else {
            panic!("offsets are whole seconds")
        };
        (offset[cells[10]], offset[cells[11]]) = (21_600, 1_000_000);
        let mut upward = sample.variable("dY").clone();
        "dY_v1p4".clone_into(&mut upward.name);
        let Values::Float(y) = &mut upward.values else { panic!("displacements are floats") };
        y[cells[12]] = 12.5;
        sample.variables.push(upward);
    });
    let read = drift(&path.unwrap()).unwrap();
    let at = |field: &Field, index: usize| field.values()[[cells[index] / 119, cells[index] % 119]];
    let valid: Vec<bool> = (0..10).map(|index| !at(&read.displacement_x_km, index).is_nan()).collect();
    assert_eq!(valid, [true, true, true, false, false, false, false, true, false, false]);
    assert_eq!(read.displacement_y_km.valid_cells(), 2255 - 6);
    assert_eq!(at(&read.duration_days, 10), 2.25);
    assert_eq!(at(&read.duration_days, 11), 2.0);
    assert_eq!(at(&read.displacement_y_km, 12), 12.5);
}

#[test]
fn flags_hide_land_lake_and_missing_but_not_the_coast() {
    let folder = tempfile::tempdir().unwrap();
    let reference = concentration(&layouts::sample(layouts::CONCENTRATION)).unwrap();
    let cells: Vec<usize> = (0..1120 * 760)
        .filter(|cell| !reference.fraction.values()[[cell / 760, cell % 760]].is_nan())
        .collect();
    let path = layouts::changed(folder.path(), layouts::CONCENTRATION, |sample| {
        let Values::Float(flags) = &mut sample.variable("status_flag").values else {
            panic!("flags are floats")
        };
        for (cell, flag) in
            cells[..6].iter().zip([32.0, 64.0 + 2.0, 256.0 + 128.0, 128.0 + 16.0, 2.0, -32767.0])
        {
            flags[*cell] = flag;
        }
    });
    let read = concentration(&path.unwrap()).unwrap();
    let valid: Vec<bool> =
        cells[..6].iter().map(|cell| !read.fraction.values()[[cell / 760, cell % 760]].is_nan()).collect();
    assert_eq!(valid, [false, false, false, true, true, true]);
    assert!(read.near_coast[[cells[3] / 760, cells[3] % 760]]);
}

#[test]
fn negative_thickness_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let path = layouts::changed(folder.path(), layouts::THICKNESS, |sample| {
        let Values::Int(values) = &mut sample.variable("analysis_sea_ice_thickness").values else {
            panic!("integers")
        };
        let ice = values.iter().position(|value| *value > 0).unwrap();
        values[ice] = -1;
    });
    assert_eq!(thickness(&path.unwrap()).unwrap().thickness_m.valid_cells(), 22_905);
}

#[test]
fn a_missing_file_is_refused() {
    let path = Path::new("/no/such/file.nc");
    assert_says(
        drift(path),
        path,
        &["there is no such file", "expected OSI SAF merged sea-ice drift", "fetch it"],
    );
}

#[test]
fn an_empty_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(layouts::CONCENTRATION);
    fs::write(&path, "").unwrap();
    assert_says(
        concentration(&path),
        &path,
        &["empty", "expected OSI SAF sea-ice concentration", "fetch it again"],
    );
}

#[test]
fn a_web_page_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(layouts::THICKNESS);
    fs::write(&path, "\n<!DOCTYPE html><title>Sign in</title>").unwrap();
    let parts =
        ["an HTML page, not a NetCDF file", "expected merged sea-ice thickness", "check address and account"];
    assert_says(thickness(&path), &path, &parts);
}

#[test]
fn a_truncated_file_is_refused_wherever_it_was_cut() {
    let folder = tempfile::tempdir().unwrap();
    let classic = layouts::drift_405c(folder.path()).unwrap();
    for source in [layouts::sample(layouts::DRIFT), classic] {
        let bytes = fs::read(&source).unwrap();
        for share in [0.01, 0.3, 0.7, 0.999] {
            let path = folder.path().join("cut.nc");
            fs::write(&path, &bytes[..(bytes.len() as f64 * share) as usize]).unwrap();
            assert_says(drift(&path), &path, &["truncated or damaged", "expected OSI SAF", "fetch it again"]);
        }
    }
}

#[test]
fn a_file_of_another_day_is_refused_whatever_its_name_says() {
    let parts = [
        "wrong date",
        "expected one day centred on 2022-04-16",
        "found 2022-04-15 00:00 to 2022-04-16 00:00",
        "right day",
    ];
    let path = layouts::sample(layouts::CONCENTRATION);
    assert_says(osisaf_concentration::read(&path, day("2022-04-16")), &path, &parts);
    let parts =
        ["wrong date", "expected 2022-04-13 to 2022-04-15", "found 2022-04-14 12:00 to 2022-04-16 12:00"];
    let path = layouts::sample(layouts::DRIFT);
    assert_says(osisaf_drift::read(&path, day("2022-04-13"), day("2022-04-15")), &path, &parts);
    let parts =
        ["wrong date", "expected 7 days centred on 2022-04-14", "found 2022-04-12 00:00 to 2022-04-18 23:59"];
    let path = layouts::sample(layouts::THICKNESS);
    assert_says(merged_thickness::read(&path, day("2022-04-11"), day("2022-04-17")), &path, &parts);
}

#[test]
fn a_file_on_another_grid_is_refused_with_both_grids() {
    let folder = tempfile::tempdir().unwrap();
    let shifted = layouts::changed(folder.path(), layouts::DRIFT, |sample| {
        let Values::Double(x) = &mut sample.variable("xc").values else { panic!("coordinates are doubles") };
        for x in x {
            *x += 1.0;
        }
    });
    let shifted = shifted.unwrap();
    let parts = [
        "wrong grid",
        "expected xc from -3750 km to 3625 km",
        "found xc from -3749 km to 3626 km",
        "osisaf-625",
    ];
    assert_says(drift(&shifted), &shifted, &parts);
    let turned = layouts::changed(folder.path(), layouts::CONCENTRATION, |sample| {
        let proj = "+proj=stere +a=6378137 +b=6356752.3142 +lat_0=90 +lat_ts=70 +lon_0=0";
        sample.variable("Polar_Stereographic_Grid").set("proj4_string", proj);
    });
    let turned = turned.unwrap();
    assert_says(
        concentration(&turned),
        &turned,
        &["wrong grid", "+lon_0=-45", "found +proj=stere +lat_0=90 +lon_0=0"],
    );
    let finer = layouts::changed(folder.path(), layouts::DRIFT, |sample| {
        sample.dimensions.push(("rows".to_owned(), 176));
        let flags = sample.variable("status_flag");
        "rows".clone_into(&mut flags.dimensions[1]);
        flags.values = Values::Byte(vec![30; 176 * 119]);
    });
    let finer = finer.unwrap();
    let parts = ["wrong grid", "status_flag of 177 rows and 119 columns", "found 176 rows and 119 columns"];
    assert_says(drift(&finer), &finer, &parts);
}

#[test]
fn a_file_with_rows_for_columns_or_without_a_projection_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let swapped = layouts::changed(folder.path(), layouts::THICKNESS, |sample| {
        sample.variable("xc").set("axis", "Y");
    });
    let swapped = swapped.unwrap();
    assert_says(thickness(&swapped), &swapped, &["expected xc to be axis X, found axis Y"]);
    let unmapped = layouts::changed(folder.path(), layouts::THICKNESS, |sample| {
        sample.variable("analysis_sea_ice_thickness").unset("grid_mapping");
    });
    let unmapped = unmapped.unwrap();
    assert_says(
        thickness(&unmapped),
        &unmapped,
        &["analysis_sea_ice_thickness with an attribute grid_mapping"],
    );
}

#[test]
fn climate_records_are_refused_because_their_flags_mean_other_things() {
    let folder = tempfile::tempdir().unwrap();
    let by_name = layouts::concentration_of(folder.path(), "OSI-450-a", "3.0", "record.nc").unwrap();
    assert_says(
        concentration(&by_name),
        &by_name,
        &["product_id \"OSI-450-a\"", "OSI-401-d, OSI-408-a or OSI-408-g"],
    );
    let by_flags = layouts::changed(folder.path(), layouts::CONCENTRATION, |sample| {
        sample.variable("status_flag").set("flag_masks", vec![1_i32, 2, 4]);
    });
    let by_flags = by_flags.unwrap();
    assert_says(concentration(&by_flags), &by_flags, &["with the flags of a climate record"]);
}

#[test]
fn values_that_cannot_be_right_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let thick = layouts::changed(folder.path(), layouts::THICKNESS, |sample| {
        sample.variable("analysis_sea_ice_thickness").set("scale_factor", 1.0);
    });
    let thick = thick.unwrap();
    assert_says(
        thickness(&thick),
        &thick,
        &["analysis_sea_ice_thickness is not plausible", "thicknesses from 0 m to 20 m"],
    );
    let percent = layouts::changed(folder.path(), layouts::CONCENTRATION, |sample| {
        sample.variable("ice_conc").set("units", "1");
    });
    let percent = percent.unwrap();
    assert_says(concentration(&percent), &percent, &["ice_conc is not plausible", "fractions from 0 to 1"]);
    let none = layouts::changed(folder.path(), layouts::DRIFT, |sample| {
        sample.variable("status_flag").values = Values::Byte(vec![1; 177 * 119]);
    });
    let none = none.unwrap();
    assert_says(drift(&none), &none, &["dX is not plausible", "found no valid cell"]);
}

#[test]
fn a_file_without_its_variable_or_with_another_unit_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = layouts::changed(folder.path(), layouts::DRIFT, |sample: &mut Dataset| {
        sample.variables.retain(|variable| variable.name != "dX");
    });
    let path = path.unwrap();
    assert_says(drift(&path), &path, &["expected a variable dX, found none"]);
    let path =
        layouts::changed(folder.path(), layouts::DRIFT, |sample| sample.variable("dY").set("units", "mile"));
    let path = path.unwrap();
    assert_says(drift(&path), &path, &["dY is in \"mile\", expected km or m"]);
}

#[test]
fn the_known_grids_have_names_of_their_own() {
    let grids = [source::osisaf_100(), source::osisaf_625(), source::ease2_250(), source::ease2_125()];
    let names: Vec<String> = grids.into_iter().map(|grid| grid.unwrap().name).collect();
    assert_eq!(names, ["osisaf-100", "osisaf-625", "ease2-250", "ease2-125"]);
}
