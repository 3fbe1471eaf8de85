//! What publishing promises: whole revisions or nothing, and every changed byte is noticed.

use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use ::netcdf::AttributeValue;
use chrono::DateTime;
use ndarray::{Array2, ArrayView2};

use crate::ensemble::MemberStore;
use crate::quality::{Checked, check};
use crate::sys::warnings;

use super::synthetic::Synthetic;
use super::*;

/// Gives the members of another store until one cannot be read.
struct Failing<'a> {
    members: &'a dyn MemberStore,
    first_unreadable: usize,
}

impl MemberStore for Failing<'_> {
    fn append(&mut self, _: ArrayView2<'_, f32>) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn len(&self) -> usize {
        self.members.len()
    }

    fn rows(&self, member: usize, rows: Range<usize>) -> io::Result<Array2<f32>> {
        if member < self.first_unreadable {
            self.members.rows(member, rows)
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }
}

/// Everything below `root` that is neither under `.nilas` nor the map page, with its bytes.
fn visible(root: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.ends_with(".nilas") || path.ends_with("viewer") {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push((path.clone(), fs::read(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

fn published(root: &Path) -> Published {
    let synthetic = Synthetic::new(40);
    let product = synthetic.product();
    let revision = highest_revision(root, product.day).unwrap() + 1;
    publish(root, &product, revision, &Bar::hidden()).unwrap()
}

/// What a NetCDF file says of itself, as `ncdump -h` shows it. The projection in WKT is left out, for each version of PROJ words it anew.
fn header(path: &Path) -> String {
    let file = ::netcdf::open(path).unwrap();
    let shown = |attribute: ::netcdf::Attribute<'_>| match (attribute.name(), attribute.value().unwrap()) {
        (name @ ("crs_wkt" | "spatial_ref"), _) => format!("    {name}"),
        // Mathematical libraries differ in the last digits.
        (name, AttributeValue::Double(value)) => format!("    {name} = Double({value:.6})"),
        (name, value) => format!("    {name} = {value:?}"),
    };
    let mut lines: Vec<_> =
        file.dimensions().map(|dimension| format!("{} = {}", dimension.name(), dimension.len())).collect();
    for variable in file.variables() {
        let dimensions: Vec<_> = variable.dimensions().iter().map(::netcdf::Dimension::name).collect();
        lines.push(format!("{:?} {}({})", variable.vartype(), variable.name(), dimensions.join(", ")));
        lines.extend(variable.attributes().map(shown));
    }
    lines.push("global".to_owned());
    lines.extend(file.attributes().map(shown));
    lines.join("\n").replace(env!("CARGO_PKG_VERSION"), "VERSION") + "\n"
}

/// Whoever reads the files relies on every word of it. What is changed on purpose is changed in the golden file, too.
#[test]
fn a_product_says_of_itself_what_it_always_said() {
    let root = tempfile::tempdir().unwrap();
    let published = published(root.path());
    let header = header(&published.folder.join("nilas_sit_test_20260301_r01.nc"));
    let golden = Path::new("tests/data/golden/product_header.txt");
    let expected = fs::read_to_string(golden).unwrap();
    let differs = |(line, (is, was)): (usize, (&str, &str))| {
        (is != was).then(|| format!("line {}: {is}\n    it was: {was}", line + 1))
    };
    let differences: Vec<_> = header.lines().zip(expected.lines()).enumerate().filter_map(differs).collect();
    assert!(header == expected, "{}\n{header}", differences.join("\n"));
}

#[test]
fn a_published_revision_is_read_back_without_a_fault() {
    let root = tempfile::tempdir().unwrap();
    let published = published(root.path());
    assert_eq!(published.folder, root.path().join("2026/03/01/r01"));
    let names: Vec<_> = published.files.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "nilas_sit_epsg3413-3km_20260301_r01.png",
            "nilas_sit_epsg3413-3km_20260301_r01_class.qml",
            "nilas_sit_epsg3413-3km_20260301_r01_class.tif",
            "nilas_sit_epsg3413-3km_20260301_r01_legend.png",
            "nilas_sit_epsg3413-3km_20260301_r01_mean.qml",
            "nilas_sit_epsg3413-3km_20260301_r01_mean.tif",
            "nilas_sit_epsg3413-3km_20260301_r01_p10.qml",
            "nilas_sit_epsg3413-3km_20260301_r01_p10.tif",
            "nilas_sit_epsg3413-3km_20260301_r01_p50.qml",
            "nilas_sit_epsg3413-3km_20260301_r01_p50.tif",
            "nilas_sit_epsg3413-3km_20260301_r01_p90.qml",
            "nilas_sit_epsg3413-3km_20260301_r01_p90.tif",
            "nilas_sit_epsg3413-3km_20260301_r01_prob-thin.qml",
            "nilas_sit_epsg3413-3km_20260301_r01_prob-thin.tif",
            "nilas_sit_epsg3413-3km_20260301_r01_spread.qml",
            "nilas_sit_epsg3413-3km_20260301_r01_spread.tif",
            "nilas_sit_test_20260301_r01.json",
            "nilas_sit_test_20260301_r01.nc",
            "nilas_sit_test_20260301_r01_regions.csv",
        ]
    );
    let read = read_back(&published.folder).unwrap();
    assert_eq!(read.violations, []);
    assert_eq!(read.manifest.figures, published.figures);
    let fields = read.fields.unwrap();
    assert_eq!(fields.wrong_member_cells, 0);
    assert_eq!(published.figures.ice_cells, fields.mask.iter().filter(|&&ice| ice).count());
    let checked = Checked {
        mask: fields.mask.view(),
        mean_m: fields.mean_m.view(),
        spread_m: fields.spread_m.view(),
        quantiles: &fields.quantiles,
    };
    assert!(check(&checked).iter().all(crate::quality::Finding::passed));
}

#[test]
fn one_changed_byte_in_any_file_is_found() {
    let root = tempfile::tempdir().unwrap();
    let published = published(root.path());
    // Of every kind one: the maps are alike.
    let alike =
        |path: &PathBuf| ["_p10", "_p50", "_p90"].iter().any(|kind| path.to_string_lossy().contains(kind));
    for (path, bytes) in visible(&published.folder).into_iter().filter(|(path, _)| !alike(path)) {
        for position in [0, bytes.len() / 2, bytes.len() - 1] {
            let mut changed = bytes.clone();
            changed[position] ^= 1;
            fs::write(&path, &changed).unwrap();
            let found = read_back(&published.folder);
            assert!(found.is_err() || !found.unwrap().violations.is_empty(), "{} {position}", path.display());
        }
        fs::write(&path, &bytes).unwrap();
    }
    assert_eq!(read_back(&published.folder).unwrap().violations, []);
}

#[test]
fn a_changed_word_of_the_manifest_is_found() {
    let root = tempfile::tempdir().unwrap();
    let manifest = published(root.path()).folder.join("manifest.json");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.replace("\"seed\": 1", "\"seed\": 2")).unwrap();
    assert!(matches!(read_manifest(manifest.parent().unwrap()), Err(ManifestError::Changed { .. })));
}

/// Writes a manifest with the digest that belongs to it, as anybody could.
fn forge(folder: &Path, manifest: &Manifest) {
    let mut manifest = Manifest { manifest_sha256: String::new(), ..manifest.clone() };
    let text = |manifest: &Manifest| serde_json::to_string_pretty(manifest).unwrap();
    manifest.manifest_sha256 = sys::sha256(text(&manifest));
    fs::write(folder.join(MANIFEST), text(&manifest)).unwrap();
}

#[test]
fn a_manifest_that_leads_out_of_its_folder_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let folder = published(root.path()).folder;
    fs::write(folder.parent().unwrap().join("secret.nc"), "not published").unwrap();
    let sound = read_manifest(&folder).unwrap();
    forge(&folder, &sound);
    assert_eq!(read_back(&folder).unwrap().violations, [], "the digest is right");
    for name in ["../secret.nc", "/etc/passwd", "..", "", "a/b.nc", "a\u{202e}.nc", "a\n.nc"] {
        let mut forged = sound.clone();
        name.clone_into(&mut forged.files[0].name);
        forge(&folder, &forged);
        let error = read_back(&folder).unwrap_err();
        assert!(matches!(error, ManifestError::Name { .. }), "{name:?}: {error}");
        let error = error.to_string();
        assert!(error.starts_with(&folder.join(MANIFEST).display().to_string()), "{error}");
        assert!(error.chars().all(crate::text::is_plain), "{error}");
    }
    forge(&folder, &Manifest { grid: "../../x".into(), ..sound });
    assert!(matches!(read_manifest(&folder), Err(ManifestError::Name { .. })));
}

