#include "checkpoint/module_targets.h"

#include <algorithm>

#include "base/strings.h"

namespace sluice::checkpoint {
namespace {

constexpr std::string_view kPattern = "re:";

// embed_tokens, word_embeddings, position_embedding
bool is_embedding(std::string_view module) {
  return module.substr(module.rfind('.') + 1).find("embed") != std::string_view::npos;
}

// The place within the text model. Versions of a library put different names before it, in files and in configs.
std::string_view bare_name(std::string_view module) {
  constexpr std::string_view kOuter[] = {"model.", "language_model."};
  for (bool found = true; found;) {
    found = false;
    for (const std::string_view prefix : kOuter) {
      if (!module.starts_with(prefix)) continue;
      module.remove_prefix(prefix.size());
      found = true;
    }
  }
  return module;
}

}  // namespace

Result<ModuleTargets::Target> ModuleTargets::make(std::string_view text, int group) {
  Target target{.text = std::string(text), .group = group};
  if (text.starts_with(kPattern)) {
    SLUICE_TRY(target.pattern, NamePattern::compile(text.substr(kPattern.size())));
  }
  return target;
}

Result<void> ModuleTargets::add(std::string_view text, int group) {
  std::erase_if(targets_, [&](const Target& each) { return each.text == text; });
  SLUICE_TRY(Target target, make(text, group));
  targets_.push_back(std::move(target));
  std::ranges::sort(targets_, {}, [](const Target& each) {
    return std::pair(each.pattern.has_value(), std::string_view(each.text));
  });
  return {};
}

Result<void> ModuleTargets::ignore(std::string_view text) {
  SLUICE_TRY(Target target, make(text, 0));
  ignored_.push_back(std::move(target));
  return {};
}

bool ModuleTargets::matches_name(const Target& target, std::string_view module) {
  const std::string_view bare = bare_name(module);
  if (!target.pattern) return bare_name(target.text) == bare;
  if (target.pattern->matches(module)) return true;
  if (module.starts_with("model.") && !module.starts_with("model.language_model.")) return false;
  return target.pattern->matches(cat("model.", bare)) || target.pattern->matches(cat("model.language_model.", bare));
}

bool ModuleTargets::matches_class(const Target& target, std::string_view module) {
  if (target.text == "Module") return true;
  return target.text == (is_embedding(module) ? "Embedding" : "Linear");
}

bool ModuleTargets::is_ignored(std::string_view module) const {
  return std::ranges::any_of(
      ignored_, [&](const Target& each) { return matches_name(each, module) || matches_class(each, module); });
}

std::optional<int> ModuleTargets::group_of(std::string_view module) const {
  if (is_ignored(module)) return std::nullopt;
  for (const auto matches : {matches_name, matches_class}) {
    const auto found = std::ranges::find_if(targets_, [&](const Target& each) { return matches(each, module); });
    if (found != targets_.end()) return found->group;
  }
  return std::nullopt;
}

}  // namespace sluice::checkpoint
