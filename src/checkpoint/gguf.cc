#include "checkpoint/gguf.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "base/strings.h"
#include "checkpoint/gguf_types.h"

namespace sluice::checkpoint {
namespace {

constexpr uint64_t kDimensionsMax = 4;  // GGML_MAX_DIMS
constexpr uint64_t kDefaultAlignment = 32;

// Tensor data as the file describes it, before its place is checked.
struct PlacedTensor {
  WeightEntry entry;
  uint64_t offset = 0;  // from the beginning of the tensor data
};

}  // namespace

// Walks the file once from front to back; every step checks what is left before it reads.
class GgufReader {
 public:
  GgufReader(WeightFile file, const GgufLimits& limits)
      : limits_(limits), table_(std::make_shared<GgufMetadata::Table>()) {
    table_->file = std::move(file);
    bytes_ = table_->file.bytes;
  }

  Result<GgufFile> read() {
    SLUICE_RETURN_IF_ERROR(read_version());
    SLUICE_TRY(const uint64_t tensor_count, number<uint64_t>("the number of tensors"));
    SLUICE_TRY(const uint64_t key_count, number<uint64_t>("the number of metadata keys"));
    // The smallest key is a length, a type and one byte; the smallest tensor two lengths, a type and an offset.
    SLUICE_RETURN_IF_ERROR(check_count("metadata keys", key_count, limits_.keys_max, 8 + 4 + 1));
    for (uint64_t i = 0; i < key_count; ++i) SLUICE_RETURN_IF_ERROR(read_key());
    SLUICE_RETURN_IF_ERROR(check_count("tensors", tensor_count, limits_.tensors_max, 8 + 4 + 4 + 8));
    std::vector<PlacedTensor> tensors;
    for (uint64_t i = 0; i < tensor_count; ++i) {
      SLUICE_TRY(tensors.emplace_back(), read_tensor());
    }
    GgufFile out;
    out.version = version_;
    SLUICE_TRY(out.alignment, alignment());
    out.metadata.table_ = table_;
    SLUICE_TRY(out.weights, place_tensors(std::move(tensors), out.alignment));
    return out;
  }

 private:
  Error wrong(const std::string& what) const {
    return corrupt_data(cat(table_->file.path, " is not a sound GGUF file: ", what));
  }
  Error cut_short(std::string_view at) const {
    return wrong(cat("it ends at byte ", bytes_.size(), ", inside ", at, "; it was cut short"));
  }
  uint64_t left() const { return bytes_.size() - at_; }

  template <class T>
  Result<T> number(std::string_view what) {
    if (left() < sizeof(T)) return cut_short(what);
    T value;
    std::memcpy(&value, bytes_.data() + at_, sizeof value);
    at_ += sizeof value;
    return value;
  }

  Result<std::span<const std::byte>> string(std::string_view what) {
    SLUICE_TRY(const uint64_t length, number<uint64_t>(what));
    if (length > left()) return wrong(cat(what, " would have ", length, " bytes, more than the file has left"));
    const auto out = bytes_.subspan(at_, length);
    at_ += length;
    return out;
  }

  Result<std::string> name(std::string_view what) {
    SLUICE_TRY(const auto bytes, string(what));
    if (bytes.size() > limits_.name_bytes_max) {
      return wrong(cat(what, " has ", bytes.size(), " bytes; the limit is ", limits_.name_bytes_max));
    }
    return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }

  Result<void> check_count(std::string_view what, uint64_t count, uint64_t count_max, uint64_t bytes_min) const {
    if (count > count_max) return wrong(cat("it claims ", count, " ", what, "; the limit is ", count_max));
    if (count > left() / bytes_min)
      return wrong(cat("it claims ", count, " ", what, ", more than fit into it; it was cut short"));
    return {};
  }

