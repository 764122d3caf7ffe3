#pragma once
// Files as bytes: read whole, or mapped read-only.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace sluice {

// The whole file; kNotFound, kIo, or kTooLarge past bytes_max.
Result<std::string> read_file(const std::string& path, size_t bytes_max = size_t{1} << 30);
bool file_exists(const std::string& path);  // a regular file (links followed)
bool is_directory(const std::string& path);
// Names of the regular files of a directory (links followed), sorted. Unreadable: empty.
std::vector<std::string> list_files(const std::string& directory);

// `result`, whose error then says in which file it is.
template <class T>
Result<T> in_file(const std::string& path, Result<T> result) {
  if (result.ok()) return result;
  Error error = std::move(result).error();
  error.message = path + ": " + error.message;
  return error;
}

// A read-only mapping of a whole file. The bytes live as long as the object; they are shared with every process that
// maps the file. A file cut short while mapped raises SIGBUS on access past its end; `still_intact` detects a change.
class MappedFile {
 public:
  static Result<std::shared_ptr<const MappedFile>> open(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  std::string_view text() const { return {reinterpret_cast<const char*>(data_), size_}; }
  const std::string& path() const { return path_; }
  // False when the file at path() no longer has the size and modification time it was mapped with.
  bool still_intact() const;
  // Asks the kernel to read ahead, without waiting.
  void prefetch() const;
  // Takes the whole pages of `part`, bytes of this mapping, out of the process's memory; they are read again when
  // touched.
  void forget(std::span<const std::byte> part) const;

 private:
  MappedFile() = default;

  std::string path_;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
  int64_t modified_ns_ = 0;
};

}  // namespace sluice
