#pragma once
// Eight tiles of 16 rows of 64 bytes, and products of bytes or bf16 between them: AMX where this instruction set has
// it, else plain C++ that computes the same, so that packing, blocking and edges are tested on every machine. Included
// by *_isa.cc only.
//
// Tiles 0 to 3 hold sums [16, 16] of int32 or float32. Tiles 4 and 5 hold rows of x, [16, depth] signed bytes. Tiles 6
// and 7 hold lines of a panel, [depth / 4, 16, 4] unsigned bytes. depth is 16, 32 or 64 bytes of k. For bf16 it is 64,
// two bytes to an element. Of sums and x there may be fewer than 16 rows; no other is read, computed or written.

#include "kernels/cpu/vec.h"

namespace sluice::kernels::SLUICE_ISA {

constexpr int kTileSize = 16;

#if defined(__AMX_INT8__)

// As assembly, since some compilers' intrinsics take the number of a tile only as a literal.
struct Tiles {};

SLUICE_INLINE void configure(Tiles&, int depth, int rows = kTileSize) {
  struct alignas(64) Configuration {
    uint8_t palette, start_row, zeros[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
  } configuration = {};
  configuration.palette = 1;
  for (int i = 0; i < 8; ++i) {
    configuration.rows[i] = static_cast<uint8_t>(i < 6 ? rows : depth / 4);
    configuration.row_bytes[i] = static_cast<uint16_t>(i == 4 || i == 5 ? depth : 64);
  }
  asm volatile("ldtilecfg %0" : : "m"(configuration));
}
SLUICE_INLINE void release(Tiles&) { asm volatile("tilerelease"); }
template <int kTile>
SLUICE_INLINE void tile_zero(Tiles&) {
  asm volatile("tilezero %%tmm%c0" : : "i"(kTile));
}
template <int kTile>
SLUICE_INLINE void tile_load(Tiles&, const void* from, int64_t stride) {
  asm volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(from), "r"(stride), "i"(kTile) : "memory");
}
template <int kTile>
SLUICE_INLINE void tile_store(const Tiles&, void* to) {
  constexpr int64_t kStride = kTileSize * sizeof(int32_t);
  asm volatile("tilestored %%tmm%c2, (%0,%1,1)" : : "r"(to), "r"(kStride), "i"(kTile) : "memory");
}
template <int kSum, int kX, int kWeight>
SLUICE_INLINE void tile_multiply(Tiles&) {
  asm volatile("tdpbsud %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(kSum), "i"(kX), "i"(kWeight));
}
template <int kSum, int kX, int kWeight>
SLUICE_INLINE void tile_multiply_bf16(Tiles&) {
  asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(kSum), "i"(kX), "i"(kWeight));
}

#else

struct Tiles {
  int depth = 0;
  int rows = kTileSize;
  uint8_t bytes[8][kTileSize][64];
};

SLUICE_INLINE void configure(Tiles& tiles, int depth, int rows = kTileSize) {
  tiles.depth = depth;
  tiles.rows = rows;
}
SLUICE_INLINE void release(Tiles&) {}
template <int kTile>
SLUICE_INLINE void tile_zero(Tiles& tiles) {
  __builtin_memset(tiles.bytes[kTile], 0, sizeof tiles.bytes[kTile]);
}
template <int kTile>
SLUICE_INLINE void tile_load(Tiles& tiles, const void* from, int64_t stride) {
  const int rows = kTile < 6 ? tiles.rows : tiles.depth / 4;
  const int row_bytes = kTile == 4 || kTile == 5 ? tiles.depth : 64;
  for (int r = 0; r < rows; ++r) {
    __builtin_memcpy(tiles.bytes[kTile][r], static_cast<const char*>(from) + r * stride,
                     static_cast<size_t>(row_bytes));
  }
}
template <int kTile>
SLUICE_INLINE void tile_store(const Tiles& tiles, void* to) {
  __builtin_memcpy(to, tiles.bytes[kTile], static_cast<size_t>(tiles.rows) * sizeof tiles.bytes[kTile][0]);
}
template <int kSum, int kX, int kWeight>
SLUICE_INLINE void tile_multiply(Tiles& tiles) {
  for (int r = 0; r < tiles.rows; ++r) {
    for (int c = 0; c < kTileSize; ++c) {
      int32_t sum;
      __builtin_memcpy(&sum, tiles.bytes[kSum][r] + 4 * c, sizeof sum);
      for (int k = 0; k < tiles.depth; ++k)
        sum +=
            static_cast<int8_t>(tiles.bytes[kX][r][k]) * static_cast<int>(tiles.bytes[kWeight][k / 4][4 * c + k % 4]);
      __builtin_memcpy(tiles.bytes[kSum][r] + 4 * c, &sum, sizeof sum);
    }
  }
}

SLUICE_INLINE float widen(const uint8_t* bf16) {
  uint16_t half;
  __builtin_memcpy(&half, bf16, sizeof half);
  const uint32_t bits = static_cast<uint32_t>(half) << 16;
  float value;
  __builtin_memcpy(&value, &bits, sizeof value);
  return value;
}
// Denormals count as zeros when MXCSR says so, which AMX does in any case.
template <int kSum, int kX, int kWeight>
SLUICE_INLINE void tile_multiply_bf16(Tiles& tiles) {
  for (int r = 0; r < tiles.rows; ++r) {
    const uint8_t* x = tiles.bytes[kX][r];
    float even[kTileSize] = {}, odd[kTileSize] = {}, sum[kTileSize];
    for (int pair = 0; pair < kTileSize; ++pair) {
      for (int c = 0; c < kTileSize; ++c) {
        const uint8_t* w = tiles.bytes[kWeight][pair] + 4 * c;
        even[c] = __builtin_fmaf(widen(x + 4 * pair), widen(w), even[c]);
        odd[c] = __builtin_fmaf(widen(x + 4 * pair + 2), widen(w + 2), odd[c]);
      }
    }
    __builtin_memcpy(sum, tiles.bytes[kSum][r], sizeof sum);
    for (int c = 0; c < kTileSize; ++c) sum[c] += even[c] + odd[c];
    __builtin_memcpy(tiles.bytes[kSum][r], sum, sizeof sum);
  }
}

#endif

}  // namespace sluice::kernels::SLUICE_ISA
