"""Reference values for the tests of the network, the sampler and the noise of members.

An implementation of Nilas' conditional residual U-Net in PyTorch, written from the design
and independent of the crate. It runs on weights and inputs that follow from the names of
the tensors alone, so that no weights have to be stored: the test builds the same ones.
It writes `tests/data/golden/network.safetensors`; the formulas are in its metadata.

Run it with torch 2.11.0, numpy and safetensors: `python tests/tools/reference_network.py`.
"""

import hashlib
import json
import math
import struct
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file
from torch import nn
from torch.nn import functional as F

OUTPUT = Path(__file__).resolve().parents[1] / "data" / "golden" / "network.safetensors"

EMBEDDING_DIMS = 32
MIN_FREQUENCY, MAX_FREQUENCY = 1.0, 1000.0
NORM_EPS = 1e-3
# Without it the sum of all residual branches grows with every block.
CONV2_FACTOR = 0.2

MAX_SIGNAL_RATE, MIN_SIGNAL_RATE = 0.95, 0.02
SAMPLE_STEPS = 8

NOISE_SEED, NOISE_DAY, NOISE_MEMBERS, NOISE_SHAPE = 42, "2022-04-15", 2, (3, 5)

# The order of summation differs between libraries: single precision may be off by this much
# of the output's standard deviation.
F32_TOLERANCE = 2e-5
# Bounds of the standard deviation of a usable output: neither flat nor saturated. The sampler
# divides by a signal rate of 0.02 first, and pseudo-weights predict no noise that would cancel
# z: its image is of order 100 whatever the weights, and its tolerance relative.
NETWORK_SPREAD = 0.1, 10.0
SAMPLE_SPREAD = 0.1, 500.0


@dataclass(frozen=True)
class Config:
    """Shape of a network; `channels` counts z and the context."""

    widths: tuple
    block_depth: int
    channels: int = 5


REFERENCE = Config(widths=(32, 64, 96, 128), block_depth=4)
REFERENCE_PARAMETERS = 3_890_465
SMALL = Config(widths=(16, 32, 48, 64), block_depth=2)


# --- network -------------------------------------------------------------------------------


class ResidualBlock(nn.Module):
    """Norm, 3x3 conv, swish, 3x3 conv, added to the input or its 1x1 projection."""

    def __init__(self, channels, width):
        super().__init__()
        self.shortcut = nn.Conv2d(channels, width, 1) if channels != width else None
        self.norm = nn.BatchNorm2d(channels, eps=NORM_EPS, affine=False)
        self.conv1 = nn.Conv2d(channels, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x):
        residual = x if self.shortcut is None else self.shortcut(x)
        return residual + self.conv2(F.silu(self.conv1(self.norm(x))))


def level_down(channels, width, depth):
    """Blocks of one level of the encoder, or of the bottom."""
    inputs = [channels] + [width] * (depth - 1)
    return nn.ModuleList(ResidualBlock(c, width) for c in inputs)


def level_up(channels, width, depth):
    """Blocks of one level of the decoder; each one sees a skip of the same width as well."""
    inputs = [channels] + [width] * (depth - 1)
    return nn.ModuleList(ResidualBlock(c + width, width) for c in inputs)


def embed(noise_variance):
    """Sinusoids of the noise variance, in double precision.

    At the highest frequency, rounding the angle to single precision costs 2e-4 rad.
    """
    count = EMBEDDING_DIMS // 2
    limits = math.log(MIN_FREQUENCY), math.log(MAX_FREQUENCY)
    frequencies = torch.exp(torch.linspace(*limits, count, dtype=torch.float64))
    angles = 2.0 * math.pi * frequencies * noise_variance
    return torch.cat([torch.sin(angles), torch.cos(angles)])


class Network(nn.Module):
    """The conditional residual U-Net: `f(z, noise variance, context) -> noise`."""

    def __init__(self, config):
        super().__init__()
        *levels, bottom = config.widths
        depth = config.block_depth
        self.multiple = 2 ** len(levels)
        self.stem = nn.Conv2d(config.channels, levels[0], 1)
        before = [levels[0] + EMBEDDING_DIMS] + levels[:-1]
        self.down = nn.ModuleList(level_down(c, w, depth) for c, w in zip(before, levels))
        self.mid = level_down(levels[-1], bottom, depth)
        below = [bottom] + levels[:0:-1]
        self.up = nn.ModuleList(level_up(c, w, depth) for c, w in zip(below, levels[::-1]))
        self.head = nn.Conv2d(levels[0], 1, 1)

    def forward(self, z, noise_variance, context):
        height, width = z.shape[-2:]
        x = self.pad(torch.cat([z, context], dim=1))
        x = self.with_embedding(self.stem(x), noise_variance)
        skips = []
        for level in self.down:
            for block in level:
                x = block(x)
                skips.append(x)
            x = F.avg_pool2d(x, 2)
        for block in self.mid:
            x = block(x)
        for level in self.up:
            x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
            for block in level:
                x = block(torch.cat([x, skips.pop()], dim=1))
        return self.head(x)[..., :height, :width]

    def pad(self, x):
        """Repeats the last row and column until every pooling has an even number."""
        height, width = x.shape[-2:]
        return F.pad(x, (0, -width % self.multiple, 0, -height % self.multiple), mode="replicate")

    @staticmethod
    def with_embedding(x, noise_variance):
        """Appends the embedding, constant over the image, to the channels of the stem."""
        embedding = embed(noise_variance).to(x.dtype).view(1, -1, 1, 1)
        return torch.cat([x, embedding.expand(x.shape[0], -1, *x.shape[-2:])], dim=1)


