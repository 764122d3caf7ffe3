#pragma once
// Weights in the layout that products read: DType::kPacked.
//
// A matrix [n, k] is cut into panels of 16 rows. A panel holds, for k in steps, 16 × 4 bytes: four bytes of row 0, four
// of row 1, … That is a register of sixteen lanes for a dot product of four bytes (VNNI) or two bf16 (AVX512-BF16),
// and sixteen such lines are a B tile of AMX. So all instruction sets read one layout.
//
//   bits 16   byte pair j of a line: element 2·line + j, bf16
//   bits 8    byte j: code of element 4·line + j
//   bits 4    low nibble of byte j: code of element 8·line + j, high nibble: of 8·line + 4 + j
//   bits 6    of every three lines: two as with 4 bits hold the low nibbles of 16 elements, and bits 2i and 2i + 1 of
//             byte j of the third are the high bits of element 4i + j
//
// Behind its lines a panel has, for every group of `group` elements along k, sixteen f16 scales and, where the format
// has minima, sixteen f16 minima. An element is scale · (code − offset) or scale · code + minimum, times 2^-shift.
// k is padded to a multiple of 64 and n to whole panels with elements of value 0. Panels follow each other, each
// aligned to 64 bytes, after a header of 64 bytes that says all of this; a Tensor of kPacked points at the header.

#include <cstdint>
#include <functional>

#include "tensor/grouped_row.h"
#include "tensor/tensor.h"

namespace sluice {

constexpr int kPackedRows = 16;         // rows of a panel
constexpr int kPackedDepth = 64;        // k is padded to a multiple of it
constexpr uint32_t kPackedVersion = 2;  // of everything described above

struct PackedFormat {
  int bits = 8;         // 4, 6, 8, or 16 for bf16
  int group = 32;       // 16, 32, 64 or 128 elements along k; 0 for bf16
  bool minima = false;  // codes are unsigned from a minimum, else signed around `offset`
  int shift = 0;        // 0 to 24

  int offset() const { return minima || bits == 16 ? 0 : 1 << (bits - 1); }
  bool operator==(const PackedFormat&) const = default;
};

// All that a kernel needs to know of a packed matrix.
struct PackedView {
  PackedFormat format;
  int64_t n = 0;
  int64_t k = 0;
  int64_t depth = 0;   // k, padded
  int64_t groups = 0;  // along k
  const std::byte* panels = nullptr;
  size_t panel_bytes = 0;
  size_t scale_offset = 0;  // from the start of a panel to its scales
  float factor = 1;         // 2^-shift
  int64_t panel_count() const { return (n + kPackedRows - 1) / kPackedRows; }
};

// Bytes of a packed [n, k], its header included.
size_t packed_bytes(const PackedFormat& format, int64_t n, int64_t k);
// The format that holds a quantised type without loss (types whose scales are no f16 numbers, the K types, have them
// rounded to 11 bits). Only for types with grouped_type(dtype).bits > 0.
PackedFormat packed_format_of(DType dtype);

// The view of a kPacked tensor, of a header that pack_header wrote or check_packed has found good.
PackedView packed_view(const Tensor& tensor);
// Whether `bytes` at a 64-byte aligned address hold a packed matrix [n, k]: kCorruptData says what is wrong.
Result<void> check_packed(std::span<const std::byte> bytes, int64_t n, int64_t k);

// Writes the header to `out` (packed_bytes long, aligned to 64), of which the result is a tensor.
Tensor pack_header(const PackedFormat& format, int64_t n, int64_t k, std::byte* out);
// The code of element e of row `lane` of a panel of 4, 6 or 8 bits.
int packed_code(const PackedFormat& format, const std::byte* panel, int64_t lane, int64_t e);

// Fills panels [panel_begin, panel_end) of `packed` from `stored` [n, k]; threads may fill different panels at once.
// A quantised type with `packed`'s bits, group and minima keeps its codes. Any other is quantised: rounding to nearest,
// by scales already rounded to f16. False when a scale or minimum is beyond the range of f16.
bool pack_panels(const Tensor& stored, const Tensor& packed, int64_t panel_begin, int64_t panel_end);
// The same from rows in the packed form, by whatever knows them: source(row, out).
using GroupedRowSource = std::function<void(int64_t row, GroupedRow& out)>;
bool pack_grouped_panels(const GroupedRowSource& source, const Tensor& packed, int64_t panel_begin, int64_t panel_end);

// Row `row` of a packed matrix as floats [k].
void unpack_row(const PackedView& view, int64_t row, float* out);

}  // namespace sluice
