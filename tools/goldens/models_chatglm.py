"""The first files of GLM-4-9B, as THUDM published them: model_type chatglm, other names, Q K V fused.

The reverse of transformers' models/glm/convert_glm_weights_to_hf.py.
"""

import numpy as np

LAYER = "transformer.encoder.layers."
TOP = {"model.embed_tokens.weight": "transformer.embedding.word_embeddings.weight",
       "model.norm.weight": "transformer.encoder.final_layernorm.weight",
       "lm_head.weight": "transformer.output_layer.weight"}
IN_LAYER = {"input_layernorm.weight": "input_layernorm.weight",
            "post_attention_layernorm.weight": "post_attention_layernorm.weight",
            "self_attn.o_proj.weight": "self_attention.dense.weight",
            "mlp.gate_up_proj.weight": "mlp.dense_h_to_4h.weight", "mlp.down_proj.weight": "mlp.dense_4h_to_h.weight"}
GGUF_NAMES = {"self_attention.query_key_value": "attn_qkv", "self_attention.dense": "attn_output",
              "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm", "mlp.dense_h_to_4h": "ffn_up",
              "mlp.dense_4h_to_h": "ffn_down"}
GGUF_TOP = {"transformer.embedding.word_embeddings.weight": "token_embd.weight",
            "transformer.encoder.final_layernorm.weight": "output_norm.weight",
            "transformer.output_layer.weight": "output.weight"}


def chatglm_config(config: dict) -> dict:
    """A GlmConfig in the words of ChatGLMConfig."""
    heads = config["num_attention_heads"]
    return {"architectures": ["ChatGLMModel"], "model_type": "chatglm",
            "auto_map": {"AutoConfig": "configuration_chatglm.ChatGLMConfig"}, "add_bias_linear": False,
            "add_qkv_bias": config.get("attention_bias", True), "apply_query_key_layer_scaling": True,
            "apply_residual_connection_post_layernorm": False, "attention_dropout": 0.0,
            "attention_softmax_in_fp32": True, "bias_dropout_fusion": True,
            "ffn_hidden_size": config["intermediate_size"], "fp32_residual_connection": False, "hidden_dropout": 0.0,
            "hidden_size": config["hidden_size"],
            "kv_channels": config.get("head_dim") or config["hidden_size"] // heads,
            "layernorm_epsilon": config["rms_norm_eps"],
            "multi_query_attention": config["num_key_value_heads"] != heads,
            "multi_query_group_num": config["num_key_value_heads"], "num_attention_heads": heads,
            "num_hidden_layers": config["num_hidden_layers"], "num_layers": config["num_hidden_layers"],
            "original_rope": True, "padded_vocab_size": config["vocab_size"], "post_layer_norm": True, "rmsnorm": True,
            "rope_ratio": config["rope_theta"] / 10000, "seq_length": config["max_position_embeddings"],
            "use_cache": True, "torch_dtype": "bfloat16", "tie_word_embeddings": False,
            "eos_token_id": config["eos_token_id"], "pad_token_id": config["pad_token_id"]}


def file_tensors(tensors: list) -> list:
    """[[name, shape, …] …] of the same model's file as THUDM has it."""
    out, fused = [], {}
    for name, shape, *rest in tensors:
        if name in TOP:
            out.append([TOP[name], shape, *rest])
            continue
        layer, part = name.removeprefix("model.layers.").split(".", 1)
        if part in IN_LAYER:
            out.append([f"{LAYER}{layer}.{IN_LAYER[part]}", shape, *rest])
        else:  # self_attn.{q,k,v}_proj.{weight,bias}
            target = f"{LAYER}{layer}.self_attention.query_key_value.{part.rsplit('.', 1)[1]}"
            whole = fused.setdefault(target, [target, [0, *shape[1:]], *rest])
            whole[1][0] += shape[0]
    return out + list(fused.values())


def glm_weights(weights: dict[str, np.ndarray], config) -> dict[str, np.ndarray]:
    """The file's weights as GlmForCausalLM names them."""
    heads = [config.num_attention_heads, config.num_key_value_heads, config.num_key_value_heads]
    borders = np.cumsum([n * config.head_dim for n in heads])[:-1]
    top, in_layer = ({v: k for k, v in names.items()} for names in (TOP, IN_LAYER))
    out = {}
    for name, array in weights.items():
        if name in top:
            out[top[name]] = array
            continue
        layer, part = name.removeprefix(LAYER).split(".", 1)
        if part in in_layer:
            out[f"model.layers.{layer}.{in_layer[part]}"] = array
            continue
        for letter, rows in zip("qkv", np.split(array, borders)):
            out[f"model.layers.{layer}.self_attn.{letter}_proj.{part.rsplit('.', 1)[1]}"] = rows.copy()
    return out


def gguf_name(name: str) -> str:
    """What llama.cpp's converter calls a tensor of the file."""
    if name in GGUF_TOP:
        return GGUF_TOP[name]
    layer, part = name.removeprefix(LAYER).split(".", 1)
    module, kind = part.rsplit(".", 1)
    return f"blk.{layer}.{GGUF_NAMES[module]}.{kind}"
