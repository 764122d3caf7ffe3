#include "text/pre_tokenizer.h"

#include <algorithm>
#include <optional>

#include "base/json.h"
#include "base/strings.h"
#include "text/bpe.h"
#include "text/tokenizer_json_parts.h"
#include "text/tokenizer_regex.h"
#include "text/unicode.h"
#include "text/unicode_scripts.h"

namespace sluice::text {
namespace {

using Range = Pieces::Range;
using Stage = PreTokenizer::Stage;

enum class Behavior { kRemoved, kIsolated, kMergedWithPrevious, kMergedWithNext, kContiguous };

struct Found {
  size_t begin, end;
  bool match;
};

// Rewrites `ranges` with what `behavior` makes of the matches and the gaps between them (normalizer.rs, split).
void arrange(const std::vector<Found>& found, Behavior behavior, std::vector<Range>& out) {
  const auto push = [&](size_t begin, size_t end) {
    if (end > begin) out.push_back({begin, end});
  };
  if (behavior == Behavior::kRemoved || behavior == Behavior::kIsolated) {
    for (const Found& f : found) {
      if (behavior == Behavior::kIsolated || !f.match) push(f.begin, f.end);
    }
    return;
  }
  std::vector<Found> joined;
  bool previous = false;
  const auto step = [&](const Found& f) {
    const bool join =
        !joined.empty() && (behavior == Behavior::kContiguous ? f.match == previous : f.match && !previous);
    if (join && behavior == Behavior::kMergedWithNext) {
      joined.back().begin = f.begin;
    } else if (join) {
      joined.back().end = f.end;
    } else {
      joined.push_back(f);
    }
    previous = f.match;
  };
  if (behavior == Behavior::kMergedWithNext) {
    for (size_t i = found.size(); i-- > 0;) step(found[i]);
    for (size_t i = joined.size(); i-- > 0;) push(joined[i].begin, joined[i].end);
  } else {
    for (const Found& f : found) step(f);
    for (const Found& f : joined) push(f.begin, f.end);
  }
}

// A stage that only cuts: find() lists matches and gaps of one piece, in order, covering it.
class Cutter : public Stage {
 public:
  Cutter(Behavior behavior, bool invert) : behavior_(behavior), invert_(invert) {}

  void apply(Pieces& pieces) const override {
    std::vector<Range> out;
    out.reserve(pieces.ranges.size());
    std::vector<Found> found;
    for (const Range& range : pieces.ranges) {
      found.clear();
      find(pieces.text.substr(range.begin, range.end - range.begin), range.begin, found);
      if (invert_) {
        for (Found& f : found) f.match = !f.match;
      }
      arrange(found, behavior_, out);
    }
    pieces.ranges = std::move(out);
  }

 protected:
  virtual void find(std::string_view text, size_t offset, std::vector<Found>& found) const = 0;
  Behavior behavior_;
  bool invert_;
};

class RegexCutter : public Cutter {
 public:
  RegexCutter(Regex regex, PatternFunction known, Behavior behavior, bool invert)
      : Cutter(behavior, invert), regex_(std::move(regex)), known_(known) {}

  // The known patterns leave no gaps, so keeping the matches and isolating them are the same.
  PatternFunction pattern() const override {
    const bool keeps = behavior_ == Behavior::kIsolated || (behavior_ == Behavior::kRemoved && invert_);
    return keeps ? known_ : nullptr;
  }

 protected:
  void find(std::string_view text, size_t offset, std::vector<Found>& found) const override {
    if (known_ != nullptr) {
      const char* const end = text.data() + text.size();
      for (const char* p = text.data(); p < end;) {
        const char* next = known_(p, end);
        found.push_back(
            {offset + static_cast<size_t>(p - text.data()), offset + static_cast<size_t>(next - text.data()), true});
        p = next;
      }
      return;
    }
    Regex::Search search(regex_, text);
    size_t done = 0, begin = 0, end = 0;
    while (search.next(&begin, &end)) {
      if (begin > done) found.push_back({offset + done, offset + begin, false});
      found.push_back({offset + begin, offset + end, true});
      done = end;
    }
    if (done < text.size()) found.push_back({offset + done, offset + text.size(), false});
  }

