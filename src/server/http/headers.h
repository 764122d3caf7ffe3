#pragma once
// Header fields of a request or a response, in order, names compared without case. All text lies in one string, so a
// request's headers cost two allocations however many they are.

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice::http {

class Headers {
 public:
  Headers() = default;
  Headers(std::initializer_list<std::pair<std::string_view, std::string_view>> fields) {
    for (const auto& [name, value] : fields) add(name, value);
  }

  // Takes any text; what may not be sent is left out when the response is written (serialize.h).
  void add(std::string_view name, std::string_view value);
  // add, with every field of that name removed before.
  void set(std::string_view name, std::string_view value);
  void remove(std::string_view name);
  void clear();

  bool has(std::string_view name) const { return find(name).has_value(); }
  // The first field of that name. The view lives until the headers are changed or moved.
  std::optional<std::string_view> find(std::string_view name) const;
  // find, or "".
  std::string_view get(std::string_view name) const { return find(name).value_or(std::string_view()); }
  std::vector<std::string_view> all(std::string_view name) const;

  size_t size() const { return fields_.size(); }
  bool empty() const { return fields_.empty(); }
  std::string_view name(size_t i) const { return {text_.data() + fields_[i].name, fields_[i].name_size}; }
  std::string_view value(size_t i) const { return {text_.data() + fields_[i].value, fields_[i].value_size}; }

 private:
  struct Field {
    uint32_t name, name_size, value, value_size;  // offsets into text_
  };
  std::string text_;
  std::vector<Field> fields_;
};

// Letters of ASCII compared without case.
bool equals_ignoring_case(std::string_view a, std::string_view b);
// True when the comma-separated list `list` (as in Connection) has the member `token`, without case.
bool list_has_token(std::string_view list, std::string_view token);

}  // namespace sluice::http
