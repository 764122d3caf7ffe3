#include "model/gguf_config.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/strings.h"
#include "model/decoder_spec.h"

namespace sluice::model {
namespace {

using checkpoint::GgufMetadata;

// Metadata of one architecture: "<prefix><key>".
class Section {
 public:
  Section(const GgufMetadata& metadata, std::string_view architecture)
      : metadata_(metadata), prefix_(cat(architecture, ".")) {}

  bool has(std::string_view key) const { return metadata_.contains(prefix_ + std::string(key)); }
  Result<int64_t> integer(std::string_view key) const { return metadata_.integer(prefix_ + std::string(key)); }
  Result<int64_t> integer(std::string_view key, int64_t fallback) const {
    return metadata_.integer(prefix_ + std::string(key), fallback);
  }
  Result<double> number(std::string_view key) const { return metadata_.number(prefix_ + std::string(key)); }
  Result<double> number(std::string_view key, double fallback) const {
    return metadata_.number(prefix_ + std::string(key), fallback);
  }
  Result<std::string_view> string(std::string_view key, std::string_view fallback) const {
    return metadata_.string(prefix_ + std::string(key), fallback);
  }
  const checkpoint::GgufValue* find(std::string_view key) const { return metadata_.find(prefix_ + std::string(key)); }
  Result<std::vector<int64_t>> integers(std::string_view key) const {
    return metadata_.integers(prefix_ + std::string(key));
  }
  Error corrupt(std::string_view key, std::string_view problem) const {
    return corrupt_data(cat(metadata_.path(), ": ", prefix_, key, " ", problem));
  }
  // kUnimplemented unless the key is absent or has the value that means nothing special.
  Result<void> must_be(std::string_view key, double neutral) const {
    SLUICE_TRY(const double value, number(key, neutral));
    if (value == neutral) return {};
    return unimplemented(cat(metadata_.path(), ": ", prefix_, key, " is ", value,
                             ", which changes what the model computes and is not supported; it must be ", neutral,
                             " or absent"));
  }

