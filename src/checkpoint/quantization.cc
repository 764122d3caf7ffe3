#include "checkpoint/quantization.h"

#include <algorithm>
#include <span>
#include <string_view>

#include "base/json.h"
#include "base/strings.h"
#include "checkpoint/weights.h"

namespace sluice::checkpoint {
namespace {

using Names = std::span<const std::string_view>;

// Settings that say how the weights came about or how to run them fast, and change no value.
constexpr std::string_view kGptqKnown[] = {"quant_method",
                                           "bits",
                                           "group_size",
                                           "desc_act",
                                           "sym",
                                           "checkpoint_format",
                                           "format",
                                           "pack_dtype",
                                           "dynamic",
                                           "is_marlin_format",
                                           "damp_percent",
                                           "damp_auto_increment",
                                           "static_groups",
                                           "true_sequential",
                                           "act_group_aware",
                                           "model_name_or_path",
                                           "model_file_base_name",
                                           "meta",
                                           "lm_head",
                                           "tokenizer",
                                           "dataset",
                                           "block_name_to_quantize",
                                           "module_name_preceding_first_block",
                                           "modules_in_block_to_quantize",
                                           "inside_layer_modules",
                                           "batch_size",
                                           "pad_token_id",
                                           "use_exllama",
                                           "disable_exllama",
                                           "exllama_config",
                                           "use_cuda_fp16",
                                           "max_input_length",
                                           "cache_block_outputs",
                                           "model_seqlen",
                                           "backend",
                                           "mse",
                                           "parallel_packing",
                                           "quantizer",
                                           "modules_to_not_convert",
                                           "offload_to_disk",
                                           "offload_to_disk_path",
                                           "method",
                                           "v2",
                                           "v2_alpha",
                                           "failsafe",
                                           "gptaq",
                                           "hessian",
                                           "vram_opt"};
constexpr std::string_view kAwqKnown[] = {"quant_method",
                                          "bits",
                                          "w_bit",
                                          "group_size",
                                          "q_group_size",
                                          "zero_point",
                                          "version",
                                          "format",
                                          "backend",
                                          "modules_to_not_convert",
                                          "do_fuse",
                                          "fuse_max_seq_len",
                                          "modules_to_fuse",
                                          "exllama_config",
                                          "checkpoint_format",
                                          "meta",
                                          "lm_head",
                                          "pack_dtype",
                                          "sym",
                                          "desc_act",
                                          "dataset",
                                          "tokenizer",
                                          "damp_percent",
                                          "true_sequential",
                                          "model_seqlen",
                                          "batch_size",
                                          "pad_token_id",
                                          "max_input_length",
                                          "cache_block_outputs",
                                          "act_group_aware",
                                          "block_name_to_quantize",
                                          "module_name_preceding_first_block",
                                          "modules_in_block_to_quantize",
                                          "method",
                                          "damp_auto_increment",
                                          "static_groups",
                                          "mse",
                                          "offload_to_disk",
                                          "offload_to_disk_path"};
constexpr std::string_view kFp8Known[] = {"quant_method",
                                          "activation_scheme",
                                          "weight_block_size",
                                          "modules_to_not_convert",
                                          "modules_to_convert",
                                          "ignored_layers",
                                          "fmt",
                                          "scale_fmt",
                                          "dequantize",
                                          "expert_dtype",
                                          "is_checkpoint_fp8_serialized",
                                          "activation_scale_ub",
                                          "kv_cache_quant_method",
                                          "kv_cache_scheme",
                                          "packed_modules_mapping"};
constexpr std::string_view kCompressedKnown[] = {"quant_method",
                                                 "config_groups",
                                                 "format",
                                                 "ignore",
                                                 "kv_cache_scheme",
                                                 "quantization_status",
                                                 "global_compression_ratio",
                                                 "sparsity_config",
                                                 "version",
                                                 "transform_config",
                                                 "run_compressed",
                                                 "quantization_config",
                                                 "moe_sparsity_config"};
constexpr std::string_view kGroupKnown[] = {"weights", "input_activations", "output_activations", "targets", "format"};
constexpr std::string_view kWeightsKnown[] = {"num_bits",        "type",    "symmetric", "strategy", "group_size",
                                              "block_structure", "dynamic", "actorder",  "observer", "observer_kwargs",
                                              "scale_dtype",     "zp_dtype"};
constexpr std::string_view kMethods = "awq, gptq, compressed-tensors, fp8, fbgemm_fp8";

bool says_nothing(const Json& value) {
  return value.is_null() || (value.is_boolean() && !value.get<bool>()) || (value.is_structured() && value.empty());
}

class Parser {
 public:
  Parser(const Json& settings, const std::string& path) : settings_(settings), path_(path) {}

