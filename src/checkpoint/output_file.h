#pragma once
// A large file that is written from front to back and appears under its name whole or not at all: it grows as
// "<path>.partial", which commit() renames and the destructor removes. One thread at a time.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace sluice::checkpoint {

class OutputFile {
 public:
  // kInvalidArgument when `path` is there already, unless it may be replaced; kResourceExhausted when its disk has not
  // `bytes` free; kIo. The bytes are reserved at once where the file system can.
  static Result<OutputFile> create(const std::string& path, uint64_t bytes, bool replace);

  OutputFile(OutputFile&& other) noexcept;
  OutputFile& operator=(OutputFile&&) = delete;
  ~OutputFile();

  Result<void> write(std::span<const std::byte> bytes);
  Result<void> write(std::string_view text) { return write(std::as_bytes(std::span(text))); }
  // Zeros up to the next multiple of `alignment`.
  Result<void> pad(uint64_t alignment);
  uint64_t written() const { return written_; }
  const std::string& path() const { return path_; }

  // Makes the file durable and gives it its name.
  Result<void> commit();

 private:
  OutputFile(std::string path, int descriptor) : path_(std::move(path)), descriptor_(descriptor) {}
  std::string partial() const { return path_ + ".partial"; }

  std::string path_;
  int descriptor_ = -1;
  uint64_t written_ = 0;
};

// A small file, in the same way.
Result<void> write_whole_file(const std::string& path, std::string_view text, bool replace);

}  // namespace sluice::checkpoint
