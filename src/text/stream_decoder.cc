#include <algorithm>

#include "base/strings.h"
#include "text/tokenizer.h"

namespace sluice::text {
namespace {

// Ids kept before the first unemitted one, so that spaces at a text's start are stripped only there. Decoders look no
// further back than this.
constexpr size_t kKept = 16;

}  // namespace

StreamDecoder::StreamDecoder(const Tokenizer& tokenizer, bool skip_special, std::span<const TokenId> context)
    : tokenizer_(&tokenizer), skip_special_(skip_special) {
  for (size_t i = context.size(); i-- > 0 && ids_.size() < kKept;) {
    if (counts(context[i])) ids_.push_back(context[i]);
  }
  std::reverse(ids_.begin(), ids_.end());
  emitted_ = tokenizer_->decode_open(ids_, skip_special_).size();
}

// Ids without text leave no trace, so they need not be kept.
bool StreamDecoder::counts(TokenId id) const {
  if (tokenizer_->token_text(id).empty()) return false;
  return !skip_special_ || !tokenizer_->is_special(id) || std::ranges::find(shown_, id) != shown_.end();
}

std::string StreamDecoder::push(TokenId id) {
  if (!counts(id)) return {};
  ids_.push_back(id);
  const std::string text = tokenizer_->decode_open(ids_, skips());
  const size_t begin = std::min(emitted_, text.size());
  const std::string_view fresh = std::string_view(text).substr(begin);
  const std::string_view complete = fresh.substr(0, utf8_complete_prefix(fresh));
  const size_t pending = fresh.size() - complete.size();
  emitted_ = begin + complete.size();
  if (ids_.size() > 2 * kKept) {
    ids_.erase(ids_.begin(), ids_.end() - kKept);
    const size_t kept = tokenizer_->decode_open(ids_, skips()).size();
    emitted_ = kept - std::min(pending, kept);
  }
  return utf8_sanitize(complete);
}

std::string StreamDecoder::flush() {
  const std::string open = tokenizer_->decode_open(ids_, skips());
  std::string text = tokenizer_->decode(ids_, skips());
  // What is emitted stays, also where decode() has since found the bytes around it to be no UTF-8.
  if (text.compare(0, emitted_, open, 0, emitted_) != 0) text = open;
  const size_t begin = std::min(emitted_, text.size());
  emitted_ = text.size();
  return utf8_sanitize(std::string_view(text).substr(begin));
}

}  // namespace sluice::text