#[test]
fn whoever_passes_over_a_damaged_revision_says_so_once() {
    let looks: [fn(&Path); 4] = [
        |root| assert_eq!(stored(root).unwrap().len(), 1),
        |root| assert_eq!(stored_of(root, "2026-03-01".parse().unwrap()).unwrap().len(), 1),
        |root| assert_eq!(latest::standing(root).unwrap().count(), 1),
        |root| repair_root(root).unwrap(),
    ];
    for look in looks {
        let root = tempfile::tempdir().unwrap();
        let (damaged, _sound) = (published(root.path()).folder, published(root.path()));
        fs::write(damaged.join(MANIFEST), "{").unwrap();
        let said = warnings(|| (0..3).for_each(|_| look(root.path())));
        let [warning] = &said[..] else { panic!("{said:?}") };
        assert!(warning.contains(&damaged.display().to_string()), "{warning}");
        assert!(warning.contains("put its folder back whole, or remove it"), "{warning}");
    }
}

#[test]
fn missing_and_foreign_files_are_found() {
    let root = tempfile::tempdir().unwrap();
    let published = published(root.path());
    fs::write(published.folder.join("nilas_sit_test_20260301_r01.nc.aux.xml"), "left by a GIS").unwrap();
    fs::rename(published.folder.join(&published.files[0].name), published.folder.join("other.tif")).unwrap();
    let expected = [
        Violation::Extra { file: "other.tif".into() },
        Violation::Missing { file: published.files[0].name.clone() },
    ];
    assert_eq!(read_back(&published.folder).unwrap().violations, expected);
}

