// Integer products with packed weights: packed.h says what they are.

#include "kernels/cpu/packed.h"

#include "kernels/cpu/int_lanes.h"
#include "kernels/cpu/shares.h"

namespace sluice::kernels::SLUICE_ISA {
namespace {

constexpr int kLineBytes = 64;
constexpr int kTileRows = kWidth == 16 ? 6 : 4;
constexpr int kTilePanels = kWidth == 16 ? 2 : 1;
constexpr int kUnit = 16;  // elements of k between two looks at a group's end
template <int kBits>
constexpr int kUnitLines = kUnit * kBits / 32;  // of a panel

// What will be read next is called for while a tile multiplies, a few lines with every unit of k: more at once would
// stand in the way of the loads behind them.
struct Ahead {
  const std::byte* from;  // of the tile's first panel
  int lines;              // of every panel for each unit of k
  bool x;                 // also the rows of x behind the tile's
};

struct Place {
  const std::byte* panel;  // the first of the tile's panels
  size_t step;             // bytes from one to the next
  int64_t row;
  int64_t k_begin;  // a multiple of kActivationGroup
  int64_t k_end;
  float* sums;  // [rows of the tile, panels of the tile, 16]
};

// kUnit elements of k: sums[r][c] += Σ code(w) · code(x).
template <int kBits, int kRows, int kPanels>
SLUICE_INLINE void multiply_unit(const std::byte* const w[kPanels], const std::byte* x, int64_t stride,
                                 I sums[kRows][kPanels][kParts]) {
#pragma GCC unroll 4
  for (int line = 0; line < kUnitLines<kBits>; ++line) {
    I bytes[kPanels][kParts];
#pragma GCC unroll 4
    for (int i = 0; i < kPanels * kParts; ++i)
      bytes[i / kParts][i % kParts] = int_load(w[i / kParts] + line * kLineBytes + i % kParts * kWidth * 4);
#pragma GCC unroll 2
    for (int half = 0; half < kHalves<kBits>; ++half) {
      I codes[kPanels][kParts];
#pragma GCC unroll 4
      for (int i = 0; i < kPanels * kParts; ++i)
        codes[i / kParts][i % kParts] = half_of<kBits>(bytes[i / kParts][i % kParts], half);
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) {
        const I four = int_broadcast(x + r * stride + (line * kHalves<kBits> + half) * 4);
#pragma GCC unroll 4
        for (int i = 0; i < kPanels * kParts; ++i)
          add_products<kBits>(sums[r][i / kParts][i % kParts], codes[i / kParts][i % kParts], four);
      }
    }
  }
}

// The same of six bits.
template <int kRows, int kPanels>
SLUICE_INLINE void multiply_six_bits(const std::byte* const w[kPanels], const std::byte* x, int64_t stride,
                                     I sums[kRows][kPanels][kParts]) {
  I codes[kPanels * kParts][4];
#pragma GCC unroll 4
  for (int i = 0; i < kPanels * kParts; ++i) {
    const std::byte* from = w[i / kParts] + i % kParts * kWidth * 4;
    six_bit_lines(int_load(from), int_load(from + kLineBytes), int_load(from + 2 * kLineBytes), codes[i]);
  }
#pragma GCC unroll 2
  for (int half = 0; half < 2; ++half) {
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const std::byte* at = x + r * stride + half * 8;
      const I eight[2] = {int_broadcast(at), int_broadcast(at + 4)};
#pragma GCC unroll 4
      for (int i = 0; i < kPanels * kParts; ++i)
        add_products_of_two(sums[r][i / kParts][i % kParts], codes[i] + 2 * half, eight);
    }
  }
}

template <int kPanels>
SLUICE_INLINE void call_ahead(Ahead& ahead, size_t panel_step) {
#pragma GCC unroll 1
  for (int line = 0; line < ahead.lines; ++line, ahead.from += kLineBytes) {
#pragma GCC unroll 4
    for (int c = 0; c < kPanels; ++c) prefetch(ahead.from + static_cast<size_t>(c) * panel_step);
  }
}

