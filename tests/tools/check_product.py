"""Checks published products with other people's programs, as users who trust nothing would.

    check_product.py PRODUCT_ROOT [REVISION_FOLDER ...]

Checks the catalogs of a product root, then the named revisions, or every revision that the catalogs link to. Says in a
line what each check measured, and at the end how many passed; ends with 1 and with all failures where there are some.

What is expected stands in docs/product.md: the variables of the NetCDF file, the classes of the map with the flags that
lead to them, and under `### What a checker says` why a message of the compliance checker is no fault. Nothing is fetched:
the schemas of STAC lie in tests/data.

Needs Python 3.11, what check_product.txt lists, and GDAL's gdalinfo and gdallocationinfo on the path.
"""

import argparse
import csv
import hashlib
import json
import re
import subprocess
import sys
import tomllib
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pyproj
import pystac
import rasterio
import shapely
import xarray
from compliance_checker.suite import CheckSuite
from jsonschema import Draft7Validator
from jsonschema.exceptions import best_match
from jsonschema_specifications import REGISTRY as META_SCHEMAS
from rasterio.errors import NotGeoreferencedWarning
from referencing import Resource
from referencing.jsonschema import DRAFT7
from rio_cogeo.cogeo import cog_validate

REPOSITORY = Path(__file__).resolve().parents[2]
DOCUMENTATION = REPOSITORY / "docs/product.md"
SCHEMAS = REPOSITORY / "tests/data/stac-schemas"
SEAS = REPOSITORY / "config/regions/arctic-seas.toml"

SEED = 20260303
POINTS = 1000

# Single precision in sums of some thirty thicknesses; a hundredth of the step that they are rounded to.
FLOAT_SLACK = 1e-5
LARGEST_PLACE_ERROR_M = 5.0
LARGEST_AREA_ERROR = 1e-3
# Sea with at least this concentration has ice.
ICE_EDGE = 0.15
LARGEST_VOLUME_ERROR = 0.01
# Geometries and boxes in STAC are rounded to 0.0001 degrees.
DEGREE_SLACK = 1e-3
# The outline in STAC has a corner every 24 cells and is straight between them.
OUTLINE_STEP = 24

# Longitude and latitude of places that everyone knows to be land or not. The second is the sea north of the first.
CAPE_MORRIS_JESUP = (-32.5, 83.63)
NORTH_OF_THE_CAPE = (-32.5, 84.0)
NORTH_POLE = (0.0, 90.0)
CAPE_REACH_M = 10_000.0

MAPS = {
    "mean": "sea_ice_thickness_mean",
    "spread": "sea_ice_thickness_spread",
    "p10": "sea_ice_thickness_p10",
    "p50": "sea_ice_thickness_p50",
    "p90": "sea_ice_thickness_p90",
    "prob-thin": "sea_ice_thickness_probability_below",
}
MAP_EPSG = 3413
OUTSIDE_CLASS = 255
NARROWEST_QUICKLOOK = 1200


# What was found


@dataclass
class Report:
    root: Path
    passed: int = 0
    failures: list[str] = field(default_factory=list)

    def name_of(self, about: Path) -> str:
        return str(about.relative_to(self.root)) if about.is_relative_to(self.root) else str(about)

    def check(self, good: bool, about: Path, measured: str, wanted: str) -> None:
        """Counts a check; `measured` and `wanted` make a sentence with a `but` between them."""
        print(f"{'ok  ' if good else 'FAIL'} {self.name_of(about)}: {measured}", flush=True)
        if good:
            self.passed += 1
        else:
            self.failures.append(f"{self.name_of(about)}: {measured}, but {wanted}.")

    def left_out(self, about: Path, why: str) -> None:
        print(f"--   {self.name_of(about)}: {why}", flush=True)

    def attempt(self, about: Path, check: Callable[..., None], *arguments: Any) -> None:
        """A file over which another program trips is a fault found, which must not keep the rest from being checked."""
        try:
            check(self, *arguments)
        # Whatever the libraries raise.
        except Exception as error:
            self.check(False, about, f"{check.__name__} ended with {type(error).__name__} ({error})", "it should end well")

    def conclude(self) -> int:
        for failure in self.failures:
            print(failure)
        print(f"{self.passed} checks passed" + (f", {len(self.failures)} failed" if self.failures else ""))
        return 1 if self.failures else 0


def some(names: list[str]) -> str:
    """The first few of a list that may be long."""
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "") if names else "none"


def check_differences(report: Report, about: Path, what: str, differences: np.ndarray, allowed: np.ndarray | float) -> None:
    """Differences that are not a number are too large, too."""
    sizes = np.abs(differences)
    wrong = int((~(sizes <= allowed)).sum())
    largest, most = np.nanmax(sizes, initial=0.0), np.max(allowed, initial=0.0)
    measured = f"{what} differ by {largest:.2g} at most in {sizes.size} values, too much in {wrong}"
    report.check(wrong == 0 and sizes.size > 0, about, measured, f"up to {most:.2g} would be rounding, and there has to be a value")


# A product


class Product:
    """A NetCDF file as xarray decodes it, and where its cells lie."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.data = xarray.open_dataset(path)
        self.x, self.y = self.data["x"].values, self.data["y"].values
        self.shape = len(self.y), len(self.x)
        self.crs = pyproj.CRS.from_wkt(self.data["crs"].attrs["crs_wkt"])
        # From the degrees of the grid's own ellipsoid, which every degree in the products is taken for.
        self.projection = pyproj.Transformer.from_crs(self.crs.geodetic_crs, self.crs, always_xy=True)

    def values(self, name: str) -> np.ndarray:
        return self.data[name].values

    def layers(self, name: str) -> np.ndarray:
        """A variable as fields one behind the other, be it one field."""
        return self.values(name).reshape(-1, *self.shape)

    def flag(self, name: str) -> np.ndarray:
        flags = self.data["status_flag"]
        masks = dict(zip(flags.attrs["flag_meanings"].split(), np.atleast_1d(flags.attrs["flag_masks"]), strict=True))
        return (flags.values.astype(np.int64) & int(masks[name])) != 0

    @cached_property
    def ice(self) -> np.ndarray:
        return self.flag("ice")

    @cached_property
    def members(self) -> np.ndarray | None:
        """The members in the ice cells; None where the file has none."""
        return self.values("sea_ice_thickness")[:, self.ice] if "realization" in self.data.dims else None

    def step(self, name: str) -> float:
        """The multiples that a variable says to be rounded to; 0 where it is not."""
        note = re.search(r"multiples of 2\^(-?\d+)", self.data[name].attrs.get("rounding", ""))
        return 2.0 ** int(note[1]) if note else 0.0

    def cell_edges(self) -> tuple[np.ndarray, np.ndarray]:
        """The x between columns and the y between rows, the outer ones with them."""
        half_x, half_y = (self.x[1] - self.x[0]) / 2, (self.y[1] - self.y[0]) / 2
        return np.append(self.x - half_x, self.x[-1] + half_x), np.append(self.y - half_y, self.y[-1] + half_y)

    def position(self, lon: np.ndarray, lat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Row and column of places; whole numbers are cell centres."""
        x, y = self.projection.transform(lon, lat)
        return (y - self.y[0]) / (self.y[1] - self.y[0]), (x - self.x[0]) / (self.x[1] - self.x[0])

    def has(self, place: tuple[float, float]) -> bool:
        row, column = self.position(*place)
        return bool(-0.5 <= row <= self.shape[0] - 0.5 and -0.5 <= column <= self.shape[1] - 0.5)


