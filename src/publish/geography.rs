//! Where the cells of a grid lie, as NetCDF files say it: projection, positions, areas.

use gdal::config;
use gdal::errors::GdalError;
use gdal::spatial_ref::SpatialRef;
use ndarray::Array2;
use rayon::prelude::*;

use crate::grid::{GridError, GridSpec, LonLat};

use super::PublishError;
use super::cf::{Attributes, CfFile, Kind, REFERENCE, Variable, outside, rounding_note};

/// Places are kept to 2^-14 degrees, 7 m of latitude.
const PLACE_ROUNDING: i32 = -14;
/// Areas are kept to 16 m2 of some nine million.
const AREA_ROUNDING: i32 = 4;

/// The variables that describe a grid.
pub(super) struct Geography {
    x_m: Vec<f64>,
    y_m: Vec<f64>,
    /// Longitude and latitude of the cell centres, degrees.
    pub lonlat: Array2<LonLat>,
    /// True area of the cells, m2.
    pub cell_area_m2: Array2<f32>,
    /// The projection as well-known text of 2019 (ISO 19162).
    pub wkt2: String,
    crs: Attributes,
}

impl Geography {
    /// Works out positions and areas of `grid`.
    pub(super) fn of(grid: &GridSpec) -> Result<Self, PublishError> {
        let describe = |source| PublishError::Projection { text: grid.projection.text().to_owned(), source };
        let reference = SpatialRef::from_proj4(grid.projection.text()).map_err(describe)?;
        let axes = (reference.semi_major().map_err(describe)?, reference.semi_minor().map_err(describe)?);
        let wkt2 = wkt2(&reference).map_err(describe)?;
        Ok(Self {
            x_m: (0..grid.columns).map(|column| grid.x_m(column)).collect(),
            y_m: (0..grid.rows).map(|row| grid.y_m(row)).collect(),
            lonlat: grid.lonlat()?,
            cell_area_m2: cell_area_m2(grid, axes)?,
            crs: crs_attributes(grid, &reference, &wkt2, axes).map_err(describe)?,
            wkt2,
        })
    }

    /// Defines the dimensions y and x and the variables on them.
    pub(super) fn define(&self, file: &mut CfFile) -> Result<(), PublishError> {
        file.dimension("y", self.y_m.len())?;
        file.dimension("x", self.x_m.len())?;
        for variable in variables(self.crs.clone()) {
            file.define(&variable)?;
        }
        Ok(())
    }

    /// Writes what [`Geography::define`] defined.
    pub(super) fn put(&self, file: &mut CfFile) -> Result<(), PublishError> {
        // x and y are exact; these are kept to some metres, and take a tenth of the file less.
        let lon: Vec<f32> = self.lonlat.iter().map(|place| place.lon as f32).collect();
        let lat: Vec<f32> = self.lonlat.iter().map(|place| place.lat as f32).collect();
        file.put("x", &self.x_m)?;
        file.put("y", &self.y_m)?;
        file.put("lon", &outside(&lon, Some(PLACE_ROUNDING)))?;
        file.put("lat", &outside(&lat, Some(PLACE_ROUNDING)))?;
        file.put("crs", &[0_i32])?;
        file.put("cell_area", &outside(&self.cell_area_m2, Some(AREA_ROUNDING)))
    }
}

fn variables(crs: Attributes) -> Vec<Variable> {
    let axis = |name: &'static str, axis: &'static str| Variable {
        name: name.to_owned(),
        dimensions: if axis == "X" { &["x"] } else { &["y"] },
        kind: Kind::Double,
        attributes: vec![
            ("standard_name", format!("projection_{name}_coordinate").into()),
            ("long_name", format!("{name} of the cell centres in the projection plane").into()),
            ("units", "m".into()),
            ("axis", axis.into()),
        ],
    };
    let place =
        |name: &'static str, standard_name: &'static str, units: &'static str, largest: f32| Variable {
            name: name.to_owned(),
            dimensions: &["y", "x"],
            kind: Kind::Float,
            attributes: vec![
                ("standard_name", standard_name.into()),
                ("long_name", format!("{standard_name} of the cell centres").into()),
                ("units", units.into()),
                ("valid_min", (-largest).into()),
                ("valid_max", largest.into()),
                rounding_note(PLACE_ROUNDING, units),
            ],
        };
    vec![
        axis("x", "X"),
        axis("y", "Y"),
        place("lon", "longitude", "degrees_east", 180.0),
        place("lat", "latitude", "degrees_north", 90.0),
        Variable { name: "crs".into(), dimensions: &[], kind: Kind::Int, attributes: crs },
        Variable {
            name: "cell_area".into(),
            dimensions: &["y", "x"],
            kind: Kind::Float,
            attributes: vec![
                ("standard_name", "cell_area".into()),
                ("long_name", "true area of the cells on the ellipsoid".into()),
                ("units", "m2".into()),
                ("grid_mapping", "crs".into()),
                ("coordinates", "lat lon".into()),
                ("coverage_content_type", REFERENCE.into()),
                rounding_note(AREA_ROUNDING, "m2"),
            ],
        },
    ]
}

