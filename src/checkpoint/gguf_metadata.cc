// Typed access to the metadata of a GGUF file. The values were checked for form when the file was read (gguf.cc).

#include <limits>

#include "base/strings.h"
#include "checkpoint/gguf.h"
#include "tensor/bytes.h"

namespace sluice::checkpoint {
namespace {

std::optional<int64_t> load_integer(GgufType type, const std::byte* in) {
  switch (type) {
    case GgufType::kU8:
      return load<uint8_t>(in);
    case GgufType::kI8:
      return load<int8_t>(in);
    case GgufType::kU16:
      return load<uint16_t>(in);
    case GgufType::kI16:
      return load<int16_t>(in);
    case GgufType::kU32:
      return load<uint32_t>(in);
    case GgufType::kI32:
      return load<int32_t>(in);
    case GgufType::kI64:
      return load<int64_t>(in);
    case GgufType::kU64: {
      const auto value = load<uint64_t>(in);
      if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) return std::nullopt;
      return static_cast<int64_t>(value);
    }
    default:
      return std::nullopt;
  }
}

std::optional<double> load_number(GgufType type, const std::byte* in) {
  if (type == GgufType::kF32) return load<float>(in);
  if (type == GgufType::kF64) return load<double>(in);
  if (type == GgufType::kU64) return static_cast<double>(load<uint64_t>(in));
  if (const auto integer = load_integer(type, in)) return static_cast<double>(*integer);
  return std::nullopt;
}

std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string describe(const GgufValue& value) {
  if (value.type == GgufType::kArray) return cat("an array of ", value.count, " ", gguf_type_name(value.element_type));
  if (const auto number = load_number(value.type, value.bytes.data()))
    return cat(gguf_type_name(value.type), " ", *number);
  if (value.type == GgufType::kString) return cat("the string ", quote(as_text(value.bytes)));
  return std::string(gguf_type_name(value.type));
}

Error wrong_type(const std::string& path, std::string_view key, std::string_view expected, const GgufValue& came) {
  return corrupt_data(cat(path, ": metadata ", quote(key), " must be ", expected, ", but is ", describe(came)));
}

Error missing(const std::string& path, std::string_view key) {
  return not_found(cat(path, ": metadata ", quote(key), " is missing"));
}

// Calls take(element bytes) for a scalar or every element of an array of scalars; false stops.
template <class Take>
bool each_scalar(const GgufValue& value, Take take) {
  const GgufType type = value.type == GgufType::kArray ? value.element_type : value.type;
  if (type == GgufType::kString || type == GgufType::kArray) return value.count == 0 && value.type == GgufType::kArray;
  const uint64_t step = gguf_type_bytes(type);
  for (uint64_t i = 0; i < value.count; ++i) {
    if (!take(type, value.bytes.data() + i * step)) return false;
  }
  return true;
}

Json element_to_json(GgufType type, std::span<const std::byte> bytes) {
  if (type == GgufType::kString) return utf8_sanitize(as_text(bytes));
  if (type == GgufType::kBool) return bytes[0] != std::byte{0};
  if (type == GgufType::kU64) return load<uint64_t>(bytes.data());
  if (const auto integer = load_integer(type, bytes.data())) return *integer;
  return load_number(type, bytes.data()).value_or(0.0);
}

}  // namespace

std::string_view gguf_type_name(GgufType type) {
  constexpr std::string_view kNames[] = {"u8",   "i8",     "u16",   "i16", "u32", "i32", "f32",
                                         "bool", "string", "array", "u64", "i64", "f64"};
  const auto index = static_cast<size_t>(type);
  return index < std::size(kNames) ? kNames[index] : "unknown";
}

uint64_t gguf_type_bytes(GgufType type) {
  switch (type) {
    case GgufType::kU8:
    case GgufType::kI8:
    case GgufType::kBool:
      return 1;
    case GgufType::kU16:
    case GgufType::kI16:
      return 2;
    case GgufType::kU32:
    case GgufType::kI32:
    case GgufType::kF32:
      return 4;
    case GgufType::kU64:
    case GgufType::kI64:
    case GgufType::kF64:
      return 8;
    case GgufType::kString:
    case GgufType::kArray:
      return 0;
  }
  return 0;
}

