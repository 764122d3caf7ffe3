#include "model/config_export.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/strings.h"
#include "model/gguf_config.h"
#include "model/settings.h"

namespace sluice::model {
namespace {

// The rope settings of the layers that see everything, in any of config.json's spellings.
const Json& rope_block(const Json& config) {
  static const Json kNone = Json::object();
  for (const std::string_view key : {"rope_parameters", "rope_scaling"}) {
    const Json* block = json_find(config, key);
    if (block == nullptr || !block->is_object()) continue;
    const Json* full = json_find(*block, "full_attention");
    return full != nullptr && full->is_object() ? *full : *block;
  }
  return kNone;
}

std::string rope_type(const Json& rope) {
  for (const char* key : {"rope_type", "type"}) {
    const Json* value = json_find(rope, key);
    if (value != nullptr && value->is_string()) return value->get<std::string>();
  }
  return "default";
}

Result<double> needed(const Json& rope, std::string_view key) {
  SLUICE_TRY(const double value, json_number(rope, key, -1));
  if (value > 0) return value;
  return invalid_argument(cat("config.json: rope scaling needs a positive '", key, "'"), std::string(key));
}

struct Llama3Rope {
  double factor, low, high, original;
};

// llama.cpp's converter writes llama3 scaling as divisors of the frequencies.
std::vector<float> llama3_divisors(const Llama3Rope& rope, double theta, int rotary_dim) {
  std::vector<float> divisors;
  for (int i = 0; i < rotary_dim; i += 2) {
    const double wavelength = 2 * std::numbers::pi * std::pow(theta, static_cast<double>(i) / rotary_dim);
    if (wavelength < rope.original / rope.high) {
      divisors.push_back(1);
    } else if (wavelength > rope.original / rope.low) {
      divisors.push_back(static_cast<float>(rope.factor));
    } else {
      const double smooth = (rope.original / wavelength - rope.low) / (rope.high - rope.low);
      divisors.push_back(static_cast<float>(1 / ((1 - smooth) / rope.factor + smooth)));
    }
  }
  return divisors;
}

Result<std::vector<float>> numbers_of(const Json& rope, std::string_view key) {
  const Json* list = json_find(rope, key);
  std::vector<float> values;
  if (list != nullptr && list->is_array()) {
    for (const Json& value : *list) {
      if (value.is_number()) values.push_back(value.get<float>());
    }
  }
  if (list == nullptr || values.empty() || values.size() != list->size())
    return invalid_argument(cat("config.json: rope scaling needs '", key, "', a list of numbers"), std::string(key));
  return values;
}

// Keys "<architecture>.…".
class ConfigWriter {
 public:
  ConfigWriter(const Json& config, const ModelDescription& description, checkpoint::GgufHead& head)
      : config_(config),
        spec_(description.spec),
        head_(head),
        architecture_(*description.architecture),
        prefix_(cat(gguf_architecture_of(*description.architecture)->gguf_name, ".")) {}

  Result<std::vector<GgufSideTensor>> write() {
    head_.add("general.architecture", std::string_view(prefix_).substr(0, prefix_.size() - 1));
    number("context_length", spec_.context_max);
    number("embedding_length", spec_.hidden_size);
    number("block_count", spec_.layers);
    number("feed_forward_length", spec_.intermediate_size);
    number("attention.head_count", spec_.heads);
    number("attention.head_count_kv", spec_.kv_heads);
    number("attention.key_length", spec_.head_dim);
    number("attention.value_length", spec_.head_dim);
    number("vocab_size", spec_.vocab_size);
    head_.add(prefix_ + "attention.layer_norm_rms_epsilon", spec_.norm_epsilon);
    write_windows();
    SLUICE_RETURN_IF_ERROR(write_caps());
    return write_rope();
  }

 private:
  void number(std::string_view key, int64_t value) { head_.add(cat(prefix_, key), static_cast<uint32_t>(value)); }
  void real(std::string_view key, double value) { head_.add(cat(prefix_, key), static_cast<float>(value)); }

