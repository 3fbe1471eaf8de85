//! What holds for every format of an archive.

use super::*;

const FORMATS: [&'static dyn Format; 2] = [&Safetensors, &NetCdf];

fn sample() -> Sample {
    let field = |start: f32| Array2::from_shape_fn((2, 3), |(r, c)| start + (3 * r + c) as f32);
    let mut sample = Sample {
        concentration: field(0.0),
        effective_thickness_m: field(10.0),
        divergence_per_day: field(20.0),
        shear_per_day: field(30.0),
        low_concentration: field(40.0),
        low_effective_thickness_m: field(50.0),
        low_divergence_per_day: field(60.0),
        low_shear_per_day: field(70.0),
    };
    sample.low_shear_per_day[[1, 1]] = f32::NAN;
    sample.divergence_per_day[[0, 2]] = -1e-12;
    sample
}

fn provenance() -> Provenance {
    Provenance {
        origin: "numbers in a row, \"quoted\" and ümläuted".into(),
        thickness_definition: "effective".into(),
        degradation: "none".into(),
    }
}

fn coordinates() -> Coordinates {
    Coordinates { longitude: Array2::from_elem((2, 3), -45.5), latitude: Array2::from_elem((2, 3), 88.25) }
}

fn bits(values: &Array2<f32>) -> Array2<u32> {
    values.mapv(|value| if value.is_nan() { f32::NAN.to_bits() } else { value.to_bits() })
}

#[test]
fn a_day_is_read_as_it_was_written() {
    for format in FORMATS {
        let folder = tempfile::tempdir().unwrap();
        let days: Vec<ProductDay> = ["2001-01-02", "2001-01-01"].map(|day| day.parse().unwrap()).to_vec();
        let at = coordinates();
        for (&day, coordinates) in days.iter().zip([None, Some(&at)]) {
            let entry = Entry { sample: &sample(), provenance: &provenance(), coordinates };
            write_as(folder.path(), format, day, entry).unwrap();
        }
        let archive = Archive::open_as(folder.path(), format).unwrap();
        assert_eq!(archive.days().collect::<Vec<_>>(), [days[1], days[0]], "{format:?}");
        let (first, second) = (archive.read_day(0).unwrap(), archive.read_day(1).unwrap());
        assert_eq!((first.coordinates, second.coordinates), (Some(coordinates()), None), "{format:?}");
        assert_eq!(first.provenance, provenance(), "{format:?}");
        for ((name, written), (_, read)) in sample().fields().into_iter().zip(first.sample.fields()) {
            assert_eq!(bits(written), bits(read), "{format:?}: {name}");
        }
    }
}

#[test]
fn a_file_that_is_none_is_refused_by_its_name() {
    for format in FORMATS {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join(FOLDER)).unwrap();
        assert!(matches!(Archive::open_as(folder.path(), format), Err(ArchiveError::Empty { .. })));
        let name = format!("20010101.{}", format.suffix());
        fs::write(folder.path().join(FOLDER).join(&name), b"no fields").unwrap();
        let error = Archive::open_as(folder.path(), format).unwrap().read(0).unwrap_err();
        assert!(matches!(error, ArchiveError::Layout { .. }) && error.to_string().contains(&name), "{error}");
    }
}

#[test]
fn a_field_that_is_missing_or_of_another_shape_is_named() {
    let mut wrong = sample();
    wrong.low_concentration = Array2::zeros((3, 2));
    for format in FORMATS {
        let folder = tempfile::tempdir().unwrap();
        let entry = Entry { sample: &wrong, provenance: &provenance(), coordinates: None };
        let error = write_as(folder.path(), format, "2001-01-01".parse().unwrap(), entry).unwrap_err();
        assert!(error.to_string().contains("sic_reprocessed"), "{error}");
        assert!(!folder.path().join(FOLDER).exists());
    }
    let shear = |name: &str| match name {
        "shear" => Err("it has no variable shear".to_owned()),
        _ => Ok(Array2::zeros((2, 2))),
    };
    assert!(Sample::from_fields(shear).unwrap_err().contains("shear"));
}

#[test]
fn the_other_format_is_named_with_the_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let day = "2001-01-01".parse().unwrap();
    let entry = Entry { sample: &sample(), provenance: &provenance(), coordinates: None };
    write_as(folder.path(), &NetCdf, day, entry).unwrap();
    let error = Archive::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains(".nc") && error.contains("nilas archive convert"), "{error}");
}

/// A day as neXtSIM's archive may have it: a time, packed values, its own fill value, no word of provenance.
fn foreign(path: &Path) -> ::netcdf::Result<()> {
    let mut file = ::netcdf::create(path)?;
    for (name, length) in [("time", 1), ("y", 2), ("x", 2)] {
        file.add_dimension(name, length)?;
    }
    for name in FIELDS {
        let mut variable = file.add_variable::<f64>(name, &["time", "y", "x"])?;
        variable.set_fill_value(1e20)?;
        if name == "sic" {
            variable.put_attribute("scale_factor", 0.01)?;
        }
    }
    for name in FIELDS {
        if let Some(mut variable) = file.variable_mut(name) {
            variable.put_values(&[1.0_f64, f64::NAN, 1e20, 50.0], ..)?;
        }
    }
    file.close()
}

#[test]
fn a_foreign_archive_drops_in_and_its_silence_is_stated() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join(FOLDER)).unwrap();
    foreign(&folder.path().join(FOLDER).join("20201018.nc")).unwrap();
    let (sample, stated) = Archive::open_as(folder.path(), &NetCdf).unwrap().read(0).unwrap();
    assert_eq!(stated.thickness_definition, "effective");
    assert!(stated.origin.contains("says nothing of its origin"), "{}", stated.origin);
    let missing = sample.effective_thickness_m.mapv(f32::is_nan);
    assert_eq!(missing, ndarray::array![[false, true], [true, false]]);
    assert!((sample.effective_thickness_m[[1, 1]] - 50.0).abs() < 1e-6);
    assert!((sample.concentration[[1, 1]] - 0.5).abs() < 1e-6);
}

#[test]
fn half_of_a_statement_is_refused() {
    let entries = BTreeMap::from([("origin".to_owned(), "somewhere".to_owned())]);
    let error = Provenance::from_entries(&entries).unwrap_err();
    assert!(error.contains("thickness_definition"), "{error}");
}

#[test]
fn thickness_that_is_not_effective_is_refused_with_the_file() {
    let stated = Provenance { thickness_definition: "over ice".into(), ..provenance() };
    for format in FORMATS {
        let folder = tempfile::tempdir().unwrap();
        let entry = Entry { sample: &sample(), provenance: &stated, coordinates: None };
        let path = write_as(folder.path(), format, "2001-01-01".parse().unwrap(), entry).unwrap();
        let error = Archive::open_as(folder.path(), format).unwrap().read(0).unwrap_err();
        assert!(matches!(error, ArchiveError::ThicknessDefinition { .. }), "{error}");
        let said = error.to_string();
        assert!(said.contains(&path.display().to_string()) && said.contains("over ice"), "{said}");
    }
}
