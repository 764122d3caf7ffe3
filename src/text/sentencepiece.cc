#include "text/sentencepiece.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "base/strings.h"
#include "text/normalizer_charsmap.h"
#include "text/tokenizer_trie.h"
#include "text/unicode.h"

namespace sluice::text {
namespace {

class SentencePieceNormalizer : public Normalizer {
 public:
  SentencePieceNormalizer(SentencePieceRules rules, CharsMap map) : rules_(std::move(rules)), map_(std::move(map)) {
    std::vector<std::pair<std::string_view, int32_t>> entries;
    for (const std::string& text : rules_.verbatim) entries.emplace_back(text, 0);
    verbatim_ = ByteTrie(std::move(entries));
    mark_ = rules_.escape_whitespaces ? kSpaceMark : " ";
    std::memcpy(&mark_bytes_, mark_.data(), mark_.size());
    for (size_t byte = 0; byte < 256; ++byte) kinds_[byte] = kind_of(static_cast<char>(byte));
  }

  // normalizer.cc of SentencePiece, Normalizer::Normalize.
  void normalize(std::string& text) const override {
    std::string_view input = text;
    size_t taken = 0;
    while (rules_.remove_extra_whitespaces && !input.empty() && prefix(input, &taken) == " ")
      input.remove_prefix(taken);
    std::string out;
    if (input.empty()) {
      text.clear();
      return;
    }
    out.reserve(input.size() * 3 / 2 + 3);
    if (rules_.add_dummy_prefix && !rules_.whitespace_as_suffix) out += mark_;
    bool after_space = rules_.remove_extra_whitespaces;
    while (!input.empty()) {
      if (const size_t plain = append_plain(input, after_space, out)) {
        input.remove_prefix(plain);
        continue;
      }
      std::string_view piece = prefix(input, &taken);
      while (after_space && piece.starts_with(' ')) piece.remove_prefix(1);
      for (char c : piece) {
        if (c == ' ') {
          out += mark_;
        } else {
          out += c;
        }
      }
      if (!piece.empty()) after_space = piece.ends_with(' ');
      input.remove_prefix(taken);
      if (!rules_.remove_extra_whitespaces) after_space = false;
    }
    while (rules_.remove_extra_whitespaces && out.ends_with(mark_)) out.resize(out.size() - mark_.size());
    if (rules_.add_dummy_prefix && rules_.whitespace_as_suffix) out += mark_;
    text = std::move(out);
  }

 private:
  // What the map and the verbatim strings make of a character, known from its first byte.
  enum class Kind : uint8_t { kLookedUp, kPlainBeforeAscii, kPlain, kSpace };

  Kind kind_of(char first) const {
    const std::string_view one(&first, 1);
    if (is_continuation(first)) return Kind::kPlain;  // as its character is
    if (verbatim_.begins(first)) return Kind::kLookedUp;
    if (!map_.may_begin_with(one)) return first == ' ' ? Kind::kSpace : Kind::kPlain;
    if (!is_ascii(first) || first == ' ' || map_.longest(one)) return Kind::kLookedUp;
    for (int next = 1; next < 128; ++next) {
      if (map_.may_begin_with(std::string{first, static_cast<char>(next)})) return Kind::kLookedUp;
    }
    return Kind::kPlainBeforeAscii;  // a letter and its accent have an entry, the letter has none
  }

  // Appends what becomes of the text's start as far as nothing there must be looked up, and says how many bytes of it
  // that are. No branch depends on where words end.
  size_t append_plain(std::string_view text, bool& after_space, std::string& out) const {
    constexpr size_t kBytes = 1024;
    char made[kBytes * 3 + 4];
    char* to = made;
    const size_t size = std::min(text.size(), kBytes);
    size_t i = 0;
    for (; i < size; ++i) {
      const Kind kind = kinds_[static_cast<uint8_t>(text[i])];
      const bool ascii_follows = i + 1 == text.size() || is_ascii(text[i + 1]);
      if (kind == Kind::kLookedUp || (kind == Kind::kPlainBeforeAscii && !ascii_follows)) break;
      const bool space = kind == Kind::kSpace;
      const uint32_t bytes = space ? mark_bytes_ : static_cast<uint8_t>(text[i]);
      std::memcpy(to, &bytes, sizeof bytes);
      to += space ? (after_space ? 0 : mark_.size()) : 1;
      after_space = space && rules_.remove_extra_whitespaces;
    }
    out.append(made, to);
    return i;
  }

  // What becomes of the text's start, and how many bytes of it that is.
  std::string_view prefix(std::string_view text, size_t* taken) const {
    int32_t unused = 0;
    if (const size_t length = verbatim_.longest(text, &unused)) {
      *taken = length;
      return text.substr(0, length);
    }
    if (const auto match = map_.longest(text)) {
      *taken = match->length;
      return match->replacement;
    }
    *taken = utf8_length(text[0]);
    return text.substr(0, *taken);
  }

  SentencePieceRules rules_;
  CharsMap map_;
  ByteTrie verbatim_;
  std::array<Kind, 256> kinds_;  // of a character's first byte
  std::string_view mark_;        // what a space becomes
  uint32_t mark_bytes_ = 0;      // its bytes as they lie in memory
};

// Reads the fields of one protocol buffer message.
class Message {
 public:
  explicit Message(std::string_view bytes) : bytes_(bytes) {}

