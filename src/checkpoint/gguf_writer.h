#pragma once
// The head of a GGUF file (version 3): metadata, then what tensors follow. The tensors' bytes come after it in the same
// order, each padded to `alignment`. Format: github.com/ggml-org/ggml, docs/gguf.md.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/gguf.h"
#include "tensor/tensor.h"

namespace sluice::checkpoint {

class GgufHead {
 public:
  static constexpr uint64_t kAlignment = 32;  // bytes

  void add(std::string_view key, uint32_t value) { scalar(key, GgufType::kU32, value); }
  void add(std::string_view key, float value) { scalar(key, GgufType::kF32, value); }
  void add(std::string_view key, bool value) { scalar(key, GgufType::kBool, static_cast<uint8_t>(value)); }
  void add_u16(std::string_view key, uint16_t value) { scalar(key, GgufType::kU16, value); }
  void add_i32(std::string_view key, int32_t value) { scalar(key, GgufType::kI32, value); }
  void add(std::string_view key, std::string_view value);
  void add(std::string_view key, std::span<const std::string> values);
  void add(std::string_view key, std::span<const float> values) { array(key, GgufType::kF32, values); }
  void add(std::string_view key, std::span<const int32_t> values) { array(key, GgufType::kI32, values); }
  void add_booleans(std::string_view key, std::span<const uint8_t> values) { array(key, GgufType::kBool, values); }
  // A value of another file, as it is.
  void copy(std::string_view key, const GgufValue& value);

  // A tensor of a floating or quantised type whose rows are whole blocks.
  void add_tensor(std::string_view name, DType dtype, const Shape& shape);

  // Everything up to the first tensor's first byte, padded.
  std::string bytes() const;
  uint64_t tensor_bytes() const { return data_bytes_; }  // padded

 private:
  template <class T>
  void scalar(std::string_view key, GgufType type, T value);
  template <class T>
  void array(std::string_view key, GgufType type, std::span<const T> values);
  void begin(std::string_view key, GgufType type);

  std::string metadata_, tensors_;
  uint64_t keys_ = 0, tensor_count_ = 0, data_bytes_ = 0;
};

}  // namespace sluice::checkpoint
