"""From the satellite files of a day to the network's features, and from an ensemble to files, as one does it in Python.

    pipeline.py --date 2026-03-03 --inputs FOLDER --cache FOLDER --out FOLDER

What the time of the same steps of Nilas is compared with: xarray reads, pyresample resamples, scipy smooths and fills,
xarray and rioxarray write. What is computed stands in docs/method.md. Three stages are timed, and printed as one JSON
object on standard output with an entry for each repetition, in seconds:

* `features cold`: from the grid's file and the three input files to the array that the network sees. The neighbours of
  each cell are searched anew and stored in `--cache`.
* `features warm`: the same with the stored neighbours.
* `publish`: mean, spread, three quantiles and all members into one compressed NetCDF file; mean, spread and quantiles
  as cloud-optimised GeoTIFFs in EPSG:3413. The ensemble is the day's thickness with smooth random numbers. Left out
  without `--out`.

It does less than Nilas: no uncertainty of the thickness, no flags, no checks of the files, and of the product only
these fields.

`--compare FILE` adds how far the features are from those in a file of `nilas features`.
"""

import argparse
import json
import time
import tomllib
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property, partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
import rasterio
import rioxarray  # noqa: F401  (gives xarray's objects their attribute `rio`)
import xarray as xr
from pyresample import AreaDefinition, SwathDefinition
from pyresample.kd_tree import get_neighbour_info, get_sample_from_neighbour_info
from rasterio.enums import Resampling
from rasterio.errors import NotGeoreferencedWarning
from safetensors import safe_open
from scipy import ndimage, sparse
from scipy.sparse.linalg import splu

REPOSITORY = Path(__file__).resolve().parents[2]

LAND_LAKE_OR_MISSING = 64 | 32 | 256  # bits of the concentration's status flag
USABLE_DRIFT_FLAGS = (20, 21, 22, 30)
LARGEST_DISPLACEMENT_KM = 150.0
LARGEST_TIME_CORRECTION_S = 43_200.0
SECONDS_PER_DAY = 86_400.0

ICE_EDGE = 0.15
FILL_REACH_M = 150_000.0
SMALLEST_DEFORMATION_PER_DAY = 2e-3

QUANTILES = {"p10": 0.1, "p50": 0.5, "p90": 0.9}
PACKED_STEP_M = 1.0 / 1024.0
NOISE_SIGMA_CELLS = 2.0
NOISE_SHARE = 0.15  # of the thickness
MAP_CRS, MAP_CELL_M = "EPSG:3413", 3000.0

Array = np.ndarray


@dataclass(frozen=True)
class Kernel:
    """The weight exp(-d^2/s^2) of source cells within a radius; there are fewer of them than `neighbours`."""

    scale_m: float
    radius_m: float
    neighbours: int


KERNELS = {
    "concentration": Kernel(scale_m=10_000.0, radius_m=20_000.0, neighbours=20),
    "thickness_v206": Kernel(scale_m=30_000.0, radius_m=60_000.0, neighbours=24),
    "thickness_v300": Kernel(scale_m=15_000.0, radius_m=30_000.0, neighbours=24),
    "deformation": Kernel(scale_m=50_000.0, radius_m=150_000.0, neighbours=24),
}


# --- grids ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Grid:
    """The grid that products are made on; row 0 is the top."""

    area: AreaDefinition
    sea: Array

    @classmethod
    def read(cls, path: Path) -> "Grid":
        keys = tomllib.loads(path.read_text())
        size = keys["cell_size_m"]
        x = keys["first_cell_centre_x_m"] + size * np.arange(keys["columns"])
        y = keys["first_cell_centre_y_m"] - size * np.arange(keys["rows"])
        with rasterio.open(path.parent / keys["land_mask"]) as mask:
            return cls(area_of(keys["name"], keys["projection"], x, y), sea=mask.read(1) == 0)

    @cached_property
    def sea_cells(self) -> SwathDefinition:
        """Where the cells of sea lie: all that is ever computed."""
        lons, lats = self.area.get_lonlats()
        return SwathDefinition(lons[self.sea], lats[self.sea])


def area_of(name: str, projection: str, x_m: Array, y_m: Array) -> AreaDefinition:
    """The grid with these centres of columns, going right, and rows, going down."""
    half = (x_m[1] - x_m[0]) / 2.0
    extent = (x_m[0] - half, y_m[-1] - half, x_m[-1] + half, y_m[0] + half)
    return AreaDefinition(name, name, name, projection, len(x_m), len(y_m), extent)


