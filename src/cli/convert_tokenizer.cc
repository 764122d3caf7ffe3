#include "cli/convert_tokenizer.h"

#include <algorithm>
#include <map>

#include "base/file.h"
#include "base/log.h"
#include "base/strings.h"
#include "text/pre_tokenizer_patterns.h"
#include "text/sentencepiece.h"
#include "text/tokenizer.h"
#include "text/tokenizer_gguf_patterns.h"

namespace sluice::cli {
namespace {

using text::PieceType;

constexpr std::string_view kPrefix = "tokenizer.ggml.";
constexpr size_t kFileBytesMax = size_t{256} << 20;

std::string key(std::string_view name) { return cat(kPrefix, name); }
int32_t type_number(PieceType type) { return static_cast<int32_t>(type); }

// The names GGUF has for pre-tokenizers; where two mean the same, the first is written.
constexpr std::string_view kPreNames[] = {
    "llama-bpe",  "qwen2",      "glm4",    "gpt-2",        "tekken",      "gpt-4o",         "starcoder", "qwen35",
    "stablelm2",  "falcon",     "kimi-k2", "deepseek-llm", "deepseek-v3", "deepseek-coder", "bloom",     "viking",
    "bailingmoe", "seed-coder", "jais-2",  "superbpe",     "tiny_aya",    "default"};

std::string type_of(const Json& object) {
  const Json* type = json_find(object, "type");
  return type != nullptr && type->is_string() ? type->get<std::string>() : "";
}

// Every component of a tokenizer.json part, sequences taken apart.
std::vector<const Json*> components(const Json* part) {
  std::vector<const Json*> all;
  if (part == nullptr || !part->is_object()) return all;
  for (const char* list : {"pretokenizers", "normalizers", "decoders", "processors"}) {
    const Json* inner = json_find(*part, list);
    if (inner == nullptr || !inner->is_array()) continue;
    for (const Json& each : *inner) {
      for (const Json* found : components(&each)) all.push_back(found);
    }
    return all;
  }
  all.push_back(part);
  return all;
}

bool has_component(const Json& tokenizer, std::string_view part, std::string_view type) {
  return std::ranges::any_of(components(json_find(tokenizer, part)),
                             [&](const Json* each) { return type_of(*each) == type; });
}

// The regular expressions text is split by, in order.
std::vector<std::string> split_patterns(const Json& tokenizer) {
  std::vector<std::string> patterns;
  for (const Json* each : components(json_find(tokenizer, "pre_tokenizer"))) {
    const std::string type = type_of(*each);
    if (type == "Split") {
      const Json* pattern = json_find(*each, "pattern");
      const Json* regex = pattern == nullptr ? nullptr : json_find(*pattern, "Regex");
      if (regex != nullptr && regex->is_string()) patterns.push_back(regex->get<std::string>());
    } else if (type == "Digits") {
      const auto single = json_bool(*each, "individual_digits", false);
      patterns.emplace_back(single.ok() && *single ? R"(\p{N})" : R"(\p{N}+)");
    } else if (type == "ByteLevel") {
      const auto use_regex = json_bool(*each, "use_regex", true);
      if (use_regex.ok() && *use_regex) patterns.emplace_back(text::kGpt2Pattern);
    }
  }
  return patterns;
}

std::string_view pre_name(const Json& tokenizer, const Json& model) {
  const std::vector<std::string> patterns = split_patterns(tokenizer);
  const bool nfc = has_component(tokenizer, "normalizer", "NFC");
  const auto ignores = json_bool(model, "ignore_merges", false);
  for (const bool exact : {true, false}) {
    for (const std::string_view name : kPreNames) {
      const text::PreRule* rule = text::find_pre_rule(name);
      if (rule == nullptr || rule->escape_spaces || rule->patterns != patterns) continue;
      if (!exact || (rule->nfc == nfc && rule->ignore_merges == (ignores.ok() && *ignores))) return name;
    }
  }
  return {};
}

// The arrays of a GGUF vocabulary while they are filled.
struct Vocabulary {
  std::vector<std::string> tokens;
  std::vector<int32_t> types;
  std::vector<float> scores;
  std::vector<std::string> merges;

