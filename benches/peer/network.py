"""Nilas' network in plain PyTorch: what the time of a network call of Nilas is compared with.

    network.py --checkpoint models/small.safetensors --threads 2      times calls on a full grid
    network.py --checkpoint models/small.safetensors --apply IN OUT   computes one call, to compare its values

It is the U-Net of docs/model.md as one writes it in Python: modules, eager execution, inference mode. Timing prints one
JSON object on standard output; `seconds` has an entry for each timed call, `peak_memory_bytes` is the largest resident
set of this process so far, or with `--device cuda` what PyTorch has allocated at most on the device.

`--apply` reads `z` [n, 1, rows, columns], `context` [n, 4, rows, columns] and `noise_variance` [1] from a safetensors
file and writes `noise` [n, 1, rows, columns] to another; it prints nothing.

Weights come from a checkpoint of Nilas, or with `--reference` from PyTorch's generator, in the size of SuperIce
deliverable 3.1.
"""

import argparse
import json
import math
import resource
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

CONTEXT_CHANNELS = 4  # concentration, effective thickness, logarithm of the deformation, mask
EMBEDDING_CHANNELS = 32  # 16 sines, then 16 cosines
HIGHEST_FREQUENCY = 1000.0
NORM_EPSILON = 1e-3
SEED = 1
NOISE_VARIANCE = 0.37  # of the timed calls; any other takes as long

DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16}
LAYOUTS = {"nchw": torch.contiguous_format, "nhwc": torch.channels_last}


@dataclass(frozen=True)
class Size:
    """The size of a network: channels of each level, the bottom last, and residual blocks on each level and side."""

    widths: tuple[int, ...]
    block_depth: int


REFERENCE = Size(widths=(32, 64, 96, 128), block_depth=4)


class ResidualBlock(nn.Module):
    """Normalisation and two 3x3 convolutions, added to the input or to its 1x1 projection."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, eps=NORM_EPSILON, affine=False)
        self.conv1 = nn.Conv2d(channels, width, kernel_size=3, padding=1)
        self.conv2 = nn.Conv2d(width, width, kernel_size=3, padding=1)
        self.shortcut = nn.Conv2d(channels, width, kernel_size=1) if channels != width else nn.Identity()

    def forward(self, field: Tensor) -> Tensor:
        residual = self.conv2(F.silu(self.conv1(self.norm(field))))
        return residual + self.shortcut(field)


class Network(nn.Module):
    """The conditional residual U-Net f(z, context, noise variance) -> noise; tensors are named as in a checkpoint."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        *levels, bottom = size.widths
        depth = size.block_depth
        self.side_multiple = 2 ** len(levels)
        self.layout = torch.contiguous_format
        self.stem = nn.Conv2d(1 + CONTEXT_CHANNELS, levels[0], kernel_size=1)

        channels = levels[0] + EMBEDDING_CHANNELS
        self.down = nn.ModuleList()
        for width in levels:
            self.down.append(self._level([channels] + [width] * (depth - 1), width))
            channels = width
        self.mid = self._level([channels] + [bottom] * (depth - 1), bottom)
        channels = bottom
        self.up = nn.ModuleList()
        for width in reversed(levels):
            # Each block sees a skip of its own level beside the field.
            self.up.append(self._level([channels + width] + [2 * width] * (depth - 1), width))
            channels = width
        self.head = nn.Conv2d(levels[0], 1, kernel_size=1)

    @staticmethod
    def _level(inputs: list[int], width: int) -> nn.ModuleList:
        return nn.ModuleList(ResidualBlock(channels, width) for channels in inputs)

    def forward(self, noisy: Tensor, context: Tensor, noise_variance: Tensor) -> Tensor:
        rows, columns = noisy.shape[-2:]
        field = torch.cat([noisy, context], dim=1).to(self.stem.weight.dtype)
        # Every halving needs an even number of rows and columns.
        padding = (0, -columns % self.side_multiple, 0, -rows % self.side_multiple)
        if any(padding):
            field = F.pad(field, padding, mode="replicate")
        field = self._append_embedding(self.stem(field), noise_variance)

        skips = []
        for level in self.down:
            for block in level:
                field = block(field)
                skips.append(field)
            field = F.avg_pool2d(field, 2)
        for block in self.mid:
            field = block(field)
        for level in self.up:
            field = F.interpolate(field, scale_factor=2, mode="bilinear", align_corners=False)
            for block in level:
                field = block(torch.cat([field, skips.pop()], dim=1))
        return self.head(field)[..., :rows, :columns].float().contiguous()

    def _append_embedding(self, field: Tensor, noise_variance: Tensor) -> Tensor:
        """Appends sinusoids of the noise variance, the same in each cell, as channels."""
        embedding = embed(noise_variance).to(field)[:, :, None, None]
        embedding = embedding.expand(len(field), -1, *field.shape[-2:])
        if self.layout == torch.channels_last:
            # Else `cat` would fall back to the other layout, and the first block with it.
            embedding = embedding.contiguous(memory_format=torch.channels_last)
        return torch.cat([field, embedding], dim=1)


