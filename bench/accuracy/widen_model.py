#!/usr/bin/env python3
"""Writes a model that computes what another one computes, in rows wide enough for blocks of 256.

    bench/accuracy/widen_model.py models/phone-demo OUT [TIMES=4]     (needs numpy)

Every feature of the residual stream and every head stands TIMES times side by side, and what reads them is divided by
TIMES: the sums are the same. A quantiser sees the model's own rows over and over, so what it does to them, and what that
does to the answers, is what it would do to the model itself if its rows were long enough. GLM-4 and Llama layouts.
"""

import json
import shutil
import struct
import sys
from pathlib import Path

import numpy as np


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    data = path.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    tensors = {}
    for name, entry in json.loads(data[8:8 + size]).items():
        if name == "__metadata__":
            continue
        begin, end = (8 + size + offset for offset in entry["data_offsets"])
        if entry["dtype"] == "BF16":
            values = (np.frombuffer(data[begin:end], np.uint16).astype(np.uint32) << 16).view(np.float32)
        else:
            values = np.frombuffer(data[begin:end], {"F32": np.float32, "F16": np.float16}[entry["dtype"]])
        tensors[name] = values.astype(np.float32).reshape(entry["shape"])
    return tensors


def write_safetensors(path: Path, tensors: dict[str, np.ndarray]) -> None:
    header, at = {}, 0
    for name, values in tensors.items():
        header[name] = {"dtype": "F32", "shape": list(values.shape), "data_offsets": [at, at + values.nbytes]}
        at += values.nbytes
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for values in tensors.values():
            file.write(np.ascontiguousarray(values).tobytes())


def widen(name: str, values: np.ndarray, times: int) -> np.ndarray:
    if "gate" in name or "up_proj" in name:  # reads the stream, writes what stays as it is
        return np.tile(values, (1, times)) / times
    if "down_proj" in name:
        return np.tile(values, (times, 1))
    if values.ndim == 1:  # norms and biases
        return np.tile(values, times)
    if "embed_tokens" in name:
        return np.tile(values, (1, times))
    if "lm_head" in name:
        return np.tile(values, (1, times)) / times
    return np.tile(values, (times, times)) / times  # q, k, v, o


def main() -> None:
    source, out = Path(sys.argv[1]), Path(sys.argv[2])
    times = int(sys.argv[3]) if len(sys.argv) > 3 else 4
    out.mkdir(parents=True, exist_ok=True)
    config = json.loads((source / "config.json").read_text())
    tensors = read_safetensors(source / "model.safetensors")
    if config.get("tie_word_embeddings"):
        tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"]
    config |= {key: config[key] * times for key in ("hidden_size", "num_attention_heads", "num_key_value_heads")}
    config |= {"tie_word_embeddings": False, "dtype": "float32"}
    write_safetensors(out / "model.safetensors", {name: widen(name, values, times) for name, values in tensors.items()})
    (out / "config.json").write_text(json.dumps(config, indent=1))
    for file in source.glob("*.json*"):
        if file.name.startswith(("tokenizer", "generation", "chat")):
            shutil.copy(file, out / file.name)
    for file in source.glob("*.jinja"):
        shutil.copy(file, out / file.name)


if __name__ == "__main__":
    main()