 private:
  Regex regex_;
  PatternFunction known_;
};

// Every character with one of the flags (or the one character) is a match by itself.
class CharacterCutter : public Cutter {
 public:
  CharacterCutter(uint32_t flags, std::optional<char32_t> only, Behavior behavior)
      : Cutter(behavior, false), flags_(flags), only_(only) {}

 protected:
  void find(std::string_view text, size_t offset, std::vector<Found>& found) const override {
    const char* const base = text.data();
    size_t gap = 0;
    for (const char *p = base, *end = base + text.size(); p < end;) {
      const auto begin = static_cast<size_t>(p - base);
      const char32_t c = next_code_point(p);
      if (!(has_flag(c, flags_) || (only_ && c == *only_))) continue;
      if (begin > gap) found.push_back({offset + gap, offset + begin, false});
      gap = static_cast<size_t>(p - base);
      found.push_back({offset + begin, offset + gap, true});
    }
    if (gap < text.size()) found.push_back({offset + gap, offset + text.size(), false});
  }

 private:
  uint32_t flags_;
  std::optional<char32_t> only_;
};

// \w+|[^\w\s]+ of Rust's regex crate; white space goes.
class WordCutter : public Cutter {
 public:
  WordCutter() : Cutter(Behavior::kRemoved, false) {}

 protected:
  void find(std::string_view text, size_t offset, std::vector<Found>& found) const override {
    const char* const base = text.data();
    uint32_t last = 0;
    for (const char *p = base, *end = base + text.size(); p < end;) {
      const auto begin = static_cast<size_t>(p - base);
      const uint32_t record = unicode_record(next_code_point(p));
      const uint32_t kind = (record & kFlagRustWord) != 0 ? 1 : (record & kFlagSpace) != 0 ? 2 : 3;
      const size_t stop = offset + static_cast<size_t>(p - base);
      if (kind == last) {
        found.back().end = stop;
      } else {
        found.push_back({offset + begin, stop, kind == 2});
      }
      last = kind;
    }
  }
};

class LengthCutter : public Cutter {
 public:
  explicit LengthCutter(size_t length) : Cutter(Behavior::kIsolated, false), length_(length) {}

 protected:
  void find(std::string_view text, size_t offset, std::vector<Found>& found) const override {
    for (size_t begin = 0; begin < text.size();) {
      size_t end = begin;
      for (size_t i = 0; i < length_ && end < text.size(); ++i) end += utf8_length(text[end]);
      found.push_back({offset + begin, offset + end, true});
      begin = end;
    }
  }

 private:
  size_t length_;
};

// Cuts where the script changes. What has no script goes with what is before it; at the start it is dropped.
class ScriptCutter : public Cutter {
 public:
  ScriptCutter() : Cutter(Behavior::kIsolated, false) {}

 protected:
  void find(std::string_view text, size_t offset, std::vector<Found>& found) const override {
    uint8_t last = 0;
    for (const char *p = text.data(), *end = p + text.size(); p < end;) {
      const size_t at = offset + static_cast<size_t>(p - text.data());
      const uint8_t script = script_class(next_code_point(p));
      if (script == 0 || script == last) continue;
      if (!found.empty()) found.back().end = at;
      found.push_back({at, offset + text.size(), true});
      last = script;
    }
  }
};

// A stage that rewrites every piece: rewrite() appends the new text of one piece.
class Rewriter : public Stage {
 public:
  void apply(Pieces& pieces) const override {
    std::string out;
    out.reserve(pieces.text.size() + pieces.ranges.size());
    size_t start_end = 0;
    for (Range& range : pieces.ranges) {
      const size_t begin = out.size();
      const bool at_start = range.begin < pieces.start_end;
      rewrite(pieces.text.substr(range.begin, range.end - range.begin), at_start, out);
      if (at_start) start_end = range.end <= pieces.start_end ? out.size() : begin + 1;
      range = {begin, out.size()};
    }
    pieces.start_end = start_end;
    pieces.storage = std::move(out);
    pieces.text = pieces.storage;
  }

