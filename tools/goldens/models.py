#!/usr/bin/env python3
"""Writes tests/golden/models: small random models of every supported family and what transformers computes with them.

Each folder holds config.json and model.safetensors (float32), model.gguf (the same weights through the gguf package,
laid out as llama.cpp's converter does), and golden.json: prompt, float32 logits of every prompt position, and the greedy
continuation. The shapes are odd on purpose: head_dim != hidden/heads, one KV head, biases, norms away from 1.

Run: python tools/goldens/models.py [family ...]   (needs torch, transformers, gguf)
"""

import json
import sys
from pathlib import Path

import gguf
import numpy as np
import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, Glm4Config, LlamaConfig

OUT = Path(__file__).resolve().parents[2] / "tests/golden/models"

LLAMA3_ROPE = {"rope_type": "llama3", "rope_theta": 5000.0, "factor": 4.0, "low_freq_factor": 1.0,
               "high_freq_factor": 4.0, "original_max_position_embeddings": 64}

FAMILIES = {
    # Llama 2: multi-head, untied.
    "llama2": LlamaConfig(hidden_size=48, intermediate_size=80, num_hidden_layers=2, num_attention_heads=4,
                          num_key_value_heads=4, vocab_size=97, max_position_embeddings=256, rms_norm_eps=1e-5,
                          tie_word_embeddings=False),
    # Llama 3.2: grouped queries, tied, llama3 rope scaling, head_dim apart from hidden/heads.
    "llama3": LlamaConfig(hidden_size=48, intermediate_size=72, num_hidden_layers=3, num_attention_heads=6,
                          num_key_value_heads=2, head_dim=16, vocab_size=101, max_position_embeddings=256,
                          rope_parameters=LLAMA3_ROPE, tie_word_embeddings=True),
    # A Llama with biases, one KV head and linear rope scaling.
    "llama_bias": LlamaConfig(hidden_size=40, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
                              num_key_value_heads=1, head_dim=12, vocab_size=83, max_position_embeddings=256,
                              attention_bias=True, mlp_bias=True,
                              rope_parameters={"rope_type": "linear", "rope_theta": 10000.0, "factor": 2.0}),
    # GLM-4-0414: sandwich norms, interleaved half-rotary, QKV biases, fused gate_up.
    "glm4": Glm4Config(hidden_size=48, intermediate_size=88, num_hidden_layers=3, num_attention_heads=6,
                       num_key_value_heads=2, head_dim=16, vocab_size=109, max_position_embeddings=256,
                       rms_norm_eps=1e-5, attention_bias=True, tie_word_embeddings=False,
                       pad_token_id=0, eos_token_id=[0]),
    # GLM-4 with one KV head, no biases, tied, another theta and rotary share.
    "glm4_tied": Glm4Config(hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2,
                            num_key_value_heads=1, head_dim=24, vocab_size=90, max_position_embeddings=256,
                            rms_norm_eps=1e-6, attention_bias=False, tie_word_embeddings=True,
                            rope_parameters={"rope_type": "default", "rope_theta": 500000.0,
                                             "partial_rotary_factor": 0.25},
                            pad_token_id=0, eos_token_id=[0]),
}


