// From the vocabulary of a GGUF file to the files transformers reads.

#include <algorithm>
#include <unordered_map>

#include "base/strings.h"
#include "cli/convert_tokenizer.h"
#include "text/tokenizer_gguf_patterns.h"

namespace sluice::cli {
namespace {

using checkpoint::GgufVocabularyArrays;

constexpr int32_t kUnknownType = 2, kControlType = 3, kUserDefinedType = 4, kUnusedType = 5;
constexpr std::string_view kSpaceMark = "\xE2\x96\x81";

bool is_type(const GgufVocabularyArrays& arrays, size_t id, int32_t type) {
  return id < arrays.types.size() && arrays.types[id] == type;
}

Json vocab_object(const GgufVocabularyArrays& arrays) {
  Json::object_t words;
  words.reserve(arrays.tokens.size());
  std::unordered_map<std::string_view, bool> seen;
  for (size_t id = 0; id < arrays.tokens.size(); ++id) {
    if (is_type(arrays, id, kUnusedType) || !seen.emplace(arrays.tokens[id], true).second) continue;
    words.push_back({utf8_sanitize(arrays.tokens[id]), id});
  }
  return words;
}

Json added_tokens(const GgufVocabularyArrays& arrays, bool byte_level) {
  Json added = Json::array();
  for (size_t id = 0; id < arrays.tokens.size(); ++id) {
    const bool special = is_type(arrays, id, kControlType) || (!byte_level && is_type(arrays, id, kUnknownType));
    if (!special && !is_type(arrays, id, kUserDefinedType)) continue;
    added.push_back({{"id", id},
                     {"content", utf8_sanitize(arrays.tokens[id])},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", special}});
  }
  return added;
}

// The pairs of tokens that make up each token, the best scores first, as transformers' SentencePieceExtractor lists
// them.
Json merges_of_scores(const GgufVocabularyArrays& arrays) {
  struct Merge {
    float score;
    size_t order, left, right;
  };
  std::unordered_map<std::string_view, size_t> ids;
  for (size_t id = 0; id < arrays.tokens.size(); ++id) ids.emplace(arrays.tokens[id], id);
  std::vector<Merge> merges;
  for (size_t id = 0; id < arrays.tokens.size(); ++id) {
    if (!arrays.types.empty() && arrays.types[id] != 1 && arrays.types[id] != kUserDefinedType) continue;
    const std::string_view text = arrays.tokens[id];
    const size_t begin = merges.size();
    for (size_t cut = 1; cut < text.size(); ++cut) {
      if ((static_cast<unsigned char>(text[cut]) & 0xC0) == 0x80) continue;
      const auto left = ids.find(text.substr(0, cut)), right = ids.find(text.substr(cut));
      if (left != ids.end() && right != ids.end())
        merges.push_back({arrays.scores[id], 0, left->second, right->second});
    }
    std::sort(merges.begin() + static_cast<long>(begin), merges.end(),
              [](const Merge& a, const Merge& b) { return std::pair(a.left, a.right) < std::pair(b.left, b.right); });
  }
  for (size_t i = 0; i < merges.size(); ++i) merges[i].order = i;
  std::sort(merges.begin(), merges.end(),
            [](const Merge& a, const Merge& b) { return a.score != b.score ? a.score > b.score : a.order < b.order; });
  Json list = Json::array();
  for (const Merge& merge : merges)
    list.push_back(Json::array({utf8_sanitize(arrays.tokens[merge.left]), utf8_sanitize(arrays.tokens[merge.right])}));
  return list;
}

Json byte_level_merges(const GgufVocabularyArrays& arrays) {
  Json list = Json::array();
  for (const std::string& merge : arrays.merges) {
    const size_t space = merge.find(' ', 1);
    if (space == std::string::npos) continue;
    list.push_back(Json::array({utf8_sanitize(merge.substr(0, space)), utf8_sanitize(merge.substr(space + 1))}));
  }
  return list;
}

// <bos> text <eos>, as far as the file asks for them.
Json post_processor(const GgufVocabularyArrays& arrays, bool adds_bos) {
  Json single = Json::array(), pair = Json::array(), special = Json::object();
  const auto add = [&](const std::optional<int32_t>& id, int type) {
    const std::string& token = arrays.tokens[static_cast<size_t>(*id)];
    if (type == 0) single.push_back({{"SpecialToken", {{"id", token}, {"type_id", 0}}}});
    pair.push_back({{"SpecialToken", {{"id", token}, {"type_id", type}}}});
    special[token] = {{"id", token}, {"ids", {*id}}, {"tokens", {token}}};
  };
  const bool bos = arrays.bos && adds_bos, eos = arrays.eos && arrays.add_eos.value_or(false);
  if (!bos && !eos) return nullptr;
  if (bos) add(arrays.bos, 0);
  single.push_back({{"Sequence", {{"id", "A"}, {"type_id", 0}}}});
  pair.push_back({{"Sequence", {{"id", "A"}, {"type_id", 0}}}});
  if (eos) add(arrays.eos, 0);
  if (bos) add(arrays.bos, 1);
  pair.push_back({{"Sequence", {{"id", "B"}, {"type_id", 1}}}});
  if (eos) add(arrays.eos, 1);
  return {{"type", "TemplateProcessing"}, {"single", single}, {"pair", pair}, {"special_tokens", special}};
}

Json skeleton(const GgufVocabularyArrays& arrays, bool byte_level) {
  return {{"version", "1.0"},
          {"truncation", nullptr},
          {"padding", nullptr},
          {"added_tokens", added_tokens(arrays, byte_level)},
          {"normalizer", nullptr},
          {"pre_tokenizer", nullptr},
          {"post_processor", nullptr},
          {"decoder", nullptr},
          {"model", {{"type", "BPE"}, {"dropout", nullptr}, {"unk_token", nullptr}}}};
}

Result<Json> byte_level_tokenizer(const GgufVocabularyArrays& arrays) {
  const text::PreRule* rule = text::find_pre_rule(arrays.pre.empty() ? "default" : arrays.pre);
  if (rule == nullptr || rule->escape_spaces)
    return unimplemented(cat("the pre-tokenizer '", arrays.pre, "' cannot be written as a tokenizer.json"));
  Json out = skeleton(arrays, true);
  Json steps = Json::array();
  for (const std::string& pattern : rule->patterns)
    steps.push_back(
        {{"type", "Split"}, {"pattern", {{"Regex", pattern}}}, {"behavior", "Isolated"}, {"invert", false}});
  const Json bytes = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", false}};
  steps.push_back(bytes);
  out["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", steps}};
  out["decoder"] = bytes;
  if (rule->nfc) out["normalizer"] = {{"type", "NFC"}};
  out["post_processor"] = post_processor(arrays, arrays.add_bos.value_or(rule->add_bos));
  Json& model = out["model"];
  model["fuse_unk"] = false;
  model["byte_fallback"] = false;
  model["ignore_merges"] = rule->ignore_merges;
  model["vocab"] = vocab_object(arrays);
  model["merges"] = byte_level_merges(arrays);
  return out;
}

Json sentencepiece_tokenizer(const GgufVocabularyArrays& arrays) {
  Json out = skeleton(arrays, false);
  const bool prefix = arrays.add_space_prefix.value_or(true);
  Json normalizers = Json::array(), decoders = Json::array();
  if (prefix) normalizers.push_back({{"type", "Prepend"}, {"prepend", kSpaceMark}});
  normalizers.push_back({{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", kSpaceMark}});
  decoders.push_back({{"type", "Replace"}, {"pattern", {{"String", kSpaceMark}}}, {"content", " "}});
  decoders.push_back({{"type", "ByteFallback"}});
  decoders.push_back({{"type", "Fuse"}});
  if (prefix) decoders.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
  out["normalizer"] = {{"type", "Sequence"}, {"normalizers", normalizers}};
  out["decoder"] = {{"type", "Sequence"}, {"decoders", decoders}};
  out["post_processor"] = post_processor(arrays, arrays.add_bos.value_or(true));
  Json& model = out["model"];
  const auto unknown = static_cast<size_t>(arrays.unk.value_or(0));
  if (unknown < arrays.tokens.size()) model["unk_token"] = arrays.tokens[unknown];
  model["fuse_unk"] = true;
  model["byte_fallback"] = true;
  model["ignore_merges"] = false;
  model["vocab"] = vocab_object(arrays);
  model["merges"] = merges_of_scores(arrays);
  return out;
}

Json tokenizer_config(const GgufVocabularyArrays& arrays) {
  Json config = {{"tokenizer_class", "PreTrainedTokenizerFast"}, {"clean_up_tokenization_spaces", false}};
  const std::pair<const char*, std::optional<int32_t>> names[] = {
      {"bos_token", arrays.bos}, {"eos_token", arrays.eos}, {"unk_token", arrays.unk}, {"pad_token", arrays.pad}};
  for (const auto& [name, id] : names) {
    if (id) config[name] = arrays.tokens[static_cast<size_t>(*id)];
  }
  return config;
}

Json generation_config(const GgufVocabularyArrays& arrays) {
  Json config = Json::object();
  if (arrays.bos) config["bos_token_id"] = *arrays.bos;
  Json ends = Json::array();
  for (const auto& id : {arrays.eos, arrays.eot, arrays.eom}) {
    if (id && std::find(ends.begin(), ends.end(), Json(*id)) == ends.end()) ends.push_back(*id);
  }
  if (ends.size() == 1) config["eos_token_id"] = ends[0];
  if (ends.size() > 1) config["eos_token_id"] = ends;
  if (arrays.pad) config["pad_token_id"] = *arrays.pad;
  return config;
}

}  // namespace

Result<std::vector<TextFile>> tokenizer_files(const checkpoint::ModelFiles& model) {
  const checkpoint::GgufMetadata& metadata = model.metadata;
  std::vector<TextFile> files;
  for (const checkpoint::NamedTemplate& each : model.templates) {
    const bool first = each.name == "default";
    const bool bare = each.name.find_first_of("/\\") == std::string::npos && !each.name.starts_with('.');
    if (!first && !bare) return corrupt_data(cat(metadata.path(), ": chat template '", each.name, "' is no file name"));
    files.push_back(
        {first ? "chat_template.jinja" : cat("additional_chat_templates/", each.name, ".jinja"), each.source});
  }
  if (!metadata.contains(cat("tokenizer.ggml.", "tokens"))) return files;
  SLUICE_TRY(const GgufVocabularyArrays arrays, checkpoint::read_gguf_vocabulary(metadata));
  std::string tokenizer;
  if (metadata.contains("tokenizer.huggingface.json")) {
    SLUICE_TRY(const std::string_view source, metadata.string("tokenizer.huggingface.json"));
    tokenizer = source;
  } else if (arrays.model == "gpt2") {
    SLUICE_TRY(const Json made, byte_level_tokenizer(arrays));
    tokenizer = dump_json(made, 1);
  } else if (arrays.model == "llama" && arrays.scores.size() == arrays.tokens.size()) {
    tokenizer = dump_json(sentencepiece_tokenizer(arrays), 1);
  } else {
    return unimplemented(cat(metadata.path(), ": a tokenizer of model '", arrays.model,
                             "' cannot be written as a tokenizer.json; gpt2 and llama can"));
  }
  files.push_back({"tokenizer.json", std::move(tokenizer)});
  Json config = tokenizer_config(arrays);
  if (metadata.contains(checkpoint::kTokenizerConfigKey)) {
    SLUICE_TRY(const std::string_view text, metadata.string(checkpoint::kTokenizerConfigKey));
    SLUICE_TRY(config, checkpoint::parse_config(text, cat(metadata.path(), ": ", checkpoint::kTokenizerConfigKey)));
  }
  files.push_back({"tokenizer_config.json", dump_json(config, 2) + "\n"});
  const Json generation = model.generation_config.is_object() ? model.generation_config : generation_config(arrays);
  files.push_back({"generation_config.json", dump_json(generation, 2) + "\n"});
  return files;
}

}  // namespace sluice::cli
