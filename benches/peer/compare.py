"""Times Nilas and a straightforward Python peer in the same run, one after the other, and prints ratios.

Each figure is taken in rounds: every program once, then every program again. So a machine that is busier for a while
is so for all of them. Printed are medians with the lowest and highest round, and the ratio of the medians.

Needs the programs of a release build and the packages of requirements.txt; see docs/performance.md.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
# What `nilas` sets for itself: freed memory stays with the process.
TUNED = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "100000000000", "MALLOC_TOP_PAD_": "268435456"}


def run(command: list[str], environment: dict[str, str] | None = None) -> dict:
    """Runs a program and gives the JSON object that it prints."""
    done = subprocess.run(
        command, env={**os.environ, "NILAS_LOG": "error", **(environment or {})}, stdout=subprocess.PIPE, check=True
    )
    return json.loads(done.stdout)


class Figures:
    """Times of several programs at one task, round by round."""

    def __init__(self, task: str) -> None:
        self.task = task
        self.seconds: dict[str, list[float]] = {}

    def add(self, program: str, seconds: list[float]) -> None:
        self.seconds.setdefault(program, []).extend(seconds)

    def rows(self) -> list[str]:
        own = statistics.median(self.seconds["Nilas"])
        rows = []
        for program, seconds in self.seconds.items():
            median = statistics.median(seconds)
            ratio = "" if program == "Nilas" else f"{own / median:.2f}"
            rows.append(
                f"| {self.task} | {program} | {median:.2f} | {min(seconds):.2f} .. {max(seconds):.2f} | {ratio} |"
            )
        return rows


def network_figures(options: argparse.Namespace, precision: str) -> Figures:
    """Calls of the reference network: Nilas, PyTorch as it is, and PyTorch with the memory settings of Nilas."""
    figures = Figures(f"network call, {precision}")
    size = ["--rows", str(options.rows), "--columns", str(options.columns), "--calls", "1", "--warm", "1"]
    size += ["--precision", precision]
    peer = [sys.executable, str(HERE / "network.py"), "--reference", *size, "--threads", str(options.threads)]
    own = [str(options.nilas), "bench", "model", "reference", *size, "--device", "cpu"]
    for _ in range(options.rounds):
        figures.add("Nilas", run([*own, "--threads", str(options.threads)])["seconds"])
        for layout in ("nchw", "nhwc"):
            figures.add(f"PyTorch eager, {layout}", run([*peer, "--layout", layout])["seconds"])
        figures.add("PyTorch eager, nhwc, tuned malloc", run([*peer, "--layout", "nhwc"], TUNED)["seconds"])
    return figures


def member_figures(options: argparse.Namespace) -> Figures:
    """A member with all that belongs to it against as many calls of the network."""
    figures = Figures(f"a member, {options.checkpoint.stem}")
    command = [str(options.nilas), "bench", "model", str(options.checkpoint), "--device", "cpu", "--members", "1"]
    command += ["--rows", str(options.rows), "--columns", str(options.columns), "--threads", str(options.threads)]
    for _ in range(options.rounds):
        result = run([*command, "--calls", "3"])
        figures.add("Nilas", [result["members"]["seconds"]])
        figures.add("its network calls alone", [result["members"]["steps"] * statistics.median(result["seconds"])])
    return figures


def pipeline_figures(options: argparse.Namespace) -> list[Figures]:
    """From input files to features, and publishing."""
    cold, warm, publish = Figures("inputs to features, cold"), Figures("inputs to features, warm"), Figures("publish")
    with tempfile.TemporaryDirectory() as folder:
        own = [str(options.nilas), "bench", "pipeline", "--config", str(options.config), "--date", options.date]
        own += ["--inputs", str(options.inputs), "--repeats", "1", "--members", str(options.members), "--steps", "1"]
        own += ["--state", f"{folder}/state", "--cache", f"{folder}/cache", "--products", f"{folder}/products"]
        peer = [sys.executable, str(HERE / "pipeline.py"), "--date", options.date, "--inputs", str(options.inputs)]
        peer += ["--cache", f"{folder}/peer", "--repeats", "1", "--members", str(options.members)]
        peer += ["--out", f"{folder}/peer-product", "--grid", str(options.grid)]
        for _ in range(options.rounds):
            result = run(own)
            cold.add("Nilas", result["features_cold_seconds"])
            warm.add("Nilas", result["features_warm_seconds"])
            publish.add("Nilas", [production["stages"]["publish"] for production in result["productions"]])
            stages = run(peer)["stages"]
            cold.add("Python", stages["features cold"])
            warm.add("Python", stages["features warm"])
            publish.add("Python (fewer files)", stages["publish"])
    return [cold, warm, publish]


def main() -> None:
    """Reads the command line, measures and prints a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nilas", type=Path, default=Path("target/release/nilas"))
    parser.add_argument("--checkpoint", type=Path, default=Path("models/small.safetensors"))
    parser.add_argument("--config", type=Path, default=Path("config/nilas.toml"))
    parser.add_argument("--grid", type=Path, default=Path("config/grids/arctic-3km.toml"))
    parser.add_argument("--date", default="2026-03-03")
    parser.add_argument("--inputs", type=Path, help="folder of the day's three files; without it no pipeline")
    parser.add_argument("--rows", type=int, default=1088)
    parser.add_argument("--columns", type=int, default=1312)
    parser.add_argument("--members", type=int, default=10)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=["network", "member", "pipeline"], action="append")
    options = parser.parse_args()
    wanted = options.only or ["network", "member", "pipeline"]
    print("| task | program | median, s | rounds, s | Nilas / program |\n|---|---|---|---|---|", flush=True)
    if "network" in wanted:
        for precision in ("f32", "bf16"):
            print("\n".join(network_figures(options, precision).rows()), flush=True)
    if "member" in wanted:
        print("\n".join(member_figures(options).rows()), flush=True)
    if "pipeline" in wanted and options.inputs:
        for figures in pipeline_figures(options):
            print("\n".join(figures.rows()), flush=True)


if __name__ == "__main__":
    main()
