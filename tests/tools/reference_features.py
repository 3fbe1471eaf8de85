"""A second computation of the network's inputs, written from docs/method.md alone.

    reference_features.py --inputs DIR --date 2022-04-15 --grid config/grids/arctic-3km.toml --out FILE
                          [--window ROW COLUMN ROWS COLUMNS --golden FILE]

Reads the `final` inputs of the day from DIR and writes the fields on the whole grid to FILE. With
--window and --golden it also writes that window of them, packed small, for the test suite. A window
has to come from a run on the same grid as the run it is compared with: near the edge of a grid,
smoothing and filling see less.

Everything is computed in double precision and stored as float32; the equations of the gap filling are
solved directly. Needs Python 3.11, numpy, scipy, netCDF4, pyproj and pillow.
"""

import argparse
import re
import tomllib
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import netCDF4
import numpy as np
from PIL import Image
from pyproj import Proj
from scipy import ndimage, sparse
from scipy.sparse.linalg import splu
from scipy.spatial import cKDTree

EARTH_RADIUS_KM = 6371.228
LARGEST_VALUE = 1e9
MISSING_CONCENTRATION_FLAGS = 32 | 64 | 256  # lake, land, missing; 128 (near coast) stays valid
USABLE_DRIFT_FLAGS = (20, 21, 22, 30)
LARGEST_DISPLACEMENT_KM = 150.0
ICE_EDGE = 0.15
FILL_REACH_KM = 150.0
NOMINAL_CELL_KM = 3.0

# Decay length s and radius R of the remapping weights, in km.
CONCENTRATION_REACH = (10.0, 20.0)
THICKNESS_REACH = {"206": (30.0, 60.0), "300": (15.0, 30.0)}
DEFORMATION_REACH = (50.0, 150.0)

NEIGHBOURS_AT_MOST = 40  # asked of the tree; more than any cell has within R, which is checked
ROWS_PER_BLOCK = 64  # bounds memory during remapping

FIELDS = {
    "sea_ice_area_fraction": "1",
    "sea_ice_thickness": "m",
    "effective_sea_ice_thickness": "m",
    "divergence": "day-1",
    "shear": "day-1",
    "deformation": "day-1",
}
FLAGS = ("mask", "filled_thickness", "filled_deformation", "missing_deformation")


# Grids


@dataclass
class Grid:
    name: str
    x: np.ndarray  # of the columns, m
    y: np.ndarray  # of the rows, m, going down
    lon_lat: tuple  # two (rows, columns) arrays, degrees
    sea: np.ndarray


def lon_lat_of(projection, x, y):
    return Proj(projection)(*np.meshgrid(x, y), inverse=True)


def read_grid(path):
    keys = tomllib.loads(path.read_text())
    x = keys["first_cell_centre_x_m"] + keys["cell_size_m"] * np.arange(keys["columns"])
    y = keys["first_cell_centre_y_m"] - keys["cell_size_m"] * np.arange(keys["rows"])
    land = np.asarray(Image.open(path.parent / keys["land_mask"]).convert("1"))
    return Grid(keys["name"], x, y, lon_lat_of(keys["projection"], x, y), ~land)


def unit_vectors(lon_lat):
    """Points on the unit sphere, one row each."""
    lon, lat = (np.radians(angle).ravel() for angle in lon_lat)
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=1)


# Files


def the_file(folder, pattern):
    matches = sorted(path for path in folder.rglob("*.nc") if re.fullmatch(pattern, path.name))
    if len(matches) != 1:
        raise SystemExit(f"expected one file like {pattern} in {folder}, found {len(matches)}")
    return matches[0]


def final_inputs(folder, day):
    """The files of concentration, thickness and drift that make the day `final`."""

    def stamp(offset):
        return (day + timedelta(days=offset)).strftime("%Y%m%d")

    return (
        the_file(folder, rf"ice_conc_nh_.*_{stamp(0)}1200\.nc"),
        the_file(folder, rf".*SMOS.*_EASE2_{stamp(-3)}_{stamp(3)}_[or]_v\d{{3}}_\d{{2}}_l4sit\.nc"),
        the_file(folder, rf"ice_drift_nh_.*_multi-oi_{stamp(-1)}1200-{stamp(1)}1200\.nc"),
    )