  Result<Quantization> parse() {
    SLUICE_TRY(std::string method, json_string(settings_, "quant_method", ""));
    method = to_lower_ascii(method);
    const bool bitsandbytes = json_find(settings_, "load_in_4bit") != nullptr ||
                              json_find(settings_, "load_in_8bit") != nullptr || method.starts_with("bitsandbytes");
    if (bitsandbytes) {
      return unsupported(
          "quant_method 'bitsandbytes' is not supported: its weights can be read by that library alone; download the "
          "unquantised model and use --quantize int8 or int4");
    }
    if (method == "gptq" || (method.empty() && json_find(settings_, "bits") != nullptr)) return gptq();
    if (method == "awq" || (method.empty() && json_find(settings_, "w_bit") != nullptr)) return awq();
    if (method == "compressed-tensors" || method == "compressed_tensors") return compressed_tensors();
    if (method == "fp8") return fp8();
    if (method == "fbgemm_fp8") return fbgemm_fp8();
    return unsupported(cat("quant_method ", quote(method), " is not supported; supported are ", kMethods));
  }

 private:
  Error unsupported(const std::string& what) const { return unimplemented(cat(path_, ": ", what)); }
  Error wrong(const std::string& what) const { return corrupt_data(cat(path_, ": ", what)); }

  Result<void> refuse_unknown(const Json& object, Names known, std::string_view where) const {
    for (const auto& [key, value] : object.items()) {
      if (std::ranges::count(known, std::string_view(key)) > 0 || says_nothing(value)) continue;
      return unsupported(cat(where, " has the unknown setting ", quote(key),
                             "; the weights cannot be trusted without "
                             "knowing what it means"));
    }
    return {};
  }

  // The one of `allowed` that the setting has; its fallback is the first.
  Result<void> expect(const Json& object, std::string_view key, Names allowed, std::string_view fallback) const {
    SLUICE_TRY(const std::string value, json_string(object, key, std::string(fallback)));
    if (std::ranges::count(allowed, std::string_view(to_lower_ascii(value))) > 0) return {};
    std::vector<std::string> names(allowed.begin(), allowed.end());
    return unsupported(cat("quantization setting '", key, "' is ", quote(value), "; supported: ", join(names, ", ")));
  }

  Result<int> bits(const Json& object, std::string_view key, std::span<const int> allowed) const {
    SLUICE_TRY(const int64_t value, json_int(object, key, -1));
    if (std::ranges::count(allowed, value) > 0) return static_cast<int>(value);
    std::vector<std::string> names;
    for (const int each : allowed) names.push_back(cat(each));
    return unsupported(cat("quantization setting '", key, "' is ", value == -1 ? "missing" : cat(value),
                           "; supported: ", join(names, ", ")));
  }

  // Columns of a group; −1 (the whole row) becomes 0.
  Result<int64_t> group_size(const Json& object, std::string_view key, int64_t fallback) const {
    SLUICE_TRY(const int64_t value, json_int(object, key, fallback));
    if (value == -1) return int64_t{0};
    if (value < 1 || value > (1 << 24)) return wrong(cat("quantization setting '", key, "' is ", value));
    return value;
  }