#[test]
fn a_second_publishing_is_the_next_revision_and_leaves_the_first_as_it_was() {
    let root = tempfile::tempdir().unwrap();
    let first = published(root.path());
    let before = visible(&first.folder);
    let second = published(root.path());
    assert_eq!((second.revision, second.folder), (2, root.path().join("2026/03/01/r02")));
    assert_eq!(visible(&first.folder), before);
}

#[test]
fn a_failure_in_the_middle_leaves_nothing_and_what_was_published_stays() {
    let root = tempfile::tempdir().unwrap();
    published(root.path());
    let before = visible(root.path());
    let synthetic = Synthetic::new(40);
    let mut product = synthetic.product();
    let failing = Failing { members: product.members, first_unreadable: 2 };
    product.members = &failing;
    let error = publish(root.path(), &product, 2, &Bar::hidden()).unwrap_err();
    assert!(matches!(error, PublishError::Member { member: 2, .. }), "{error}");
    assert_eq!(visible(root.path()), before);
    assert_eq!(fs::read_dir(root.path().join(".nilas/staging")).unwrap().count(), 0);
}

#[test]
fn where_nothing_can_be_staged_nothing_is_published() {
    let root = tempfile::tempdir().unwrap();
    published(root.path());
    let before = visible(root.path());
    fs::remove_dir_all(root.path().join(".nilas/staging")).unwrap();
    fs::write(root.path().join(".nilas/staging"), "a file where a folder must be").unwrap();
    let error = publish(root.path(), &Synthetic::new(12).product(), 2, &Bar::hidden()).unwrap_err();
    assert!(error.to_string().contains("staging"), "{error}");
    assert_eq!(visible(root.path()), before);
}

