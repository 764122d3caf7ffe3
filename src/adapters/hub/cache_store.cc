#include "adapters/hub/cache_store.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <utility>

#include "base/file.h"
#include "base/strings.h"
#include "checkpoint/model_reference.h"

namespace sluice::adapters {
namespace {

namespace fs = std::filesystem;

Result<void> make_folder(const fs::path& path) {
  std::error_code failed;
  fs::create_directories(path, failed);
  if (failed) return io_error(cat("cannot create the folder ", path.string(), ": ", failed.message()));
  return {};
}

Result<void> write_text(const fs::path& path, const std::string& text) {
  // Written aside and renamed: a reader sees the old or the new, whole.
  const std::string aside = cat(path.string(), ".", ::getpid(), ".tmp");
  std::FILE* file = std::fopen(aside.c_str(), "wb");
  const bool written = file != nullptr && std::fwrite(text.data(), 1, text.size(), file) == text.size();
  if ((file != nullptr && std::fclose(file) != 0) || !written || std::rename(aside.c_str(), path.c_str()) != 0) {
    const int code = errno;
    std::remove(aside.c_str());
    return io_error(cat("cannot write ", path.string(), ": ", std::strerror(code)));
  }
  return {};
}

}  // namespace

BlobLock::~BlobLock() {
  if (file_ >= 0) ::close(file_);
}
BlobLock::BlobLock(BlobLock&& other) noexcept : file_(std::exchange(other.file_, -1)) {}

CacheStore::CacheStore(std::string cache, std::string repository)
    : cache_(std::move(cache)),
      folder_(cat(cache_, "/", checkpoint::repository_folder(repository))),
      locks_(cat(cache_, "/.locks/", checkpoint::repository_folder(repository))) {}

std::string CacheStore::snapshot_path(const std::string& commit) const { return cat(folder_, "/snapshots/", commit); }
std::string CacheStore::blob_path(const std::string& blob) const { return cat(folder_, "/blobs/", blob); }
std::string CacheStore::part_path(const std::string& blob) const { return blob_path(blob) + ".sluice.incomplete"; }

bool CacheStore::has_blob(const std::string& blob, int64_t size) const {
  struct stat status{};
  return ::stat(blob_path(blob).c_str(), &status) == 0 && S_ISREG(status.st_mode) &&
         (size < 0 || status.st_size == size);
}

bool CacheStore::has_link(const std::string& commit, const std::string& path, const std::string& blob) const {
  struct stat there{}, wanted{};
  return ::stat(cat(snapshot_path(commit), "/", path).c_str(), &there) == 0 &&
         ::stat(blob_path(blob).c_str(), &wanted) == 0 && there.st_dev == wanted.st_dev &&
         there.st_ino == wanted.st_ino;
}

Result<void> CacheStore::make_folders() const {
  SLUICE_RETURN_IF_ERROR(make_folder(folder_ + "/blobs"));
  SLUICE_RETURN_IF_ERROR(make_folder(folder_ + "/snapshots"));
  SLUICE_RETURN_IF_ERROR(make_folder(locks_));
  // Tells backup programs to leave the folder out (bford.info/cachedir).
  if (const std::string tag = cache_ + "/CACHEDIR.TAG"; !file_exists(tag)) {
    SLUICE_RETURN_IF_ERROR(write_text(tag,
                                      "Signature: 8a477f597d28d172789f06886806bc55\n"
                                      "# This folder is a cache of downloaded models.\n"));
  }
  return {};
}

Result<std::optional<BlobLock>> CacheStore::try_lock(const std::string& blob) const {
  const std::string path = cat(locks_, "/", blob, ".lock");
  for (int attempt = 0; attempt < 16; ++attempt) {
    const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0664);
    if (file < 0) return io_error(cat("cannot open the lock ", path, ": ", std::strerror(errno)));
    BlobLock lock(file);
    if (::flock(file, LOCK_EX | LOCK_NB) != 0) {
      if (errno == EWOULDBLOCK) return std::optional<BlobLock>();
      if (errno == EINTR) continue;
      // File systems without locks: huggingface_hub does without them there, too; what it costs is a double download.
      if (errno == ENOLCK || errno == ENOSYS || errno == EOPNOTSUPP) return std::optional<BlobLock>(std::move(lock));
      return io_error(cat("cannot lock ", path, ": ", std::strerror(errno)));
    }
    // Some versions of filelock delete the file when they let go of it; then this lock is nobody's.
    struct stat held{}, named{};
    if (::fstat(file, &held) == 0 && ::stat(path.c_str(), &named) == 0 && held.st_ino == named.st_ino) {
      return std::optional<BlobLock>(std::move(lock));
    }
  }
  return std::optional<BlobLock>();
}

Result<void> CacheStore::link(const std::string& commit, const std::string& path, const std::string& blob) const {
  const fs::path place = fs::path(snapshot_path(commit)) / path;
  SLUICE_RETURN_IF_ERROR(make_folder(place.parent_path()));
  std::string target;
  for (size_t i = 0; i < 2 + static_cast<size_t>(std::ranges::count(path, '/')); ++i) target += "../";
  target += cat("blobs/", blob);
  const std::string aside = cat(place.string(), ".", ::getpid(), ".tmp");
  ::unlink(aside.c_str());
  if (::symlink(target.c_str(), aside.c_str()) == 0) {
    if (::rename(aside.c_str(), place.c_str()) == 0) return {};
  } else if (errno == EPERM || errno == EOPNOTSUPP || errno == ENOSYS) {
    // A file system without symbolic links: a second name of the same file, else a copy.
    ::unlink(place.c_str());
    if (::link(blob_path(blob).c_str(), place.c_str()) == 0) return {};
    std::error_code failed;
    if (fs::copy_file(blob_path(blob), place, fs::copy_options::overwrite_existing, failed)) return {};
    errno = failed.value();
  }
  const int code = errno;
  ::unlink(aside.c_str());
  return io_error(cat("cannot make the link ", place.string(), ": ", std::strerror(code)));
}

Result<void> CacheStore::set_ref(const std::string& revision, const std::string& commit) const {
  if (revision == commit) return {};
  const fs::path path = fs::path(folder_) / "refs" / revision;
  if (const auto now = read_file(path.string(), 1024); now.ok() && *now == commit) return {};
  SLUICE_RETURN_IF_ERROR(make_folder(path.parent_path()));
  return write_text(path, commit);
}

Result<uint64_t> CacheStore::free_bytes() const {
  fs::path path = folder_;
  struct statvfs status{};
  while (::statvfs(path.c_str(), &status) != 0) {
    if (!path.has_relative_path()) return io_error(cat("cannot tell the free space of ", cache_));
    path = path.parent_path();
    if (path.empty()) path = ".";
  }
  return uint64_t{status.f_bavail} * status.f_frsize;
}

}  // namespace sluice::adapters