  Result<void> read_version() {
    if (left() < 4) return cut_short("its first four bytes");
    if (std::memcmp(bytes_.data(), "GGUF", 4) != 0) {
      const std::string_view magic(reinterpret_cast<const char*>(bytes_.data()), 4);
      for (const std::string_view old : {"lmgg", "tjgg", "fmgg", "algg"}) {
        if (magic == old) {
          return unimplemented(
              cat(table_->file.path, " is a GGML file from before GGUF; convert it with llama.cpp's tools"));
        }
      }
      return wrong("it does not begin with \"GGUF\"");
    }
    at_ = 4;
    SLUICE_TRY(version_, number<uint32_t>("the version"));
    if (version_ == 2 || version_ == 3) return {};
    if ((version_ & 0xFFFFu) == 0 && version_ != 0) {
      return unimplemented(
          cat(table_->file.path, " is a big-endian GGUF file; convert it with gguf_convert_endian.py"));
    }
    return unimplemented(cat(table_->file.path, " is GGUF version ", version_, "; versions 2 and 3 can be read",
                             version_ == 1 ? ": convert the model again" : ""));
  }

  static bool is_type(uint32_t id) { return id <= static_cast<uint32_t>(GgufType::kF64); }

  Result<void> read_key() {
    SLUICE_TRY(std::string key, name("a metadata key"));
    if (key.empty()) return wrong("a metadata key is empty");
    const std::string what = cat("metadata ", quote(key));
    SLUICE_TRY(const uint32_t type, number<uint32_t>(what));
    if (!is_type(type)) return wrong(cat(what, " has the unknown type ", type));
    GgufValue value;
    value.type = static_cast<GgufType>(type);
    if (value.type == GgufType::kArray) {
      SLUICE_RETURN_IF_ERROR(read_array(what, 1, &value));
    } else if (value.type == GgufType::kString) {
      SLUICE_TRY(value.bytes, string(what));
    } else {
      const uint64_t size = gguf_type_bytes(value.type);
      if (left() < size) return cut_short(what);
      value.bytes = bytes_.subspan(at_, size);
      at_ += size;
    }
    if (!table_->values.try_emplace(key, value).second) return wrong(cat(what, " is there twice"));
    table_->keys.push_back(std::move(key));
    return {};
  }

  // Reads element type, count and elements; only walks over them, for they are used in place.
  Result<void> read_array(const std::string& what, int depth, GgufValue* out) {
    if (depth > limits_.array_depth_max)
      return wrong(cat(what, " has arrays nested deeper than ", limits_.array_depth_max));
    SLUICE_TRY(const uint32_t type, number<uint32_t>(what));
    if (!is_type(type)) return wrong(cat(what, " is an array of the unknown type ", type));
    SLUICE_TRY(const uint64_t count, number<uint64_t>(what));
    const auto element_type = static_cast<GgufType>(type);
    const uint64_t size = gguf_type_bytes(element_type);
    const uint64_t size_min = size > 0 ? size : element_type == GgufType::kString ? 8 : 12;
    if (count > left() / size_min) return wrong(cat(what, " claims ", count, " elements, more than the file has left"));
    const size_t begin = at_;
    if (size > 0) {
      at_ += count * size;
    } else {
      for (uint64_t i = 0; i < count; ++i) {
        if (element_type == GgufType::kString) {
          SLUICE_RETURN_IF_ERROR(string(what));
        } else {
          SLUICE_RETURN_IF_ERROR(read_array(what, depth + 1, nullptr));
        }
      }
    }
    if (out != nullptr) {
      out->element_type = element_type;
      out->count = count;
      out->bytes = bytes_.subspan(begin, at_ - begin);
    }
    return {};
  }

  Result<uint64_t> alignment() const {
    const auto found = table_->values.find("general.alignment");
    if (found == table_->values.end()) return kDefaultAlignment;
    uint32_t value = 0;
    if (found->second.type != GgufType::kU32) return wrong("general.alignment must be a u32");
    std::memcpy(&value, found->second.bytes.data(), sizeof value);
    if (value == 0 || (value & (value - 1)) != 0 || value > limits_.alignment_max) {
      return wrong(cat("general.alignment is ", value, "; it must be a power of two up to ", limits_.alignment_max));
    }
    return value;
  }

