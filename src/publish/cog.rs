//! Maps in EPSG:3413, as cloud-optimised `GeoTIFF` files: bringing fields to the plane of the maps, and writing them.

use std::ffi::CStr;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use chrono::NaiveDateTime;
use gdal::errors::GdalError;
use gdal::raster::{
    Buffer, ColorEntry, ColorInterpretation, ColorTable, GdalType, PaletteInterpretation,
    RasterCreationOptions,
};
use gdal::spatial_ref::SpatialRef;
use gdal::{Dataset, DriverManager, Metadata, vsi};
use ndarray::Array2;

use crate::grid::{GridError, GridSpec, Kernel, LonLat, Projection, Weights};
use crate::sys;

use super::PublishError;
use super::flags::{CLASSES, OUTSIDE};
use super::names::MAP_GRID;

/// The projection of the maps, by its number and in words.
pub(super) const EPSG: u32 = 3413;
pub(super) const PROJECTION: &str = "+proj=stere +lat_0=90 +lat_ts=70 +lon_0=-45 +ellps=WGS84 +units=m";
const CELL_SIZE_M: f64 = 3000.0;
/// Side of the tiles, pixels. Every map larger than a tile has overviews.
pub(super) const TILE: usize = 256;

/// What is said about one map.
pub(super) struct Caption<'a> {
    /// What the file is.
    pub(super) title: String,
    /// The moment that the map is for, UTC.
    pub(super) acquired: NaiveDateTime,
    /// What made it.
    pub(super) software: &'a str,
    /// The licence.
    pub(super) license: &'a str,
}

/// One field of the product grid that becomes a band.
pub(super) struct Band<'a> {
    /// What the values are.
    pub(super) description: String,
    /// Their unit.
    pub(super) unit: &'static CStr,
    /// The values, NaN where there is none.
    pub(super) values: &'a Array2<f32>,
}

/// The way from the product grid to the grid of the maps; worked out once for all maps of a product.
pub(super) struct Mapper {
    /// The grid of the maps.
    pub(super) target: Arc<GridSpec>,
    weights: Weights,
}

impl Mapper {
    /// The way from `source` to the smallest grid of whole 3 km cells in EPSG:3413 that covers it.
    pub(super) fn from(source: &GridSpec) -> Result<Self, GridError> {
        let target = covering(source)?;
        let everywhere = Array2::from_elem(target.shape(), true);
        let weights = Weights::build(source, &target, &everywhere, Kernel::Bilinear)?;
        Ok(Self { target: Arc::new(target), weights })
    }