/// CF's grid mapping, with what GDAL reads beside it.
fn crs_attributes(
    grid: &GridSpec,
    reference: &SpatialRef,
    wkt2: &str,
    (semi_major_m, semi_minor_m): (f64, f64),
) -> Result<Attributes, GdalError> {
    let text = grid.projection.text();
    let latitude = proj_number(text, "lat_0").unwrap_or(0.0);
    let longitude = proj_number(text, "lon_0").unwrap_or(0.0);
    let mut attributes: Attributes = vec![("long_name", "projection of the grid".into())];
    if text.split_whitespace().any(|word| word == "+proj=stere") {
        attributes.extend([
            ("grid_mapping_name", "polar_stereographic".into()),
            ("straight_vertical_longitude_from_pole", longitude.into()),
            ("latitude_of_projection_origin", latitude.into()),
            ("standard_parallel", proj_number(text, "lat_ts").unwrap_or(latitude).into()),
        ]);
    } else {
        attributes.extend([
            ("grid_mapping_name", "lambert_azimuthal_equal_area".into()),
            ("longitude_of_projection_origin", longitude.into()),
            ("latitude_of_projection_origin", latitude.into()),
        ]);
    }
    let half = grid.cell_size_m / 2.0;
    let (left, top) = (grid.first_cell_centre_x_m - half, grid.first_cell_centre_y_m + half);
    attributes.extend([
        ("false_easting", proj_number(text, "x_0").unwrap_or(0.0).into()),
        ("false_northing", proj_number(text, "y_0").unwrap_or(0.0).into()),
        ("semi_major_axis", semi_major_m.into()),
        ("semi_minor_axis", semi_minor_m.into()),
        ("longitude_of_prime_meridian", 0.0.into()),
        ("crs_wkt", wkt2.into()),
        ("spatial_ref", reference.to_wkt()?.into()),
        ("proj4text", text.into()),
        ("GeoTransform", format!("{left} {0} 0 {top} 0 -{0}", grid.cell_size_m).into()),
    ]);
    Ok(attributes)
}

/// CF asks for the newer form; GDAL writes the older one unless it is told, and it is told for this thread only.
fn wkt2(reference: &SpatialRef) -> Result<String, GdalError> {
    const FORMAT: &str = "OSR_WKT_FORMAT";
    config::set_thread_local_config_option(FORMAT, "WKT2_2019")?;
    let text = reference.to_wkt();
    config::clear_thread_local_config_option(FORMAT)?;
    text
}

/// The number behind `+key=` in a PROJ string.
fn proj_number(text: &str, key: &str) -> Option<f64> {
    text.split_whitespace()
        .find_map(|word| word.strip_prefix('+')?.strip_prefix(key)?.strip_prefix('=')?.parse().ok())
}

/// The area of each cell: that of the flat quadrilateral between its corners on the ellipsoid, which for cells of some
/// kilometres differs from the curved one by less than one part in a million.
fn cell_area_m2(grid: &GridSpec, axes: (f64, f64)) -> Result<Array2<f32>, GridError> {
    let half = grid.cell_size_m / 2.0;
    let corners = (0..=grid.rows)
        .into_par_iter()
        .map(|row| {
            (0..=grid.columns)
                .map(|column| {
                    let place = grid.projection.to_lonlat(grid.x_m(column) - half, grid.y_m(row) + half)?;
                    Ok(on_ellipsoid(place, axes))
                })
                .collect::<Result<Vec<_>, GridError>>()
        })
        .collect::<Result<Vec<_>, GridError>>()?;
    Ok(Array2::from_shape_fn(grid.shape(), |(row, column)| {
        let (above, below) = (&corners[row], &corners[row + 1]);
        let first = difference(below[column + 1], above[column]);
        let second = difference(above[column + 1], below[column]);
        let normal = [
            first[1] * second[2] - first[2] * second[1],
            first[2] * second[0] - first[0] * second[2],
            first[0] * second[1] - first[1] * second[0],
        ];
        (0.5 * normal.iter().map(|part| part * part).sum::<f64>().sqrt()) as f32
    }))
}

fn difference(a: [f64; 3], b: [f64; 3]) -> [f64; 3] {
    [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
}

/// Geocentric coordinates, m, of a place on an ellipsoid with the given half axes.
fn on_ellipsoid(place: LonLat, (a, b): (f64, f64)) -> [f64; 3] {
    let (lon, lat) = (place.lon.to_radians(), place.lat.to_radians());
    let polar_ratio = (b / a).powi(2);
    let radius = a / (1.0 - (1.0 - polar_ratio) * lat.sin().powi(2)).sqrt();
    [radius * lat.cos() * lon.cos(), radius * lat.cos() * lon.sin(), polar_ratio * radius * lat.sin()]
}

#[cfg(test)]
mod tests {
    use approx::assert_relative_eq;

    use crate::grid::Projection;

    use super::*;

    #[test]
    fn cells_at_the_pole_of_a_stereographic_grid_are_larger_than_they_look() {
        let geography = Geography::of(&GridSpec::test_square(4)).unwrap();
        // Scale of the polar stereographic projection with standard parallel 70: 0.9698 at the pole (Snyder 1987, 21-35).
        assert_relative_eq!(
            f64::from(geography.cell_area_m2[[1, 1]]),
            1e8 / 0.9698_f64.powi(2),
            max_relative = 1e-3
        );
    }

    #[test]
    fn cells_of_an_equal_area_grid_have_their_nominal_area() {
        let laea = Projection::parse("+proj=laea +lat_0=90 +lon_0=0 +ellps=WGS84 +units=m").unwrap();
        let grid = GridSpec { projection: laea, first_cell_centre_x_m: 1.5e6, ..GridSpec::test_square(4) };
        for &area in &Geography::of(&grid).unwrap().cell_area_m2 {
            assert_relative_eq!(f64::from(area), 1e8, max_relative = 1e-4);
        }
    }

    #[test]
    fn numbers_are_read_from_proj_strings() {
        assert_eq!(proj_number("+proj=stere +lat_0=90 +lat_ts=60", "lat_ts"), Some(60.0));
        assert_eq!(proj_number("+proj=stere +lat_0=90", "lat_ts"), None);
    }
}
