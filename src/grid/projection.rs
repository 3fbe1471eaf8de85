//! Map projections, through a pure-Rust port of PROJ.
//!
//! Longitudes and latitudes are geodetic on the projection's own ellipsoid. No datum is ever shifted: the ellipsoids in use
//! (Hughes 1980, WGS 84) differ by less than 150 m in position, far below a cell.

use std::f64::consts::PI;
use std::fmt;
use std::sync::Arc;

use proj4rs::Proj;
use proj4rs::transform::transform;

use super::GridError;

/// A point on the Earth, degrees.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LonLat {
    /// Longitude, degrees east, -180..180.
    pub lon: f64,
    /// Latitude, degrees north.
    pub lat: f64,
}

impl LonLat {
    /// The point on the unit sphere, taking the latitude as it is.
    #[must_use]
    pub fn unit_vector(self) -> [f64; 3] {
        let (lon, lat) = (self.lon.to_radians(), self.lat.to_radians());
        [lat.cos() * lon.cos(), lat.cos() * lon.sin(), lat.sin()]
    }
}

/// A map projection, named by its PROJ string.
#[derive(Clone)]
pub struct Projection {
    text: String,
    projected: Arc<Proj>,
    geographic: Arc<Proj>,
}

impl Projection {
    /// Reads a PROJ string such as `+proj=stere +lat_0=90 +lat_ts=70 +lon_0=-45 +a=6378273 +b=6356889.44891`.
    ///
    /// # Errors
    /// [`GridError::Projection`] when the text is not a projection known here.
    pub fn parse(text: &str) -> Result<Self, GridError> {
        let refuse = |reason: String| GridError::Projection { text: text.to_owned(), reason };
        let ellipsoid: Vec<&str> = text
            .split_whitespace()
            .filter(|word| {
                ["+a=", "+b=", "+R=", "+rf=", "+ellps=", "+datum="].iter().any(|key| word.starts_with(key))
            })
            .collect();
        if ellipsoid.is_empty() {
            return Err(refuse("it names no ellipsoid".into()));
        }
        let geographic = format!("+proj=longlat {} +no_defs", ellipsoid.join(" "));
        let proj =
            |definition: &str| Proj::from_proj_string(definition).map_err(|error| refuse(error.to_string()));
        Ok(Self {
            text: text.to_owned(),
            projected: Arc::new(proj(text)?),
            geographic: Arc::new(proj(&geographic)?),
        })
    }

    /// The PROJ string.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Longitude and latitude of a point of the plane, given in metres.
    ///
    /// # Errors
    /// [`GridError::Unprojectable`] when the point lies outside the projection.
    pub fn to_lonlat(&self, x_m: f64, y_m: f64) -> Result<LonLat, GridError> {
        let mut point = (x_m, y_m, 0.0);
        transform(&self.projected, &self.geographic, &mut point)
            .map_err(|_| GridError::Unprojectable(x_m, y_m, self.text.clone()))?;
        Ok(LonLat { lon: point.0 * 180.0 / PI, lat: point.1 * 180.0 / PI })
    }

    /// The point of the plane (x, y in metres) at a longitude and latitude.
    ///
    /// # Errors
    /// [`GridError::Unprojectable`] when the point has no image.
    pub fn from_lonlat(&self, at: LonLat) -> Result<(f64, f64), GridError> {
        let mut point = (at.lon.to_radians(), at.lat.to_radians(), 0.0);
        transform(&self.geographic, &self.projected, &mut point)
            .map_err(|_| GridError::Unprojectable(at.lon, at.lat, self.text.clone()))?;
        Ok((point.0, point.1))
    }
}

impl fmt::Debug for Projection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Projection({})", self.text)
    }
}

impl PartialEq for Projection {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

#[cfg(test)]
mod tests {
    use approx::assert_abs_diff_eq;

    use super::*;

    const HUGHES: &str =
        "+proj=stere +lat_0=90 +lat_ts=60 +lon_0=-45 +a=6378273 +b=6356889.448910593 +units=m";

    #[test]
    fn the_pole_is_the_origin_and_the_x_axis_points_along_45_east() {
        let projection = Projection::parse(HUGHES).unwrap();
        let pole = projection.to_lonlat(0.0, 0.0).unwrap();
        assert_abs_diff_eq!(pole.lat, 90.0, epsilon = 1e-9);
        let east = projection.to_lonlat(1.0e6, 0.0).unwrap();
        assert_abs_diff_eq!(east.lon, 45.0, epsilon = 1e-9);
    }

    #[test]
    fn there_and_back_is_the_same_place() {
        for text in [HUGHES, "+proj=laea +lon_0=0 +datum=WGS84 +ellps=WGS84 +lat_0=90.0"] {
            let projection = Projection::parse(text).unwrap();
            for (x, y) in [(-2_262_000.0, 2_022_000.0), (1_234.0, -987_654.0), (1_659_000.0, -1_233_000.0)] {
                let back = projection.from_lonlat(projection.to_lonlat(x, y).unwrap()).unwrap();
                assert_abs_diff_eq!(back.0, x, epsilon = 1e-3);
                assert_abs_diff_eq!(back.1, y, epsilon = 1e-3);
            }
        }
    }

    #[test]
    fn a_projection_without_an_ellipsoid_is_refused() {
        let message = Projection::parse("+proj=stere +lat_0=90").unwrap_err().to_string();
        assert!(message.contains("names no ellipsoid"), "{message}");
    }
}
