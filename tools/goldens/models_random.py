"""Random configs of every family, for comparisons wider than the committed goldens (models.py --random)."""

import random

from models_cases import ACROSS, config, longrope, multimodal

CLASSES = {"llama": "LlamaForCausalLM", "mistral": "MistralForCausalLM", "qwen2": "Qwen2ForCausalLM",
           "qwen3": "Qwen3ForCausalLM", "glm": "GlmForCausalLM", "glm4": "Glm4ForCausalLM",
           "gemma2": "Gemma2ForCausalLM", "gemma3_text": "Gemma3ForCausalLM", "phi3": "Phi3ForCausalLM"}


ACTIVATIONS = ["silu", "swish", "gelu", "gelu_python", "gelu_new", "gelu_fast", "gelu_accurate", "gelu_pytorch_tanh",
               "gelu_python_tanh", "quick_gelu", "relu", "relu2"]


def spell(rng: random.Random, made: dict, rope: dict) -> None:
    """The rope in the old or the new spelling."""
    if rng.random() < 0.5:
        made["rope_parameters"] = rope
        return
    made["rope_theta"] = rope.pop("rope_theta")
    if "partial_rotary_factor" in rope:
        made["partial_rotary_factor"] = rope.pop("partial_rotary_factor")
    if rope["rope_type"] != "default":
        if rng.random() < 0.5:
            rope["type"] = rope.pop("rope_type")
        made["rope_scaling"] = rope


def random_rope(rng: random.Random, kinds: list[str], pairs: int) -> tuple[dict, bool]:
    """A rope block, and whether llama.cpp's files can say it."""
    kind = rng.choice(kinds)
    rope = {"rope_type": kind, "rope_theta": rng.choice([1000.0, 10000.0, 500000.0])}
    if kind in ("linear", "dynamic"):
        rope["factor"] = rng.choice([1.5, 2.0, 4.0])
    if kind == "llama3":
        rope |= {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": rng.choice([2.0, 4.0]),
                 "original_max_position_embeddings": rng.choice([32, 128])}
    gguf = kind != "dynamic"
    if kind == "yarn":
        rope |= {"factor": rng.choice([2.0, 4.0, 10.0]), "original_max_position_embeddings": rng.choice([16, 64])}
        extra = rng.choice(["none", "beta", "attention", "mscale"])
        if extra == "beta":
            rope |= {"beta_fast": rng.choice([16.0, 64.0]), "beta_slow": rng.choice([0.5, 2.0])}
        if extra == "attention":
            rope["attention_factor"] = 1.3
        if extra == "mscale":
            rope |= {"mscale": 0.8, "mscale_all_dim": 1.1, "truncate": rng.choice([True, False])}
            gguf = False
    if kind == "longrope":
        rope |= longrope(pairs, original_max_position_embeddings=32)
        gguf = False  # outside Phi-3
    return rope, gguf


