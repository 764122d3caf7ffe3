#include "text/tokenizer_pipeline.h"

#include <algorithm>
#include <unordered_set>

#include "base/strings.h"
#include "text/unicode.h"

namespace sluice::text {
namespace {

constexpr size_t kBytesMax = size_t{256} << 20;  // past this, decode() goes the slow way
constexpr size_t kStartBytes = 256;              // looked at for where the normalised text begins

}  // namespace

Result<std::unique_ptr<Tokenizer>> PipelineTokenizer::create(TokenizerParts parts) {
  for (const AddedToken& token : parts.added) {
    if (token.id < 0 || token.id > kTokenIdMax) {
      return corrupt_data(cat("added token \"", token.content, "\" has id ", token.id, ", outside 0 … ", kTokenIdMax));
    }
    if (!utf8_valid(token.content)) return corrupt_data(cat("the added token with id ", token.id, " is not UTF-8"));
  }
  std::unique_ptr<PipelineTokenizer> made(new PipelineTokenizer(std::move(parts)));
  for (const auto& id : made->parts_.frame) {
    if (id && !made->has(*id))
      return corrupt_data(cat("the post-processor names token id ", *id, ", which does not exist"));
  }
  for (std::optional<TokenId>* id : {&made->parts_.bos, &made->parts_.eos}) {
    if (*id && !made->has(**id)) return corrupt_data(cat("the bos or eos token id ", **id, " does not exist"));
  }
  return std::unique_ptr<Tokenizer>(std::move(made));
}

PipelineTokenizer::PipelineTokenizer(TokenizerParts parts) : parts_(std::move(parts)) {
  size_ = parts_.vocabulary->size();
  for (const AddedToken& token : parts_.added) size_ = std::max(size_, token.id + 1);
  std::unordered_set<std::string> special_texts;
  special_.resize(static_cast<size_t>(size_));
  added_index_.assign(static_cast<size_t>(size_), -1);
  for (size_t i = 0; i < parts_.added.size(); ++i) {
    const AddedToken& token = parts_.added[i];
    added_text_.add_if_new(token.content, token.id);
    added_index_[static_cast<size_t>(token.id)] = static_cast<int32_t>(i);
    if (token.special) special_texts.insert(token.content);
  }
  added_ = AddedTokens(std::move(parts_.added), parts_.normalizer.get());
  // A special token is known by its text, as in tokenizers: one that is printed normalised is special only if that text
  // is.
  for (TokenId id = 0; id < size_; ++id) {
    if (added_index_[static_cast<size_t>(id)] >= 0)
      special_[static_cast<size_t>(id)] = special_texts.contains(std::string(decoded_text(id)));
  }
  pattern_ = parts_.pre_tokenizer.only_pattern();
  if (parts_.decoder.per_token()) fill_bytes();
}

void PipelineTokenizer::fill_bytes() {
  bytes_end_.reserve(static_cast<size_t>(size_));
  bytes_.reserve(static_cast<size_t>(size_) * 8);
  for (TokenId id = 0; id < size_; ++id) {
    if (has(id)) bytes_ += parts_.decoder.token_bytes(decoded_text(id));
    if (bytes_.size() > kBytesMax) {
      bytes_end_.clear();
      return;
    }
    bytes_end_.push_back(static_cast<uint32_t>(bytes_.size()));
  }
}

std::vector<TokenId> PipelineTokenizer::encode(std::string_view text, const EncodeOptions& options) const {
  std::string repaired;
  if (!utf8_valid(text)) {
    repaired = utf8_sanitize(text);
    text = repaired;
  }
  std::vector<TokenId> out;
  out.reserve(text.size() / 3 + 8);
  if (parts_.frame.empty() || !options.add_special) {
    for (size_t i = 0; i < parts_.repeats; ++i) encode_text(text, options.parse_special, out);
    return out;
  }
  for (const auto& id : parts_.frame) {
    if (id) {
      out.push_back(*id);
    } else {
      encode_text(text, options.parse_special, out);
    }
  }
  return out;
}

void PipelineTokenizer::encode_text(std::string_view text, bool special, std::vector<TokenId>& out) const {
  if (!added_.has_plain()) {
    if (!text.empty()) encode_segment(text, true, special, out);
    return;
  }
  std::vector<AddedTokens::Part> parts;
  added_.split(text, false, special, parts);
  for (const auto& part : parts) {
    if (part.id) {
      out.push_back(*part.id);
    } else {
      encode_segment(text.substr(part.begin, part.end - part.begin), part.begin == 0, special, out);
    }
  }
}

void PipelineTokenizer::encode_segment(std::string_view text, bool at_start, bool special,
                                       std::vector<TokenId>& out) const {
  std::string normalized;
  size_t start = at_start ? 1 : 0;
  if (parts_.normalizer != nullptr) {
    const std::string_view begin = text.substr(0, utf8_complete_prefix(text.substr(0, kStartBytes)));
    if (at_start && !text.empty()) start = parts_.normalizer->start_after(begin, utf8_length(text.front()));
    normalized = text;
    parts_.normalizer->normalize(normalized);
    text = normalized;
  }
  if (!added_.has_normalized()) return encode_piece(text, start, out);
  std::vector<AddedTokens::Part> parts;
  added_.split(text, true, special, parts);
  for (const auto& part : parts) {
    if (part.id) {
      out.push_back(*part.id);
    } else {
      encode_piece(text.substr(part.begin, part.end - part.begin), start - std::min(start, part.begin), out);
    }
  }
}

void PipelineTokenizer::encode_piece(std::string_view text, size_t start_end, std::vector<TokenId>& out) const {
  if (text.empty()) return;
  if (pattern_ != nullptr) {
    const char* const end = text.data() + text.size();
    for (const char* p = text.data(); p < end;) {
      const char* next = pattern_(p, end);
      parts_.model->encode({p, static_cast<size_t>(next - p)}, out);
      p = next;
    }
    return;
  }
  if (parts_.pre_tokenizer.empty()) return parts_.model->encode(text, out);
  Pieces pieces;
  pieces.text = text;
  pieces.ranges = {{0, text.size()}};
  pieces.start_end = start_end;
  parts_.pre_tokenizer.apply(pieces);
  for (const auto& range : pieces.ranges) {
    parts_.model->encode(pieces.text.substr(range.begin, range.end - range.begin), out);
  }
}

std::string_view PipelineTokenizer::decoded_text(TokenId id) const {
  const int32_t index = added_index_[static_cast<size_t>(id)];
  return index >= 0 ? std::string_view(added_.decoded_text(static_cast<size_t>(index))) : parts_.vocabulary->text(id);
}

std::vector<std::string> PipelineTokenizer::texts_of(std::span<const TokenId> ids, bool skip_special) const {
  std::vector<std::string> texts;
  for (TokenId id : ids) {
    if (has(id) && !(skip_special && special_[static_cast<size_t>(id)])) texts.emplace_back(decoded_text(id));
  }
  return texts;
}

std::string PipelineTokenizer::decode_open(std::span<const TokenId> ids, bool skip_special) const {
  std::string text = decode_bytes(ids, skip_special);
  if (!parts_.decoder.last_differs()) return text;
  const std::string other = parts_.decoder.decode_before_more(texts_of(ids, skip_special));
  const size_t common = std::min(text.size(), other.size());
  const auto differ = std::mismatch(text.begin(), text.begin() + static_cast<ptrdiff_t>(common), other.begin());
  text.erase(differ.first, text.end());
  return text;
}

std::string PipelineTokenizer::decode(std::span<const TokenId> ids, bool skip_special) const {
  if (!parts_.decoder.has_byte_tokens()) return decode_bytes(ids, skip_special);
  std::vector<std::string> texts = texts_of(ids, skip_special);
  if (!Decoder::has_broken_bytes(texts)) return decode_bytes(ids, skip_special);
  return parts_.decoder.decode_replacing(std::move(texts));
}

// decode() with bytes that are no UTF-8 as they are.
std::string PipelineTokenizer::decode_bytes(std::span<const TokenId> ids, bool skip_special) const {
  if (bytes_end_.empty()) return parts_.decoder.decode(texts_of(ids, skip_special));
  std::string out;
  bool first = true;
  for (TokenId id : ids) {
    if (!has(id) || (skip_special && special_[static_cast<size_t>(id)])) continue;
    if (first && parts_.decoder.first_differs()) {
      out += parts_.decoder.first_token_bytes(decoded_text(id));
    } else {
      const auto i = static_cast<size_t>(id);
      const size_t begin = i > 0 ? bytes_end_[i - 1] : 0;
      out.append(bytes_, begin, bytes_end_[i] - begin);
    }
    first = false;
  }
  const std::string& strip = parts_.decoder.strip_text();
  size_t begin = 0;
  for (int i = 0; i < parts_.decoder.leading_strip() && std::string_view(out).substr(begin).starts_with(strip); ++i) {
    begin += strip.size();
  }
  if (begin > 0) out.erase(0, begin);
  return out;
}

std::string_view PipelineTokenizer::token_text(TokenId id) const {
  if (!has(id)) return {};
  return added_text_.has(id) ? added_text_.text(id) : parts_.vocabulary->text(id);
}

std::string PipelineTokenizer::token_bytes(TokenId id) const {
  return has(id) ? parts_.decoder.token_bytes(decoded_text(id)) : std::string();
}

bool PipelineTokenizer::is_special(TokenId id) const {
  return id >= 0 && id < size_ && special_[static_cast<size_t>(id)];
}

std::optional<TokenId> PipelineTokenizer::token_id(std::string_view text) const {
  if (const auto id = added_text_.find(text)) return id;
  return parts_.vocabulary->find(text);
}

}  // namespace sluice::text