class Source:
    """One open file: unpacked fields with row 0 at the largest y, and where their cells are."""

    def __init__(self, path):
        self.data = netCDF4.Dataset(path)
        self.data.set_auto_maskandscale(False)
        x, y = self.axis_m("xc"), self.axis_m("yc")
        self.upside_down = y[0] < y[-1]
        y = y[::-1] if self.upside_down else y
        self.spacing_km = abs(x[1] - x[0]) / 1000.0
        self.lon_lat = lon_lat_of(self.projection(), x, y)

    def axis_m(self, name):
        axis = self.data[name]
        return axis[:].astype(float) * {"km": 1000.0, "m": 1.0}[axis.units]

    def projection(self):
        mappings = (v for v in self.data.variables.values() if hasattr(v, "grid_mapping_name"))
        # The text, not the numeric attributes: some files store the ellipsoid's axes in single precision.
        return next(mappings).proj4_string

    def field(self, name):
        variable = self.data[name]
        raw = np.asarray(variable[:])
        raw = raw.reshape(raw.shape[-2:])
        values = raw * float(getattr(variable, "scale_factor", 1.0)) + float(getattr(variable, "add_offset", 0.0))
        missing = ~np.isfinite(values) | (np.abs(values) > LARGEST_VALUE)
        if hasattr(variable, "_FillValue"):
            missing |= raw == variable._FillValue
        values[missing] = np.nan
        return values[::-1] if self.upside_down else values

    def field_km(self, name):
        return self.field(name) * {"km": 1.0, "m": 0.001}[self.data[name].units]

    def days(self):
        """Length of the time bounds, cell by cell where the file says so."""
        bounds = np.asarray(self.data["time_bnds"][:], dtype=float).ravel()
        seconds = bounds[1] - bounds[0]
        if "dt0" in self.data.variables and "dt1" in self.data.variables:
            seconds = seconds + self.field("dt1") - self.field("dt0")
        return seconds / 86400.0


def read_concentration(path):
    source = Source(path)
    concentration = source.field("ice_conc") / 100.0
    flags = np.nan_to_num(source.field("status_flag")).astype(int)
    concentration[(flags & MISSING_CONCENTRATION_FLAGS) != 0] = np.nan
    return source, concentration


def read_thickness(path):
    source = Source(path)
    names = ("sea_ice_thickness", "analysis_sea_ice_thickness", "analysis_ice_thickness")
    thickness = source.field(next(name for name in names if name in source.data.variables))
    thickness[thickness <= 0.0] = np.nan
    return source, thickness


def read_drift(path):
    source = Source(path)
    dx, dy = source.field_km("dX"), source.field_km("dY")
    # Comparisons with NaN are false, so a missing component or uncertainty makes the vector invalid.
    valid = (np.abs(dx) < LARGEST_DISPLACEMENT_KM) & (np.abs(dy) < LARGEST_DISPLACEMENT_KM)
    valid &= np.isin(source.field("status_flag"), USABLE_DRIFT_FLAGS)
    valid &= source.field_km("uncert_dX_and_dY") > 0.0
    return source, np.where(valid, dx, np.nan), np.where(valid, dy, np.nan)


# Deformation on the drift's own grid


def median_3x3(values):
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(values, 1, constant_values=np.nan), (3, 3))
    medians = np.full(values.shape, np.nan)
    centre_valid = np.isfinite(values)
    medians[centre_valid] = np.nanmedian(windows[centre_valid].reshape(-1, 9), axis=1)
    return medians


def central_differences(values, spacing):
    """Derivatives along x and y; NaN beside missing values and on the border."""
    along_x, along_y = np.full((2, *values.shape), np.nan)
    along_x[:, 1:-1] = (values[:, 2:] - values[:, :-2]) / (2.0 * spacing)
    along_y[1:-1] = (values[:-2] - values[2:]) / (2.0 * spacing)
    return along_x, along_y


def deformation(source, dx, dy):
    """Divergence and shear, 1/day, valid where all four neighbours are."""
    days = source.days()
    u_x, u_y = central_differences(median_3x3(dx) / days, source.spacing_km)
    v_x, v_y = central_differences(median_3x3(dy) / days, source.spacing_km)
    divergence, shear = u_x + v_y, np.hypot(u_x - v_y, u_y + v_x)
    valid = np.isfinite(divergence) & np.isfinite(shear)
    return np.where(valid, divergence, np.nan), np.where(valid, shear, np.nan)


