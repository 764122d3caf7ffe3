#include "checkpoint/quantized_matrix.h"

#include <array>
#include <cmath>
#include <cstring>

#include "base/strings.h"
#include "tensor/quantize.h"

namespace sluice::checkpoint {
namespace {

constexpr int kWordBits = 32;
constexpr int64_t kAwqRows = 8;  // of one word
// Where the nibble of row r % 8 lies in its word: the inverse of the order 0,2,4,6,1,3,5,7.
constexpr std::array<int, 8> kAwqShift = {0, 16, 4, 20, 8, 24, 12, 28};

uint32_t load_word(const std::byte* data, int64_t index) {
  uint32_t word = 0;
  std::memcpy(&word, data + static_cast<size_t>(index) * sizeof word, sizeof word);
  return word;
}

// Code number `index` of a stream of bits whose words lie `stride` words apart.
uint32_t stream_code(const std::byte* words, int64_t stride, int64_t index, int bits) {
  const int64_t bit = index * bits, word = bit / kWordBits;
  const int shift = static_cast<int>(bit % kWordBits);
  uint32_t code = load_word(words, word * stride) >> shift;
  if (shift + bits > kWordBits) code |= load_word(words, (word + 1) * stride) << (kWordBits - shift);
  return code & ((1u << bits) - 1);
}

uint32_t awq_code(const std::byte* words, int64_t row) {
  return (load_word(words, row / kAwqRows) >> kAwqShift[static_cast<size_t>(row % kAwqRows)]) & 0xF;
}

float load_scale(const WeightEntry& scales, int64_t index) {
  const auto at = static_cast<size_t>(index);
  if (scales.dtype == DType::kF32) {
    float value = 0;
    std::memcpy(&value, scales.data + at * sizeof value, sizeof value);
    return value;
  }
  if (!scales.dtype) {  // e8m0: the exponent of a power of two, 255 is NaN
    const int exponent = static_cast<int>(scales.data[at]);
    return exponent == 255 ? NAN : std::ldexp(1.0f, exponent - 127);
  }
  uint16_t bits = 0;
  std::memcpy(&bits, scales.data + at * sizeof bits, sizeof bits);
  return scales.dtype == DType::kF16 ? f16_to_f32(bits) : bf16_to_f32(bits);
}

const std::array<float, 256>& e4m3_table() {
  static const std::array<float, 256> kTable = [] {
    std::array<float, 256> table{};
    for (size_t i = 0; i < table.size(); ++i) table[i] = e4m3_to_f32(static_cast<uint8_t>(i));
    return table;
  }();
  return kTable;
}

// Codes stored as words down the columns: rows are read side by side, so that each line of the file is used at once.
void unpack_column_bits(const QuantizedMatrix& m, int64_t first, int64_t count, uint8_t* out) {
  const int64_t stride = m.rows(), columns = m.columns();
  const std::byte* base = m.codes.data + static_cast<size_t>(first) * sizeof(uint32_t);
  const int per_word = kWordBits % m.bits == 0 ? kWordBits / m.bits : 0;
  if (per_word == 0) {
    for (int64_t c = 0; c < columns; ++c) {
      for (int64_t r = 0; r < count; ++r) {
        out[r * columns + c] =
            static_cast<uint8_t>(stream_code(base + static_cast<size_t>(r) * sizeof(uint32_t), stride, c, m.bits));
      }
    }
    return;
  }
  const uint32_t mask = (1u << m.bits) - 1;
  for (int64_t c = 0; c < columns; c += per_word) {
    const int64_t word_row = c / per_word * stride;
    for (int64_t r = 0; r < count; ++r) {
      uint32_t word = load_word(base, word_row + r);
      for (int64_t i = c; i < std::min(columns, c + per_word); ++i, word >>= m.bits)
        out[r * columns + i] = static_cast<uint8_t>(word & mask);
    }
  }
}

void unpack_row_bits(const QuantizedMatrix& m, int64_t first, int64_t count, uint8_t* out) {
  const int64_t columns = m.columns(), words = (columns * m.bits + kWordBits - 1) / kWordBits;
  for (int64_t r = 0; r < count; ++r) {
    const std::byte* row = m.codes.data + static_cast<size_t>((first + r) * words) * sizeof(uint32_t);
    for (int64_t c = 0; c < columns; ++c) out[r * columns + c] = static_cast<uint8_t>(stream_code(row, 1, c, m.bits));
  }
}

float zero_point(const QuantizedMatrix& m, int64_t row, int64_t group) {
  const int middle = 1 << (m.bits - 1);
  if (!m.has_integer_codes()) return 0;
  if (!m.zeros) return static_cast<float>(middle);
  const std::byte* data = m.zeros->data;
  if (m.zeros->dtype == DType::kI8) {
    // A scale for several rows or columns has a zero point for as many.
    const int64_t index = row / m.group_rows * m.groups() + group;
    return static_cast<float>(middle + static_cast<int8_t>(data[static_cast<size_t>(index)]));
  }
  uint32_t code = 0;
  if (m.layout == CodeLayout::kAwqNibbles) {
    code = awq_code(data + static_cast<size_t>(group * (m.rows() / kAwqRows)) * sizeof(uint32_t), row);
  } else if (m.layout == CodeLayout::kColumnBits) {
    const int64_t words = m.rows() * m.bits / kWordBits;
    code = stream_code(data + static_cast<size_t>(group * words) * sizeof(uint32_t), 1, row, m.bits);
  } else {
    code = stream_code(data + static_cast<size_t>(group) * sizeof(uint32_t), m.groups(), row, m.bits);
  }
  return static_cast<float>(static_cast<int>(code) + m.zero_added);
}

}  // namespace

float e4m3_to_f32(uint8_t bits) {
  const int exponent = (bits >> 3) & 0xF, mantissa = bits & 7;
  float value = exponent == 0           ? std::ldexp(static_cast<float>(mantissa), -9)
                : (bits & 0x7F) == 0x7F ? NAN
                                        : std::ldexp(static_cast<float>(8 + mantissa), exponent - 10);
  return (bits & 0x80) != 0 ? -value : value;
}

Result<void> QuantizedMatrix::verify() const {
  for (int64_t i = 0; i < scales.shape.elements(); ++i) {
    if (const float scale = load_scale(scales, i); !std::isfinite(scale)) {
      return corrupt_data(cat(path, ": tensor ", quote(scales.name), ": scale ", i, " of ", scales.shape.elements(),
                              " is ", scale, "; it must be finite: the file is damaged"));
    }
  }
  if (!group_index) return {};
  for (int64_t c = 0; c < columns(); ++c) {
    const auto group = static_cast<int32_t>(load_word(group_index->data, c));
    if (group < 0 || group >= groups()) {
      return corrupt_data(cat(path, ": tensor ", quote(group_index->name), ": element ", c, " is ", group,
                              "; there are ", groups(), " groups"));
    }
  }
  return {};
}

void QuantizedMatrix::unpack_codes(int64_t first, int64_t count, uint8_t* out) const {
  SLUICE_CHECK(first >= 0 && count >= 0 && first + count <= rows());
  const int64_t n = columns();
  switch (layout) {
    case CodeLayout::kColumnBits:
      return unpack_column_bits(*this, first, count, out);
    case CodeLayout::kRowBits:
      return unpack_row_bits(*this, first, count, out);
    case CodeLayout::kAwqNibbles:
      for (int64_t c = 0; c < n; ++c) {
        const std::byte* words = codes.data + static_cast<size_t>(c * (rows() / kAwqRows)) * sizeof(uint32_t);
        for (int64_t r = 0; r < count; ++r) out[r * n + c] = static_cast<uint8_t>(awq_code(words, first + r));
      }
      return;
    case CodeLayout::kInt8:
      for (int64_t i = 0; i < count * n; ++i)
        out[i] = static_cast<uint8_t>(static_cast<uint8_t>(codes.data[static_cast<size_t>(first * n + i)]) ^ 0x80u);
      return;
    case CodeLayout::kFloat8:
      std::memcpy(out, codes.data + static_cast<size_t>(first * n), static_cast<size_t>(count * n));
      return;
  }
}

void QuantizedMatrix::unpack_scales(int64_t row, float* scales_out, float* zeros_out) const {
  const int64_t n = groups();
  for (int64_t g = 0; g < n; ++g) {
    const int64_t index = scales_transposed ? g * rows() + row : row / group_rows * n + g;
    scales_out[g] = load_scale(scales, index);
    zeros_out[g] = zero_point(*this, row, g);
  }
}

std::vector<int32_t> QuantizedMatrix::group_of_column() const {
  std::vector<int32_t> groups_of_columns;
  if (!group_index) return groups_of_columns;
  groups_of_columns.resize(static_cast<size_t>(columns()));
  std::memcpy(groups_of_columns.data(), group_index->data, groups_of_columns.size() * sizeof(int32_t));
  return groups_of_columns;
}

void QuantizedMatrix::dequantize_rows(int64_t first, int64_t count, float* out) const {
  const int64_t n = columns();
  std::vector<uint8_t> unpacked(static_cast<size_t>(count * n));
  unpack_codes(first, count, unpacked.data());
  const std::vector<int32_t> order = group_of_column();
  std::vector<float> row_scales(static_cast<size_t>(groups())), row_zeros(row_scales.size());
  const float* float8 = has_integer_codes() ? nullptr : e4m3_table().data();
  for (int64_t r = 0; r < count; ++r) {
    unpack_scales(first + r, row_scales.data(), row_zeros.data());
    const uint8_t* in = unpacked.data() + r * n;
    float* to = out + r * n;
    if (!order.empty()) {
      for (int64_t c = 0; c < n; ++c) {
        const auto g = static_cast<size_t>(order[static_cast<size_t>(c)]);
        to[c] = ((float8 != nullptr ? float8[in[c]] : static_cast<float>(in[c])) - row_zeros[g]) * row_scales[g];
      }
      continue;
    }
    for (int64_t begin = 0, g = 0; begin < n; begin += group_columns, ++g) {
      const int64_t end = std::min(n, begin + group_columns);
      const float scale = row_scales[static_cast<size_t>(g)], zero = row_zeros[static_cast<size_t>(g)];
      for (int64_t c = begin; c < end; ++c)
        to[c] = ((float8 != nullptr ? float8[in[c]] : static_cast<float>(in[c])) - zero) * scale;
    }
  }
}

}  // namespace sluice::checkpoint
