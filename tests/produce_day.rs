//! One day through the programs, from its input files to what lies in the product root: whole, readable by others, checked,
//! numbered, and the same again from the same seed.

#![expect(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use common::demo_window::{DAY, on_the_demo_window, production, quick_production, repository, shared};
use common::folders::{copy_tree, files, tree};
use common::netcdf_copy::{Dataset, Values, open};
use common::nilas::Nilas;
use common::sample_layouts as layouts;
use common::tiny_window::TinyHouse;
use gdal::Metadata;
use gdal::spatial_ref::{CoordTransform, SpatialRef};
use ndarray::Array2;
use nilas::ensemble::{EDGE_TOLERANCE_M, INNER_TOLERANCE_M, SatelliteView};
use nilas::model::CheckpointInfo;
use nilas::sys;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde_json::Value;

/// What stands for no value in our NetCDF files.
const FILL: f32 = -9999.0;
/// Steps of rounding in the NetCDF files, m. The maps are not rounded.
const ROUNDING_M: f32 = 1.0 / 1024.0;
const MAPS: [&str; 6] = ["mean", "p10", "p50", "p90", "prob-thin", "spread"];

/// A product root with the first revision of the sample day: 2 members, 2 steps, from as many threads as there are.
static PRODUCTS: LazyLock<PathBuf> = LazyLock::new(|| {
    let products = shared("products");
    let run = production(DAY, &products, 2, 2).expect_code(0);
    assert!(run.stdout.starts_with("2022-04-15 revision 1, final\n"), "{}", run.stdout);
    products
});

fn revision() -> PathBuf {
    PRODUCTS.join("2022/04/15/r01")
}

fn map(name: &str) -> PathBuf {
    revision().join(format!("nilas_sit_epsg3413-3km_20220415_r01_{name}.tif"))
}

fn netcdf_in(revision: &Path) -> netcdf::File {
    let is_netcdf = |name: &String| Path::new(name).extension() == Some("nc".as_ref());
    let name = files(revision).into_iter().find(is_netcdf);
    open(&revision.join(name.expect("a NetCDF file")))
}

/// A field of a product, NaN where there is no value.
fn field(file: &netcdf::File, name: &str) -> Vec<f32> {
    let values: Vec<f32> = file.variable(name).unwrap().get_values(..).unwrap();
    values.into_iter().map(|value| if value.to_bits() == FILL.to_bits() { f32::NAN } else { value }).collect()
}