#[test]
fn a_withdrawal_is_written_where_nobody_looks() {
    let root = tempfile::tempdir().unwrap();
    let folder = published(root.path()).folder;
    let before = visible(root.path());
    fs::remove_dir_all(root.path().join(".nilas/staging")).unwrap();
    fs::write(root.path().join(".nilas/staging"), "a file where a folder must be").unwrap();
    let note = WithdrawalNote { withdrawn_at: DateTime::UNIX_EPOCH, reason: "wrong".into() };
    let error = withdraw(root.path(), "2026-03-01".parse().unwrap(), 1, &note).unwrap_err();
    assert!(error.to_string().contains(WITHDRAWN), "{error}");
    assert_eq!(visible(root.path()), before);
    assert!(!folder.join(WITHDRAWN).exists());
}

#[test]
fn leftovers_of_dead_runs_are_removed() {
    let root = tempfile::tempdir().unwrap();
    let dead = root.path().join(".nilas/staging/20260301-r01");
    fs::create_dir_all(&dead).unwrap();
    fs::write(dead.join("half.nc"), "half").unwrap();
    let published = published(root.path());
    assert!(!dead.exists());
    assert_eq!(read_back(&published.folder).unwrap().violations, []);
}

#[test]
fn locks_are_for_nobody_else_and_products_for_everybody() {
    let root = tempfile::tempdir().unwrap();
    let private = private_folder(root.path());
    fs::create_dir(&private).unwrap();
    fs::write(private.join("lock"), "").unwrap();
    let published = published(root.path());
    assert_eq!([sys::mode(&private), sys::mode(&private.join("lock"))], [0o700, 0o600]);
    let readable = |path: &Path| sys::mode(path) & 0o044 != 0;
    let mut files = fs::read_dir(&published.folder).unwrap().map(|entry| entry.unwrap().path());
    assert!(readable(&published.folder) && files.all(|file| readable(&file)));
    assert!(readable(&root.path().join("latest.json")));
}

#[test]
fn of_two_publishers_at_once_one_is_told_that_the_other_was_quicker() {
    let root = tempfile::tempdir().unwrap();
    let publish = || publish(root.path(), &Synthetic::new(40).product(), 1, &Bar::hidden());
    let outcomes = std::thread::scope(|scope| {
        [scope.spawn(publish), scope.spawn(publish)].map(|publisher| publisher.join().unwrap())
    });
    let taken = |outcome: &Result<_, _>| matches!(outcome, Err(PublishError::Taken { found: 1, .. }));
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    assert_eq!(outcomes.iter().filter(|outcome| taken(outcome)).count(), 1);
    assert_eq!(read_back(&root.path().join("2026/03/01/r01")).unwrap().violations, []);
}