# --- pseudo-weights ------------------------------------------------------------------------


def fnv1a64(name):
    """FNV-1a, 64 bits, of an ASCII text."""
    value = 0xCBF29CE484222325
    for byte in name.encode("ascii"):
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return value


def uniforms(name, shape):
    """Values in [0, 1) that follow from the tensor's name and the row-major index."""
    index = np.arange(1, math.prod(shape) + 1, dtype=np.uint64)
    z = np.uint64(fnv1a64(name)) + index * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return ((z >> np.uint64(11)).astype(np.float64) * 2.0**-53).reshape(shape)


def pseudo_weight(name, shape):
    """Value of one tensor of the network; computed in f64, rounded to f32 at the end."""
    u = uniforms(name, shape)
    if name.endswith("running_var"):
        values = 0.5 + u
    elif len(shape) == 4:
        values = (u - 0.5) * 2.0 * math.sqrt(3.0 / math.prod(shape[1:]))
        if name.endswith("conv2.weight"):
            values = values * CONV2_FACTOR
    else:
        values = (u - 0.5) * 0.2
    return values.astype(np.float32)


def pseudo_input(name, shape):
    """An input field, uniform in -2..2."""
    return ((uniforms(name, shape) - 0.5) * 4.0).astype(np.float32)


def build(config):
    """The network of a configuration with its pseudo-weights, ready for inference."""
    network = Network(config)
    state = network.state_dict()
    for name, tensor in state.items():
        if not name.endswith("num_batches_tracked"):
            tensor.copy_(torch.from_numpy(pseudo_weight(name, tuple(tensor.shape))))
    return network.eval().requires_grad_(False)


def count_parameters(config):
    """Number of trainable values; running statistics are not among them."""
    return sum(p.numel() for p in Network(config).parameters())


# --- sampler -------------------------------------------------------------------------------


def rates(t):
    """Signal rate and noise rate of diffusion time t in 0..1, in f64."""
    first, last = math.acos(MAX_SIGNAL_RATE), math.acos(MIN_SIGNAL_RATE)
    angle = first + t * (last - first)
    return math.cos(angle), math.sin(angle)


def sample(network, noise, context, steps):
    """The deterministic sampler; returns the last estimate of the image."""
    z = noise
    for step in range(steps):
        signal, noise_rate = rates(1.0 - step / steps)
        estimate = network(z, noise_rate**2, context)
        image = (z - noise_rate * estimate) / signal
        next_signal, next_noise = rates(1.0 - (step + 1) / steps)
        z = next_signal * image + next_noise * estimate
    return image


# --- noise of a member ---------------------------------------------------------------------


def rotate_left(value, bits):
    return (value << bits | value >> (32 - bits)) & 0xFFFFFFFF


def quarter_round(s, a, b, c, d):
    for one, two, three, bits in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
        s[one] = (s[one] + s[two]) & 0xFFFFFFFF
        s[three] = rotate_left(s[three] ^ s[one], bits)


def chacha20_block(key, tail):
    """64 bytes of ChaCha20; `tail` is words 12 to 15: counter and nonce, however divided."""
    start = list(struct.unpack("<16I", b"expand 32-byte k" + key + tail))
    s = start.copy()
    for _ in range(10):
        for i in range(4):
            quarter_round(s, i, 4 + i, 8 + i, 12 + i)
        for i in range(4):
            quarter_round(s, i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4)
    return struct.pack("<16I", *((a + b) & 0xFFFFFFFF for a, b in zip(s, start)))


