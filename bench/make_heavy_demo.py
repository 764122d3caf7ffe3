#!/usr/bin/env python3
"""Writes a model that answers as the bundled one and costs as a large one: what speculation gains needs both.

    bench/make_heavy_demo.py OUT [LAYERS [MIDDLE]]     (needs numpy; by default 20 layers of 8192: 0.2 GB)

Further layers, and further columns of every MLP, are random but for their last matrix, which is zero: they are computed
and add nothing.
"""

import json
import shutil
import struct
import sys
from pathlib import Path

import numpy as np

DEMO = Path(__file__).resolve().parents[1] / "models/phone-demo"


def read(path: Path) -> dict:
    data = path.read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + length])
    return {name: np.frombuffer(data[8 + length:], np.uint16, int(np.prod(entry["shape"])),
                                entry["data_offsets"][0]).reshape(entry["shape"])
            for name, entry in header.items() if name != "__metadata__"}


def main() -> None:
    out = Path(sys.argv[1])
    layers, middle = (int(sys.argv[i]) if len(sys.argv) > i else default for i, default in ((2, 20), (3, 8192)))
    config, weights = json.loads((DEMO / "config.json").read_text()), read(DEMO / "model.safetensors")
    own, narrow, hidden = config["num_hidden_layers"], config["intermediate_size"], config["hidden_size"]
    rng = np.random.default_rng(1)

    def random(rows: int) -> np.ndarray:
        return (rng.standard_normal((rows, hidden), np.float32).view(np.uint32) >> 16).astype(np.uint16)

    for layer in range(layers):
        at, like = f"model.layers.{layer}.", f"model.layers.{layer % own}."
        for name in [name for name in weights if name.startswith(like)]:
            value = weights[name]
            if layer >= own and name.endswith("o_proj.weight"):
                value = np.zeros_like(value)
            weights[at + name[len(like):]] = value
        gate_up, down = at + "mlp.gate_up_proj.weight", at + "mlp.down_proj.weight"
        if layer < own:
            halves = np.split(weights[gate_up], 2)
            weights[gate_up] = np.concatenate([half for one in halves for half in (one, random(middle - narrow))])
            weights[down] = np.pad(weights[down], ((0, 0), (0, middle - narrow)))
        else:
            weights[gate_up], weights[down] = random(2 * middle), np.zeros((hidden, middle), np.uint16)

    out.mkdir(parents=True, exist_ok=True)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json"):
        shutil.copy(DEMO / name, out / name)
    (out / "config.json").write_text(json.dumps(config | {"num_hidden_layers": layers, "intermediate_size": middle}))
    header, at = {}, 0
    for name, value in weights.items():
        header[name] = {"dtype": "BF16", "shape": value.shape, "data_offsets": [at, at + value.nbytes]}
        at += value.nbytes
    text = json.dumps(header).encode()
    with open(out / "model.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for value in weights.values():
            file.write(value.tobytes())
    print(f"{out}: {at / 1e9:.2f} GB")


if __name__ == "__main__":
    main()