#[test]
fn the_files_follow_the_products_rules() {
    let root = tempfile::tempdir().unwrap();
    let published = published(root.path());
    let file = ::netcdf::open(published.folder.join("nilas_sit_test_20260301_r01.nc")).unwrap();
    let flags = file.variable("status_flag").unwrap().get_values::<i32, _>(..).unwrap();
    assert!(flags.iter().all(|&bits| bits as u32 & crate::prepare::flag::PROVISIONAL != 0));
    let members = file.variable("sea_ice_thickness").unwrap();
    assert_eq!(members.chunking().unwrap(), Some(vec![1, 40, 40]));
    let values = members.get_values::<i16, _>(..).unwrap();
    let thickness_m = cf::unpacked(values.into_iter().find(|value| *value != cf::PACKED_FILL).unwrap());
    assert!((0.5..3.5).contains(&thickness_m), "{thickness_m}");
    let mean = file.variable("sea_ice_thickness_mean").unwrap().get_values::<f32, _>(..).unwrap();
    assert!(mean.iter().all(|value| *value == cf::FILL || (value * 1024.0).fract() == 0.0));
    let parts = ["sea_ice_thickness_spread_fine_scales", "sea_ice_thickness_spread_input"];
    for name in parts.into_iter().chain(["sea_ice_thickness_low_resolution_uncertainty"]) {
        let values = file.variable(name).unwrap().get_values::<f32, _>(..).unwrap();
        assert!(values.iter().any(|&value| value > 0.1), "{name}");
    }
    let text = |name: &str| file.attribute(name).unwrap().value().unwrap();
    assert_eq!(text("spread_calibration"), "none".into());
    assert_eq!(text("sampler_time_grid"), "angle".into());
    let age: f64 = file.variable("thickness_age").unwrap().get_value(()).unwrap();
    assert!((age - 5.0).abs() < 1e-9);
    let window = file.variable("thickness_window").unwrap().get_values::<f64, _>(..).unwrap();
    assert!((window[1] - window[0] - 6.0 * 86_400.0).abs() < 1.0, "{window:?}");
    let thresholds = file.variable("thickness_threshold").unwrap().get_values::<f64, _>(..).unwrap();
    assert_eq!(thresholds, [0.3, 2.0]);
    let probability = file.variable("sea_ice_thickness_probability_below").unwrap();
    let values = probability.get_values::<f32, _>((0..=0, .., ..)).unwrap();
    assert!(values.iter().all(|&value| value == cf::FILL || (0.0..=1.0).contains(&value)));
    let area = published.figures.ice_area_km2 / (0.9 * published.figures.ice_cells as f64);
    assert!((area - 100.0).abs() < 10.0, "a cell of 10 km has about 100 km2, not {area}");
}

#[test]
fn members_may_be_left_out_of_the_file() {
    let root = tempfile::tempdir().unwrap();
    let synthetic = Synthetic::new(40);
    let product = Product { with_members: false, ..synthetic.product() };
    let published = publish(root.path(), &product, 1, &Bar::hidden()).unwrap();
    let file = ::netcdf::open(published.folder.join("nilas_sit_test_20260301_r01.nc")).unwrap();
    assert!(file.variable("sea_ice_thickness").is_none() && file.dimension("realization").is_none());
    let read = read_back(&published.folder).unwrap();
    assert_eq!((read.violations, read.manifest.members), (Vec::new(), 4));
}

#[test]
fn the_networks_inputs_are_written_beside_their_lineage() {
    let folder = tempfile::tempdir().unwrap();
    let synthetic = Synthetic::new(20);
    let product = synthetic.product();
    let path = folder.path().join("features.nc");
    let features = Features {
        day: product.day,
        created: product.created,
        grid: product.grid,
        prepared: product.prepared,
        inputs: &product.lineage.inputs,
        publisher: product.publisher,
    };
    write_features(&path, &features).unwrap();
    let file = ::netcdf::open(&path).unwrap();
    for name in [
        "sea_ice_area_fraction",
        "sea_ice_thickness",
        "effective_sea_ice_thickness",
        "divergence",
        "shear",
        "deformation",
        "mask",
        "status_flag",
    ] {
        assert_eq!(file.variable(name).unwrap().len(), 400, "{name}");
    }
    let mask = file.variable("mask").unwrap().get_values::<i32, _>(..).unwrap();
    assert!(mask.iter().map(|&bit| bit == 1).eq(product.prepared.mask.iter().copied()));
    let name = file.variable("mask").unwrap().attribute_value("long_name").unwrap().unwrap();
    let expected = "1 where the network works: sea ice of known thickness; deformation may be missing";
    assert_eq!(name, expected.into());
    let comment = format!("{:?}", file.attribute("comment").unwrap().value().unwrap());
    assert!(comment.contains("missing_drift"), "{comment}");
}

#[test]
fn a_revision_that_is_there_is_never_written_again() {
    let root = tempfile::tempdir().unwrap();
    published(root.path());
    published(root.path());
    let before = visible(root.path());
    for revision in [1, 2] {
        let error =
            publish(root.path(), &Synthetic::new(12).product(), revision, &Bar::hidden()).unwrap_err();
        assert!(matches!(error, PublishError::Taken { found: 2, .. }), "{error}");
    }
    assert_eq!(visible(root.path()), before);
}

