#include "server/http/headers.h"

namespace sluice::http {
namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

}  // namespace

bool equals_ignoring_case(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i] != b[i] && lower(a[i]) != lower(b[i])) return false;
  }
  return true;
}

bool list_has_token(std::string_view list, std::string_view token) {
  while (!list.empty()) {
    const size_t comma = list.find(',');
    std::string_view item = list.substr(0, comma);
    while (!item.empty() && (item.front() == ' ' || item.front() == '\t')) item.remove_prefix(1);
    while (!item.empty() && (item.back() == ' ' || item.back() == '\t')) item.remove_suffix(1);
    if (equals_ignoring_case(item, token)) return true;
    if (comma == std::string_view::npos) break;
    list.remove_prefix(comma + 1);
  }
  return false;
}

void Headers::add(std::string_view name, std::string_view value) {
  const auto begin = static_cast<uint32_t>(text_.size());
  const auto name_size = static_cast<uint32_t>(name.size());
  // A view into this very object stays valid: it is copied before the text can move.
  const bool own = value.data() >= text_.data() && value.data() <= text_.data() + text_.size();
  const std::string copy(own ? value : std::string_view());
  text_.append(name).append(own ? std::string_view(copy) : value);
  fields_.push_back({begin, name_size, begin + name_size, static_cast<uint32_t>(value.size())});
}

void Headers::set(std::string_view name, std::string_view value) {
  remove(name);
  add(name, value);
}

void Headers::remove(std::string_view name) {
  std::erase_if(fields_, [&](const Field& field) {
    return equals_ignoring_case({text_.data() + field.name, field.name_size}, name);
  });
}

void Headers::clear() {
  text_.clear();
  fields_.clear();
}

std::optional<std::string_view> Headers::find(std::string_view name) const {
  for (size_t i = 0; i < fields_.size(); ++i) {
    if (equals_ignoring_case(this->name(i), name)) return value(i);
  }
  return std::nullopt;
}

std::vector<std::string_view> Headers::all(std::string_view name) const {
  std::vector<std::string_view> values;
  for (size_t i = 0; i < fields_.size(); ++i) {
    if (equals_ignoring_case(this->name(i), name)) values.push_back(value(i));
  }
  return values;
}

}  // namespace sluice::http
