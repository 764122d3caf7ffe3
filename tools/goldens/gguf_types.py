#!/usr/bin/env python3
"""Writes tests/golden/gguf_types: a small Llama as GGUF in which every quantised type has a matrix.

The blocks are gguf.quants.quantize's where that package can, else random bits under a scale that fits; what they are
worth is gguf.quants.dequantize's word. golden.json has the float32 logits of transformers over those values.

Run: python tools/goldens/gguf_types.py   (needs torch, transformers, gguf)
"""

import json
from pathlib import Path

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as T
from gguf.quants import dequantize, quantize
from transformers import AutoModelForCausalLM, LlamaConfig

OUT = Path(__file__).resolve().parents[2] / "tests/golden/gguf_types"
HIDDEN, INTERMEDIATE, HEADS, KV_HEADS, HEAD_DIM, VOCAB, LAYERS = 256, 256, 4, 2, 16, 48, 2
# Where a block keeps its f16 scales.
SCALES = {T.Q2_K: (80, 82), T.Q3_K: (108,), T.Q4_K: (0, 2), T.Q5_K: (0, 2), T.Q6_K: (208,), T.IQ4_NL: (0,),
          T.IQ4_XS: (0,)}
MATRICES = {"attn_q": (HEADS * HEAD_DIM, HIDDEN), "attn_k": (KV_HEADS * HEAD_DIM, HIDDEN),
            "attn_v": (KV_HEADS * HEAD_DIM, HIDDEN), "attn_output": (HIDDEN, HEADS * HEAD_DIM),
            "ffn_gate": (INTERMEDIATE, HIDDEN), "ffn_up": (INTERMEDIATE, HIDDEN), "ffn_down": (HIDDEN, INTERMEDIATE)}
TYPES = [{"attn_q": T.Q4_K, "attn_k": T.Q6_K, "attn_v": T.Q5_K, "attn_output": T.IQ4_NL, "ffn_gate": T.Q2_K,
          "ffn_up": T.Q3_K, "ffn_down": T.IQ4_XS},
         {"attn_q": T.Q8_0, "attn_k": T.Q4_1, "attn_v": T.Q5_0, "attn_output": T.Q5_1, "ffn_gate": T.Q4_0,
          "ffn_up": T.F16, "ffn_down": T.BF16}]
NAMES = {"attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
         "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
         "ffn_down": "mlp.down_proj", "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm"}


def blocks(shape, kind, rng):
    """The tensor's bytes, and their values."""
    spread = 1.5 / shape[1] ** 0.5
    if kind not in SCALES:
        raw = quantize((rng.standard_normal(shape) * spread).astype(np.float32), kind)
        return raw, dequantize(raw, kind)
    elements, size = gguf.GGML_QUANT_SIZES[kind]
    raw = rng.integers(0, 256, (shape[0], shape[1] // elements, size), dtype=np.uint8)

    def with_scale(scale):
        for at in SCALES[kind]:
            raw[:, :, at:at + 2] = np.array([scale], dtype=np.float16).view(np.uint8)
        flat = raw.reshape(shape[0], -1)
        return flat, dequantize(flat, kind)

    return with_scale(spread / float(with_scale(1 / 64)[1].std()) / 64)


def unpermute(weight, heads):
    return weight.reshape(heads, weight.shape[0] // heads // 2, 2, -1).swapaxes(1, 2).reshape(weight.shape)


def main() -> None:
    rng = np.random.default_rng(11)
    OUT.mkdir(parents=True, exist_ok=True)
    writer = gguf.GGUFWriter(OUT / "model.gguf", "llama")
    writer.add_context_length(128)
    writer.add_embedding_length(HIDDEN)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(INTERMEDIATE)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_key_length(HEAD_DIM)
    writer.add_value_length(HEAD_DIM)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_rope_dimension_count(HEAD_DIM)
    config = LlamaConfig(hidden_size=HIDDEN, intermediate_size=INTERMEDIATE, num_hidden_layers=LAYERS,
                         num_attention_heads=HEADS, num_key_value_heads=KV_HEADS, head_dim=HEAD_DIM, vocab_size=VOCAB,
                         max_position_embeddings=128, rms_norm_eps=1e-5, tie_word_embeddings=True)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").float().eval()
    state = {}

    def vector(name):
        value = (1 + 0.3 * rng.standard_normal(HIDDEN)).astype(np.float32)
        writer.add_tensor(name, value)
        return torch.from_numpy(value)

    raw, value = blocks((VOCAB, HIDDEN), T.Q6_K, rng)
    writer.add_tensor("token_embd.weight", raw, raw_dtype=T.Q6_K)
    state["model.embed_tokens.weight"] = torch.from_numpy(value)
    state["model.norm.weight"] = vector("output_norm.weight")
    for layer in range(LAYERS):
        for name in ("attn_norm", "ffn_norm"):
            state[f"model.layers.{layer}.{NAMES[name]}.weight"] = vector(f"blk.{layer}.{name}.weight")
        for name, shape in MATRICES.items():
            kind = TYPES[layer][name]
            raw, value = blocks(shape, kind, rng)
            writer.add_tensor(f"blk.{layer}.{name}.weight", raw, raw_dtype=kind)
            if name in ("attn_q", "attn_k"):
                value = unpermute(value, HEADS if name == "attn_q" else KV_HEADS)
            state[f"model.layers.{layer}.{NAMES[name]}.weight"] = torch.from_numpy(np.ascontiguousarray(value))
    model.load_state_dict(state, strict=False)
    model.tie_weights()
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    prompt = rng.integers(1, VOCAB, size=16).tolist()
    with torch.no_grad():
        logits = model(torch.tensor([prompt])).logits[0]
    (OUT / "golden.json").write_text(json.dumps(
        {"prompt": prompt, "logits": [[float(f"{x:.7g}") for x in row] for row in logits.tolist()]},
        separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
