#include "model/settings.h"

#include <algorithm>
#include <cmath>

#include "base/strings.h"

namespace sluice::model {
namespace {

// Settings that some family somewhere gives a meaning to, with the values that mean nothing special. An architecture
// that knows one of them lists it itself. null and absent are always allowed.
constexpr Setting kNeutral[] = {
    {"attention_bias", "[false]"},
    {"attention_chunk_size", "[]"},
    {"attention_k_eq_v", "[false]"},
    {"attention_multiplier", "[]"},
    {"attn_logit_softcapping", "[]"},
    {"add_cross_attention", "[false]"},
    {"alibi", "[false]"},
    {"clip_qkv", "[]"},
    {"embedding_multiplier", "[1]"},
    {"enable_moe_block", "[false]"},
    {"final_logit_softcapping", "[]"},
    {"hidden_size_per_layer_input", "[0]"},
    {"layer_types", "[]"},
    {"logit_scale", "[1]"},
    {"logits_scaling", "[1]"},
    {"mlp_bias", "[false]"},
    {"moe_num_experts", "[0]"},
    {"n_routed_experts", "[0]"},
    {"no_rope_layers", "[[]]"},
    {"num_experts", "[0]"},
    {"num_kv_shared_layers", "[0]"},
    {"num_local_experts", "[0]"},
    {"parallel_attn", "[false]"},
    {"partial_rotary_factor", "[1]"},
    {"per_layer_config", "[[], {}]"},
    {"position_embedding_type", R"(["rope", "rotary"])"},
    {"qk_layernorm", "[false]"},
    {"qk_norm", "[false]"},
    {"query_pre_attn_scalar", "[]"},
    {"residual_multiplier", "[1]"},
    {"rope_local_base_freq", "[]"},
    {"scale_depth", "[]"},
    {"scale_emb", "[1]"},
    {"sliding_window", "[]"},
    {"use_alibi", "[false]"},
    {"use_bidirectional_attention", "[false]"},
    {"use_mrope", "[false]"},
    {"use_parallel_residual", "[false]"},
    {"use_qk_norm", "[false]"},
    {"use_sliding_window", "[false]"},
};

Result<void> check_setting(const Architecture& architecture, const Json& settings, const Setting& setting) {
  const Json* value = json_find(settings, setting.key);
  if (value == nullptr || value->is_null() || setting.allowed.empty()) return {};
  SLUICE_TRY(const Json allowed, parse_json(setting.allowed));
  if (std::ranges::any_of(allowed, [&](const Json& one) { return one == *value; })) return {};
  std::vector<std::string> names;
  for (const Json& one : allowed) names.push_back(dump_json(one));
  std::string shown = dump_json(*value);
  if (shown.size() > 80) shown = shown.substr(0, 80) + "…";
  return Error{ErrorCode::kUnimplemented,
               cat("config.json: '", setting.key, "' is ", shown,
                   ", which changes what the model computes and is not "
                   "supported for ",
                   architecture.name,
                   names.empty() ? std::string("; it must be absent") : cat("; supported: ", join(names, ", "))),
               std::string(setting.key),
               {}};
}

// transformers' ACT2FN. The spellings of the tanh form differ there in rounding only.
constexpr std::pair<std::string_view, kernels::Activation> kActivationNames[] = {
    {"silu", kernels::Activation::kSilu},
    {"swish", kernels::Activation::kSilu},
    {"gelu", kernels::Activation::kGelu},
    {"gelu_python", kernels::Activation::kGelu},
    {"gelu_new", kernels::Activation::kGeluTanh},
    {"gelu_fast", kernels::Activation::kGeluTanh},
    {"gelu_accurate", kernels::Activation::kGeluTanh},
    {"gelu_pytorch_tanh", kernels::Activation::kGeluTanh},
    {"gelu_python_tanh", kernels::Activation::kGeluTanh},
    {"quick_gelu", kernels::Activation::kQuickGelu},
    {"relu", kernels::Activation::kRelu},
    {"relu2", kernels::Activation::kRelu2},
};

struct IntegerField {
  std::string_view key;
  int64_t max;
};

// A required positive integer of a config.
Result<int> dimension(const Json& config, IntegerField field) {
  SLUICE_TRY(const int64_t value, json_int(config, field.key, -1));
  if (value < 1 || value > field.max) {
    return invalid_argument(cat("config.json: '", field.key, "' must be between 1 and ", field.max, ", but is ",
                                value == -1 ? std::string("missing") : cat(value)),
                            std::string(field.key));
  }
  return static_cast<int>(value);
}

}  // namespace

Result<kernels::Activation> activation_from(const Json& settings, std::string_view key) {
  SLUICE_TRY(const std::string name, json_string(settings, key, ""));
  std::vector<std::string> known;
  for (const auto& [spelling, activation] : kActivationNames) {
    if (name == spelling) return activation;
    known.emplace_back(spelling);
  }
  return Error{ErrorCode::kUnimplemented,
               cat("config.json: ", key, " '", name, "' is not supported; known are ", join(known, ", ")),
               std::string(key),
               {}};
}

const Json& text_config(const Json& config) {
  const Json* nested = json_find(config, "text_config");
  return nested != nullptr && nested->is_object() ? *nested : config;
}

Result<Json> translated_config(const Architecture& architecture, const Json& config) {
  return architecture.translate == nullptr ? config : architecture.translate(config);
}

Result<Json> text_model_config(const Architecture& architecture, const Json& config) {
  const Json& text = text_config(config);
  if (&text == &config) return config;
  SLUICE_TRY(const Json settings, complete_settings(architecture, config));
  SLUICE_TRY(const bool tied, json_bool(settings, "tie_word_embeddings", false));
  Json out = text;
  out["architectures"] = Json::array({std::string(architecture.class_names.front())});
  out["model_type"] = std::string(architecture.model_types.front());
  out["tie_word_embeddings"] = tied;
  out.erase("final_logit_softcapping");  // has no effect in multimodal models, but would have one in text models
  for (const char* key : {"eos_token_id", "bos_token_id", "pad_token_id", "dtype", "torch_dtype"}) {
    if (const Json* value = json_find(config, key); value != nullptr && !out.contains(key)) out[key] = *value;
  }
  return out;
}

Result<Json> complete_settings(const Architecture& architecture, const Json& given) {
  SLUICE_TRY(const Json config, translated_config(architecture, given));
  SLUICE_TRY(Json settings, parse_json(architecture.defaults));
  const Json& text = text_config(config);
  for (const auto& [key, value] : text.items()) settings[key] = value;
  if (&text != &config) {
    // Whether the head is tied is said outside text_config, or by the family; what text_config says has no effect.
    constexpr const char* kTied = "tie_word_embeddings";
    SLUICE_TRY(const Json defaults, parse_json(architecture.defaults));
    settings.erase(kTied);
    for (const Json* place : {&defaults, &config}) {
      if (const Json* tied = json_find(*place, kTied); tied != nullptr && !tied->is_null()) settings[kTied] = *tied;
    }
    settings[kMultimodal] = true;
  }
  return settings;
}

Result<void> check_settings(const Architecture& architecture, const Json& settings) {
  for (const Setting& setting : architecture.settings) {
    SLUICE_RETURN_IF_ERROR(check_setting(architecture, settings, setting));
  }
  for (const Setting& setting : kNeutral) {
    if (std::ranges::count(architecture.settings, setting.key, &Setting::key) > 0) continue;
    SLUICE_RETURN_IF_ERROR(check_setting(architecture, settings, setting));
  }
  return {};
}

Result<DecoderSpec> common_spec(const Architecture& architecture, const Json& settings) {
  DecoderSpec spec;
  SLUICE_TRY(spec.vocab_size, dimension(settings, {"vocab_size", 1 << 24}));
  SLUICE_TRY(spec.hidden_size, dimension(settings, {"hidden_size", 1 << 20}));
  SLUICE_TRY(spec.intermediate_size, dimension(settings, {"intermediate_size", 1 << 22}));
  SLUICE_TRY(spec.layers, dimension(settings, {"num_hidden_layers", 4096}));
  SLUICE_TRY(spec.heads, dimension(settings, {"num_attention_heads", 4096}));
  SLUICE_TRY(spec.context_max, dimension(settings, {"max_position_embeddings", 1 << 28}));
  SLUICE_TRY(const int64_t kv_heads, json_int(settings, "num_key_value_heads", spec.heads));
  SLUICE_TRY(const int64_t head_dim, json_int(settings, "head_dim", spec.hidden_size / spec.heads));
  if (kv_heads < 1 || spec.heads % kv_heads != 0) {
    return invalid_argument(cat("config.json: num_attention_heads (", spec.heads,
                                ") must be a multiple of num_key_value_heads (", kv_heads, ")"),
                            "num_key_value_heads");
  }
  if (head_dim < 2 || head_dim > 4096 || head_dim % 2 != 0) {
    return invalid_argument(cat("config.json: head_dim must be even and between 2 and 4096, not ", head_dim),
                            "head_dim");
  }
  spec.kv_heads = static_cast<int>(kv_heads);
  spec.head_dim = static_cast<int>(head_dim);
  spec.attention_scale = 1.0f / std::sqrt(static_cast<float>(head_dim));
  SLUICE_TRY(const double epsilon, json_number(settings, "rms_norm_eps", 1e-6));
  if (!(epsilon > 0 && epsilon < 1))
    return invalid_argument(cat("config.json: rms_norm_eps must be between 0 and 1, not ", epsilon), "rms_norm_eps");
  spec.norm_epsilon = static_cast<float>(epsilon);
  SLUICE_TRY(spec.tied_embeddings, json_bool(settings, "tie_word_embeddings", false));
  SLUICE_TRY(spec.activation, activation_from(settings, architecture.activation_key));
  set_one_window(spec, 0);
  return spec;
}

Result<float> positive_or_none(const Json& settings, std::string_view key) {
  const Json* value = json_find(settings, key);
  if (value == nullptr || value->is_null()) return 0.0f;
  SLUICE_TRY(const double number, json_number(settings, key, 0));
  if (!(number > 0)) {
    return invalid_argument(cat("config.json: '", key, "' must be above 0 or null, not ", number), std::string(key));
  }
  return static_cast<float>(number);
}

Result<int> window_from(const Json& settings) {
  const Json* value = json_find(settings, "sliding_window");
  if (value == nullptr || value->is_null()) return 0;
  return dimension(settings, {"sliding_window", 1 << 28});
}

Result<std::optional<std::vector<LayerType>>> layer_types_from(const Json& settings, int layers) {
  const Json* list = json_find(settings, "layer_types");
  if (list == nullptr || list->is_null()) return std::optional<std::vector<LayerType>>();
  if (!list->is_array() || list->size() != static_cast<size_t>(layers)) {
    return invalid_argument(cat("config.json: layer_types must be a list of ", layers, " types, one for every layer"),
                            "layer_types");
  }
  std::vector<LayerType> types;
  for (const Json& type : *list) {
    if (type == "full_attention") {
      types.push_back(LayerType::kFull);
    } else if (type == "sliding_attention") {
      types.push_back(LayerType::kSliding);
    } else {
      return Error{ErrorCode::kUnimplemented,
                   cat("config.json: layer_types has ", dump_json(type),
                       ", which is not supported; known are full_attention, sliding_attention"),
                   "layer_types",
                   {}};
    }
  }
  return std::optional(std::move(types));
}

Result<void> set_layer_kinds(DecoderSpec& spec, const std::vector<LayerType>& types, int window) {
  const bool slides = std::ranges::count(types, LayerType::kSliding) > 0;
  if (slides && window == 0) {
    return invalid_argument("config.json: layer_types has sliding_attention, but there is no sliding_window in use",
                            "sliding_window");
  }
  spec.layer_kinds.clear();
  for (const LayerType type : types) spec.layer_kinds.push_back({.window = type == LayerType::kSliding ? window : 0});
  return {};
}

void set_one_window(DecoderSpec& spec, int window) {
  spec.layer_kinds.assign(static_cast<size_t>(spec.layers), {.window = window});
}

}  // namespace sluice::model
