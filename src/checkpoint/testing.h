#pragma once
// For tests only: writes tiny safetensors and GGUF files, right or wrong, without any library. Other modules' tests may
// use it. The writers check nothing: what a test gives is what the file says.

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "base/json.h"
#include "base/strings.h"
#include "checkpoint/weights.h"

namespace sluice::checkpoint::test_files {

// A new directory that is removed with the object.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "sluice-test-XXXXXX").string();
    SLUICE_CHECK(::mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  const std::string& path() const { return path_; }
  std::string file(std::string_view name) const { return path_ + "/" + std::string(name); }

 private:
  std::string path_;
};

inline void write_text(const std::string& path, std::string_view text) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(text.data(), static_cast<std::streamsize>(text.size()));
  SLUICE_CHECK(out.good(), "cannot write " + path);
}

inline std::span<const std::byte> as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

template <class T>
std::string bytes_of(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

template <class T>
void append_number(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

// The folder of real files, which is not part of the repository; a test that finds it absent must skip.
inline std::string shared_data(std::string_view name) {
  const char* folder = std::getenv("SLUICE_SHARED_DATA");
#ifdef SLUICE_SOURCE_DIR
  const std::string fallback = SLUICE_SOURCE_DIR "/../shared/data";
#else
  const std::string fallback = "../shared/data";
#endif
  return (folder != nullptr ? std::string(folder) : fallback) + "/" + std::string(name);
}

// ---- safetensors

struct SafetensorsTensor {
  std::string name;
  std::string dtype;           // "F32", "BF16", …
  std::vector<int64_t> shape;  // outermost first
  std::string bytes;
};

// A header and data glued together, whatever they say.
inline std::string safetensors_file(std::string_view header, std::string_view data) {
  std::string out;
  append_number<uint64_t>(out, header.size());
  return out.append(header).append(data);
}

inline std::string safetensors_bytes(const std::vector<SafetensorsTensor>& tensors) {
  Json header = {{"__metadata__", {{"format", "pt"}}}};
  std::string data;
  for (const SafetensorsTensor& tensor : tensors) {
    const size_t begin = data.size();
    data += tensor.bytes;
    header[tensor.name] = {{"dtype", tensor.dtype}, {"shape", tensor.shape}, {"data_offsets", {begin, data.size()}}};
  }
  return safetensors_file(dump_json(header), data);
}

inline void write_safetensors(const std::string& path, const std::vector<SafetensorsTensor>& tensors) {
  write_text(path, safetensors_bytes(tensors));
}

// ---- GGUF

struct GgufTensor {
  std::string name;
  uint32_t type;               // ggml's number: 0 F32, 1 F16, 2 Q4_0, 8 Q8_0, 30 BF16
  std::vector<int64_t> shape;  // outermost first; written reversed, as the format wants
  std::string bytes;
};

// Metadata in the order it is added, then tensors.
class GgufWriter {
 public:
  uint32_t version = 3;
  uint64_t alignment = 32;

  void u32(std::string_view key, uint32_t value) { number(key, 4, value); }
  void i32(std::string_view key, int32_t value) { number(key, 5, value); }
  void u64(std::string_view key, uint64_t value) { number(key, 10, value); }
  void f32(std::string_view key, float value) { number(key, 6, value); }
  void boolean(std::string_view key, bool value) { number(key, 7, static_cast<uint8_t>(value)); }
  void string(std::string_view key, std::string_view value) {
    std::string bytes;
    append_string(bytes, value);
    raw(key, 8, bytes);
  }
  void strings(std::string_view key, const std::vector<std::string>& values) {
    std::string bytes = array_head(8, values.size());
    for (const std::string& value : values) append_string(bytes, value);
    raw(key, 9, bytes);
  }
  void i32s(std::string_view key, const std::vector<int32_t>& values) {
    raw(key, 9, array_head(5, values.size()) + bytes_of(values));
  }
  void f32s(std::string_view key, const std::vector<float>& values) {
    raw(key, 9, array_head(6, values.size()) + bytes_of(values));
  }
  // Any type number and bytes.
  void raw(std::string_view key, uint32_t type, std::string_view bytes) {
    append_string(metadata_, key);
    append_number(metadata_, type);
    metadata_.append(bytes);
    ++keys_;
  }
  static std::string array_head(uint32_t element_type, uint64_t count) {
    std::string out;
    append_number(out, element_type);
    append_number(out, count);
    return out;
  }
  static void append_string(std::string& out, std::string_view text) {
    append_number<uint64_t>(out, text.size());
    out.append(text);
  }

  void tensor(const GgufTensor& tensor) {
    pad(data_);
    tensor_at(tensor, data_.size());
    data_ += tensor.bytes;
  }
  // The description alone, with any offset.
  void tensor_at(const GgufTensor& tensor, uint64_t offset) {
    append_string(tensors_, tensor.name);
    append_number<uint32_t>(tensors_, static_cast<uint32_t>(tensor.shape.size()));
    for (size_t i = tensor.shape.size(); i-- > 0;) append_number<int64_t>(tensors_, tensor.shape[i]);
    append_number(tensors_, tensor.type);
    append_number(tensors_, offset);
    ++tensor_count_;
  }

  std::string bytes() const {
    std::string out = "GGUF";
    append_number(out, version);
    append_number<uint64_t>(out, tensor_count_);
    append_number<uint64_t>(out, keys_);
    out += metadata_ + tensors_;
    pad(out);
    return out + data_;
  }
  void write(const std::string& path) const { write_text(path, bytes()); }

 private:
  template <class T>
  void number(std::string_view key, uint32_t type, T value) {
    std::string bytes;
    append_number(bytes, value);
    raw(key, type, bytes);
  }
  void pad(std::string& text) const { text.resize((text.size() + alignment - 1) / alignment * alignment); }

  std::string metadata_, tensors_, data_;
  uint64_t keys_ = 0, tensor_count_ = 0;
};

}  // namespace sluice::checkpoint::test_files
