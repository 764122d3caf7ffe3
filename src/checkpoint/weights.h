#pragma once
// The tensors of a model as its files hold them: names, types, shapes, and pointers into mapped memory. Nothing is
// copied. Both file kinds give a WeightMap (safetensors.h, gguf.h). Immutable once read; any thread may use it. All
// numbers in both formats are little-endian, and so must the machine be (checked at compile time in weights.cc).

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "tensor/tensor.h"

namespace sluice::checkpoint {

// The bytes of one file, and who keeps them alive.
struct WeightFile {
  std::string path;
  std::span<const std::byte> bytes;
  std::shared_ptr<const MappedFile> mapping;  // null: memory of the caller, which outlives every view of it

  // Maps the file and registers it with the mapping guard (mapping_guard.h).
  static Result<WeightFile> map(const std::string& path);
  static WeightFile from_memory(std::string name, std::span<const std::byte> bytes) {
    return {std::move(name), bytes, nullptr};
  }
};

struct QuantizedMatrix;  // quantized_matrix.h

// One tensor as its file describes it.
struct WeightEntry {
  std::string name;
  std::string stored_type;          // as the file spells it: "BF16", "F8_E4M3", "Q5_K"
  std::optional<DType> dtype;       // nothing: a type this program does not know
  Shape shape;                      // outermost first; empty when the rank is beyond kRankMax
  const std::byte* data = nullptr;  // into the file; any alignment
  size_t bytes = 0;                 // 0 for a type of unknown size
  std::string problem;              // why the tensor cannot be used; "" when it can
  int file = 0;                     // index into WeightMap::files()
  // A matrix quantised by a tool, in several parts (quantized_weights.h); then `dtype` is what to decode it to when
  // nothing else is asked for, `bytes` those of all parts, and tensor() refuses it. Else null.
  std::shared_ptr<const QuantizedMatrix> quantized = nullptr;
};

class WeightMap {
 public:
  // The tensor, or kNotFound (names the nearest name and the files), or kUnimplemented (names file, tensor and type).
  Result<Tensor> tensor(std::string_view name) const;
  // What the files say of `name`, or null. Also for tensors that cannot be used.
  const WeightEntry* find(std::string_view name) const;
  bool contains(std::string_view name) const { return find(name) != nullptr; }

  std::span<const WeightEntry> entries() const { return entries_; }  // in the order of their files
  std::span<const WeightFile> files() const { return files_; }
  const WeightFile& file_of(const WeightEntry& entry) const { return files_[static_cast<size_t>(entry.file)]; }
  size_t tensor_bytes() const { return tensor_bytes_; }  // of all tensors
  size_t file_bytes() const;                             // of all files

  // kIo naming the first file that no longer has the size and time it was mapped with.
  Result<void> verify_unchanged() const;
  // Asks the kernel to read all files ahead, without waiting.
  void prefetch() const;
  // Gives a tensor's mapped pages back once it has been converted; they stay in the page cache.
  void forget(const WeightEntry& entry) const;

  // For readers: a file, then its tensors. A name that is there already is kCorruptData naming both files.
  int add_file(WeightFile file);
  Result<void> add(WeightEntry entry);
  // Takes all of `other` in; the same error.
  Result<void> append(WeightMap other);

 private:
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };

  std::vector<WeightFile> files_;
  std::vector<WeightEntry> entries_;
  std::unordered_map<std::string, size_t, Hash, std::equal_to<>> by_name_;
  size_t tensor_bytes_ = 0;
};

// How a name from a file appears in a message: quoted, valid UTF-8, not endless.
std::string quote(std::string_view name);

// Bytes of a tensor of `shape` whose rows are stored in blocks; nothing when a row is not whole blocks or any product
// overflows an int64. Sizes of 0 are allowed.
std::optional<uint64_t> stored_bytes(std::span<const uint64_t> shape, uint64_t block_elements, uint64_t block_bytes);

}  // namespace sluice::checkpoint