@dataclass
class Revision:
    folder: Path
    netcdf: Path
    day: str
    item: dict[str, Any]

    @classmethod
    def read(cls, folder: Path) -> "Revision":
        files = [path for path in folder.glob("*.nc") if re.fullmatch(r"nilas_sit_.+_\d{8}_r\d{2,}\.nc", path.name)]
        if len(files) != 1 or not files[0].stem.endswith(f"_{folder.name}"):
            raise ValueError(f"it has {len(files)} files like nilas_sit_GRID_YYYYMMDD_{folder.name}.nc")
        day = files[0].stem.split("_")[-2]
        return cls(folder, files[0], day, json.loads(files[0].with_suffix(".json").read_text()))

    def file(self, asset: str) -> Path:
        return self.folder / self.item["assets"][asset]["href"]

    @cached_property
    def product(self) -> Product:
        return Product(self.netcdf)


def section(heading: str) -> str:
    """The text under a heading of the documentation, down to the next one; nothing where there is no such heading."""
    found = re.search(rf"^#+ {re.escape(heading)}[^\n]*\n(.*?)(?=^#|\Z)", DOCUMENTATION.read_text(), re.MULTILINE | re.DOTALL)
    return found[1] if found else ""


def documented_rows(heading: str, column: str) -> Iterator[list[list[str]]]:
    """The rows of a documented table, by its first column's title: the words of each cell."""
    table = section(heading).partition(f"| {column} |")[2].partition("\n\n")[0]
    for line in table.splitlines()[2:]:
        yield [re.findall(r"\w+", cell) for cell in line.split("|")[1:-1]]


# The conventions, by the IOOS compliance checker


def explanations() -> list[str]:
    """The parts of messages that the documentation gives a reason for."""
    items = re.findall(r"^\s*[-*]\s+(`[^`]+`(?:(?:,| and)\s+`[^`]+`)*)\s*:", section("What a checker says"), re.MULTILINE)
    return [" ".join(part.split()) for item in items for part in re.findall(r"`([^`]+)`", item)]


def messages_of(results: list[Any]) -> Iterator[str]:
    for result in results:
        if result.children:
            yield from messages_of(result.children)
        elif result.value[0] != result.value[1]:
            joint = " " if result.name.endswith(":") else ": "
            yield from (" ".join(f"{result.name}{joint}{message}".split()) for message in result.msgs)


def complaints(path: Path) -> list[str]:
    """Everything that the checker says, down to suggestions, which is what its `strict` means."""
    CheckSuite.load_all_available_checkers()
    suite = CheckSuite()
    with suite.load_dataset(str(path)) as dataset:
        results = suite.run_all(dataset, ["cf:1.11", "acdd:1.3"])
    found = [message for groups, _ in results.values() for message in messages_of(groups)]
    return sorted(found) + [f"{name} broke off: {error[0]}" for _, errors in results.values() for name, error in errors.items()]


def check_conventions(report: Report, revision: Revision, used: set[str]) -> None:
    known, found = explanations(), complaints(revision.netcdf)
    used.update(part for part in known if any(part in message for message in found))
    unexplained = [message for message in found if not any(part in message for part in known)]
    measured = f"the compliance checker has {len(found)} messages, without an explanation: {'; '.join(unexplained) or 'none'}"
    report.check(not unexplained, revision.netcdf, measured, f"{DOCUMENTATION.name} has to explain each")


def check_explanations(report: Report, used: set[str]) -> None:
    unused = [part for part in explanations() if part not in used]
    report.check(not unused, DOCUMENTATION, f"explanations of no message: {some(unused)}", "what is explained has to occur")


# The NetCDF file, by xarray, numpy and pyproj


def full_name(first: str, name: str) -> str:
    """A name that begins with _ replaces what follows the word that it has in common with the first name, else its last word."""
    if not name.startswith("_"):
        return name
    words, common = first.split("_"), name.split("_")[1]
    return "_".join(words[: words.index(common) if common in words else -1]) + name


def documented_variables() -> dict[str, tuple[str, ...]]:
    """Names and dimensions in the documentation."""
    return {full_name(names[0], name): tuple(cells[0]) for names, *cells in documented_rows("NetCDF", "variable") for name in names}


def may_be_absent(product: Product, name: str, dimensions: tuple[str, ...]) -> bool:
    without_input_spread = product.data.attrs.get("input_uncertainty") == "not included"
    return ("realization" in dimensions and product.members is None) or (name.endswith("_spread_input") and without_input_spread)


def check_variables(report: Report, product: Product) -> None:
    expected, there = documented_variables(), product.data.variables
    absent = [name for name, dimensions in expected.items() if name not in there and not may_be_absent(product, name, dimensions)]
    other = [name for name in expected if name in there and there[name].dims != expected[name]]
    measured = f"of {len(expected)} documented variables are absent: {some(absent)}; with other dimensions: {some(other)}"
    report.check(not absent and not other and bool(expected), product.path, measured, f"{DOCUMENTATION.name} lists them")


def check_rounding(report: Report, product: Product) -> None:
    names = [str(name) for name, variable in product.data.variables.items() if "rounding" in variable.attrs]
    steps = {name: product.step(name) for name in names}
    wrong = [name for name, step in steps.items() if step == 0 or np.nanmax(np.mod(product.values(name), step), initial=0.0) != 0.0]
    measured = f"{len(steps)} variables say how they are rounded, wrongly: {some(wrong)}"
    report.check(bool(steps) and not wrong, product.path, measured, "values have to be multiples of what `rounding` says")


def check_missing(report: Report, product: Product) -> None:
    """What the documentation says of the whole family of thicknesses: values in the ice mask, none elsewhere, none below 0."""
    names = [name for name in map(str, product.data.data_vars) if name.startswith("sea_ice_thickness")]
    names.remove("sea_ice_thickness_low_resolution")
    wrong = [name for name in names if (np.isfinite(product.layers(name)) != product.ice).any()]
    below = [name for name in names if np.nanmin(product.layers(name), initial=0.0) < 0.0]
    measured = f"{product.ice.sum()} cells have the flag `ice`; missing elsewhere or not: {some(wrong)}; below 0: {some(below)}"
    report.check(not wrong and not below, product.path, measured, "thickness is missing exactly where the flag is, and never below 0")


