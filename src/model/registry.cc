#include "model/registry.h"

#include <algorithm>

#include "base/json.h"
#include "base/strings.h"

namespace sluice::model {
namespace {

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

const std::vector<const Architecture*>& architectures() {
  static const std::vector<const Architecture*> kAll = {&llama_architecture(), &glm4_architecture()};
  return kAll;
}

Result<const Architecture*> find_architecture(const Json& config) {
  std::vector<std::string> asked;
  if (const Json* names = json_find(config, "architectures"); names != nullptr && names->is_array()) {
    for (const Json& name : *names) {
      if (name.is_string()) asked.push_back(name.get<std::string>());
    }
  }
  SLUICE_TRY(const std::string model_type, json_string(config, "model_type", ""));
  std::vector<std::string> known;
  for (const Architecture* architecture : architectures()) {
    for (const std::string& name : asked) {
      if (std::ranges::count(architecture->class_names, name) > 0) return architecture;
    }
    if (asked.empty() && std::ranges::count(architecture->model_types, model_type) > 0) return architecture;
    known.insert(known.end(), architecture->class_names.begin(), architecture->class_names.end());
  }
  if (asked.empty() && model_type.empty()) {
    return invalid_argument(
        "config.json names neither 'architectures' nor 'model_type': this is no language model's config");
  }
  const std::string name = asked.empty() ? model_type : asked.front();
  const std::string nearest = nearest_name(name, known);
  return unimplemented(cat("architecture '", name, "' is not supported; known are ", join(known, ", "),
                           nearest.empty() ? "" : cat(" (the nearest is ", nearest, ")")));
}

const Json& text_config(const Json& config) {
  const Json* nested = json_find(config, "text_config");
  return nested != nullptr && nested->is_object() ? *nested : config;
}

Result<DecoderSpec> common_spec(const Json& whole) {
  const Json& config = text_config(whole);
  DecoderSpec spec;
  SLUICE_TRY(spec.vocab_size, dimension(config, {"vocab_size", 1 << 24}));
  SLUICE_TRY(spec.hidden_size, dimension(config, {"hidden_size", 1 << 20}));
  SLUICE_TRY(spec.intermediate_size, dimension(config, {"intermediate_size", 1 << 22}));
  SLUICE_TRY(spec.layers, dimension(config, {"num_hidden_layers", 4096}));
  SLUICE_TRY(spec.heads, dimension(config, {"num_attention_heads", 4096}));
  SLUICE_TRY(spec.context_max, dimension(config, {"max_position_embeddings", 1 << 28}));
  SLUICE_TRY(const int64_t kv_heads, json_int(config, "num_key_value_heads", spec.heads));
  SLUICE_TRY(const int64_t head_dim, json_int(config, "head_dim", spec.hidden_size / spec.heads));
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
  SLUICE_TRY(const double epsilon, json_number(config, "rms_norm_eps", 1e-6));
  spec.norm_epsilon = static_cast<float>(epsilon);
  SLUICE_TRY(const bool tied_inside, json_bool(config, "tie_word_embeddings", false));
  SLUICE_TRY(spec.tied_embeddings, json_bool(whole, "tie_word_embeddings", tied_inside));
  SLUICE_TRY(const std::string activation, json_string(config, "hidden_act", "silu"));
  if (activation == "silu" || activation == "swish") {
    spec.activation = kernels::Activation::kSilu;
  } else if (activation == "gelu_pytorch_tanh" || activation == "gelu_new") {
    spec.activation = kernels::Activation::kGeluTanh;
  } else {
    return unimplemented(
        cat("config.json: hidden_act '", activation, "' is not supported; known are silu, gelu_pytorch_tanh"));
  }
  return spec;
}

}  // namespace sluice::model