# --- input files ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Field:
    """Values on the grid of their file; several fields have the same missing cells. NaN is missing."""

    area: AreaDefinition
    values: list[Array]
    kernel: str


def the_file(folder: Path, pattern: str) -> Path:
    """The file that is named like this, the newest version of it if there are several."""
    matches = sorted(folder.rglob(pattern))
    if not matches:
        raise SystemExit(f"there is no file like {pattern} in {folder}")
    return matches[-1]


def files_of(folder: Path, day: date) -> tuple[Path, Path, Path]:
    """Concentration, thickness and drift of a `final` product."""

    def stamp(days: int) -> str:
        return (day + timedelta(days=days)).strftime("%Y%m%d")

    return (
        the_file(folder, f"ice_conc_nh_*_amsr?_{stamp(0)}1200.nc"),
        the_file(folder, f"*SMOS*_EASE2_{stamp(-3)}_{stamp(3)}_[or]_v*_l4sit.nc"),
        the_file(folder, f"ice_drift_nh_*_multi-oi_{stamp(-1)}1200-{stamp(1)}1200.nc"),
    )


def open_file(path: Path) -> xr.Dataset:
    """A file's fields, unpacked, with the largest y in row 0; times stay numbers."""
    dataset = xr.open_dataset(path, decode_times=False)
    return dataset.squeeze("time").sortby("yc", ascending=False)


def area_of_file(dataset: xr.Dataset) -> AreaDefinition:
    mapping = next(variable for variable in dataset.data_vars.values() if "proj4_string" in variable.attrs)
    x_m, y_m = (in_metres(dataset[axis]).values for axis in ("xc", "yc"))
    return area_of(mapping.name, mapping.attrs["proj4_string"], x_m, y_m)


def in_metres(lengths: xr.DataArray) -> xr.DataArray:
    return lengths * {"km": 1000.0, "m": 1.0}[lengths.attrs["units"]]


def read_concentration(path: Path) -> Field:
    """Concentration as a fraction."""
    with open_file(path) as dataset:
        flags = dataset["status_flag"].fillna(0).astype(int)
        fraction = dataset["ice_conc"].where((flags & LAND_LAKE_OR_MISSING) == 0) / 100.0
        return Field(area_of_file(dataset), [fraction.values], "concentration")


def read_thickness(path: Path) -> Field:
    """Mean thickness over the ice, m."""
    names = ("sea_ice_thickness", "analysis_sea_ice_thickness", "analysis_ice_thickness")
    with open_file(path) as dataset:
        thickness_m = next(dataset[name] for name in names if name in dataset)
        thickness_m = thickness_m.where(thickness_m >= 0.0)
        kernel = "thickness_v206" if "_v206_" in path.name else "thickness_v300"
        return Field(area_of_file(dataset), [thickness_m.values], kernel)


def read_deformation(path: Path) -> Field:
    """Divergence and shear of the drift, 1/day."""
    with open_file(path) as dataset:
        dx_km, dy_km = (in_metres(dataset[name]) / 1000.0 for name in ("dX", "dY"))
        usable = (
            (abs(dx_km) < LARGEST_DISPLACEMENT_KM)
            & (abs(dy_km) < LARGEST_DISPLACEMENT_KM)
            & dataset["status_flag"].isin(USABLE_DRIFT_FLAGS)
            & (dataset["uncert_dX_and_dY"] > 0.0)
        )
        days = drift_days(dataset)
        area = area_of_file(dataset)
        u, v = (median_3x3(component.where(usable).values) / days for component in (dx_km, dy_km))
    return Field(area, deformation(u, v, area.pixel_size_x / 1000.0), "deformation")


def drift_days(dataset: xr.Dataset) -> Array:
    """The time in which the ice of each cell was displaced."""
    start, end = dataset["time_bnds"].values
    seconds = xr.full_like(dataset["dX"], end - start, dtype=float)
    for name, sign in (("dt0", -1.0), ("dt1", 1.0)):
        if name in dataset:
            correction = dataset[name]
            seconds += sign * correction.where(abs(correction) <= LARGEST_TIME_CORRECTION_S, 0.0)
    return seconds.values / SECONDS_PER_DAY


# --- from files to features -------------------------------------------------------------------------------------------


def median_3x3(values: Array) -> Array:
    """The median of the valid values around each valid cell."""
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(values, 1, constant_values=np.nan), (3, 3))
    valid = np.isfinite(values)
    medians = np.full(values.shape, np.nan)
    medians[valid] = np.nanmedian(windows[valid].reshape(-1, 9), axis=1)
    return medians