def check_selection(report: Report, product: Product) -> None:
    if product.members is None:
        report.left_out(product.path, "was published without members, so what follows from them is left out")
        return
    members = product.data["sea_ice_thickness"]
    number = int(members["realization"][-1])
    same = np.array_equal(members.sel(realization=number).values, members.values[-1], equal_nan=True)
    report.check(same, product.path, f"xarray selects member {number} by its realization", "that is not the last member")


def rounding_of(product: Product, *names: str) -> float:
    """How far a value may be off when it was worked out before both variables were rounded: half a step for each."""
    return sum(product.step(name) for name in names) / 2 + FLOAT_SLACK


def check_mean_and_spread(report: Report, product: Product) -> None:
    if (members := product.members) is None:
        return
    name = "sea_ice_thickness_mean"
    differences = members.mean(axis=0, dtype=np.float64) - product.values(name)[product.ice]
    allowed = rounding_of(product, "sea_ice_thickness", name)
    check_differences(report, product.path, f"mean of the members and {name}", differences, allowed)

    name = "sea_ice_thickness_spread"
    differences = members.std(axis=0, ddof=1, dtype=np.float64) - product.values(name)[product.ice]
    # A standard deviation is a norm, so rounding the members moves it by that of the rounding errors at most. These are half a step
    # each, whence half a step times the root of n / (n - 1).
    widened = (np.sqrt(len(members) / (len(members) - 1)) * product.step("sea_ice_thickness") + product.step(name)) / 2
    check_differences(report, product.path, f"spread of the members and {name}", differences, widened + FLOAT_SLACK)


def check_quantiles(report: Report, product: Product) -> None:
    names = {share: f"sea_ice_thickness_p{share}" for share in (10, 50, 90)}
    if product.members is None:
        published = np.stack([product.values(name)[product.ice] for name in names.values()])
        wrong = int((np.diff(published, axis=0) < 0.0).sum())
        report.check(wrong == 0, product.path, f"quantiles fall in {wrong} cells", "they rise with the probability")
        return
    own = np.quantile(product.members, [share / 100 for share in names], axis=0, method="linear")
    for name, values in zip(names.values(), own, strict=True):
        differences = values - product.values(name)[product.ice]
        allowed = rounding_of(product, "sea_ice_thickness", name)
        check_differences(report, product.path, f"quantile of the members and {name}", differences, allowed)


def check_probabilities(report: Report, product: Product) -> None:
    shares = product.values("sea_ice_thickness_probability_below")[:, product.ice].astype(np.float64)
    falling = int((np.diff(shares, axis=0) < 0.0).sum() + (shares < 0.0).sum() + (shares > 1.0).sum())
    report.check(falling == 0, product.path, f"probabilities outside 0..1 or falling: {falling}", "they rise with the threshold")
    if (members := product.members) is None:
        return
    # Members were compared before they were rounded: those next to the threshold may have been on either side of it.
    near = rounding_of(product, "sea_ice_thickness")
    for threshold, share in zip(product.values("thickness_threshold"), shares, strict=True):
        count = np.rint(share * len(members))
        wrong = np.abs(share * len(members) - count) > 1e-3
        wrong |= (count < (members < threshold - near).sum(axis=0)) | (count > (members < threshold + near).sum(axis=0))
        measured = f"the probability below {threshold:g} m is not the share of such members in {wrong.sum()} of {wrong.size} cells"
        report.check(not wrong.any(), product.path, measured, "it should be in all")


def check_over_ice(report: Report, product: Product) -> None:
    concentration = product.values("sea_ice_area_fraction")[product.ice].astype(np.float64)
    for statistic in ("mean", "spread"):
        names = f"sea_ice_thickness_over_ice_{statistic}", f"sea_ice_thickness_{statistic}"
        over_ice, effective = (product.values(name)[product.ice].astype(np.float64) for name in names)
        # Errors of both factors, and of the product.
        allowed = product.step(names[0]) / 2 * concentration + product.step("sea_ice_area_fraction") / 2 * (over_ice + 1.0)
        allowed += rounding_of(product, names[1])
        differences = over_ice * concentration - effective
        check_differences(report, product.path, f"{names[0]} times sea_ice_area_fraction and {names[1]}", differences, allowed)


def references(product: Product) -> dict[str, pyproj.CRS]:
    """The projection in every form that the file has it in: each is what some program reads."""
    attributes = product.data["crs"].attrs
    of_cf = {name: value for name, value in attributes.items() if name not in ("crs_wkt", "spatial_ref", "proj4text", "GeoTransform")}
    return {
        "crs_wkt": product.crs,
        "spatial_ref": pyproj.CRS.from_wkt(attributes["spatial_ref"]),
        "proj4text": pyproj.CRS.from_string(attributes["proj4text"]),
        "CF's attributes": pyproj.CRS.from_cf(of_cf),
    }


def check_places(report: Report, product: Product) -> None:
    lon, lat = product.values("lon").astype(np.float64), product.values("lat").astype(np.float64)
    for name, reference in references(product).items():
        x, y = pyproj.Transformer.from_crs(reference.geodetic_crs, reference, always_xy=True).transform(lon, lat)
        error = np.hypot(x - product.x[None, :], y - product.y[:, None]).max()
        measured = f"lon and lat lie within {error:.2g} m of x and y by {name}"
        report.check(bool(error < LARGEST_PLACE_ERROR_M), product.path, measured, f"{LARGEST_PLACE_ERROR_M:g} m are allowed")


def grid_outline(product: Product) -> tuple[np.ndarray, np.ndarray]:
    """Longitude and latitude of the cell corners along the edge of the grid, all the way round."""
    x, y = product.cell_edges()
    along_x = np.concatenate([x, np.full(len(y), x[-1]), x[::-1], np.full(len(y), x[0])])
    along_y = np.concatenate([np.full(len(x), y[0]), y, np.full(len(x), y[-1]), y[::-1]])
    return product.projection.transform(along_x, along_y, direction="INVERSE")


def check_area(report: Report, product: Product) -> None:
    """Sides of 3 km are as good as geodesics, so the cells together have the area of the geodesic polygon around the grid."""
    cells = product.values("cell_area")
    area, _ = product.crs.get_geod().polygon_area_perimeter(*grid_outline(product))
    error = cells.sum(dtype=np.float64) / abs(area) - 1.0
    good = cells.min() > 0.0 and abs(error) < LARGEST_AREA_ERROR
    measured = f"cells of {cells.min() / 1e6:.3f} to {cells.max() / 1e6:.3f} km2, together {error:+.1e} of the grid's area off"
    report.check(bool(good), product.path, measured, f"{LARGEST_AREA_ERROR:g} are allowed")


