#include "base/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "base/strings.h"

namespace sluice {
namespace {

// Owns a descriptor for the length of a function.
struct Descriptor {
  int fd;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
};

Error open_error(const std::string& path) {
  const int code = errno;
  return {code == ENOENT ? ErrorCode::kNotFound : ErrorCode::kIo,
          cat("cannot open ", path, ": ", std::strerror(code)),
          {},
          {}};
}

int64_t modified_ns(const struct stat& status) {
  return status.st_mtim.tv_sec * 1'000'000'000LL + status.st_mtim.tv_nsec;
}

}  // namespace

Result<std::string> read_file(const std::string& path, size_t bytes_max) {
  const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.fd < 0) return open_error(path);
  struct stat status{};
  if (::fstat(file.fd, &status) != 0) return open_error(path);
  if (S_ISDIR(status.st_mode)) return invalid_argument(cat(path, " is a directory, not a file"));
  std::string text;
  char buffer[1 << 16];
  while (true) {
    const ssize_t n = ::read(file.fd, buffer, sizeof buffer);
    if (n == 0) return text;
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return io_error(cat("cannot read ", path, ": ", std::strerror(errno)));
    if (text.size() + static_cast<size_t>(n) > bytes_max) {
      return Error{ErrorCode::kTooLarge, cat(path, " is larger than the limit of ", format_bytes(bytes_max)), {}, {}};
    }
    text.append(buffer, static_cast<size_t>(n));
  }
}

bool file_exists(const std::string& path) {
  struct stat status{};
  return ::stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode);
}

bool is_directory(const std::string& path) {
  struct stat status{};
  return ::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

std::vector<std::string> list_files(const std::string& directory) {
  std::vector<std::string> names;
  std::error_code failed;
  for (std::filesystem::directory_iterator each(directory, failed), end; !failed && each != end;
       each.increment(failed)) {
    if (file_exists(each->path().string())) names.push_back(each->path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

Result<std::shared_ptr<const MappedFile>> MappedFile::open(const std::string& path) {
  const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.fd < 0) return open_error(path);
  struct stat status{};
  if (::fstat(file.fd, &status) != 0) return open_error(path);
  if (!S_ISREG(status.st_mode)) return invalid_argument(cat(path, " is not a regular file"));
  std::shared_ptr<MappedFile> mapped(new MappedFile());
  mapped->path_ = path;
  mapped->size_ = static_cast<size_t>(status.st_size);
  mapped->modified_ns_ = modified_ns(status);
  if (mapped->size_ > 0) {
    void* data = ::mmap(nullptr, mapped->size_, PROT_READ, MAP_SHARED, file.fd, 0);
    if (data == MAP_FAILED) return io_error(cat("cannot map ", path, ": ", std::strerror(errno)));
    mapped->data_ = static_cast<const std::byte*>(data);
  }
  return std::shared_ptr<const MappedFile>(std::move(mapped));
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

bool MappedFile::still_intact() const {
  struct stat status{};
  return ::stat(path_.c_str(), &status) == 0 && static_cast<size_t>(status.st_size) == size_ &&
         modified_ns(status) == modified_ns_;
}

void MappedFile::prefetch() const {
  if (data_ != nullptr) ::madvise(const_cast<std::byte*>(data_), size_, MADV_WILLNEED);
}

void MappedFile::forget(std::span<const std::byte> part) const {
  SLUICE_CHECK(part.data() >= data_ && part.data() + part.size() <= data_ + size_);
  const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  const auto first = static_cast<size_t>(part.data() - data_ + static_cast<std::ptrdiff_t>(page) - 1) / page * page;
  const size_t last = static_cast<size_t>(part.data() - data_ + static_cast<std::ptrdiff_t>(part.size())) / page * page;
  if (last > first) ::madvise(const_cast<std::byte*>(data_) + first, last - first, MADV_DONTNEED);
}

}  // namespace sluice
