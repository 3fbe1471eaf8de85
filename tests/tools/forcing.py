"""Makes forcing/arctic-winters.safetensors, what `nilas synth` is driven by, from public data.

    forcing.py DRIFT THICKNESS NEXTSIM OUT

DRIFT: a folder of OSI SAF OSI-405 files (ice_drift_nh_polstere-625_multi-oi_*.nc), or an .npz with end_date
(YYYYMMDD), dX_x100km and dY_x100km (int16, hundredths of km, -32768 = none, rows as in the files).
THICKNESS: a CS2SMOS v206 thickness field, .npy, 432 x 432, m, NaN = none, row 0 at the top.
NEXTSIM: a neXtSIM thickness field (NetCDF: sit, mask; 1 = ocean), about 12.4 km, for the report's comparison.

The drift of 48 hours is noisy: about 2.5 km a vector, as much in the divergence as its signal. It is smoothed with a Gaussian
of SIGMA_KM (full width at half maximum 235 km), each vector weighted by its inverse variance where the files state one,
and kept on every second node. Needs numpy and netCDF4.
"""

import datetime
import glob
import json
import os
import sys

import netCDF4
import numpy as np

SIGMA_KM = 100.0
CELL_KM = 62.5
EVERY = 2
REACH_CELLS = 5
FIRST_X_KM, FIRST_Y_KM = -3750.0, 5750.0
# Part of the drift grid that holds the SuperIce domain with a margin: rows and columns.
ROWS, COLUMNS = slice(54, 122, EVERY), slice(20, 94, EVERY)
NONE = -32768
# Freezing season of SuperIce, with the days before it in which a winter's ice is driven.
FIRST_MONTH_DAY, LAST_MONTH_DAY = (10, 1), (4, 20)


def vectors(path):
    """Days of the middle of each drift, displacements in km and standard errors (or None), oldest first."""
    if path.endswith(".npz"):
        stack = np.load(path)
        for day, x, y in zip(stack["end_date"], stack["dX_x100km"], stack["dY_x100km"]):
            none = (x == NONE) | (y == NONE)
            yield day, np.where(none, np.nan, x / 100.0), np.where(none, np.nan, y / 100.0), None
        return
    for file in sorted(glob.glob(os.path.join(path, "ice_drift_nh_polstere-625_multi-oi_*.nc"))):
        with netCDF4.Dataset(file) as data:
            x, y = (np.ma.filled(data[name][0].astype(float), np.nan) for name in ("dX", "dY"))
            error = next((data[n] for n in ("uncert_dX_and_dY", "uncertainty") if n in data.variables), None)
            error = None if error is None else np.ma.filled(error[0].astype(float), np.nan)
        yield os.path.basename(file)[-15:-7], x, y, error


def smooth(values, weights):
    """Normalised Gaussian mean over the cells with a weight; NaN where no cell is in reach."""
    offsets = np.arange(-REACH_CELLS, REACH_CELLS + 1)
    kernel = np.exp(-0.5 * (offsets * CELL_KM / SIGMA_KM) ** 2)

    def along(field, axis):
        return np.apply_along_axis(lambda line: np.convolve(line, kernel, "same"), axis, field)

    total = along(along(weights, 0), 1)
    sums = [along(along(np.where(weights > 0, value, 0.0) * weights, 0), 1) for value in values]
    with np.errstate(invalid="ignore", divide="ignore"):
        return [np.where(total > 0, field / total, np.nan) for field in sums]


def main(drift, thickness, nextsim, out):
    days, velocities = [], []
    for text, x, y, error in vectors(drift):
        middle = datetime.date(int(text[:4]), int(text[4:6]), int(text[6:])) - datetime.timedelta(days=1)
        if LAST_MONTH_DAY < (middle.month, middle.day) < FIRST_MONTH_DAY:
            continue
        known = ~np.isnan(x)
        weights = known.astype(float) if error is None else np.where(known & (error > 0), error, np.inf) ** -2.0
        field = np.stack([value[ROWS, COLUMNS] / 2.0 for value in smooth((x, y), weights)])
        days.append((middle - datetime.date(1970, 1, 1)).days)
        velocities.append(np.where(np.isnan(field), NONE, np.rint(field * 100.0)).astype("<i2"))
    field = np.load(thickness)
    with netCDF4.Dataset(nextsim) as data:
        model = np.squeeze(np.ma.filled(data["sit"][:].astype(float), np.nan))
        ocean = np.squeeze(np.ma.filled(data["mask"][:].astype(float), 0.0)) > 0.5
    model = model[0] if model.ndim == 3 else model
    millimetres = lambda values: np.where(np.isnan(values), NONE, np.rint(values * 1000.0)).astype("<i2")
    tensors = {
        "day": np.array(days, "<i4"),
        "velocity": np.array(velocities),
        "thickness": millimetres(field),
        "nextsim_thickness": millimetres(np.where(ocean, model, np.nan)),
    }
    metadata = {
        "velocity": "hundredths of km/day along x and y of the drift grid, -32768 none; middle of the 48 hours on `day`, days since 1970-01-01",
        "first_x_km": str(FIRST_X_KM + CELL_KM * COLUMNS.start),
        "first_y_km": str(FIRST_Y_KM - CELL_KM * ROWS.start),
        "spacing_km": str(CELL_KM * EVERY),
        "smoothing_km": str(SIGMA_KM),
        "thickness": "CS2SMOS v206 of 2022-04-15, mm, EASE-Grid 2.0 north, 25 km",
        "nextsim_thickness": "neXtSIM January 2015, mm, about 12.4 km",
        "sources": "EUMETSAT OSI SAF OSI-405 (CC BY 4.0); AWI/ESA CS2SMOS; cerea-daml/diffusion-nextsim-regional (MIT)",
    }
    names = {"<i2": "I16", "<i4": "I32"}
    header, offset = {"__metadata__": metadata}, 0
    for name, values in tensors.items():
        end = offset + values.nbytes
        header[name] = {"dtype": names[values.dtype.str], "shape": list(values.shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(out, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for values in tensors.values():
            file.write(values.tobytes())


if __name__ == "__main__":
    main(*sys.argv[1:])