#[test]
fn a_revision_that_is_taken_back_stays_marked_and_is_not_named_any_more() {
    let root = tempfile::tempdir().unwrap();
    let (first, second) = (published(root.path()), published(root.path()));
    let day: ProductDay = "2026-03-01".parse().unwrap();
    let note =
        WithdrawalNote { withdrawn_at: "2026-03-03T05:00:00Z".parse().unwrap(), reason: "wrong ice".into() };
    let newest = || read_latest(root.path()).unwrap().map(|latest| latest.newest.path);
    assert_eq!(newest().as_deref(), Some("2026/03/01/r02"));
    withdraw(root.path(), day, 2, &note).unwrap();
    assert_eq!(newest().as_deref(), Some("2026/03/01/r01"));
    assert_eq!(read_withdrawal(&second.folder).unwrap().as_ref(), Some(&note));
    assert_eq!(read_back(&second.folder).unwrap().violations, [], "its files are as they were");
    let later = WithdrawalNote { reason: "another".into(), ..note.clone() };
    withdraw(root.path(), day, 2, &later).unwrap();
    assert_eq!(read_withdrawal(&second.folder).unwrap(), Some(note.clone()), "the first word stays");
    withdraw(root.path(), day, 1, &note).unwrap();
    assert_eq!(newest(), None);
    assert_eq!(read_withdrawal(&first.folder.join("nothing")).unwrap(), None);
    assert!(matches!(withdraw(root.path(), day, 3, &note), Err(PublishError::File { .. })));
}

#[test]
fn a_damaged_note_keeps_its_revision_taken_back_and_nothing_else_from_being_published() {
    let root = tempfile::tempdir().unwrap();
    let (first, second) = (published(root.path()), published(root.path()));
    let note = WithdrawalNote { withdrawn_at: DateTime::UNIX_EPOCH, reason: "wrong ice".into() };
    withdraw(root.path(), "2026-03-01".parse().unwrap(), 2, &note).unwrap();
    fs::write(second.folder.join("withdrawn.json"), "x").unwrap();
    read_withdrawal(&second.folder).unwrap_err();
    let third = published(root.path());
    let catalog = fs::read_to_string(root.path().join("2026/catalog.json")).unwrap();
    assert!(catalog.contains("its note cannot be read any more"), "{catalog}");
    for (published, is_named) in [(first, true), (second, false), (third, true)] {
        let item = format!("{}/nilas", published.folder.file_name().unwrap().to_string_lossy());
        assert_eq!(catalog.contains(&item), is_named, "{item}: {catalog}");
    }
}

#[test]
fn a_year_that_a_killed_publication_has_begun_is_not_linked() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir_all(root.path().join("2027/01/01")).unwrap();
    published(root.path());
    let collection = fs::read_to_string(root.path().join("collection.json")).unwrap();
    assert!(collection.contains("./2026/catalog.json") && !collection.contains("2027"), "{collection}");
}

#[test]
fn a_revision_that_is_cleared_away_is_gone_and_the_others_are_as_they_were() {
    let root = tempfile::tempdir().unwrap();
    let (first, second) = (published(root.path()), published(root.path()));
    let listed = stored(root.path()).unwrap();
    assert_eq!(listed.iter().map(|one| one.revision).collect::<Vec<_>>(), [1, 2]);
    assert!(listed[0].size_bytes > 1000);
    let before = visible(&second.folder);
    remove(root.path(), listed[0].day, 1).unwrap();
    assert!(!first.folder.exists());
    assert_eq!(visible(&second.folder), before);
    remove(root.path(), listed[0].day, 2).unwrap();
    let left: Vec<_> = visible(root.path()).into_iter().map(|(path, _)| path).collect();
    assert_eq!(left, [] as [PathBuf; 0], "nothing is left, not even empty folders");
    assert!(!root.path().join("2026").exists());
    assert_eq!(fs::read_dir(root.path().join(".nilas/staging")).unwrap().count(), 0);
}