NETCDF_CHECKS = (
    check_variables,
    check_rounding,
    check_missing,
    check_selection,
    check_mean_and_spread,
    check_quantiles,
    check_probabilities,
    check_over_ice,
    check_places,
    check_area,
)


# The NetCDF file, by GDAL as a program of its own


def run(*command: str, entered: str = "") -> str:
    """What a program prints."""
    ended = subprocess.run(command, input=entered, capture_output=True, text=True, check=False)
    if ended.returncode != 0:
        raise RuntimeError(f"{command[0]} ended with {ended.returncode}: {ended.stderr.strip()}")
    return ended.stdout


def check_gdal_reference(report: Report, product: Product) -> None:
    facts = json.loads(run("gdalinfo", "-json", f'NETCDF:"{product.path}":sea_ice_thickness_mean'))
    reference = pyproj.CRS.from_wkt(facts["coordinateSystem"]["wkt"])
    x, y = product.cell_edges()
    expected = (x[0], x[1] - x[0], 0.0, y[0], 0.0, y[1] - y[0])
    found, said = facts["geoTransform"], [float(number) for number in product.data["crs"].attrs["GeoTransform"].split()]
    good = reference.is_projected and np.allclose([found, said], expected, rtol=0.0, atol=1e-3)
    measured = f"gdalinfo finds {reference.coordinate_operation.method_name} and the geotransform {found}, the file says {said}"
    report.check(good, product.path, measured, f"x and y say {list(map(float, expected))} in a projection")


def gdal_flags(product: Product, places: list[tuple[float, float]]) -> np.ndarray:
    """`status_flag` as GDAL finds it at longitudes and latitudes; -1 outside the file."""
    entered = "".join(f"{lon:.9f} {lat:.9f}\n" for lon, lat in places)
    printed = run("gdallocationinfo", "-valonly", "-wgs84", f'NETCDF:"{product.path}":status_flag', entered=entered)
    return np.array([int(line or -1) for line in printed.splitlines()])


def check_gdal_cells(report: Report, product: Product) -> None:
    random = np.random.default_rng(SEED)
    rows, columns = random.integers(0, product.shape[0], POINTS), random.integers(0, product.shape[1], POINTS)
    lon, lat = product.values("lon")[rows, columns], product.values("lat")[rows, columns]
    found, expected = gdal_flags(product, list(zip(lon, lat, strict=True))), product.values("status_flag")[rows, columns]
    wrong = int((found != expected).sum())
    measured = f"at the lon and lat of {POINTS} cells gdallocationinfo finds the flags of another cell {wrong} times"
    report.check(wrong == 0, product.path, measured, "it should find those of the cell")


def check_gdal_places(report: Report, product: Product) -> None:
    flags = product.data["status_flag"].attrs
    land = int(np.atleast_1d(flags["flag_masks"])[flags["flag_meanings"].split().index("land")])
    around = [
        pyproj.Geod(ellps="WGS84").fwd(*CAPE_MORRIS_JESUP, bearing, distance)[:2]
        for bearing in range(0, 360, 30)
        for distance in np.linspace(0.0, CAPE_REACH_M, 5)
    ]
    for name, places, is_land in (
        ("within 10 km of Cape Morris Jesup", around, True),
        ("north of Cape Morris Jesup", [NORTH_OF_THE_CAPE], False),
        ("at the North Pole", [NORTH_POLE], False),
    ):
        if not all(product.has(place) for place in places):
            report.left_out(product.path, f"what lies {name} is outside the grid")
            continue
        found = gdal_flags(product, places)
        has_land = bool((found & land).any())
        measured = f"gdallocationinfo finds {'' if has_land else 'no '}land {name}, and {(found < 0).sum()} places outside the file"
        report.check(has_land == is_land and (found >= 0).all(), product.path, measured, "the Earth is otherwise")


GDAL_CHECKS = (check_gdal_reference, check_gdal_cells, check_gdal_places)


# The maps, by rasterio and rio-cogeo


def check_cog(report: Report, path: Path) -> None:
    valid, errors, remarks = cog_validate(path, strict=True, quiet=True)
    report.check(valid, path, f"rio cogeo finds faults: {some([*errors, *remarks])}", "it has to be a cloud-optimised GeoTIFF")


def check_frame(report: Report, revision: Revision, key: str, source: rasterio.DatasetReader) -> None:
    """Where a map lies, and when it is of."""
    path, asset = revision.file(key), revision.item["assets"][key]
    place = (source.crs.to_epsg(), list(source.shape), list(source.transform)[:6])
    expected = (MAP_EPSG, asset["proj:shape"], asset["proj:transform"])
    report.check(place == expected, path, f"EPSG, shape and transform are {place}", f"the item says {expected}")
    noon = f"{revision.day[:4]}:{revision.day[4:6]}:{revision.day[6:]} 12:00:00"
    moment = source.tags().get("TIFFTAG_DATETIME")
    report.check(moment == noon, path, f"TIFFTAG_DATETIME is {moment}", f"noon of the day is {noon}")


def check_bands(report: Report, revision: Revision, key: str, source: rasterio.DatasetReader) -> None:
    path = revision.file(key)
    bands = [(band["description"], band["unit"]) for band in revision.item["assets"][key]["bands"]]
    found = list(zip(source.descriptions, source.units, strict=True))
    units = {"1" if key == "prob-thin" else "m"}
    good = found == bands and all(text for text, _ in found) and {unit for _, unit in found} == units
    report.check(good, path, f"descriptions and units are {found}", f"the item says {bands}, and the unit is {units}")

    missing = all(nodata is not None and np.isnan(nodata) for nodata in source.nodatavals)
    predictor = source.tags(ns="IMAGE_STRUCTURE").get("PREDICTOR")
    good = missing and predictor == "3" and set(source.dtypes) == {"float32"}
    measured = f"nodata {source.nodatavals}, type {source.dtypes}, predictor {predictor}"
    report.check(good, path, measured, "they should be NaN, float32 and 3")


def check_statistics(report: Report, path: Path, source: rasterio.DatasetReader) -> None:
    worst = 0.0
    for band in source.indexes:
        values = source.read(band, out_dtype=np.float64)
        there = values[~np.isnan(values)]
        own = {"MINIMUM": there.min(), "MAXIMUM": there.max(), "MEAN": there.mean(), "STDDEV": there.std()}
        own["VALID_PERCENT"] = 100.0 * there.size / values.size
        said = {name: float(source.tags(band)[f"STATISTICS_{name}"]) for name in own}
        worst = max(worst, *(abs(said[name] - value) / max(abs(value), 1.0) for name, value in own.items()))
    report.check(worst < 1e-5, path, f"the statistics in the file are {worst:.1e} off", "they should be those of the bands")