def deformation(u: Array, v: Array, cell_km: float) -> list[Array]:
    """Divergence and shear of velocities in km/day, from central differences; missing on the edge of the grid."""
    # Rows go down, y goes up.
    (u_down, u_x), (v_down, v_x) = np.gradient(u, cell_km), np.gradient(v, cell_km)
    divergence = u_x - v_down
    shear = np.hypot(u_x + v_down, v_x - u_down)
    missing = ~np.isfinite(divergence + shear)
    missing[[0, -1], :] = missing[:, [0, -1]] = True
    return [np.where(missing, np.nan, values) for values in (divergence, shear)]


def neighbour_info(field: Field, grid: Grid, cache: Path) -> tuple[Array, Array, Array, Array]:
    """What pyresample knows of the neighbours of each cell of sea: from the cache, or searched and stored there."""
    path = cache / f"{field.kernel}-to-{grid.area.area_id}.npz"
    if path.exists():
        with np.load(path) as stored:
            return tuple(stored[name] for name in ("valid_input", "valid_output", "indices", "distances"))
    kernel = KERNELS[field.kernel]
    valid_input, valid_output, indices, distances = get_neighbour_info(
        field.area, grid.sea_cells, kernel.radius_m, neighbours=kernel.neighbours
    )
    distances = distances.astype(np.float32)
    cache.mkdir(parents=True, exist_ok=True)
    np.savez(path, valid_input=valid_input, valid_output=valid_output, indices=indices, distances=distances)
    return valid_input, valid_output, indices, distances


def resample(field: Field, grid: Grid, cache: Path) -> list[Array]:
    """Weighted means of the valid cells around each cell of sea, where these have half of the weight of all cells."""
    valid_input, valid_output, indices, distances = neighbour_info(field, grid, cache)
    scale_m = KERNELS[field.kernel].scale_m

    def mean(values: Array) -> Array:
        return get_sample_from_neighbour_info(
            "custom",
            (np.count_nonzero(grid.sea),),
            values.ravel(),
            valid_input,
            valid_output,
            indices,
            distances,
            weight_funcs=lambda distance_m: np.exp(-((distance_m / scale_m) ** 2)),
        )

    valid = np.isfinite(field.values[0])
    valid_share = mean(valid.astype(float))
    enough = valid_share >= 0.5
    results = []
    for values in field.values:
        mean_of_valid = np.full(valid_share.shape, np.nan)
        np.divide(mean(np.where(valid, values, 0.0)), valid_share, out=mean_of_valid, where=enough)
        result = np.full(grid.sea.shape, np.nan)
        result[grid.sea] = mean_of_valid
        results.append(result)
    return results


def smooth(values: Array) -> Array:
    """5 x 5 Gaussian mean, sigma one cell, over the valid cells; cells without a value stay without."""
    blur = partial(ndimage.gaussian_filter, sigma=1.0, radius=2, mode="constant")
    valid = np.isfinite(values)
    sums, weights = blur(np.where(valid, values, 0.0)), blur(valid.astype(float))
    return np.divide(sums, weights, out=np.full(values.shape, np.nan), where=valid)


def gaps_of(data: Array, ice: Array, reach_cells: float) -> Array:
    """Ice without data that is near data, in groups of cells that touch data."""
    near = ndimage.distance_transform_edt(~data) <= reach_cells
    wanted = ice & ~data & near
    groups, _ = ndimage.label(wanted)
    touching = np.unique(groups[wanted & ndimage.binary_dilation(data)])
    return wanted & np.isin(groups, touching)


def fill(fields: list[Array], ice: Array, reach_cells: float) -> list[Array]:
    """The fields with their gaps filled: each cell is the mean of those of its neighbours that are data or filled."""
    data = np.isfinite(fields[0])
    gaps = gaps_of(data, ice, reach_cells)
    if not gaps.any():
        return fields
    # A rim around the grid gives each cell four neighbours.
    unknowns = np.count_nonzero(gaps)
    numbers = np.full(gaps.shape, -1)
    numbers[gaps] = np.arange(unknowns)
    numbers = np.pad(numbers, 1, constant_values=-1)
    stride = numbers.shape[1]
    neighbours = np.flatnonzero(numbers >= 0)[:, None] + np.array([-stride, -1, 1, stride])

    neighbour_numbers = numbers.ravel()[neighbours]
    neighbour_is_data = np.pad(data, 1).ravel()[neighbours]
    equations, _ = np.nonzero(neighbour_numbers >= 0)
    links = (equations, neighbour_numbers[neighbour_numbers >= 0])
    degrees = np.count_nonzero(neighbour_is_data | (neighbour_numbers >= 0), axis=1).astype(float)
    adjacency = sparse.coo_array((np.ones(len(equations)), links), shape=(unknowns, unknowns))
    solver = splu((sparse.diags_array(degrees) - adjacency).tocsc(), permc_spec="MMD_AT_PLUS_A")

    filled = [values.copy() for values in fields]
    for values in filled:
        around = np.pad(values, 1).ravel()[neighbours]
        values[gaps] = solver.solve(np.where(neighbour_is_data, around, 0.0).sum(axis=1))
    return filled


