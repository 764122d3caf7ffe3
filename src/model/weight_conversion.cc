#include "model/weight_conversion.h"

#include <algorithm>
#include <atomic>
#include <cmath>

#include "base/strings.h"
#include "checkpoint/quantized_matrix.h"
#include "tensor/quantize.h"

namespace sluice::model {
namespace {

using checkpoint::WeightEntry;
using checkpoint::WeightMap;

constexpr int64_t kRowsPerTask = 64;

// The smallest of many threads' findings.
class FirstRow {
 public:
  void found(int64_t row) {
    int64_t known = row_.load();
    while (row < known && !row_.compare_exchange_weak(known, row)) {
    }
  }
  bool any() const { return row_.load() != INT64_MAX; }
  int64_t row() const { return row_.load(); }

 private:
  std::atomic<int64_t> row_{INT64_MAX};
};

Error not_finite(const WeightMap& files, const WeightEntry& entry, int64_t row) {
  return corrupt_data(cat(files.file_of(entry).path, ": tensor ", checkpoint::quote(entry.name), " (",
                          entry.stored_type, " ", entry.shape.str(), "): row ", row,
                          " holds a value that is not a finite number: the file is damaged"));
}

Error too_large(const WeightMap& files, const WeightEntry& entry, int64_t row, DType target) {
  return invalid_argument(cat(files.file_of(entry).path, ": tensor ", checkpoint::quote(entry.name), " (",
                              entry.stored_type, " ", entry.shape.str(), "): row ", row,
                              " holds a value too large for ", dtype_name(target), "; use --dtype bf16 or f32"),
                          "dtype");
}

// Calls work(first row, rows) on slices of all rows.
template <class Work>
void for_row_slices(ThreadPool& pool, int64_t rows, const Work& work) {
  pool.parallel_for((rows + kRowsPerTask - 1) / kRowsPerTask, [&](int64_t task, int) {
    const int64_t first = task * kRowsPerTask;
    work(first, std::min(kRowsPerTask, rows - first));
  });
}

}  // namespace

Result<DType> stored_dtype(const WeightMap& files, const WeightEntry& entry) {
  if (entry.quantized == nullptr) SLUICE_RETURN_IF_ERROR(files.tensor(entry.name));
  if (!is_floating(*entry.dtype) && !is_quantized(*entry.dtype)) {
    return unimplemented(cat(files.file_of(entry).path, ": tensor ", checkpoint::quote(entry.name), " is ",
                             dtype_name(*entry.dtype), ", which is no type for weights"));
  }
  return *entry.dtype;
}

Result<ConvertedMatrix> convert_matrix(const WeightMap& files, const WeightEntry& entry, DType target,
                                       ThreadPool& pool) {
  SLUICE_TRY(const DType stored, stored_dtype(files, entry));
  const int64_t columns = entry.shape.columns(), rows = entry.shape.rows();
  FirstRow bad, overflow;
  ConvertedMatrix out;
  if (entry.quantized == nullptr && stored == target) {
    out.tensor = {.data = entry.data, .dtype = stored, .shape = entry.shape};
    for_row_slices(pool, rows, [&](int64_t first, int64_t count) {
      const int64_t at = first_non_finite(stored, out.tensor.row(first), count * columns);
      if (at >= 0) bad.found(first + at / columns);
    });
    if (bad.any()) return not_finite(files, entry, bad.row());
    return out;
  }
  if (entry.quantized != nullptr) SLUICE_RETURN_IF_ERROR(entry.quantized->verify());
  const size_t bytes = row_bytes(target, columns);
  out.owned = Buffer(bytes * static_cast<size_t>(rows));
  out.tensor = {.data = out.owned.data(), .dtype = target, .shape = entry.shape};
  for_row_slices(pool, rows, [&](int64_t first, int64_t count) {
    std::vector<float> values(static_cast<size_t>((entry.quantized != nullptr ? count : 1) * columns));
    if (entry.quantized != nullptr) entry.quantized->dequantize_rows(first, count, values.data());
    for (int64_t r = 0; r < count; ++r) {
      float* row = values.data() + (entry.quantized != nullptr ? r * columns : 0);
      if (entry.quantized == nullptr)
        dequantize_row(stored, entry.data + static_cast<size_t>(first + r) * row_bytes(stored, columns), row, columns);
      if (first_non_finite(DType::kF32, reinterpret_cast<const std::byte*>(row), columns) >= 0) {
        bad.found(first + r);
        return;  // blocks of such a row would have no meaning
      }
      std::byte* made = out.owned.data() + static_cast<size_t>(first + r) * bytes;
      quantize_row(target, row, made, columns);
      if (first_non_finite(target, made, columns) >= 0) overflow.found(first + r);
    }
  });
  if (bad.any()) return not_finite(files, entry, bad.row());
  if (overflow.any()) return too_large(files, entry, overflow.row(), target);
  files.forget(entry);
  return out;
}

std::optional<PackedFormat> packed_format_of(const checkpoint::QuantizedMatrix& matrix) {
  const bool bits_fit = matrix.bits == 4 || matrix.bits == 8 || matrix.bits == 3 || matrix.bits == 2;
  if (!matrix.has_integer_codes() || !bits_fit || matrix.group_index || matrix.group_columns <= 0) return std::nullopt;
  for (const int group : {128, 64, 32, 16}) {
    const bool whole = matrix.group_columns % group == 0 || matrix.group_columns >= matrix.columns();
    if (!whole) continue;
    return PackedFormat{.bits = matrix.bits == 8 ? 8 : 4, .group = group, .minima = true, .shift = 0};
  }
  return std::nullopt;
}

namespace {

// Rows of a matrix that a tool quantised, as codes with minima: scale · code − scale · zero point.
void read_tool_row(const checkpoint::QuantizedMatrix& matrix, int64_t row, int group, GroupedRow& out) {
  const int64_t columns = matrix.columns();
  const auto own_groups = static_cast<size_t>(matrix.groups());
  std::vector<float> scales(own_groups), zeros(own_groups);
  out.codes.resize(static_cast<size_t>(columns));
  matrix.unpack_codes(row, 1, out.codes.data());
  matrix.unpack_scales(row, scales.data(), zeros.data());
  out.scales.clear();
  out.minima.clear();
  for (int64_t k = 0; k < columns; k += group) {
    const auto own = static_cast<size_t>(k / matrix.group_columns);
    out.scales.push_back(scales[own]);
    out.minima.push_back(-scales[own] * zeros[own]);
  }
}

}  // namespace

Result<ConvertedMatrix> pack_matrix(const WeightMap& files, const WeightEntry& entry, RowRange rows,
                                    const PackedFormat& format, ThreadPool& pool) {
  SLUICE_TRY(const DType stored, stored_dtype(files, entry));
  if (entry.quantized != nullptr) SLUICE_RETURN_IF_ERROR(entry.quantized->verify());
  const int64_t columns = entry.shape.columns();
  ConvertedMatrix out;
  out.owned = Buffer(packed_bytes(format, rows.count, columns));
  out.tensor = pack_header(format, rows.count, columns, out.owned.data());
  const bool own_codes = entry.quantized != nullptr && packed_format_of(*entry.quantized) == format;
  FirstRow bad;
  std::atomic<bool> in_range = true;
  pool.parallel_for(packed_view(out.tensor).panel_count(), [&](int64_t panel, int) {
    const int64_t first = rows.first + panel * kPackedRows;
    const int64_t count = std::min<int64_t>(kPackedRows, rows.first + rows.count - first);
    if (own_codes) {
      const auto source = [&](int64_t row, GroupedRow& to) {
        read_tool_row(*entry.quantized, rows.first + row, format.group, to);
      };
      if (!pack_grouped_panels(source, out.tensor, panel, panel + 1)) in_range = false;
      return;
    }
    // A tensor whose row 0 is the range's: only this panel's rows of it exist when they were decoded here.
    Tensor source = {.data = entry.data, .dtype = stored, .shape = {rows.count, columns}};
    std::vector<float> values;
    if (entry.quantized != nullptr) {
      values.resize(static_cast<size_t>(count * columns));
      entry.quantized->dequantize_rows(first, count, values.data());
      source.dtype = DType::kF32;
      source.data = reinterpret_cast<const std::byte*>(values.data()) -
                    static_cast<size_t>(panel * kPackedRows) * row_bytes(DType::kF32, columns);
    } else {
      source.data += static_cast<size_t>(rows.first) * row_bytes(stored, columns);
    }
    const int64_t at = first_non_finite(source.dtype, source.row(panel * kPackedRows), count * columns);
    if (at >= 0) return bad.found(first + at / columns);
    if (!pack_panels(source, out.tensor, panel, panel + 1)) in_range = false;
  });
  if (bad.any()) return not_finite(files, entry, bad.row());
  if (!in_range) {
    return unimplemented(cat(files.file_of(entry).path, ": tensor ", checkpoint::quote(entry.name),
                             " has scales that f16 cannot hold; load it with --activations f32"));
  }
  if (rows.first + rows.count == entry.shape.rows()) files.forget(entry);
  return out;
}

Result<std::vector<float>> widen_vector(const WeightMap& files, const WeightEntry& entry) {
  SLUICE_TRY(const Tensor stored, files.tensor(entry.name));
  if (!is_floating(stored.dtype)) {
    return unimplemented(cat(files.file_of(entry).path, ": tensor ", checkpoint::quote(entry.name), " is ",
                             dtype_name(stored.dtype), "; a vector must be f32, f16 or bf16"));
  }
  std::vector<float> values(static_cast<size_t>(stored.shape.elements()));
  dequantize_row(stored.dtype, stored.data, values.data(), stored.shape.elements());
  if (!std::ranges::all_of(values, [](float value) { return std::isfinite(value); }))
    return not_finite(files, entry, 0);
  return values;
}

}  // namespace sluice::model
