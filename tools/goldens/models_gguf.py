"""A GGUF of a model, as llama.cpp's converter lays it out (conversion/*.py there): names, keys, permuted rows."""

import json
from pathlib import Path

import gguf
import numpy as np

from models_chatglm import gguf_name

ARCHITECTURES = {"llama": "llama", "mistral": "llama", "qwen2": "qwen2", "qwen3": "qwen3", "glm": "chatglm",
                 "glm4": "glm4", "gemma2": "gemma2", "gemma3_text": "gemma3", "phi3": "phi3"}

LLAMA_NAMES = {"input_layernorm.weight": "attn_norm.weight", "post_attention_layernorm.weight": "ffn_norm.weight",
               "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
               "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm",
               "self_attn.qkv_proj": "attn_qkv", "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate",
               "mlp.up_proj": "ffn_up", "mlp.gate_up_proj": "ffn_up", "mlp.down_proj": "ffn_down"}
GLM4_NAMES = {"post_self_attn_layernorm.weight": "post_attention_norm.weight",
              "post_mlp_layernorm.weight": "post_ffw_norm.weight"} | LLAMA_NAMES
GEMMA_NAMES = LLAMA_NAMES | {"post_attention_layernorm.weight": "post_attention_norm.weight",
                             "pre_feedforward_layernorm.weight": "ffn_norm.weight",
                             "post_feedforward_layernorm.weight": "post_ffw_norm.weight"}


