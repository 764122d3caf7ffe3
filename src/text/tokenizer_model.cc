#include "text/tokenizer_model.h"

#include <algorithm>
#include <limits>

#include "base/strings.h"
#include "text/tokenizer_trie.h"
#include "text/unicode.h"

namespace sluice::text {
namespace {

class WordPiece : public TokenModel {
 public:
  WordPiece(std::shared_ptr<const Vocabulary> vocabulary, TokenId unk, WordPieceOptions options)
      : vocabulary_(std::move(vocabulary)), unk_(unk), options_(std::move(options)) {}

  void encode(std::string_view piece, std::vector<TokenId>& out) const override {
    const auto characters =
        static_cast<size_t>(std::count_if(piece.begin(), piece.end(), [](char c) { return !is_continuation(c); }));
    if (characters > options_.word_characters_max) return out.push_back(unk_);
    const size_t before = out.size();
    std::string candidate;
    for (size_t start = 0; start < piece.size();) {
      candidate = start > 0 ? options_.continuing_subword_prefix : std::string();
      const size_t prefix = candidate.size();
      const size_t longest = std::max(vocabulary_->longest(), prefix) - prefix;
      candidate += piece.substr(start, std::min(piece.size() - start, longest + 4));
      while (candidate.size() > prefix && start + candidate.size() - prefix < piece.size() &&
             is_continuation(piece[start + candidate.size() - prefix])) {
        candidate.pop_back();
      }
      std::optional<TokenId> id;
      while (candidate.size() > prefix && !(id = vocabulary_->find(candidate))) {
        while (is_continuation(candidate.back())) candidate.pop_back();
        candidate.pop_back();
      }
      if (!id) {
        out.resize(before);
        return out.push_back(unk_);
      }
      out.push_back(*id);
      start += candidate.size() - prefix;
    }
  }

 private:
  std::shared_ptr<const Vocabulary> vocabulary_;
  TokenId unk_;
  WordPieceOptions options_;
};

class WordLevel : public TokenModel {
 public:
  WordLevel(std::shared_ptr<const Vocabulary> vocabulary, std::optional<TokenId> unk)
      : vocabulary_(std::move(vocabulary)), unk_(unk) {}

  void encode(std::string_view piece, std::vector<TokenId>& out) const override {
    if (const auto id = vocabulary_->find(piece)) {
      out.push_back(*id);
    } else if (unk_) {
      out.push_back(*unk_);
    }
  }

 private:
  std::shared_ptr<const Vocabulary> vocabulary_;
  std::optional<TokenId> unk_;
};

class Unigram : public TokenModel {
 public:
  Unigram(std::shared_ptr<const Vocabulary> vocabulary, UnigramOptions options)
      : vocabulary_(std::move(vocabulary)), options_(std::move(options)), byte_tokens_(*vocabulary_) {
    std::vector<std::pair<std::string_view, int32_t>> entries;
    double low = std::numeric_limits<double>::infinity(), high = -low;
    for (TokenId id = 0; id < vocabulary_->size(); ++id) {
      const auto i = static_cast<size_t>(id);
      const bool hidden = !options_.not_in_text.empty() && options_.not_in_text[i];
      if (!hidden) entries.emplace_back(vocabulary_->text(id), id);
      const bool user_defined = !options_.user_defined.empty() && options_.user_defined[i];
      if ((!hidden || options_.user_defined.empty()) && !user_defined) {
        low = std::min(low, options_.scores[i]);
        high = std::max(high, options_.scores[i]);
      }
    }
    trie_ = ByteTrie(std::move(entries));
    unk_score_ = low - 10.0;
    if (!options_.user_defined.empty()) {
      for (size_t i = 0; i < options_.scores.size(); ++i) {
        if (options_.user_defined[i]) {
          options_.scores[i] = static_cast<double>(vocabulary_->text(static_cast<TokenId>(i)).size()) * high - 0.1;
        }
      }
    }
  }

  void encode(std::string_view piece, std::vector<TokenId>& out) const override {
    if (piece.empty()) return;
    std::vector<Node> nodes(piece.size() + 1);
    const bool single = options_.single_precision;
    for (size_t start = 0; start < piece.size();) {
      const size_t character = utf8_length(piece[start]);
      const double so_far = nodes[start].score;
      bool has_single = false;
      const auto offer = [&](size_t length, TokenId id, double score) {
        Node& node = nodes[start + length];
        const double sum = single ? static_cast<double>(static_cast<float>(so_far + score)) : so_far + score;
        if (node.start == kNowhere || sum > node.score) node = {sum, start, id};
      };
      trie_.prefixes(piece.substr(start), [&](size_t length, int32_t id) {
        offer(length, id, options_.scores[static_cast<size_t>(id)]);
        has_single = has_single || length == character;
      });
      if (!has_single) offer(character, kUnknown, unk_score_);
      start += character;
    }
    collect(piece, nodes, out);
  }