# Remapping


def weights_of(tree, targets, decay_km, radius_km):
    """Source indices and weights for each target; weight 0 beyond the radius."""
    # A little slack, since the exact test below is on the arc and not on the chord.
    chord = 2.0 * np.sin(radius_km / (2.0 * EARTH_RADIUS_KM)) * (1.0 + 1e-6)
    chords, index = tree.query(targets, k=NEIGHBOURS_AT_MOST, distance_upper_bound=chord)
    assert not np.isfinite(chords[:, -1]).any(), "NEIGHBOURS_AT_MOST is too small"
    absent = ~np.isfinite(chords)
    distance = 2.0 * EARTH_RADIUS_KM * np.arcsin(np.where(absent, 0.0, chords) / 2.0)
    absent |= distance > radius_km
    weights = np.where(absent, 0.0, np.exp(-((distance / decay_km) ** 2)))
    return np.where(absent, 0, index), weights


def remap(source, fields, grid, reach):
    """The weighted means of the fields on the sea cells of the grid."""
    tree = cKDTree(unit_vectors(source.lon_lat))
    results = [np.full(grid.sea.shape, np.nan) for _ in fields]
    for start in range(0, len(grid.sea), ROWS_PER_BLOCK):
        rows = slice(start, start + ROWS_PER_BLOCK)
        sea = grid.sea[rows]
        index, weights = weights_of(tree, unit_vectors([angle[rows][sea] for angle in grid.lon_lat]), *reach)
        total = weights.sum(axis=1)
        for field, result in zip(fields, results):
            near = field.ravel()[index]
            valid_weights = np.where(np.isfinite(near), weights, 0.0)
            valid_total = valid_weights.sum(axis=1)
            enough = (valid_total > 0.0) & (valid_total >= 0.5 * total)
            sums = (valid_weights * np.nan_to_num(near)).sum(axis=1)
            result[rows][sea] = np.divide(sums, valid_total, out=np.full(len(sums), np.nan), where=enough)
    return results


# Smoothing and filling


def smooth(values):
    """5 x 5 Gaussian with a sigma of one cell over the valid cells, kept where the centre is valid."""
    offsets = np.arange(-2, 3)
    kernel = np.exp(-(offsets[:, None] ** 2 + offsets**2) / 2.0)
    valid = np.isfinite(values)
    sums = ndimage.convolve(np.where(valid, values, 0.0), kernel, mode="constant")
    weights = ndimage.convolve(valid.astype(float), kernel, mode="constant")
    return np.divide(sums, weights, out=np.full(values.shape, np.nan), where=valid)


def cells_to_fill(data, ice):
    """Ice cells without data, near data, in groups that touch data."""
    if not data.any():
        return np.zeros_like(data)
    near = ndimage.distance_transform_edt(~data) * NOMINAL_CELL_KM <= FILL_REACH_KM
    wanted = ice & ~data & near
    groups, count = ndimage.label(wanted)  # joined through the four neighbours
    touching = np.unique(groups[wanted & ndimage.binary_dilation(data)])
    anchored = np.zeros(count + 1, dtype=bool)
    anchored[touching] = True
    return wanted & anchored[groups]


def fill(values, ice):
    """Values with the gaps filled by the solution of the Laplace equation, and the filled cells."""
    data = np.isfinite(values)
    gaps = cells_to_fill(data, ice)
    number = np.full(np.array(values.shape) + 2, -1)  # a rim, so that every cell has four neighbours
    number[1:-1, 1:-1][gaps] = np.arange(gaps.sum())
    known = np.pad(np.where(data, values, 0.0), 1)
    is_known = np.pad(data, 1)
    row, column = np.nonzero(np.pad(gaps, 1))
    neighbours, right = np.zeros((2, len(row)))
    links = []
    for down, across in ((-1, 0), (1, 0), (0, -1), (0, 1)):
        beside = row + down, column + across
        linked = number[beside] >= 0
        links.append((np.nonzero(linked)[0], number[beside][linked]))
        neighbours += linked | is_known[beside]
        right += known[beside]
    filled = values.copy()
    if len(row):
        i, j = (np.concatenate(part) for part in zip(*links))
        matrix = sparse.diags(neighbours) - sparse.coo_matrix((np.ones(len(i)), (i, j)), shape=(len(row),) * 2)
        filled[gaps] = splu(matrix.tocsc(), permc_spec="MMD_AT_PLUS_A").solve(right)
        residual = np.linalg.norm(matrix @ filled[gaps] - right) / np.linalg.norm(right)
        assert residual < 1e-9, residual
    return filled, gaps