  bool more() const { return at_ < bytes_.size(); }
  // Reads the next field's number and value: `number_value` for integers and fixed widths, `bytes_value` for the rest.
  bool next() {
    uint64_t key = 0;
    if (!varint(&key)) return false;
    field = static_cast<uint32_t>(key >> 3);
    bytes_value = {};
    number_value = 0;
    switch (key & 7) {
      case 0:
        return varint(&number_value);
      case 1:
        return fixed(8);
      case 5:
        return fixed(4);
      case 2: {
        uint64_t size = 0;
        if (!varint(&size) || size > bytes_.size() - at_) return false;
        bytes_value = bytes_.substr(at_, size);
        at_ += size;
        return true;
      }
      default:
        return false;
    }
  }
  float as_float() const {
    const auto bits = static_cast<uint32_t>(number_value);
    float value = 0;
    std::memcpy(&value, &bits, sizeof value);
    return value;
  }
  size_t offset() const { return at_; }

  uint32_t field = 0;
  uint64_t number_value = 0;
  std::string_view bytes_value;

 private:
  bool varint(uint64_t* out) {
    *out = 0;
    for (int shift = 0; shift < 64 && at_ < bytes_.size(); shift += 7) {
      const auto byte = static_cast<uint8_t>(bytes_[at_++]);
      *out |= uint64_t{byte & 0x7Fu} << shift;
      if (byte < 0x80) return true;
    }
    return false;
  }
  bool fixed(size_t size) {
    if (size > bytes_.size() - at_) return false;
    std::memcpy(&number_value, bytes_.data() + at_, size);
    at_ += size;
    return true;
  }

  std::string_view bytes_;
  size_t at_ = 0;
};

Error broken(size_t offset) {
  return corrupt_data(cat("SentencePiece model: the protocol buffer is damaged near byte ", offset));
}

Result<void> read_piece(std::string_view bytes, SentencePieceModel& model) {
  SentencePieceModel::Piece piece;
  Message message(bytes);
  while (message.more()) {
    if (!message.next()) return broken(message.offset());
    if (message.field == 1) piece.text = message.bytes_value;
    if (message.field == 2) piece.score = message.as_float();
    if (message.field == 3) {
      if (message.number_value < 1 || message.number_value > 6) return broken(message.offset());
      piece.type = static_cast<PieceType>(message.number_value);
    }
  }
  if (!utf8_valid(piece.text))
    return corrupt_data(cat("SentencePiece model: piece ", model.pieces.size(), " is not UTF-8"));
  model.pieces.push_back(std::move(piece));
  return {};
}

Result<void> read_trainer(std::string_view bytes, SentencePieceModel& model) {
  Message message(bytes);
  while (message.more()) {
    if (!message.next()) return broken(message.offset());
    const auto id = static_cast<TokenId>(static_cast<int64_t>(message.number_value));
    switch (message.field) {
      case 3:
        if (message.number_value < 1 || message.number_value > 4) return broken(message.offset());
        model.kind = static_cast<SentencePieceModel::Kind>(message.number_value);
        break;
      case 24:
        model.whitespace_as_suffix = message.number_value != 0;
        break;
      case 35:
        model.byte_fallback = message.number_value != 0;
        break;
      case 40:
        model.unk = id;
        break;
      case 41:
        model.bos = id;
        break;
      case 42:
        model.eos = id;
        break;
      case 43:
        model.pad = id;
        break;
      default:
        break;
    }
  }
  return {};
}

Result<void> read_normalizer(std::string_view bytes, SentencePieceModel& model) {
  Message message(bytes);
  while (message.more()) {
    if (!message.next()) return broken(message.offset());
    if (message.field == 2) model.charsmap = message.bytes_value;
    if (message.field == 3) model.add_dummy_prefix = message.number_value != 0;
    if (message.field == 4) model.remove_extra_whitespaces = message.number_value != 0;
    if (message.field == 5) model.escape_whitespaces = message.number_value != 0;
  }
  return {};
}

}  // namespace

Result<SentencePieceModel> read_sentencepiece_model(std::string_view file) {
  SentencePieceModel model;
  Message message(file);
  bool has_trainer = false, has_normalizer = false;
  while (message.more()) {
    if (!message.next()) return broken(message.offset());
    if (message.field == 1) SLUICE_RETURN_IF_ERROR(read_piece(message.bytes_value, model));
    if (message.field == 2) SLUICE_RETURN_IF_ERROR(read_trainer(message.bytes_value, model));
    if (message.field == 3) SLUICE_RETURN_IF_ERROR(read_normalizer(message.bytes_value, model));
    has_trainer |= message.field == 2;
    has_normalizer |= message.field == 3;
  }
  if (model.pieces.empty()) return corrupt_data("SentencePiece model: it has no pieces; is this a tokenizer.model?");
  // They stand behind the pieces: a file that was cut short between two pieces would be read as a smaller model.
  if (!has_trainer || !has_normalizer) {
    return corrupt_data(cat("SentencePiece model: it ends after ", model.pieces.size(), " pieces without a ",
                            has_trainer ? "normalizer_spec" : "trainer_spec", "; it was cut short"));
  }
  for (const SentencePieceModel::Piece& piece : model.pieces) {
    if (!std::isfinite(piece.score))
      return corrupt_data(cat("SentencePiece model: the score of the piece \"", piece.text, "\" is no finite number"));
  }
  return model;
}

Result<NormalizerPtr> make_sentencepiece_normalizer(SentencePieceRules rules) {
  SLUICE_TRY(CharsMap map, CharsMap::parse(rules.charsmap));
  return NormalizerPtr(std::make_unique<SentencePieceNormalizer>(std::move(rules), std::move(map)));
}

}  // namespace sluice::text