@dataclass(frozen=True)
class Statistics:
    """Means and standard deviations of the training data: concentration, effective thickness, ln of the deformation."""

    mean: list[float]
    standard_deviation: list[float]

    @classmethod
    def of_checkpoint(cls, path: Path) -> "Statistics":
        with safe_open(path, framework="numpy") as file:
            return cls(**json.loads(file.metadata()["nilas"])["statistics"])


@dataclass(frozen=True)
class Prepared:
    """A day on the product grid, and what the network sees of it."""

    concentration: Array
    effective_thickness_m: Array
    deformation_per_day: Array
    mask: Array
    features: Array


def prepare(files: tuple[Path, Path, Path], grid_file: Path, statistics: Statistics, cache: Path) -> Prepared:
    """The features of the day of these files."""
    grid = Grid.read(grid_file)

    def on_grid(field: Field) -> list[Array]:
        return [smooth(values) for values in resample(field, grid, cache)]

    concentration_file, thickness_file, drift_file = files
    (concentration,) = on_grid(read_concentration(concentration_file))
    ice = concentration >= ICE_EDGE
    reach_cells = FILL_REACH_M / grid.area.pixel_size_x
    (thickness_m,) = fill(on_grid(read_thickness(thickness_file)), ice, reach_cells)
    divergence, shear = fill(on_grid(read_deformation(drift_file)), ice, reach_cells)

    effective_thickness_m = thickness_m * concentration
    deformation_per_day = np.hypot(divergence, shear)
    mask = ice & np.isfinite(thickness_m) & np.isfinite(deformation_per_day)
    channels = np.stack(
        [concentration, effective_thickness_m, np.log(np.maximum(deformation_per_day, SMALLEST_DEFORMATION_PER_DAY))]
    )
    mean, standard_deviation = (
        np.array(numbers)[:, None, None] for numbers in (statistics.mean, statistics.standard_deviation)
    )
    standardised = np.where(mask, (channels - mean) / standard_deviation, 0.0)
    features = np.concatenate([standardised, mask[None]]).astype(np.float32)
    return Prepared(concentration, effective_thickness_m, deformation_per_day, mask, features)


# --- from an ensemble to files ----------------------------------------------------------------------------------------


def ensemble(prepared: Prepared, members: int, area: AreaDefinition) -> xr.Dataset:
    """The day's thickness with random fields of a few kilometres, and its statistics."""
    random = np.random.default_rng(seed=1)
    thickness_m = np.where(prepared.mask, prepared.effective_thickness_m, np.nan)
    values = np.empty((members, *thickness_m.shape), dtype=np.float32)
    for member in range(members):
        noise = ndimage.gaussian_filter(random.standard_normal(thickness_m.shape), NOISE_SIGMA_CELLS)
        values[member] = np.maximum(thickness_m * (1.0 + NOISE_SHARE * noise / noise.std()), 0.0)

    def on_grid(of_ice: Array) -> tuple[tuple[str, str], Array]:
        result = np.full(thickness_m.shape, np.nan, dtype=np.float32)
        result[prepared.mask] = of_ice
        return ("y", "x"), result

    of_ice = values[:, prepared.mask]
    fields = {"mean": on_grid(of_ice.mean(axis=0)), "spread": on_grid(of_ice.std(axis=0, ddof=1))}
    quantiles = np.quantile(of_ice, list(QUANTILES.values()), axis=0)
    fields |= {name: on_grid(quantile) for name, quantile in zip(QUANTILES, quantiles, strict=True)}
    x_m, y_m = area.get_proj_vectors()
    dataset = xr.Dataset(
        {"members": (("realization", "y", "x"), values), **fields},
        coords={"y": y_m, "x": x_m, "realization": np.arange(members)},
    )
    return dataset.rio.write_crs(area.crs)


