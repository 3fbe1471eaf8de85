//! The parameters of a map projection, taken from a PROJ string or from CF attributes, so that two ways of writing the same
//! projection compare as equal.

use std::fmt;

use crate::source::netcdf_file::PackedVariable;

/// Files store the semi axes in single precision, which moves them by up to half a metre.
const AXIS_TOLERANCE_M: f64 = 1.0;
const ANGLE_TOLERANCE_DEGREES: f64 = 1e-6;
const WGS84: (f64, f64) = (6_378_137.0, 298.257_223_563);

/// A polar stereographic or Lambert azimuthal equal-area projection; angles in degrees, axes in metres.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ProjectionParameters {
    kind: String,
    origin: (f64, f64),
    standard_parallel: Option<f64>,
    false_origin: (f64, f64),
    semi_axes_m: (f64, f64),
}

impl ProjectionParameters {
    /// From a PROJ string; `None` where it leaves something open.
    pub(super) fn from_proj(text: &str) -> Option<Self> {
        let value = |key: &str| {
            text.split_whitespace()
                .find_map(|word| word.strip_prefix('+').unwrap_or(word).strip_prefix(key)?.strip_prefix('='))
        };
        let number = |key: &str| value(key)?.parse::<f64>().ok();
        let semi_axes_m = match (number("a"), number("b"), number("rf")) {
            (Some(a), Some(b), _) => (a, b),
            (Some(a), None, Some(flattening)) => (a, polar_axis(a, flattening)),
            _ if value("ellps").or(value("datum")) == Some("WGS84") => {
                (WGS84.0, polar_axis(WGS84.0, WGS84.1))
            }
            _ => return None,
        };
        Some(Self {
            kind: value("proj")?.to_owned(),
            origin: (number("lon_0").unwrap_or(0.0), number("lat_0").unwrap_or(0.0)),
            standard_parallel: number("lat_ts"),
            false_origin: (number("x_0").unwrap_or(0.0), number("y_0").unwrap_or(0.0)),
            semi_axes_m,
        })
    }

    /// From the CF attributes of a grid mapping variable; `None` where they leave something open.
    pub(super) fn from_cf(mapping: &PackedVariable<'_>) -> Option<Self> {
        let number = |name: &str| mapping.number(name);
        let (kind, longitude) = match mapping.text("grid_mapping_name")?.as_str() {
            "polar_stereographic" => ("stere", "straight_vertical_longitude_from_pole"),
            "lambert_azimuthal_equal_area" => ("laea", "longitude_of_projection_origin"),
            _ => return None,
        };
        let a = number("semi_major_axis")?;
        let b = number("semi_minor_axis")
            .or_else(|| number("inverse_flattening").map(|flattening| polar_axis(a, flattening)))?;
        Some(Self {
            kind: kind.to_owned(),
            origin: (number(longitude)?, number("latitude_of_projection_origin")?),
            standard_parallel: number("standard_parallel"),
            false_origin: (number("false_easting").unwrap_or(0.0), number("false_northing").unwrap_or(0.0)),
            semi_axes_m: (a, b),
        })
    }

    /// Area on the map per true area at a point of the plane. A stereographic map is scaled by k0 (1 + (rho / 2 R k0)^2) at the distance
    /// rho from the pole, worked out on a sphere here, which is right to half a percent; the other kind of map keeps areas.
    pub(super) fn area_scale(&self, x_m: f64, y_m: f64) -> f64 {
        let Some(parallel) = self.standard_parallel else { return 1.0 };
        let at_pole = f64::midpoint(1.0, parallel.to_radians().sin());
        let radius_m = f64::midpoint(self.semi_axes_m.0, self.semi_axes_m.1);
        let tangent = x_m.hypot(y_m) / (2.0 * radius_m * at_pole);
        (at_pole * (1.0 + tangent.powi(2))).powi(2)
    }