  // A window of 0 says that there is none in families whose files would mean another otherwise.
  void write_windows() {
    int window = 0;
    std::vector<uint8_t> slides;
    for (const LayerKind& kind : spec_.layer_kinds) {
      window = std::max(window, kind.window);
      slides.push_back(kind.window > 0 ? 1 : 0);
    }
    if (window > 0 || prefix_ == "phi3." || prefix_ == "gemma2.") number("attention.sliding_window", window);
    if (window > 0 && std::ranges::count(slides, 0) > 0)
      head_.add_booleans(prefix_ + "attention.sliding_window_pattern", slides);
  }

  Result<void> write_caps() {
    if (reads("attn_logit_softcapping")) real("attn_logit_softcapping", spec_.attention_softcap);
    if (spec_.final_softcap > 0) real("final_logit_softcapping", spec_.final_softcap);
    if (!reads("query_pre_attn_scalar")) return {};
    SLUICE_TRY(const double scalar, json_number(config_, "query_pre_attn_scalar", spec_.head_dim));
    if (scalar > 0 && scalar != spec_.head_dim) real("attention.scale", 1 / std::sqrt(scalar));
    return {};
  }

  Result<std::vector<GgufSideTensor>> write_rope() {
    const Json& rope = rope_block(config_);
    SLUICE_TRY(const double theta_outside, json_number(config_, "rope_theta", 10000.0));
    SLUICE_TRY(const double theta, json_number(rope, "rope_theta", theta_outside));
    real("rope.freq_base", theta);
    const int rotary = rotary_dim();
    number("rope.dimension_count", int64_t{rotary});
    SLUICE_RETURN_IF_ERROR(write_local_base());
    const std::string type = rope_type(rope);
    std::vector<GgufSideTensor> tensors;
    if (const Json* divisors = json_find(rope, "frequency_factors"); divisors != nullptr) {
      SLUICE_TRY(std::vector<float> values, numbers_of(rope, "frequency_factors"));
      tensors.push_back({"rope_freqs.weight", std::move(values)});
    }
    if (type == "default") return tensors;
    if (type == "linear") {
      SLUICE_TRY(const double factor, needed(rope, "factor"));
      head_.add(prefix_ + "rope.scaling.type", std::string_view("linear"));
      real("rope.scaling.factor", factor);
      return tensors;
    }
    if (type == "llama3") {
      Llama3Rope scaling{};
      SLUICE_TRY(scaling.factor, needed(rope, "factor"));
      SLUICE_TRY(scaling.low, needed(rope, "low_freq_factor"));
      SLUICE_TRY(scaling.high, needed(rope, "high_freq_factor"));
      SLUICE_TRY(scaling.original, needed(rope, "original_max_position_embeddings"));
      tensors.push_back({"rope_freqs.weight", llama3_divisors(scaling, theta, rotary)});
      return tensors;
    }
    if (type == "yarn") {
      SLUICE_RETURN_IF_ERROR(write_yarn(rope));
      return tensors;
    }
    if (type == "longrope" || type == "su") return write_longrope(rope);
    return unimplemented(
        cat("GGUF cannot say rope type '", type, "'; it knows default, linear, llama3, yarn, longrope"));
  }

  // Gemma 3: layers with a window have a base of their own.
  Result<void> write_local_base() {
    const Json* block = json_find(config_, "rope_parameters");
    const Json* sliding = block == nullptr ? nullptr : json_find(*block, "sliding_attention");
    SLUICE_TRY(double base, json_number(config_, "rope_local_base_freq", 0));
    if (sliding != nullptr && sliding->is_object()) {
      SLUICE_TRY(base, json_number(*sliding, "rope_theta", base));
    }
    if (base > 0) real("rope.freq_base_swa", base);
    return {};
  }