 private:
  static constexpr size_t kNowhere = SIZE_MAX;
  static constexpr TokenId kUnknown = -1;
  struct Node {
    double score = 0;
    size_t start = kNowhere;  // where the best token that ends here begins
    TokenId id = kUnknown;
  };

  // Follows the best path back; neighbouring unknown characters are one unknown text.
  void collect(std::string_view piece, const std::vector<Node>& nodes, std::vector<TokenId>& out) const {
    std::vector<std::pair<TokenId, std::string_view>> path;
    for (size_t end = piece.size(); end > 0;) {
      const Node& node = nodes[end];
      const std::string_view text = piece.substr(node.start, end - node.start);
      const bool unknown = node.id == kUnknown || (options_.unk && node.id == *options_.unk);
      if (unknown && !path.empty() && path.back().first == kUnknown) {
        path.back().second = piece.substr(node.start, text.size() + path.back().second.size());
      } else {
        path.emplace_back(unknown ? kUnknown : node.id, text);
      }
      end = node.start;
    }
    for (auto at = path.rbegin(); at != path.rend(); ++at) {
      if (at->first != kUnknown) {
        out.push_back(at->first);
      } else if (const auto spelled = spelled_out(at->second)) {
        out.push_back(*spelled);
      } else if (options_.byte_fallback && byte_tokens_.append(at->second, out)) {
        continue;
      } else if (options_.unk) {
        out.push_back(*options_.unk);
      }
    }
  }

  // The unknown token written out in the text, where the vocabulary's special pieces are found in texts.
  std::optional<TokenId> spelled_out(std::string_view text) const {
    return options_.not_in_text.empty() ? vocabulary_->find(text) : std::nullopt;
  }

  std::shared_ptr<const Vocabulary> vocabulary_;
  UnigramOptions options_;
  ByteTokens byte_tokens_;
  ByteTrie trie_;
  double unk_score_ = 0;
};

}  // namespace

ByteTokens::ByteTokens(const Vocabulary& vocabulary) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  for (size_t b = 0; b < 256; ++b) {
    const char name[] = {'<', '0', 'x', kHex[b >> 4], kHex[b & 15], '>'};
    ids[b] = vocabulary.find(std::string_view(name, sizeof name)).value_or(-1);
  }
}

bool ByteTokens::complete() const {
  return std::all_of(ids.begin(), ids.end(), [](TokenId id) { return id >= 0; });
}

bool ByteTokens::append(std::string_view bytes, std::vector<TokenId>& out) const {
  const size_t before = out.size();
  for (char c : bytes) {
    const TokenId id = ids[static_cast<uint8_t>(c)];
    if (id < 0) {
      out.resize(before);
      return false;
    }
    out.push_back(id);
  }
  return true;
}

Result<std::unique_ptr<TokenModel>> make_word_piece(std::shared_ptr<const Vocabulary> vocabulary,
                                                    WordPieceOptions options) {
  const auto unk = vocabulary->find(options.unk_token);
  if (!unk)
    return corrupt_data(cat("WordPiece: the unknown token \"", options.unk_token, "\" is not in the vocabulary"));
  return std::unique_ptr<TokenModel>(std::make_unique<WordPiece>(std::move(vocabulary), *unk, std::move(options)));
}

std::unique_ptr<TokenModel> make_word_level(std::shared_ptr<const Vocabulary> vocabulary, std::optional<TokenId> unk) {
  return std::make_unique<WordLevel>(std::move(vocabulary), unk);
}

Result<std::unique_ptr<TokenModel>> make_unigram(std::shared_ptr<const Vocabulary> vocabulary, UnigramOptions options) {
  const auto size = static_cast<size_t>(vocabulary->size());
  if (options.scores.size() != size) {
    return corrupt_data(cat("Unigram: ", options.scores.size(), " scores for a vocabulary of ", size));
  }
  for (double score : options.scores) {
    if (!(score > -1e30 && score < 1e30)) return corrupt_data("Unigram: a score is not a finite number");
  }
  if (options.unk && (*options.unk < 0 || static_cast<size_t>(*options.unk) >= size)) {
    return corrupt_data(cat("Unigram: unk_id ", *options.unk, " is outside the vocabulary of ", size));
  }
  return std::unique_ptr<TokenModel>(std::make_unique<Unigram>(std::move(vocabulary), std::move(options)));
}

}  // namespace sluice::text