const GgufValue* GgufMetadata::find(std::string_view key) const {
  const auto found = table_->values.find(key);
  return found == table_->values.end() ? nullptr : &found->second;
}

Result<int64_t> GgufMetadata::integer(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return missing(path(), key);
  const auto integer = load_integer(value->type, value->bytes.data());
  if (!integer) return wrong_type(path(), key, "an integer", *value);
  return *integer;
}

Result<int64_t> GgufMetadata::integer(std::string_view key, int64_t fallback) const {
  return contains(key) ? integer(key) : fallback;
}

Result<double> GgufMetadata::number(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return missing(path(), key);
  const auto number = load_number(value->type, value->bytes.data());
  if (!number) return wrong_type(path(), key, "a number", *value);
  return *number;
}

Result<double> GgufMetadata::number(std::string_view key, double fallback) const {
  return contains(key) ? number(key) : fallback;
}

Result<bool> GgufMetadata::boolean(std::string_view key, bool fallback) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return fallback;
  if (value->type != GgufType::kBool) return wrong_type(path(), key, "true or false", *value);
  return value->bytes[0] != std::byte{0};
}

Result<std::string_view> GgufMetadata::string(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return missing(path(), key);
  if (value->type != GgufType::kString) return wrong_type(path(), key, "a string", *value);
  return as_text(value->bytes);
}

Result<std::string_view> GgufMetadata::string(std::string_view key, std::string_view fallback) const {
  return contains(key) ? string(key) : fallback;
}

Result<std::vector<int64_t>> GgufMetadata::integers(std::string_view key) const {
  std::vector<int64_t> out;
  const GgufValue* value = find(key);
  if (value == nullptr) return out;
  const bool good = each_scalar(*value, [&](GgufType type, const std::byte* in) {
    const auto integer = load_integer(type, in);
    if (integer) out.push_back(*integer);
    return integer.has_value();
  });
  if (!good) return wrong_type(path(), key, "an array of integers", *value);
  return out;
}

Result<std::vector<float>> GgufMetadata::numbers(std::string_view key) const {
  std::vector<float> out;
  const GgufValue* value = find(key);
  if (value == nullptr) return out;
  const bool good = each_scalar(*value, [&](GgufType type, const std::byte* in) {
    const auto number = load_number(type, in);
    if (number) out.push_back(static_cast<float>(*number));
    return number.has_value();
  });
  if (!good) return wrong_type(path(), key, "an array of numbers", *value);
  return out;
}

Result<std::vector<std::string_view>> GgufMetadata::strings(std::string_view key) const {
  std::vector<std::string_view> out;
  const GgufValue* value = find(key);
  if (value == nullptr) return out;
  if (value->type == GgufType::kString) return std::vector<std::string_view>{as_text(value->bytes)};
  const bool is_array = value->type == GgufType::kArray;
  if (is_array && value->count == 0) return out;
  if (!is_array || value->element_type != GgufType::kString)
    return wrong_type(path(), key, "an array of strings", *value);
  out.reserve(value->count);
  std::span<const std::byte> rest = value->bytes;
  for (uint64_t i = 0; i < value->count; ++i) {
    const auto length = load<uint64_t>(rest.data());
    out.push_back(as_text(rest.subspan(sizeof length, length)));
    rest = rest.subspan(sizeof length + length);
  }
  return out;
}

Json GgufMetadata::to_json(size_t array_elements_max) const {
  Json out = Json::object();
  for (const std::string& key : keys()) {
    const GgufValue& value = *find(key);
    Json& slot = out[utf8_sanitize(key)];
    if (value.type != GgufType::kArray) {
      slot = element_to_json(value.type, value.bytes);
    } else if (value.count > array_elements_max || value.element_type == GgufType::kArray) {
      slot = {{"type", gguf_type_name(value.element_type)}, {"count", value.count}};
    } else if (value.element_type == GgufType::kString) {
      slot = Json::array();
      const auto texts = strings(key);
      for (const std::string_view text : *texts) slot.push_back(utf8_sanitize(text));
    } else {
      slot = Json::array();
      each_scalar(value, [&](GgufType type, const std::byte* in) {
        slot.push_back(element_to_json(type, {in, gguf_type_bytes(type)}));
        return true;
      });
    }
  }
  return out;
}

}  // namespace sluice::checkpoint
