"""The models of tests/golden/models: odd on purpose (head_dim != hidden/heads, one KV head, windows shorter than the
prompt, every rope type, both spellings of a config), and small."""


def config(model_type: str, class_name: str, hidden: int, layers: int, heads: tuple[int, int], vocab: int,
           **more) -> dict:
    return {"architectures": [class_name], "model_type": model_type, "hidden_size": hidden,
            "intermediate_size": 2 * hidden - 8, "num_hidden_layers": layers, "num_attention_heads": heads[0],
            "num_key_value_heads": heads[1], "vocab_size": vocab, "max_position_embeddings": 256,
            "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2} | more


def llama(hidden, layers, heads, vocab, **more):
    return config("llama", "LlamaForCausalLM", hidden, layers, heads, vocab, **more)


def mistral(hidden, layers, heads, vocab, **more):
    return config("mistral", "MistralForCausalLM", hidden, layers, heads, vocab, **more)


def qwen2(hidden, layers, heads, vocab, **more):
    return config("qwen2", "Qwen2ForCausalLM", hidden, layers, heads, vocab, **more)


def qwen3(hidden, layers, heads, vocab, **more):
    return config("qwen3", "Qwen3ForCausalLM", hidden, layers, heads, vocab, **more)


def glm(hidden, layers, heads, vocab, **more):
    return config("glm", "GlmForCausalLM", hidden, layers, heads, vocab, **more)


def glm4(hidden, layers, heads, vocab, **more):
    return config("glm4", "Glm4ForCausalLM", hidden, layers, heads, vocab, **more)


def gemma2(hidden, layers, heads, vocab, **more):
    return config("gemma2", "Gemma2ForCausalLM", hidden, layers, heads, vocab, **more)


def gemma3(hidden, layers, heads, vocab, **more):
    return config("gemma3_text", "Gemma3ForCausalLM", hidden, layers, heads, vocab, **more)


def phi3(hidden, layers, heads, vocab, **more):
    return config("phi3", "Phi3ForCausalLM", hidden, layers, heads, vocab, **more)


def without(made: dict, *keys: str) -> dict:
    return {k: v for k, v in made.items() if k not in keys}


def multimodal(text: dict, **more) -> dict:
    vision = {"model_type": "siglip_vision_model", "hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 1,
              "num_attention_heads": 2, "image_size": 28, "patch_size": 14}
    return {"architectures": ["Gemma3ForConditionalGeneration"], "model_type": "gemma3", "mm_tokens_per_image": 4,
            "boi_token_index": 3, "eoi_token_index": 4, "image_token_index": 5, "eos_token_id": [2, 6],
            "text_config": without(text, "architectures"), "vision_config": vision} | more


def longrope(pairs: int, **more) -> dict:
    return {"short_factor": [1.0 + 0.03 * i for i in range(pairs)],
            "long_factor": [1.5 + 0.6 * i for i in range(pairs)]} | more


LLAMA3_ROPE = {"rope_type": "llama3", "rope_theta": 5000.0, "factor": 4.0, "low_freq_factor": 1.0,
               "high_freq_factor": 4.0, "original_max_position_embeddings": 64}
# Crossing an original length of 32 while generating, above it, and always below.
ACROSS = [20, 32, 45]

CASES = {
    # Llama 2: multi-head, untied.
    "llama2": {"config": llama(48, 2, (4, 4), 97, rms_norm_eps=1e-5)},
    # Llama 3.2: grouped queries, tied, llama3 rope, head_dim apart from hidden/heads.
    "llama3": {"config": llama(48, 3, (6, 2), 101, head_dim=16, rope_parameters=LLAMA3_ROPE,
                               tie_word_embeddings=True)},
    # Biases everywhere, one KV head, linear rope in the old spelling.
    "llama_bias": {"config": llama(40, 2, (4, 1), 83, head_dim=12, attention_bias=True, mlp_bias=True,
                                   rope_theta=20000.0, rope_scaling={"type": "linear", "factor": 2.0})},
    "llama_dynamic": {"config": llama(32, 2, (4, 2), 61, max_position_embeddings=32, rope_theta=5000.0,
                                      rope_scaling={"type": "dynamic", "factor": 4.0}),
                      "prompts": ACROSS, "gguf": False},
    "llama_yarn": {"config": llama(40, 2, (4, 2), 67, head_dim=20, rope_theta=10000.0,
                                   rope_scaling={"rope_type": "yarn", "factor": 8.0,
                                                 "original_max_position_embeddings": 32})},
    "llama_yarn_mscale": {"config": llama(32, 2, (2, 1), 59, head_dim=24,
                                          rope_parameters={"rope_type": "yarn", "rope_theta": 5000.0, "factor": 6.0,
                                                           "original_max_position_embeddings": 40, "mscale": 0.7,
                                                           "mscale_all_dim": 1.3, "beta_fast": 20, "beta_slow": 2,
                                                           "truncate": False}),
                          "gguf": False},
    # An activation that is not the family's own, which GGUF cannot say.
    "llama_gelu": {"config": llama(32, 2, (4, 2), 69, hidden_act="gelu"), "gguf": False},
    # longrope outside Phi-3: what was cached before the crossing stays.
    "llama_longrope": {"config": llama(32, 2, (2, 2), 64, head_dim=16,
                                       rope_parameters=longrope(8, rope_type="longrope", rope_theta=10000.0,
                                                                original_max_position_embeddings=32)),
                       "prompts": ACROSS, "gguf": False},
    # Mistral v0.1: a window.
    "mistral": {"config": mistral(48, 3, (6, 2), 89, sliding_window=9, rope_theta=10000.0, rms_norm_eps=1e-5),
                "gguf_keys": {"attention.sliding_window": 9}},
    # Nemo: head_dim of its own, no window.
    "mistral_nemo": {"config": mistral(40, 2, (4, 1), 71, head_dim=16, sliding_window=None,
                                       rope_parameters={"rope_type": "default", "rope_theta": 1e6})},
    "qwen2": {"config": qwen2(48, 3, (6, 2), 103, rope_theta=1e6, tie_word_embeddings=True,
                              use_sliding_window=False, sliding_window=7, max_window_layers=1)},
    "qwen2_windows": {"config": qwen2(40, 4, (4, 1), 73, head_dim=12, use_sliding_window=True, sliding_window=7,
                                      max_window_layers=1),
                      "gguf_keys": {"attention.sliding_window": 7,
                                    "attention.sliding_window_pattern": [False, True, True, True]}},
    "qwen2_layer_types": {"config": qwen2(32, 3, (4, 2), 60, use_sliding_window=True, sliding_window=5,
                                          layer_types=["sliding_attention", "full_attention", "sliding_attention"],
                                          rope_parameters={"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0,
                                                           "original_max_position_embeddings": 64,
                                                           "attention_factor": 1.25}),
                          "gguf_keys": {"attention.sliding_window": 5,
                                        "attention.sliding_window_pattern": [True, False, True]}},
    "qwen3": {"config": qwen3(48, 3, (4, 2), 95, head_dim=20, tie_word_embeddings=True, rope_theta=1e6)},
    "qwen3_bias": {"config": qwen3(32, 3, (3, 1), 57, head_dim=16, attention_bias=True, use_sliding_window=True,
                                   sliding_window=11, max_window_layers=2, rms_norm_eps=1e-5,
                                   rope_scaling={"rope_type": "yarn", "factor": 4.0,
                                                 "original_max_position_embeddings": 64}),
                   "gguf_keys": {"attention.sliding_window": 11,
                                 "attention.sliding_window_pattern": [False, False, True]}},
    # GLM-4-9B: interleaved half-rotary, biases on Q K V, fused gate_up.
    "glm": {"config": glm(48, 2, (6, 2), 107, head_dim=16, rms_norm_eps=1e-5)},
    "glm_odd": {"config": glm(32, 2, (2, 1), 66, head_dim=20, attention_bias=False, tie_word_embeddings=True,
                              partial_rotary_factor=0.7, rope_theta=5000.0,
                              rope_scaling={"rope_type": "linear", "factor": 3.0})},
    # GLM-4-0414: sandwich norms.
    "glm4": {"config": glm4(48, 3, (6, 2), 109, head_dim=16, rms_norm_eps=1e-5)},
    "glm4_tied": {"config": glm4(32, 2, (2, 1), 90, head_dim=24, rms_norm_eps=1e-6, attention_bias=False,
                                 tie_word_embeddings=True,
                                 rope_parameters={"rope_type": "default", "rope_theta": 500000.0,
                                                  "partial_rotary_factor": 0.25})},
    # GLM-4-9B in THUDM's own files: Q K V fused, in GGUF as well.
    "chatglm": {"config": glm(48, 2, (4, 2), 81, head_dim=12, rms_norm_eps=1.5625e-07, rope_theta=5000000.0,
                              tie_word_embeddings=False), "chatglm": True},
    # Gemma 2: softcaps, alternating windows.
    "gemma2": {"config": gemma2(48, 3, (4, 2), 99, head_dim=16, sliding_window=8, query_pre_attn_scalar=16,
                                attn_logit_softcapping=5.0, final_logit_softcapping=12.0,
                                hidden_act="gelu_pytorch_tanh", hidden_activation="gelu_pytorch_tanh",
                                rope_theta=10000.0)},
    "gemma2_odd": {"config": gemma2(32, 4, (4, 1), 62, head_dim=12, sliding_window=6, query_pre_attn_scalar=20,
                                    attn_logit_softcapping=None, final_logit_softcapping=9.0, attention_bias=True,
                                    tie_word_embeddings=False,
                                    layer_types=["full_attention", "sliding_attention", "sliding_attention",
                                                 "full_attention"],
                                    rope_parameters={"rope_type": "linear", "rope_theta": 5000.0, "factor": 2.5}),
                   "gguf_keys": {"attention.scale": 20 ** -0.5,
                                 "attention.sliding_window_pattern": [False, True, True, False]}},
    # Gemma 3 as its first files spell it: two bases beside each other, a pattern of layers.
    "gemma3": {"config": gemma3(48, 7, (4, 2), 94, head_dim=16, sliding_window=8, query_pre_attn_scalar=16,
                                rope_theta=100000.0, rope_local_base_freq=10000.0, sliding_window_pattern=6,
                                rope_scaling={"factor": 8.0, "rope_type": "linear"})},
    # The same in the new spelling.
    "gemma3_layers": {"config": gemma3(32, 3, (2, 1), 63, head_dim=20, sliding_window=5, query_pre_attn_scalar=20,
                                       final_logit_softcapping=6.0, tie_word_embeddings=False,
                                       layer_types=["full_attention", "sliding_attention", "full_attention"],
                                       rope_parameters={
                                           "full_attention": {"rope_type": "yarn", "rope_theta": 50000.0,
                                                              "factor": 4.0,
                                                              "original_max_position_embeddings": 64},
                                           "sliding_attention": {"rope_type": "default", "rope_theta": 3000.0}}),
                      "gguf_keys": {"attention.sliding_window_pattern": [False, True, False]}},
    # Inside a multimodal model, with both ways to name the tensors.
    "gemma3_multimodal": {"config": multimodal(gemma3(32, 6, (2, 1), 70, head_dim=16, sliding_window=7,
                                                      query_pre_attn_scalar=16, rope_theta=50000.0))},
    "gemma3_multimodal_new": {"config": multimodal(gemma3(32, 2, (2, 2), 58, head_dim=16, sliding_window=7,
                                                          query_pre_attn_scalar=16, sliding_window_pattern=2)),
                              "rename": lambda name: name.replace("language_model.model.", "model.language_model.")
                              .replace("language_model.lm_head", "lm_head").replace("vision_tower.", "model.vision_tower.")
                              .replace("multi_modal_projector.", "model.multi_modal_projector."),
                              "gguf": False},
    # Phi-3-mini-4k: a window, fused projections.
    "phi3": {"config": phi3(48, 2, (4, 4), 88, sliding_window=11, rope_scaling=None, rope_theta=10000.0)},
    # Phi-3-mini-128k: longrope in the old spelling.
    "phi3_longrope": {"config": phi3(32, 2, (2, 2), 65, original_max_position_embeddings=32,
                                     rope_scaling=longrope(8, type="longrope")),
                      "prompts": ACROSS},
    # Phi-4-mini: grouped queries, three quarters of each head rotate, tied.
    "phi4_mini": {"config": phi3(48, 3, (3, 1), 76, tie_word_embeddings=True, partial_rotary_factor=0.75,
                                 original_max_position_embeddings=32, sliding_window=64,
                                 rope_parameters=longrope(6, rope_type="longrope", rope_theta=10000.0,
                                                          partial_rotary_factor=0.75)),
                  "prompts": ACROSS},
}
