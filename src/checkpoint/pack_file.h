#pragma once
// A pack file: named blobs, converted once from a model's files and mapped on every later start. A cache and nothing
// else: whatever is wrong with one, it is made again.
//
// Layout, little-endian: a header of 64 bytes (magic, version, sizes, checksum of the index), the index (the key, then
// name, place, length and checksum of every blob), then the blobs, each aligned to 64 bytes. The key is a text that
// says what the blobs were made of and how; a file of another key is stale.

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/thread_pool.h"
#include "checkpoint/weights.h"

namespace sluice::checkpoint {

struct PackBlob {
  std::string name;
  std::span<const std::byte> bytes;
};

// Immutable once opened; any thread may use it. Its blobs live as long as it.
class PackFile {
 public:
  // Maps the file. kNotFound when there is none; kCorruptData, which says why, for one that is damaged, of another
  // version, or of another key. Every blob's checksum is compared, with the whole pool.
  static Result<std::shared_ptr<const PackFile>> open(const std::string& path, std::string_view key, ThreadPool& pool);
  // Header and index alone, of bytes the caller keeps.
  static Result<PackFile> parse(WeightFile file, std::string_view key);

  // The blob's bytes at a 64-byte aligned address, or empty when there is none of that name.
  std::span<const std::byte> find(std::string_view name) const;
  size_t bytes() const { return file_.bytes.size(); }

 private:
  struct Entry {
    std::string name;
    std::span<const std::byte> bytes;
    uint64_t checksum = 0;
  };

  WeightFile file_;
  std::vector<Entry> entries_;  // by name
};

// Writes the file under a name of its own and renames it, so that a reader sees all of it or none, and of two writers
// at once the last wins with a whole file. Creates the directory. kResourceExhausted when the disk lacks the room; kIo.
// `progress(done, total)` in bytes, may be empty.
Result<void> write_pack_file(const std::string& path, std::string_view key, std::span<const PackBlob> blobs,
                             ThreadPool& pool, const std::function<void(size_t, size_t)>& progress = {});

// A fast checksum of 64 bits: eight lanes of multiplications. It finds damage, not malice.
uint64_t checksum64(std::span<const std::byte> bytes);

}  // namespace sluice::checkpoint