  Result<void> write_yarn(const Json& rope) {
    for (const std::string_view key : {"mscale", "mscale_all_dim"}) {
      const Json* scale = json_find(rope, key);
      if (scale != nullptr && !scale->is_null())
        return unimplemented(cat("GGUF cannot say the yarn setting '", key, "' for this architecture"));
    }
    SLUICE_TRY(const double factor, needed(rope, "factor"));
    SLUICE_TRY(const double original, json_number(rope, "original_max_position_embeddings", spec_.context_max));
    head_.add(prefix_ + "rope.scaling.type", std::string_view("yarn"));
    real("rope.scaling.factor", factor);
    number("rope.scaling.original_context_length", static_cast<int64_t>(original));
    const std::pair<std::string_view, std::string_view> names[] = {
        {"attention_factor", "rope.scaling.yarn_attn_factor"},
        {"beta_fast", "rope.scaling.yarn_beta_fast"},
        {"beta_slow", "rope.scaling.yarn_beta_slow"}};
    for (const auto& [from, to] : names) {
      const Json* value = json_find(rope, from);
      if (value != nullptr && value->is_number()) real(to, value->get<double>());
    }
    return {};
  }

  Result<std::vector<GgufSideTensor>> write_longrope(const Json& rope) {
    SLUICE_TRY(const double outside, json_number(config_, "original_max_position_embeddings", 0));
    SLUICE_TRY(const double original, json_number(rope, "original_max_position_embeddings", outside));
    if (!(original > 1)) return needed(rope, "original_max_position_embeddings").error();
    number("rope.scaling.original_context_length", static_cast<int64_t>(original));
    const double scale = spec_.context_max / original;
    const double implied = scale > 1 ? std::sqrt(1 + std::log(scale) / std::log(original)) : 1;
    SLUICE_TRY(const double magnitude, json_number(rope, "attention_factor", implied));
    real("rope.scaling.attn_factor", magnitude);
    std::vector<GgufSideTensor> tensors(2);
    tensors[0].name = "rope_factors_long.weight";
    tensors[1].name = "rope_factors_short.weight";
    SLUICE_TRY(tensors[0].values, numbers_of(rope, "long_factor"));
    SLUICE_TRY(tensors[1].values, numbers_of(rope, "short_factor"));
    return tensors;
  }

  int rotary_dim() const { return spec_.ropes.front().rotary_dim; }
  bool reads(std::string_view key) const { return std::ranges::count(architecture_.settings, key, &Setting::key) > 0; }

