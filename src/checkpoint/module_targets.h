#pragma once
// Which modules a compressed-tensors config means: its groups' `targets` and its `ignore`, by name, by pattern ("re:…")
// or by class ("Linear"). Source: compressed-tensors utils/match.py, quantization/lifecycle/apply.py.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "checkpoint/name_pattern.h"

namespace sluice::checkpoint {

class ModuleTargets {
 public:
  // The same target given again is the later group's.
  Result<void> add(std::string_view target, int group);
  Result<void> ignore(std::string_view target);

  // The group a module belongs to: a target that matches its name wins over one that matches its class, and of
  // several the first in the alphabet, names before patterns. Nothing: ignored, or not meant.
  std::optional<int> group_of(std::string_view module) const;
  bool is_ignored(std::string_view module) const;

 private:
  struct Target {
    std::string text;
    std::optional<NamePattern> pattern;
    int group = 0;
  };
  static Result<Target> make(std::string_view text, int group);
  static bool matches_name(const Target& target, std::string_view module);
  static bool matches_class(const Target& target, std::string_view module);

  std::vector<Target> targets_;  // in the order in which they win
  std::vector<Target> ignored_;
};

}  // namespace sluice::checkpoint
