#include "model/weight_conversion.h"

#include <algorithm>
#include <atomic>
#include <cmath>

#include "base/strings.h"
#include "checkpoint/packed_matrix.h"
#include "tensor/quantize.h"

namespace sluice::model {
namespace {

using checkpoint::WeightEntry;
using checkpoint::WeightMap;

constexpr int64_t kRowsPerTask = 64;

bool is_floating(DType dtype) { return dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16; }

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
  if (entry.packed == nullptr) SLUICE_RETURN_IF_ERROR(files.tensor(entry.name));
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
  FirstRow bad;
  ConvertedMatrix out;
  if (entry.packed == nullptr && stored == target) {
    out.tensor = {.data = entry.data, .dtype = stored, .shape = entry.shape};
    for_row_slices(pool, rows, [&](int64_t first, int64_t count) {
      const int64_t at = first_non_finite(stored, out.tensor.row(first), count * columns);
      if (at >= 0) bad.found(first + at / columns);
    });
    if (bad.any()) return not_finite(files, entry, bad.row());
    return out;
  }
  if (entry.packed != nullptr) SLUICE_RETURN_IF_ERROR(entry.packed->verify());
  const size_t bytes = row_bytes(target, columns);
  out.owned = Buffer(bytes * static_cast<size_t>(rows));
  out.tensor = {.data = out.owned.data(), .dtype = target, .shape = entry.shape};
  for_row_slices(pool, rows, [&](int64_t first, int64_t count) {
    std::vector<float> values(static_cast<size_t>((entry.packed != nullptr ? count : 1) * columns));
    if (entry.packed != nullptr) entry.packed->dequantize_rows(first, count, values.data());
    for (int64_t r = 0; r < count; ++r) {
      float* row = values.data() + (entry.packed != nullptr ? r * columns : 0);
      if (entry.packed == nullptr)
        dequantize_row(stored, entry.data + static_cast<size_t>(first + r) * row_bytes(stored, columns), row, columns);
      if (first_non_finite(DType::kF32, reinterpret_cast<const std::byte*>(row), columns) >= 0) {
        bad.found(first + r);
        return;  // blocks of such a row would have no meaning
      }
      quantize_row(target, row, out.owned.data() + static_cast<size_t>(first + r) * bytes, columns);
    }
  });
  if (bad.any()) return not_finite(files, entry, bad.row());
  files.forget(entry);
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