/// The members one after the other, m, NaN where there is no value.
fn members(file: &netcdf::File) -> Vec<f32> {
    let packed: Vec<i16> = file.variable("sea_ice_thickness").unwrap().get_values(..).unwrap();
    packed
        .into_iter()
        .map(|value| if value == i16::MIN { f32::NAN } else { f32::from(value) / 1024.0 })
        .collect()
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// What `latest.json` of a product root says: the paths of the newest and of the newest final revision.
fn latest(products: &Path) -> (Value, Value) {
    let latest = json(&products.join("latest.json"));
    (latest["newest"]["path"].clone(), latest["newest_final"]["path"].clone())
}

#[test]
fn the_product_root_holds_the_files_of_the_day_and_nothing_else() {
    let folder = "2022/04/15/r01/nilas_sit_";
    let maps = MAPS.map(|name| format!("{folder}epsg3413-3km_20220415_r01_{name}.tif"));
    let styles = MAPS.iter().map(|name| format!("{folder}epsg3413-3km_20220415_r01_{name}.qml"));
    let others = [
        ".nilas/lock",
        "2022/04/15/r01/manifest.json",
        "2022/04/15/r01/nilas_sit_demo-3km_20220415_r01.json",
        "2022/04/15/r01/nilas_sit_demo-3km_20220415_r01.nc",
        "2022/04/15/r01/nilas_sit_demo-3km_20220415_r01_regions.csv",
        "2022/04/15/r01/nilas_sit_epsg3413-3km_20220415_r01.png",
        "2022/04/15/r01/nilas_sit_epsg3413-3km_20220415_r01_class.qml",
        "2022/04/15/r01/nilas_sit_epsg3413-3km_20220415_r01_class.tif",
        "2022/04/15/r01/nilas_sit_epsg3413-3km_20220415_r01_legend.png",
        "2022/catalog.json",
        "animation.webp",
        "catalog.json",
        "collection.json",
        "latest.json",
    ];
    let mut expected: Vec<_> = maps.into_iter().chain(styles).chain(others.map(str::to_owned)).collect();
    expected.sort();
    let mut found = files(&PRODUCTS);
    // The map page is there where the programs were built with it.
    found.retain(|file| !file.starts_with("viewer/"));
    assert_eq!(found, expected);
    assert_eq!(latest(&PRODUCTS), ("2022/04/15/r01".into(), "2022/04/15/r01".into()));
}

#[test]
fn the_manifest_says_where_the_product_comes_from() {
    let manifest = json(&revision().join("manifest.json"));
    for (key, expected) in [
        ("day", Value::from(DAY)),
        ("revision", 1.into()),
        ("status", "final".into()),
        ("grid", "demo-3km".into()),
        ("members", 2.into()),
    ] {
        assert_eq!(manifest[key], expected, "{key}");
    }
    let lineage = &manifest["lineage"];
    let checkpoint = sys::sha256_of_file(&repository("models/small.safetensors")).unwrap();
    for (key, expected) in [
        ("seed", Value::from(1)),
        ("steps", 2.into()),
        ("sampler", "dpm-solver++".into()),
        ("time_grid", "log-snr".into()),
        ("calibration", Value::Null),
        ("input_perturbed", true.into()),
        ("degradation", Value::Null),
        ("device", "cpu".into()),
        ("checkpoint_sha256", checkpoint.into()),
    ] {
        assert_eq!(lineage[key], expected, "{key}");
    }
    let inputs = [
        ("concentration", layouts::CONCENTRATION),
        ("thickness", layouts::THICKNESS),
        ("drift", layouts::DRIFT),
    ];
    assert_eq!(lineage["inputs"].as_array().unwrap().len(), inputs.len());
    for (input, (role, name)) in lineage["inputs"].as_array().unwrap().iter().zip(inputs) {
        assert_eq!((&input["role"], &input["name"]), (&role.into(), &name.into()));
        assert_eq!(input["sha256"], sys::sha256_of_file(&layouts::sample(name)).unwrap(), "{name}");
        assert_eq!(input["age_days"], 0.0, "{name}");
    }
    let listed = manifest["files"].as_array().unwrap();
    assert_eq!(listed.len() + 1, files(&revision()).len());
    for file in listed {
        let path = revision().join(file["name"].as_str().unwrap());
        assert_eq!(file["bytes"], fs::metadata(&path).unwrap().len(), "{}", path.display());
        assert_eq!(file["sha256"], sys::sha256_of_file(&path).unwrap(), "{}", path.display());
    }
}

#[test]
fn verify_passes_it_and_notices_one_changed_byte_in_each_file() {
    let verify = |folder: &Path| Nilas::new("verify").arg(folder);
    let run = verify(&revision()).expect_code(0);
    assert!(!run.stdout.contains("WRONG"), "{}", run.stdout);

    let copy = tempfile::tempdir().unwrap();
    copy_tree(&revision(), copy.path());
    let names = files(copy.path());
    assert_eq!(names.len(), 20);
    for name in names {
        let path = copy.path().join(&name);
        let bytes = fs::read(&path).unwrap();
        let mut changed = bytes.clone();
        changed[bytes.len() / 2] ^= 1;
        fs::write(&path, &changed).unwrap();
        let run = verify(copy.path()).expect_code(5);
        let [sentence] = run.said()[..] else { panic!("one sentence, not {:?}", run.said()) };
        if name == "manifest.json" {
            assert!(sentence.contains("manifest.json"), "{sentence}");
        } else {
            let wrong: Vec<_> = run.stdout.lines().filter(|line| line.starts_with("WRONG")).collect();
            assert!(matches!(wrong[..], [line] if line.contains(&name)), "{name}: {wrong:?}");
        }
        fs::write(&path, &bytes).unwrap();
    }
    verify(copy.path()).expect_code(0);
}

#[test]
fn the_netcdf_file_has_what_users_need_on_the_grid() {
    let file = netcdf_in(&revision());
    for (name, dimensions, shape) in [
        ("sea_ice_thickness", &["realization", "y", "x"][..], &[2, 816, 384][..]),
        ("sea_ice_thickness_mean", &["y", "x"], &[816, 384]),
        ("sea_ice_thickness_spread", &["y", "x"], &[816, 384]),
        ("sea_ice_thickness_spread_fine_scales", &["y", "x"], &[816, 384]),
        ("sea_ice_thickness_spread_input", &["y", "x"], &[816, 384]),
        ("sea_ice_thickness_low_resolution_uncertainty", &["y", "x"], &[816, 384]),
        ("sea_ice_thickness_over_ice_mean", &["y", "x"], &[816, 384]),
        ("sea_ice_thickness_p10", &["y", "x"], &[816, 384]),
        ("sea_ice_thickness_p50", &["y", "x"], &[816, 384]),
        ("sea_ice_thickness_p90", &["y", "x"], &[816, 384]),
        ("sea_ice_area_fraction", &["y", "x"], &[816, 384]),
        ("status_flag", &["y", "x"], &[816, 384]),
        ("lat", &["y", "x"], &[816, 384]),
        ("lon", &["y", "x"], &[816, 384]),
        ("crs", &[], &[]),
    ] {
        let variable = file.variable(name).unwrap_or_else(|| panic!("a variable {name}"));
        let found: Vec<_> = variable.dimensions().iter().map(netcdf::Dimension::name).collect();
        assert_eq!(found, dimensions, "{name}");
        let lengths: Vec<_> = variable.dimensions().iter().map(netcdf::Dimension::len).collect();
        assert_eq!(lengths, shape, "{name}");
        if shape.len() > 1 && !["lat", "lon"].contains(&name) {
            let mapping = variable.attribute("grid_mapping").unwrap().value().unwrap();
            assert_eq!(mapping, "crs".into(), "{name}");
        }
    }
}

/// The spread of two members is half of their difference times the root of two, and so for each of its parts.
#[test]
fn the_parts_of_the_spread_stand_beside_the_whole() {
    let file = netcdf_in(&revision());
    let mean = |name: &str| {
        let values: Vec<_> = field(&file, name).into_iter().filter(|value| !value.is_nan()).collect();
        values.iter().map(|value| f64::from(*value)).sum::<f64>() / values.len() as f64
    };
    let stated = mean("sea_ice_thickness_low_resolution_uncertainty");
    assert!((0.05..1.0).contains(&stated), "{stated}");
    let input = mean("sea_ice_thickness_spread_input");
    assert!((0.3..1.2).contains(&(input / stated)), "{input} where {stated} is stated");
    assert!(mean("sea_ice_thickness_spread") > input);
    assert!(mean("sea_ice_thickness_spread_fine_scales") > 0.01);
}

#[test]
fn members_show_satellites_what_the_satellites_showed() {
    let products = shared("products-unperturbed");
    production(DAY, &products, 2, 4).arg("--no-input-uncertainty").expect_code(0);
    let file = netcdf_in(&products.join("2022/04/15/r01"));
    let shape = (816, 384);
    let on_grid = |values: Vec<f32>| Array2::from_shape_vec(shape, values).unwrap();
    let low = on_grid(field(&file, "sea_ice_thickness_low_resolution"));
    let concentration = on_grid(field(&file, "sea_ice_area_fraction"));
    let members = members(&file);
    for member in members.chunks_exact(shape.0 * shape.1) {
        let member = on_grid(member.to_vec());
        let mask = member.mapv(|value| !value.is_nan());
        let found = SatelliteView::of_day(&mask, concentration.view()).difference(member.view(), low.view());
        assert!(found.inner_m < INNER_TOLERANCE_M && found.edge_m < EDGE_TOLERANCE_M, "{found:?}");
        assert!(found.inner_m > 0.0, "a member has detail");
    }
    assert!(file.variable("sea_ice_thickness_spread_input").is_none());
    let manifest = json(&products.join("2022/04/15/r01/manifest.json"));
    assert_eq!(manifest["lineage"]["degradation"], Value::Null, "what was not wanted is not missed");
}

#[test]
fn a_thickness_whose_uncertainty_cannot_be_read_makes_a_product_that_says_so() {
    let root = tempfile::tempdir().unwrap();
    let inputs = root.path().join("inputs");
    copy_tree(&repository("tests/data/sample-day"), &inputs);
    layouts::changed(&inputs, layouts::THICKNESS, |sample| {
        sample.variable("analysis_sea_ice_thickness_unc").set("units", "parsec");
    })
    .unwrap();
    let products = root.path().join("products");
    quick_production(DAY, &products)
        .option("--inputs", &inputs)
        .expecting("without the uncertainty of the thickness")
        .expect_code(0);
    let revision = products.join("2022/04/15/r01");
    let lineage = &json(&revision.join("manifest.json"))["lineage"];
    assert_eq!(lineage["input_perturbed"], Value::from(false));
    let said = lineage["degradation"].as_str().unwrap();
    assert!(said.contains("without the uncertainty of the thickness"), "{said}");
    let file = netcdf_in(&revision);
    assert_eq!(file.attribute("degradation").unwrap().value().unwrap(), said.into());
    for absent in ["sea_ice_thickness_spread_input", "sea_ice_thickness_low_resolution_uncertainty"] {
        assert!(file.variable(absent).is_none(), "{absent}");
    }
}

#[test]
fn a_thickness_whose_flags_are_in_other_words_makes_a_product_that_says_so() {
    let root = tempfile::tempdir().unwrap();
    let inputs = root.path().join("inputs");
    copy_tree(&repository("tests/data/sample-day"), &inputs);
    layouts::changed(&inputs, layouts::THICKNESS, |sample| {
        let meanings = "both altimetry_only radiometry_only gap_filled";
        layouts::add_quality_flag(sample, "analysis_sea_ice_thickness", meanings);
    })
    .unwrap();
    let products = root.path().join("products");
    let expected = "without knowing where the provider interpolated the thickness";
    quick_production(DAY, &products).option("--inputs", &inputs).expecting(expected).expect_code(0);
    let manifest = json(&products.join("2022/04/15/r01/manifest.json"));
    let said = manifest["lineage"]["degradation"].as_str().unwrap();
    assert!(said.contains(expected) && !said.contains("; and "), "{said}");
}

#[test]
fn a_spread_that_was_fitted_for_another_sampler_makes_a_product_that_says_so() {
    let root = tempfile::tempdir().unwrap();
    let house = TinyHouse::new(root.path(), &[("calibrate = false", "calibrate = true")]).delivered();
    let produce =
        |steps: &str| house.nilas("produce").option("--date", house.day.to_string()).option("--steps", steps);
    let expected = "drawn with a sampler that its spread was not fitted for";
    produce("10").expect_code(0);
    produce("2").expecting(expected).expect_code(0);

    let info = CheckpointInfo::read(&repository("models/small.safetensors")).unwrap();
    // As text, where single precision has few digits.
    let calibration = serde_json::to_string(&info.calibration.unwrap()).unwrap();
    let calibration: Value = serde_json::from_str(&calibration).unwrap();
    let revisions = house.revisions();
    let [fitted, other] = &revisions[..] else { panic!("{revisions:?}") };
    let lineage = |revision: &Path| json(&revision.join("manifest.json"))["lineage"].clone();
    let (as_fitted, as_drawn) = (lineage(fitted), lineage(other));
    assert_eq!((&as_fitted["calibration"], &as_fitted["degradation"]), (&calibration, &Value::Null));
    assert_eq!(as_drawn["calibration"], calibration);
    let said = as_drawn["degradation"].as_str().unwrap();
    assert!(said.contains(expected), "{said}");
    assert_eq!(netcdf_in(other).attribute("degradation").unwrap().value().unwrap(), said.into());
}

#[test]
fn ice_is_thicker_north_of_greenland_than_in_the_laptev_sea() {
    let file = netcdf_in(&revision());
    let thickness = field(&file, "sea_ice_thickness_mean");
    let lat: Vec<f64> = file.variable("lat").unwrap().get_values(..).unwrap();
    let lon: Vec<f64> = file.variable("lon").unwrap().get_values(..).unwrap();
    let mean = |south, north, west, east| {
        let inside = |cell: &usize| {
            (south..north).contains(&lat[*cell])
                && (west..east).contains(&lon[*cell])
                && !thickness[*cell].is_nan()
        };
        let cells: Vec<_> = (0..thickness.len()).filter(inside).collect();
        assert!(cells.len() > 1000, "{} cells of ice at {south} N, {west} E", cells.len());
        cells.iter().map(|cell| f64::from(thickness[*cell])).sum::<f64>() / cells.len() as f64
    };
    let (greenland, laptev) = (mean(83.5, 84.5, -50.0, -30.0), mean(75.0, 77.0, 110.0, 130.0));
    assert!(greenland > laptev + 0.5, "north of Greenland {greenland} m, Laptev Sea {laptev} m");
}

#[test]
fn the_maps_are_what_a_gis_expects() {
    for name in MAPS {
        let map = gdal::Dataset::open(map(name)).unwrap();
        assert_eq!(map.spatial_ref().unwrap().auth_code().unwrap(), 3413, "{name}");
        let band = map.rasterband(1).unwrap();
        assert!(band.overview_count().unwrap() > 0, "{name}");
        assert!(band.no_data_value().unwrap().is_nan(), "{name}");
        let statistic = |key: &str| band.metadata_item(key, "").unwrap().parse::<f64>().unwrap();
        let stated = ["STATISTICS_MINIMUM", "STATISTICS_MEAN", "STATISTICS_MAXIMUM"].map(statistic);

        let pixels = band.read_band_as::<f32>().unwrap();
        let valid = || pixels.data().iter().filter(|value| !value.is_nan()).map(|value| f64::from(*value));
        let mean = valid().sum::<f64>() / valid().count() as f64;
        let found = [valid().fold(f64::INFINITY, f64::min), mean, valid().fold(f64::NEG_INFINITY, f64::max)];
        assert!(stated.iter().zip(found).all(|(stated, found)| (stated - found).abs() < 1e-6), "{name}");

        let [lowest, mean, highest] = found;
        let thinnest_mean = match name {
            "spread" => 0.05,
            "prob-thin" => 0.001,
            _ => 0.3,
        };
        assert!((0.0..=8.0).contains(&lowest) && mean > thinnest_mean && mean < 4.0, "{name}: {found:?}");
        // Two steps of the sampler leave tails that forty do not, and two members have nothing between them and the ends.
        let limit = if name == "p90" { 15.0 } else { 8.0 };
        assert!(highest <= limit, "{name}: {found:?}");
    }
}

#[test]
fn every_class_of_the_map_has_its_colour_and_ice_lies_where_the_mean_does() {
    let (classes, mean) =
        (gdal::Dataset::open(map("class")).unwrap(), gdal::Dataset::open(map("mean")).unwrap());
    let band = classes.rasterband(1).unwrap();
    assert_eq!(band.no_data_value(), Some(255.0));
    assert_eq!(band.color_table().unwrap().entry_count(), 256);
    let classes = band.read_band_as::<u8>().unwrap();
    let mean = mean.rasterband(1).unwrap().read_band_as::<f32>().unwrap();
    let ice = |class: u8| (4..=10).contains(&class);
    let differ = classes.data().iter().zip(mean.data()).filter(|(class, mean)| ice(**class) == mean.is_nan());
    // The mean is interpolated where half of the weight has a value, classes are those of the nearest cell.
    let share = differ.count() as f64 / mean.len() as f64;
    assert!(share < 0.01, "{share}");
    let mut cells = [0; 256];
    classes.data().iter().for_each(|class| cells[usize::from(*class)] += 1);
    assert!([1, 2, 9].into_iter().all(|class| cells[class] > 1000), "{cells:?}");
}

/// Places that a GIS finds from the map's own georeference and the NetCDF file's `crs` must show the same thickness.
#[test]
fn the_maps_and_the_netcdf_file_agree_at_random_places() {
    let file = netcdf_in(&revision());
    let wkt = file.variable("crs").unwrap().attribute("crs_wkt").unwrap().value().unwrap();
    let netcdf::AttributeValue::Str(wkt) = wkt else { panic!("crs_wkt is text") };
    let x: Vec<f64> = file.variable("x").unwrap().get_values(..).unwrap();
    let y: Vec<f64> = file.variable("y").unwrap().get_values(..).unwrap();
    let thickness = field(&file, "sea_ice_thickness_mean");
    let map = gdal::Dataset::open(map("mean")).unwrap();
    let to_grid =
        CoordTransform::new(&map.spatial_ref().unwrap(), &SpatialRef::from_wkt(&wkt).unwrap()).unwrap();
    let [left, width, _, top, _, height] = map.geo_transform().unwrap();
    let band = map.rasterband(1).unwrap();
    let pixels = band.read_band_as::<f32>().unwrap();

    let mut random = ChaCha20Rng::seed_from_u64(1);
    let mut compared = 0;
    while compared < 200 {
        let column = random.next_u32() as usize % band.x_size();
        let row = random.next_u32() as usize % band.y_size();
        let value = pixels.data()[row * band.x_size() + column];
        let (mut at_x, mut at_y) =
            ([left + width * (column as f64 + 0.5)], [top + height * (row as f64 + 0.5)]);
        to_grid.transform_coords(&mut at_x, &mut at_y, &mut []).unwrap();
        let (before_column, before_row) =
            (((at_x[0] - x[0]) / (x[1] - x[0])).floor(), ((at_y[0] - y[0]) / (y[1] - y[0])).floor());
        let inside = (0.0..(x.len() - 1) as f64).contains(&before_column)
            && (0.0..(y.len() - 1) as f64).contains(&before_row);
        if !inside {
            continue;
        }
        let (before_column, before_row) = (before_column as usize, before_row as usize);
        let around: Vec<f32> = [(0, 0), (0, 1), (1, 0), (1, 1)]
            .into_iter()
            .map(|(down, across)| thickness[(before_row + down) * x.len() + before_column + across])
            .filter(|value| !value.is_nan())
            .collect();
        let place = format!("column {column}, row {row}: {value} among {around:?}");
        match around.len() {
            0 => assert!(value.is_nan(), "{place}"),
            4 => assert!(!value.is_nan(), "{place}"),
            _ => {}
        }
        if !value.is_nan() {
            let lowest = around.iter().copied().fold(f32::INFINITY, f32::min);
            let highest = around.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            assert!((lowest - ROUNDING_M..=highest + ROUNDING_M).contains(&value), "{place}");
            compared += 1;
        }
    }
}

#[test]
fn members_do_not_depend_on_how_many_there_are_nor_on_batch_and_threads() {
    let products = tempfile::tempdir().unwrap();
    production(DAY, products.path(), 3, 2)
        .option("--threads", "1")
        .option("--batch", "2")
        .option("--seed", "1")
        .expect_code(0);
    let members = |revision: &Path, number: usize| -> Vec<i16> {
        let file = netcdf_in(revision);
        file.variable("sea_ice_thickness").unwrap().get_values((number, .., ..)).unwrap()
    };
    let other = products.path().join("2022/04/15/r01");
    for number in 0..2 {
        assert!(members(&revision(), number) == members(&other, number), "member {number} differs");
    }
    assert!(members(&other, 0) != members(&other, 1) && members(&other, 1) != members(&other, 2));
}

#[test]
fn a_day_produced_again_is_a_new_revision_and_an_older_day_never_moves_latest_back() {
    let root = tempfile::tempdir().unwrap();
    let products = root.path().join("products");
    copy_tree(&PRODUCTS, &products);
    let first = tree(&products.join("2022/04/15/r01"));
    let run = quick_production(DAY, &products).expect_code(0);
    assert!(run.stdout.starts_with("2022-04-15 revision 2, final\n"), "{}", run.stdout);
    assert_eq!(latest(&products), ("2022/04/15/r02".into(), "2022/04/15/r02".into()));
    assert_eq!(tree(&products.join("2022/04/15/r01")), first);

    let inputs = root.path().join("inputs");
    fs::create_dir(&inputs).unwrap();
    the_day_before(&inputs);
    let run = quick_production("2022-04-14", &products).option("--inputs", &inputs).expect_code(0);
    assert!(run.stdout.starts_with("2022-04-14 revision 1, final\n"), "{}", run.stdout);
    assert_eq!(latest(&products), ("2022/04/15/r02".into(), "2022/04/15/r02".into()));
}

/// Inputs of 2022-04-14: the drift of that day, and the others of the sample day under another date.
fn the_day_before(folder: &Path) {
    let drift = "ice_drift_nh_polstere-625_multi-oi_202204131200-202204151200.nc";
    fs::copy(layouts::sample(drift), folder.join(drift)).unwrap();
    for (name, earlier) in [
        (layouts::CONCENTRATION, layouts::CONCENTRATION.replace("20220415", "20220414")),
        (
            layouts::THICKNESS,
            layouts::THICKNESS.replace("20220412", "20220411").replace("20220418", "20220417"),
        ),
    ] {
        let path = layouts::changed(folder, name, |sample| {
            a_day_earlier(sample, "time");
            a_day_earlier(sample, "time_bnds");
        });
        fs::rename(path.unwrap(), folder.join(earlier)).unwrap();
    }
}

fn a_day_earlier(sample: &mut Dataset, name: &str) {
    let Values::Double(seconds) = &mut sample.variable(name).values else { panic!("{name} is double") };
    for value in seconds {
        *value -= 86_400.0;
    }
}

#[test]
fn with_drift_that_ends_on_the_day_the_product_is_provisional_and_says_so_everywhere() {
    let root = tempfile::tempdir().unwrap();
    let (inputs, products) = (root.path().join("inputs"), root.path().join("products"));
    fs::create_dir(&inputs).unwrap();
    let drift = "ice_drift_nh_polstere-625_multi-oi_202204131200-202204151200.nc";
    for name in [layouts::CONCENTRATION, layouts::THICKNESS, drift] {
        fs::copy(layouts::sample(name), inputs.join(name)).unwrap();
    }
    let run = quick_production(DAY, &products).option("--inputs", &inputs).expect_code(0);
    assert!(run.stdout.starts_with("2022-04-15 revision 1, PROVISIONAL\n"), "{}", run.stdout);
    assert_eq!(latest(&products), ("2022/04/15/r01".into(), Value::Null));

    let revision = products.join("2022/04/15/r01");
    let manifest = json(&revision.join("manifest.json"));
    assert_eq!(manifest["status"], "provisional");
    let ages: Vec<_> =
        manifest["lineage"]["inputs"].as_array().unwrap().iter().map(|input| &input["age_days"]).collect();
    assert_eq!(ages, [0.0, 0.0, 1.0], "of concentration, thickness and drift");
    let file = netcdf_in(&revision);
    let age: f64 = file.variable("drift_age").unwrap().get_value(..).unwrap();
    assert!((age - 1.0).abs() < 1e-9, "{age}");
    let every_flag =
        |file: &netcdf::File| -> Vec<i32> { file.variable("status_flag").unwrap().get_values(..).unwrap() };
    let (provisional, aged_drift, aged_thickness) = (64, 128, 256);
    let whole_product = provisional | aged_drift | aged_thickness;
    assert!(every_flag(&file).iter().all(|flags| flags & whole_product == provisional | aged_drift));
    assert!(every_flag(&netcdf_in(&self::revision())).iter().all(|flags| flags & whole_product == 0));
    Nilas::new("verify").arg(&revision).expect_code(0);
}

#[test]
fn what_cannot_be_asked_for_is_refused_with_the_name_of_it() {
    for (run, expected) in [
        (Nilas::new("nosuch"), "nilas: there is no verb \"nosuch\""),
        (Nilas::new("produce").arg("--nosuch"), "error: unexpected argument '--nosuch'"),
        (Nilas::new("produce").option("--date", "yesterday"), "error: invalid value 'yesterday' for '--date"),
        (Nilas::new("produce"), "error: the following required arguments were not provided"),
    ] {
        let run = run.expecting(expected).expect_code(2);
        assert!(run.stderr.starts_with(expected) && run.stdout.is_empty(), "{}", run.stderr);
        // By the name that people call, also where another binary answers.
        assert!(!run.stderr.contains("nilas-engine"), "{}", run.stderr);
    }
}

#[test]
fn what_is_wrong_in_the_configuration_is_named_with_its_file_and_key() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("wrong.toml");
    let config = fs::read_to_string(repository("config/demo.toml")).unwrap();
    for (right, wrong, expected) in [
        ("members = 8", "membres = 8", "membres"),
        ("seed = 1", "seed = \"one\"", "seed = \"one\""),
        ("#steps = 10", "steps = 0", "ensemble.steps = 0: give at least 1"),
        ("fill_reach_km = 150.0", "", "fill_reach_km"),
    ] {
        let changed = config.replace(right, wrong);
        assert_ne!(changed, config, "{right}");
        fs::write(&path, changed).unwrap();
        let file = format!("nilas: configuration {}", path.display());
        let run = Nilas::new("produce")
            .option("--config", &path)
            .option("--date", DAY)
            .expecting(&file)
            .expecting(expected)
            .expect_code(2);
        assert!(run.stderr.starts_with(&file) && run.stdout.is_empty(), "{}", run.stderr);
    }
    let run = on_the_demo_window("produce")
        .option("--date", DAY)
        .option("--products", root.path())
        .option("--members", "1")
        .expect_code(2);
    let [sentence] = run.said()[..] else { panic!("one sentence, not {:?}", run.said()) };
    assert!(sentence.contains("ensemble.members = 1: a spread needs at least 2 members"), "{sentence}");
}

