#pragma once
// Numbers at any place in memory, as they lie in files and packed matrices.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

#include "tensor/quantize.h"

namespace sluice {

template <class T>
T load(const std::byte* in) {
  T value;
  std::memcpy(&value, in, sizeof value);
  return value;
}

template <class T>
void store(std::byte* out, T value) {
  std::memcpy(out, &value, sizeof value);
}

template <class T>
void append_value(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

inline unsigned byte_at(const std::byte* in, int index) { return std::to_integer<unsigned>(in[index]); }

inline float load_half(const std::byte* in) { return f16_to_f32(load<uint16_t>(in)); }

}  // namespace sluice