def reduced(values: np.ndarray, shape: tuple[int, int], choose: np.ufunc) -> np.ndarray:
    """A field on coarser pixels, of everything that a coarse pixel touches."""
    for axis, length in enumerate(shape):
        # The rounding keeps 2.0000000001 from touching one pixel more.
        edges = np.round(np.arange(length + 1) * values.shape[axis] / length, 6)
        first, last = np.floor(edges[:-1]).astype(int), np.ceil(edges[1:]).astype(int) - 1
        offsets = range(int((last - first).max()) + 1)
        values = choose.reduce([values.take(np.minimum(first + offset, last), axis) for offset in offsets])
    return values


def as_values(source: rasterio.DatasetReader, band: int) -> np.ndarray:
    """A band with NaN for nodata, whatever its type."""
    values = source.read(band).astype(np.float64)
    return np.where(values == source.nodatavals[band - 1], np.nan, values)


def overview_faults(path: Path, band: int) -> tuple[int, int, int]:
    """Pixels of all overviews that have a value and should not, have none and should, or lie outside the range beneath them."""
    unfounded, lost, outside = 0, 0, 0
    with rasterio.open(path) as source:
        full, levels = as_values(source, band), len(source.overviews(band))
    low, high, holes = full, full, np.isnan(full)
    for level in range(levels):
        with rasterio.open(path, overview_level=level) as source:
            values = as_values(source, band)
        low, high = reduced(low, values.shape, np.fmin), reduced(high, values.shape, np.fmax)
        holes = reduced(holes, values.shape, np.logical_or)
        unfounded += int((np.isnan(low) & ~np.isnan(values)).sum())
        lost += int((~holes & np.isnan(values)).sum())
        # A mean in single precision of equal values may be a little beside them.
        outside += int(((values < low - 1e-6) | (values > high + 1e-6)).sum())
    return unfounded, lost, outside


def check_overviews(report: Report, path: Path, source: rasterio.DatasetReader) -> None:
    faults = np.sum([overview_faults(path, band) for band in source.indexes], axis=0).tolist()
    levels = [len(source.overviews(band)) for band in source.indexes]
    large = max(source.shape) > max(source.block_shapes[0])
    measured = f"{levels} overviews have {faults[0]} values without ground, {faults[1]} gaps and {faults[2]} values outside the range"
    report.check(not any(faults) and (not large or min(levels) > 0), path, measured, "they should be of what lies beneath them")