def publish(dataset: xr.Dataset, day: date, folder: Path) -> None:
    """Writes everything as NetCDF, and all but the members as maps."""
    folder.mkdir(parents=True, exist_ok=True)
    _, rows, columns = dataset["members"].shape
    compressed = {"zlib": True, "complevel": 6, "shuffle": True}
    packed = {"dtype": "int16", "scale_factor": PACKED_STEP_M, "_FillValue": -32_768, "chunksizes": (1, rows, columns)}
    maps = [name for name in dataset.data_vars if name != "members"]
    encoding = {
        "members": {**compressed, **packed},
        # Three decimals are far below the spread, and the file is half as large.
        **{name: {**compressed, "least_significant_digit": 3} for name in maps},
    }
    dataset.to_netcdf(folder / f"peer_{day:%Y%m%d}.nc", engine="netcdf4", encoding=encoding)
    for name in maps:
        on_map = dataset[name].rio.reproject(
            MAP_CRS, resolution=MAP_CELL_M, resampling=Resampling.bilinear, nodata=np.nan
        )
        on_map.rio.to_raster(
            folder / f"peer_{day:%Y%m%d}_{name}.tif",
            driver="COG",
            compress="DEFLATE",
            predictor="FLOATING_POINT",
            blocksize=256,
            overview_resampling="AVERAGE",
            num_threads="ALL_CPUS",
        )


# --- timing -----------------------------------------------------------------------------------------------------------


def seconds_of(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def clear(cache: Path) -> None:
    """Forgets all neighbours."""
    for path in cache.glob("*-to-*.npz"):
        path.unlink()


def differences(prepared: Prepared, path: Path) -> dict[str, object]:
    """How far the features are from those of `nilas features`: on the cells that both have in their mask."""
    with xr.open_dataset(path) as theirs:
        mask = theirs["mask"].values == 1
        both = mask & prepared.mask
        result: dict[str, object] = {
            "cells in both masks": int(both.sum()),
            "cells in one mask": int((mask ^ prepared.mask).sum()),
        }
        for name, ours in (
            ("sea_ice_area_fraction", prepared.concentration),
            ("effective_sea_ice_thickness", prepared.effective_thickness_m),
            ("deformation", prepared.deformation_per_day),
        ):
            values = theirs[name].values[both]
            absolute = np.abs(ours[both] - values)
            relative = absolute / np.maximum(np.abs(values), 1e-9)
            median, p99 = np.quantile(relative, [0.5, 0.99])
            result[name] = {"median relative": median, "p99 relative": p99, "largest": float(absolute.max())}
    return result


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--date", type=date.fromisoformat, required=True)
    parser.add_argument("--inputs", type=Path, required=True, help="folder with the day's files")
    parser.add_argument("--grid", type=Path, default=REPOSITORY / "config/grids/arctic-3km.toml")
    parser.add_argument("--checkpoint", type=Path, default=REPOSITORY / "models/small.safetensors")
    parser.add_argument("--cache", type=Path, required=True, help="folder for the neighbours of the grids' cells")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--cold", action="store_true", help="time the features without stored neighbours")
    parser.add_argument("--warm", action="store_true", help="... and with them; both if neither is asked for")
    parser.add_argument("--out", type=Path, help="folder for published files; they are not timed without it")
    parser.add_argument("--members", type=int, default=10)
    parser.add_argument("--compare", type=Path, help="file of `nilas features` for the same day and grid")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    warnings.simplefilter("ignore", NotGeoreferencedWarning)  # the land mask is a plain image
    make_features = partial(
        prepare,
        files_of(options.inputs, options.date),
        options.grid,
        Statistics.of_checkpoint(options.checkpoint),
        options.cache,
    )
    both = options.cold == options.warm
    stages: dict[str, list[float]] = {}
    if options.cold or both:
        stages["features cold"] = []
        for _ in range(options.repeats):
            clear(options.cache)
            stages["features cold"].append(seconds_of(make_features))
    prepared = make_features()  # also makes sure that all neighbours are stored
    if options.warm or both:
        stages["features warm"] = [seconds_of(make_features) for _ in range(options.repeats)]
    if options.out:
        dataset = ensemble(prepared, options.members, Grid.read(options.grid).area)
        write = partial(publish, dataset, options.date, options.out)
        stages["publish"] = [seconds_of(write) for _ in range(options.repeats)]

    versions = ", ".join(f"{package} {version(package)}" for package in ("xarray", "pyresample", "scipy"))
    report: dict[str, object] = {"what": "pipeline", "program": f"Python ({versions})", "stages": stages}
    if options.compare:
        report["differences"] = differences(prepared, options.compare)
    print(json.dumps(report))


if __name__ == "__main__":
    main()
