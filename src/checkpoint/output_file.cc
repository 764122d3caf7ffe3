#include "checkpoint/output_file.h"

#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <utility>

#include "base/file.h"
#include "base/strings.h"

namespace sluice::checkpoint {
namespace {

Error failed(std::string_view what, const std::string& path) {
  return io_error(cat("cannot ", what, " ", path, ": ", std::strerror(errno)));
}

Result<void> check_free_space(const std::string& path, uint64_t bytes) {
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  struct statvfs status{};
  if (::statvfs(folder.empty() ? "." : folder.c_str(), &status) != 0) return failed("look at the disk of", path);
  const uint64_t free = uint64_t{status.f_bavail} * status.f_frsize;
  if (bytes <= free) return {};
  return Error{ErrorCode::kResourceExhausted,
               cat(path, " needs ", format_bytes(bytes), ", but its disk has only ", format_bytes(free),
                   " free; make room or write elsewhere"),
               {},
               {}};
}

}  // namespace

Result<OutputFile> OutputFile::create(const std::string& path, uint64_t bytes, bool replace) {
  if (is_directory(path)) return invalid_argument(cat(path, " is a directory; give the name of a file"));
  if (!replace && std::filesystem::exists(std::filesystem::symlink_status(path)))
    return invalid_argument(cat(path, " is there already; --force replaces it"));
  SLUICE_RETURN_IF_ERROR(check_free_space(path, bytes));
  const std::string partial = path + ".partial";
  const int descriptor = ::open(partial.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (descriptor < 0) return failed("write", partial);
  OutputFile file(path, descriptor);
  // Where a file system cannot reserve, writing finds out.
  if (bytes > 0 && ::posix_fallocate(descriptor, 0, static_cast<off_t>(bytes)) == ENOSPC) {
    errno = ENOSPC;
    return failed("reserve room for", path);
  }
  return file;
}

OutputFile::OutputFile(OutputFile&& other) noexcept
    : path_(std::move(other.path_)), descriptor_(std::exchange(other.descriptor_, -1)), written_(other.written_) {}

OutputFile::~OutputFile() {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  ::unlink(partial().c_str());
}

Result<void> OutputFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(descriptor_, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failed("write", partial());
    written_ += static_cast<uint64_t>(n);
    bytes = bytes.subspan(static_cast<size_t>(n));
  }
  return {};
}

Result<void> OutputFile::pad(uint64_t alignment) {
  static constexpr std::byte kZeros[4096] = {};
  uint64_t missing = (alignment - written_ % alignment) % alignment;
  while (missing > 0) {
    const uint64_t n = std::min<uint64_t>(missing, sizeof kZeros);
    SLUICE_RETURN_IF_ERROR(write({kZeros, static_cast<size_t>(n)}));
    missing -= n;
  }
  return {};
}

Result<void> OutputFile::commit() {
  if (::ftruncate(descriptor_, static_cast<off_t>(written_)) != 0 || ::fsync(descriptor_) != 0)
    return failed("write", partial());
  if (::rename(partial().c_str(), path_.c_str()) != 0) return failed("rename the finished file to", path_);
  ::close(std::exchange(descriptor_, -1));
  return {};
}

Result<void> write_whole_file(const std::string& path, std::string_view text, bool replace) {
  SLUICE_TRY(OutputFile file, OutputFile::create(path, text.size(), replace));
  SLUICE_RETURN_IF_ERROR(file.write(text));
  return file.commit();
}

}  // namespace sluice::checkpoint
