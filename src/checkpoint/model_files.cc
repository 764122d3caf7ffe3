#include "checkpoint/model_files.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "base/file.h"
#include "base/strings.h"
#include "checkpoint/model_reference.h"
#include "checkpoint/quantized_weights.h"
#include "checkpoint/safetensors.h"

namespace sluice::checkpoint {
namespace {

namespace fs = std::filesystem;

constexpr size_t kConfigBytesMax = size_t{64} << 20;
constexpr size_t kTemplateBytesMax = size_t{4} << 20;

std::string in(const std::string& directory, std::string_view name) { return cat(directory, "/", name); }

// The last name of the path; for …/models--org--model/snapshots/<revision> of the Hugging Face cache, "org/model".
std::string directory_name(const std::string& directory) {
  std::error_code failed;
  fs::path path = fs::absolute(directory, failed).lexically_normal();
  if (failed) path = directory;
  if (!path.has_filename()) path = path.parent_path();
  const std::string repository = path.parent_path().parent_path().filename().string();
  constexpr std::string_view kCachePrefix = "models--";
  if (path.parent_path().filename() == "snapshots" && repository.starts_with(kCachePrefix)) {
    std::string name = repository.substr(kCachePrefix.size());
    if (const size_t border = name.find("--"); border != std::string::npos) name.replace(border, 2, "/");
    return name;
  }
  return path.filename().string();
}

// A JSON file beside the weights; null when it is not there.
Result<Json> read_optional_config(const std::string& path) {
  if (!file_exists(path)) return Json();
  SLUICE_TRY(const std::string text, read_file(path, kConfigBytesMax));
  return parse_config(text, path);
}

// tokenizer_config.json with the names of special tokens that older files keep in special_tokens_map.json, which counts
// where there is no added_tokens_decoder, and those that newer ones keep in extra_special_tokens. As transformers'
// PreTrainedTokenizerBase does it.
Result<Json> read_tokenizer_config(const std::string& directory) {
  SLUICE_TRY(Json config, read_optional_config(in(directory, "tokenizer_config.json")));
  SLUICE_TRY(const Json map, read_optional_config(in(directory, "special_tokens_map.json")));
  if (map.is_object() && json_find(config, "added_tokens_decoder") == nullptr) {
    for (const auto& [key, value] : map.items()) config[key] = value;
  }
  if (const Json* extra = json_find(config, "extra_special_tokens"); extra != nullptr && extra->is_object()) {
    const Json more = *extra;
    for (const auto& [key, value] : more.items()) {
      if (!config.contains(key)) config[key] = value;
    }
  }
  return config;
}

// Of equal names the last one counts, as in Python's dict.
void add_template(std::vector<NamedTemplate>& templates, std::string name, std::string source) {
  const auto same = std::ranges::find(templates, name, &NamedTemplate::name);
  if (same != templates.end()) {
    same->source = std::move(source);
  } else {
    templates.push_back({std::move(name), std::move(source)});
  }
}

// chat_template.jinja wins over chat_template.json, which wins over tokenizer_config.json.
Result<std::vector<NamedTemplate>> read_templates(const std::string& directory, const Json& tokenizer_config) {
  std::vector<NamedTemplate> templates;
  if (const std::string path = in(directory, "chat_template.jinja"); file_exists(path)) {
    SLUICE_TRY(std::string source, read_file(path, kTemplateBytesMax));
    templates.push_back({"default", std::move(source)});
  }
  const std::string more = in(directory, "additional_chat_templates");
  constexpr std::string_view kSuffix = ".jinja";
  for (const std::string& name : list_files(more)) {
    if (!name.ends_with(kSuffix)) continue;
    SLUICE_TRY(std::string source, read_file(in(more, name), kTemplateBytesMax));
    add_template(templates, name.substr(0, name.size() - kSuffix.size()), std::move(source));
  }
  if (!templates.empty()) return templates;

  const std::string path = in(directory, "chat_template.json");
  SLUICE_TRY(const Json file, read_optional_config(path));
  SLUICE_TRY(templates, parse_chat_templates(file, path));
  if (!templates.empty()) return templates;
  return parse_chat_templates(tokenizer_config, in(directory, "tokenizer_config.json"));
}

Result<std::vector<NamedTemplate>> read_gguf_templates(const GgufMetadata& metadata) {
  const std::string key = "tokenizer.chat_template";
  std::vector<NamedTemplate> templates;
  if (metadata.contains(key)) {
    SLUICE_TRY(const std::string_view source, metadata.string(key));
    templates.push_back({"default", std::string(source)});
  }
  SLUICE_TRY(const auto names, metadata.strings("tokenizer.chat_templates"));
  for (const std::string_view name : names) {
    SLUICE_TRY(const std::string_view source, metadata.string(cat(key, ".", name)));
    add_template(templates, std::string(name), std::string(source));
  }
  return templates;
}

// Why a directory without safetensors and GGUF cannot be served, as helpful as its content allows.
Error no_weights(const std::string& directory, const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    const bool is_pickle =
        name.ends_with(".bin") || name.ends_with(".pth") || name.ends_with(".pt") || name.ends_with(".ckpt");
    if (is_pickle &&
        (name.starts_with("pytorch_model") || name.starts_with("consolidated") || name.starts_with("model"))) {
      return unimplemented(
          cat(directory, " has its weights only as PyTorch files (", name,
              "), which can run code when read and are not supported; convert them to safetensors, e.g. with "
              "AutoModelForCausalLM.from_pretrained(dir).save_pretrained(dir, safe_serialization=True)"));
    }
    if (name.ends_with(".h5") || name.ends_with(".msgpack") || name.ends_with(".onnx")) {
      return unimplemented(
          cat(directory, " has no safetensors or GGUF weights, only ", name, "; convert them to safetensors"));
    }
  }
  if (std::find(names.begin(), names.end(), "adapter_config.json") != names.end()) {
    return unimplemented(
        cat(directory, " is an adapter (LoRA), not a whole model; merge it into its base model first"));
  }
  return not_found(
      cat("there is no model in ", directory, ": looked for config.json with *.safetensors, and for *.gguf"));
}

bool starts_like_gguf(const std::string& path) {
  std::FILE* file = std::fopen(path.c_str(), "rb");
  if (file == nullptr) return false;
  char magic[4] = {};
  const size_t n = std::fread(magic, 1, sizeof magic, file);
  std::fclose(file);
  return std::string_view(magic, n) == "GGUF";
}

Result<ModelFiles> open_gguf_model(const std::string& path) {
  ModelFiles model;
  model.kind = ModelKind::kGguf;
  const fs::path file(path);
  model.directory = file.has_parent_path() ? file.parent_path().string() : ".";
  const auto split_name = parse_split_name(path);
  model.name = split_name ? fs::path(split_name->stem).filename().string() : file.filename().string();
  if (model.name.ends_with(kGgufSuffix)) model.name.resize(model.name.size() - kGgufSuffix.size());
  SLUICE_TRY(auto gguf, open_gguf(path));
  model.metadata = std::move(gguf.metadata);
  model.weights = std::move(gguf.weights);
  SLUICE_TRY(model.templates, read_gguf_templates(model.metadata));
  if (model.metadata.contains(kGenerationConfigKey)) {
    SLUICE_TRY(const std::string_view text, model.metadata.string(kGenerationConfigKey));
    SLUICE_TRY(model.generation_config, parse_config(text, cat(path, ": ", kGenerationConfigKey)));
  }
  return model;
}

// Older tools left config.json alone and wrote their settings into a file of their own.
Result<std::optional<Quantization>> read_quantization(const std::string& directory, const Json& config) {
  SLUICE_TRY(auto found, parse_quantization(config, in(directory, "config.json")));
  for (const std::string_view name : {"quantize_config.json", "quant_config.json"}) {
    if (found) break;
    const std::string path = in(directory, name);
    SLUICE_TRY(Json settings, read_optional_config(path));
    if (settings.is_null()) continue;
    SLUICE_TRY(found, parse_quantization({{"quantization_config", std::move(settings)}}, path));
  }
  return found;
}

Result<void> put_quantized_together(const std::string& directory, ModelFiles& model) {
  SLUICE_TRY(const auto quantization, read_quantization(directory, model.config));
  if (!quantization) return {};
  model.quantization = quantization->summary;
  SLUICE_TRY(model.weights, gather_quantized(std::move(model.weights), *quantization));
  return {};
}

Result<ModelFiles> open_huggingface_model(const std::string& directory) {
  ModelFiles model;
  model.directory = directory;
  model.name = directory_name(directory);
  const std::string config_path = in(directory, "config.json");
  if (!file_exists(config_path)) {
    return not_found(
        cat(config_path, " is missing: ", directory, " has *.safetensors, but nothing that says what model they are"));
  }
  SLUICE_TRY(model.config, read_optional_config(config_path));
  SLUICE_TRY(model.generation_config, read_optional_config(in(directory, "generation_config.json")));
  SLUICE_TRY(model.tokenizer_config, read_tokenizer_config(directory));
  SLUICE_TRY(model.templates, read_templates(directory, model.tokenizer_config));
  SLUICE_TRY(model.weights, open_safetensors_directory(directory));
  SLUICE_RETURN_IF_ERROR(put_quantized_together(directory, model));
  return model;
}

// The GGUF models of a directory: parts of a split count once, vision projectors ("mmproj…") not at all.
std::vector<std::string> gguf_models(const std::vector<std::string>& names) {
  std::vector<std::string> models;
  for (const std::string& name : names) {
    if (!name.ends_with(".gguf") || to_lower_ascii(name).find("mmproj") != std::string::npos) continue;
    const auto split_name = parse_split_name(name);
    if (!split_name || split_name->index == 0) models.push_back(name);
  }
  return models;
}

Result<ModelFiles> open_directory(const std::string& directory) {
  const std::vector<std::string> names = list_files(directory);
  const bool has_safetensors = std::any_of(names.begin(), names.end(), [](const std::string& name) {
    return (name.ends_with(".safetensors") && !name.starts_with("adapter_model")) ||
           name == "model.safetensors.index.json";
  });
  if (has_safetensors) return open_huggingface_model(directory);
  const std::vector<std::string> models = gguf_models(names);
  if (models.size() == 1) return open_gguf_model(in(directory, models[0]));
  if (models.size() > 1) {
    return invalid_argument(cat(directory, " holds ", models.size(), " GGUF models (", models[0], ", ", models[1],
                                models.size() > 2 ? ", …" : "", "); give the path of one of them"));
  }
  return no_weights(directory, names);
}

// Python's json writes NaN, Infinity and -Infinity, which JSON does not have. Outside strings they become null and the
// largest numbers.
std::string without_python_numbers(std::string_view text) {
  constexpr std::pair<std::string_view, std::string_view> kWords[] = {
      {"-Infinity", "-1.7976931348623157e308"}, {"Infinity", "1.7976931348623157e308"}, {"NaN", "null"}};
  std::string out;
  bool in_string = false;
  for (size_t i = 0; i < text.size();) {
    if (!in_string) {
      const auto* word = std::find_if(std::begin(kWords), std::end(kWords),
                                      [&](const auto& each) { return text.substr(i).starts_with(each.first); });
      if (word != std::end(kWords)) {
        out += word->second;
        i += word->first.size();
        continue;
      }
    }
    if (in_string && text[i] == '\\' && i + 1 < text.size())
      out += text[i++];
    else if (text[i] == '"')
      in_string = !in_string;
    out += text[i++];
  }
  return out;
}

}  // namespace