# All together


def features(folder, day, grid):
    concentration_file, thickness_file, drift_file = final_inputs(folder, day)
    source, values = read_concentration(concentration_file)
    concentration = smooth(*remap(source, [values], grid, CONCENTRATION_REACH))
    ice = grid.sea & (concentration >= ICE_EDGE)

    source, values = read_thickness(thickness_file)
    version = re.search(r"_v(\d{3})_", thickness_file.name)[1]
    thickness, filled_thickness = fill(smooth(*remap(source, [values], grid, THICKNESS_REACH[version])), ice)

    source, dx, dy = read_drift(drift_file)
    divergence, shear = remap(source, deformation(source, dx, dy), grid, DEFORMATION_REACH)
    divergence, filled_divergence = fill(smooth(divergence), ice)
    shear, filled_shear = fill(smooth(shear), ice)

    mask = ice & np.isfinite(thickness)
    return {
        "sea_ice_area_fraction": concentration,
        "sea_ice_thickness": thickness,
        "effective_sea_ice_thickness": thickness * concentration,
        "divergence": divergence,
        "shear": shear,
        "deformation": np.hypot(divergence, shear),
        "mask": mask,
        "filled_thickness": filled_thickness,
        "filled_deformation": filled_divergence | filled_shear,
        "missing_deformation": mask & ~(np.isfinite(divergence) & np.isfinite(shear)),
    }


def write(path, fields, attributes):
    path.parent.mkdir(parents=True, exist_ok=True)
    with netCDF4.Dataset(path, "w") as out:
        for name, length in zip(("y", "x"), fields["mask"].shape):
            out.createDimension(name, length)
        packing = {"compression": "zlib", "complevel": 9, "shuffle": True}
        for name, units in FIELDS.items():
            variable = out.createVariable(name, "f4", ("y", "x"), fill_value=np.float32(np.nan), **packing)
            variable.units = units
            variable[:] = fields[name]
        for name in FLAGS:
            out.createVariable(name, "u1", ("y", "x"), fill_value=False, **packing)[:] = fields[name]
        out.setncatts(attributes)


def write_window(path, fields, grid, day, window):
    row, column, rows, columns = window
    cut = np.s_[row : row + rows, column : column + columns]
    comment = (
        f"Rows {row}..{row + rows - 1} and columns {column}..{column + columns - 1} of the features of {day} on the "
        f"whole grid {grid.name}, computed by tests/tools/reference_features.py as docs/method.md says. "
        f"first_row and first_column refer to {grid.name}; first_cell_centre_x_m and first_cell_centre_y_m are the "
        "position of the window's cell (0, 0)."
    )
    attributes = {
        "grid": grid.name,
        "first_row": np.int32(row),
        "first_column": np.int32(column),
        "first_cell_centre_x_m": grid.x[column],
        "first_cell_centre_y_m": grid.y[row],
        "comment": comment,
    }
    write(path, {name: values[cut] for name, values in fields.items()}, attributes)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=Path, required=True, help="folder with the day's files")
    parser.add_argument("--date", type=date.fromisoformat, required=True)
    parser.add_argument("--grid", type=Path, required=True, help="the grid's TOML file")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--window", type=int, nargs=4, metavar=("ROW", "COLUMN", "ROWS", "COLUMNS"))
    parser.add_argument("--golden", type=Path, help="where to write the window")
    options = parser.parse_args()
    if (options.window is None) != (options.golden is None):
        parser.error("--window and --golden go together")
    return options


def main():
    options = arguments()
    grid = read_grid(options.grid)
    fields = features(options.inputs, options.date, grid)
    write(options.out, fields, {"grid": grid.name, "comment": f"features of {options.date} as docs/method.md says"})
    if options.golden:
        write_window(options.golden, fields, grid, options.date, options.window)


if __name__ == "__main__":
    main()
