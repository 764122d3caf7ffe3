#!/usr/bin/env python3
"""Writes tests/golden/models: small random models of every supported family and what transformers computes with them.

Each folder holds
  config.json   as a user's model has it (models_cases.py: old and new spellings);
  golden.json   the tensors (names and shapes as save_pretrained writes them, and how to draw their values), and runs:
                a prompt and the 40 tokens that generate() continues it with, greedily;
  logits.f32    float32 logits of every prompt position of every run;
  gguf.head     the GGUF file of the same model up to its tensor data, written by the gguf package with the names and
                keys of llama.cpp's converter, and gguf.json: how each tensor's data follows from the tensors above.
The weights themselves are not stored: both this script and the test draw them from draw().

Run: python tools/goldens/models.py [--full DIR [--random COUNT [--seed N] | --published]] [case ...]
(needs torch, transformers, safetensors, gguf)
--full writes model.safetensors and model.gguf too, into DIR, with everything else: models for tests of the program.
--random takes other configs than the committed ones, --published those of well-known models, made small;
SLUICE_GOLDEN_MODELS=DIR model_tests compares with them.
"""

import argparse
import copy
import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM

from models_cases import CASES
from models_chatglm import chatglm_config, file_tensors, glm_weights
from models_gguf import write_gguf
from models_published import published_cases
from models_random import random_cases

OUT = Path(__file__).resolve().parents[2] / "tests/golden/models"
GREEDY_TOKENS = 40


class Tie(Exception):
    """Two tokens so near each other that rounding would choose, or weights to which the logits are too sensitive."""


def draw(name: str, shape: list[int], scale: float, offset: float, seed: int) -> np.ndarray:
    """Uniform in offset ± scale, from splitmix64 over the element's number; every step is exact or rounded once."""
    state = np.uint64(0xCBF29CE484222325 ^ seed)
    with np.errstate(over="ignore"):
        for byte in name.encode():
            state = (state ^ np.uint64(byte)) * np.uint64(0x100000001B3)
        x = state + (np.arange(int(np.prod(shape)), dtype=np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        x = x ^ (x >> np.uint64(31))
    unit = (x >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-23) - np.float32(1)
    return (unit * np.float32(scale) + np.float32(offset)).reshape(shape)


def scale_and_offset(name: str, shape: list[int], norms_at_zero: bool) -> tuple[float, float]:
    """Large enough that attention is peaked and every part matters; norms away from 1; biases away from 0."""
    if "norm" in name:
        return 0.5, 0.0 if norms_at_zero else 1.0
    if name.endswith("bias"):
        return 0.8, 0.0
    if "embed_tokens" in name:
        return 1.7, 0.0
    return float(np.float32(2.4 / shape[-1] ** 0.5)), 0.0


def tensor_list(folder: Path, config, rename) -> list:
    """[[name, shape, scale, offset] …] of the checkpoint that save_pretrained writes for this config."""
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").float()
    model.save_pretrained(folder)
    tensors = []
    with safe_open(folder / "model.safetensors", "pt") as file:
        for name in sorted(file.keys()):
            shape = list(file.get_slice(name).get_shape())
            name = rename(name)
            tensors.append([name, shape, *scale_and_offset(name, shape, "gemma" in config.model_type)])
    return tensors


def run(model, prompt: list[int]) -> tuple[list[int], torch.Tensor]:
    ids = torch.tensor([prompt])
    with torch.no_grad():
        # Fresh copies: a dynamic rope remembers the longest text it has seen.
        logits = copy.deepcopy(model)(ids).logits[0]
        model = copy.deepcopy(model)
        model.generation_config.eos_token_id = None
        out = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=GREEDY_TOKENS,
                             pad_token_id=0, output_logits=True, return_dict_in_generate=True)
        for parameter in model.parameters():  # of the copy
            parameter.copy_(parameter.bfloat16().float())
        rounded = model(ids).logits[0]
    if (rounded - logits).norm() > 1.2e-2 * logits.norm():  # of bfloat16 2e-2 is asked
        raise Tie
    for row in out.logits:
        best = row[0].topk(2).values
        if best[0] - best[1] < 2e-3 * row[0].std():
            raise Tie
    return out.sequences[0, len(prompt):].tolist(), logits


def make(name: str, case: dict, seed: int, full: Path | None) -> None:
    rng = np.random.default_rng(seed)
    folder = (full or OUT) / name
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    chatglm = case.get("chatglm", False)  # written as THUDM's files are
    written = chatglm_config(case["config"]) if chatglm else case["config"]
    (folder / "config.json").write_text(json.dumps(written, indent=1) + "\n")
    with tempfile.TemporaryDirectory() as temporary:
        temporary = Path(temporary)
        (temporary / "config.json").write_text(json.dumps(case["config"]))
        config = AutoConfig.from_pretrained(temporary)
        tensors = tensor_list(temporary, config, case.get("rename", lambda n: n))
        if chatglm:
            tensors = file_tensors(tensors)
        weights = {t[0]: draw(*t, seed) for t in tensors}
        known = glm_weights(weights, config) if chatglm else weights
        save_file({n: torch.from_numpy(w) for n, w in known.items()}, temporary / "model.safetensors",
                  metadata={"format": "pt"})
        (temporary / "config.json").write_text(json.dumps(case["config"]))
        model, loading = AutoModelForCausalLM.from_pretrained(
            temporary, dtype=torch.float32, attn_implementation="eager", output_loading_info=True)
        assert not any(loading[k] for k in ("missing_keys", "unexpected_keys", "mismatched_keys")), loading
        if full:
            save_file({n: torch.from_numpy(w) for n, w in weights.items()}, folder / "model.safetensors",
                      metadata={"format": "pt"})
    text = config.get_text_config()
    runs, logits = [], []
    for length in case.get("prompts", [37]):
        prompt = rng.integers(1, text.vocab_size, size=length).tolist()
        greedy, rows = run(model.eval(), prompt)
        runs.append({"prompt": prompt, "greedy": greedy})
        logits.append(rows.numpy().astype("<f4").tobytes())
    (folder / "logits.f32").write_bytes(b"".join(logits))
    golden = {"seed": seed, "tensors": tensors, "runs": runs}
    (folder / "golden.json").write_text(json.dumps(golden, separators=(",", ":")) + "\n")
    if case.get("gguf", True):
        write_gguf(folder, text, weights, case.get("gguf_keys", {}), whole=full is not None)
    print(name, sum(w.size for w in weights.values()), "parameters,", sum(f.stat().st_size for f in folder.iterdir()),
          "bytes")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("cases", nargs="*")
    parser.add_argument("--full", type=Path)
    parser.add_argument("--random", type=int)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--published", action="store_true")
    arguments = parser.parse_args()
    cases = random_cases(arguments.random, arguments.seed) if arguments.random else CASES
    if arguments.published:
        cases = published_cases()
    for seed, (name, case) in enumerate(cases.items()):
        if arguments.cases and name not in arguments.cases:
            continue
        for attempt in range(20):
            try:
                make(name, case, 100 * attempt + seed + 1, arguments.full)
                break
            except Tie:
                print(name, "has a tie; drawing again")
            except Exception as problem:  # a random config that transformers refuses as well
                if not case.get("odd"):
                    raise
                print(name, "refused by transformers:", str(problem).split("\n")[0][:150])
                shutil.rmtree((arguments.full or OUT) / name)
                break
        else:
            if arguments.full is None:
                raise SystemExit(f"{name}: ties with every seed")
            print(name, "has ties with every seed; left out")
            shutil.rmtree(arguments.full / name)


if __name__ == "__main__":
    main()
