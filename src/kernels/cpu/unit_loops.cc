#include "kernels/cpu/unit_loops.h"

#include <cstddef>

#if defined(__x86_64__)
#include <immintrin.h>

#include "kernels/cpu/tile_permission.h"
#endif

namespace sluice::kernels {
namespace {

// Enough independent sums to hide the latency of a multiply-add on two units.
constexpr int kSums = 12;

void multiply_add_portable(int64_t passes, const std::byte* operands) {
  using Lanes = float __attribute__((vector_size(16)));
  const Lanes a = *reinterpret_cast<const Lanes*>(operands);
  Lanes sums[kSums] = {};
  for (int64_t pass = 0; pass < passes; ++pass) {
    for (Lanes& sum : sums) {
      sum = sum * a + a;
      asm volatile("" : "+m"(sum));
    }
  }
}

#if defined(__x86_64__)

// One pass: kSums times the instruction, each on a sum of its own.
#define SLUICE_UNIT_LOOP(function, features, Register, instruction)                                                \
  [[gnu::target(features)]] void function(int64_t passes, const std::byte*) {                                      \
    Register sums[kSums] = {};                                                                                     \
    const Register a = {}, b = {};                                                                                 \
    for (int64_t pass = 0; pass < passes; ++pass) {                                                                \
      _Pragma("GCC unroll 12") for (int i = 0; i < kSums;                                                          \
                                    ++i) asm volatile(instruction " %1, %2, %0" : "+v"(sums[i]) : "v"(a), "v"(b)); \
    }                                                                                                              \
  }

SLUICE_UNIT_LOOP(fma_256, "avx2,fma", __m256, "vfmadd231ps")
SLUICE_UNIT_LOOP(fma_512, "avx512f", __m512, "vfmadd231ps")
SLUICE_UNIT_LOOP(fma_fp16, "avx512f,avx512fp16", __m512i, "vfmadd231ph")
SLUICE_UNIT_LOOP(dot_bf16, "avx512f,avx512bf16", __m512i, "vdpbf16ps")
SLUICE_UNIT_LOOP(dot_int8, "avx512f,avx512vnni", __m512i, "vpdpbusd")
SLUICE_UNIT_LOOP(dot_int8_256, "avx2,avxvnni", __m256i, "%{vex%} vpdpbusd")
#undef SLUICE_UNIT_LOOP

// Products of bytes or words, summed by a second instruction: what there is without a dot product.
#define SLUICE_PAIR_LOOP(function, features, Register, product, addition)                                    \
  [[gnu::target(features)]] void function(int64_t passes, const std::byte*) {                                \
    Register sums[kSums] = {}, products;                                                                     \
    const Register a = {}, b = {};                                                                           \
    for (int64_t pass = 0; pass < passes; ++pass) {                                                          \
      _Pragma("GCC unroll 12") for (int i = 0; i < kSums; ++i) asm volatile(                                 \
          product " %2, %3, %1\n" addition " %1, %0, %0" : "+v"(sums[i]), "=&v"(products) : "v"(a), "v"(b)); \
    }                                                                                                        \
  }

SLUICE_PAIR_LOOP(words_256, "avx2", __m256i, "vpmaddwd", "vpaddd")
SLUICE_PAIR_LOOP(words_512, "avx512f,avx512bw", __m512i, "vpmaddwd", "vpaddd")
SLUICE_PAIR_LOOP(bytes_256, "avx2", __m256i, "vpmaddubsw", "vpaddw")
SLUICE_PAIR_LOOP(bytes_512, "avx512f,avx512bw", __m512i, "vpmaddubsw", "vpaddw")
#undef SLUICE_PAIR_LOOP

// Four products to one 64-byte load, as a register-blocked matrix product has them.
[[gnu::target("avx512f,avx512vnni")]] void dot_int8_loads(int64_t passes, const std::byte* operands) {
  __m512i sums[kSums] = {};
  const __m512i a = {};
  for (int64_t pass = 0; pass < passes; ++pass) {
    const std::byte* at = operands + (pass & 63) * 192;  // within 12 KiB
    _Pragma("GCC unroll 3") for (int load = 0; load < 3; ++load) {
      __m512i b;
      asm volatile("vmovdqu64 %1, %0" : "=v"(b) : "m"(*reinterpret_cast<const __m512i*>(at + 64 * load)));
      _Pragma("GCC unroll 4") for (int i = 0; i < 4;
                                   ++i) asm volatile("vpdpbusd %1, %2, %0" : "+v"(sums[4 * load + i]) : "v"(b), "v"(a));
    }
  }
}

// Tiles of 16 rows of 64 bytes: palette 1, all eight alike.
struct alignas(64) TileShapes {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

// One pass of a loop over tiles: four products, tiles 0-3 += tiles 4-5 (rows) · tiles 6-7 (columns); with `span` > 0
// the four operands are loaded before it, walking through `span` bytes.
#define SLUICE_TILE_LOOP(function, span, product)                                                          \
  [[gnu::target("amx-tile,amx-int8,amx-bf16")]] void function(int64_t passes, const std::byte* operands) { \
    const TileShapes shapes;                                                                               \
    asm volatile("ldtilecfg %0" : : "m"(shapes));                                                          \
    asm volatile(                                                                                          \
        "tilezero %%tmm0\n tilezero %%tmm1\n tilezero %%tmm2\n tilezero %%tmm3\n"                          \
        "tilezero %%tmm4\n tilezero %%tmm5\n tilezero %%tmm6\n tilezero %%tmm7" ::);                       \
    for (int64_t pass = 0; pass < passes; ++pass) {                                                        \
      if constexpr ((span) > 0) {                                                                          \
        const std::byte* at = operands + static_cast<size_t>(pass) * 4096 % (span);                        \
        asm volatile(                                                                                      \
            "tileloadd (%0,%1), %%tmm4\n tileloadd 1024(%0,%1), %%tmm5\n"                                  \
            "tileloadd 2048(%0,%1), %%tmm6\n tileloadd 3072(%0,%1), %%tmm7" ::"r"(at),                     \
            "r"(size_t{64}));                                                                              \
      }                                                                                                    \
      asm volatile(product " %%tmm6, %%tmm4, %%tmm0\n" product " %%tmm7, %%tmm4, %%tmm1\n" product         \
                           " %%tmm6, %%tmm5, %%tmm2\n" product " %%tmm7, %%tmm5, %%tmm3" ::);              \
    }                                                                                                      \
    asm volatile("tilerelease");                                                                           \
  }

SLUICE_TILE_LOOP(tiles_int8, 0, "tdpbssd")
SLUICE_TILE_LOOP(tiles_int8_level1, 16384, "tdpbssd")
SLUICE_TILE_LOOP(tiles_int8_level2, 524288, "tdpbssd")
SLUICE_TILE_LOOP(tiles_bf16, 0, "tdpbf16ps")
SLUICE_TILE_LOOP(tiles_bf16_level1, 16384, "tdpbf16ps")
#undef SLUICE_TILE_LOOP

void append_x86(std::vector<UnitLoop>& loops) {
  const auto add = [&](std::string_view name, std::string_view unit, double operations, auto* run) {
    loops.push_back({name, unit, operations, run});
  };
  const auto per_register = [](int lanes) { return 2.0 * lanes * kSums; };
  if (__builtin_cpu_supports("avx512f")) {
    add("fp32 fma", "FLOP/s", per_register(16), fma_512);
  } else if (__builtin_cpu_supports("fma")) {
    add("fp32 fma", "FLOP/s", per_register(8), fma_256);
  }
  if (__builtin_cpu_supports("avx512fp16")) add("fp16 fma", "FLOP/s", per_register(32), fma_fp16);
  if (__builtin_cpu_supports("avx512bf16")) add("bf16 dot", "FLOP/s", per_register(32), dot_bf16);
  if (__builtin_cpu_supports("avx512vnni")) {
    add("int8 vnni", "OP/s", per_register(64), dot_int8);
    add("int8 vnni, a level-1 load to four products", "OP/s", per_register(64), dot_int8_loads);
  } else if (__builtin_cpu_supports("avx512bw")) {
    add("int8 as words", "OP/s", per_register(32), words_512);
    add("int4 as bytes", "OP/s", per_register(64), bytes_512);
  } else if (__builtin_cpu_supports("avx2")) {
    add("int8 as words", "OP/s", per_register(16), words_256);
    add("int4 as bytes", "OP/s", per_register(32), bytes_256);
    if (__builtin_cpu_supports("avxvnni")) add("int8 vnni", "OP/s", per_register(32), dot_int8_256);
  }
  if (may_use_tiles()) {
    constexpr double kInt8 = 4.0 * 2 * 16 * 16 * 64, kBf16 = kInt8 / 2;
    add("int8 amx", "OP/s", kInt8, tiles_int8);
    add("int8 amx, tiles from level 1", "OP/s", kInt8, tiles_int8_level1);
    add("int8 amx, tiles from level 2", "OP/s", kInt8, tiles_int8_level2);
    add("bf16 amx", "FLOP/s", kBf16, tiles_bf16);
    add("bf16 amx, tiles from level 1", "FLOP/s", kBf16, tiles_bf16_level1);
  }
}

#else
void append_x86(std::vector<UnitLoop>&) {}
#endif

}  // namespace

std::vector<UnitLoop> unit_loops() {
  std::vector<UnitLoop> loops;
  append_x86(loops);
  if (loops.empty()) loops.push_back({"fp32 fma", "FLOP/s", 2.0 * 4 * kSums, multiply_add_portable});
  return loops;
}

}  // namespace sluice::kernels
