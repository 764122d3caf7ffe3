#pragma once
// Writing into the model cache as huggingface_hub does, so that both may use it at the same time: blobs named by their
// content, snapshots of links to them, refs from branch to commit, and a lock file per blob (flock, as Python's
// filelock).

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"

namespace sluice::adapters {

// The lock of one blob, while the object lives.
class BlobLock {
 public:
  ~BlobLock();
  BlobLock(BlobLock&& other) noexcept;
  BlobLock& operator=(BlobLock&&) = delete;

 private:
  friend class CacheStore;
  explicit BlobLock(int file) : file_(file) {}
  int file_;
};

class CacheStore {
 public:
  CacheStore(std::string cache, std::string repository);

  std::string snapshot_path(const std::string& commit) const;
  std::string blob_path(const std::string& blob) const;
  std::string part_path(const std::string& blob) const;  // "<blob>.sluice.incomplete"

  // A blob of that size is there (-1: of any).
  bool has_blob(const std::string& blob, int64_t size) const;
  // The snapshot has this file, and it is that blob.
  bool has_link(const std::string& commit, const std::string& path, const std::string& blob) const;

  Result<void> make_folders() const;
  // Nothing when another process holds it.
  Result<std::optional<BlobLock>> try_lock(const std::string& blob) const;
  Result<void> link(const std::string& commit, const std::string& path, const std::string& blob) const;
  Result<void> set_ref(const std::string& revision, const std::string& commit) const;

  // Bytes this user may still write there.
  Result<uint64_t> free_bytes() const;

 private:
  std::string cache_, folder_, locks_;
};

}  // namespace sluice::adapters