def embed(noise_variance: Tensor) -> Tensor:
    """Sines, then cosines, of 16 frequencies: [n, 32]. In double precision, for angles reach 2000 pi."""
    exponents = torch.linspace(
        0.0, math.log(HIGHEST_FREQUENCY), EMBEDDING_CHANNELS // 2, dtype=torch.float64, device=noise_variance.device
    )
    angles = 2.0 * math.pi * exponents.exp() * noise_variance.double()[:, None]
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def load(checkpoint: Path) -> Network:
    """The network of a checkpoint of Nilas."""
    with safe_open(checkpoint, framework="pt") as file:
        description = json.loads(file.metadata()["nilas"])["network"]
    network = Network(Size(tuple(description["widths"]), description["block_depth"]))
    network.load_state_dict(load_file(checkpoint))
    return network


def prepare(network: Network, options: argparse.Namespace) -> nn.Module:
    """The network ready for inference: on its device, in the precision and layout that are wanted."""
    network.layout = LAYOUTS[options.layout]
    network.eval().to(options.device, memory_format=network.layout)
    # The running statistics stay f32: PyTorch normalises bf16 fields with them.
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.to(DTYPES[options.precision])
    return torch.compile(network) if options.compile else network


def apply(network: nn.Module, source: Path, target: Path, options: argparse.Namespace) -> None:
    """One call on the fields of a file, the noise into another."""
    inputs = load_file(source, device=options.device)
    layout = LAYOUTS[options.layout]
    with torch.inference_mode():
        noise = network(
            inputs["z"].to(memory_format=layout),
            inputs["context"].to(memory_format=layout),
            inputs["noise_variance"],
        )
    save_file({"noise": noise.cpu()}, target)


def time_calls(network: nn.Module, options: argparse.Namespace) -> list[float]:
    """Seconds of each call on random fields, the first `--warm` ones left out."""
    layout = LAYOUTS[options.layout]

    def random_fields(channels: int) -> Tensor:
        fields = torch.randn(options.batch, channels, options.rows, options.columns)
        return fields.to(options.device, memory_format=layout)

    noisy, context = random_fields(1), random_fields(CONTEXT_CHANNELS)
    noise_variance = torch.full((options.batch,), NOISE_VARIANCE, device=options.device)
    with torch.inference_mode():
        for _ in range(options.warm):
            network(noisy, context, noise_variance)
        seconds = []
        for _ in range(options.calls):
            synchronise(options.device)
            start = time.perf_counter()
            network(noisy, context, noise_variance)
            synchronise(options.device)
            seconds.append(time.perf_counter() - start)
    return seconds


def synchronise(device: str) -> None:
    """Waits until the device has finished what it was given."""
    if device == "cuda":
        torch.cuda.synchronize()


def peak_memory_bytes(device: str) -> int:
    """The most memory that was taken so far: of the device, else of this process."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated()
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    weights = parser.add_mutually_exclusive_group(required=True)
    weights.add_argument("--checkpoint", type=Path, help="a checkpoint of Nilas")
    weights.add_argument("--reference", action="store_true", help="random weights in the size of SuperIce D3.1")
    parser.add_argument("--rows", type=int, default=1088)
    parser.add_argument("--columns", type=int, default=1312)
    parser.add_argument("--precision", choices=DTYPES, default="f32")
    parser.add_argument("--layout", choices=LAYOUTS, default="nchw")
    parser.add_argument("--batch", type=int, default=1, help="fields in one call")
    parser.add_argument("--calls", type=int, default=5, help="calls that are timed")
    parser.add_argument("--warm", type=int, default=1, help="calls before them that are not")
    parser.add_argument("--threads", type=int, help="threads on the CPU; PyTorch's choice if not given")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--compile", action="store_true", help="with torch.compile instead of eagerly")
    parser.add_argument("--apply", type=Path, nargs=2, metavar=("IN", "OUT"), help="compute one call instead")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    torch.manual_seed(SEED)
    network = prepare(Network(REFERENCE) if options.reference else load(options.checkpoint), options)
    if options.apply:
        apply(network, *options.apply, options)
        return
    seconds = time_calls(network, options)
    version = torch.__version__.partition("+")[0]
    report = {
        "what": "network call",
        "program": f"PyTorch {version} {'compiled' if options.compile else 'eager'}",
        "rows": options.rows,
        "columns": options.columns,
        "precision": options.precision,
        "layout": options.layout,
        "batch": options.batch,
        "threads": torch.get_num_threads(),
        "device": options.device,
        "seconds": seconds,
        "peak_memory_bytes": peak_memory_bytes(options.device),
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
