#!/usr/bin/env python3
"""Writes tests/golden/quantize: rows and their stored forms as the `gguf` package (ggml's own) makes them.

    pip install numpy gguf && python tools/goldens/quantize.py

rows.f32       [8, 256] little-endian floats of different size, sign and sparsity
rows.<type>    the same rows quantised
<type>.blocks  random blocks (every bit random but for sane scales), <type>.values what they dequantise to
halves.f32     what every 7th f16 pattern stands for; floats.f32 / floats.f16: floats near every rounding border
"""

import pathlib

import numpy as np
from gguf import GGMLQuantizationType as Type
from gguf.constants import GGML_QUANT_SIZES
from gguf.quants import dequantize, quantize

OUT = pathlib.Path(__file__).resolve().parents[2] / "tests/golden/quantize"

# Byte offsets of the f16 scales inside a block, which must not be random bits: those may be a NaN.
SCALES = {
    Type.Q8_0: [0], Type.Q4_0: [0], Type.Q4_1: [0, 2], Type.Q5_0: [0], Type.Q5_1: [0, 2], Type.IQ4_NL: [0],
    Type.Q2_K: [80, 82], Type.Q3_K: [108], Type.Q4_K: [0, 2], Type.Q5_K: [0, 2], Type.Q6_K: [208], Type.IQ4_XS: [0],
}


def rows(rng):
    out = rng.standard_normal((8, 256)).astype(np.float32)
    out[1] *= 1e-3
    out[2] *= 1e4
    out[3] = np.where(rng.random(256) < 0.9, 0, out[3])
    out[4] = np.abs(out[4])
    out[5] = np.round(out[5] * 4) / 4  # many ties
    out[6, :32] = 0
    out[6, 32:64:2] = -0.0
    out[6, 64:96] = 1e-30
    out[7] = rng.integers(-8, 8, 256)
    return out


def random_blocks(rng, kind):
    elements, size = GGML_QUANT_SIZES[kind]
    count = 512 // elements
    blocks = rng.integers(0, 256, (count, size), dtype=np.uint8)
    for offset in SCALES[kind]:
        scale = (rng.standard_normal(count) * 0.01).astype(np.float16)
        blocks[:, offset:offset + 2] = scale.view(np.uint8).reshape(count, 2)
    return blocks


def floats_near_borders(rng):
    halves = rng.integers(0, 0x7BFF, 512).astype(np.uint16).view(np.float16).astype(np.float32)
    next_halves = (halves.astype(np.float16).view(np.uint16) + 1).view(np.float16).astype(np.float32)
    middle = ((halves.astype(np.float64) + next_halves) / 2).astype(np.float32)
    middle[::3] = np.nextafter(middle[::3], np.float32(np.inf))
    middle[1::3] = np.nextafter(middle[1::3], np.float32(-np.inf))
    special = np.array([0, -0.0, np.inf, -np.inf, 65504, 65519.996, 65520, 1e30, 2**-24, 2**-25, 2**-25 * 1.0001, 1e-40],
                       np.float32)
    return np.concatenate([middle, -middle, special])


def main():
    rng = np.random.default_rng(20260)
    OUT.mkdir(parents=True, exist_ok=True)
    table = rows(rng)
    table.tofile(OUT / "rows.f32")
    for kind in (Type.F16, Type.BF16, Type.Q8_0, Type.Q4_0, Type.Q4_1, Type.Q5_0, Type.Q5_1):
        quantize(table, kind).tofile(OUT / f"rows.{kind.name.lower()}")
    for kind in SCALES:
        blocks = random_blocks(rng, kind)
        blocks.tofile(OUT / f"{kind.name.lower()}.blocks")
        dequantize(blocks, kind).astype(np.float32).tofile(OUT / f"{kind.name.lower()}.values")
    np.arange(0, 65536, 7, dtype=np.uint32).astype(np.uint16).view(np.float16).astype(np.float32).tofile(OUT / "halves.f32")
    floats = floats_near_borders(rng)
    floats.tofile(OUT / "floats.f32")
    with np.errstate(over="ignore"):
        floats.astype(np.float16).tofile(OUT / "floats.f16")


if __name__ == "__main__":
    main()
