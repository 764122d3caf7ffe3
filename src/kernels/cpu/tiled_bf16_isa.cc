// Products with packed bf16 weights by tiles, and in their order: packed_bf16.h says what they are.

#include "kernels/cpu/bf16_lanes.h"
#include "kernels/cpu/shares.h"
#include "kernels/cpu/tiles.h"

namespace sluice::kernels::SLUICE_ISA {
namespace {

constexpr int kTileDepth = 64;  // bytes of a row of a tile
constexpr int kTileElements = kTileDepth / 2;
constexpr int kTileBytes = kTileSize * kPairLineBytes;  // of a panel
constexpr int kCells = kTileSize * kTileSize;
constexpr int kBlockRows = 2 * kTileSize;
constexpr int kBlockPanels = 2;
constexpr int64_t kBlockDepth = 512;  // of k, so that two panels of it stay in the level-1 cache
constexpr int kStreams = 4;
static_assert(kBlockRows == kRoundedBlockRows);

SLUICE_INLINE int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

SLUICE_INLINE const std::byte* panel_at(const Bf16Share& s, int64_t panel, int64_t k) {
  return s.panels + static_cast<size_t>(panel) * s.panel_bytes + k / kTileElements * kTileBytes;
}

SLUICE_INLINE void zero_sums(Tiles& tiles) {
  tile_zero<0>(tiles);
  tile_zero<1>(tiles);
  tile_zero<2>(tiles);
  tile_zero<3>(tiles);
}
SLUICE_INLINE void store_sums(const Tiles& tiles, float* sums) {
  tile_store<0>(tiles, sums);
  tile_store<1>(tiles, sums + kCells);
  tile_store<2>(tiles, sums + 2 * kCells);
  tile_store<3>(tiles, sums + 3 * kCells);
}
SLUICE_INLINE void load_sums(Tiles& tiles, const float* sums) {
  constexpr int64_t kStride = kTileSize * sizeof(float);
  tile_load<0>(tiles, sums, kStride);
  tile_load<1>(tiles, sums + kCells, kStride);
  tile_load<2>(tiles, sums + 2 * kCells, kStride);
  tile_load<3>(tiles, sums + 3 * kCells, kStride);
}

// sums += x · w of 32 rows and two panels over [k_begin, k_end).
[[gnu::noinline]] void multiply_block(Tiles& tiles, const Bf16Share& s, int64_t row, const int64_t panels[kBlockPanels],
                                      int64_t k_begin, int64_t k_end, float* sums) {
  if (k_begin == 0) {
    zero_sums(tiles);
  } else {
    load_sums(tiles, sums);
  }
  const uint16_t* x = s.x + row * s.stride + k_begin;
  const int64_t stride = s.stride * static_cast<int64_t>(sizeof *x);
  const std::byte* first = panel_at(s, panels[0], k_begin);
  const std::byte* second = panel_at(s, panels[1], k_begin);
  for (int64_t k = k_begin; k < k_end; k += kTileElements, x += kTileElements) {
    tile_load<4>(tiles, x, stride);
    tile_load<6>(tiles, first, kPairLineBytes);
    tile_load<7>(tiles, second, kPairLineBytes);
    tile_load<5>(tiles, x + kTileSize * s.stride, stride);
    tile_multiply_bf16<0, 4, 6>(tiles);
    tile_multiply_bf16<1, 4, 7>(tiles);
    tile_multiply_bf16<2, 5, 6>(tiles);
    tile_multiply_bf16<3, 5, 7>(tiles);
    first += kTileBytes;
    second += kTileBytes;
  }
  store_sums(tiles, sums);
}

// Two panels at a time, whose block of k stays while all rows pass by. With one panel left it is computed twice.
void multiply_many_rows(Tiles& tiles, const Bf16Share& s) {
  configure(tiles, kTileDepth);
  for (int64_t panel = s.panel_begin; panel < s.panel_end; panel += kBlockPanels) {
    const int64_t panels[kBlockPanels] = {panel, least(panel + 1, s.panel_end - 1)};
    const int64_t count = panels[1] - panel + 1;
    for (int64_t k = 0; k < s.depth; k += kBlockDepth) {
      const int64_t k_end = least(k + kBlockDepth, s.depth);
      float* sums = s.scratch;
      for (int64_t row = s.row_begin; row < s.row_end; row += kBlockRows, sums += 4 * kCells) {
        multiply_block(tiles, s, row, panels, k, k_end, sums);
        if (k_end < s.depth) continue;
        const int64_t rows = least(kBlockRows, s.row_end - row);
        for (int64_t r = 0; r < rows; ++r) {
          for (int64_t c = 0; c < count; ++c) {
            const int64_t tile = r / kTileSize * kBlockPanels + c;
            finish_sums(s, row + r, panel + c, sums + tile * kCells + r % kTileSize * kTileSize);
          }
        }
      }
    }
  }
}

// Rows of one tile times four panels, over all of k.
[[gnu::noinline]] void multiply_streams(Tiles& tiles, const Bf16Share& s, const int64_t panels[kStreams], float* sums) {
  zero_sums(tiles);
  const uint16_t* x = s.x + s.row_begin * s.stride;
  const int64_t stride = s.stride * static_cast<int64_t>(sizeof *x);
  const std::byte* w[kStreams];
  for (int c = 0; c < kStreams; ++c) w[c] = panel_at(s, panels[c], 0);
  for (int64_t k = 0; k < s.depth; k += kTileElements, x += kTileElements) {
    for (int c = 0; c < kStreams; ++c) {
      for (int line = 0; line < kTileBytes; line += kPairLineBytes)
        _mm_prefetch(reinterpret_cast<const char*>(w[c] + s.prefetch_bytes + line), _MM_HINT_T0);
    }
    tile_load<4>(tiles, x, stride);
    tile_load<6>(tiles, w[0], kPairLineBytes);
    tile_multiply_bf16<0, 4, 6>(tiles);
    tile_load<7>(tiles, w[1], kPairLineBytes);
    tile_multiply_bf16<1, 4, 7>(tiles);
    tile_load<6>(tiles, w[2], kPairLineBytes);
    tile_multiply_bf16<2, 4, 6>(tiles);
    tile_load<7>(tiles, w[3], kPairLineBytes);
    tile_multiply_bf16<3, 4, 7>(tiles);
    for (const std::byte*& panel : w) panel += kTileBytes;
  }
  store_sums(tiles, sums);
}

// Memory decides: every weight is read once, in four streams, each from its own start through memory.
void multiply_few_rows(Tiles& tiles, const Bf16Share& s) {
  const int64_t rows = s.row_end - s.row_begin;
  configure(tiles, kTileDepth, static_cast<int>(rows));
  const int64_t length = (s.panel_end - s.panel_begin + kStreams - 1) / kStreams;
  for (int64_t i = 0; i < length; ++i) {
    int64_t panels[kStreams];
    for (int c = 0; c < kStreams; ++c) panels[c] = least(s.panel_begin + c * length + i, s.panel_end - 1);
    multiply_streams(tiles, s, panels, s.scratch);
    for (int c = 0; c < kStreams; ++c) {
      if (s.panel_begin + c * length + i >= s.panel_end) break;
      for (int64_t r = 0; r < rows; ++r)
        finish_sums(s, s.row_begin + r, panels[c], s.scratch + c * kCells + r * kTileSize);
    }
  }
}

}  // namespace

void matmul_bf16_tiled(const Bf16Share& s) {
  const unsigned before = zero_denormals();
  Tiles tiles;
  if (s.row_end - s.row_begin <= kTileSize) {
    multiply_few_rows(tiles, s);
  } else {
    multiply_many_rows(tiles, s);
  }
  release(tiles);
  restore_denormals(before);
}

}  // namespace sluice::kernels::SLUICE_ISA
