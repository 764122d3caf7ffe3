#!/usr/bin/env python3
"""Writes a model of a real shape with random bf16 weights: enough for speed, of no other use.

    bench/make_model.py llama-3.2-1b OUT     (needs numpy; also qwen3-0.6b, llama-3.1-8b, glm-4-9b)

OUT is a Hugging Face directory; the tokenizer is copied from the bundled model, whose ids fit every vocabulary here.
"""

import json
import shutil
import struct
import sys
from pathlib import Path

import numpy as np

LLAMA3 = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 128256, "rms_norm_eps": 1e-5,
          "rope_theta": 500000.0, "max_position_embeddings": 131072, "hidden_act": "silu"}
SHAPES = {
    "llama-3.2-1b": LLAMA3 | {"hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16,
                              "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 64, "tie_word_embeddings": True},
    "llama-3.1-8b": LLAMA3 | {"hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
                              "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128, "tie_word_embeddings": False},
    "qwen3-0.6b": {"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "vocab_size": 151936, "rms_norm_eps": 1e-6,
                   "rope_theta": 1000000.0, "max_position_embeddings": 40960, "hidden_act": "silu", "hidden_size": 1024,
                   "intermediate_size": 3072, "num_hidden_layers": 28, "num_attention_heads": 16,
                   "num_key_value_heads": 8, "head_dim": 128, "tie_word_embeddings": True},
    "glm-4-9b": {"architectures": ["Glm4ForCausalLM"], "model_type": "glm4", "vocab_size": 151552, "rms_norm_eps": 1e-5,
                 "rope_theta": 10000.0, "partial_rotary_factor": 0.5, "max_position_embeddings": 32768, "hidden_act": "silu",
                 "hidden_size": 4096, "intermediate_size": 13696, "num_hidden_layers": 40, "num_attention_heads": 32,
                 "num_key_value_heads": 2, "head_dim": 128, "attention_bias": True, "tie_word_embeddings": False},
}


def tensors(config: dict):
    """(name, shape) of every tensor, in file order."""
    hidden, middle = config["hidden_size"], config["intermediate_size"]
    q, kv = config["num_attention_heads"] * config["head_dim"], config["num_key_value_heads"] * config["head_dim"]
    glm = config["model_type"] == "glm4"
    yield "model.embed_tokens.weight", (config["vocab_size"], hidden)
    for layer in range(config["num_hidden_layers"]):
        at = f"model.layers.{layer}."
        norms = ["input_layernorm", "post_attention_layernorm"]
        if glm:
            norms += ["post_self_attn_layernorm", "post_mlp_layernorm"]
        for norm in norms:
            yield f"{at}{norm}.weight", (hidden,)
        for name, rows in (("q", q), ("k", kv), ("v", kv)):
            yield f"{at}self_attn.{name}_proj.weight", (rows, hidden)
            if config.get("attention_bias"):
                yield f"{at}self_attn.{name}_proj.bias", (rows,)
        if config["model_type"] == "qwen3":
            for name in ("q", "k"):
                yield f"{at}self_attn.{name}_norm.weight", (config["head_dim"],)
        yield f"{at}self_attn.o_proj.weight", (hidden, q)
        if glm:
            yield f"{at}mlp.gate_up_proj.weight", (2 * middle, hidden)
        else:
            yield f"{at}mlp.gate_proj.weight", (middle, hidden)
            yield f"{at}mlp.up_proj.weight", (middle, hidden)
        yield f"{at}mlp.down_proj.weight", (hidden, middle)
    yield "model.norm.weight", (hidden,)
    if not config["tie_word_embeddings"]:
        yield "lm_head.weight", (config["vocab_size"], hidden)


def main() -> None:
    config, out = SHAPES[sys.argv[1]], Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    (out / "config.json").write_text(json.dumps(config, indent=1))
    demo = Path(__file__).resolve().parents[1] / "models/phone-demo"
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(demo / name, out / name)
    header, at = {}, 0
    for name, shape in tensors(config):
        size = 2 * int(np.prod(shape))
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    rng = np.random.default_rng(1)
    with open(out / "model.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name, shape in tensors(config):
            values = np.ones(shape, np.float32) if len(shape) == 1 else \
                rng.standard_normal(shape, np.float32) / np.float32(shape[-1] ** 0.5)
            file.write((values.view(np.uint32) >> 16).astype(np.uint16).tobytes())
    print(f"{out}: {at / 1e9:.2f} GB")


if __name__ == "__main__":
    main()
