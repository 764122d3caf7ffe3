#include "local/model_text.h"

#include <algorithm>

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/strings.h"
#include "engine/sampling_settings.h"
#include "text/answers/tool_dialects.h"

namespace sluice::local {
namespace {

using checkpoint::ModelFiles;
using text::TokenId;

void add_id(std::vector<TokenId>& ids, int64_t id, int vocab_size) {
  if (id >= 0 && id < vocab_size && std::ranges::count(ids, static_cast<TokenId>(id)) == 0)
    ids.push_back(static_cast<TokenId>(id));
}

// eos_token_id of a config: a number or a list of them. Numbers outside the vocabulary never come up.
Result<void> add_eos(const Json& config, int vocab_size, std::vector<TokenId>& ids) {
  const Json* eos = json_find(config, "eos_token_id");
  if (eos == nullptr || eos->is_null()) return {};
  const Json list = eos->is_array() ? *eos : Json::array({*eos});
  for (const Json& id : list) {
    if (!id.is_number_integer()) {
      return invalid_argument(
          cat("'eos_token_id' must be a token id or a list of them, but is ", dump_json(*eos).substr(0, 80)),
          "eos_token_id");
    }
    add_id(ids, id.get<int64_t>(), vocab_size);
  }
  return {};
}

// generation_config.json, as vLLM reads it; an explicit "do_sample": false with no temperature means greedy.
Result<api::SamplingParams> recommended_sampling(const Json& config) {
  api::SamplingParams sampling;
  if (!config.is_object()) return sampling;
  const auto number = [&](const char* key, std::optional<double>& target) -> Result<void> {
    if (const Json* value = json_find(config, key); value != nullptr && !value->is_null()) {
      SLUICE_TRY(target, json_number(config, key, 0));
    }
    return {};
  };
  SLUICE_RETURN_IF_ERROR(number("temperature", sampling.temperature));
  SLUICE_RETURN_IF_ERROR(number("top_p", sampling.top_p));
  SLUICE_RETURN_IF_ERROR(number("min_p", sampling.min_p));
  SLUICE_RETURN_IF_ERROR(number("repetition_penalty", sampling.repetition_penalty));
  if (json_find(config, "top_k") != nullptr) {
    SLUICE_TRY(const int64_t top_k, json_int(config, "top_k", 0));
    sampling.top_k = static_cast<int>(std::clamp<int64_t>(top_k, 0, 1 << 30));
  }
  if (json_find(config, "max_new_tokens") != nullptr) {
    SLUICE_TRY(const int64_t tokens, json_int(config, "max_new_tokens", 0));
    sampling.max_tokens = static_cast<int>(std::clamp<int64_t>(tokens, 0, 1 << 30));
  }
  SLUICE_TRY(const bool do_sample, json_bool(config, "do_sample", true));
  if (!do_sample && !sampling.temperature) sampling.temperature = 0;
  // A request that sets nothing must not be refused for what it did not say.
  SLUICE_RETURN_IF_ERROR(engine::resolve_sampling({}, sampling, {}, 0));
  return sampling;
}

// The same in a GGUF: llama.cpp's converter writes generation_config.json's values under names of its own.
Json generation_config_of(const checkpoint::GgufMetadata& metadata) {
  Json config = Json::object();
  const std::pair<const char*, const char*> names[] = {{"general.sampling.temp", "temperature"},
                                                       {"general.sampling.top_p", "top_p"},
                                                       {"general.sampling.top_k", "top_k"},
                                                       {"general.sampling.min_p", "min_p"},
                                                       {"general.sampling.penalty_repeat", "repetition_penalty"}};
  for (const auto& [from, to] : names) {
    if (!metadata.contains(from)) continue;
    if (const auto whole = metadata.integer(from); whole.ok()) {
      config[to] = *whole;
    } else if (const auto number = metadata.number(from); number.ok()) {
      config[to] = *number;
    }
  }
  return config;
}

// Where generation_config.json is, or what stands for it in a GGUF.
std::string generation_config_path(const ModelFiles& files) {
  return files.kind == checkpoint::ModelKind::kGguf ? files.metadata.path()
                                                    : files.directory + "/generation_config.json";
}

Result<void> load_hugging_face(const ModelFiles& files, ModelText& made) {
  SLUICE_TRY(made.tokenizer, text::Tokenizer::from_directory(files.directory));
  if (files.tokenizer_config.is_object()) {
    for (const auto& [key, value] : files.tokenizer_config.items()) {
      if (!key.ends_with("_token")) continue;
      const Json* content = value.is_object() ? json_find(value, "content") : &value;
      if (content != nullptr && content->is_string()) made.special_tokens[key] = content->get<std::string>();
    }
  }
  const int vocab = made.tokenizer->vocab_size();
  SLUICE_RETURN_IF_ERROR(in_file(generation_config_path(files), add_eos(files.generation_config, vocab, made.eos)));
  const std::string config_path = files.directory + "/config.json";
  SLUICE_RETURN_IF_ERROR(in_file(config_path, add_eos(files.config, vocab, made.eos)));
  if (const Json* nested = json_find(files.config, "text_config"); nested != nullptr)
    SLUICE_RETURN_IF_ERROR(in_file(config_path, add_eos(*nested, vocab, made.eos)));
  return {};
}

Result<void> load_gguf(const ModelFiles& files, ModelText& made) {
  SLUICE_TRY(checkpoint::GgufVocabularyArrays arrays, checkpoint::read_gguf_vocabulary(files.metadata));
  const auto vocab = static_cast<int>(arrays.tokens.size());
  for (const auto& id : {arrays.eos, arrays.eot, arrays.eom}) {
    if (id) add_id(made.eos, *id, vocab);
  }
  SLUICE_RETURN_IF_ERROR(in_file(generation_config_path(files), add_eos(files.generation_config, vocab, made.eos)));
  const std::pair<const char*, std::optional<int32_t>> names[] = {
      {"bos_token", arrays.bos}, {"eos_token", arrays.eos}, {"unk_token", arrays.unk}, {"pad_token", arrays.pad}};
  for (const auto& [name, id] : names) {
    if (id && *id >= 0 && *id < vocab) made.special_tokens[name] = arrays.tokens[static_cast<size_t>(*id)];
  }
  SLUICE_TRY(made.tokenizer, text::Tokenizer::from_gguf({.model = std::move(arrays.model),
                                                         .pre = std::move(arrays.pre),
                                                         .tokens = std::move(arrays.tokens),
                                                         .scores = std::move(arrays.scores),
                                                         .types = std::move(arrays.types),
                                                         .merges = std::move(arrays.merges),
                                                         .bos = arrays.bos,
                                                         .eos = arrays.eos,
                                                         .unk = arrays.unk,
                                                         .pad = arrays.pad,
                                                         .add_bos = arrays.add_bos,
                                                         .add_eos = arrays.add_eos,
                                                         .add_space_prefix = arrays.add_space_prefix}));
  return {};
}

// What the templates say, for finding out how the model writes calls and reasoning.
struct TemplateSources {
  std::string usual, with_tools;
};

std::optional<text::ChatTemplate> parse_if_possible(std::string_view name, const std::string& source) {
  auto parsed = text::ChatTemplate::parse(source);
  if (parsed.ok()) return std::move(parsed).value();
  log::warn("the model's chat template cannot be used; give --chat-template FILE",
            {{"template", name}, {"reason", parsed.error().message}});
  return std::nullopt;
}

// The templates' text, parsed into `made` if it can be. As transformers chooses, a template that bears another name is
// used only when it is asked for by --chat-template.
Result<TemplateSources> load_templates(const ModelFiles& files, const std::string& template_path, ModelText& made) {
  TemplateSources sources;
  if (!template_path.empty()) {
    SLUICE_TRY(sources.usual, read_file(template_path, size_t{1} << 20));
    auto parsed = text::ChatTemplate::parse(sources.usual);
    if (!parsed.ok())
      return Error{parsed.error().code, cat(template_path, ": ", parsed.error().message), "chat-template", {}};
    made.templates.usual = std::move(parsed).value();
    return sources;
  }
  for (const checkpoint::NamedTemplate& each : files.templates) {
    const bool tools = each.name == "tool_use";
    if (!tools && each.name != "default") continue;
    auto& parsed = tools ? made.templates.with_tools : made.templates.usual;
    parsed = parse_if_possible(each.name, each.source);
    if (parsed) (tools ? sources.with_tools : sources.usual) = each.source;
  }
  if (!files.templates.empty() && !made.templates.any()) {
    std::vector<std::string> names;
    for (const checkpoint::NamedTemplate& each : files.templates) names.push_back(each.name);
    log::warn("none of the model's chat templates is its default; give --chat-template FILE",
              {{"templates", join(names, ", ")}});
  }
  return sources;
}

Result<std::string> chosen_dialect(const std::string& wanted, std::string_view detected,
                                   const std::vector<std::string_view>& names, const std::string& setting) {
  if (wanted == "none") return std::string();
  if (wanted == "auto") return std::string(detected);
  if (std::ranges::count(names, wanted) > 0) return wanted;
  std::vector<std::string> known = {"auto", "none"};
  known.insert(known.end(), names.begin(), names.end());
  return invalid_argument(cat("--", setting, " must be one of ", join(known, ", "), ", not '", wanted, "'"), setting);
}

Result<void> choose_dialects(const TemplateSources& sources, const TextOptions& options, ModelText& made) {
  namespace answers = text::answers;
  std::string_view calls = answers::detect_tool_dialect(sources.with_tools);
  if (calls.empty()) calls = answers::detect_tool_dialect(sources.usual);
  std::string_view reasoning = answers::detect_reasoning_dialect(sources.usual);
  if (reasoning.empty()) reasoning = answers::detect_reasoning_dialect(sources.with_tools);
  SLUICE_TRY(made.tool_dialect,
             chosen_dialect(options.tool_parser, calls, answers::tool_dialect_names(), "tool-call-parser"));
  SLUICE_TRY(made.reasoning_dialect, chosen_dialect(options.reasoning_parser, reasoning,
                                                    answers::reasoning_dialect_names(), "reasoning-parser"));
  // Not every file lists the tokens that end an answer with calls.
  for (const std::string& token : answers::stop_texts(made.tool_dialect)) {
    if (const auto id = made.tokenizer->token_id(token)) add_id(made.eos, *id, made.tokenizer->vocab_size());
  }
  return {};
}

}  // namespace

Result<ModelText> load_model_text(const ModelFiles& files, const TextOptions& options) {
  ModelText made;
  SLUICE_RETURN_IF_ERROR(files.kind == checkpoint::ModelKind::kGguf ? load_gguf(files, made)
                                                                    : load_hugging_face(files, made));
  auto sampling = recommended_sampling(files.kind == checkpoint::ModelKind::kGguf ? generation_config_of(files.metadata)
                                                                                  : files.generation_config);
  SLUICE_TRY(made.sampling, in_file(generation_config_path(files), std::move(sampling)));
  if (const auto eos = made.tokenizer->eos(); eos) add_id(made.eos, *eos, made.tokenizer->vocab_size());
  if (made.eos.empty()) log::warn("the model names no end token: answers end at max_tokens or a stop string");

  SLUICE_TRY(const TemplateSources sources, load_templates(files, options.template_path, made));
  SLUICE_RETURN_IF_ERROR(choose_dialects(sources, options, made));
  return made;
}

}  // namespace sluice::local
