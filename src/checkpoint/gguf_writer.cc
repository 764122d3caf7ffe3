#include "checkpoint/gguf_writer.h"

#include "checkpoint/gguf_types.h"
#include "tensor/bytes.h"

namespace sluice::checkpoint {
namespace {

void append_string(std::string& out, std::string_view text) {
  append_value<uint64_t>(out, text.size());
  out.append(text);
}

uint64_t padded(uint64_t bytes) {
  return (bytes + GgufHead::kAlignment - 1) / GgufHead::kAlignment * GgufHead::kAlignment;
}

}  // namespace

void GgufHead::begin(std::string_view key, GgufType type) {
  append_string(metadata_, key);
  append_value(metadata_, static_cast<uint32_t>(type));
  ++keys_;
}

template <class T>
void GgufHead::scalar(std::string_view key, GgufType type, T value) {
  begin(key, type);
  append_value(metadata_, value);
}
template void GgufHead::scalar(std::string_view, GgufType, uint32_t);
template void GgufHead::scalar(std::string_view, GgufType, float);
template void GgufHead::scalar(std::string_view, GgufType, uint16_t);
template void GgufHead::scalar(std::string_view, GgufType, int32_t);
template void GgufHead::scalar(std::string_view, GgufType, uint8_t);

template <class T>
void GgufHead::array(std::string_view key, GgufType type, std::span<const T> values) {
  begin(key, GgufType::kArray);
  append_value(metadata_, static_cast<uint32_t>(type));
  append_value<uint64_t>(metadata_, values.size());
  metadata_.append(reinterpret_cast<const char*>(values.data()), values.size_bytes());
}
template void GgufHead::array(std::string_view, GgufType, std::span<const float>);
template void GgufHead::array(std::string_view, GgufType, std::span<const int32_t>);
template void GgufHead::array(std::string_view, GgufType, std::span<const uint8_t>);

void GgufHead::add(std::string_view key, std::string_view value) {
  begin(key, GgufType::kString);
  append_string(metadata_, value);
}

void GgufHead::add(std::string_view key, std::span<const std::string> values) {
  begin(key, GgufType::kArray);
  append_value(metadata_, static_cast<uint32_t>(GgufType::kString));
  append_value<uint64_t>(metadata_, values.size());
  for (const std::string& value : values) append_string(metadata_, value);
}

void GgufHead::copy(std::string_view key, const GgufValue& value) {
  begin(key, value.type);
  if (value.type == GgufType::kString) append_value<uint64_t>(metadata_, value.bytes.size());
  if (value.type == GgufType::kArray) {
    append_value(metadata_, static_cast<uint32_t>(value.element_type));
    append_value<uint64_t>(metadata_, value.count);
  }
  metadata_.append(reinterpret_cast<const char*>(value.bytes.data()), value.bytes.size());
}

void GgufHead::add_tensor(std::string_view name, DType dtype, const Shape& shape) {
  append_string(tensors_, name);
  append_value<uint32_t>(tensors_, static_cast<uint32_t>(shape.rank()));
  for (int axis = shape.rank(); axis-- > 0;) append_value<uint64_t>(tensors_, static_cast<uint64_t>(shape[axis]));
  append_value<uint32_t>(tensors_, ggml_type_of(dtype).id);
  append_value<uint64_t>(tensors_, data_bytes_);
  data_bytes_ += padded(static_cast<uint64_t>(shape.rows()) * row_bytes(dtype, shape.columns()));
  ++tensor_count_;
}

std::string GgufHead::bytes() const {
  std::string out = "GGUF";
  append_value<uint32_t>(out, 3);
  append_value<uint64_t>(out, tensor_count_);
  append_value<uint64_t>(out, keys_);
  out += metadata_ + tensors_;
  out.resize(padded(out.size()));
  return out;
}

}  // namespace sluice::checkpoint
