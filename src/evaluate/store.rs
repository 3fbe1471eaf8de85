//! What has been scored, on disk, so that nothing is drawn twice.

use std::fs;
use std::path::{Path, PathBuf};

use ndarray::{Array2, Zip, s};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::plot::{Ramp, Shades, colour_bar, picture};
use crate::score::Tally;
use crate::sys;

use super::forecast::Forecast;
use super::record::Shown;
use super::scenes::{Place, SceneFields};
use super::{EvaluateError, EvaluateOptions};

/// Goes up when a tally comes to mean something else.
const VERSION: u32 = 3;
/// Cells along a side of the zoomed piece of a map.
const ZOOM: usize = 80;
/// Longer side of a picture, pixels; the page enlarges it.
const SIDE: usize = 400;
/// Pictures of a scene, in the order in which they are shown.
const PICTURES: [&str; 6] = ["mean", "member 1", "member 2", "spread", "zoom mean", "zoom member 1"];

/// The score of one row on one scene.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Scored {
    pub(super) tally: Tally,
    pub(super) seconds_per_member: f64,
}

/// A folder with what was scored.
pub(super) struct Store(PathBuf);

/// The key of a row on a scene: whatever the tally depends on.
pub(super) fn key(identity: &str, place: &Place, options: &EvaluateOptions) -> String {
    let text = format!(
        "{VERSION}|{identity}|{}|{}|{}|{}|{}",
        place.sha256, place.day, options.members, options.seed, options.with_similarity
    );
    sys::sha256(text)[..32].to_owned()
}

impl Store {
    pub(super) fn new(out: &Path) -> Self {
        Self(out.join("cache"))
    }

    /// The key of a row on a day without a truth.
    pub(super) fn key_of_observed(
        forecast: &Forecast<'_>,
        scene: &SceneFields,
        filled: &Array2<bool>,
        options: &EvaluateOptions,
    ) -> String {
        let filled: Vec<u8> = filled.iter().map(|&filled| u8::from(filled)).collect();
        let text = format!(
            "observed|{VERSION}|{}|{}|{}|{}|{}|{}",
            forecast.identity(),
            scene.sha256(),
            sys::sha256(filled),
            scene.day,
            options.members,
            options.seed
        );
        sys::sha256(text)[..32].to_owned()
    }

    /// What was scored under a key; nothing where the file is not there or of another version, or where the scene is shown and was not
    /// when it was scored.
    pub(super) fn find<T: DeserializeOwned>(&self, key: &str, shown: bool) -> Option<T> {
        if shown && !self.0.join(picture_name(key, PICTURES[0])).exists() {
            return None;
        }
        let text = fs::read(self.0.join(format!("{key}.json"))).ok()?;
        serde_json::from_slice(&text).ok()
    }

    pub(super) fn keep<T: Serialize>(&self, key: &str, scored: &T) -> Result<(), EvaluateError> {
        let text = serde_json::to_vec(scored)
            .map_err(|error| EvaluateError::Report { reason: error.to_string() })?;
        self.write(&format!("{key}.json"), &text)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), EvaluateError> {
        let path = self.0.join(name);
        sys::replace_file(&path, bytes).map_err(|source| EvaluateError::File { path, source })
    }

    /// Draws the maps of a row on a scene.
    pub(super) fn keep_pictures(
        &self,
        key: &str,
        scene: &SceneFields,
        members: &[Array2<f32>],
    ) -> Result<(), EvaluateError> {
        // The first picture comes last: where it is, all are.
        for (name, bytes) in pictures(scene, members)?.into_iter().rev() {
            self.write(&picture_name(key, name), &bytes)?;
        }
        Ok(())
    }

    /// The maps of a row on a scene, by name, as PNG.
    pub(super) fn pictures(&self, key: &str) -> Result<Vec<(&'static str, Vec<u8>)>, EvaluateError> {
        let mut found = Vec::new();
        for name in PICTURES {
            let path = self.0.join(picture_name(key, name));
            match fs::read(&path) {
                Ok(bytes) => found.push((name, bytes)),
                // A single field has no second member and no spread.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(source) => return Err(EvaluateError::File { path, source }),
            }
        }
        Ok(found)
    }
}

fn picture_name(key: &str, name: &str) -> String {
    format!("{key}-{}.png", name.replace(' ', "-"))
}

/// The colours of thickness on a scene: from 0 to what 99 of 100 cells of the truth stay below.
fn shades_of_thickness(scene: &SceneFields) -> Shades {
    let mut values: Vec<f32> = scene.truth_m.iter().copied().filter(|value| !value.is_nan()).collect();
    values.sort_unstable_by(f32::total_cmp);
    let highest = values.get(values.len() * 99 / 100).copied().unwrap_or(1.0);
    Shades { ramp: Ramp::Viridis, lowest: 0.0, highest: (5.0 * highest).ceil().max(1.0) / 5.0 }
}

/// The colours of the spread on a scene: up to twice the anomaly's standard deviation.
fn shades_of_spread(scene: &SceneFields) -> Shades {
    let (sum, count) = scene
        .truth_m
        .iter()
        .zip(&scene.low_m)
        .filter(|(truth, _)| !truth.is_nan())
        .fold((0.0_f64, 0.0), |(sum, count), (truth, low)| {
            (sum + f64::from(truth - low).powi(2), count + 1.0)
        });
    // Days without a truth have no anomaly to go by.
    let deviation = if sum > 0.0 { (sum / count).sqrt() } else { 0.2 };
    let highest = (40.0 * deviation).ceil().max(1.0) / 20.0;
    Shades { ramp: Ramp::Magma, lowest: 0.0, highest: highest as f32 }
}