// Elements [0, count) of a group: dot[r][c] = start(r) + Σ code(w) · code(x).
template <int kBits, int kRows, int kPanels, class Start>
SLUICE_INLINE void multiply_group(const std::byte* w[kPanels], const std::byte*& x, int64_t stride, int64_t count,
                                  Ahead& ahead, size_t panel_step, const Start& start, I dot[kRows][kPanels][kParts]) {
  bool begun = !kWordSums<kBits>;
  if (begun) {
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
      for (int i = 0; i < kPanels * kParts; ++i) dot[r][i / kParts][i % kParts] = start(r);
    }
  }
  do {
    I words[kRows][kPanels][kParts] = {};
    int64_t run = kWordSums<kBits> && count > kWordRun ? kWordRun : count;
    count -= run;
    for (; run > 0; run -= kUnit, x += kUnit * kCodeBytes<kBits>) {
      call_ahead<kPanels>(ahead, panel_step);
      if constexpr (kBits == 6) {
        multiply_six_bits<kRows, kPanels>(w, x, stride, dot);
      } else {
        multiply_unit<kBits, kRows, kPanels>(w, x, stride, kWordSums<kBits> ? words : dot);
      }
#pragma GCC unroll 4
      for (int c = 0; c < kPanels; ++c) w[c] += kUnit * kLanes * kBits / 8;
    }
    if constexpr (kWordSums<kBits>) {
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
        for (int i = 0; i < kPanels * kParts; ++i) {
          I& sum = dot[r][i / kParts][i % kParts];
          const I more = word_products(words[r][i / kParts][i % kParts], int_set1(0x00010001));
          sum = int_add(begun ? sum : start(r), more);
        }
      }
      begun = true;
    }
  } while (count > 0);
}

// kGroup: the weight's group, or 0 for any.
template <int kBits, bool kMinima, int kGroup, int kRows, int kPanels>
[[gnu::noinline]] void multiply_tile(const PackedShare& s, const Place& at, bool first, Ahead ahead) {
  constexpr int kScaleBytes = (kMinima ? 2 : 1) * kLanes * 2;
  F sum[kRows][kPanels][kParts];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (int i = 0; i < kPanels * kParts; ++i)
      sum[r][i / kParts][i % kParts] = first ? zero() : load(at.sums + r * kPanels * kLanes + i * kWidth);
  }
  const std::byte* w[kPanels];
  const std::byte* scales[kPanels];
  const int64_t group_size = kGroup > 0 ? kGroup : s.group;
  const int64_t group = at.k_begin / group_size;
#pragma GCC unroll 4
  for (int c = 0; c < kPanels; ++c) {
    const std::byte* panel = at.panel + static_cast<size_t>(c) * at.step;
    w[c] = panel + at.k_begin * kLanes * kBits / 8;
    scales[c] = panel + s.scale_offset + group * kScaleBytes;
  }
  const std::byte* x = s.x.codes + at.row * s.x.stride + at.k_begin * kCodeBytes<kBits>;
  const float* x_scales = s.x.scales + at.row * s.x.scale_stride + at.k_begin / kActivationGroup;
  const int32_t* x_sums = s.x.sums + at.row * s.x.sum_stride + group;

  for (int64_t k = at.k_begin; k < at.k_end; k += kActivationGroup, ++x_scales) {
    const int64_t activation_end = k + kActivationGroup < at.k_end ? k + kActivationGroup : at.k_end;
    if (ahead.x) {
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) {
        for (int line = 0; line < kActivationGroup * kCodeBytes<kBits>; line += kLineBytes)
          prefetch(x + (r + kRows) * s.x.stride + line);
      }
    }
    F inner[kRows][kPanels][kParts] = {};
    for (int64_t g = k; g < activation_end; g += group_size, ++x_sums) {
      // The last group may be cut short by the padded depth, but not one of 64 or less.
      const int64_t left = activation_end - g;
      const int64_t count = kGroup > 0 || group_size < left ? group_size : left;
      I dot[kRows][kPanels][kParts];
      const auto start = [&](int r) { return int_set1(kMinima ? kSumStart : x_sums[r * s.x.sum_stride]); };
      multiply_group<kBits, kRows, kPanels>(w, x, s.x.stride, count, ahead, at.step, start, dot);
#pragma GCC unroll 8
      for (int i = 0; i < kPanels * kParts; ++i) {
        const int c = i / kParts;
        const int p = i % kParts;
        const F scale = load_f16(scales[c] + p * kWidth * 2);
        const F minimum = kMinima ? load_f16(scales[c] + kLanes * 2 + p * kWidth * 2) : zero();
#pragma GCC unroll 8
        for (int r = 0; r < kRows; ++r) {
          const F products = sub(as_float(dot[r][c][p]), set1(kSumStartValue));
          inner[r][c][p] = fma(scale, products, inner[r][c][p]);
          if constexpr (kMinima) {
            const F codes = as_float(int_set1(x_sums[r * s.x.sum_stride]));
            inner[r][c][p] = fma(minimum, codes, inner[r][c][p]);
          }
        }
      }
#pragma GCC unroll 4
      for (int c = 0; c < kPanels; ++c) scales[c] += kScaleBytes;
    }
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const F scale = set1(x_scales[r * s.x.scale_stride]);
#pragma GCC unroll 8
      for (int i = 0; i < kPanels * kParts; ++i)
        sum[r][i / kParts][i % kParts] = fma(scale, inner[r][i / kParts][i % kParts], sum[r][i / kParts][i % kParts]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (int i = 0; i < kPanels * kParts; ++i)
      store(at.sums + r * kPanels * kLanes + i * kWidth, sum[r][i / kParts][i % kParts]);
  }
}