    /// Whether both are the same projection up to rounding.
    pub(super) fn agrees_with(&self, other: &Self) -> bool {
        let near = |one: f64, two: f64, tolerance: f64| (one - two).abs() <= tolerance;
        let angle =
            |one: f64, two: f64| near((one - two + 180.0).rem_euclid(360.0), 180.0, ANGLE_TOLERANCE_DEGREES);
        let parallels = match (self.standard_parallel, other.standard_parallel) {
            (Some(one), Some(two)) => angle(one, two),
            (one, two) => one == two,
        };
        self.kind == other.kind
            && parallels
            && angle(self.origin.0, other.origin.0)
            && angle(self.origin.1, other.origin.1)
            && near(self.false_origin.0, other.false_origin.0, AXIS_TOLERANCE_M)
            && near(self.false_origin.1, other.false_origin.1, AXIS_TOLERANCE_M)
            && near(self.semi_axes_m.0, other.semi_axes_m.0, AXIS_TOLERANCE_M)
            && near(self.semi_axes_m.1, other.semi_axes_m.1, AXIS_TOLERANCE_M)
    }
}

fn polar_axis(semi_major: f64, inverse_flattening: f64) -> f64 {
    semi_major * (1.0 - 1.0 / inverse_flattening)
}

impl fmt::Display for ProjectionParameters {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "+proj={} +lat_0={} +lon_0={}", self.kind, self.origin.1, self.origin.0)?;
        if let Some(parallel) = self.standard_parallel {
            write!(formatter, " +lat_ts={parallel}")?;
        }
        if self.false_origin != (0.0, 0.0) {
            write!(formatter, " +x_0={} +y_0={}", self.false_origin.0, self.false_origin.1)?;
        }
        write!(formatter, " +a={} +b={}", self.semi_axes_m.0, self.semi_axes_m.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grid::{LonLat, Projection};

    const HUGHES: &str = "+proj=stere +a=6378273 +b=6356889.44891 +lat_0=90 +lat_ts=70 +lon_0=-45";

    fn same(one: &str, two: &str) -> bool {
        let parse = |text| ProjectionParameters::from_proj(text).unwrap();
        parse(one).agrees_with(&parse(two))
    }

    #[test]
    fn another_order_rounding_or_spelling_is_the_same_projection() {
        assert!(same(
            HUGHES,
            "+proj=stere +lat_0=90.0 +lat_ts=70 +lon_0=315 +a=6378273 +b=6356889.5 +units=km"
        ));
        let laea = "+proj=laea +lon_0=0 +datum=WGS84 +ellps=WGS84 +lat_0=90.0";
        assert!(same(laea, "+proj=laea +lat_0=90 +lon_0=0 +x_0=0 +y_0=0 +a=6378137 +rf=298.257223563"));
        assert!(same(laea, "+proj=laea +lat_0=90 +a=6378137 +b=6356752.314 +no_defs"));
    }

    #[test]
    fn any_other_parameter_is_another_projection() {
        for (from, to) in [
            ("stere", "laea"),
            ("lat_ts=70", "lat_ts=60"),
            ("+lat_ts=70", ""),
            ("lon_0=-45", "lon_0=0"),
            ("lat_0=90", "lat_0=-90"),
            ("6356889.44891", "6356752.3"),
            ("+proj", "+x_0=1000 +proj"),
        ] {
            assert!(!same(HUGHES, &HUGHES.replace(from, to)), "{from} -> {to}");
        }
    }

    #[test]
    fn areas_are_true_at_the_standard_parallel_and_known_elsewhere() {
        let map = ProjectionParameters::from_proj(HUGHES).unwrap();
        let projection = Projection::parse(HUGHES).unwrap();
        // The scale factors of Snyder's formulas on the ellipsoid.
        for (lat, scale) in [(90.0, 0.9698), (80.0, 0.9772), (70.0, 1.0), (60.0, 1.0394)] {
            let (x_m, y_m) = projection.from_lonlat(LonLat { lon: 10.0, lat }).unwrap();
            let found = map.area_scale(x_m, y_m);
            assert!((found / (scale * scale) - 1.0).abs() < 0.005, "{lat}: {found}");
        }
        let laea = ProjectionParameters::from_proj("+proj=laea +lat_0=90 +ellps=WGS84").unwrap();
        assert!((laea.area_scale(1e6, 2e6) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_text_without_kind_or_ellipsoid_is_no_projection() {
        assert_eq!(ProjectionParameters::from_proj("+proj=stere +lat_0=90"), None);
        assert_eq!(ProjectionParameters::from_proj("+a=1 +b=1"), None);
    }
}
