"""Make the land mask of a grid: `make_land_masks.py GRID.toml [GRID.toml ...]`.

For every cell of the grid the share of land among 5 x 5 evenly spaced points is taken from the GLOBE
30 arc-second raster (Python package global-land-mask, MIT licence; lakes count as land). Cells with
a share of at least one half are land. The result is a 1-bit greyscale PNG next to the grid's file,
named by the file's key `land_mask`: white (1) is land, black (0) is sea, row 0 is the top.

Every cell is computed from its own position alone, so a window of a grid gets the window of its mask.

Needs Python 3.11, numpy, pyproj, pillow and global-land-mask.
"""

import sys
import tomllib
from pathlib import Path

import numpy as np
from global_land_mask import globe
from PIL import Image
from pyproj import Proj

POINTS_PER_SIDE = 5
LAND_SHARE = 0.5
ROWS_PER_BLOCK = 64  # bounds memory: the points of one block stay near 100 MB


def point_offsets(cell_size):
    """Offsets, from the cell centre, of points that stand for equal parts of the cell's side."""
    return ((np.arange(POINTS_PER_SIDE) + 0.5) / POINTS_PER_SIDE - 0.5) * cell_size


def centres(grid):
    """x of the columns and y of the rows, in metres; rows go down."""
    x = grid["first_cell_centre_x_m"] + grid["cell_size_m"] * np.arange(grid["columns"])
    y = grid["first_cell_centre_y_m"] - grid["cell_size_m"] * np.arange(grid["rows"])
    return x, y


def land_share(x, y, projection, cell_size):
    """Share of land points in the cells with centres (y[r], x[c])."""
    offsets = point_offsets(cell_size)
    px = (x[:, None] + offsets).ravel()
    py = (y[:, None] - offsets).ravel()
    lon, lat = projection(*np.meshgrid(px, py), inverse=True)
    land = globe.is_land(lat, lon)
    side = POINTS_PER_SIDE
    return land.reshape(len(y), side, len(x), side).mean(axis=(1, 3))


def land_mask(grid):
    """The land cells of a grid as a boolean array."""
    projection = Proj(grid["projection"])
    x, y = centres(grid)
    blocks = [
        land_share(x, y[start : start + ROWS_PER_BLOCK], projection, grid["cell_size_m"]) >= LAND_SHARE
        for start in range(0, len(y), ROWS_PER_BLOCK)
    ]
    return np.concatenate(blocks)


def main(paths):
    for path in map(Path, paths):
        grid = tomllib.loads(path.read_text())
        land = land_mask(grid)
        Image.fromarray(land).save(path.parent / grid["land_mask"], optimize=True)
        print(f"{grid['name']}: {land.mean():.1%} land")


if __name__ == "__main__":
    main(sys.argv[1:])
