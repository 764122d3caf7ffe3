#include "model/registry.h"

#include <algorithm>

#include "base/json.h"
#include "base/strings.h"
#include "model/rope_config.h"
#include "model/settings.h"

namespace sluice::model {
namespace {

// "Qwen2ForCausalLM" → "Qwen2": the part in which names differ.
std::string stem(std::string_view class_name) { return std::string(class_name.substr(0, class_name.find("For"))); }

// Families whose names are like none of ours and whose layers are like Llama's.
constexpr std::string_view kLlamaRelatives[] = {"aquila", "baichuan", "exaone", "granite",  "helium",    "internlm",
                                                "olmo",   "seedoss",  "smollm", "stablelm", "starcoder", "yi"};

bool is_llama_relative(std::string_view name) {
  return std::ranges::any_of(kLlamaRelatives, [&](std::string_view each) { return name.starts_with(each); });
}

Error unknown_architecture(std::string_view class_name, std::string_view model_type) {
  std::vector<std::string> known, names;
  std::vector<const Architecture*> owners;
  for (const Architecture* architecture : architectures()) {
    known.insert(known.end(), architecture->class_names.begin(), architecture->class_names.end());
    for (const auto* list : {&architecture->class_names, &architecture->model_types}) {
      for (const std::string_view name : *list) {
        names.push_back(to_lower_ascii(stem(name)));
        owners.push_back(architecture);
      }
    }
  }
  std::string nearest = nearest_name(to_lower_ascii(stem(class_name)), names);
  if (nearest.empty()) nearest = nearest_name(to_lower_ascii(model_type), names);
  if (nearest.empty() && is_llama_relative(to_lower_ascii(class_name.empty() ? model_type : class_name)))
    nearest = "llama";
  const auto found = std::ranges::find(names, nearest);
  const std::string_view shown = class_name.empty() ? model_type : class_name;
  return unimplemented(
      cat("architecture '", shown, "' is not supported; known are ", join(known, ", "),
          nearest.empty()
              ? ""
              : cat(" (the nearest is ", owners[static_cast<size_t>(found - names.begin())]->class_names[0], ")")));
}

const Architecture* architecture_with(std::vector<std::string_view> Architecture::* names, std::string_view name) {
  for (const Architecture* architecture : architectures()) {
    if (std::ranges::count(architecture->*names, name) > 0) return architecture;
  }
  return nullptr;
}

}  // namespace

const std::vector<const Architecture*>& architectures() {
  static const std::vector<const Architecture*> kAll = {
      &llama_architecture(),  &mistral_architecture(), &qwen2_architecture(),
      &qwen3_architecture(),  &glm_architecture(),     &glm4_architecture(),
      &gemma2_architecture(), &gemma3_architecture(),  &phi3_architecture(),
  };
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
  if (asked.empty() && model_type.empty()) {
    return invalid_argument(
        "config.json names neither 'architectures' nor 'model_type': this is no language model's config");
  }
  const Architecture* by_type = architecture_with(&Architecture::model_types, model_type);
  if (asked.empty() && by_type != nullptr) return by_type;
  for (const std::string& name : asked) {
    const Architecture* by_class = architecture_with(&Architecture::class_names, name);
    // Where both are known but differ, transformers goes by the type.
    if (by_class != nullptr) return by_type != nullptr ? by_type : by_class;
  }
  return unknown_architecture(asked.empty() ? "" : asked.front(), model_type);
}

Result<DecoderSpec> decoder_spec(const Architecture& architecture, const Json& config, FileKind kind) {
  SLUICE_TRY(const Json settings, complete_settings(architecture, config));
  SLUICE_RETURN_IF_ERROR(check_settings(architecture, settings));
  SLUICE_TRY(DecoderSpec spec, common_spec(architecture, settings));
  spec.architecture = architecture.name;
  SLUICE_RETURN_IF_ERROR(architecture.complete(settings, kind, spec));
  spec.context_max = rope_context_max(settings, spec);
  return spec;
}

}  // namespace sluice::model