template <int kBits, bool kMinima, int kGroup, int kPanels>
void multiply_rows(int rows, const PackedShare& s, const Place& at, bool first, const Ahead& ahead) {
  switch (rows) {
    case 1:
      return multiply_tile<kBits, kMinima, kGroup, 1, kPanels>(s, at, first, ahead);
    case 2:
      return multiply_tile<kBits, kMinima, kGroup, 2, kPanels>(s, at, first, ahead);
    case 3:
      return multiply_tile<kBits, kMinima, kGroup, 3, kPanels>(s, at, first, ahead);
    case 4:
      return multiply_tile<kBits, kMinima, kGroup, 4, kPanels>(s, at, first, ahead);
#if defined(__AVX512F__)
    case 5:
      return multiply_tile<kBits, kMinima, kGroup, 5, kPanels>(s, at, first, ahead);
    case 6:
      return multiply_tile<kBits, kMinima, kGroup, 6, kPanels>(s, at, first, ahead);
#endif
    default:
      return;
  }
}

SLUICE_INLINE int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

template <int kPanels>
SLUICE_INLINE void finish_tile(const PackedShare& s, int64_t row, int64_t rows, const int64_t (&panels)[kPanels],
                               const float* sums) {
  for (int64_t r = 0; r < rows; ++r) {
    for (int c = 0; c < kPanels; ++c) finish_packed(s, row + r, panels[c], sums + (r * kPanels + c) * kLanes);
  }
}

// Of the rows that are left. A tile of one row or two would wait for its own sums: it takes some from the one before.
SLUICE_INLINE int64_t tile_rows(int64_t left) {
  if (kTileRows < 6 || left <= kTileRows || left >= kTileRows + 3) return least(left, kTileRows);
  return (left + 1) / 2;
}

// Panels from `panel` on, times all rows of the share, over one block of k.
struct Block {
  int64_t panel;
  int64_t k_begin;
  int64_t k_end;
  const std::byte* next;  // the panels of the block after this one; null: there is none
};

template <int kBits, bool kMinima, int kGroup, int kPanels>
void multiply_block(const PackedShare& s, const Block& block) {
  const std::byte* const panel = s.panels + static_cast<size_t>(block.panel) * s.panel_bytes;
  const int64_t rows = s.row_end - s.row_begin;
  const int64_t tiles = (rows + kTileRows - 1) / kTileRows;
  // The first tiles call for the next block.
  const int64_t lines = kUnitLines<kBits> * (block.k_end - block.k_begin) / kUnit;
  const int64_t calling = tiles >= kUnitLines<kBits> ? kUnitLines<kBits> : tiles >= 2 ? 2 : 1;
  float* sums = s.scratch + (block.panel - s.panel_begin) * rows * kLanes;
  int64_t row = 0;
  for (int64_t tile = 0, count; tile < tiles; ++tile, row += count, sums += count * kPanels * kLanes) {
    count = tile_rows(rows - row);
    Ahead ahead = {nullptr, 0, tiles > 1};
    if (block.next != nullptr && tile < calling)
      ahead = {block.next + tile * lines / calling * kLineBytes,
               static_cast<int>((kUnitLines<kBits> + calling - 1) / calling), tiles > 1};
    const Place at = {panel, s.panel_bytes, s.row_begin + row, block.k_begin, block.k_end, sums};
    multiply_rows<kBits, kMinima, kGroup, kPanels>(static_cast<int>(count), s, at, block.k_begin == 0, ahead);
    if (block.k_end < s.depth) continue;
    int64_t panels[kPanels];
    for (int c = 0; c < kPanels; ++c) panels[c] = block.panel + c;
    finish_tile<kPanels>(s, s.row_begin + row, count, panels, sums);
  }
}