 protected:
  virtual void rewrite(std::string_view piece, bool at_start, std::string& out) const = 0;
};

class PrefixSpace : public Rewriter {
 protected:
  void rewrite(std::string_view piece, bool, std::string& out) const override {
    if (!piece.starts_with(' ')) out += ' ';
    out += piece;
  }
};

class ByteAlphabet : public Rewriter {
 public:
  bool is_byte_alphabet() const override { return true; }

 protected:
  void rewrite(std::string_view piece, bool, std::string& out) const override { out += alphabet_of_bytes(piece); }
};

enum class PrependScheme { kAlways, kFirst, kNever };

class MetaspaceMarks : public Rewriter {
 public:
  MetaspaceMarks(std::string mark, PrependScheme prepend) : mark_(std::move(mark)), prepend_(prepend) {}

 protected:
  void rewrite(std::string_view piece, bool at_start, std::string& out) const override {
    if (prepend_ == PrependScheme::kAlways || (prepend_ == PrependScheme::kFirst && at_start)) {
      if (!piece.starts_with(mark_) && !piece.starts_with(' ')) out += mark_;
    }
    for (size_t i = 0; i < piece.size();) {
      const size_t space = std::min(piece.find(' ', i), piece.size());
      out.append(piece, i, space - i);
      if (space < piece.size()) out += mark_;
      i = space + 1;
    }
  }