  Result<void> set(int64_t id, std::string text, PieceType type) {
    constexpr int64_t kIdMax = 1 << 24;
    if (id < 0 || id > kIdMax)
      return corrupt_data(cat("tokenizer.json: token '", text, "' has the impossible id ", id));
    const auto at = static_cast<size_t>(id);
    if (at >= tokens.size()) {
      tokens.resize(at + 1);
      types.resize(at + 1, type_number(PieceType::kUnused));
    }
    tokens[at] = std::move(text);
    types[at] = type_number(type);
    return {};
  }
  std::optional<int32_t> find(std::string_view text) const {
    const auto found = std::ranges::find(tokens, text);
    if (found == tokens.end()) return std::nullopt;
    return static_cast<int32_t>(found - tokens.begin());
  }
};

bool is_byte_token(std::string_view text) { return text.size() == 6 && text.starts_with("<0x") && text.ends_with(">"); }

Result<void> read_vocabulary(const Json& tokenizer, const Json& model, bool byte_level, Vocabulary& out) {
  const Json* words = json_find(model, "vocab");
  if (words == nullptr || !words->is_object()) return corrupt_data("tokenizer.json: its model has no 'vocab' object");
  for (const auto& [text, id] : words->items()) {
    if (!id.is_number_integer()) return corrupt_data(cat("tokenizer.json: the id of '", text, "' is no whole number"));
    const bool byte = !byte_level && is_byte_token(text);
    SLUICE_RETURN_IF_ERROR(out.set(id.get<int64_t>(), text, byte ? PieceType::kByte : PieceType::kNormal));
  }
  SLUICE_TRY(const std::string unknown, json_string(model, "unk_token", ""));
  if (const auto id = out.find(unknown); id && !unknown.empty())
    out.types[static_cast<size_t>(*id)] = type_number(PieceType::kUnknown);
  const Json* added = json_find(tokenizer, "added_tokens");
  if (added == nullptr || !added->is_array()) return {};
  for (const Json& token : *added) {
    SLUICE_TRY(const std::string text, json_string(token, "content", ""));
    SLUICE_TRY(const int64_t id, json_int(token, "id", -1));
    SLUICE_TRY(const bool special, json_bool(token, "special", false));
    const PieceType type = text == unknown && !byte_level ? PieceType::kUnknown
                           : special                      ? PieceType::kControl
                                                          : PieceType::kUserDefined;
    SLUICE_RETURN_IF_ERROR(out.set(id, text, type));
  }
  return {};
}

Result<void> read_merges(const Json& model, Vocabulary& out) {
  const Json* merges = json_find(model, "merges");
  if (merges == nullptr || !merges->is_array()) return corrupt_data("tokenizer.json: its model has no 'merges' list");
  for (const Json& merge : *merges) {
    if (merge.is_string()) {
      out.merges.push_back(merge.get<std::string>());
    } else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
      out.merges.push_back(cat(merge[0].get<std::string>(), " ", merge[1].get<std::string>()));
    } else {
      return corrupt_data("tokenizer.json: each merge must be two strings");
    }
  }
  return {};
}

// SentencePiece scores: of its own model file, else by the order of the merges, which was made from them.
Result<void> set_scores(const std::string& directory, Vocabulary& out) {
  out.scores.assign(out.tokens.size(), 0);
  const std::string path = directory + "/tokenizer.model";
  if (file_exists(path)) {
    SLUICE_TRY(const std::string bytes, read_file(path, kFileBytesMax));
    const auto model = text::read_sentencepiece_model(bytes);
    if (model.ok()) {
      for (size_t id = 0; id < std::min(model->pieces.size(), out.tokens.size()); ++id) {
        const auto& piece = model->pieces[id];
        if (piece.text != out.tokens[id]) continue;
        out.scores[id] = piece.score;
        if (out.types[id] == type_number(PieceType::kNormal)) out.types[id] = type_number(piece.type);
      }
      out.merges.clear();
      return {};
    }
  }
  std::map<std::string_view, size_t> ids;
  for (size_t id = 0; id < out.tokens.size(); ++id) ids.emplace(out.tokens[id], id);
  std::vector<std::string> joined;
  for (size_t rank = 0; rank < out.merges.size(); ++rank) {
    std::string whole = out.merges[rank];
    whole.erase(whole.find(' ', 1), 1);
    const auto found = ids.find(whole);
    if (found != ids.end() && out.scores[found->second] == 0) out.scores[found->second] = -static_cast<float>(rank) - 1;
  }
  out.merges.clear();
  return {};
}

// Ids that end an answer: the generation config's, the config's, the tokenizer's.
std::vector<int32_t> end_ids(const checkpoint::ModelFiles& files) {
  std::vector<int32_t> ids;
  const auto take = [&](const Json& id) {
    if (id.is_number_integer() && std::ranges::count(ids, id.get<int32_t>()) == 0) ids.push_back(id.get<int32_t>());
  };
  const Json* text_config = json_find(files.config, "text_config");
  for (const Json* config : {&files.generation_config, &files.config, text_config}) {
    const Json* eos = config == nullptr ? nullptr : json_find(*config, "eos_token_id");
    if (eos == nullptr) continue;
    if (eos->is_array()) {
      for (const Json& id : *eos) take(id);
    } else {
      take(*eos);
    }
  }
  return ids;
}

std::optional<int32_t> named_id(const checkpoint::ModelFiles& files, const Vocabulary& words, const char* name) {
  const Json* value = json_find(files.tokenizer_config, name);
  if (value != nullptr && value->is_object()) value = json_find(*value, "content");
  if (value != nullptr && value->is_string()) return words.find(value->get<std::string>());
  const Json* id = json_find(files.config, cat(name, "_id"));
  if (id != nullptr && id->is_number_integer() && id->get<int64_t>() >= 0) return id->get<int32_t>();
  return std::nullopt;
}

void add_ids(const checkpoint::ModelFiles& files, const Vocabulary& words, checkpoint::GgufHead& head) {
  const auto add = [&](std::string_view name, std::optional<int32_t> id) {
    if (id && *id >= 0 && static_cast<size_t>(*id) < words.tokens.size())
      head.add(key(name), static_cast<uint32_t>(*id));
  };
  const std::optional<int32_t> bos = named_id(files, words, "bos_token");
  add("bos_token_id", bos);
  add("unknown_token_id", named_id(files, words, "unk_token"));
  add("padding_token_id", named_id(files, words, "pad_token"));
  std::vector<int32_t> ends = end_ids(files);
  if (const auto eos = named_id(files, words, "eos_token")) {
    std::erase(ends, *eos);
    ends.insert(ends.begin(), *eos);
  }
  constexpr std::string_view kEndNames[] = {"eos_token_id", "eot_token_id", "eom_token_id"};
  for (size_t i = 0; i < std::min(ends.size(), std::size(kEndNames)); ++i) add(kEndNames[i], ends[i]);

  // GGUF has names for three end tokens and none for sampling: generation_config.json as it is.
  Json generation = files.generation_config.is_object() ? files.generation_config : Json::object();
  if (!ends.empty()) generation["eos_token_id"] = ends;
  head.add(checkpoint::kGenerationConfigKey, std::string_view(dump_json(generation)));

  if (files.tokenizer_config.is_object()) {
    Json config = files.tokenizer_config;
    config.erase("chat_template");  // it has a key of its own
    head.add(checkpoint::kTokenizerConfigKey, std::string_view(dump_json(config)));
  }

  // What the tokenizer really puts around a text.
  const auto tokenizer = text::Tokenizer::from_directory(files.directory);
  if (!tokenizer.ok()) return;
  const std::vector<text::TokenId> framed = (*tokenizer)->encode("a"),
                                   bare = (*tokenizer)->encode("a", {.add_special = false});
  head.add(key("add_bos_token"), framed.size() > bare.size() && bos && framed.front() == *bos);
  head.add(key("add_eos_token"), framed.size() > bare.size() && !ends.empty() && framed.back() == ends.front());
}

void add_templates(const std::vector<checkpoint::NamedTemplate>& templates, checkpoint::GgufHead& head) {
  std::vector<std::string> names;
  for (const checkpoint::NamedTemplate& each : templates) {
    if (each.name == "default") {
      head.add("tokenizer.chat_template", std::string_view(each.source));
    } else {
      head.add(cat("tokenizer.chat_template.", each.name), std::string_view(each.source));
      names.push_back(each.name);
    }
  }
  if (!names.empty()) head.add("tokenizer.chat_templates", std::span<const std::string>(names));
}

bool prepends_space(const Json& tokenizer) {
  for (const Json* each : components(json_find(tokenizer, "normalizer"))) {
    if (type_of(*each) == "Prepend") return true;
  }
  for (const Json* each : components(json_find(tokenizer, "pre_tokenizer"))) {
    if (type_of(*each) != "Metaspace") continue;
    const auto scheme = json_string(*each, "prepend_scheme", "");
    const auto old = json_bool(*each, "add_prefix_space", true);
    return scheme.ok() && !scheme->empty() ? *scheme != "never" : old.ok() && *old;
  }
  return false;
}

}  // namespace

