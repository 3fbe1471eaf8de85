"""Times an ensemble against its members, the network against its area and against threads, and draws the three as one figure.

Needs the programs of a release build and matplotlib. Prints the figures as JSON and the slopes of straight lines fitted
to the logarithms: 1 is in proportion.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

FULL = (1088, 1312)


def bench(options: argparse.Namespace, *more: object) -> dict:
    """One run of `nilas bench model`."""
    command = [str(options.nilas), "bench", "model", str(options.checkpoint), "--device", "cpu", *map(str, more)]
    done = subprocess.run(command, env={**os.environ, "NILAS_LOG": "error"}, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def slope(points: list[tuple[float, float]]) -> float:
    """Of the straight line through the logarithms."""
    return statistics.linear_regression([math.log(x) for x, _ in points], [math.log(y) for _, y in points]).slope


def measure(options: argparse.Namespace) -> dict[str, list[tuple[float, float]]]:
    """Seconds against members (on a quarter of the area, two calls each), megacells and threads."""
    quarter = ("--rows", FULL[0] // 2, "--columns", FULL[1] // 2)
    members, areas, threads = [], [], []
    for count in (1, 2, 4, 8, 16, 32, 64):
        result = bench(options, *quarter, "--calls", 1, "--members", count, "--steps", 2)
        members.append((count, result["members"]["seconds"]))
    for rows, columns in ((FULL[0] // 2, FULL[1] // 2), (FULL[0] // 2, FULL[1]), FULL):
        result = bench(options, "--rows", rows, "--columns", columns, "--calls", 5)
        areas.append((rows * columns / 1e6, statistics.median(result["seconds"])))
    for count in range(1, (os.cpu_count() or 1) + 1):
        result = bench(options, "--threads", count, "--calls", 5)
        threads.append((count, statistics.median(result["seconds"])))
    return {"members": members, "megacells": areas, "threads": threads}


def draw(figures: dict[str, list[tuple[float, float]]], path: Path) -> None:
    """Three panels with the measured points and the fitted lines."""
    labels = {"members": "an ensemble", "megacells": "a network call", "threads": "a network call"}
    figure, panels = plt.subplots(1, len(figures), figsize=(11, 3.4), constrained_layout=True)
    for panel, (name, points) in zip(panels, figures.items(), strict=True):
        x, y = zip(*points, strict=True)
        fitted = slope(points)
        middle = [math.exp(statistics.fmean(map(math.log, values))) for values in (x, y)]
        panel.loglog(x, [middle[1] * (value / middle[0]) ** fitted for value in x], color="0.6", lw=1)
        panel.loglog(x, y, "o", color="#1f5f8b")
        panel.set_title(f"{labels[name]} against {name}: slope {fitted:.2f}", fontsize=9)
        panel.set_xlabel(name)
        panel.set_ylabel("seconds")
        panel.grid(alpha=0.3, which="both")
    figure.savefig(path, dpi=120)


def main() -> None:
    """Reads the command line, measures, prints and draws."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nilas", type=Path, default=Path("target/release/nilas"))
    parser.add_argument("--checkpoint", type=Path, default=Path("models/small.safetensors"))
    parser.add_argument("--out", type=Path, default=Path("scaling.png"))
    options = parser.parse_args()
    figures = measure(options)
    draw(figures, options.out)
    print(json.dumps({"seconds": figures, "slopes": {name: round(slope(points), 3) for name, points in figures.items()}}))


if __name__ == "__main__":
    main()