def permute(weight: np.ndarray, heads: int) -> np.ndarray:
    """Rows of each head reordered so that rotary pairs become neighbours."""
    shape = weight.shape
    return weight.reshape(heads, 2, shape[0] // heads // 2, *shape[1:]).swapaxes(1, 2).reshape(shape)


def llama3_factors(rope: dict, rotary: int) -> list[float]:
    """Divisors of the inverse frequencies."""
    frequencies = 1.0 / rope["rope_theta"] ** (np.arange(0, rotary, 2, dtype=np.float64) / rotary)
    original = rope["original_max_position_embeddings"]
    factors = []
    for frequency in frequencies:
        wavelength = 2 * np.pi / frequency
        if wavelength < original / rope["high_freq_factor"]:
            factors.append(1.0)
        elif wavelength > original / rope["low_freq_factor"]:
            factors.append(rope["factor"])
        else:
            smooth = (original / wavelength - rope["low_freq_factor"]) / (
                rope["high_freq_factor"] - rope["low_freq_factor"])
            factors.append(1 / ((1 - smooth) / rope["factor"] + smooth))
    return np.array(factors, dtype=np.float32).tolist()


def add_rope(writer: gguf.GGUFWriter, config, head_dim: int) -> dict[str, list[float]]:
    """Keys; and tensors beside the model's own."""
    rope = config.rope_parameters
    local = rope.get("sliding_attention")
    rope = rope.get("full_attention", rope)
    partial = rope.get("partial_rotary_factor", 1.0)
    rotary = int(head_dim * partial)
    writer.add_rope_freq_base(rope["rope_theta"])
    writer.add_rope_dimension_count(rotary)
    if local is not None and local["rope_theta"] != 10000.0:
        writer.add_rope_freq_base_swa(local["rope_theta"])
    kind = rope["rope_type"]
    if kind == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(rope["factor"])
    elif kind == "yarn":
        writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        writer.add_rope_scaling_factor(rope["factor"])
        writer.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
        if rope.get("attention_factor") is not None:
            writer.add_rope_scaling_yarn_attn_factor(rope["attention_factor"])
        if rope.get("beta_fast") is not None:
            writer.add_rope_scaling_yarn_beta_fast(rope["beta_fast"])
        if rope.get("beta_slow") is not None:
            writer.add_rope_scaling_yarn_beta_slow(rope["beta_slow"])
    elif kind == "llama3":
        return {"rope_freqs.weight": llama3_factors(rope, rotary)}
    elif kind == "longrope":
        original = rope["original_max_position_embeddings"]
        writer.add_rope_scaling_orig_ctx_len(original)
        scale = config.max_position_embeddings / original
        factor = float(np.sqrt(1 + np.log(scale) / np.log(original))) if scale > 1 else 1.0
        writer.add_rope_scaling_attn_factors(rope.get("attention_factor") or factor)
        return {"rope_factors_long.weight": rope["long_factor"], "rope_factors_short.weight": rope["short_factor"]}
    else:
        assert kind == "default", kind
    return {}


def add_keys(writer: gguf.GGUFWriter, config, head_dim: int) -> None:
    kind = config.model_type
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    if head_dim * config.num_attention_heads != config.hidden_size or kind not in ("phi3", "glm"):
        writer.add_key_length(head_dim)
        writer.add_value_length(head_dim)
    if kind == "phi3":
        writer.add_sliding_window(config.sliding_window or 0)
    if kind.startswith("gemma"):
        if kind == "gemma2" or config.final_logit_softcapping:  # 0: none
            writer.add_final_logit_softcapping(config.final_logit_softcapping or 0.0)
        if kind == "gemma2":
            writer.add_attn_logit_softcapping(config.attn_logit_softcapping or 0.0)
        if "sliding_attention" in config.layer_types:
            writer.add_sliding_window(config.sliding_window)


def tensor_of(name: str, config) -> tuple[str, str, int]:
    """The GGUF name, and what is done with the data: copy, permute (of so many heads), plus_one."""
    if name.startswith("transformer."):
        return gguf_name(name), "copy", 0
    kind = config.model_type
    names = GEMMA_NAMES if kind.startswith("gemma") else GLM4_NAMES if kind == "glm4" else LLAMA_NAMES
    operation = "plus_one" if kind.startswith("gemma") and name.endswith("norm.weight") else "copy"
    if name.endswith("lm_head.weight"):
        return "output.weight", "copy", 0
    rest = name.split("model.")[-1]
    top = {"embed_tokens.weight": "token_embd.weight", "norm.weight": "output_norm.weight"}
    if rest in top:
        return top[rest], operation, 0
    _, layer, rest = rest.split(".", 2)
    heads = 0
    if kind in ("llama", "mistral") and rest.startswith(("self_attn.q_proj", "self_attn.k_proj")):
        operation = "permute"
        heads = config.num_attention_heads if ".q_proj" in rest else config.num_key_value_heads
    old = next(old for old in names if rest.startswith(old))
    return f"blk.{layer}.{rest.replace(old, names[old])}", operation, heads


def write_gguf(folder: Path, config, weights: dict[str, np.ndarray], extra_keys: dict, whole: bool) -> None:
    path = folder / "model.gguf"
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    writer = gguf.GGUFWriter(path, ARCHITECTURES[config.model_type])
    add_keys(writer, config, head_dim)
    extra_tensors = add_rope(writer, config, head_dim)
    for key, value in extra_keys.items():
        key = f"{ARCHITECTURES[config.model_type]}.{key}"
        if isinstance(value, list):
            writer.add_array(key, value)
        elif isinstance(value, float):
            writer.add_float32(key, value)
        else:
            writer.add_uint32(key, value)
    recipe = []
    for name, values in extra_tensors.items():
        writer.add_tensor(name, np.array(values, dtype=np.float32))
        recipe.append({"values": values})
    for name, array in weights.items():
        if "vision_tower" in name or "multi_modal_projector" in name:
            continue
        target, operation, heads = tensor_of(name, config)
        if operation == "permute":
            array = permute(array, heads)
        if operation == "plus_one":
            array = array + np.float32(1)
        writer.add_tensor(target, np.ascontiguousarray(array))
        recipe.append({"from": name, "do": operation, "heads": heads})
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    if not whole:
        data_begins = min(int(t.data_offset) for t in gguf.GGUFReader(path).tensors)
        (folder / "gguf.head").write_bytes(path.read_bytes()[:data_begins])
        (folder / "gguf.json").write_text(json.dumps(recipe, separators=(",", ":")) + "\n")
        path.unlink()
