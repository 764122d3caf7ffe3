// tokenizer.json of Hugging Face tokenizers. The vocabulary and merges are read straight from the text (a tree of them
// would cost more than all the rest); everything else is small and read as a tree.

#include <algorithm>
#include <unordered_map>

#include "base/json.h"
#include "base/strings.h"
#include "text/tokenizer_json_scan.h"
#include "text/tokenizer_loaders.h"
#include "text/tokenizer_pieces.h"
#include "text/tokenizer_pipeline.h"

namespace sluice::text {
namespace {

struct Document {
  Json rest;                // all but the two below
  std::string_view vocab;   // the text of model.vocab, or empty
  std::string_view merges;  // the text of model.merges, or empty
};

// Copies an object's text to `out` without the values `visit` claims (they become null).
template <class Visit>
bool copy_object(JsonCursor& cursor, std::string_view text, std::string& out, Visit visit) {
  std::string scratch;
  std::string_view key;
  if (!cursor.take('{')) return false;
  out += '{';
  if (cursor.take('}')) {
    out += '}';
    return true;
  }
  do {
    if (!cursor.string(scratch, &key)) return false;
    append_json_string(out, key);
    out += ':';
    if (!cursor.take(':')) return false;
    cursor.at(' ');  // moves to the value
    const size_t begin = cursor.offset();
    const bool own = visit(key, cursor, out);
    if (!own && cursor.offset() == begin) {
      if (!cursor.skip_value()) return false;
      out += text.substr(begin, cursor.offset() - begin);
    } else if (!own) {
      return false;
    }
    out += ',';
  } while (cursor.take(','));
  out.back() = '}';
  return cursor.take('}');
}

Result<Document> read_document(std::string_view text) {
  if (!utf8_valid(text)) return corrupt_data("tokenizer.json is not UTF-8");
  Document document;
  std::string rest;
  JsonCursor cursor(text);
  const auto claim = [&](std::string_view* span, JsonCursor& at, std::string& out) {
    const size_t begin = at.offset();
    if (!at.skip_value()) return false;
    *span = text.substr(begin, at.offset() - begin);
    out += "null";
    return true;
  };
  const auto in_model = [&](std::string_view key, JsonCursor& at, std::string& out) {
    if (key == "vocab") return claim(&document.vocab, at, out);
    if (key == "merges") return claim(&document.merges, at, out);
    return false;
  };
  const bool whole = copy_object(cursor, text, rest, [&](std::string_view key, JsonCursor& at, std::string& out) {
    return key == "model" && at.at('{') && copy_object(at, text, out, in_model);
  });
  if (!whole || !cursor.done()) return cursor.error("a JSON object that is a tokenizer.json");
  SLUICE_TRY(document.rest, parse_json(rest));
  return document;
}

// [["token", score], …]: ids are the places.
Result<std::shared_ptr<Vocabulary>> read_scored(std::string_view json, std::vector<double>* scores) {
  auto vocabulary = std::make_shared<Vocabulary>();
  JsonCursor cursor(json);
  std::string scratch;
  std::string_view token;
  if (!cursor.take('[')) return cursor.error("model.vocab to be an array of [token, score]");
  if (cursor.take(']')) return vocabulary;
  do {
    double score = 0;
    if (!cursor.take('[') || !cursor.string(scratch, &token) || !cursor.take(',') || !cursor.number(&score) ||
        !cursor.take(']')) {
      return cursor.error("[\"token\", score] in model.vocab");
    }
    SLUICE_RETURN_IF_ERROR(vocabulary->add(token, static_cast<TokenId>(std::min<size_t>(scores->size(), INT32_MAX))));
    scores->push_back(score);
  } while (cursor.take(','));
  if (!cursor.take(']')) return cursor.error("',' or ']' in model.vocab");
  return vocabulary;
}

Result<std::vector<BpeMerge>> read_merges(std::string_view json, const Vocabulary& vocabulary, size_t prefix) {
  MergeReader reader(vocabulary, prefix);
  JsonCursor cursor(json);
  std::string scratch, scratch_right;
  std::string_view left, right;
  if (!cursor.take('[')) return cursor.error("model.merges to be an array");
  if (cursor.take(']')) return reader.take();
  do {
    if (cursor.take('[')) {
      if (!cursor.string(scratch, &left) || !cursor.take(',') || !cursor.string(scratch_right, &right) ||
          !cursor.take(']')) {
        return cursor.error("[\"left\", \"right\"] in model.merges");
      }
      SLUICE_RETURN_IF_ERROR(reader.add(left, right));
    } else {
      if (!cursor.string(scratch, &left)) return cursor.error("\"left right\" in model.merges");
      if (left.starts_with("#version")) continue;
      SLUICE_RETURN_IF_ERROR(reader.add_line(left));
    }
  } while (cursor.take(','));
  if (!cursor.take(']')) return cursor.error("',' or ']' in model.merges");
  return reader.take();
}

// Files of early versions have no "type"; what they hold tells.
std::string model_type(const Json& model, const Document& document) {
  if (const Json* type = json_find(model, "type"); type != nullptr && type->is_string())
    return type->get<std::string>();
  if (!document.merges.empty()) return "BPE";
  if (document.vocab.starts_with('[')) return "Unigram";
  if (json_find(model, "max_input_chars_per_word") != nullptr) return "WordPiece";
  return "WordLevel";
}

Result<void> read_bpe(const Json& model, const Document& document, TokenizerParts& parts) {
  SLUICE_TRY(auto vocabulary, read_vocab_object(document.vocab));
  BpeOptions options;
  SLUICE_TRY(options.continuing_subword_prefix, json_string(model, "continuing_subword_prefix", ""));
  SLUICE_TRY(options.end_of_word_suffix, json_string(model, "end_of_word_suffix", ""));
  SLUICE_TRY(options.byte_fallback, json_bool(model, "byte_fallback", false));
  SLUICE_TRY(options.fuse_unk, json_bool(model, "fuse_unk", false));
  SLUICE_TRY(options.ignore_merges, json_bool(model, "ignore_merges", false));
  SLUICE_TRY(const std::string unk, json_string(model, "unk_token", ""));
  SLUICE_TRY(const double dropout, json_number(model, "dropout", 0));
  if (dropout != 0) return unimplemented("tokenizer.json: BPE with a dropout other than 0 is not supported");
  if (!unk.empty()) options.unk = vocabulary->find(unk);
  if (document.merges.empty()) return corrupt_data("tokenizer.json: a BPE model without \"merges\"");
  SLUICE_TRY(const auto merges, read_merges(document.merges, *vocabulary, options.continuing_subword_prefix.size()));
  const bool plain =
      !options.byte_fallback && options.continuing_subword_prefix.empty() && options.end_of_word_suffix.empty();
  options.byte_level = plain && parts.pre_tokenizer.drop_byte_alphabet();
  parts.vocabulary = vocabulary;
  SLUICE_TRY(parts.model, Bpe::create(vocabulary, merges, options));
  return {};
}

Result<void> read_model(const Document& document, TokenizerParts& parts) {
  const Json* model = json_find(document.rest, "model");
  if (model == nullptr || !model->is_object()) return corrupt_data("tokenizer.json: the member \"model\" is missing");
  if (document.vocab.empty()) return corrupt_data("tokenizer.json: the member \"model.vocab\" is missing");
  const std::string type = model_type(*model, document);
  if (type == "BPE") return read_bpe(*model, document, parts);
  if (type == "Unigram") {
    UnigramOptions options;
    SLUICE_TRY(auto vocabulary, read_scored(document.vocab, &options.scores));
    SLUICE_TRY(options.byte_fallback, json_bool(*model, "byte_fallback", false));
    SLUICE_TRY(const int64_t unk, json_int(*model, "unk_id", -1));
    if (unk > kTokenIdMax) return corrupt_data(cat("tokenizer.json: unk_id ", unk, " is outside the vocabulary"));
    if (unk >= 0) options.unk = static_cast<TokenId>(unk);
    parts.vocabulary = vocabulary;
    SLUICE_TRY(parts.model, make_unigram(vocabulary, std::move(options)));
    return {};
  }
  if (type == "WordPiece") {
    WordPieceOptions options;
    SLUICE_TRY(auto vocabulary, read_vocab_object(document.vocab));
    SLUICE_TRY(options.unk_token, json_string(*model, "unk_token", "[UNK]"));
    SLUICE_TRY(options.continuing_subword_prefix, json_string(*model, "continuing_subword_prefix", "##"));
    SLUICE_TRY(const int64_t characters, json_int(*model, "max_input_chars_per_word", 100));
    if (characters < 0 || characters > 100'000)
      return corrupt_data("tokenizer.json: max_input_chars_per_word is out of range");
    options.word_characters_max = static_cast<size_t>(characters);
    parts.vocabulary = vocabulary;
    SLUICE_TRY(parts.model, make_word_piece(vocabulary, std::move(options)));
    return {};
  }
  if (type == "WordLevel") {
    SLUICE_TRY(auto vocabulary, read_vocab_object(document.vocab));
    SLUICE_TRY(const std::string unk, json_string(*model, "unk_token", "<unk>"));
    parts.vocabulary = vocabulary;
    parts.model = make_word_level(vocabulary, vocabulary->find(unk));
    return {};
  }
  return unimplemented(
      cat("tokenizer.json: the model \"", type, "\" is not known; known are BPE, Unigram, WordPiece, WordLevel"));
}

// Ids are given out as tokenizers does: a content the model knows keeps the model's id, the others follow on behind the
// vocabulary. (The file's own "id" decides only where the vocabulary has holes.)
Result<void> read_added(const Json& list, TokenizerParts& parts) {
  if (!list.is_array()) return corrupt_data("tokenizer.json: \"added_tokens\" must be an array");
  const bool holes = parts.vocabulary->count() != parts.vocabulary->size();
  int64_t next = parts.vocabulary->count();
  std::unordered_map<std::string, size_t> seen;
  for (const Json& entry : list) {
    AddedToken token;
    SLUICE_TRY(token.content, json_string(entry, "content", ""));
    SLUICE_TRY(const int64_t id, json_int(entry, "id", -1));
    SLUICE_TRY(token.single_word, json_bool(entry, "single_word", false));
    SLUICE_TRY(token.lstrip, json_bool(entry, "lstrip", false));
    SLUICE_TRY(token.rstrip, json_bool(entry, "rstrip", false));
    SLUICE_TRY(token.normalized, json_bool(entry, "normalized", true));
    SLUICE_TRY(token.special, json_bool(entry, "special", false));
    if (token.content.empty()) continue;
    if (id < 0 || id > kTokenIdMax) {
      return corrupt_data(
          cat("tokenizer.json: added token \"", token.content, "\" has id ", id, ", outside 0 … ", kTokenIdMax));
    }
    const auto known = seen.find(token.content);
    if (known != seen.end()) {
      token.id = parts.added[known->second].id;
      parts.added[known->second] = token;
      continue;
    }
    const auto in_model = parts.vocabulary->find(token.content);
    token.id = in_model ? *in_model : static_cast<TokenId>(holes ? id : next++);
    seen.emplace(token.content, parts.added.size());
    parts.added.push_back(std::move(token));
  }
  return {};
}

}  // namespace

void add_tokens(const std::vector<AddedToken>& tokens, TokenizerParts& parts) {
  for (const AddedToken& token : tokens) {
    const auto same = std::find_if(parts.added.begin(), parts.added.end(), [&](const AddedToken& known) {
      return known.content == token.content || known.id == token.id;
    });
    if (same == parts.added.end()) {
      parts.added.push_back(token);
    } else {
      const TokenId id = same->content == token.content ? same->id : token.id;
      *same = token;
      same->id = id;
    }
  }
}

namespace {

std::optional<TokenId> find_token(const TokenizerParts& parts, const std::string& text) {
  for (const AddedToken& token : parts.added) {
    if (token.content == text) return token.id;
  }
  return parts.vocabulary->find(text);
}

// What post-processors make of a text: ids, and nullopt where the text stands, in the parts that a template has made of
// it. The next processor frames each part.
using FramePart = std::vector<std::optional<TokenId>>;
constexpr size_t kFrameMax = 10'000;

// The ids of a special token in a template.
Result<FramePart> read_template_token(const Json& json, const Json* specials) {
  SLUICE_TRY(const std::string name, json_string(json, "id", ""));
  const Json* entry = specials != nullptr ? json_find(*specials, name) : nullptr;
  const Json* ids = entry != nullptr ? json_find(*entry, "ids") : nullptr;
  if (ids == nullptr || !ids->is_array())
    return corrupt_data(cat("post_processor TemplateProcessing: the special token \"", name, "\" has no ids"));
  FramePart piece;
  for (const Json& id : *ids) {
    if (!id.is_number_unsigned() || id.get<uint64_t>() > static_cast<uint64_t>(kTokenIdMax))
      return corrupt_data(cat("post_processor TemplateProcessing: an id of \"", name, "\" is no token id"));
    piece.emplace_back(id.get<TokenId>());
  }
  return piece;
}

FramePart joined(const std::vector<FramePart>& pieces) {
  FramePart whole;
  for (const FramePart& piece : pieces) whole.insert(whole.end(), piece.begin(), piece.end());
  return whole;
}

// "single", or "pair" where an earlier processor has left two parts. The library knows no template for more.
Result<void> apply_template(const Json& json, bool special, std::vector<FramePart>& pieces) {
  const bool pair = pieces.size() == 2;
  const std::string_view key = pair ? "pair" : "single";
  const Json* items = json_find(json, key);
  if (items == nullptr || !items->is_array())
    return corrupt_data(cat("post_processor TemplateProcessing: \"", key, "\" must be an array"));
  const FramePart first = pair ? pieces.front() : joined(pieces), second = pair ? pieces.back() : FramePart();
  std::vector<FramePart> made;
  size_t size = 0;
  for (const Json& item : *items) {
    if (const Json* sequence = json_find(item, "Sequence")) {
      SLUICE_TRY(const std::string id, json_string(*sequence, "id", "A"));
      if (id != "A" && !(pair && id == "B"))
        return corrupt_data(cat("post_processor TemplateProcessing: \"", key, "\" names the sequence ", id));
      made.push_back(id == "A" ? first : second);
    } else if (const Json* token = json_find(item, "SpecialToken")) {
      SLUICE_TRY(FramePart piece, read_template_token(*token, json_find(json, "special_tokens")));
      if (special) made.push_back(std::move(piece));
    } else {
      return unimplemented("post_processor TemplateProcessing: an item that is neither Sequence nor SpecialToken");
    }
    size += made.empty() ? 0 : made.back().size();
    if (size > kFrameMax) return corrupt_data("post_processor: the template is too long");
  }
  pieces = std::move(made);
  return {};
}

// ["text", id] of BertProcessing and RobertaProcessing.
Result<TokenId> read_token_pair(const Json& json, std::string_view key) {
  const Json* pair = json_find(json, key);
  const bool good = pair != nullptr && pair->is_array() && pair->size() == 2 && (*pair)[1].is_number_unsigned() &&
                    (*pair)[1].get<uint64_t>() <= static_cast<uint64_t>(kTokenIdMax);
  if (!good) return corrupt_data(cat("post_processor: \"", key, "\" must be [token, id]"));
  return (*pair)[1].get<TokenId>();
}

// Begins and ends the first part, and ends the others; Roberta's begin with `sep`.
Result<void> apply_bert(const Json& json, bool roberta, bool special, std::vector<FramePart>& pieces) {
  SLUICE_TRY(const TokenId cls, read_token_pair(json, "cls"));
  SLUICE_TRY(const TokenId sep, read_token_pair(json, "sep"));
  for (size_t i = 0; special && i < pieces.size(); ++i) {
    if (i == 0 || roberta) pieces[i].insert(pieces[i].begin(), i == 0 ? cls : sep);
    pieces[i].emplace_back(sep);
  }
  return {};
}

// `special`: with special tokens.
Result<void> apply_post_processor(const Json& json, int depth, bool special, std::vector<FramePart>& pieces) {
  if (depth > 16) return corrupt_data("post_processor: sequences are nested too deeply");
  SLUICE_TRY(const std::string type, json_string(json, "type", ""));
  if (type == "Sequence") {
    const Json* list = json_find(json, "processors");
    if (list == nullptr || !list->is_array())
      return corrupt_data("post_processor Sequence: \"processors\" must be an array");
    for (const Json& part : *list) SLUICE_RETURN_IF_ERROR(apply_post_processor(part, depth + 1, special, pieces));
    return {};
  }
  if (type == "ByteLevel") return {};  // moves offsets only
  if (type == "TemplateProcessing") return apply_template(json, special, pieces);
  if (type == "BertProcessing" || type == "RobertaProcessing")
    return apply_bert(json, type == "RobertaProcessing", special, pieces);
  return unimplemented(cat("tokenizer.json: the post_processor \"", type, "\" is not known"));
}

Result<void> read_post_processor(const Json& json, TokenizerParts& parts) {
  std::vector<FramePart> framed = {{std::nullopt}}, bare = framed;
  SLUICE_RETURN_IF_ERROR(apply_post_processor(json, 0, true, framed));
  SLUICE_RETURN_IF_ERROR(apply_post_processor(json, 0, false, bare));
  parts.frame = joined(framed);
  parts.repeats = joined(bare).size();
  if (parts.frame.size() > kFrameMax || parts.repeats > kFrameMax)
    return corrupt_data("post_processor: the template is too long");
  return {};
}

bool given(const Json* json) { return json != nullptr && !json->is_null(); }

}  // namespace

Result<std::shared_ptr<Vocabulary>> read_vocab_object(std::string_view json) {
  auto vocabulary = std::make_shared<Vocabulary>();
  const size_t tokens = json.size() / 16;  // a guess that avoids most of the growing
  vocabulary->reserve(tokens, json.size() / 2);
  JsonCursor cursor(json);
  std::string scratch;
  std::string_view token;
  if (!cursor.take('{')) return cursor.error("the vocabulary to be an object of token: id");
  if (cursor.take('}')) return vocabulary;
  do {
    int64_t id = 0;
    if (!cursor.string(scratch, &token) || !cursor.take(':') || !cursor.integer(&id))
      return cursor.error("\"token\": id");
    if (id < 0 || id > kTokenIdMax)
      return corrupt_data(cat("token \"", token, "\" has id ", id, ", outside 0 … ", kTokenIdMax));
    SLUICE_RETURN_IF_ERROR(vocabulary->add(token, static_cast<TokenId>(id)));
  } while (cursor.take(','));
  if (!cursor.take('}')) return cursor.error("',' or '}' in the vocabulary");
  return vocabulary;
}

Result<void> MergeReader::add(std::string_view left, std::string_view right) {
  const auto left_id = vocabulary_.find(left);
  const auto right_id = vocabulary_.find(right);
  joined_ = left;
  joined_ += right.substr(std::min(prefix_, right.size()));
  const auto result = vocabulary_.find(joined_);
  if (!left_id || !right_id || !result) {
    const std::string_view missing = !left_id ? left : !right_id ? right : std::string_view(joined_);
    return corrupt_data(cat("merge ", merges_.size(), " (\"", left, "\" with \"", right, "\") needs the token \"",
                            missing, "\", which is not in the vocabulary"));
  }
  merges_.push_back({*left_id, *right_id, *result, static_cast<uint32_t>(merges_.size())});
  return {};
}

Result<void> MergeReader::add_line(std::string_view line) {
  const size_t space = line.find(' ');
  if (space == std::string_view::npos || line.find(' ', space + 1) != std::string_view::npos) {
    return corrupt_data(
        cat("merge ", merges_.size(), ": expected \"left right\", found \"", line.substr(0, 100), "\""));
  }
  return add(line.substr(0, space), line.substr(space + 1));
}

Result<TokenizerParts> parts_from_json(std::string_view text) {
  SLUICE_TRY(const Document document, read_document(text));
  TokenizerParts parts;
  if (const Json* json = json_find(document.rest, "normalizer"); given(json)) {
    SLUICE_TRY(parts.normalizer, make_normalizer(*json));
  }
  if (const Json* json = json_find(document.rest, "pre_tokenizer"); given(json)) {
    SLUICE_TRY(parts.pre_tokenizer, PreTokenizer::from_json(*json));
  }
  SLUICE_RETURN_IF_ERROR(read_model(document, parts));
  if (const Json* json = json_find(document.rest, "added_tokens"); given(json)) {
    SLUICE_RETURN_IF_ERROR(read_added(*json, parts));
  }
  if (const Json* json = json_find(document.rest, "post_processor"); given(json)) {
    SLUICE_RETURN_IF_ERROR(read_post_processor(*json, parts));
  }
  if (const Json* json = json_find(document.rest, "decoder"); given(json)) {
    SLUICE_TRY(parts.decoder, Decoder::from_json(*json));
  }
  return parts;
}

void apply_config(const TokenizerConfig& config, TokenizerParts& parts) {
  if (config.bos) parts.bos = find_token(parts, *config.bos);
  if (config.eos) parts.eos = find_token(parts, *config.eos);
  if (!config.add_bos && !config.add_eos) return;
  parts.frame.clear();
  parts.repeats = 1;
  if (config.add_bos.value_or(false) && parts.bos) parts.frame.push_back(parts.bos);
  parts.frame.push_back(std::nullopt);
  if (config.add_eos.value_or(false) && parts.eos) parts.frame.push_back(parts.eos);
}

}  // namespace sluice::text
