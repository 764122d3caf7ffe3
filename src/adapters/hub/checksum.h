#pragma once
// SHA-1 and SHA-256, and how the hubs use them to name a file's content.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace sluice::adapters {

class Checksum {
 public:
  enum class Kind { kSha1, kSha256 };
  explicit Checksum(Kind kind);
  ~Checksum();
  void add(std::string_view bytes);
  std::string hexadecimal();  // ends it

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Of the first `size` bytes of a file: SHA-256, or the name git gives such a content, the SHA-1 of "blob SIZE\0" and
// the bytes. kCorruptData when the file is shorter; kCancelled.
Result<std::string> file_sha256(const std::string& path, int64_t size, const std::function<bool()>& cancelled);
Result<std::string> file_git_sha1(const std::string& path, int64_t size, const std::function<bool()>& cancelled);

}  // namespace sluice::adapters