  Result<Quantization> gptq() const {
    constexpr int kBits[] = {2, 3, 4, 8};
    constexpr std::string_view kFormats[] = {"gptq", "gptq_v2"};
    constexpr std::string_view kPackTypes[] = {"int32"};
    constexpr std::string_view kMethodNames[] = {"gptq"};
    SLUICE_RETURN_IF_ERROR(refuse_unknown(settings_, kGptqKnown, "quantization_config (gptq)"));
    Quantization out{.method = QuantizationMethod::kGptq};
    WeightScheme scheme;
    SLUICE_TRY(scheme.bits, bits(settings_, "bits", kBits));
    SLUICE_TRY(scheme.group_columns, group_size(settings_, "group_size", 128));
    SLUICE_RETURN_IF_ERROR(expect(settings_, "pack_dtype", kPackTypes, "int32"));
    SLUICE_RETURN_IF_ERROR(expect(settings_, "method", kMethodNames, "gptq"));
    const std::string_view format_key =
        json_find(settings_, "checkpoint_format") != nullptr ? "checkpoint_format" : "format";
    SLUICE_RETURN_IF_ERROR(expect(settings_, format_key, kFormats, "gptq"));
    SLUICE_TRY(const std::string format, json_string(settings_, format_key, "gptq"));
    SLUICE_TRY(const bool marlin, json_bool(settings_, "is_marlin_format", false));
    if (marlin) return unsupported("quantization setting 'is_marlin_format' is true; that layout is not supported");
    SLUICE_TRY(const bool act_order, json_bool(settings_, "desc_act", false));
    const Json* dynamic = json_find(settings_, "dynamic");
    out.per_module = dynamic != nullptr && !says_nothing(*dynamic);
    out.zero_points_lack_one = to_lower_ascii(format) != "gptq_v2";
    out.schemes = {scheme};
    out.summary = cat("gptq, ", scheme.bits, " bits, ", describe_groups(scheme), act_order ? ", act-order" : "");
    return out;
  }

  Result<Quantization> awq() const {
    constexpr int kBits[] = {4};
    constexpr std::string_view kVersions[] = {"gemm"};
    SLUICE_RETURN_IF_ERROR(refuse_unknown(settings_, kAwqKnown, "quantization_config (awq)"));
    Quantization out{.method = QuantizationMethod::kAwq};
    WeightScheme scheme;
    SLUICE_TRY(scheme.bits, bits(settings_, json_find(settings_, "w_bit") != nullptr ? "w_bit" : "bits", kBits));
    const bool old_names = json_find(settings_, "q_group_size") != nullptr;
    SLUICE_TRY(scheme.group_columns, group_size(settings_, old_names ? "q_group_size" : "group_size", 128));
    const bool has_version = json_find(settings_, "version") != nullptr;
    SLUICE_RETURN_IF_ERROR(expect(settings_, has_version ? "version" : "format", kVersions, "gemm"));
    SLUICE_TRY(const std::string backend, json_string(settings_, "backend", ""));
    if (backend == "llm-awq") {
      return unsupported("quantization setting 'backend' is 'llm-awq'; only AutoAWQ's GEMM layout is supported");
    }
    SLUICE_TRY(out.has_zero_points, json_bool(settings_, "zero_point", true));
    out.schemes = {scheme};
    out.summary = cat("awq, 4 bits, ", describe_groups(scheme));
    return out;
  }

  // [rows, columns] of blocks that share a scale.
  Result<void> read_block(const Json& pair, std::string_view key, WeightScheme& scheme) const {
    const auto good = [](const Json& size) { return size.is_number_unsigned() && size > 0 && size <= (1 << 24); };
    if (!pair.is_array() || pair.size() != 2 || !good(pair[0]) || !good(pair[1]))
      return wrong(cat("quantization setting '", key, "' must be two positive whole numbers"));
    scheme.group_rows = pair[0].get<int64_t>();
    scheme.group_columns = pair[1].get<int64_t>();
    return {};
  }

  Result<Quantization> fp8() const {
    constexpr std::string_view kFormats[] = {"e4m3", "float8_e4m3fn"};
    constexpr std::string_view kScales[] = {"float", "ue8m0"};
    constexpr std::string_view kActivations[] = {"dynamic", "static"};
    SLUICE_RETURN_IF_ERROR(refuse_unknown(settings_, kFp8Known, "quantization_config (fp8)"));
    SLUICE_RETURN_IF_ERROR(expect(settings_, "fmt", kFormats, "e4m3"));
    SLUICE_RETURN_IF_ERROR(expect(settings_, "scale_fmt", kScales, "float"));
    SLUICE_RETURN_IF_ERROR(expect(settings_, "activation_scheme", kActivations, "dynamic"));
    Quantization out{.method = QuantizationMethod::kFp8};
    WeightScheme scheme{.bits = 8, .is_float = true, .group_rows = 0, .group_columns = 0};
    const Json* block = json_find(settings_, "weight_block_size");
    if (block != nullptr && !block->is_null()) SLUICE_RETURN_IF_ERROR(read_block(*block, "weight_block_size", scheme));
    out.schemes = {scheme};
    // Files without blocks hold one scale for a tensor or one for each row.
    if (scheme.group_rows == 0)
      out.schemes.push_back({.bits = 8, .is_float = true, .group_rows = 1, .group_columns = 0});
    out.summary = cat("fp8 (e4m3), ", describe_groups(scheme));
    return out;
  }

