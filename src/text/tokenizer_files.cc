// The older forms of a Hugging Face tokenizer: vocab.json with merges.txt, vocab.txt; and tokenizer_config.json.

#include <algorithm>
#include <charconv>

#include "base/file.h"
#include "base/json.h"
#include "base/strings.h"
#include "text/bpe.h"
#include "text/tokenizer_loaders.h"
#include "text/tokenizer_pieces.h"

namespace sluice::text {
namespace {

// "<s>" or {"content": "<s>", …}.
Result<std::optional<std::string>> token_name(const Json& json, std::string_view key) {
  const Json* value = json_find(json, key);
  if (value == nullptr || value->is_null()) return std::optional<std::string>();
  if (value->is_string()) return std::optional(value->get<std::string>());
  if (!value->is_object())
    return corrupt_data(cat("\"", key, "\" must be a token, not ", dump_json(*value).substr(0, 40)));
  SLUICE_TRY(std::string content, json_string(*value, "content", ""));
  return std::optional(std::move(content));
}

Result<std::optional<bool>> optional_bool(const Json& json, std::string_view key) {
  const Json* value = json_find(json, key);
  if (value == nullptr || value->is_null()) return std::optional<bool>();
  SLUICE_TRY(const bool on, json_bool(json, key, false));
  return std::optional(on);
}

Result<void> read_added_decoder(const Json& tokens, TokenizerConfig& config) {
  if (!tokens.is_object()) return corrupt_data("\"added_tokens_decoder\" must be an object");
  for (const auto& [key, value] : tokens.items()) {
    AddedToken token;
    const auto read = std::from_chars(key.data(), key.data() + key.size(), token.id);
    if (read.ec != std::errc() || read.ptr != key.data() + key.size()) {
      return corrupt_data(cat("added_tokens_decoder has the key \"", key, "\", which is no id"));
    }
    SLUICE_TRY(token.content, json_string(value, "content", ""));
    SLUICE_TRY(token.single_word, json_bool(value, "single_word", false));
    SLUICE_TRY(token.lstrip, json_bool(value, "lstrip", false));
    SLUICE_TRY(token.rstrip, json_bool(value, "rstrip", false));
    SLUICE_TRY(token.special, json_bool(value, "special", false));
    token.normalized = false;
    if (!token.content.empty()) config.added.push_back(std::move(token));
  }
  return {};
}

Result<void> read_names(const Json& json, TokenizerConfig& config) {
  const std::pair<std::string_view, std::optional<std::string>*> names[] = {
      {"bos_token", &config.bos}, {"eos_token", &config.eos}, {"unk_token", &config.unk}, {"pad_token", &config.pad}};
  for (const auto& [key, out] : names) {
    SLUICE_TRY(const auto name, token_name(json, key));
    if (name && !*out) *out = name;
  }
  return {};
}

bool is_one_of(const std::string& name, std::initializer_list<std::string_view> stems) {
  for (std::string_view stem : stems) {
    if (name == stem || name == cat(stem, "Fast")) return true;
  }
  return false;
}

void frame_with(std::string_view first, std::string_view last, TokenizerParts& parts) {
  const auto begin = parts.vocabulary->find(first);
  const auto end = parts.vocabulary->find(last);
  if (begin) parts.frame.emplace_back(begin);
  parts.frame.push_back(std::nullopt);
  if (end) parts.frame.emplace_back(end);
}

// Tokens the config names that the vocabulary has are found in the text, as transformers does.
void add_named(const TokenizerConfig& config, TokenizerParts& parts) {
  for (const auto* name : {&config.bos, &config.eos, &config.unk, &config.pad}) {
    if (!*name || (*name)->empty()) continue;
    const auto id = parts.vocabulary->find(**name);
    if (!id) continue;
    AddedToken token;
    token.content = **name;
    token.id = *id;
    token.normalized = false;
    token.special = true;
    add_tokens({token}, parts);
  }
  add_tokens(config.added, parts);
}

// added_tokens.json: {"<pad>": 32000}, where there is no added_tokens_decoder.
Result<void> read_added_encoder(const Json& tokens, TokenizerConfig& config) {
  for (const auto& [content, id] : tokens.items()) {
    if (!id.is_number_integer() || id.get<int64_t>() < 0 || id.get<int64_t>() > kTokenIdMax) {
      return corrupt_data(
          cat("the id of '", content, "' must be between 0 and ", kTokenIdMax, ", not ", dump_json(id).substr(0, 40)));
    }
    AddedToken token;
    token.content = content;
    token.id = id.get<TokenId>();
    token.normalized = false;
    for (const auto* name : {&config.bos, &config.eos, &config.unk, &config.pad})
      token.special = token.special || *name == content;
    if (!content.empty()) config.added.push_back(std::move(token));
  }
  return {};
}

// A JSON object of a file; null when the file is not there.
Result<Json> read_object(const std::string& path) {
  if (!file_exists(path)) return Json();
  SLUICE_TRY(const std::string text, read_file(path, size_t{64} << 20));
  auto json = parse_json(text);
  if (!json.ok()) return Error{json.error().code, cat(path, ": ", json.error().message), {}, {}};
  if (!json->is_object()) return corrupt_data(cat(path, ": expected a JSON object"));
  return json;
}

Result<TokenizerConfig> read_tokenizer_config_unnamed(const std::string& directory) {
  TokenizerConfig config;
  SLUICE_TRY(const Json json, read_object(directory + "/tokenizer_config.json"));
  if (!json.is_null()) {
    SLUICE_TRY(config.tokenizer_class, json_string(json, "tokenizer_class", ""));
    SLUICE_RETURN_IF_ERROR(read_names(json, config));
    SLUICE_TRY(config.add_bos, optional_bool(json, "add_bos_token"));
    SLUICE_TRY(config.add_eos, optional_bool(json, "add_eos_token"));
    SLUICE_TRY(config.lowercase, optional_bool(json, "do_lower_case"));
    SLUICE_TRY(config.add_prefix_space, json_bool(json, "add_prefix_space", false));
    if (const Json* added = json_find(json, "added_tokens_decoder"); added != nullptr && !added->is_null()) {
      SLUICE_RETURN_IF_ERROR(read_added_decoder(*added, config));
    }
  }
  const std::string names_path = directory + "/special_tokens_map.json";
  SLUICE_TRY(const Json names, read_object(names_path));
  if (!names.is_null()) SLUICE_RETURN_IF_ERROR(in_file(names_path, read_names(names, config)));
  if (json.is_null() || json_find(json, "added_tokens_decoder") == nullptr) {
    const std::string added_path = directory + "/added_tokens.json";
    SLUICE_TRY(const Json added, read_object(added_path));
    if (!added.is_null()) SLUICE_RETURN_IF_ERROR(in_file(added_path, read_added_encoder(added, config)));
  }
  return config;
}

}  // namespace

Result<TokenizerConfig> read_tokenizer_config(const std::string& directory) {
  auto config = read_tokenizer_config_unnamed(directory);
  if (config.ok() || config.error().message.find(directory) != std::string::npos) return config;
  return in_file(directory + "/tokenizer_config.json", std::move(config));
}

Result<void> frame_as_chatglm(TokenizerParts& parts) {
  parts.frame.clear();
  const std::vector<std::string_view> framing[] = {{"[gMASK]"}, {"<sop>", "sop"}};
  for (const std::vector<std::string_view>& names : framing) {
    const auto named = [&](const AddedToken& token) {
      return std::ranges::count(names, std::string_view(token.content)) > 0;
    };
    const auto found = std::ranges::find_if(parts.added, named);
    if (found == parts.added.end()) {
      return unimplemented(cat("tokenizer_config.json: a ChatGLM tokenizer needs the token \"", names.front(),
                               "\" in added_tokens_decoder"));
    }
    parts.frame.emplace_back(found->id);
  }
  parts.frame.push_back(std::nullopt);
  return {};
}

Result<TokenizerParts> parts_from_vocab_merges(std::string_view vocab_json, std::string_view merges_txt,
                                               const TokenizerConfig& config) {
  if (!utf8_valid(vocab_json)) return corrupt_data("vocab.json is not UTF-8");
  if (!utf8_valid(merges_txt)) return corrupt_data("merges.txt is not UTF-8");
  const std::string& name = config.tokenizer_class;
  const bool qwen2 = is_one_of(name, {"Qwen2Tokenizer"});
  const bool roberta = is_one_of(name, {"RobertaTokenizer", "BartTokenizer", "LongformerTokenizer", "LEDTokenizer"});
  const bool gpt2 =
      name.empty() || is_one_of(name, {"GPT2Tokenizer", "CodeGenTokenizer", "GPTNeoXTokenizer", "WhisperTokenizer"});
  if (!qwen2 && !roberta && !gpt2) {
    return unimplemented(
        cat("vocab.json and merges.txt of the tokenizer class \"", name, "\": its way of cutting text is not known"));
  }
  TokenizerParts parts;
  SLUICE_TRY(auto vocabulary, read_vocab_object(vocab_json));
  parts.vocabulary = vocabulary;
  MergeReader merges(*vocabulary, 0);
  for (bool first = true; !merges_txt.empty(); first = false) {
    const size_t end = std::min(merges_txt.find('\n'), merges_txt.size());
    std::string_view line = merges_txt.substr(0, end);
    merges_txt.remove_prefix(std::min(end + 1, merges_txt.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty() || (first && line.starts_with("#version"))) continue;
    SLUICE_RETURN_IF_ERROR(merges.add_line(line));
  }
  if (qwen2) {
    SLUICE_TRY(parts.pre_tokenizer, PreTokenizer::byte_level({std::string(kQwen2Pattern)}));
    SLUICE_TRY(parts.normalizer, make_normalizer({{"type", "NFC"}}));
  } else {
    SLUICE_TRY(parts.pre_tokenizer,
               PreTokenizer::from_json({{"type", "ByteLevel"}, {"add_prefix_space", config.add_prefix_space}}));
  }
  BpeOptions options;
  options.byte_level = parts.pre_tokenizer.drop_byte_alphabet();
  SLUICE_TRY(parts.model, Bpe::create(vocabulary, merges.take(), options));
  parts.decoder = Decoder::byte_level();
  add_named(config, parts);
  apply_config(config, parts);
  if (roberta) {
    parts.frame.clear();
    frame_with(config.bos.value_or("<s>"), config.eos.value_or("</s>"), parts);
  }
  return parts;
}

Result<TokenizerParts> parts_from_word_list(std::string_view vocab_txt, const TokenizerConfig& config) {
  if (!utf8_valid(vocab_txt)) return corrupt_data("vocab.txt is not UTF-8");
  auto vocabulary = std::make_shared<Vocabulary>();
  for (TokenId id = 0; !vocab_txt.empty(); ++id) {
    const size_t end = std::min(vocab_txt.find('\n'), vocab_txt.size());
    std::string_view line = vocab_txt.substr(0, end);
    vocab_txt.remove_prefix(std::min(end + 1, vocab_txt.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (!vocabulary->find(line)) SLUICE_RETURN_IF_ERROR(vocabulary->add(line, id));
  }
  TokenizerParts parts;
  parts.vocabulary = vocabulary;
  WordPieceOptions options;
  options.unk_token = config.unk.value_or("[UNK]");
  SLUICE_TRY(parts.model, make_word_piece(vocabulary, options));
  SLUICE_TRY(parts.normalizer,
             make_normalizer({{"type", "BertNormalizer"}, {"lowercase", config.lowercase.value_or(true)}}));
  SLUICE_TRY(parts.pre_tokenizer, PreTokenizer::from_json({{"type", "BertPreTokenizer"}}));
  parts.decoder = Decoder::word_piece("##");
  for (const char* special : {"[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]"}) {
    const auto id = vocabulary->find(special);
    if (!id) continue;
    AddedToken token;
    token.content = special;
    token.id = *id;
    token.normalized = false;
    token.special = true;
    parts.added.push_back(std::move(token));
  }
  add_named(config, parts);
  apply_config(config, parts);
  parts.frame.clear();
  frame_with("[CLS]", "[SEP]", parts);
  return parts;
}

}  // namespace sluice::text
