#include "checkpoint/weights.h"

#include <bit>
#include <limits>

#include "base/strings.h"
#include "checkpoint/mapping_guard.h"
#include "checkpoint/quantized_matrix.h"

namespace sluice::checkpoint {

static_assert(std::endian::native == std::endian::little, "safetensors and GGUF are read in place as little-endian");

Result<WeightFile> WeightFile::map(const std::string& path) {
  SLUICE_TRY(auto mapping, map_guarded(path));
  WeightFile file{path, mapping->bytes(), mapping};
  return file;
}

Result<Tensor> WeightMap::tensor(std::string_view name) const {
  const WeightEntry* entry = find(name);
  if (entry == nullptr) {
    std::vector<std::string> names;
    for (const WeightEntry& each : entries_) names.push_back(each.name);
    const std::string nearest = entries_.size() <= 10'000 ? nearest_name(name, names) : std::string();
    const std::string where = files_.empty() ? "the model has no weight files"
                              : files_.size() == 1
                                  ? cat("looked in ", files_[0].path)
                                  : cat("looked in ", files_.size(), " files, the first is ", files_[0].path);
    return not_found(cat("there is no tensor ", quote(name),
                         nearest.empty() ? "" : cat(" (the nearest is ", quote(nearest), ")"), "; ", where));
  }
  if (!entry->problem.empty()) {
    return unimplemented(
        cat("tensor ", quote(name), " in ", file_of(*entry).path, " cannot be used: ", entry->problem));
  }
  return Tensor{entry->data, *entry->dtype, entry->shape};
}

const WeightEntry* WeightMap::find(std::string_view name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : &entries_[found->second];
}

size_t WeightMap::file_bytes() const {
  size_t total = 0;
  for (const WeightFile& file : files_) total += file.bytes.size();
  return total;
}

Result<void> WeightMap::verify_unchanged() const {
  for (const WeightFile& file : files_) {
    if (file.mapping != nullptr && !file.mapping->still_intact()) {
      return io_error(
          cat(file.path, " was changed, replaced or removed while it was being read; start again when it is whole"));
    }
  }
  return {};
}

void WeightMap::forget(const WeightEntry& entry) const {
  if (entry.quantized != nullptr) {
    forget(entry.quantized->codes);
    return forget(entry.quantized->scales);
  }
  const WeightFile& file = file_of(entry);
  if (file.mapping != nullptr) file.mapping->forget({entry.data, entry.bytes});
}

void WeightMap::prefetch() const {
  for (const WeightFile& file : files_) {
    if (file.mapping != nullptr) file.mapping->prefetch();
  }
}

int WeightMap::add_file(WeightFile file) {
  files_.push_back(std::move(file));
  return static_cast<int>(files_.size()) - 1;
}

Result<void> WeightMap::add(WeightEntry entry) {
  SLUICE_CHECK(entry.file >= 0 && static_cast<size_t>(entry.file) < files_.size());
  SLUICE_CHECK(entry.dtype.has_value() || !entry.problem.empty());
  const auto [place, is_new] = by_name_.try_emplace(entry.name, entries_.size());
  if (!is_new) {
    const std::string& first = file_of(entries_[place->second]).path;
    const std::string& second = file_of(entry).path;
    return corrupt_data(cat("tensor ", quote(entry.name), " is there twice: in ", first,
                            first == second ? "" : cat(" and in ", second)));
  }
  tensor_bytes_ += entry.bytes;
  entries_.push_back(std::move(entry));
  return {};
}

Result<void> WeightMap::append(WeightMap other) {
  const int first_file = static_cast<int>(files_.size());
  for (WeightFile& file : other.files_) files_.push_back(std::move(file));
  for (WeightEntry& entry : other.entries_) {
    entry.file += first_file;
    SLUICE_RETURN_IF_ERROR(add(std::move(entry)));
  }
  return {};
}

std::string quote(std::string_view name) {
  constexpr size_t kShown = 120;
  const bool cut = name.size() > kShown;
  return cat("'", utf8_sanitize(name.substr(0, kShown)), cut ? "…" : "", "'");
}

std::optional<uint64_t> stored_bytes(std::span<const uint64_t> shape, uint64_t block_elements, uint64_t block_bytes) {
  const uint64_t columns = shape.empty() ? 1 : shape.back();
  if (columns % block_elements != 0) return std::nullopt;
  // Sizes of 0 are left out, so that no product of the others can overflow unseen (Shape multiplies them in any order).
  uint64_t product = 1;
  bool is_empty = false;
  for (const uint64_t size : shape) {
    if (size == 0) {
      is_empty = true;
    } else if (__builtin_mul_overflow(product, size, &product)) {
      return std::nullopt;
    }
  }
  uint64_t bytes = 0;
  if (product > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()) ||
      __builtin_mul_overflow(product, block_bytes, &bytes) ||
      bytes > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
    return std::nullopt;
  }
  return is_empty ? 0 : bytes / block_elements;
}

}  // namespace sluice::checkpoint