  Result<Quantization> fbgemm_fp8() const {
    SLUICE_RETURN_IF_ERROR(refuse_unknown(settings_, kFp8Known, "quantization_config (fbgemm_fp8)"));
    Quantization out{.method = QuantizationMethod::kFp8};
    out.schemes = {{.bits = 8, .is_float = true, .group_rows = 1, .group_columns = 0}};
    out.summary = "fbgemm_fp8 (e4m3), a scale for each row";
    return out;
  }

  Result<Quantization> compressed_tensors() const {
    constexpr std::string_view kFormats[] = {"pack-quantized",  "int-quantized",   "float-quantized",
                                             "naive-quantized", "mixed-precision", "dense"};
    constexpr std::string_view kDense[] = {"dense"};
    SLUICE_RETURN_IF_ERROR(refuse_unknown(settings_, kCompressedKnown, "quantization_config (compressed-tensors)"));
    SLUICE_RETURN_IF_ERROR(expect(settings_, "format", kFormats, "pack-quantized"));
    for (const std::string_view key : {"sparsity_config", "transform_config", "moe_sparsity_config"}) {
      const Json* value = json_find(settings_, key);
      if (value == nullptr || says_nothing(*value)) continue;
      if (key == "sparsity_config") {
        SLUICE_RETURN_IF_ERROR(expect(*value, "format", kDense, "dense"));
        continue;
      }
      if (key == "transform_config") {
        const Json* transforms = json_find(*value, "config_groups");
        if (transforms == nullptr || says_nothing(*transforms)) continue;
      }
      return unsupported(cat("quantization setting '", key, "' is not supported"));
    }
    const Json* groups = json_find(settings_, "config_groups");
    if (groups == nullptr || !groups->is_object() || groups->empty())
      return wrong("quantization_config has no 'config_groups'");
    Quantization out{.method = QuantizationMethod::kCompressedTensors};
    std::vector<std::string> described;
    for (const auto& [name, group] : groups->items()) {
      const std::string where = cat("config group ", quote(name));
      if (group.is_array())
        return unsupported(cat(where, " is the name of a preset; its settings must be written out"));
      if (!group.is_object()) return wrong(cat(where, " must be an object"));
      SLUICE_RETURN_IF_ERROR(refuse_unknown(group, kGroupKnown, where));
      SLUICE_RETURN_IF_ERROR(expect(group, "format", kFormats, "dense"));
      const Json* weights = json_find(group, "weights");
      if (weights == nullptr || says_nothing(*weights)) {
        SLUICE_RETURN_IF_ERROR(add_targets(group, where, -1, out.targets));
        continue;
      }
      if (!weights->is_object()) return wrong(cat(where, ": 'weights' must be an object"));
      SLUICE_TRY(const WeightScheme scheme, weight_scheme(*weights, where));
      SLUICE_RETURN_IF_ERROR(add_targets(group, where, static_cast<int>(out.schemes.size()), out.targets));
      out.schemes.push_back(scheme);
      described.push_back(cat(scheme.is_float ? "fp" : "int", scheme.bits, ", ", describe_groups(scheme)));
    }
    if (out.schemes.empty()) return wrong("no config group quantises weights");
    SLUICE_TRY(const std::vector<std::string> ignored, names(settings_, "ignore", "quantization_config"));
    for (const std::string& each : ignored) SLUICE_RETURN_IF_ERROR(in_file(out.targets.ignore(each)));
    out.summary = cat("compressed-tensors, ", join(described, "; "));
    return out;
  }

  Result<void> in_file(Result<void> done) const {
    if (done.ok()) return done;
    return Error{done.error().code, cat(path_, ": ", done.error().message), {}, {}};
  }