  const Json& config_;
  const DecoderSpec& spec_;
  checkpoint::GgufHead& head_;
  const Architecture& architecture_;
  std::string prefix_;
};

// The settings of llama3 scaling behind a file's divisors, whose low_freq_factor is 1 in every released model: nothing
// unless they give the same divisors again.
std::optional<Llama3Rope> find_llama3(const std::vector<float>& divisors, double theta) {
  const auto rotary = static_cast<int>(divisors.size()) * 2;
  Llama3Rope found{.factor = divisors.empty() ? 1.0 : divisors.back(), .low = 1, .high = 4, .original = 8192};
  std::vector<std::pair<double, double>> smooth;  // frequency · 2π, how much of it is left unscaled
  for (size_t i = 0; i < divisors.size(); ++i) {
    const double divisor = divisors[i];
    if (divisor <= 1 || divisor >= found.factor) continue;
    const double wavelength = 2 * std::numbers::pi * std::pow(theta, 2.0 * static_cast<double>(i) / rotary);
    smooth.emplace_back(1 / wavelength, (1 / divisor - 1 / found.factor) / (1 - 1 / found.factor));
  }
  if (smooth.size() >= 2) {  // smooth = (original / wavelength − 1) / (high − 1)
    const auto& [x0, y0] = smooth.front();
    const auto& [x1, y1] = smooth.back();
    const double slope = (y0 - y1) / (x0 - x1), intercept = y0 - slope * x0;
    if (intercept < 0) {
      found.high = std::round((1 - 1 / intercept) * 1000) / 1000;
      found.original = std::round(slope * (found.high - 1));
    }
  }
  const std::vector<float> again = llama3_divisors(found, theta, rotary);
  for (size_t i = 0; i < divisors.size(); ++i) {
    if (std::abs(again[i] - divisors[i]) > 1e-5f * divisors[i]) return std::nullopt;
  }
  return found;
}

// A GGUF file has no key for the activation: its architecture implies the family's own.
Result<void> check_gguf_activation(const Architecture& architecture, const Json& settings) {
  SLUICE_TRY(const Json defaults, parse_json(architecture.defaults));
  SLUICE_TRY(const kernels::Activation implied, activation_from(defaults, architecture.activation_key));
  SLUICE_TRY(const kernels::Activation used, activation_from(settings, architecture.activation_key));
  if (used == implied) return {};
  return Error{
      ErrorCode::kUnimplemented,
      cat("GGUF cannot say ", architecture.activation_key, " ", dump_json(settings[architecture.activation_key]), "; ",
          architecture.name, " files mean ", dump_json(defaults[architecture.activation_key])),
      std::string(architecture.activation_key),
      {}};
}

}  // namespace

Result<Json> model_config(const checkpoint::ModelFiles& files) {
  if (files.kind == checkpoint::ModelKind::kGguf) return config_from_gguf(files.metadata, files.weights);
  return files.config;
}

const Architecture* gguf_architecture_of(const Architecture& architecture) {
  if (!architecture.gguf_name.empty()) return &architecture;
  const auto same = [](const WeightName& a, const WeightName& b) {
    return a.role == b.role && a.hugging_face == b.hugging_face && a.gguf == b.gguf && a.own_code == b.own_code;
  };
  for (const Architecture* each : architectures()) {
    if (!each->gguf_name.empty() && std::ranges::equal(each->weights, architecture.weights, same)) return each;
  }
  return nullptr;
}

const Architecture& hugging_face_architecture_of(const ModelDescription& description) {
  const bool slides =
      std::ranges::any_of(description.spec.layer_kinds, [](const LayerKind& k) { return k.window > 0; });
  for (const Architecture* each : architectures()) {
    const bool reads = std::ranges::count(each->settings, "sliding_window", &Setting::key) > 0;
    if (slides && reads && each->gguf_name.empty() && gguf_architecture_of(*each) == description.architecture)
      return *each;
  }
  return *description.architecture;
}

Result<std::vector<GgufSideTensor>> add_gguf_config(const Json& config, const ModelDescription& description,
                                                    checkpoint::GgufHead& head) {
  if (gguf_architecture_of(*description.architecture) == nullptr)
    return unimplemented(cat("GGUF has no name for architecture ", description.architecture->name));
  SLUICE_TRY(const Json settings, complete_settings(*description.architecture, config));
  SLUICE_RETURN_IF_ERROR(check_gguf_activation(*description.architecture, settings));
  return ConfigWriter(settings, description, head).write();
}

Result<Json> config_for_directory(const checkpoint::ModelFiles& files, const ModelDescription& description,
                                  std::string_view dtype) {
  SLUICE_TRY(Json config, model_config(files));
  const Architecture* meant = &hugging_face_architecture_of(description);
  config["architectures"] = Json::array({std::string(meant->class_names.front())});
  config["model_type"] = std::string(meant->model_types.front());
  config["dtype"] = std::string(dtype);
  config.erase("partial_rotary_factor");
  const RopeSpec& first = description.spec.ropes.front();
  const double share = static_cast<double>(first.rotary_dim) / description.spec.head_dim;
  const bool partial =
      std::ranges::count(description.architecture->settings, "partial_rotary_factor", &Setting::key) > 0;
  Json& rope = config["rope_parameters"];
  const auto in_known_words = [&](Json& block) {
    block.erase("dimension_count");
    if (partial || share != 1) block["partial_rotary_factor"] = share;
  };
  if (description.architecture->rope_by_layer_type) {
    for (auto& block : rope) in_known_words(block);
  } else {
    in_known_words(rope);
  }
  if (const Json* divisors = json_find(rope, "frequency_factors"); divisors != nullptr) {
    const auto llama3 = find_llama3(divisors->get<std::vector<float>>(), rope["rope_theta"].get<double>());
    if (llama3) {
      rope.erase("frequency_factors");
      rope["rope_type"] = "llama3";
      rope["factor"] = llama3->factor;
      rope["low_freq_factor"] = llama3->low;
      rope["high_freq_factor"] = llama3->high;
      rope["original_max_position_embeddings"] = static_cast<int64_t>(llama3->original);
    }
  }
  return config;
}

}  // namespace sluice::model