def randomise(model: torch.nn.Module, seed: int) -> None:
    """Weights large enough that attention is peaked and every part matters; norms away from 1; biases away from 0."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if "norm" in name:
                parameter.copy_(1 + 0.3 * noise)
            elif name.endswith("bias"):
                parameter.copy_(0.5 * noise)
            elif "embed" in name:
                parameter.copy_(noise)
            else:
                parameter.copy_(1.5 * noise / parameter.shape[-1] ** 0.5)


def golden(model, vocab: int, seed: int) -> dict:
    rng = np.random.default_rng(seed)
    prompt = rng.integers(1, vocab, size=37).tolist()
    with torch.no_grad():
        logits = model(torch.tensor([prompt])).logits[0]
        ids = list(prompt)
        for _ in range(40):  # plain recomputation: no cache of transformers' own in between
            ids.append(int(model(torch.tensor([ids])).logits[0, -1].argmax()))
        hidden = model.model(torch.tensor([prompt])).last_hidden_state[0]
    return {"prompt": prompt, "greedy": ids[len(prompt):],
            "logits": [[float(f"{x:.7g}") for x in row] for row in logits.tolist()],
            "mean_hidden": [float(f"{x:.7g}") for x in hidden.mean(0).tolist()]}


def permute(weight: np.ndarray, heads: int) -> np.ndarray:
    """llama.cpp's converter: rows of each head reordered so that rotary pairs become neighbours."""
    shape = weight.shape
    return weight.reshape(heads, 2, shape[0] // heads // 2, *shape[1:]).swapaxes(1, 2).reshape(shape)


LLAMA_NAMES = {"input_layernorm.weight": "attn_norm.weight", "post_attention_layernorm.weight": "ffn_norm.weight",
               "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
               "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
               "mlp.down_proj": "ffn_down"}
GLM4_NAMES = LLAMA_NAMES | {"mlp.gate_up_proj": "ffn_up", "post_self_attn_layernorm.weight": "post_attention_norm.weight",
                            "post_mlp_layernorm.weight": "post_ffw_norm.weight"}


def write_gguf(path: Path, config, state: dict) -> None:
    arch = config.model_type
    names = GLM4_NAMES if arch == "glm4" else LLAMA_NAMES
    writer = gguf.GGUFWriter(path, arch)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    rope = config.rope_parameters
    writer.add_rope_freq_base(rope["rope_theta"])
    rotary = int(config.head_dim * rope.get("partial_rotary_factor", 0.5 if arch == "glm4" else 1.0))
    writer.add_rope_dimension_count(rotary)
    if rope["rope_type"] == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(rope["factor"])
    if rope["rope_type"] == "llama3":
        writer.add_tensor("rope_freqs.weight", llama3_factors(rope, rotary))
    for name, tensor in state.items():
        array = tensor.float().numpy()
        if name == "model.embed_tokens.weight":
            target = "token_embd.weight"
        elif name == "model.norm.weight":
            target = "output_norm.weight"
        elif name == "lm_head.weight":
            target = "output.weight"
        else:
            _, _, layer, rest = name.split(".", 3)
            for old, new in names.items():
                if rest.startswith(old):
                    rest = rest.replace(old, new)
                    break
            if arch == "llama" and rest.startswith("attn_q."):
                array = permute(array, config.num_attention_heads)
            if arch == "llama" and rest.startswith("attn_k."):
                array = permute(array, config.num_key_value_heads)
            target = f"blk.{layer}.{rest}"
        writer.add_tensor(target, np.ascontiguousarray(array))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def llama3_factors(rope: dict, rotary: int) -> np.ndarray:
    """Divisors of the inverse frequencies, as llama.cpp's converter writes them."""
    frequencies = 1.0 / rope["rope_theta"] ** (np.arange(0, rotary, 2, dtype=np.float64) / rotary)
    low = rope["original_max_position_embeddings"] / rope["low_freq_factor"]
    high = rope["original_max_position_embeddings"] / rope["high_freq_factor"]
    factors = []
    for frequency in frequencies:
        wavelength = 2 * np.pi / frequency
        if wavelength < high:
            factors.append(1.0)
        elif wavelength > low:
            factors.append(rope["factor"])
        else:
            smooth = (rope["original_max_position_embeddings"] / wavelength - rope["low_freq_factor"]) / (
                rope["high_freq_factor"] - rope["low_freq_factor"])
            factors.append(1 / ((1 - smooth) / rope["factor"] + smooth))
    return np.array(factors, dtype=np.float32)


def main() -> None:
    for seed, (name, config) in enumerate(FAMILIES.items()):
        if len(sys.argv) > 1 and name not in sys.argv[1:]:
            continue
        config.architectures = [config.__class__.__name__.replace("Config", "ForCausalLM")]
        model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").float().eval()
        randomise(model, seed + 1)
        state = {k: v.contiguous() for k, v in model.state_dict().items()
                 if not (config.tie_word_embeddings and k == "lm_head.weight")}
        folder = OUT / name
        folder.mkdir(parents=True, exist_ok=True)
        config.to_json_file(folder / "config.json", use_diff=True)
        save_file(state, folder / "model.safetensors")
        write_gguf(folder / "model.gguf", config, state)
        (folder / "golden.json").write_text(json.dumps(golden(model, config.vocab_size, seed), separators=(",", ":")))
        print(name, sum(v.numel() for v in state.values()), "parameters")


if __name__ == "__main__":
    main()