Result<ModelFiles> open_model(const std::string& path) {
  auto opened = [&]() -> Result<ModelFiles> {
    SLUICE_TRY(const std::string place,
               find_model(path, [](const char* name) -> const char* { return std::getenv(name); }));
    if (is_directory(place)) return open_directory(place);
    if (place.ends_with(".gguf") || starts_like_gguf(place)) return open_gguf_model(place);
    if (place.ends_with(".safetensors") || place.ends_with(".json")) {
      return invalid_argument(cat(place, " is one file of a model; give the directory it lies in"));
    }
    return invalid_argument(cat(place, " is neither a directory nor a GGUF file"));
  }();
  if (opened.ok()) opened->path = path;
  return opened;
}

Result<Json> parse_config(std::string_view json, const std::string& path) {
  const JsonLimits limits{.bytes_max = kConfigBytesMax, .depth_max = 64};
  auto parsed = parse_json(json, limits);
  if (!parsed.ok() && (json.find("NaN") != std::string_view::npos || json.find("Infinity") != std::string_view::npos)) {
    if (auto again = parse_json(without_python_numbers(json), limits); again.ok()) parsed = std::move(again);
  }
  if (!parsed.ok()) return Error{parsed.error().code, cat(path, ": ", parsed.error().message), {}, {}};
  if (!parsed->is_object()) return corrupt_data(cat(path, ": expected a JSON object"));
  return parsed;
}