  // A list of texts; null and absent are empty.
  Result<std::vector<std::string>> names(const Json& object, std::string_view key, std::string_view where) const {
    std::vector<std::string> all;
    const Json* list = json_find(object, key);
    if (list == nullptr || list->is_null()) return all;
    if (!list->is_array()) return wrong(cat(where, ": '", key, "' must be a list of names"));
    for (const Json& each : *list) {
      if (!each.is_string()) return wrong(cat(where, ": '", key, "' must be a list of names"));
      all.push_back(each.get<std::string>());
    }
    return all;
  }

  Result<void> add_targets(const Json& group, std::string_view where, int scheme, ModuleTargets& targets) const {
    SLUICE_TRY(const std::vector<std::string> all, names(group, "targets", where));
    if (all.empty()) return wrong(cat(where, " has no 'targets'"));
    for (const std::string& each : all) SLUICE_RETURN_IF_ERROR(in_file(targets.add(each, scheme)));
    return {};
  }

  Result<WeightScheme> weight_scheme(const Json& weights, const std::string& where) const {
    constexpr int kIntegerBits[] = {2, 3, 4, 5, 6, 7, 8};
    constexpr int kFloatBits[] = {8};
    constexpr std::string_view kTypes[] = {"int", "float"};
    constexpr std::string_view kStrategies[] = {"tensor", "channel", "group", "block"};
    SLUICE_RETURN_IF_ERROR(refuse_unknown(weights, kWeightsKnown, cat(where, ", weights")));
    SLUICE_RETURN_IF_ERROR(expect(weights, "type", kTypes, "int"));
    SLUICE_TRY(const std::string type, json_string(weights, "type", "int"));
    WeightScheme scheme;
    scheme.is_float = to_lower_ascii(type) == "float";
    SLUICE_TRY(scheme.bits,
               bits(weights, "num_bits", scheme.is_float ? std::span<const int>(kFloatBits) : kIntegerBits));
    SLUICE_TRY(const int64_t group, json_int(weights, "group_size", 0));
    const Json* block = json_find(weights, "block_structure");
    const std::string_view fallback = group > 0 ? "group" : group == -1 ? "channel" : "tensor";
    SLUICE_RETURN_IF_ERROR(expect(weights, "strategy", kStrategies, fallback));
    SLUICE_TRY(std::string strategy, json_string(weights, "strategy", std::string(fallback)));
    strategy = to_lower_ascii(strategy);
    if (strategy == "tensor") {
      scheme.group_rows = 0;
    } else if (strategy == "group") {
      SLUICE_TRY(scheme.group_columns, group_size(weights, "group_size", 0));
    } else if (strategy == "block") {
      if (block == nullptr) return wrong(cat(where, ": strategy 'block' needs 'block_structure'"));
      SLUICE_RETURN_IF_ERROR(read_block(*block, "block_structure", scheme));
    }
    return scheme;
  }

  static std::string describe_groups(const WeightScheme& scheme) {
    if (scheme.group_rows == 0) return "a scale for each tensor";
    if (scheme.group_columns == 0) return "a scale for each row";
    if (scheme.group_rows == 1) return cat("groups of ", scheme.group_columns);
    return cat("blocks of ", scheme.group_rows, "×", scheme.group_columns);
  }

  const Json& settings_;
  const std::string& path_;
};

}  // namespace

Result<std::optional<Quantization>> parse_quantization(const Json& config, const std::string& path) {
  std::optional<Quantization> none;
  const Json* text = json_find(config, "text_config");
  for (const Json* place : {&config, text}) {
    if (place == nullptr) continue;
    for (const std::string_view key : {"quantization_config", "compression_config"}) {
      const Json* settings = json_find(*place, key);
      if (settings == nullptr || settings->is_null()) continue;
      if (!settings->is_object()) return corrupt_data(cat(path, ": '", key, "' must be an object"));
      if (settings->empty()) continue;
      auto parsed = Parser(*settings, path).parse();
      if (!parsed.ok()) {
        Error error = std::move(parsed).error();
        // Typed look-ups name the key alone.
        if (!error.message.starts_with(path)) error.message = cat(path, ": ", key, ": ", error.message);
        return error;
      }
      return std::optional<Quantization>(std::move(parsed).value());
    }
  }
  return none;
}

}  // namespace sluice::checkpoint
