#!/usr/bin/env python3
"""Writes tests/golden/stories260K_q8_0_greedy_200.txt: what transformers, in float64, writes with the weights of the Q8_0
file. They are not the float32 model's weights, and the text leaves the upstream text after some 90 tokens.

Run: python tools/goldens/stories_q8_0.py SHARED_DATA   (needs torch, transformers, gguf, tokenizers)
"""

import json
import sys
from pathlib import Path

import gguf
import numpy as np
import torch
from gguf.quants import dequantize
from tokenizers import Tokenizer
from transformers import LlamaConfig, LlamaForCausalLM

OUT = Path(__file__).resolve().parents[2] / "tests/golden/stories260K_q8_0_greedy_200.txt"
NAMES = {"attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm", "attn_q": "self_attn.q_proj",
         "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
         "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj"}
TOP = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight"}


def unpermute(weight: torch.Tensor, heads: int) -> torch.Tensor:
    """Undoes the row order of GGUF's Q and K."""
    return weight.reshape(heads, weight.shape[0] // heads // 2, 2, -1).swapaxes(1, 2).reshape(weight.shape)


def main() -> None:
    stories = Path(sys.argv[1]) / "weights/stories260K"
    settings = json.loads((stories / "hf/config.json").read_text())
    config = LlamaConfig(**{k: v for k, v in settings.items() if k not in ("architectures", "model_type")})
    model = LlamaForCausalLM(config).eval().double()
    state = {}
    for tensor in gguf.GGUFReader(stories / "gguf/stories260K-Q8_0.gguf").tensors:
        value = torch.tensor(np.array(dequantize(tensor.data, tensor.tensor_type)))
        value = value.reshape([int(n) for n in reversed(tensor.shape)])
        if tensor.name in TOP:
            state[TOP[tensor.name]] = value
            continue
        _, layer, part, _ = tensor.name.split(".")
        if part in ("attn_q", "attn_k"):
            value = unpermute(value, config.num_attention_heads if part == "attn_q" else config.num_key_value_heads)
        state[f"model.layers.{layer}.{NAMES[part]}.weight"] = value
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert missing == ["lm_head.weight"] and not unexpected  # tied
    ids = [1]
    with torch.no_grad():
        for _ in range(200):
            ids.append(int(model(torch.tensor([ids])).logits[0, -1].argmax()))
    text = Tokenizer.from_file(str(stories / "hf/tokenizer.json")).decode(ids)
    OUT.write_text(text + "\n")


if __name__ == "__main__":
    main()