Result<void> add_gguf_tokenizer(const checkpoint::ModelFiles& files, int vocab_size, checkpoint::GgufHead& head) {
  add_templates(files.templates, head);
  const std::string path = files.directory + "/tokenizer.json";
  if (!file_exists(path)) {
    const auto other = text::Tokenizer::from_directory(files.directory);
    if (!other.ok() && other.error().code == ErrorCode::kNotFound) return {};
    return unimplemented(cat(files.directory,
                             " has no tokenizer.json, which writing GGUF needs; make one with "
                             "transformers: AutoTokenizer.from_pretrained(DIR).save_pretrained(DIR)"));
  }
  SLUICE_TRY(const std::string source, read_file(path, kFileBytesMax));
  SLUICE_TRY(const Json tokenizer, parse_json(source));
  const Json* model = json_find(tokenizer, "model");
  if (model == nullptr) return corrupt_data(cat(path, ": no 'model'"));
  if (type_of(*model) != "BPE" && json_find(*model, "merges") == nullptr)
    return unimplemented(cat(path, ": a tokenizer of type '", type_of(*model), "' cannot be written to GGUF; BPE can"));
  const bool byte_level =
      has_component(tokenizer, "pre_tokenizer", "ByteLevel") || has_component(tokenizer, "decoder", "ByteLevel");
  Vocabulary words;
  SLUICE_RETURN_IF_ERROR(read_vocabulary(tokenizer, *model, byte_level, words));
  SLUICE_RETURN_IF_ERROR(read_merges(*model, words));
  for (size_t id = words.tokens.size(); id < static_cast<size_t>(vocab_size); ++id)
    SLUICE_RETURN_IF_ERROR(words.set(static_cast<int64_t>(id), cat("[PAD", id, "]"), PieceType::kUnused));
  for (size_t id = 0; id < words.tokens.size(); ++id) {
    if (words.tokens[id].empty()) words.tokens[id] = cat("[PAD", id, "]");
  }

  if (byte_level) {
    head.add(key("model"), std::string_view("gpt2"));
    std::string_view pre = pre_name(tokenizer, *model);
    if (pre.empty()) {
      log::warn(
          "GGUF has no name for this tokenizer's way of splitting text: programs that do not read "
          "tokenizer.huggingface.json will split it differently");
      pre = "default";
    }
    head.add(key("pre"), pre);
  } else {
    head.add(key("model"), std::string_view("llama"));
    head.add(key("pre"), std::string_view("default"));
    SLUICE_RETURN_IF_ERROR(set_scores(files.directory, words));
    head.add(key("scores"), std::span<const float>(words.scores));
    head.add(key("add_space_prefix"), prepends_space(tokenizer));
  }
  head.add(key("tokens"), std::span<const std::string>(words.tokens));
  head.add(key("token_type"), std::span<const int32_t>(words.types));
  if (!words.merges.empty()) head.add(key("merges"), std::span<const std::string>(words.merges));
  add_ids(files, words, head);
  head.add("tokenizer.huggingface.json", std::string_view(source));
  return {};
}

}  // namespace sluice::cli
