//! The part of the corpus of bad files that is wrong in ways that have a name.

use std::fs;
use std::sync::Arc;

use netcdf::Options;

use super::bad_files::Expected::{self, Fails, Refused};
use super::bad_files::{Case, Sound};
use super::netcdf_copy::{Dataset, Values};
use super::sample_layouts as layouts;

/// More rows, columns or times than any memory holds.
const HUGE: usize = 1 << 31;

type Change = fn(&mut Dataset, &[&'static str]);

/// All of them.
pub(crate) fn spoiled() -> Vec<Case> {
    let [concentration, thickness, drift, classic_drift] = Sound::all();
    let products: [(&Arc<Sound>, &'static [&str], &[_]); 3] = [
        (&concentration, &["ice_conc"], &CONCENTRATION),
        (&thickness, &["analysis_sea_ice_thickness"], &THICKNESS),
        (&drift, &["dX", "dY"], &DRIFT),
    ];
    let mut cases = Vec::new();
    for (sound, variables, own) in products {
        cases.extend(as_bytes(sound));
        cases.extend(in_other_formats(sound));
        for changes in [&STRUCTURE[..], &TIMES, &UNITS_AND_PACKING, &VALUES, own] {
            cases.extend(changed(sound, variables, changes));
        }
    }
    cases.push(classic_drift.case("an axis named in no script", Refused("crashed"), without_script));
    cases
}

fn as_bytes(sound: &Arc<Sound>) -> Vec<Case> {
    vec![
        sound.case("empty", Refused("empty"), |_| Vec::new()),
        sound.case("a web page", Refused("html"), |_| b"<html>Sign in</html>".to_vec()),
        sound.case("compressed", Refused("not_netcdf"), |_| b"\x1f\x8b\x08\0\0\0\0\0".to_vec()),
        sound.case("its first bytes only", Refused("damaged"), |bytes| bytes[..8].to_vec()),
    ]
}

fn in_other_formats(sound: &Arc<Sound>) -> Vec<Case> {
    [
        ("NetCDF-4, written anew", Options::NETCDF4),
        ("classic", Options::empty()),
        ("classic with wide offsets", Options::_64BIT_OFFSET),
        ("classic with wide counts", Options::_64BIT_DATA),
    ]
    .map(|(what, format)| rewritten(sound, what, Expected::Sound, format, |_| {}))
    .into()
}

fn changed(
    sound: &Arc<Sound>,
    variables: &'static [&'static str],
    changes: &[(&str, Expected, Change)],
) -> Vec<Case> {
    let case = |&(what, expected, change): &(&str, Expected, Change)| {
        rewritten(sound, what, expected, Options::NETCDF4, move |file| change(file, variables))
    };
    changes.iter().map(case).collect()
}

fn rewritten(
    sound: &Arc<Sound>,
    what: &str,
    expected: Expected,
    format: Options,
    change: impl Fn(&mut Dataset) + 'static,
) -> Case {
    let (name, format) = (sound.name, format.bits());
    sound.case(what, expected, move |_| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        let mut dataset = Dataset::read(&layouts::sample(name)).unwrap();
        change(&mut dataset);
        dataset.write(&path, Options::from_bits_retain(format)).unwrap();
        fs::read(path).unwrap()
    })
}

const STRUCTURE: [(&str, Expected, Change); 9] = [
    ("moved by half a kilometre and more", Refused("wrong_grid"), |file, _| add(file, "xc", 5.0)),
    ("on the map of another ellipsoid", Refused("wrong_grid"), |file, _| {
        let mapping = file.variables.iter_mut().find(|variable| variable.has("proj4_string")).unwrap();
        mapping.set("proj4_string", "+proj=stere +a=6378137 +b=6356752.3 +lat_0=90 +lat_ts=70 +lon_0=-45");
    }),
    ("without rows", Refused("wrong_grid"), |file, _| resize(file, "yc", 0)),
    ("without times", Refused("layout"), |file, _| resize(file, "time", 0)),
    ("of 2^31 rows", Refused("wrong_grid"), |file, _| resize(file, "yc", HUGE)),
    ("of 2^31 columns", Refused("wrong_grid"), |file, _| resize(file, "xc", HUGE)),
    ("of 2^31 times", Refused("layout"), |file, _| resize(file, "time", HUGE)),
    ("with windows of 2^31 bounds", Refused("layout"), |file, _| resize(file, "nv", HUGE)),
    ("without its main variable", Refused("layout"), |file, names| {
        file.variables.retain(|variable| variable.name != names[0]);
    }),
];

const TIMES: [(&str, Expected, Change); 3] = [
    ("of the day after", Refused("wrong_date"), |file, _| add(file, "time_bnds", 86_400.0)),
    ("of a whole month", Refused("wrong_date"), |file, _| {
        let Values::Double(bounds) = &mut file.variable("time_bnds").values else {
            panic!("times are doubles")
        };
        bounds[0] -= 15.0 * 86_400.0;
        bounds[1] += 15.0 * 86_400.0;
    }),
    ("counted in fortnights", Refused("layout"), |file, _| {
        file.variable("time_bnds").set("units", "fortnights since 1978-01-01");
    }),
];

const UNITS_AND_PACKING: [(&str, Expected, Change); 6] = [
    ("in furlongs", Refused("unit"), |file, names| set(file, names, "units", "furlong")),
    ("without units", Refused("unit"), |file, names| {
        for name in names {
            file.variable(name).unset("units");
        }
    }),
    ("scaled by 0", Refused("layout"), |file, names| set(file, names, "scale_factor", 0.0)),
    ("scaled by NaN", Refused("layout"), |file, names| set(file, names, "scale_factor", f64::NAN)),
    ("scaled by a word", Refused("layout"), |file, names| set(file, names, "scale_factor", "ten")),
    ("moved by infinity", Refused("layout"), |file, names| set(file, names, "add_offset", f64::INFINITY)),
];

const VALUES: [(&str, Expected, Change); 1] =
    [("of missing values", Refused("implausible"), |file, names| {
        let attribute =
            &file.variable(names[0]).attributes.iter().find(|(name, _)| name == "_FillValue").unwrap().1;
        let missing = match attribute {
            netcdf::AttributeValue::Int(mark) => f64::from(*mark),
            netcdf::AttributeValue::Float(mark) => f64::from(*mark),
            other => panic!("{other:?}"),
        };
        fill(file, names, missing);
    })];

const CONCENTRATION: [(&str, Expected, Change); 12] = [
    ("of zeros", Fails("mean"), |file, names| fill(file, names, 0.0)),
    ("without its scale", Refused("implausible"), |file, _| file.variable("ice_conc").unset("scale_factor")),
    ("as fractions that are percent", Refused("implausible"), |file, names| set(file, names, "units", "1")),
    ("halved", Fails("mean_change_percent_per_day"), |file, names| set(file, names, "scale_factor", 0.005)),
    ("the same everywhere", Fails("standard_deviation"), |file, names| fill(file, names, 5000.0)),
    ("full of ice, land too", Fails("ice_on_land_percent"), |file, names| fill(file, names, 10_000.0)),
    ("half missing", Fails("valid_percent"), |file, _| {
        let Values::Int(values) = &mut file.variable("ice_conc").values else { panic!("packed") };
        let half = values.len() / 2;
        values[half..].fill(-999);
    }),
    ("with a flag that nobody knows", Fails("unknown_flag_percent"), |file, _| {
        add(file, "status_flag", 512.0);
    }),
    ("with flags that are none", Refused("implausible"), |file, _| add(file, "status_flag", 0.5)),
    ("without a word on its flags", Expected::Sound, |file, _| {
        file.variable("status_flag").unset("flag_descriptions");
    }),
    ("with land and lakes exchanged", Refused("unknown_flags"), |file, _| {
        let text = "bit 6 (100000): land; bit 7 (1000000): lake; bit 8 (10000000): near coast";
        file.variable("status_flag").set("flag_descriptions", text);
    }),
    ("with the flags of a climate record", Refused("unknown_product"), |file, _| {
        file.variable("status_flag").set("flag_masks", vec![1, 2, 4]);
    }),
];

const THICKNESS: [(&str, Expected, Change); 6] = [
    ("of zeros", Refused("implausible"), |file, names| fill(file, names, 0.0)),
    ("with open water of 0 m", Expected::Sound, |file, names| {
        let Values::Int(thickness) = &mut file.variable(names[0]).values else { panic!("packed") };
        thickness.iter_mut().filter(|value| **value <= 0).for_each(|value| *value = 0);
    }),
    ("without its scale", Refused("implausible"), |file, names| {
        file.variable(names[0]).unset("scale_factor");
    }),
    ("in kilometres", Refused("implausible"), |file, names| set(file, names, "units", "km")),
    ("doubled", Fails("mean_change_percent_per_day"), |file, names| set(file, names, "scale_factor", 0.002)),
    ("full of ice, land too", Fails("valid_percent"), |file, names| fill(file, names, 2000.0)),
];

const DRIFT: [(&str, Expected, Change); 9] = [
    ("of zeros", Fails("mean"), |file, names| fill(file, names, 0.0)),
    ("in metres", Fails("mean"), |file, names| set(file, names, "units", "m")),
    ("the same everywhere", Fails("standard_deviation"), |file, names| fill(file, names, 5.0)),
    ("on land", Fails("ice_on_land_percent"), |file, names| fill(file, names, 5.0)),
    ("on land, with flags that say nothing of it", Fails("valid_percent"), |file, names| {
        fill(file, names, 5.0);
        fill(file, &["status_flag"], 30.0);
        fill(file, &["uncert_dX_and_dY"], 1.0);
    }),
    ("with flags that nobody knows", Fails("unknown_flag_percent"), |file, _| {
        let Values::Byte(flags) = &mut file.variable("status_flag").values else { panic!("flags are bytes") };
        flags.iter_mut().filter(|flag| **flag < 20).for_each(|flag| *flag = 14);
    }),
    ("without a word on its flags", Expected::Sound, |file, _| {
        file.variable("status_flag").unset("flag_values");
        file.variable("status_flag").unset("flag_meanings");
    }),
    ("with flags without meanings", Refused("unknown_flags"), |file, _| {
        file.variable("status_flag").unset("flag_meanings");
    }),
    ("with the best flag for the worst", Refused("unknown_flags"), |file, _| {
        file.variable("status_flag")
            .set("flag_values", vec![30_i8, 1, 2, 3, 4, 10, 11, 12, 13, 20, 21, 22, 0]);
    }),
];

/// The binding of the NetCDF library panics over a dimension's name that is not UTF-8.
fn without_script(classic: &[u8]) -> Vec<u8> {
    let name = b"\0\0\0\x02xc\0\0";
    let at = classic.windows(name.len()).position(|window| window == name).unwrap();
    let mut bytes = classic.to_vec();
    bytes[at + 4..at + 6].copy_from_slice(b"\xff\xfe");
    bytes
}

fn add(file: &mut Dataset, variable: &str, difference: f64) {
    match &mut file.variable(variable).values {
        Values::Double(values) => values.iter_mut().for_each(|value| *value += difference),
        Values::Float(values) => values.iter_mut().for_each(|value| *value += difference as f32),
        _ => panic!("{variable} is of whole numbers"),
    }
}

fn set(
    file: &mut Dataset,
    variables: &[&str],
    attribute: &str,
    value: impl Into<netcdf::AttributeValue> + Clone,
) {
    for name in variables {
        file.variable(name).set(attribute, value.clone());
    }
}

fn fill(file: &mut Dataset, variables: &[&str], value: f64) {
    for name in variables {
        file.variable(name).values.fill(value);
    }
}

/// Gives a dimension another length, and takes their values from the variables along it.
fn resize(file: &mut Dataset, dimension: &str, length: usize) {
    file.dimensions.iter_mut().filter(|(name, _)| name == dimension).for_each(|(_, old)| *old = length);
    let along =
        file.variables.iter_mut().filter(|variable| variable.dimensions.iter().any(|name| name == dimension));
    along.for_each(|variable| variable.values.clear());
}
