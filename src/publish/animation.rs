//! The animation in the product root: the newest days, one after the other, from their maps.

use std::path::Path;

use gdal::errors::GdalError;
use gdal::{Dataset, DatasetOptions};
use ndarray::Array2;

use crate::grid::{GridError, GridSpec, Projection};
use crate::plot::{Animation, Ground, Still};
use crate::prepare::ICE_EDGE;
use crate::sys;
use crate::time::ProductDay;

use super::cog::PROJECTION;
use super::flags::{self, OUTSIDE};
use super::latest::standing;
use super::maps::{CLASS, Quantity};
use super::names::{self, staging_folder};
use super::{Manifest, PublishError, Status, remove_file};

/// What the maps of a day show.
struct Maps {
    day: ProductDay,
    status: Status,
    grid: GridSpec,
    mean_m: Array2<f32>,
    classes: Array2<u8>,
}

/// Why a day is not in the animation.
#[derive(Debug, thiserror::Error)]
enum DayError {
    #[error(transparent)]
    Gdal(#[from] GdalError),
    #[error(transparent)]
    Grid(#[from] GridError),
    #[error("the maps have another size than those of the newest day")]
    Size,
}

/// Draws the last `days` days up to the newest one that stands; a day whose maps cannot be read is left out, and the log says so.
/// With 0 days, or where nothing stands, there is no animation.
pub(super) fn refresh(root: &Path, days: u32) -> Result<(), PublishError> {
    let failed = |source| PublishError::File { path: root.to_owned(), source };
    let mut standing = standing(root).map_err(failed)?.peekable();
    let newest = standing.peek().map(|(day, ..)| *day);
    let Some(newest) = newest.filter(|_| days > 0) else { return remove(root) };
    let first = newest.plus_days(1 - i64::from(days));
    let mut shown: Vec<_> = standing.take_while(|(day, ..)| *day >= first).collect();
    shown.dedup_by_key(|(day, ..)| *day);
    let mut animation: Option<(Animation, (usize, usize))> = None;
    for (day, folder, manifest) in shown.into_iter().rev() {
        match read(day, &folder, &manifest) {
            Ok(maps) => {
                let shape = maps.mean_m.dim();
                let (animation, expected) = match &mut animation {
                    Some(begun) => begun,
                    None => animation.insert((Animation::new(shape, Quantity::Thickness.scale())?, shape)),
                };
                if *expected == shape {
                    add(animation, &maps)?;
                } else {
                    left_out(day, &DayError::Size);
                }
            }
            Err(error) => left_out(day, &error),
        }
    }
    let Some((animation, _)) = animation else { return remove(root) };
    let path = root.join(names::ANIMATION);
    sys::replace_file_through(&staging_folder(root), &path, &animation.webp()?)
        .map_err(|source| PublishError::File { path, source })
}

/// Takes the animation away; the next publication makes it again.
pub(super) fn remove(root: &Path) -> Result<(), PublishError> {
    remove_file(&root.join(names::ANIMATION))
}

fn left_out(day: ProductDay, error: &DayError) {
    tracing::warn!(%day, %error, "a day is left out of the animation; `nilas verify` tells what is wrong with its files");
}

fn read(day: ProductDay, folder: &Path, manifest: &Manifest) -> Result<Maps, DayError> {
    let stem = names::stem(names::MAP_GRID, day, manifest.revision);
    let open = |name: &str| {
        let options = DatasetOptions { allowed_drivers: Some(&["GTiff"]), ..DatasetOptions::default() };
        Dataset::open_ex(folder.join(format!("{stem}_{name}.tif")), options)
    };
    let (mean, classes) = (open("mean")?, open(CLASS)?);
    let edges = mean.geo_transform()?;
    let (columns, rows) = mean.raster_size();
    let grid = GridSpec {
        name: names::MAP_GRID.into(),
        projection: Projection::parse(PROJECTION)?,
        rows,
        columns,
        cell_size_m: edges[1],
        first_cell_centre_x_m: edges[0] + edges[1] / 2.0,
        first_cell_centre_y_m: edges[3] - edges[1] / 2.0,
    };
    let mean_m = mean.rasterband(1)?.read_band_as::<f32>()?.into_shape_and_vec().1;
    let classes = classes.rasterband(1)?.read_band_as::<u8>()?.into_shape_and_vec().1;
    let mean_m = Array2::from_shape_vec((rows, columns), mean_m).map_err(|_| DayError::Size)?;
    let classes = Array2::from_shape_vec((rows, columns), classes).map_err(|_| DayError::Size)?;
    Ok(Maps { day, status: manifest.status, grid, mean_m, classes })
}

fn add(animation: &mut Animation, maps: &Maps) -> Result<(), PublishError> {
    let is = |name: &str| flags::CLASSES.iter().find(|class| class.name == name).map(|class| class.value);
    let (land, water, unknown) = (is("land"), is("open_water"), is("no_estimate"));
    let concentration = maps.classes.mapv(|class| match Some(class) {
        class if class == water => 0.0,
        class if class == unknown || class == Some(OUTSIDE) => f32::NAN,
        _ => 1.0,
    });
    Ok(animation.add(&Still {
        ground: Ground {
            grid: &maps.grid,
            land: &maps.classes.mapv(|class| Some(class) == land),
            concentration: &concentration,
            ice_edge: ICE_EDGE,
        },
        values: &maps.mean_m,
        heading: format!("Sea-ice thickness, {}", maps.day.date().format("%-d %B %Y")),
        warning: (maps.status == Status::Provisional).then_some("PROVISIONAL"),
    })?)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use crate::progress::Bar;
    use crate::publish::publish;
    use crate::publish::synthetic::Synthetic;
    use crate::sys::warnings;

    use super::*;

    /// How many days the animation under a root shows.
    fn shown(root: &Path) -> usize {
        let bytes = fs::read(root.join(names::ANIMATION)).unwrap();
        webp_animation::Decoder::new(&bytes).unwrap().into_iter().count()
    }

    #[test]
    fn the_newest_days_are_shown_and_one_without_its_maps_is_left_out_and_named() {
        let root = tempfile::tempdir().unwrap();
        let synthetic = Synthetic::new(12);
        let mut folders = Vec::new();
        for days in 0..4 {
            let mut product = synthetic.product();
            product.day = product.day.plus_days(days);
            folders.push(publish(root.path(), &product, 1, &Bar::hidden()).unwrap().folder);
        }
        assert_eq!(shown(root.path()), 3, "as many as the product asks for");
        refresh(root.path(), 30).unwrap();
        assert_eq!(shown(root.path()), 4);

        fs::remove_file(folders[2].join("nilas_sit_epsg3413-3km_20260303_r01_mean.tif")).unwrap();
        let warned = warnings(|| refresh(root.path(), 30).unwrap());
        assert_eq!((shown(root.path()), warned.len()), (3, 1), "{warned:?}");
        assert!(warned[0].contains("2026-03-03") && warned[0].contains("left out"), "{warned:?}");

        refresh(root.path(), 0).unwrap();
        assert!(!root.path().join(names::ANIMATION).exists());
    }
}
