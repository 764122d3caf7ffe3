// Integer products with packed weights by tiles: 32 rows of x times two panels at a time. The same sums, in the same
// order, as packed_isa.cc.

#include "kernels/cpu/int_lanes.h"
#include "kernels/cpu/packed.h"
#include "kernels/cpu/shares.h"
#include "kernels/cpu/tiles.h"

namespace sluice::kernels::SLUICE_ISA {
namespace {

constexpr int kBlockRows = 2 * kTileSize;
constexpr int kBlockPanels = 2;
constexpr int kLineBytes = 64;
constexpr int kCells = kTileSize * kTileSize;
constexpr int kBlockFloats = kBlockRows * kBlockPanels * kLanes;

SLUICE_INLINE int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

// What one block of 32 rows and two panels is computed with.
struct Workplace {
  Tiles tiles;
  alignas(64) int32_t dots[4 * kCells];   // [half of the rows, panel, 16, 16]
  alignas(64) float inner[kBlockFloats];  // [rows, panels, 16]
  alignas(64) float sums[kBlockFloats];
  alignas(64) std::byte lines[kBlockPanels][kActivationGroup / 4 * kLineBytes];  // unpacked nibbles of one group
};

struct Block {
  const std::byte* panels[kBlockPanels];
  int64_t row;
  int64_t rows;  // that are wanted, of 32 that are computed
};

// The codes of elements [k, k + count) of a panel as lines of bytes.
const std::byte* code_lines(const PackedShare& s, const std::byte* panel, int64_t k, int64_t count, std::byte* room) {
  if (s.bits == 8) return panel + k * kLanes;
  const std::byte* from = panel + k * kLanes * s.bits / 8;
  if (s.bits == 6) {
    for (int64_t e = 0; e < count; e += 16, from += 3 * kLineBytes, room += 4 * kLineBytes) {
      for (int p = 0; p < kParts; ++p) {
        const std::byte* at = from + p * kWidth * 4;
        I lines[4];
        six_bit_lines(int_load(at), int_load(at + kLineBytes), int_load(at + 2 * kLineBytes), lines);
        for (int i = 0; i < 4; ++i)
          store(reinterpret_cast<float*>(room + i * kLineBytes + p * kWidth * 4), as_float(lines[i]));
      }
    }
    return room - count * kLanes;
  }
  const I mask = int_set1(0x0F0F0F0F);
  for (int64_t line = 0; line < count / 8; ++line, from += kLineBytes, room += 2 * kLineBytes) {
    for (int p = 0; p < kParts; ++p) {
      const I bytes = int_load(from + p * kWidth * 4);
      store(reinterpret_cast<float*>(room + p * kWidth * 4), as_float(int_and(bytes, mask)));
      store(reinterpret_cast<float*>(room + kLineBytes + p * kWidth * 4),
            as_float(int_and(shift_words_right<4>(bytes), mask)));
    }
  }
  return room - count * kLanes;
}

// dots = Σ code(x) · code(w) over elements [k, k + count).
void multiply_group(const PackedShare& s, const Block& block, int64_t k, int64_t count, Workplace& w) {
  const int64_t step = least(s.group, 64);
  const std::byte* x = s.x.codes + block.row * s.x.stride + k;
  const std::byte* first = code_lines(s, block.panels[0], k, count, w.lines[0]);
  const std::byte* second = code_lines(s, block.panels[1], k, count, w.lines[1]);
  tile_zero<0>(w.tiles);
  tile_zero<1>(w.tiles);
  tile_zero<2>(w.tiles);
  tile_zero<3>(w.tiles);
  for (int64_t i = 0; i < count; i += step) {
    tile_load<4>(w.tiles, x + i, s.x.stride);
    tile_load<6>(w.tiles, first + i * kLanes, kLineBytes);
    tile_load<7>(w.tiles, second + i * kLanes, kLineBytes);
    tile_load<5>(w.tiles, x + i + kTileSize * s.x.stride, s.x.stride);
    tile_multiply<0, 4, 6>(w.tiles);
    tile_multiply<1, 4, 7>(w.tiles);
    tile_multiply<2, 5, 6>(w.tiles);
    tile_multiply<3, 5, 7>(w.tiles);
  }
  tile_store<0>(w.tiles, w.dots);
  tile_store<1>(w.tiles, w.dots + kCells);
  tile_store<2>(w.tiles, w.dots + 2 * kCells);
  tile_store<3>(w.tiles, w.dots + 3 * kCells);
}

// inner += scale · (dots − offset · Σ code(x)) (+ minimum · Σ code(x)) of group `group`.
void add_group(const PackedShare& s, const Block& block, int64_t group, Workplace& w) {
  const int64_t scale_bytes = (s.minima ? 2 : 1) * kLanes * 2;
  for (int c = 0; c < kBlockPanels; ++c) {
    const std::byte* scales = block.panels[c] + s.scale_offset + group * scale_bytes;
    for (int p = 0; p < kParts; ++p) {
      const F scale = load_f16(scales + p * kWidth * 2);
      const F minimum = s.minima ? load_f16(scales + kLanes * 2 + p * kWidth * 2) : zero();
      for (int64_t r = 0; r < block.rows; ++r) {
        const int32_t own = s.x.sums[(block.row + r) * s.x.sum_stride + group];
        const int32_t* dots = w.dots + (r / kTileSize * 2 + c) * kCells + r % kTileSize * kTileSize + p * kWidth;
        const I bits = int_add(int_load(dots), int_set1(s.minima ? kSumStart : own));
        float* inner = w.inner + (r * kBlockPanels + c) * kLanes + p * kWidth;
        F value = fma(scale, sub(as_float(bits), set1(kSumStartValue)), load(inner));
        if (s.minima) value = fma(minimum, as_float(int_set1(own)), value);
        store(inner, value);
      }
    }
  }
}

void multiply_block(const PackedShare& s, const Block& block, Workplace& w) {
  for (int i = 0; i < kBlockFloats; i += kWidth) store(w.sums + i, zero());
  for (int64_t k = 0; k < s.depth; k += kActivationGroup) {
    const int64_t end = least(k + kActivationGroup, s.depth);
    for (int i = 0; i < kBlockFloats; i += kWidth) store(w.inner + i, zero());
    for (int64_t g = k; g < end; g += s.group) {
      multiply_group(s, block, g, least(s.group, end - g), w);
      add_group(s, block, g / s.group, w);
    }
    for (int64_t r = 0; r < block.rows; ++r) {
      const F scale = set1(s.x.scales[(block.row + r) * s.x.scale_stride + k / kActivationGroup]);
      for (int i = 0; i < kBlockPanels * kLanes; i += kWidth) {
        const int64_t at = r * kBlockPanels * kLanes + i;
        store(w.sums + at, fma(scale, load(w.inner + at), load(w.sums + at)));
      }
    }
  }
}

}  // namespace

void matmul_tiled(const PackedShare& s) {
  Workplace w;
  configure(w.tiles, static_cast<int>(least(s.group, 64)));
  for (int64_t panel = s.panel_begin; panel < s.panel_end; panel += kBlockPanels) {
    const std::byte* first = s.panels + static_cast<size_t>(panel) * s.panel_bytes;
    const int64_t panels = least(kBlockPanels, s.panel_end - panel);
    for (int64_t row = s.row_begin; row < s.row_end; row += kBlockRows) {
      // A panel that stands alone is computed twice.
      const Block block = {
          {first, panels > 1 ? first + s.panel_bytes : first}, row, least(kBlockRows, s.row_end - row)};
      multiply_block(s, block, w);
      for (int64_t r = 0; r < block.rows; ++r) {
        for (int64_t c = 0; c < panels; ++c)
          finish_packed(s, row + r, panel + c, w.sums + (r * kBlockPanels + c) * kLanes);
      }
    }
  }
  release(w.tiles);
}

}  // namespace sluice::kernels::SLUICE_ISA