 private:
  const GgufMetadata& metadata_;
  std::string prefix_;
};

// The numbers of a vector like rope_freqs.weight.
Result<Json> factors(const checkpoint::WeightEntry& entry) {
  if (entry.dtype != DType::kF32 || entry.shape.rank() != 1)
    return corrupt_data(cat(entry.name, " must be a vector of F32"));
  Json list = Json::array();
  for (int64_t i = 0; i < entry.shape.elements(); ++i) {
    float value = 0;
    std::memcpy(&value, entry.data + static_cast<size_t>(i) * sizeof value, sizeof value);
    if (!(value > 0) || !std::isfinite(value))
      return corrupt_data(cat(entry.name, ": element ", i, " is ", value, "; it must be positive"));
    list.push_back(value);
  }
  return list;
}

Result<void> read_yarn(const Section& section, Json& rope) {
  SLUICE_RETURN_IF_ERROR(section.must_be("rope.scaling.yarn_log_multiplier", 0));
  SLUICE_RETURN_IF_ERROR(section.must_be("rope.scaling.yarn_ext_factor", 1));
  SLUICE_RETURN_IF_ERROR(section.must_be("rope.scaling.attn_factor", 1));
  const std::pair<const char*, const char*> numbers[] = {{"rope.scaling.yarn_attn_factor", "attention_factor"},
                                                         {"rope.scaling.yarn_beta_fast", "beta_fast"},
                                                         {"rope.scaling.yarn_beta_slow", "beta_slow"}};
  for (const auto& [from, to] : numbers) {
    if (!section.has(from)) continue;
    SLUICE_TRY(rope[to], section.number(from));
  }
  return {};
}

Result<Json> rope_parameters(const Section& section, int64_t head_dim, const checkpoint::WeightMap& weights) {
  Json rope = Json::object();
  SLUICE_TRY(rope["rope_theta"], section.number("rope.freq_base", 10000.0));
  SLUICE_TRY(rope["dimension_count"], section.integer("rope.dimension_count", head_dim));
  SLUICE_TRY(const std::string_view type, section.string("rope.scaling.type", "none"));
  rope["rope_type"] = type == "none" ? "default" : std::string(type);
  SLUICE_RETURN_IF_ERROR(section.must_be("rope.scaling.alpha", 0));
  if (section.has("rope.scaling.factor")) {
    SLUICE_TRY(rope["factor"], section.number("rope.scaling.factor"));
  }
  SLUICE_TRY(const double old_linear, section.number("rope.scale_linear", 1));
  if (old_linear != 0 && old_linear != 1) {
    rope["rope_type"] = "linear";
    rope["factor"] = old_linear;
  }
  if (section.has("rope.scaling.original_context_length")) {
    SLUICE_TRY(rope["original_max_position_embeddings"], section.integer("rope.scaling.original_context_length"));
  }
  const checkpoint::WeightEntry* long_factors = weights.find("rope_factors_long.weight");
  const checkpoint::WeightEntry* short_factors = weights.find("rope_factors_short.weight");
  if (type == "yarn") {
    SLUICE_RETURN_IF_ERROR(read_yarn(section, rope));
  } else if (long_factors != nullptr && short_factors != nullptr) {
    rope["rope_type"] = "longrope";
    rope.erase("factor");
    SLUICE_TRY(rope["long_factor"], factors(*long_factors));
    SLUICE_TRY(rope["short_factor"], factors(*short_factors));
    SLUICE_TRY(rope["attention_factor"], section.number("rope.scaling.attn_factor", 1));
  } else {
    SLUICE_RETURN_IF_ERROR(section.must_be("rope.scaling.attn_factor", 1));
  }
  if (const checkpoint::WeightEntry* divisors = weights.find("rope_freqs.weight"); divisors != nullptr) {
    SLUICE_TRY(rope["frequency_factors"], factors(*divisors));
  }
  return rope;
}

// The layers that slide: a period of which the last layer sees all, or a flag for every layer. Absent: the family's
// own pattern.
Result<void> read_windows(const Section& section, const Architecture& architecture, int64_t layers, Json& config) {
  constexpr std::string_view kPattern = "attention.sliding_window_pattern";
  const auto reads = [&](std::string_view key) {
    return std::ranges::count(architecture.settings, key, &Setting::key) > 0;
  };
  SLUICE_TRY(const int64_t window, section.integer("attention.sliding_window", 0));
  config["sliding_window"] = window > 0 ? Json(window) : Json(nullptr);
  if (reads("use_sliding_window")) {
    config["use_sliding_window"] = window > 0;
    config["max_window_layers"] = 0;
  }
  const checkpoint::GgufValue* pattern = section.find(kPattern);
  if (window == 0) {
    if (reads("layer_types"))
      config["layer_types"] = Json::array_t(static_cast<size_t>(layers), Json("full_attention"));
    return {};
  }
  if (pattern == nullptr) return {};
  Json types = Json::array();
  if (pattern->type == checkpoint::GgufType::kArray) {
    if (pattern->element_type != checkpoint::GgufType::kBool || pattern->count != static_cast<uint64_t>(layers))
      return section.corrupt(kPattern, cat("must be a number, or ", layers, " booleans"));
    for (const std::byte slides : pattern->bytes)
      types.push_back(slides != std::byte{0} ? "sliding_attention" : "full_attention");
  } else {
    SLUICE_TRY(const int64_t period, section.integer(kPattern));
    for (int64_t layer = 0; layer < layers; ++layer)
      types.push_back(period == 0 || layer % period < period - 1 ? "sliding_attention" : "full_attention");
  }
  config["layer_types"] = std::move(types);
  return {};
}

// 1/√scalar is what scores are multiplied with. llama.cpp knows the one model of each Gemma where it is not
// 1/√head_dim by its number of layers.
Result<double> query_scalar(const Section& section, std::string_view name, const Json& config) {
  if (section.has("attention.scale")) {
    SLUICE_TRY(const double scale, section.number("attention.scale"));
    if (!(scale > 0)) return section.corrupt("attention.scale", "must be above 0");
    return 1 / (scale * scale);
  }
  const auto layers = config["num_hidden_layers"].get<int64_t>();
  if ((name == "gemma2" && layers == 46) || (name == "gemma3" && layers == 62)) {
    const int64_t head_dim = config["hidden_size"].get<int64_t>() / config["num_attention_heads"].get<int64_t>();
    return static_cast<double>(head_dim);
  }
  return config["head_dim"].get<double>();
}

// What only Gemma's files say.
Result<void> read_gemma(const Section& section, std::string_view name, Json& config) {
  SLUICE_TRY(config["query_pre_attn_scalar"], query_scalar(section, name, config));
  for (const char* key : {"attn_logit_softcapping", "final_logit_softcapping"}) {
    if (!section.has(key)) continue;
    SLUICE_TRY(const double cap, section.number(key));
    config[key] = cap > 0 ? Json(cap) : Json(nullptr);
  }
  if (name == "gemma2" && config["sliding_window"].is_null() && !section.has("attention.sliding_window")) {
    config.erase("sliding_window");  // the family's default
    config.erase("layer_types");
  }
  return {};
}

// What llama.cpp gives a meaning in these families, or in relatives under the same name, and we do not compute.
Result<void> refuse_others(const Section& section, int64_t head_dim) {
  SLUICE_RETURN_IF_ERROR(section.must_be("expert_count", 0));
  SLUICE_RETURN_IF_ERROR(section.must_be("attention.max_alibi_bias", 0));
  SLUICE_RETURN_IF_ERROR(section.must_be("attention.clamp_kqv", 0));
  SLUICE_RETURN_IF_ERROR(section.must_be("attention.temperature_scale", 0));
  SLUICE_RETURN_IF_ERROR(section.must_be("attention.value_length", static_cast<double>(head_dim)));
  SLUICE_RETURN_IF_ERROR(section.must_be("logit_scale", 1));
  SLUICE_RETURN_IF_ERROR(section.must_be("residual_scale", 1));
  return section.must_be("embedding_scale", 1);
}

Result<const Architecture*> gguf_architecture(const GgufMetadata& metadata, std::string_view name) {
  std::vector<std::string> known;
  for (const Architecture* candidate : architectures()) {
    if (candidate->gguf_name.empty()) continue;
    known.emplace_back(candidate->gguf_name);
    if (candidate->gguf_name == name) return candidate;
  }
  const std::string nearest = nearest_name(name, known);
  return unimplemented(cat(metadata.path(), ": GGUF architecture '", name, "' is not supported; known are ",
                           join(known, ", "), nearest.empty() ? "" : cat(" (the nearest is ", nearest, ")")));
}

}  // namespace

Result<Json> config_from_gguf(const GgufMetadata& metadata, const checkpoint::WeightMap& weights) {
  SLUICE_TRY(const std::string_view name, metadata.string("general.architecture"));
  SLUICE_TRY(const Architecture* architecture, gguf_architecture(metadata, name));
  const Section section(metadata, name);
  Json config = Json::object();
  config["architectures"] = Json::array({std::string(architecture->class_names.front())});
  config["model_type"] = std::string(architecture->model_types.front());
  SLUICE_TRY(config["hidden_size"], section.integer("embedding_length"));
  SLUICE_TRY(const int64_t layers, section.integer("block_count"));
  config["num_hidden_layers"] = layers;
  SLUICE_TRY(config["intermediate_size"], section.integer("feed_forward_length"));
  SLUICE_TRY(const int64_t heads, section.integer("attention.head_count"));
  config["num_attention_heads"] = heads;
  SLUICE_TRY(config["num_key_value_heads"], section.integer("attention.head_count_kv", heads));
  SLUICE_TRY(config["max_position_embeddings"], section.integer("context_length"));
  SLUICE_TRY(config["rms_norm_eps"], section.number("attention.layer_norm_rms_epsilon"));
  if (heads < 1) return section.corrupt("attention.head_count", "must be positive");
  if (layers < 1 || layers > 4096) return section.corrupt("block_count", "must be between 1 and 4096");
  SLUICE_TRY(const int64_t head_dim,
             section.integer("attention.key_length", config["hidden_size"].get<int64_t>() / heads));
  if (head_dim < 1) return section.corrupt("attention.key_length", "must be positive");
  config["head_dim"] = head_dim;
  config["tie_word_embeddings"] = !weights.contains("output.weight");
  const checkpoint::WeightEntry* embedding = weights.find("token_embd.weight");
  if (embedding == nullptr || embedding->shape.rank() != 2)
    return corrupt_data(cat(metadata.path(), ": no matrix 'token_embd.weight'"));
  config["vocab_size"] = embedding->shape[0];
  SLUICE_RETURN_IF_ERROR(refuse_others(section, head_dim));
  SLUICE_RETURN_IF_ERROR(read_windows(section, *architecture, layers, config));
  if (name.starts_with("gemma")) SLUICE_RETURN_IF_ERROR(read_gemma(section, name, config));
  SLUICE_TRY(Json rope, rope_parameters(section, head_dim, weights));
  // A partial rotation is counted in elements inside the block; a share beside it would be the family's default.
  config["partial_rotary_factor"] = nullptr;
  if (architecture->rope_by_layer_type) {
    Json local = {{"rope_type", "default"}, {"dimension_count", rope["dimension_count"]}};
    SLUICE_TRY(local["rope_theta"], section.number("rope.freq_base_swa", 10000.0));
    rope = {{"full_attention", std::move(rope)}, {"sliding_attention", std::move(local)}};
  }
  if (const Json* original = json_find(rope, "original_max_position_embeddings"); original != nullptr)
    config["original_max_position_embeddings"] = *original;
  config["rope_parameters"] = std::move(rope);
  return config;
}

}  // namespace sluice::model
