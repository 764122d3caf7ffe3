#include "text/tokenizer_regex.h"

#include <algorithm>
#include <optional>

#include "base/strings.h"
#include "text/tokenizer_regex_parse.h"
#include "text/unicode.h"

namespace sluice::text {

using Op = RegexInstruction::Op;
using Greed = RegexInstruction::Greed;
using NodeKind = RegexNode::Kind;

namespace {

constexpr size_t kProgramMax = 50'000;
constexpr uint32_t kLookBehindMax = 255;

bool nullable(const RegexNode& node) {
  switch (node.kind) {
    case NodeKind::kSet:
      return false;
    case NodeKind::kConcat:
      return std::all_of(node.parts.begin(), node.parts.end(), nullable);
    case NodeKind::kAlternatives:
      return std::any_of(node.parts.begin(), node.parts.end(), nullable);
    case NodeKind::kRepeat:
      return node.min == 0 || nullable(node.parts[0]);
    case NodeKind::kAtomic:
      return nullable(node.parts[0]);
    default:
      return true;
  }
}

// How many characters the node matches, if always the same number.
std::optional<uint32_t> fixed_length(const RegexNode& node) {
  switch (node.kind) {
    case NodeKind::kSet:
      return 1;
    case NodeKind::kConcat: {
      uint32_t sum = 0;
      for (const RegexNode& part : node.parts) {
        const auto length = fixed_length(part);
        if (!length) return std::nullopt;
        sum += *length;
        if (sum > kLookBehindMax) return std::nullopt;
      }
      return sum;
    }
    case NodeKind::kAlternatives: {
      const auto length = fixed_length(node.parts[0]);
      for (const RegexNode& part : node.parts) {
        if (fixed_length(part) != length) return std::nullopt;
      }
      return length;
    }
    case NodeKind::kRepeat: {
      const auto length = fixed_length(node.parts[0]);
      if (!length || node.min != node.max) return std::nullopt;
      return *length * node.min > kLookBehindMax ? std::nullopt : std::optional(*length * node.min);
    }
    case NodeKind::kAtomic:
      return fixed_length(node.parts[0]);
    default:
      return 0;
  }
}

// Collects into `out` the characters a match of `node` can begin with; false when it can begin with anything or be
// empty.
bool first_characters(const RegexNode& node, CharSet& out) {
  switch (node.kind) {
    case NodeKind::kSet:
      out.add_nested(node.set);
      return true;
    case NodeKind::kConcat:
      for (const RegexNode& part : node.parts) {
        if (part.kind == NodeKind::kLook || part.kind == NodeKind::kAssert || part.kind == NodeKind::kEmpty) continue;
        if (!nullable(part)) return first_characters(part, out);
        if (part.kind != NodeKind::kRepeat && part.kind != NodeKind::kAlternatives) return false;
        if (!first_characters(part.parts[0], out) || part.kind == NodeKind::kAlternatives) return false;
      }
      return false;
    case NodeKind::kAlternatives:
      return std::all_of(node.parts.begin(), node.parts.end(),
                         [&](const RegexNode& part) { return first_characters(part, out); });
    case NodeKind::kRepeat:
      return node.min > 0 && first_characters(node.parts[0], out);
    case NodeKind::kAtomic:
      return first_characters(node.parts[0], out);
    default:
      return false;
  }
}

}  // namespace

class RegexCompiler {
 public:
  explicit RegexCompiler(Regex& out) : out_(out) {}

  Result<void> compile(const RegexNode& node) {
    if (out_.program_.size() > kProgramMax) return corrupt_data("regular expression: its counts make it too large");
    switch (node.kind) {
      case NodeKind::kEmpty:
        return {};
      case NodeKind::kSet:
        emit({.op = Op::kSet, .a = set(node.set)});
        return {};
      case NodeKind::kConcat:
        return concat(node);
      case NodeKind::kAlternatives:
        return alternatives(node, 0);
      case NodeKind::kRepeat:
        return repeat(node);
      case NodeKind::kLook:
        return look(node);
      case NodeKind::kAtomic: {
        const uint32_t start = emit({.op = Op::kAtomic});
        SLUICE_RETURN_IF_ERROR(compile(node.parts[0]));
        emit({.op = Op::kMatch});
        out_.program_[start].a = here();
        return {};
      }
      case NodeKind::kAssert:
        emit({.op = node.assertion});
        return {};
    }
    return {};
  }

  void finish(const RegexNode& node) {
    emit({.op = Op::kMatch});
    out_.split_index_.resize(out_.program_.size());
    for (size_t i = 0; i < out_.program_.size(); ++i) {
      if (out_.program_[i].op == Op::kSplit) out_.split_index_[i] = out_.splits_++;
    }
    out_.first_known_ = first_characters(node, out_.first_);
    out_.first_.finish();
  }

  uint32_t emit(const RegexInstruction& instruction) {
    out_.program_.push_back(instruction);
    return static_cast<uint32_t>(out_.program_.size() - 1);
  }

 private:
  uint32_t here() const { return static_cast<uint32_t>(out_.program_.size()); }
  uint32_t set(const CharSet& set) {
    out_.sets_.push_back(set);
    return static_cast<uint32_t>(out_.sets_.size() - 1);
  }