 private:
  std::string mark_;
  PrependScheme prepend_;
};

Result<Behavior> behavior_of(const Json& json, std::string_view key, const char* fallback) {
  SLUICE_TRY(const std::string name, json_string(json, key, fallback));
  if (name == "Removed") return Behavior::kRemoved;
  if (name == "Isolated") return Behavior::kIsolated;
  if (name == "MergedWithPrevious") return Behavior::kMergedWithPrevious;
  if (name == "MergedWithNext") return Behavior::kMergedWithNext;
  if (name == "Contiguous") return Behavior::kContiguous;
  return unimplemented(cat("tokenizer.json: the split behavior \"", name, "\" is not known"));
}

Result<std::unique_ptr<const Stage>> make_split(const Json& json) {
  std::string source;
  SLUICE_TRY(Regex regex, pattern_of(json, &source));
  SLUICE_TRY(const Behavior behavior, behavior_of(json, "behavior", "Isolated"));
  SLUICE_TRY(const bool invert, json_bool(json, "invert", false));
  return std::unique_ptr<const Stage>(
      std::make_unique<RegexCutter>(std::move(regex), known_pattern(source), behavior, invert));
}

Result<std::unique_ptr<const Stage>> make_pattern_split(const std::string& pattern) {
  SLUICE_TRY(Regex regex, Regex::compile(pattern));
  return std::unique_ptr<const Stage>(
      std::make_unique<RegexCutter>(std::move(regex), known_pattern(pattern), Behavior::kIsolated, false));
}

}  // namespace

void PreTokenizer::apply(Pieces& pieces) const {
  for (const auto& stage : stages_) stage->apply(pieces);
}

bool PreTokenizer::drop_byte_alphabet() {
  if (stages_.empty() || !stages_.back()->is_byte_alphabet()) return false;
  stages_.pop_back();
  return true;
}

Result<PreTokenizer> PreTokenizer::from_json(const Json& json) {
  PreTokenizer made;
  SLUICE_RETURN_IF_ERROR(made.add(json, 0));
  return made;
}

Result<PreTokenizer> PreTokenizer::byte_level(const std::vector<std::string>& patterns) {
  SLUICE_TRY(PreTokenizer made, patterns_only(patterns));
  made.stages_.push_back(std::make_unique<ByteAlphabet>());
  return made;
}

Result<PreTokenizer> PreTokenizer::patterns_only(const std::vector<std::string>& patterns) {
  PreTokenizer made;
  for (const std::string& pattern : patterns) {
    SLUICE_TRY(auto stage, make_pattern_split(pattern));
    made.stages_.push_back(std::move(stage));
  }
  return made;
}

Result<void> PreTokenizer::add(const Json& json, int depth) {
  if (depth > 16) return corrupt_data("pre_tokenizer: sequences are nested too deeply");
  SLUICE_TRY(const std::string type, json_string(json, "type", ""));
  const auto push = [&](auto stage) { stages_.push_back(std::move(stage)); };
  if (type == "Sequence") {
    const Json* list = json_find(json, "pretokenizers");
    if (list == nullptr || !list->is_array())
      return corrupt_data("pre_tokenizer Sequence: \"pretokenizers\" must be an array");
    for (const Json& part : *list) SLUICE_RETURN_IF_ERROR(add(part, depth + 1));
  } else if (type == "ByteLevel") {
    SLUICE_TRY(const bool prefix, json_bool(json, "add_prefix_space", true));
    SLUICE_TRY(const bool use_regex, json_bool(json, "use_regex", true));
    if (prefix) push(std::make_unique<PrefixSpace>());
    if (use_regex) {
      SLUICE_TRY(auto stage, make_pattern_split(std::string(kGpt2Pattern)));
      push(std::move(stage));
    }
    push(std::make_unique<ByteAlphabet>());
  } else if (type == "Split") {
    SLUICE_TRY(auto stage, make_split(json));
    push(std::move(stage));
  } else if (type == "Metaspace") {
    SLUICE_TRY(const char32_t mark, json_character(json, "replacement", U'\u2581'));
    SLUICE_TRY(const std::string scheme, json_string(json, "prepend_scheme", "always"));
    SLUICE_TRY(const bool prefix, json_bool(json, "add_prefix_space", true));
    SLUICE_TRY(const bool split, json_bool(json, "split", true));
    if (scheme != "always" && scheme != "first" && scheme != "never") {
      return unimplemented(cat("tokenizer.json: Metaspace with prepend_scheme \"", scheme, "\" is not known"));
    }
    std::string text;
    append_utf8(text, mark);
    const PrependScheme prepend = !prefix || scheme == "never" ? PrependScheme::kNever
                                  : scheme == "first"          ? PrependScheme::kFirst
                                                               : PrependScheme::kAlways;
    push(std::make_unique<MetaspaceMarks>(text, prepend));
    if (split) push(std::make_unique<CharacterCutter>(0, mark, Behavior::kMergedWithNext));
  } else if (type == "Whitespace") {
    push(std::make_unique<WordCutter>());
  } else if (type == "WhitespaceSplit") {
    push(std::make_unique<CharacterCutter>(kFlagSpace, std::nullopt, Behavior::kRemoved));
  } else if (type == "BertPreTokenizer") {
    push(std::make_unique<CharacterCutter>(kFlagSpace, std::nullopt, Behavior::kRemoved));
    push(std::make_unique<CharacterCutter>(kFlagPunct, std::nullopt, Behavior::kIsolated));
  } else if (type == "Punctuation") {
    SLUICE_TRY(const Behavior behavior, behavior_of(json, "behavior", "Isolated"));
    push(std::make_unique<CharacterCutter>(kFlagPunct, std::nullopt, behavior));
  } else if (type == "Digits") {
    SLUICE_TRY(const bool individual, json_bool(json, "individual_digits", false));
    push(std::make_unique<CharacterCutter>(kFlagNumeric, std::nullopt,
                                           individual ? Behavior::kIsolated : Behavior::kContiguous));
  } else if (type == "CharDelimiterSplit") {
    SLUICE_TRY(const char32_t delimiter, json_character(json, "delimiter", U' '));
    push(std::make_unique<CharacterCutter>(0, delimiter, Behavior::kRemoved));
  } else if (type == "UnicodeScripts") {
    push(std::make_unique<ScriptCutter>());
  } else if (type == "FixedLength") {
    SLUICE_TRY(const int64_t length, json_int(json, "length", 5));
    if (length < 1) return corrupt_data("pre_tokenizer FixedLength: \"length\" must be at least 1");
    push(std::make_unique<LengthCutter>(static_cast<size_t>(length)));
  } else {
    return unimplemented(cat("tokenizer.json: the pre_tokenizer \"", type, "\" is not known"));
  }
  return {};
}

}  // namespace sluice::text
