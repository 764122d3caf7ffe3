#include "model/chatglm.h"

#include <algorithm>

#include "base/strings.h"

namespace sluice::model {
namespace {

struct Renamed {
  const char* old_name;
  const char* name;
  Json fallback;  // ChatGLMConfig's
};

// Settings that would change results, and the value that is computed. Absent and null are allowed but for those that
// the first ChatGLM lacks.
constexpr std::pair<const char*, bool> kExpected[] = {{"rmsnorm", true},
                                                      {"post_layer_norm", true},
                                                      {"apply_residual_connection_post_layernorm", false},
                                                      {"add_bias_linear", false},
                                                      {"original_rope", true},
                                                      {"interleaved_qkv", false},
                                                      {"position_encoding_2d", false},
                                                      {"prefix_projection", false}};
constexpr const char* kAbsent[] = {"pre_seq_len", "inner_hidden_size", "vision_config"};
constexpr int64_t kOldVocabulary = 65024;  // ChatGLM2 and 3

Error refused(const char* key, const Json& value, std::string_view supported) {
  return Error{ErrorCode::kUnimplemented,
               cat("config.json: '", key, "' is ", dump_json(value).substr(0, 80),
                   ", which changes what a chatglm model computes and is not supported; ", supported),
               key,
               {}};
}

Result<void> check(const Json& config) {
  for (const auto& [key, expected] : kExpected) {
    const Json* value = json_find(config, key);
    if (value != nullptr && !value->is_null() && *value != expected)
      return refused(key, *value, cat("it must be ", expected ? "true" : "false"));
  }
  for (const char* key : kAbsent) {
    const Json* value = json_find(config, key);
    if (value != nullptr && !value->is_null()) return refused(key, *value, "it must be absent");
  }
  SLUICE_TRY(const int64_t bits, json_int(config, "quantization_bit", 0));
  if (bits != 0) return refused("quantization_bit", bits, "use the unquantised model with --quantize");
  if (json_find(config, "padded_vocab_size") == nullptr) {
    return unimplemented(
        "config.json: a chatglm without 'padded_vocab_size' is the first ChatGLM, which is not supported; GLM-4, "
        "ChatGLM2 and ChatGLM3 are");
  }
  // The long ChatGLM2 and 3 stretch positions, GLM-4 the base, by the same setting.
  SLUICE_TRY(const double ratio, json_number(config, "rope_ratio", 1));
  SLUICE_TRY(const int64_t vocabulary, json_int(config, "padded_vocab_size", 0));
  if (ratio != 1 && vocabulary == kOldVocabulary)
    return refused("rope_ratio", ratio, "of ChatGLM2 and 3 only those with 1 or none are");
  return {};
}

}  // namespace

Result<Json> glm_config_of_chatglm(const Json& config) {
  SLUICE_TRY(const std::string type, json_string(config, "model_type", ""));
  if (type != "chatglm") return config;
  SLUICE_RETURN_IF_ERROR(check(config));
  const Renamed renamed[] = {
      {"num_layers", "num_hidden_layers", 28},         {"padded_vocab_size", "vocab_size", kOldVocabulary},
      {"ffn_hidden_size", "intermediate_size", 13696}, {"kv_channels", "head_dim", 128},
      {"seq_length", "max_position_embeddings", 2048}, {"layernorm_epsilon", "rms_norm_eps", 1e-5},
      {"add_qkv_bias", "attention_bias", false}};
  Json out = config;
  out["architectures"] = Json::array({"GlmForCausalLM"});
  out["model_type"] = "glm";
  for (const auto& [old_name, name, fallback] : renamed) {
    const Json* value = json_find(config, old_name);
    out[name] = value != nullptr && !value->is_null() ? *value : fallback;
    out.erase(old_name);
  }
  SLUICE_TRY(const bool grouped, json_bool(config, "multi_query_attention", false));
  SLUICE_TRY(const int64_t groups, json_int(config, "multi_query_group_num", 1));
  SLUICE_TRY(const int64_t heads, json_int(config, "num_attention_heads", 32));
  SLUICE_TRY(const double ratio, json_number(config, "rope_ratio", 1));
  out["num_key_value_heads"] = grouped ? groups : heads;
  out["rope_theta"] = 10000 * ratio;
  out["partial_rotary_factor"] = 0.5;
  for (const char* key : {"multi_query_attention", "multi_query_group_num", "rope_ratio", "auto_map"}) out.erase(key);
  for (const auto& [key, expected] : kExpected) out.erase(key);
  return out;
}

}  // namespace sluice::model