// Rows that fit one tile: every weight is read once, so memory decides. The panels are walked as kPanels streams, each
// from its own start through memory in ascending order.
template <int kBits, bool kMinima, int kGroup, int kPanels>
int64_t stream_panels(const PackedShare& s, int64_t panel) {
  const int64_t length = (s.panel_end - panel) / kPanels;
  const int rows = static_cast<int>(s.row_end - s.row_begin);
  const int lines = s.prefetch_bytes == 0 ? 0 : kUnitLines<kBits>;
  for (int64_t i = 0; i < length; ++i) {
    const std::byte* first = s.panels + static_cast<size_t>(panel + i) * s.panel_bytes;
    const Place at = {first, static_cast<size_t>(length) * s.panel_bytes, s.row_begin, 0, s.depth, s.scratch};
    multiply_rows<kBits, kMinima, kGroup, kPanels>(rows, s, at, true, {first + s.prefetch_bytes, lines, false});
    int64_t panels[kPanels];
    for (int c = 0; c < kPanels; ++c) panels[c] = panel + i + c * length;
    finish_tile<kPanels>(s, s.row_begin, rows, panels, s.scratch);
  }
  return panel + length * kPanels;
}

template <int kBits, bool kMinima, int kGroup>
void multiply_all(const PackedShare& s) {
  if (s.row_end - s.row_begin <= kTileRows) {
    const int64_t panel = stream_panels<kBits, kMinima, kGroup, kTilePanels>(s, s.panel_begin);
    if constexpr (kTilePanels > 1) stream_panels<kBits, kMinima, kGroup, 1>(s, panel);
    return;
  }
  for (int64_t k = 0; k < s.depth; k += kPackedBlock) {
    const int64_t k_end = least(k + kPackedBlock, s.depth);
    for (int64_t panel = s.panel_begin; panel < s.panel_end;) {
      const int64_t count = panel + kTilePanels <= s.panel_end ? kTilePanels : 1;
      Block block = {panel, k, k_end, nullptr};
      if (panel + count < s.panel_end) {
        block.next = s.panels + static_cast<size_t>(panel + count) * s.panel_bytes + k * kLanes * kBits / 8;
      } else if (k_end < s.depth) {
        block.next = s.panels + static_cast<size_t>(s.panel_begin) * s.panel_bytes + k_end * kLanes * kBits / 8;
      }
      if (count == kTilePanels) {
        multiply_block<kBits, kMinima, kGroup, kTilePanels>(s, block);
      } else {
        multiply_block<kBits, kMinima, kGroup, 1>(s, block);
      }
      panel += count;
    }
  }
}

// Σ of every eight of `count` codes, a multiple of 16, in as many words.
SLUICE_INLINE void sum_eights(const int8_t* codes, int64_t count, int64_t* sums) {
  for (int64_t i = 0; i < count; i += 16) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(codes + i));
    const __m128i unsigned_bytes = _mm_xor_si128(bytes, _mm_set1_epi8(-128));
    const __m128i eights = _mm_sub_epi64(_mm_sad_epu8(unsigned_bytes, _mm_setzero_si128()), _mm_set1_epi64x(128 * 8));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(sums + i / 8), eights);
  }
}

// The codes of a whole group of finite values of ordinary size; 0 (and nothing written) for any other.
SLUICE_INLINE float code_whole_group(const float* x, int8_t* codes) {
  constexpr int kCount = kActivationGroup / kWidth;
  I largest = int_zero();
#pragma GCC unroll 16
  for (int i = 0; i < kCount; ++i) largest = int_max(largest, magnitude_bits(load(x + i * kWidth)));
  const int32_t bits = int_max_of_lanes(largest);
  float most;
  __builtin_memcpy(&most, &bits, sizeof most);
  if (bits >= 0x7F800000 || most < kActivationLeast) return 0;
  const float scale = most / 127.0f;
  const F factor = set1(1.0f / scale);
#pragma GCC unroll 16
  for (int i = 0; i < kCount; ++i) store_bytes(codes + i * kWidth, to_int(mul(load(x + i * kWidth), factor)));
  return scale;
}

