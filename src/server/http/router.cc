#include "server/http/router.h"

#include <algorithm>

#include "base/check.h"
#include "base/strings.h"
#include "server/http/uri.h"

namespace sluice::http {
namespace {

constexpr size_t kNearestPathMax = 128;

bool is_name(std::string_view segment) { return segment.size() > 2 && segment.front() == '{' && segment.back() == '}'; }
bool is_rest(std::string_view segment) { return is_name(segment) && segment.ends_with("...}"); }
std::string name_of(std::string_view segment) {
  return std::string(segment.substr(1, segment.size() - (is_rest(segment) ? 5 : 2)));
}

// "/a/b" → "a", "b"; "/" → "".
std::vector<std::string> segments_of(std::string_view path) { return split(path.substr(1), '/'); }

// Sorts literals before {one} before {rest...}, segment by segment.
int rank(std::string_view segment) { return is_rest(segment) ? 2 : is_name(segment) ? 1 : 0; }

}  // namespace

void Router::add(Route route) {
  SLUICE_CHECK(!route.path.empty() && route.path[0] == '/' && !route.method.empty() && route.answer,
               "a route is incomplete");
  const std::vector<std::string> segments = segments_of(route.path);
  for (size_t i = 0; i + 1 < segments.size(); ++i)
    SLUICE_CHECK(!is_rest(segments[i]), "{name...} comes last in a path");
  const size_t index = routes_.size();
  std::vector<size_t>* same_path = nullptr;
  if (std::none_of(segments.begin(), segments.end(), is_name)) {
    same_path = &literal_[route.path];
  } else {
    auto pattern =
        std::find_if(patterns_.begin(), patterns_.end(), [&](const Pattern& p) { return p.segments == segments; });
    if (pattern == patterns_.end()) {
      const auto more_literal = [](const Pattern& a, const Pattern& b) {
        return std::lexicographical_compare(a.segments.begin(), a.segments.end(), b.segments.begin(), b.segments.end(),
                                            [](const auto& x, const auto& y) { return rank(x) < rank(y); });
      };
      Pattern added{segments, {}};
      pattern = patterns_.insert(std::upper_bound(patterns_.begin(), patterns_.end(), added, more_literal), added);
    }
    same_path = &pattern->routes;
  }
  for (const size_t other : *same_path) SLUICE_CHECK(routes_[other].method != route.method, "a route is added twice");
  same_path->push_back(index);
  routes_.push_back(std::move(route));
}

const std::vector<size_t>* Router::find(std::string_view raw_path,
                                        std::vector<std::pair<std::string, std::string>>* params) const {
  if (raw_path.empty() || raw_path[0] != '/') return nullptr;
  std::vector<std::string> segments;
  if (raw_path.find('%') == std::string_view::npos) {
    if (const auto found = literal_.find(raw_path); found != literal_.end()) return &found->second;
    if (patterns_.empty()) return nullptr;
    segments = segments_of(raw_path);
  } else {
    // Split before decoding: an escaped slash is part of its segment.
    segments = segments_of(raw_path);
    bool slash = false;
    for (std::string& segment : segments) {
      std::optional<std::string> decoded = percent_decode(segment, false);
      if (!decoded) return nullptr;
      segment = std::move(*decoded);
      slash |= segment.find('/') != std::string::npos;
    }
    if (!slash) {
      if (const auto found = literal_.find("/" + join(segments, "/")); found != literal_.end()) return &found->second;
    }
  }
  for (const Pattern& pattern : patterns_) {
    const size_t count = pattern.segments.size();
    const bool rest = is_rest(pattern.segments.back());
    if (rest ? segments.size() < count : segments.size() != count) continue;
    bool same = true;
    for (size_t i = 0; i < count && same; ++i) {
      same = is_name(pattern.segments[i]) ? !segments[i].empty() : pattern.segments[i] == segments[i];
    }
    if (!same) continue;
    for (size_t i = 0; i < count; ++i) {
      if (!is_name(pattern.segments[i])) continue;
      std::string value = segments[i];
      if (is_rest(pattern.segments[i]))
        value = join({segments.begin() + static_cast<std::ptrdiff_t>(i), segments.end()}, "/");
      params->emplace_back(name_of(pattern.segments[i]), std::move(value));
    }
    return &pattern.routes;
  }
  return nullptr;
}

Router::Match Router::match(std::string_view method, std::string_view raw_path) const {
  Match match;
  const std::vector<size_t>* same_path = find(raw_path, &match.params);
  if (same_path == nullptr) return match;
  const std::string_view wanted = method == "HEAD" ? "GET" : method;
  for (const size_t index : *same_path) {
    // A HEAD of its own wins over GET's.
    if (routes_[index].method == method || (match.route == nullptr && routes_[index].method == wanted)) {
      match.route = &routes_[index];
      match.index = index;
    }
  }
  if (match.route == nullptr) {
    match.other = &routes_[same_path->front()];
    match.allowed = methods(raw_path);
  }
  return match;
}

std::vector<std::string> Router::methods(std::string_view raw_path) const {
  std::vector<std::pair<std::string, std::string>> params;
  const std::vector<size_t>* same_path = find(raw_path, &params);
  if (same_path == nullptr) return {};
  std::vector<std::string> methods;
  for (const size_t index : *same_path) methods.push_back(routes_[index].method);
  const auto has = [&](std::string_view name) {
    return std::find(methods.begin(), methods.end(), name) != methods.end();
  };
  if (has("GET") && !has("HEAD")) methods.emplace_back("HEAD");
  if (!has("OPTIONS")) methods.emplace_back("OPTIONS");
  return methods;
}

std::string Router::nearest_path(std::string_view path) const {
  // The work grows with the length, and a client chooses it.
  if (path.size() > kNearestPathMax) return {};
  std::vector<std::string> paths;
  for (const Route& route : routes_) paths.push_back(route.path);
  return nearest_name(path, paths);
}

}  // namespace sluice::http
