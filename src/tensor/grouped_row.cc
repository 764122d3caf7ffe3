#include "tensor/grouped_row.h"

#include "base/check.h"
#include "tensor/bytes.h"
#include "tensor/ggml_blocks.h"

namespace sluice {
namespace {

using ggml_blocks::kBlock;
using ggml_blocks::kSuper;

// Where the next block's codes, scales and minima go.
struct Cursor {
  uint8_t* codes;
  float* scales;
  float* minima;
};

void read_nibbles(const std::byte* pairs, uint8_t* codes) {
  for (int j = 0; j < kBlock / 2; ++j) {
    codes[j] = static_cast<uint8_t>(byte_at(pairs, j) & 15);
    codes[j + kBlock / 2] = static_cast<uint8_t>(byte_at(pairs, j) >> 4);
  }
}

void read_q8_0(const std::byte* in, const Cursor& to) {
  *to.scales = load_half(in);
  for (int j = 0; j < kBlock; ++j) to.codes[j] = static_cast<uint8_t>(byte_at(in, 2 + j) ^ 128u);
}

void read_q4_0(const std::byte* in, const Cursor& to) {
  *to.scales = load_half(in);
  read_nibbles(in + 2, to.codes);
}

void read_q4_1(const std::byte* in, const Cursor& to) {
  *to.scales = load_half(in);
  *to.minima = load_half(in + 2);
  read_nibbles(in + 4, to.codes);
}

// The fifth bits of a block, then its nibbles.
void read_five_bits(const std::byte* in, int offset, uint8_t* codes) {
  uint32_t high;
  std::memcpy(&high, in, sizeof high);
  read_nibbles(in + 4, codes);
  for (int j = 0; j < kBlock; ++j) codes[j] = static_cast<uint8_t>((codes[j] | (high >> j & 1) << 4) + offset);
}

void read_q5_0(const std::byte* in, const Cursor& to) {
  *to.scales = load_half(in);
  read_five_bits(in + 2, 32 - 16, to.codes);
}

void read_q5_1(const std::byte* in, const Cursor& to) {
  *to.scales = load_half(in);
  *to.minima = load_half(in + 2);
  read_five_bits(in + 4, 0, to.codes);
}

void read_iq4_codes(const std::byte* pairs, uint8_t* codes) {
  read_nibbles(pairs, codes);
  for (int j = 0; j < kBlock; ++j) codes[j] = static_cast<uint8_t>(ggml_blocks::kIq4Values[codes[j]] + 128);
}

void read_iq4_nl(const std::byte* in, const Cursor& to) {
  *to.scales = load_half(in);
  read_iq4_codes(in + 2, to.codes);
}

void read_iq4_xs(const std::byte* in, const Cursor& to) {
  const float scale = load_half(in);
  for (int sub = 0; sub < kSuper / kBlock; ++sub) {
    to.scales[sub] = scale * static_cast<float>(ggml_blocks::iq4_xs_scale(in, sub));
    read_iq4_codes(in + 8 + 16 * sub, to.codes + kBlock * sub);
  }
}

void read_q2_k(const std::byte* in, const Cursor& to) {
  const float scale = load_half(in + 80), least = load_half(in + 82);
  for (int sub = 0; sub < kSuper / 16; ++sub) {
    to.scales[sub] = scale * static_cast<float>(byte_at(in, sub) & 15);
    to.minima[sub] = -(least * static_cast<float>(byte_at(in, sub) >> 4));
  }
  for (int e = 0; e < kSuper; ++e)
    to.codes[e] = static_cast<uint8_t>(byte_at(in, 16 + e / 128 * 32 + e % 32) >> (2 * (e / 32 % 4)) & 3);
}

void read_q3_k(const std::byte* in, const Cursor& to) {
  const float scale = load_half(in + 108);
  for (int sub = 0; sub < kSuper / 16; ++sub) to.scales[sub] = scale * ggml_blocks::q3_k_scale(in + 96, sub);
  for (int e = 0; e < kSuper; ++e) {
    const unsigned low = byte_at(in, 32 + e / 128 * 32 + e % 32) >> (2 * (e / 32 % 4)) & 3;
    const unsigned high = byte_at(in, e % 32) >> (e / 32) & 1;
    to.codes[e] = static_cast<uint8_t>(low + (high != 0 ? 8 : 4));
  }
}

void read_k_scales(const std::byte* in, const Cursor& to) {
  const float scale = load_half(in), least = load_half(in + 2);
  for (int sub = 0; sub < kSuper / kBlock; ++sub) {
    const auto [own_scale, own_least] = ggml_blocks::k_scale(in + 4, sub);
    to.scales[sub] = scale * own_scale;
    to.minima[sub] = -(least * own_least);
  }
}

void read_q4_k(const std::byte* in, const Cursor& to) {
  read_k_scales(in, to);
  for (int e = 0; e < kSuper; ++e)
    to.codes[e] = static_cast<uint8_t>(byte_at(in, 16 + e / 64 * 32 + e % 32) >> (4 * (e / 32 % 2)) & 15);
}

void read_q5_k(const std::byte* in, const Cursor& to) {
  read_k_scales(in, to);
  for (int e = 0; e < kSuper; ++e) {
    const unsigned low = byte_at(in, 48 + e / 64 * 32 + e % 32) >> (4 * (e / 32 % 2)) & 15;
    const unsigned high = byte_at(in, 16 + e % 32) >> (e / 32) & 1;
    to.codes[e] = static_cast<uint8_t>(low | high << 4);
  }
}

void read_q6_k(const std::byte* in, const Cursor& to) {
  const float scale = load_half(in + 208);
  for (int sub = 0; sub < kSuper / 16; ++sub)
    to.scales[sub] = scale * static_cast<float>(static_cast<int8_t>(in[192 + sub]));
  for (int e = 0; e < kSuper; ++e) {
    const int half = e / 128, quarter = e / 32 % 4, l = e % 32;
    const unsigned low = byte_at(in, half * 64 + quarter % 2 * 32 + l) >> (4 * (quarter / 2)) & 15;
    const unsigned high = byte_at(in, 128 + half * 32 + l) >> (2 * quarter) & 3;
    to.codes[e] = static_cast<uint8_t>(low | high << 4);
  }
}

using ReadBlock = void (*)(const std::byte*, const Cursor&);

struct TypeEntry {
  GroupedType type;
  ReadBlock read = nullptr;
};

constexpr TypeEntry entry_of(DType dtype) {
  switch (dtype) {
    case DType::kQ8_0:
      return {{8, 32, false, true}, read_q8_0};
    case DType::kQ4_0:
      return {{4, 32, false, true}, read_q4_0};
    case DType::kQ4_1:
      return {{4, 32, true, true}, read_q4_1};
    case DType::kQ5_0:
      return {{6, 32, false, true}, read_q5_0};
    case DType::kQ5_1:
      return {{6, 32, true, true}, read_q5_1};
    case DType::kIQ4_NL:
      return {{8, 32, false, true}, read_iq4_nl};
    case DType::kIQ4_XS:
      return {{8, 32, false, false}, read_iq4_xs};
    case DType::kQ2_K:
      return {{4, 16, true, false}, read_q2_k};
    case DType::kQ3_K:
      return {{4, 16, false, false}, read_q3_k};
    case DType::kQ4_K:
      return {{4, 32, true, false}, read_q4_k};
    case DType::kQ5_K:
      return {{6, 32, true, false}, read_q5_k};
    case DType::kQ6_K:
      return {{6, 16, false, false}, read_q6_k};
    default:
      return {};
  }
}

}  // namespace

GroupedType grouped_type(DType dtype) { return entry_of(dtype).type; }

void read_grouped_row(DType dtype, const std::byte* in, int64_t elements, GroupedRow& out) {
  const TypeEntry entry = entry_of(dtype);
  const DTypeTraits traits = dtype_traits(dtype);
  SLUICE_CHECK(entry.read != nullptr && elements % traits.block_elements == 0);
  const int64_t groups = elements / entry.type.group;
  out.codes.resize(static_cast<size_t>(elements));
  out.scales.resize(static_cast<size_t>(groups));
  out.minima.resize(static_cast<size_t>(entry.type.minima ? groups : 0));
  Cursor to = {out.codes.data(), out.scales.data(), out.minima.data()};
  const int64_t block_groups = traits.block_elements / entry.type.group;
  for (int64_t e = 0; e < elements; e += traits.block_elements, in += traits.block_bytes) {
    entry.read(in, to);
    to.codes += traits.block_elements;
    to.scales += block_groups;
    if (entry.type.minima) to.minima += block_groups;
  }
}

}  // namespace sluice
