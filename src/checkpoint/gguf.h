#pragma once
// GGUF, the file format of ggml: metadata, then tensors. Versions 2 and 3, little-endian.
// Format: github.com/ggml-org/ggml, docs/gguf.md; limits and checks as ggml/src/gguf.cpp.
// Tensors of every type that gguf_types.cc gives a DType can be used; any other is listed, and using the tensor gives
// an error that names its type.

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "checkpoint/weights.h"

namespace sluice::checkpoint {

constexpr std::string_view kGgufSuffix = ".gguf";

enum class GgufType : uint32_t {
  kU8 = 0,
  kI8 = 1,
  kU16 = 2,
  kI16 = 3,
  kU32 = 4,
  kI32 = 5,
  kF32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kU64 = 10,
  kI64 = 11,
  kF64 = 12,
};
std::string_view gguf_type_name(GgufType type);
// Bytes of one value; 0 for strings and arrays, which have no fixed size.
uint64_t gguf_type_bytes(GgufType type);

struct GgufLimits {
  uint64_t keys_max = 65'536;
  uint64_t tensors_max = 1'000'000;
  uint64_t name_bytes_max = 65'535;  // of a key or tensor name
  uint64_t alignment_max = 1u << 20;
  int array_depth_max = 4;  // arrays in arrays
};

// One metadata value, in place. Its form was checked when the file was read.
struct GgufValue {
  GgufType type = GgufType::kU8;
  GgufType element_type = GgufType::kU8;  // of an array
  uint64_t count = 1;                     // elements of an array
  std::span<const std::byte> bytes;  // a scalar's bytes, a string's characters, an array's elements one after another
};

// The metadata of a file: views that keep its mapping alive. Cheap to copy; any thread may use it.
// Getters with a fallback give it when the key is absent; those without give kNotFound naming key and file.
// A value of the wrong type is kCorruptData naming key, file, what was expected and what is there.
class GgufMetadata {
 public:
  const std::string& path() const { return table_->file.path; }
  bool contains(std::string_view key) const { return find(key) != nullptr; }
  const GgufValue* find(std::string_view key) const;
  const std::vector<std::string>& keys() const { return table_->keys; }  // in the file's order

  // Any integer type whose value fits.
  Result<int64_t> integer(std::string_view key) const;
  Result<int64_t> integer(std::string_view key, int64_t fallback) const;
  // Any integer or floating type.
  Result<double> number(std::string_view key) const;
  Result<double> number(std::string_view key, double fallback) const;
  Result<bool> boolean(std::string_view key, bool fallback) const;
  // Any bytes; usually UTF-8. The view lives as long as this object or a copy of it.
  Result<std::string_view> string(std::string_view key) const;
  Result<std::string_view> string(std::string_view key, std::string_view fallback) const;

  // Arrays. An absent key gives an empty vector; a scalar gives one element (files write either for per-layer values).
  Result<std::vector<int64_t>> integers(std::string_view key) const;
  Result<std::vector<float>> numbers(std::string_view key) const;
  Result<std::vector<std::string_view>> strings(std::string_view key) const;

  // Everything as one object; arrays longer than array_elements_max appear as {"type": …, "count": …}.
  Json to_json(size_t array_elements_max = 16) const;

 private:
  friend class GgufReader;
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };
  struct Table {
    WeightFile file;
    std::vector<std::string> keys;
    std::unordered_map<std::string, GgufValue, Hash, std::equal_to<>> values;
  };
  std::shared_ptr<const Table> table_ = std::make_shared<const Table>();
};

struct GgufFile {
  uint32_t version = 0;
  uint64_t alignment = 32;  // bytes; every tensor begins at a multiple of it, counted from the first one
  GgufMetadata metadata;    // of the first file when split
  WeightMap weights;        // shapes are row-major: the file's dimensions reversed
};

// Reads one file; tensors and metadata are views into file.bytes. kCorruptData names file, key or tensor and byte
// offset.
Result<GgufFile> read_gguf(WeightFile file, const GgufLimits& limits = {});

// Maps a file. The path of any part of a split model ("…-00002-of-00005.gguf") opens all its parts.
Result<GgufFile> open_gguf(const std::string& path);

// The name of part `index` (from 0) when `path` is named like a part of a split model; else nothing.
struct GgufSplitName {
  std::string stem;  // the path before "-00001-of-00005.gguf"
  int index = 0;     // from 0
  int count = 0;
};
std::optional<GgufSplitName> parse_split_name(std::string_view path);
std::string split_path(const GgufSplitName& name, int index);

}  // namespace sluice::checkpoint
