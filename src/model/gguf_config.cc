#include "model/gguf_config.h"

#include <cstring>

#include "base/strings.h"
#include "model/decoder_spec.h"

namespace sluice::model {
namespace {

using checkpoint::GgufMetadata;

Result<Json> rope_parameters(const GgufMetadata& metadata, const std::string& prefix,
                             const checkpoint::WeightMap& weights) {
  Json rope = Json::object();
  SLUICE_TRY(rope["rope_theta"], metadata.number(prefix + "rope.freq_base", 10000.0));
  SLUICE_TRY(const std::string_view type, metadata.string(prefix + "rope.scaling.type", "none"));
  rope["rope_type"] = type == "none" ? "default" : std::string(type);
  if (metadata.contains(prefix + "rope.scaling.factor")) {
    SLUICE_TRY(rope["factor"], metadata.number(prefix + "rope.scaling.factor", 1.0));
  }
  if (const checkpoint::WeightEntry* factors = weights.find("rope_freqs.weight"); factors != nullptr) {
    if (factors->dtype != DType::kF32) return corrupt_data("rope_freqs.weight must be F32");
    const auto* bytes = factors->data;
    Json list = Json::array();
    for (int64_t i = 0; i < factors->shape.elements(); ++i) {
      float value = 0;
      std::memcpy(&value, bytes + static_cast<size_t>(i) * sizeof value, sizeof value);
      if (!(value > 0))
        return corrupt_data(cat("rope_freqs.weight: element ", i, " is ", value, "; it must be positive"));
      list.push_back(value);
    }
    rope["frequency_factors"] = std::move(list);
  }
  return rope;
}

}  // namespace

Result<Json> config_from_gguf(const GgufMetadata& metadata, const checkpoint::WeightMap& weights) {
  SLUICE_TRY(const std::string_view name, metadata.string("general.architecture"));
  const Architecture* architecture = nullptr;
  std::vector<std::string> known;
  for (const Architecture* candidate : architectures()) {
    known.emplace_back(candidate->name);
    if (candidate->name == name) architecture = candidate;
  }
  if (architecture == nullptr) {
    const std::string nearest = nearest_name(name, known);
    return unimplemented(cat(metadata.path(), ": GGUF architecture '", name, "' is not supported; known are ",
                             join(known, ", "), nearest.empty() ? "" : cat(" (the nearest is ", nearest, ")")));
  }
  const std::string prefix = cat(name, ".");
  Json config = Json::object();
  config["architectures"] = Json::array({std::string(architecture->class_names.front())});
  config["model_type"] = std::string(name);
  SLUICE_TRY(config["hidden_size"], metadata.integer(prefix + "embedding_length"));
  SLUICE_TRY(config["num_hidden_layers"], metadata.integer(prefix + "block_count"));
  SLUICE_TRY(config["intermediate_size"], metadata.integer(prefix + "feed_forward_length"));
  SLUICE_TRY(const int64_t heads, metadata.integer(prefix + "attention.head_count"));
  config["num_attention_heads"] = heads;
  SLUICE_TRY(config["num_key_value_heads"], metadata.integer(prefix + "attention.head_count_kv", heads));
  SLUICE_TRY(config["max_position_embeddings"], metadata.integer(prefix + "context_length"));
  SLUICE_TRY(config["rms_norm_eps"], metadata.number(prefix + "attention.layer_norm_rms_epsilon"));
  if (heads < 1) return corrupt_data(cat(metadata.path(), ": ", prefix, "attention.head_count must be positive"));
  SLUICE_TRY(const int64_t head_dim,
             metadata.integer(prefix + "attention.key_length", config["hidden_size"].get<int64_t>() / heads));
  if (head_dim < 1) return corrupt_data(cat(metadata.path(), ": ", prefix, "attention.key_length must be positive"));
  config["head_dim"] = head_dim;
  SLUICE_TRY(const int64_t rotary_dim, metadata.integer(prefix + "rope.dimension_count", head_dim));
  config["partial_rotary_factor"] = static_cast<double>(rotary_dim) / static_cast<double>(head_dim);
  config["tie_word_embeddings"] = !weights.contains("output.weight");
  const checkpoint::WeightEntry* embedding = weights.find("token_embd.weight");
  if (embedding == nullptr || embedding->shape.rank() != 2)
    return corrupt_data(cat(metadata.path(), ": no matrix 'token_embd.weight'"));
  config["vocab_size"] = embedding->shape[0];
  SLUICE_TRY(config["rope_parameters"], rope_parameters(metadata, prefix, weights));
  return config;
}

}  // namespace sluice::model