def random_case(rng: random.Random) -> dict:
    kind = rng.choice(list(CLASSES))
    heads = rng.choice([1, 2, 3, 4, 6])
    kv = rng.choice([k for k in (1, 2, 3, 4, 6) if heads % k == 0])
    hidden = heads * rng.choice([8, 12, 16])
    hidden = max(hidden, 16)
    head_dim = rng.choice([8, 12, 16, 20, 32])
    layers = rng.randint(1, 7 if kind == "gemma3_text" else 4)
    made = config(kind, CLASSES[kind], hidden, layers, (heads, kv), rng.randint(50, 120), head_dim=head_dim,
                  rms_norm_eps=rng.choice([1e-5, 1e-6]), tie_word_embeddings=rng.random() < 0.5)
    if kind == "phi3" or kind in ("llama", "mistral", "qwen2") and rng.random() < 0.4:
        del made["head_dim"]
        head_dim = hidden // heads
    if kind in ("llama", "glm", "glm4", "qwen3", "gemma2", "gemma3_text") and rng.random() < 0.5:
        made["attention_bias"] = rng.random() < 0.6
    if kind == "llama":
        made["mlp_bias"] = rng.random() < 0.3
    case = {"config": made}
    scaled = ["default", "linear", "dynamic", "llama3", "yarn", "longrope"]
    partial = 1.0
    if kind in ("glm", "glm4"):
        partial = rng.choice([0.25, 0.5, 0.75, 1.0])
    if kind == "phi3":
        partial = rng.choice([0.5, 1.0])
    pairs = (int(head_dim * partial) + 1) // 2
    rope, gguf = random_rope(rng, ["default", "longrope"] if kind == "phi3" else scaled, pairs)
    if partial != 1 or kind in ("glm", "glm4"):
        rope["partial_rotary_factor"] = partial
    if rope["rope_type"] in ("dynamic", "longrope"):
        case["prompts"] = ACROSS
        if rope["rope_type"] == "dynamic":
            made["max_position_embeddings"] = 32
    if kind == "glm" and rng.random() < 0.5:  # in THUDM's own files
        made["tie_word_embeddings"] = False
        made["head_dim"] = head_dim = hidden // heads
        for key in ("rope_parameters", "rope_scaling", "partial_rotary_factor"):
            made.pop(key, None)
        made["rope_theta"] = rng.choice([10000.0, 5000000.0])
        return {"config": made, "chatglm": True}
    keys = {}
    sliding = [rng.random() < 0.5 for _ in range(layers)]
    types = ["sliding_attention" if s else "full_attention" for s in sliding]
    if kind in ("mistral", "phi3"):
        made["sliding_window"] = rng.choice([None, 5, 16])
        if made["sliding_window"] and kind == "mistral":
            keys["attention.sliding_window"] = made["sliding_window"]
    if kind in ("qwen2", "qwen3"):
        made |= {"use_sliding_window": rng.random() < 0.6, "sliding_window": rng.choice([4, 11])}
        if made["use_sliding_window"]:
            if rng.random() < 0.5:
                made["layer_types"] = types
            else:
                made["max_window_layers"] = rng.randint(0, layers)
                sliding = [i >= made["max_window_layers"] for i in range(layers)]
            keys = {"attention.sliding_window": made["sliding_window"], "attention.sliding_window_pattern": sliding}
    if kind.startswith("gemma"):
        made |= {"sliding_window": rng.choice([4, 9]), "query_pre_attn_scalar": rng.choice([head_dim, 30]),
                 "final_logit_softcapping": rng.choice([None, 15.0])}
        if kind == "gemma2":
            made["attn_logit_softcapping"] = rng.choice([None, 8.0])
        if rng.random() < 0.5:
            made["layer_types"] = types
            keys["attention.sliding_window_pattern"] = sliding
        elif kind == "gemma3_text" and rng.random() < 0.5:
            made["sliding_window_pattern"] = rng.choice([2, 3])
            keys["attention.sliding_window_pattern"] = made["sliding_window_pattern"]
        keys["attention.scale"] = made["query_pre_attn_scalar"] ** -0.5
    if kind == "gemma3_text":
        if rng.random() < 0.5:
            local = {"rope_type": "default", "rope_theta": rng.choice([10000.0, 3000.0])}
            made["rope_parameters"] = {"full_attention": rope, "sliding_attention": local}
            if rope.get("truncate") is False:  # transformers looks for it beside the blocks
                del rope["truncate"]
        else:
            made |= {"rope_theta": rope.pop("rope_theta"), "rope_local_base_freq": 5000.0}
            if rope["rope_type"] != "default":
                made["rope_scaling"] = rope
    elif kind == "phi3" and rope["rope_type"] == "longrope":
        made["original_max_position_embeddings"] = rope["original_max_position_embeddings"]
        gguf = True
        spell(rng, made, rope)
    else:
        spell(rng, made, rope)
    if rng.random() < 0.3:
        made["hidden_activation" if kind.startswith("gemma") else "hidden_act"] = rng.choice(ACTIVATIONS)
        gguf = False
    if kind == "gemma3_text" and rng.random() < 0.3:
        case["config"] = multimodal(made)
    return case | {"gguf": gguf, "gguf_keys": keys}


# Keys that files of some age or tool leave out or set to null.
OPTIONAL = ["num_key_value_heads", "head_dim", "tie_word_embeddings", "rms_norm_eps", "rope_theta", "rope_scaling",
            "rope_parameters", "sliding_window", "attention_bias", "mlp_bias", "max_position_embeddings",
            "layer_types", "pad_token_id", "bos_token_id", "eos_token_id", "use_sliding_window", "max_window_layers",
            "query_pre_attn_scalar", "final_logit_softcapping", "attn_logit_softcapping", "partial_rotary_factor",
            "rope_local_base_freq", "sliding_window_pattern", "architectures", "original_max_position_embeddings"]


def odd(rng: random.Random, case: dict) -> dict:
    """The same model with keys of its config left out, null, or beside others that change nothing."""
    text = case["config"].get("text_config", case["config"])
    for key in rng.sample(OPTIONAL, rng.randint(1, 6)):
        if rng.random() < 0.6:
            text.pop(key, None)
        elif key in text or key in ("rope_scaling", "sliding_window", "layer_types", "head_dim"):
            text[key] = None
    more = {"torch_dtype": "bfloat16", "dtype": "float16", "transformers_version": "4.38.0", "use_cache": False,
            "initializer_range": 0.02, "attention_dropout": 0.0, "pretraining_tp": 1, "_name_or_path": "/a/b",
            "auto_map": {}, "eos_token_id": [2, 3], "rope_interleaved": None, "quantization_config": None}
    for key in rng.sample(list(more), rng.randint(0, 4)):
        text.setdefault(key, more[key])
    return case | {"gguf": False, "odd": True}


def random_cases(count: int, seed: int) -> dict[str, dict]:
    rng = random.Random(seed)
    cases = [random_case(rng) for _ in range(count)]
    cases = [odd(rng, case) if i % 2 and not case.get("chatglm") else case for i, case in enumerate(cases)]
    return {f"r{seed}_{i}_{c['config']['model_type']}": c for i, c in enumerate(cases)}