// The codes of one activation group, which starts at x; elements from `count` on are 0.
SLUICE_INLINE float code_group(const float* x, int64_t count, int64_t padded, int8_t* codes) {
  I largest = int_zero();
  for (int64_t i = 0; i < count; i += kWidth)
    largest = int_max(largest, magnitude_bits(load_first(x + i, clamp_lanes(count - i))));
  const int32_t bits = int_max_of_lanes(largest);
  float most;
  __builtin_memcpy(&most, &bits, sizeof most);
  if (bits >= 0x7F800000 || most < kActivationLeast) {
    for (int64_t i = 0; i < padded; ++i) codes[i] = 0;
    return bits >= 0x7F800000 ? __builtin_nanf("") : 0.0f;
  }
  const float scale = most / 127.0f;
  const F factor = set1(1.0f / scale);
  for (int64_t i = 0; i < padded; i += kWidth)
    store_bytes(codes + i, to_int(mul(load_first(x + i, clamp_lanes(count - i)), factor)));
  return scale;
}

// Codes as products without VNNI want them: words, of every four in the order 0 2 1 3.
SLUICE_INLINE void store_words(const int8_t* codes, int64_t count, std::byte* out) {
  const __m128i order = _mm_setr_epi8(0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15);
  for (int64_t i = 0; i < count; i += 8, out += 16) {
    const __m128i words = _mm_cvtepi8_epi16(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(codes + i)));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm_shuffle_epi8(words, order));
  }
}

// With the group that most files of such weights have, and with any.
template <int kBits, bool kMinima>
void multiply_any(const PackedShare& s) {
  constexpr int kUsual = kBits == 6 && !kMinima ? 16 : 32;
  return s.group == kUsual ? multiply_all<kBits, kMinima, kUsual>(s) : multiply_all<kBits, kMinima, 0>(s);
}

}  // namespace

void code_rows(const CodeShare& s) {
  for (int64_t row = s.row_begin; row < s.row_end; ++row) {
    const float* x = s.x + (row - s.row_begin) * s.k;
    std::byte* out = s.out.codes + row * s.out.stride;
    float* scales = s.out.scales + row * s.out.scale_stride;
    int32_t* sums = s.out.sums + row * s.out.sum_stride;
    for (int64_t k = 0; k < s.depth; k += kActivationGroup) {
      const int64_t count = s.k - k < 0 ? 0 : least(s.k - k, kActivationGroup);
      const int64_t padded = least(kActivationGroup, s.depth - k);
      int8_t own[kActivationGroup];
      int8_t* codes = s.out.words ? own : reinterpret_cast<int8_t*>(out) + k;
      float scale = count == kActivationGroup ? code_whole_group(x + k, codes) : 0;
      if (scale == 0) scale = code_group(x + k, count, padded, codes);
      *scales++ = scale;
      if (s.out.words) store_words(codes, padded, out + 2 * k);
      int64_t eights[kActivationGroup / 8] = {};
      sum_eights(codes, padded, eights);
      for (int64_t begin = 0; begin < padded; begin += s.group) {
        int64_t sum = 0;
        for (int64_t i = begin / 8; i < (begin + s.group) / 8; ++i) sum += eights[i];
        const auto real = static_cast<float>(sum);
        int32_t entry = kSumStart - s.offset * static_cast<int32_t>(sum);
        if (s.offset == 0) __builtin_memcpy(&entry, &real, sizeof entry);
        *sums++ = entry;
      }
    }
  }
}

void matmul_packed(const PackedShare& s) {
  if (s.bits == 4) return s.minima ? multiply_any<4, true>(s) : multiply_any<4, false>(s);
  if (s.bits == 6) return s.minima ? multiply_any<6, true>(s) : multiply_any<6, false>(s);
  return s.minima ? multiply_any<8, true>(s) : multiply_any<8, false>(s);
}

}  // namespace sluice::kernels::SLUICE_ISA