/// The piece of a scene that is shown enlarged: all ice if there is such a piece, and of these the one with most detail.
fn zoom_of(scene: &SceneFields) -> [usize; 2] {
    let (rows, columns) = scene.mask.dim();
    let (height, width) = (ZOOM.min(rows), ZOOM.min(columns));
    let detail = |&[row, column]: &[usize; 2]| {
        let window = s![row..row + height, column..column + width];
        let mut ice = 0_usize;
        let mut squares = 0.0;
        Zip::from(scene.truth_m.slice(window)).and(scene.low_m.slice(window)).for_each(|truth, low| {
            if !truth.is_nan() {
                ice += 1;
                squares += f64::from(truth - low).powi(2);
            }
        });
        (ice == height * width, squares)
    };
    let corners = (0..=rows - height)
        .step_by(ZOOM / 2)
        .flat_map(|row| (0..=columns - width).step_by(ZOOM / 2).map(move |column| [row, column]));
    let best = corners.max_by(|one, other| {
        let (one, other) = (detail(one), detail(other));
        one.0.cmp(&other.0).then(one.1.total_cmp(&other.1))
    });
    best.unwrap_or([0, 0])
}

/// A piece of a map as PNG.
fn zoomed(values: &Array2<f32>, [row, column]: [usize; 2], shades: Shades) -> Result<Vec<u8>, EvaluateError> {
    let (height, width) = (ZOOM.min(values.nrows()), ZOOM.min(values.ncols()));
    let piece = values.slice(s![row..row + height, column..column + width]).to_owned();
    Ok(picture(&piece, shades, ZOOM)?)
}

/// A whole map as PNG.
fn whole(values: &Array2<f32>, shades: Shades) -> Result<Vec<u8>, EvaluateError> {
    Ok(picture(values, shades, SIDE)?)
}

/// Maps of truth and low resolution.
pub(super) fn shown(scene: &SceneFields) -> Result<Shown, EvaluateError> {
    let (thickness, spread) = (shades_of_thickness(scene), shades_of_spread(scene));
    let zoom = zoom_of(scene);
    Ok(Shown {
        day: scene.day.to_string(),
        pictures: vec![
            ("truth", whole(&scene.truth_m, thickness)?),
            ("low resolution", whole(&scene.low_m, thickness)?),
            ("zoom truth", zoomed(&scene.truth_m, zoom, thickness)?),
            ("zoom low resolution", zoomed(&scene.low_m, zoom, thickness)?),
        ],
        bars: [(thickness.highest, colour_bar(thickness)?), (spread.highest, colour_bar(spread)?)],
    })
}

/// The map of a day without a truth that does not depend on the row.
pub(super) fn shown_of_observed(scene: &SceneFields) -> Result<Vec<(&'static str, Vec<u8>)>, EvaluateError> {
    let thickness = shades_of_thickness(scene);
    Ok(vec![
        ("low resolution", whole(&scene.low_m, thickness)?),
        ("zoom low resolution", zoomed(&scene.low_m, zoom_of(scene), thickness)?),
    ])
}

fn pictures(
    scene: &SceneFields,
    members: &[Array2<f32>],
) -> Result<Vec<(&'static str, Vec<u8>)>, EvaluateError> {
    let (thickness, spread) = (shades_of_thickness(scene), shades_of_spread(scene));
    let zoom = zoom_of(scene);
    let inside = |values: &Array2<f32>| {
        Zip::from(values)
            .and(&scene.mask)
            .map_collect(|&value, &inside| if inside { value } else { f32::NAN })
    };
    let count = members.len() as f32;
    let mean = members.iter().fold(Array2::zeros(scene.mask.dim()), |sum, member| sum + member) / count;
    let mut found = vec![
        ("mean", whole(&inside(&mean), thickness)?),
        ("zoom mean", zoomed(&inside(&mean), zoom, thickness)?),
    ];
    if let [first, second, ..] = members {
        let squares = members
            .iter()
            .fold(Array2::zeros(scene.mask.dim()), |sum, member| sum + (member - &mean).mapv(|d| d * d));
        let deviation = (squares / (count - 1.0)).mapv(f32::sqrt);
        found.push(("member 1", whole(&inside(first), thickness)?));
        found.push(("member 2", whole(&inside(second), thickness)?));
        found.push(("spread", whole(&inside(&deviation), spread)?));
        found.push(("zoom member 1", zoomed(&inside(first), zoom, thickness)?));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;

    use super::*;

    #[test]
    fn a_score_of_a_shown_scene_is_taken_with_its_maps_only() {
        let out = tempfile::tempdir().unwrap();
        let store = Store::new(out.path());
        store.keep("key", &7_u32).unwrap();
        let found = |shown: bool| store.find::<u32>("key", shown);
        assert_eq!((found(false), found(true)), (Some(7), None));

        let even = Array2::from_elem((8, 8), 1.0_f32);
        let scene = SceneFields {
            day: "2022-01-02".parse().unwrap(),
            context: Array3::zeros((4, 8, 8)),
            truth_m: even.clone(),
            low_m: even.clone(),
            mask: even.mapv(|_| true),
        };
        for members in [vec![even.clone()], vec![even; 3]] {
            let key = format!("{} members", members.len());
            store.keep(&key, &7_u32).unwrap();
            store.keep_pictures(&key, &scene, &members).unwrap();
            assert_eq!(store.find::<u32>(&key, true), Some(7), "{key}");
        }
    }
}