Result<std::vector<NamedTemplate>> parse_chat_templates(const Json& object, const std::string& path) {
  std::vector<NamedTemplate> templates;
  const Json* value = json_find(object, "chat_template");
  if (value == nullptr || value->is_null()) return templates;
  if (value->is_string()) {
    templates.push_back({"default", value->get<std::string>()});
  } else if (value->is_object()) {
    for (const auto& [name, source] : value->items()) {
      if (!source.is_string()) return corrupt_data(cat(path, ": chat_template ", quote(name), " must be a string"));
      templates.push_back({name, source.get<std::string>()});
    }
  } else if (value->is_array()) {
    for (const Json& each : *value) {
      const Json* name = json_find(each, "name");
      const Json* source = json_find(each, "template");
      if (name == nullptr || source == nullptr || !name->is_string() || !source->is_string()) {
        return corrupt_data(cat(path, ": each entry of chat_template must be {\"name\": \"…\", \"template\": \"…\"}"));
      }
      add_template(templates, name->get<std::string>(), source->get<std::string>());
    }
  } else {
    return corrupt_data(cat(path, ": chat_template must be a string or a list of named templates"));
  }
  const auto first =
      std::find_if(templates.begin(), templates.end(), [](const auto& each) { return each.name == "default"; });
  if (first != templates.end()) std::rotate(templates.begin(), first, first + 1);
  return templates;
}

}  // namespace sluice::checkpoint