  Result<void> concat(const RegexNode& node) {
    for (size_t i = 0; i < node.parts.size(); ++i) {
      std::string literal;
      size_t end = i;
      for (; end < node.parts.size() && node.parts[end].kind == NodeKind::kSet && node.parts[end].single != 0; ++end) {
        append_utf8(literal, node.parts[end].single);
      }
      if (end > i) {
        out_.literals_.push_back(literal);
        emit({.op = Op::kLiteral, .a = static_cast<uint32_t>(out_.literals_.size() - 1)});
        i = end - 1;
      } else {
        SLUICE_RETURN_IF_ERROR(compile(node.parts[i]));
      }
    }
    return {};
  }

  Result<void> alternatives(const RegexNode& node, size_t from) {
    std::vector<uint32_t> jumps;
    for (size_t i = from; i < node.parts.size(); ++i) {
      const bool last = i + 1 == node.parts.size();
      const uint32_t split = last ? 0 : emit({.op = Op::kSplit, .a = here() + 1});
      SLUICE_RETURN_IF_ERROR(compile(node.parts[i]));
      if (last) break;
      jumps.push_back(emit({.op = Op::kJump}));
      out_.program_[split].b = here();
    }
    for (uint32_t jump : jumps) out_.program_[jump].a = here();
    return {};
  }

  Result<void> repeat(const RegexNode& node) {
    const RegexNode& body = node.parts[0];
    if (body.kind == NodeKind::kSet) {
      emit({.op = Op::kRun, .greed = node.greed, .a = set(body.set), .min = node.min, .max = node.max});
      return {};
    }
    if (node.greed == Greed::kPossessive) {
      RegexNode greedy = node;
      greedy.greed = Greed::kGreedy;
      RegexNode atomic;
      atomic.kind = NodeKind::kAtomic;
      atomic.parts.push_back(std::move(greedy));
      return compile(atomic);
    }
    const uint32_t before = here();
    SLUICE_RETURN_IF_ERROR(compile(body));
    const bool empty = here() == before;
    out_.program_.resize(before);
    if (empty) return {};
    for (uint32_t i = 0; i < node.min; ++i) SLUICE_RETURN_IF_ERROR(compile(body));
    if (node.max == Regex::kUnbounded) {
      if (nullable(body))
        return unimplemented("regular expression: an unbounded repeat of what may be empty is not supported");
      const uint32_t split = emit({.op = Op::kSplit});
      SLUICE_RETURN_IF_ERROR(compile(body));
      emit({.op = Op::kJump, .a = split});
      branch(split, split + 1, here(), node.greed);
      return {};
    }
    std::vector<uint32_t> splits;
    for (uint32_t i = node.min; i < node.max; ++i) {
      splits.push_back(emit({.op = Op::kSplit}));
      SLUICE_RETURN_IF_ERROR(compile(body));
    }
    for (uint32_t split : splits) branch(split, split + 1, here(), node.greed);
    return {};
  }

  void branch(uint32_t split, uint32_t body, uint32_t out, Greed greed) {
    out_.program_[split].a = greed == Greed::kLazy ? out : body;
    out_.program_[split].b = greed == Greed::kLazy ? body : out;
  }

  Result<void> look(const RegexNode& node) {
    const RegexNode& body = node.parts[0];
    if (node.behind && !fixed_length(body)) return look_behind_each(node);
    const uint32_t flags =
        (node.behind ? RegexInstruction::kLookBehind : 0) | (node.negative ? RegexInstruction::kLookNegative : 0);
    const uint32_t start = emit({.op = Op::kLook, .b = flags, .min = node.behind ? *fixed_length(body) : 0});
    SLUICE_RETURN_IF_ERROR(compile(body));
    emit({.op = Op::kMatch});
    out_.program_[start].a = here();
    return {};
  }

  // (?<=a|bc) is (?:(?<=a)|(?<=bc)); (?<!a|bc) is (?<!a)(?<!bc).
  Result<void> look_behind_each(const RegexNode& node) {
    const RegexNode& body = node.parts[0];
    RegexNode all;
    all.kind = node.negative ? NodeKind::kConcat : NodeKind::kAlternatives;
    if (body.kind != NodeKind::kAlternatives)
      return unimplemented("regular expression: look-behind of varying length is not supported");
    for (const RegexNode& part : body.parts) {
      if (!fixed_length(part))
        return unimplemented("regular expression: look-behind of varying length is not supported");
      RegexNode one = node;
      one.parts = {part};
      all.parts.push_back(std::move(one));
    }
    return compile(all);
  }

  Regex& out_;
};

Result<Regex> Regex::compile(std::string_view pattern) {
  SLUICE_TRY(const RegexNode node, parse_regex(pattern));
  Regex regex;
  RegexCompiler compiler(regex);
  SLUICE_RETURN_IF_ERROR(compiler.compile(node));
  compiler.finish(node);
  return regex;
}

Regex Regex::literal(std::string_view text) {
  RegexNode node;
  node.kind = NodeKind::kConcat;
  Regex regex;
  RegexCompiler compiler(regex);
  regex.literals_.emplace_back(text);
  compiler.emit({.op = Op::kLiteral, .a = 0});
  if (!text.empty()) {
    const char* p = text.data();
    const char32_t c = next_code_point(p);
    RegexNode first;
    first.kind = NodeKind::kSet;
    first.set.add(c, c);
    first.set.finish();
    node.parts.push_back(std::move(first));
  }
  compiler.finish(node);
  return regex;
}

}  // namespace sluice::text