def degrees_of(source: rasterio.DatasetReader, rows: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Longitude and latitude of pixel centres."""
    reference = pyproj.CRS.from_user_input(source.crs)
    degrees = pyproj.Transformer.from_crs(reference, reference.geodetic_crs, always_xy=True)
    return degrees.transform(*(source.transform * (columns + 0.5, rows + 0.5)))


def random_pixels(there: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of pixels where there is something, the same in every run."""
    cells = np.flatnonzero(there)
    chosen = np.random.default_rng(SEED).choice(cells, min(POINTS, len(cells)), replace=False)
    return np.unravel_index(chosen, there.shape)


def neighbours(field_values: np.ndarray, row: np.ndarray, column: np.ndarray) -> np.ndarray:
    """The values of the four cells around each position, NaN outside the grid."""
    padded = np.pad(field_values, 1, constant_values=np.nan)
    top, left = (np.clip(np.floor(place).astype(int) + 1, 0, length) for place, length in zip((row, column), field_values.shape))
    return np.stack([padded[top + down, left + across] for down in (0, 1) for across in (0, 1)])


def four_cells(product: Product, key: str, band: int, source: rasterio.DatasetReader, there: np.ndarray) -> tuple[np.ndarray, ...]:
    """Random pixels out of `there`: their values, those of the four cells around each, and whether these are all there."""
    rows, columns = random_pixels(there)
    around = neighbours(product.layers(MAPS[key])[band - 1], *product.position(*degrees_of(source, rows, columns)))
    return source.read(band)[rows, columns], around, ~np.isnan(around).any(axis=0)


def check_interpolation(report: Report, revision: Revision, key: str, source: rasterio.DatasetReader) -> None:
    """Each pixel lies between the cells around it: no other place has been taken for it, and none was left out."""
    product, path = revision.product, revision.file(key)
    near = rounding_of(product, MAPS[key])
    compared, skipped, wrong, lost = 0, 0, 0, 0
    for band in source.indexes:
        empty = np.isnan(source.read(band))
        values, around, whole = four_cells(product, key, band, source, ~empty)
        inside = (values >= around.min(axis=0) - near) & (values <= around.max(axis=0) + near)
        compared, skipped, wrong = compared + whole.sum(), skipped + (~whole).sum(), wrong + (whole & ~inside).sum()
        lost += four_cells(product, key, band, source, empty)[2].sum()
    measured = f"{wrong} of {compared} points lie outside the range of their four cells, {skipped} more lack one; {lost} points were lost"
    good = wrong == lost == 0 and compared > skipped
    report.check(bool(good), path, measured, "all should lie inside, and most should have four cells")


def check_thresholds(report: Report, revision: Revision) -> None:
    bands = [band["nilas:threshold_m"] for band in revision.item["assets"]["prob-thin"]["bands"]]
    there = revision.product.values("thickness_threshold").tolist()
    measured = f"the bands are for thresholds of {bands} m"
    report.check(bands == there, revision.file("prob-thin"), measured, f"the NetCDF file has {there} m")


def check_map(report: Report, revision: Revision, key: str) -> None:
    path = revision.file(key)
    with rasterio.open(path) as source:
        check_frame(report, revision, key, source)
        check_bands(report, revision, key, source)
        check_statistics(report, path, source)
        check_overviews(report, path, source)
        check_interpolation(report, revision, key, source)


@dataclass
class MapClass:
    value: int
    name: str
    colour: str
    flags: list[str]


def documented_classes() -> list[MapClass]:
    """By priority: a cell belongs to the first class of which it has a flag."""
    rows = documented_rows("Maps", "value")
    return [MapClass(int(value[0]), name[0], colour[0], flags) for value, name, colour, _, flags in rows if flags]


def check_class_colours(report: Report, revision: Revision, source: rasterio.DatasetReader) -> None:
    path = revision.file("class")
    good = source.nodatavals == (OUTSIDE_CLASS,) and source.dtypes == ("uint8",) and all(source.descriptions)
    measured = f"nodata {source.nodatavals}, type {source.dtypes}, description {source.descriptions}"
    report.check(good, path, measured, "they should be 255, uint8 and anything")
    expected = [(entry.value, entry.name, entry.colour) for entry in documented_classes()]
    in_item = revision.item["assets"]["class"]["classification:classes"]
    found = [(entry["value"], entry["name"], entry["color_hint"]) for entry in in_item]
    report.check(found == expected, revision.netcdf.with_suffix(".json"), f"classes are {found}", f"{DOCUMENTATION.name} has {expected}")
    colours = {value: bytes(colour[:3]).hex().upper() for value, colour in source.colormap(1).items()}
    wrong = [name for value, name, colour in expected if colours[value] != colour]
    report.check(not wrong, path, f"of {len(expected)} classes in other colours: {some(wrong)}", f"{DOCUMENTATION.name} names them")


def classes_by_flags(product: Product) -> np.ndarray:
    result = np.full(product.shape, OUTSIDE_CLASS)
    for entry in reversed(documented_classes()):
        for flag in entry.flags:
            result[product.flag(flag)] = entry.value
    return result


def check_classes(report: Report, revision: Revision, source: rasterio.DatasetReader) -> None:
    product, pixels = revision.product, source.read(1)
    last = np.array(product.shape)[:, None] - 1
    rows, columns = random_pixels(pixels != OUTSIDE_CLASS)
    places = np.stack(product.position(*degrees_of(source, rows, columns)))
    # Half-way between two cells, rounding decides which of them is nearer.
    clear = (np.abs(places % 1 - 0.5) > 1e-3).all(axis=0)
    nearest = classes_by_flags(product)[tuple(np.clip(np.rint(places).astype(int), 0, last))]
    wrong = int((clear & (pixels[rows, columns] != nearest)).sum())
    places = np.stack(product.position(*degrees_of(source, *random_pixels(pixels == OUTSIDE_CLASS))))
    lost = int(((places > 0) & (places < last)).all(axis=0).sum())
    measured = f"{wrong} of {int(clear.sum())} points have another class than the nearest cell, {lost} of the grid have none"
    good = wrong == lost == 0 and clear.sum() > len(clear) / 2
    report.check(bool(good), revision.file("class"), measured, "all should have that of its flags")


def check_class_map(report: Report, revision: Revision) -> None:
    with rasterio.open(revision.file("class")) as source:
        check_frame(report, revision, "class", source)
        check_class_colours(report, revision, source)
        check_overviews(report, revision.file("class"), source)
        check_classes(report, revision, source)


def check_maps(report: Report, revision: Revision) -> None:
    for key in (*MAPS, "class"):
        report.attempt(revision.file(key), check_cog, revision.file(key))
    for key in MAPS:
        report.attempt(revision.file(key), check_map, revision, key)
    report.attempt(revision.file("prob-thin"), check_thresholds, revision)
    report.attempt(revision.file("class"), check_class_map, revision)


# What lies beside the maps


def check_style(report: Report, revision: Revision, key: str) -> None:
    path, bands = revision.file(f"{key}-style"), len(revision.item["assets"][key]["bands"])
    renderer = ElementTree.parse(path).getroot().find(".//rasterrenderer")
    values = [float(item.attrib["value"]) for item in renderer.iter("item")]
    good = renderer.attrib["type"] == "singlebandpseudocolor" and 1 <= int(renderer.attrib["band"]) <= bands
    good = good and len(values) > 1 and all(low < high for low, high in zip(values, values[1:]))
    good = good and path.stem == revision.file(key).stem
    measured = f"{renderer.attrib['type']} of band {renderer.attrib['band']}, {len(values)} colours for {values[0]:g} to {values[-1]:g}"
    wanted = "it should be singlebandpseudocolor of a band that is there, with rising values, named like the map"
    report.check(good, path, measured, wanted)


def check_class_style(report: Report, revision: Revision) -> None:
    path = revision.file("class-style")
    renderer = ElementTree.parse(path).getroot().find(".//rasterrenderer")
    found = {(int(entry.attrib["value"]), entry.attrib["color"].lower()) for entry in renderer.iter("paletteEntry")}
    classes = revision.item["assets"]["class"]["classification:classes"]
    wanted = {(entry["value"], f"#{entry['color_hint'].lower()}") for entry in classes}
    good = renderer.attrib["type"] == "paletted" and found == wanted
    report.check(good, path, f"{renderer.attrib['type']}, {len(found)} classes", "it should have the colours of the classes")


def check_picture(report: Report, path: Path, narrowest: int) -> None:
    with rasterio.open(path) as source:
        good = source.driver == "PNG" and source.width >= narrowest and int(np.ptp(source.read())) > 0
        measured = f"{source.driver}, {source.width} x {source.height} pixels"
    report.check(good, path, measured, f"it should be a PNG with something on it, {narrowest} pixels wide at least")


def seas_of(product: Product) -> dict[str, np.ndarray]:
    """Which of the ice cells lie in each sea; the first sea has a cell, and one without a ring has what is left."""
    rows, columns = np.nonzero(product.ice)
    free, seas = np.ones(len(rows), dtype=bool), {}
    for sea in tomllib.loads(SEAS.read_text())["region"]:
        inside = free
        if "ring" in sea:
            ring = shapely.Polygon(np.column_stack(product.projection.transform(*np.transpose(sea["ring"]))))
            shapely.prepare(ring)
            inside = free & shapely.contains_xy(ring, product.x[columns], product.y[rows])
        seas[sea["id"]] = inside
        free = free & ~inside
    return seas


def check_table(report: Report, revision: Revision) -> None:
    product, path = revision.product, revision.file("regions")
    with path.open(newline="") as file:
        table = list(csv.DictReader(file))
    # A sea may have nothing but ice without an estimate.
    lines = {line["region"]: line for line in table if int(line["ice_cells"]) > 0}
    check_area_without_estimate(report, path, table, product)
    seas = {sea: inside for sea, inside in seas_of(product).items() if inside.any()}
    report.check(lines.keys() == seas.keys(), path, f"there is ice in {', '.join(lines)}", f"{SEAS.name} has it in {', '.join(seas)}")

    cells_km3 = np.stack(list(seas.values())) * product.values("cell_area")[product.ice].astype(np.float64) / 1e9
    own = cells_km3 @ product.values("sea_ice_thickness_mean")[product.ice]
    said, wrong = compare_column(lines, "ice_volume_km3", dict(zip(seas, own, strict=True)))
    good = not wrong and abs(sum(said) - own.sum()) <= LARGEST_VOLUME_ERROR * own.sum()
    measured = f"{sum(said):.1f} km3 of ice, by mean and cell_area {own.sum():.1f} km3; seas with another volume: {some(wrong)}"
    report.check(bool(good), path, measured, "1 % is allowed")
    check_volume_spread(report, path, lines, dict(zip(seas, cells_km3, strict=True)), product.members)


def check_area_without_estimate(report: Report, path: Path, table: list[dict[str, str]], product: Product) -> None:
    concentration, area_km2 = product.values("sea_ice_area_fraction"), product.values("cell_area").astype(np.float64) / 1e6
    without = ~product.ice & (np.nan_to_num(concentration) >= ICE_EDGE)
    own, said = float((concentration * area_km2)[without].sum()), sum(float(line["ice_area_without_estimate_km2"]) for line in table)
    measured = f"{said:.0f} km2 of ice without an estimate, by concentration and cell_area {own:.0f} km2"
    report.check(abs(said - own) <= LARGEST_VOLUME_ERROR * own + len(table), path, measured, "1 % is allowed")


def check_volume_spread(
    report: Report, path: Path, lines: dict[str, dict[str, str]], cells_km3: dict[str, np.ndarray], members: np.ndarray | None
) -> None:
    # In a sea with hardly any ice the spread may vanish in two decimals.
    none = [sea for sea, line in lines.items() if float(line["ice_volume_km3"]) > 1.0 and float(line["ice_volume_spread_km3"]) <= 0.0]
    report.check(not none, path, f"seas without a spread: {some(none)}", "members differ in every sea")
    if members is None:
        return
    own = {sea: np.std([weights @ member for member in members], ddof=1) for sea, weights in cells_km3.items()}
    said, wrong = compare_column(lines, "ice_volume_spread_km3", own)
    measured = f"spreads of {min(said):.2f} to {max(said):.2f} km3; seas with another than that of the members' volumes: {some(wrong)}"
    report.check(not wrong, path, measured, "1 % is allowed")


def compare_column(lines: dict[str, dict[str, str]], column: str, own: dict[str, float]) -> tuple[list[float], list[str]]:
    """What the table says of the seas, and those of which it says something else. It has two decimals."""
    said = [float(lines[sea][column]) for sea in own]
    return said, [sea for sea, value in zip(own, said, strict=True) if abs(value - own[sea]) > LARGEST_VOLUME_ERROR * own[sea] + 0.01]


def check_companions(report: Report, revision: Revision) -> None:
    for key in MAPS:
        report.attempt(revision.file(f"{key}-style"), check_style, revision, key)
    report.attempt(revision.file("class-style"), check_class_style, revision)
    for key, narrowest in (("quicklook", NARROWEST_QUICKLOOK), ("legend", 1)):
        report.attempt(revision.file(key), check_picture, revision.file(key), narrowest)
    report.attempt(revision.file("regions"), check_table, revision)


# STAC, by pystac, jsonschema and shapely


@cache
def schema_registry() -> Any:
    """Every schema under its URL: the `$id` of some is another."""
    files = [path for path in SCHEMAS.rglob("*") if path.is_file()]
    schemas = ((f"https://{path.relative_to(SCHEMAS)}", json.loads(path.read_text())) for path in files)
    return META_SCHEMAS.with_resources((url, Resource(schema, DRAFT7)) for url, schema in schemas)


def schema_faults(document: dict[str, Any]) -> list[str]:
    kind = {"Feature": "item", "Catalog": "catalog", "Collection": "collection"}[document["type"]]
    core = f"https://schemas.stacspec.org/v{document['stac_version']}/{kind}-spec/json-schema/{kind}.json"
    faults = []
    for url in (core, *document.get("stac_extensions", ())):
        if url not in schema_registry():
            faults.append(f"{url} is not among the schemas in {SCHEMAS.name}")
            continue
        validator = Draft7Validator({"$ref": url}, registry=schema_registry(), format_checker=Draft7Validator.FORMAT_CHECKER)
        if error := best_match(validator.iter_errors(document)):
            # A long message begins with all that the fault was found in.
            faults.append(f"{error.json_path} {error.message[-150:]} ({url})")
    return faults


def linked_paths(path: Path, document: dict[str, Any]) -> Iterator[tuple[str, Path]]:
    """Relation and path of the links and assets of a STAC document that lie in the product root."""
    assets = (("asset", asset["href"]) for asset in document.get("assets", {}).values())
    links = ((link["rel"], link["href"]) for link in document["links"])
    for relation, address in (*links, *assets):
        if "://" not in address:
            yield relation, (path.parent / address).resolve()


Documents = dict[Path, dict[str, Any]]


def stac_documents(root: Path) -> tuple[Documents, list[str]]:
    """Everything that can be reached from the catalog, and the links that lead nowhere."""
    documents, broken, waiting = {}, [], [root / "catalog.json"]
    while waiting:
        path = waiting.pop()
        documents[path] = json.loads(path.read_text())
        for relation, target in linked_paths(path, documents[path]):
            if not target.is_file():
                broken.append(f"{relation} of {path} to {target}")
            elif relation in ("child", "item") and target not in documents:
                waiting.append(target)
    return documents, broken


def items_of(documents: Documents) -> Documents:
    return {path: document for path, document in documents.items() if document["type"] == "Feature"}


def check_links(report: Report, documents: Documents) -> None:
    """Leaves what it reaches in `documents`."""
    catalog = report.root / "catalog.json"
    reached, broken = stac_documents(report.root)
    documents.update(reached)
    measured = f"links and assets of {len(documents)} documents that lead nowhere: {some(broken)}"
    report.check(not broken, catalog, measured, "all should lead to files")
    collections = sum(document["type"] == "Collection" for document in documents.values())
    measured = f"{collections} collections and {len(items_of(documents))} items"
    report.check(collections == 1 and bool(items_of(documents)), catalog, measured, "a catalog has one collection with items")
    withdrawn = [report.name_of(path) for path in items_of(documents) if (path.parent / "withdrawn.json").exists()]
    report.check(not withdrawn, catalog, f"items of revisions that were taken back: {some(withdrawn)}", "they are not linked")


def check_walk(report: Report, documents: Documents) -> None:
    catalog = report.root / "catalog.json"
    walked = sorted(item.id for item in pystac.Catalog.from_file(str(catalog)).get_items(recursive=True))
    expected = sorted(document["id"] for document in items_of(documents).values())
    report.check(walked == expected, catalog, f"pystac walks to {len(walked)} items", f"the links lead to {len(expected)}")


def check_schemas(report: Report, documents: Documents) -> None:
    faults = [f"{report.name_of(path)} {fault}" for path, document in documents.items() for fault in schema_faults(document)]
    measured = f"faults of {len(documents)} documents by the schemas of STAC: {some(faults)}"
    report.check(not faults, report.root / "catalog.json", measured, "there should be none")


def check_latest(report: Report, documents: Documents) -> None:
    path = report.root / "latest.json"
    latest = json.loads(path.read_text())
    revisions = {item.parent: document["properties"] for item, document in items_of(documents).items()}
    final = [folder for folder, properties in revisions.items() if properties["nilas:status"] == "final"]
    for key, folders in (("newest", list(revisions)), ("newest_final", final)):
        named = (report.root / latest[key]["path"]).resolve() if latest[key] else None
        expected = max(folders, default=None, key=lambda folder: (folder.parts[-4:-1], revisions[folder]["nilas:revision"]))
        report.check(named == expected, path, f"{key} is {named and report.name_of(named)}", f"the catalogs have {expected}")


@cache
def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_assets(report: Report, revision: Revision) -> None:
    assets = {key: asset for key, asset in revision.item["assets"].items() if key != "manifest"}
    wrong = [
        key
        for key, asset in assets.items()
        # 12 says SHA-256 and 20 its length, 32 bytes.
        if (asset["file:size"], asset["file:checksum"]) != (revision.file(key).stat().st_size, f"1220{sha256_of(revision.file(key))}")
    ]
    measured = f"assets with another size or checksum than the file, of {len(assets)}: {some(wrong)}"
    report.check(not wrong and bool(assets), revision.netcdf.with_suffix(".json"), measured, "they should be the same")


def long_sides(ring: list[list[float]]) -> int:
    """Sides that go further round than half the Earth, but for that along the pole, where all longitudes are one."""
    return sum(abs(to[0] - at[0]) > 180.0 and min(abs(to[1]), abs(at[1])) < 90.0 for at, to in zip(ring, ring[1:]))


def check_geometry(report: Report, revision: Revision) -> None:
    product, path, geometry = revision.product, revision.netcdf.with_suffix(".json"), revision.item["geometry"]
    polygons = [geometry["coordinates"]] if geometry["type"] == "Polygon" else geometry["coordinates"]
    rings = [ring for polygon in polygons for ring in polygon]
    shape = shapely.geometry.shape(geometry)
    long = sum(map(long_sides, rings))
    good = shape.is_valid and long == 0 and all(ring[0] == ring[-1] for ring in rings)
    measured = f"{geometry['type']} of {len(rings)} rings: {shapely.is_valid_reason(shape)}, {long} sides round the Earth"
    report.check(good, path, measured, "it should be valid and its rings closed")

    # Cells well inside, because the outline cuts corners.
    inner = np.s_[OUTLINE_STEP:-OUTLINE_STEP:7, OUTLINE_STEP:-OUTLINE_STEP:7]
    lon, lat = product.values("lon")[inner].ravel(), product.values("lat")[inner].ravel()
    outside = int((~shapely.contains_xy(shape, lon, lat)).sum())
    report.check(outside == 0, path, f"{outside} of {lon.size} inner cells lie outside the geometry", "all should lie inside")


def check_box(report: Report, revision: Revision) -> None:
    west, south, east, north = revision.item["bbox"]
    product = revision.product
    corners_lon, corners_lat = grid_outline(product)
    lon = np.append(product.values("lon").ravel(), corners_lon)
    lat = np.append(product.values("lat").ravel(), corners_lat)
    # A box across the antimeridian has its west east of its east.
    width = (east - west) % 360.0 or 360.0
    outside = (lon - west + DEGREE_SLACK) % 360.0 > width + 2 * DEGREE_SLACK
    outside |= (lat < south - DEGREE_SLACK) | (lat > north + DEGREE_SLACK)
    measured = f"{int(outside.sum())} of {outside.size} cells and corners of the grid lie outside bbox {revision.item['bbox']}"
    report.check(not outside.any(), revision.netcdf.with_suffix(".json"), measured, "all should lie inside")


def check_item(report: Report, revision: Revision) -> None:
    path, properties = revision.netcdf.with_suffix(".json"), revision.item["properties"]
    expected = (revision.netcdf.stem, f"{revision.day[:4]}-{revision.day[4:6]}-{revision.day[6:]}T12:00:00Z", revision.folder.name)
    found = (revision.item["id"], properties.get("datetime"), properties.get("version"))
    report.check(found == expected, path, f"id, datetime and version are {found}", f"the folder says {expected}")
    for check in (check_assets, check_geometry, check_box):
        report.attempt(path, check, revision)


# The manifest


def check_manifest(report: Report, revision: Revision) -> None:
    path = revision.folder / "manifest.json"
    text = path.read_text()
    manifest = json.loads(text)
    own = hashlib.sha256(text.replace(manifest["manifest_sha256"], "", 1).encode()).hexdigest()
    report.check(own == manifest["manifest_sha256"], path, f"its own digest without that line is {own}", "it says another")

    records = {record["name"]: (record["bytes"], record["sha256"]) for record in manifest["files"]}
    there = {file.name for file in revision.folder.iterdir()} - {"manifest.json", "withdrawn.json"}
    extra, absent = sorted(there - records.keys()), sorted(records.keys() - there)
    report.check(not extra and not absent, path, f"files more: {some(extra)}, files less: {some(absent)}", "it lists every file")
    changed = [
        name
        for name in sorted(there & records.keys())
        if records[name] != ((revision.folder / name).stat().st_size, sha256_of(revision.folder / name))
    ]
    report.check(not changed, path, f"of {len(records)} files with another size or digest: {some(changed)}", "it has those of all")


# All together


def check_revision(report: Report, folder: Path, used_explanations: set[str]) -> None:
    revision = Revision.read(folder)
    report.attempt(folder, check_manifest, revision)
    report.attempt(folder, check_item, revision)
    report.attempt(revision.netcdf, check_conventions, revision, used_explanations)
    for check in (*NETCDF_CHECKS, *GDAL_CHECKS):
        report.attempt(revision.netcdf, check, revision.product)
    report.attempt(folder, check_maps, revision)
    report.attempt(folder, check_companions, revision)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", type=Path, metavar="PRODUCT_ROOT")
    parser.add_argument("folders", type=Path, nargs="*", metavar="REVISION_FOLDER", help="instead of all that the catalogs link to")
    return parser.parse_args()


def main() -> int:
    # Pictures lie nowhere on the Earth.
    warnings.simplefilter("ignore", NotGeoreferencedWarning)
    options = arguments()
    report = Report(options.root.resolve())
    documents: Documents = {}
    for check in (check_links, check_walk, check_schemas, check_latest):
        report.attempt(report.root / "catalog.json", check, documents)
    used_explanations: set[str] = set()
    for folder in options.folders or sorted(path.parent for path in items_of(documents)):
        report.attempt(folder.resolve(), check_revision, folder.resolve(), used_explanations)
    report.attempt(DOCUMENTATION, check_explanations, used_explanations)
    return report.conclude()


if __name__ == "__main__":
    sys.exit(main())