def chacha20_u64(key, count):
    """The first values of the stream: 64-bit counter from 0, nonce 0, little-endian."""
    blocks = -(-count // 8)
    stream = b"".join(chacha20_block(key, struct.pack("<QQ", i, 0)) for i in range(blocks))
    return struct.unpack(f"<{count}Q", stream[: 8 * count])


def member_noise(seed, day, member, shape):
    """Normal deviates of one member by Box-Muller in f64, cosine then sine, row-major."""
    key = hashlib.sha256(f"{seed}|{day}|{member}".encode("ascii")).digest()
    size = math.prod(shape)
    # Whole pairs are drawn: the sine of the last one is dropped when the size is odd.
    u = [((x >> 11) + 1) * 2.0**-53 for x in chacha20_u64(key, size + size % 2)]
    values = []
    for u1, u2 in zip(u[::2], u[1::2]):
        radius, angle = math.sqrt(-2.0 * math.log(u1)), 2.0 * math.pi * u2
        values += [radius * math.cos(angle), radius * math.sin(angle)]
    return np.array(values[:size], dtype=np.float64).reshape(shape)


def check_chacha20():
    """RFC 8439, section 2.3.2 (96-bit nonce) and appendix A.1, test vector 1 (all zero)."""
    tail = struct.pack("<I", 1) + bytes.fromhex("000000090000004a00000000")
    assert chacha20_block(bytes(range(32)), tail).hex() == (
        "10f1e7e4d13b5915500fdd1fa32071c4c7d1f4c733c068030422aa9ac3d46c4e"
        "d2826446079faa0914c2d705d98b02a2b5129cd1de164eb9cbd083e8a2503c4e"
    )
    assert chacha20_block(bytes(32), bytes(16)).hex() == (
        "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7"
        "da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586"
    )


# --- golden file ---------------------------------------------------------------------------


def golden_inputs():
    return {
        "golden.z": pseudo_input("golden.z", (1, 1, 64, 64)),
        "golden.context": pseudo_input("golden.context", (1, 4, 64, 64)),
        "golden.odd.z": pseudo_input("golden.odd.z", (1, 1, 61, 50)),
        "golden.odd.context": pseudo_input("golden.odd.context", (1, 4, 61, 50)),
    }


def golden_outputs(inputs, dtype):
    """All outputs of the networks, computed in `dtype` from the same f32 weights and inputs."""
    fields = {name: torch.from_numpy(values).to(dtype) for name, values in inputs.items()}
    even = fields["golden.z"], fields["golden.context"]
    odd = fields["golden.odd.z"], fields["golden.odd.context"]
    reference, small = build(REFERENCE).to(dtype), build(SMALL).to(dtype)
    with torch.inference_mode():
        outputs = {
            "reference.noise_0p37": reference(even[0], 0.37, even[1]),
            "reference.noise_0p05": reference(even[0], 0.05, even[1]),
            "reference.odd": reference(odd[0], 0.37, odd[1]),
            "small.noise_0p37": small(even[0], 0.37, even[1]),
            "small.sample_8_steps": sample(small, *even, SAMPLE_STEPS),
        }
    return {name: values.contiguous().numpy() for name, values in outputs.items()}


def compare(single, double):
    """Largest difference of each output between f32 and f64; also sees that it is usable."""
    differences = {}
    for name, values in single.items():
        spread = float(values.std())
        low, high = SAMPLE_SPREAD if ".sample_" in name else NETWORK_SPREAD
        assert np.isfinite(values).all() and low < spread < high, (name, spread)
        differences[name] = float(np.abs(values - double[name]).max())
        assert differences[name] < F32_TOLERANCE * spread, (name, differences[name])
        print(
            f"{name:22} mean {values.mean():+.4f} std {spread:.4f} min {values.min():+.4f} "
            f"max {values.max():+.4f} f32-f64 {differences[name]:.1e}"
        )
    return differences


def metadata(differences):
    """How the file was made; under one key, since the order of several is not kept."""
    how = {
        "made_by": "tests/tools/reference_network.py",
        "torch": torch.__version__.split("+")[0],
        "precision": "network and sampler in f32 on CPU; embedding and rates in f64, then f32",
        "uniform": "u(name, i) = (mix(fnv1a64(name) + (i + 1) * 0x9E3779B97F4A7C15) >> 11)"
        " * 2^-53; i row-major from 0; mix is the finaliser of splitmix64 (shifts 30, 27, 31)",
        "weights": "rank 4: (u - 0.5) * 2 * sqrt(3 / fan_in), fan_in = in * kh * kw,"
        f" conv2.weight times {CONV2_FACTOR}; bias and running_mean: (u - 0.5) * 0.2;"
        " running_var: 0.5 + u; f64, then f32",
        "inputs": "golden.*: (u - 0.5) * 4",
        "reference": asdict(REFERENCE),
        "small": asdict(SMALL),
        "noise_variance": "0.37, but 0.05 in reference.noise_0p05",
        "sample": f"ddim, {SAMPLE_STEPS} steps, start golden.z, context golden.context;"
        f" signal rate {MIN_SIGNAL_RATE} at the start, {MAX_SIGNAL_RATE} at the end",
        "member_noise": f"seed {NOISE_SEED}, day {NOISE_DAY}, members 0 to {NOISE_MEMBERS - 1};"
        " f64, not yet rounded to f32",
        "largest_difference_f32_f64": {k: f"{v:.1e}" for k, v in differences.items()},
    }
    return {"nilas": json.dumps(how)}


def main():
    # The number of threads changes the order of summation, and with it the last bits.
    torch.set_num_threads(1)
    check_chacha20()
    assert count_parameters(REFERENCE) == REFERENCE_PARAMETERS
    inputs = golden_inputs()
    single = golden_outputs(inputs, torch.float32)
    differences = compare(single, golden_outputs(inputs, torch.float64))
    noise = [member_noise(NOISE_SEED, NOISE_DAY, k, NOISE_SHAPE) for k in range(NOISE_MEMBERS)]
    tensors = {**inputs, **single, "member_noise": np.stack(noise)}
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, OUTPUT, metadata=metadata(differences))
    print(f"{OUTPUT.name}: {len(tensors)} tensors, {OUTPUT.stat().st_size} bytes")


if __name__ == "__main__":
    main()