    /// Writes fields of the product grid as the bands of a map, interpolated.
    pub(super) fn write(
        &self,
        path: &Path,
        bands: &[Band<'_>],
        caption: &Caption<'_>,
    ) -> Result<(), PublishError> {
        put(path, self.bands(path, bands, caption))
    }

    /// Writes the classes of the product grid as a map: each cell has that of the nearest cell.
    pub(super) fn write_classes(
        &self,
        path: &Path,
        classes: &Array2<u8>,
        caption: &Caption<'_>,
    ) -> Result<(), PublishError> {
        put(path, self.class_band(path, classes, caption))
    }

    /// The bytes of the map at `path`.
    fn bands(&self, path: &Path, bands: &[Band<'_>], caption: &Caption<'_>) -> Result<Vec<u8>, GdalError> {
        let dataset = self.in_memory::<f32>(bands.len(), caption)?;
        for (number, band) in bands.iter().enumerate() {
            write_band(&dataset, number + 1, self.weights.apply(band.values.view()), band)?;
        }
        cog(&dataset, path, &["PREDICTOR=3", "OVERVIEW_RESAMPLING=AVERAGE"])
    }

    fn class_band(
        &self,
        path: &Path,
        classes: &Array2<u8>,
        caption: &Caption<'_>,
    ) -> Result<Vec<u8>, GdalError> {
        let nearest = self.weights.heaviest(classes.view()).mapv(|class| class.unwrap_or(OUTSIDE));
        let dataset = self.in_memory::<u8>(1, caption)?;
        let mut band = dataset.rasterband(1)?;
        band.set_no_data_value(Some(f64::from(OUTSIDE)))?;
        band.set_description("what is known of the cell: the most important of its flags")?;
        band.set_color_interpretation(ColorInterpretation::PaletteIndex)?;
        band.set_color_table(&class_colours());
        let (rows, columns) = nearest.dim();
        let mut pixels = Buffer::new((columns, rows), nearest.into_iter().collect());
        band.write((0, 0), (columns, rows), &mut pixels)?;
        cog(&dataset, path, &["PREDICTOR=NO", "OVERVIEW_RESAMPLING=MODE"])
    }

    /// An empty map in memory: its place on the Earth and what is said about it.
    fn in_memory<T: GdalType>(&self, bands: usize, caption: &Caption<'_>) -> Result<Dataset, GdalError> {
        let grid = &self.target;
        let memory = DriverManager::get_driver_by_name("MEM")?;
        let mut dataset = memory.create_with_band_type::<T, _>("", grid.columns, grid.rows, bands)?;
        dataset.set_geo_transform(&geo_transform(grid))?;
        dataset.set_spatial_ref(&SpatialRef::from_epsg(EPSG)?)?;
        for (key, value) in [
            ("AREA_OR_POINT", "Area"),
            ("TIFFTAG_DATETIME", &caption.acquired.format("%Y:%m:%d %H:%M:%S").to_string()),
            ("TIFFTAG_SOFTWARE", caption.software),
            ("TIFFTAG_IMAGEDESCRIPTION", &caption.title),
            ("TIFFTAG_COPYRIGHT", caption.license),
        ] {
            dataset.set_metadata_item(key, value, "")?;
        }
        Ok(dataset)
    }
}

/// Where a grid lies, as GDAL says it: left edge, cell width, 0, top edge, 0, minus cell height.
pub(super) fn geo_transform(grid: &GridSpec) -> [f64; 6] {
    let half = grid.cell_size_m / 2.0;
    let (left, top) = (grid.first_cell_centre_x_m - half, grid.first_cell_centre_y_m + half);
    [left, grid.cell_size_m, 0.0, top, 0.0, -grid.cell_size_m]
}

/// The box around `source` in the plane of the maps, its edges on multiples of the cell size.
fn covering(source: &GridSpec) -> Result<GridSpec, GridError> {
    let projection = Projection::parse(PROJECTION)?;
    let (mut low, mut high) = ([f64::INFINITY; 2], [f64::NEG_INFINITY; 2]);
    for place in outline(source)? {
        let (x, y) = projection.from_lonlat(place)?;
        for (axis, value) in [x, y].into_iter().enumerate() {
            low[axis] = low[axis].min(value);
            high[axis] = high[axis].max(value);
        }
    }
    // A millimetre of tolerance keeps rounding errors of the projection from adding a whole row or column of cells.
    let first = low.map(|edge| ((edge + 1e-3) / CELL_SIZE_M).floor());
    let last = high.map(|edge| ((edge - 1e-3) / CELL_SIZE_M).ceil());
    Ok(GridSpec {
        name: MAP_GRID.into(),
        projection,
        rows: (last[1] - first[1]) as usize,
        columns: (last[0] - first[0]) as usize,
        cell_size_m: CELL_SIZE_M,
        first_cell_centre_x_m: (first[0] + 0.5) * CELL_SIZE_M,
        first_cell_centre_y_m: (last[1] - 0.5) * CELL_SIZE_M,
    })
}

/// The corners of the cells along the edge of a grid.
fn outline(grid: &GridSpec) -> Result<Vec<LonLat>, GridError> {
    let half = grid.cell_size_m / 2.0;
    let corner =
        |row: usize, column: usize| grid.projection.to_lonlat(grid.x_m(column) - half, grid.y_m(row) + half);
    let sides = (0..=grid.rows).flat_map(|row| [(row, 0), (row, grid.columns)]);
    let ends = (0..=grid.columns).flat_map(|column| [(0, column), (grid.rows, column)]);
    sides.chain(ends).map(|(row, column)| corner(row, column)).collect()
}

/// The bytes of a map. GDAL writes them to memory: on a disk that is full for a moment it makes files that nobody can read, and says that
/// all is well.
fn cog(dataset: &Dataset, path: &Path, options: &[&str]) -> Result<Vec<u8>, GdalError> {
    let block = format!("BLOCKSIZE={TILE}");
    // On one thread: GDAL waits forever for the work of threads that could not be started, as where memory is short.
    let common = ["COMPRESS=DEFLATE", &block, "OVERVIEWS=AUTO", "NUM_THREADS=1"];
    let options: RasterCreationOptions = common.into_iter().chain(options.iter().copied()).collect();
    let cog = DriverManager::get_driver_by_name("COG")?;
    let in_memory = Path::new("/vsimem").join(path.strip_prefix("/").unwrap_or(path));
    dataset.create_copy(&cog, &in_memory, &options)?.close()?;
    vsi::get_vsi_mem_file_bytes_owned(in_memory)
}

fn put(path: &Path, map: Result<Vec<u8>, GdalError>) -> Result<(), PublishError> {
    let map = map.map_err(|source| PublishError::Gdal { path: path.to_owned(), source })?;
    fs::write(path, map).map_err(|source| PublishError::File { path: path.to_owned(), source })
}

fn write_band(
    dataset: &Dataset,
    number: usize,
    values: Array2<f32>,
    about: &Band<'_>,
) -> Result<(), GdalError> {
    let mut band = dataset.rasterband(number)?;
    band.set_no_data_value(Some(f64::NAN))?;
    band.set_description(&about.description)?;
    sys::set_band_unit(&mut band, about.unit);
    for (key, value) in statistics(&values) {
        band.set_metadata_item(key, &value, "")?;
    }
    let (rows, columns) = values.dim();
    let mut pixels = Buffer::new((columns, rows), values.into_iter().collect());
    band.write((0, 0), (columns, rows), &mut pixels)
}

/// The colours of the classes; numbers that are no class are transparent.
fn class_colours() -> ColorTable<'static> {
    let mut table = ColorTable::new(PaletteInterpretation::Rgba);
    let entry = |[red, green, blue]: [u8; 3], alpha: u8| {
        ColorEntry::rgba(red.into(), green.into(), blue.into(), alpha.into())
    };
    (0..=u16::from(OUTSIDE)).for_each(|number| table.set_color_entry(number, &entry([0; 3], 0)));
    for class in &CLASSES {
        table.set_color_entry(class.value.into(), &entry(class.colour, 255));
    }
    table
}

/// The statistics that GIS programs look for, over the cells that hold a value.
fn statistics(values: &Array2<f32>) -> Vec<(&'static str, String)> {
    let valid = || values.iter().filter(|value| !value.is_nan()).map(|&value| f64::from(value));
    let count = valid().count();
    if count == 0 {
        return Vec::new();
    }
    let mean = valid().sum::<f64>() / count as f64;
    let variance = valid().map(|value| (value - mean).powi(2)).sum::<f64>() / count as f64;
    vec![
        ("STATISTICS_MINIMUM", valid().fold(f64::INFINITY, f64::min).to_string()),
        ("STATISTICS_MAXIMUM", valid().fold(f64::NEG_INFINITY, f64::max).to_string()),
        ("STATISTICS_MEAN", mean.to_string()),
        ("STATISTICS_STDDEV", variance.sqrt().to_string()),
        ("STATISTICS_VALID_PERCENT", format!("{:.4}", 100.0 * count as f64 / values.len() as f64)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_maps_cover_the_grid_with_whole_cells() {
        let source = GridSpec::test_square(30);
        let target = covering(&source).unwrap();
        let edge = target.first_cell_centre_x_m - 1500.0;
        assert!((edge / 3000.0).fract().abs() < 1e-9, "{edge}");
        assert!(edge <= -150_000.0 + 1500.0 && edge > -156_000.0, "{edge}");
        assert_eq!(target.rows, target.columns);
    }

    #[test]
    fn a_value_stays_at_its_place_on_the_earth() {
        let source = GridSpec::test_square(30);
        let latitude = source.lonlat().unwrap().mapv(|place| place.lat as f32);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("latitude.tif");
        let caption = Caption {
            title: "latitude".into(),
            acquired: "2026-03-01".parse::<crate::time::ProductDay>().unwrap().noon(),
            software: "test",
            license: "none",
        };
        let band = Band { description: "latitude".into(), unit: c"degrees", values: &latitude };
        Mapper::from(&source).unwrap().write(&path, &[band], &caption).unwrap();
        let dataset = Dataset::open(&path).unwrap();
        assert_eq!(dataset.metadata_item("TIFFTAG_DATETIME", "").as_deref(), Some("2026:03:01 12:00:00"));
        let edges = dataset.geo_transform().unwrap();
        let projection = Projection::parse(PROJECTION).unwrap();
        for (column, row) in [(20, 30), (50, 41), (70, 80)] {
            let value =
                dataset.rasterband(1).unwrap().read_as::<f32>((column, row), (1, 1), (1, 1), None).unwrap();
            let x_m = edges[0] + (column as f64 + 0.5) * edges[1];
            let y_m = edges[3] + (row as f64 + 0.5) * edges[5];
            let expected = projection.to_lonlat(x_m, y_m).unwrap().lat;
            assert!((f64::from(value.data()[0]) - expected).abs() < 0.02, "{value:?} {expected}");
        }
    }

    #[test]
    fn statistics_leave_missing_cells_out() {
        let values = ndarray::array![[1.0_f32, 3.0], [f32::NAN, f32::NAN]];
        let found: Vec<_> = statistics(&values).into_iter().map(|(_, value)| value).collect();
        assert_eq!(found, ["1", "3", "2", "1", "50.0000"]);
        assert!(statistics(&ndarray::array![[f32::NAN]]).is_empty());
    }
}