  Result<PlacedTensor> read_tensor() {
    PlacedTensor out;
    WeightEntry& entry = out.entry;
    SLUICE_TRY(entry.name, name("a tensor name"));
    const std::string what = cat("tensor ", quote(entry.name));
    SLUICE_TRY(const uint32_t rank, number<uint32_t>(what));
    if (rank > kDimensionsMax)
      return wrong(cat(what, " has ", rank, " dimensions; at most ", kDimensionsMax, " are possible"));
    std::vector<uint64_t> sizes(rank);  // the file has the contiguous one first
    for (uint64_t i = rank; i-- > 0;) {
      SLUICE_TRY(sizes[i], number<uint64_t>(what));
    }
    SLUICE_TRY(const uint32_t type_id, number<uint32_t>(what));
    SLUICE_TRY(out.offset, number<uint64_t>(what));

    const GgmlType* type = find_ggml_type(type_id);
    entry.stored_type = type != nullptr ? std::string(type->name) : cat("type ", type_id);
    if (type == nullptr) {
      entry.problem = cat("its type number ", type_id, " is unknown");
      const auto elements = stored_bytes(sizes, 1, 1);
      if (!elements) return wrong(cat(what, " has a shape too large for any memory"));
    } else {
      const auto bytes = stored_bytes(sizes, type->block_elements, type->block_bytes);
      if (!bytes) {
        return wrong(cat(what, " of type ", type->name,
                         " has a shape too large for any memory, or rows that are not whole blocks of ",
                         type->block_elements));
      }
      entry.bytes = *bytes;
      entry.dtype = type->dtype;
      if (!type->dtype)
        entry.problem = cat("its type ", type->name,
                            " is not supported (F32, F16, BF16, Q4_0 to Q8_0, Q2_K to Q6_K, IQ4_NL and IQ4_XS are)");
    }
    for (const uint64_t size : sizes) {
      if (size > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()))
        return wrong(cat(what, " has a dimension too large"));
      entry.shape.push_back(static_cast<int64_t>(size));
    }
    return out;
  }

  // Gives every tensor its bytes and checks that no two share any.
  Result<WeightMap> place_tensors(std::vector<PlacedTensor> tensors, uint64_t alignment) {
    WeightMap weights;
    weights.add_file(table_->file);
    if (tensors.empty()) return weights;  // a vocabulary alone need not be padded
    const uint64_t data_begin = (at_ + alignment - 1) / alignment * alignment;
    if (data_begin > bytes_.size()) return cut_short("the padding before the tensors");
    const uint64_t data_bytes = bytes_.size() - data_begin;
    std::vector<std::pair<uint64_t, uint64_t>> ranges;
    for (PlacedTensor& tensor : tensors) {
      WeightEntry& entry = tensor.entry;
      const std::string what =
          cat("tensor ", quote(entry.name), " of ", entry.bytes, " bytes at data byte ", tensor.offset);
      if (tensor.offset % alignment != 0) return wrong(cat(what, " is not aligned to ", alignment));
      if (tensor.offset > data_bytes || entry.bytes > data_bytes - tensor.offset) {
        return wrong(cat(what, " reaches past the end: the file has ", data_bytes, " data bytes; it was cut short"));
      }
      entry.data = bytes_.data() + data_begin + tensor.offset;
      if (entry.bytes > 0) ranges.emplace_back(tensor.offset, tensor.offset + entry.bytes);
      SLUICE_RETURN_IF_ERROR(weights.add(std::move(entry)));
    }
    std::sort(ranges.begin(), ranges.end());
    for (size_t i = 1; i < ranges.size(); ++i) {
      if (ranges[i].first < ranges[i - 1].second) {
        return wrong(cat("two tensors share the data bytes from ", ranges[i].first));
      }
    }
    return weights;
  }

  GgufLimits limits_;
  std::shared_ptr<GgufMetadata::Table> table_;
  std::span<const std::byte> bytes_;
  size_t at_ = 0;
  uint32_t version_ = 0;
};

Result<GgufFile> read_gguf(WeightFile file, const GgufLimits& limits) {
  return GgufReader(std::move(file), limits).read();
}

}  // namespace sluice::checkpoint