#[test]
fn bfloat16_is_used_where_the_processor_has_it_and_the_product_says_what_was() {
    let root = tempfile::tempdir().unwrap();
    let house = TinyHouse::new(root.path(), &[]);
    house.deliver();
    let has = std::fs::read_to_string("/proc/cpuinfo").unwrap().contains("avx512_bf16");
    let mut run =
        house.nilas("produce").option("--date", house.day.to_string()).option("--precision", "bf16");
    if !has {
        run = run.expecting("no instructions for bfloat16");
    }
    run.expect_code(0);
    let netcdf = netcdf_in(&house.revisions()[0]);
    let Ok(netcdf::AttributeValue::Str(precision)) = netcdf.attribute("precision").unwrap().value() else {
        panic!("the precision is a text")
    };
    assert_eq!(precision, if has { "bf16" } else { "f32" });
}

#[test]
fn benchmarks_print_json_and_leave_nothing() {
    let call = Nilas::new("bench")
        .arg("model")
        .arg(repository("models/small.safetensors"))
        .option("--device", "cpu")
        .option("--rows", "48")
        .option("--columns", "40")
        .option("--calls", "3")
        .option("--members", "2")
        .option("--steps", "2")
        .expect_code(0);
    let call: Value = serde_json::from_str(&call.stdout).unwrap();
    assert_eq!(call["seconds"].as_array().unwrap().len(), 3);
    assert!(call["members"]["seconds"].as_f64().unwrap() > 0.0);

    let root = tempfile::tempdir().unwrap();
    let house = TinyHouse::new(root.path(), &[]);
    house.deliver();
    let pipeline = Nilas::new("bench")
        .arg("pipeline")
        .option("--config", house.configuration())
        .option("--date", house.day.to_string())
        .option("--repeats", "2")
        .option("--members", "2")
        .option("--steps", "1")
        .expect_code(0);
    let pipeline: Value = serde_json::from_str(&pipeline.stdout).unwrap();
    for figures in ["features_cold_seconds", "features_warm_seconds", "productions"] {
        assert_eq!(pipeline[figures].as_array().unwrap().len(), 2, "{figures}");
    }
    assert!(pipeline["productions"][0]["stages"]["publish"].as_f64().unwrap() > 0.0);
    assert_eq!(house.revisions().len(), 0, "nothing was published");
    let cache = fs::read_dir(house.config().folders.cache).unwrap();
    let left: Vec<_> = cache.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert!(!left.iter().any(|name| name.contains("bench") || name.starts_with('.')), "{left:?}");
}
