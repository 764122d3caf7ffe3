#include "tensor/packed_matrix.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "base/strings.h"
#include "tensor/bytes.h"
#include "tensor/grouped_row.h"
#include "tensor/quantize.h"

namespace sluice {
namespace {

constexpr uint32_t kMagic = 0x4B505653;  // "SVPK"
constexpr size_t kLine = 64;

struct Header {
  uint32_t magic;
  uint32_t version;
  int64_t n;
  int64_t k;
  uint8_t bits;
  uint8_t minima;
  uint8_t shift;
  uint8_t zero;
  uint16_t group;
  uint8_t unused[kLine - 30];
};
static_assert(sizeof(Header) == kLine);

constexpr int64_t round_up(int64_t value, int64_t step) { return (value + step - 1) / step * step; }

PackedView layout(const PackedFormat& format, int64_t n, int64_t k) {
  PackedView view;
  view.format = format;
  view.n = n;
  view.k = k;
  view.depth = round_up(k, kPackedDepth);
  view.groups = format.group == 0 ? 0 : (view.depth + format.group - 1) / format.group;
  view.scale_offset = static_cast<size_t>(view.depth * kPackedRows * format.bits / 8);
  const int64_t scales = view.groups * kPackedRows * (format.minima ? 2 : 1);
  view.panel_bytes = view.scale_offset + static_cast<size_t>(round_up(scales * 2, kLine));
  view.factor = std::ldexp(1.0f, -format.shift);
  return view;
}

bool known_format(const PackedFormat& f) {
  if (f.shift < 0 || f.shift > 24) return false;
  if (f.bits == 16) return f.group == 0 && !f.minima;
  return (f.bits == 4 || f.bits == 6 || f.bits == 8) &&
         (f.group == 16 || f.group == 32 || f.group == 64 || f.group == 128);
}

// `value` · 2^shift as f16; false beyond its range.
bool to_half(float value, int shift, uint16_t& bits) {
  bits = f32_to_f16(std::ldexp(value, shift));
  return (bits & 0x7C00u) != 0x7C00u;
}

float largest_magnitude(const float* x, int64_t count) {
  float largest = 0;
  for (int64_t i = 0; i < count; ++i) largest = std::max(largest, std::abs(x[i]));
  return largest;
}

// The element of the largest magnitude, with its sign.
float extreme(const float* x, int64_t count) {
  float value = 0;
  for (int64_t i = 0; i < count; ++i) {
    if (std::abs(x[i]) > std::abs(value)) value = x[i];
  }
  return value;
}

// Rounds a group of floats; scale and minimum (of no shift) are such that f16 holds them at `shift`.
struct Rounded {
  float scale = 0;
  float minimum = 0;
  bool ok = true;
};
Rounded round_group(const float* x, int64_t count, const PackedFormat& format, uint8_t* codes) {
  Rounded result;
  const auto as_half = [&](float value) {
    uint16_t bits;
    result.ok = to_half(value, format.shift, bits) && result.ok;
    return std::ldexp(f16_to_f32(bits), -format.shift);
  };
  const int last = (1 << format.bits) - 1;
  int least_code = 0;
  if (format.minima) {
    const auto [least, most] = std::minmax_element(x, x + count);
    result.minimum = as_half(*least);
    result.scale = as_half((*most - result.minimum) / static_cast<float>(last));
  } else if (format.bits == 4) {
    result.scale = as_half(extreme(x, count) / -8.0f);  // the extreme becomes exactly −8, as in q4_0
  } else {
    result.scale = as_half(largest_magnitude(x, count) / static_cast<float>(format.offset() - 1));
    least_code = 1;
  }
  const float inverse = result.scale != 0 ? 1.0f / result.scale : 0.0f;
  const auto low = static_cast<float>(least_code - format.offset()), high = static_cast<float>(last - format.offset());
  constexpr float kRound = 12582912.0f;  // 3 · 2^22: adding and taking it away rounds to the nearest even
  for (int64_t i = 0; i < count; ++i) {
    float code = (x[i] - result.minimum) * inverse;
    code = code > low ? code : low;
    code = code < high ? code : high;
    codes[i] = static_cast<uint8_t>(static_cast<int>((code + kRound) - kRound) + format.offset());
  }
  return result;
}

bool keeps_codes(DType stored, const PackedFormat& format) {
  if (!is_quantized(stored)) return false;
  const PackedFormat own = packed_format_of(stored);
  return own.bits == format.bits && own.group == format.group && own.minima == format.minima;
}

// A row of floats in the packed form.
bool round_row(const float* floats, const PackedView& view, GroupedRow& out) {
  const int64_t k = view.k;
  const auto groups = static_cast<size_t>((k + view.format.group - 1) / view.format.group);
  out.codes.resize(static_cast<size_t>(k));
  out.scales.resize(groups);
  out.minima.resize(groups);
  bool ok = true;
  for (size_t g = 0; g < groups; ++g) {
    const int64_t begin = static_cast<int64_t>(g) * view.format.group;
    const int64_t count = std::min<int64_t>(view.format.group, k - begin);
    const Rounded rounded = round_group(floats + begin, count, view.format, out.codes.data() + begin);
    out.scales[g] = rounded.scale;
    out.minima[g] = rounded.minimum;
    ok = ok && rounded.ok;
  }
  return ok;
}

uint32_t four_codes(const uint8_t* codes) {
  uint32_t four;
  std::memcpy(&four, codes, sizeof four);
  return four;
}

// Puts row `lane` of a panel in its place. Codes are padded with those of 0.
void place_codes(GroupedRow& row, const PackedView& view, int lane, std::byte* panel) {
  row.codes.resize(static_cast<size_t>(view.depth), static_cast<uint8_t>(view.format.offset()));
  const uint8_t* codes = row.codes.data();
  std::byte* to = panel + lane * 4;
  const auto place = [&](uint32_t four) {
    std::memcpy(to, &four, sizeof four);
    to += kLine;
  };
  constexpr uint32_t kNibbles = 0x0F0F0F0F, kPairs = 0x03030303;
  for (int64_t e = 0; e < view.depth; e += 16) {
    uint32_t fours[4];
    for (int i = 0; i < 4; ++i) fours[i] = four_codes(codes + e + 4 * i);
    if (view.format.bits == 8) {
      for (const uint32_t four : fours) place(four);
      continue;
    }
    place((fours[0] & kNibbles) | (fours[1] & kNibbles) << 4);
    place((fours[2] & kNibbles) | (fours[3] & kNibbles) << 4);
    if (view.format.bits == 4) continue;
    uint32_t high = 0;
    for (int i = 0; i < 4; ++i) high |= (fours[i] >> 4 & kPairs) << (2 * i);
    place(high);
  }
}

bool place_scales(const GroupedRow& row, const PackedView& view, int lane, std::byte* panel) {
  bool ok = true;
  std::byte* to = panel + view.scale_offset + lane * 2;
  const int step = (view.format.minima ? 2 : 1) * kPackedRows * 2;
  for (size_t g = 0; g < row.scales.size(); ++g, to += step) {
    uint16_t bits;
    ok = to_half(row.scales[g], view.format.shift, bits) && ok;
    store<uint16_t>(to, bits);
    if (!view.format.minima) continue;
    ok = to_half(row.minima[g], view.format.shift, bits) && ok;
    store<uint16_t>(to + kPackedRows * 2, bits);
  }
  return ok;
}

void place_bf16(const Tensor& stored, int64_t row, const PackedView& view, int lane, std::byte* panel) {
  std::vector<float> floats(static_cast<size_t>(view.k));
  dequantize_row(stored.dtype, stored.row(row), floats.data(), view.k);
  for (int64_t e = 0; e < view.k; ++e)
    store<uint16_t>(panel + e / 2 * 64 + lane * 4 + e % 2 * 2, f32_to_bf16(floats[static_cast<size_t>(e)]));
}

}  // namespace

size_t Tensor::packed_tensor_bytes() const {
  return packed_bytes(packed_view(*this).format, shape.rows(), shape.columns());
}

size_t packed_bytes(const PackedFormat& format, int64_t n, int64_t k) {
  const PackedView view = layout(format, n, k);
  return kLine + static_cast<size_t>(view.panel_count()) * view.panel_bytes;
}

PackedFormat packed_format_of(DType dtype) {
  const GroupedType type = grouped_type(dtype);
  SLUICE_CHECK(type.bits > 0, cat(dtype_name(dtype), " has no packed form"));
  // K types multiply two scales: 2^12 moves the products of ordinary weights into the normal range of f16.
  return {.bits = type.bits, .group = type.group, .minima = type.minima, .shift = type.half_scales ? 0 : 12};
}

PackedView packed_view(const Tensor& tensor) {
  Header header;
  std::memcpy(&header, tensor.data, sizeof header);
  SLUICE_CHECK(tensor.dtype == DType::kPacked && header.magic == kMagic);
  const PackedFormat format = {
      .bits = header.bits, .group = header.group, .minima = header.minima != 0, .shift = header.shift};
  PackedView view = layout(format, header.n, header.k);
  view.panels = tensor.data + kLine;
  return view;
}

Result<void> check_packed(std::span<const std::byte> bytes, int64_t n, int64_t k) {
  Header header = {};
  if (bytes.size() < sizeof header) return corrupt_data("a packed matrix has no header");
  std::memcpy(&header, bytes.data(), sizeof header);
  const PackedFormat format = {
      .bits = header.bits, .group = header.group, .minima = header.minima != 0, .shift = header.shift};
  if (header.magic != kMagic || header.version != kPackedVersion || header.minima > 1 || !known_format(format))
    return corrupt_data("a packed matrix has a header of another version or kind");
  if (header.n != n || header.k != k)
    return corrupt_data(cat("a packed matrix is [", header.n, ", ", header.k, "], not [", n, ", ", k, "]"));
  if (bytes.size() != packed_bytes(format, n, k))
    return corrupt_data(cat("a packed matrix has ", bytes.size(), " bytes, not ", packed_bytes(format, n, k)));
  return {};
}

Tensor pack_header(const PackedFormat& format, int64_t n, int64_t k, std::byte* out) {
  SLUICE_CHECK(known_format(format) && n > 0 && k > 0);
  const Header header = {.magic = kMagic,
                         .version = kPackedVersion,
                         .n = n,
                         .k = k,
                         .bits = static_cast<uint8_t>(format.bits),
                         .minima = format.minima,
                         .shift = static_cast<uint8_t>(format.shift),
                         .zero = 0,
                         .group = static_cast<uint16_t>(format.group),
                         .unused = {}};
  std::memcpy(out, &header, sizeof header);
  return {.data = out, .dtype = DType::kPacked, .shape = {n, k}};
}

bool pack_grouped_panels(const GroupedRowSource& source, const Tensor& packed, int64_t panel_begin, int64_t panel_end) {
  const PackedView view = packed_view(packed);
  SLUICE_CHECK(panel_end <= view.panel_count() && view.format.bits < 16);
  GroupedRow row;
  bool ok = true;
  for (int64_t p = panel_begin; p < panel_end; ++p) {
    std::byte* panel = const_cast<std::byte*>(view.panels) + static_cast<size_t>(p) * view.panel_bytes;
    std::memset(panel, 0, view.panel_bytes);
    for (int lane = 0; lane < kPackedRows && p * kPackedRows + lane < view.n; ++lane) {
      source(p * kPackedRows + lane, row);
      ok = place_scales(row, view, lane, panel) && ok;
      place_codes(row, view, lane, panel);
    }
  }
  return ok;
}

bool pack_panels(const Tensor& stored, const Tensor& packed, int64_t panel_begin, int64_t panel_end) {
  const PackedView view = packed_view(packed);
  SLUICE_CHECK(stored.shape == packed.shape && panel_end <= view.panel_count());
  if (view.format.bits == 16) {
    for (int64_t p = panel_begin; p < panel_end; ++p) {
      std::byte* panel = const_cast<std::byte*>(view.panels) + static_cast<size_t>(p) * view.panel_bytes;
      std::memset(panel, 0, view.panel_bytes);
      for (int lane = 0; lane < kPackedRows && p * kPackedRows + lane < view.n; ++lane)
        place_bf16(stored, p * kPackedRows + lane, view, lane, panel);
    }
    return true;
  }
  if (keeps_codes(stored.dtype, view.format)) {
    return pack_grouped_panels(
        [&](int64_t row, GroupedRow& out) { read_grouped_row(stored.dtype, stored.row(row), view.k, out); }, packed,
        panel_begin, panel_end);
  }
  std::vector<float> floats(static_cast<size_t>(view.k));
  bool rounded = true;
  const bool placed = pack_grouped_panels(
      [&](int64_t row, GroupedRow& out) {
        dequantize_row(stored.dtype, stored.row(row), floats.data(), view.k);
        rounded = round_row(floats.data(), view, out) && rounded;
      },
      packed, panel_begin, panel_end);
  return rounded && placed;
}

int packed_code(const PackedFormat& format, const std::byte* panel, int64_t lane, int64_t e) {
  const auto byte = [&](int64_t line) { return std::to_integer<int>(panel[line * 64 + lane * 4 + e % 4]); };
  if (format.bits == 8) return byte(e / 4);
  const int nibble_shift = e % 8 < 4 ? 0 : 4;
  if (format.bits == 4) return byte(e / 8) >> nibble_shift & 15;
  const int64_t unit = e / 16 * 3;
  return (byte(unit + e % 16 / 8) >> nibble_shift & 15) | (byte(unit + 2) >> (e % 16 / 4 * 2) & 3) << 4;
}

void unpack_row(const PackedView& view, int64_t row, float* out) {
  const std::byte* panel = view.panels + static_cast<size_t>(row / kPackedRows) * view.panel_bytes;
  const int64_t lane = row % kPackedRows;
  const int64_t step = (view.format.minima ? 2 : 1) * kPackedRows * 2;
  for (int64_t e = 0; e < view.k; ++e) {
    if (view.format.bits == 16) {
      uint16_t bits;
      std::memcpy(&bits, panel + e / 2 * 64 + lane * 4 + e % 2 * 2, sizeof bits);
      out[e] = bf16_to_f32(bits);
      continue;
    }
    const std::byte* scale = panel + view.scale_offset + e / view.format.group * step + lane * 2;
    const int code = packed_code(view.format, panel, lane, e);
    float value = load_half(scale) * static_cast<float>(code - view.format.offset());
    if (view.format.minima) value += load_half(scale + kPackedRows * 2);
    out[e] = value * view.factor;
  }
}

}  // namespace sluice
