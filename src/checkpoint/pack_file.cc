#include "checkpoint/pack_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "base/strings.h"
#include "tensor/bytes.h"

namespace sluice::checkpoint {
namespace {

constexpr uint64_t kMagic = 0x314B434150434C53;  // "SLCPACK1"
constexpr uint32_t kVersion = 1;
constexpr uint64_t kAlign = 64;
constexpr uint64_t kPackIndexBytesMax = uint64_t{64} << 20;
constexpr uint32_t kBlobNameBytesMax = 4096;
constexpr uint32_t kBlobsMax = 1 << 20;
constexpr uint32_t kKeyBytesMax = 1 << 20;
constexpr size_t kChunk = size_t{8} << 20;  // bytes of one write

struct Header {
  uint64_t magic;
  uint32_t version;
  uint32_t zero;
  uint64_t file_bytes;
  uint64_t index_bytes;
  uint64_t index_checksum;
  uint64_t unused[3];
};
static_assert(sizeof(Header) == kAlign);

constexpr uint64_t round_up(uint64_t value) { return (value + kAlign - 1) / kAlign * kAlign; }

Error damaged(const std::string& path, std::string_view what) {
  return corrupt_data(cat(path, ": this pack file ", what, "; it will be made again"));
}

// Reads numbers and texts from the index; `ok` turns false at the first that is not there.
class IndexReader {
 public:
  explicit IndexReader(std::span<const std::byte> bytes) : bytes_(bytes) {}
  template <class Number>
  Number number() {
    Number value = 0;
    if (bytes_.size() < sizeof value) return ok = false, value;
    std::memcpy(&value, bytes_.data(), sizeof value);
    bytes_ = bytes_.subspan(sizeof value);
    return value;
  }
  std::string_view text(uint32_t bytes_max) {
    const auto length = number<uint32_t>();
    if (length > bytes_max || length > bytes_.size()) return ok = false, "";
    const std::string_view text(reinterpret_cast<const char*>(bytes_.data()), length);
    bytes_ = bytes_.subspan(length);
    return text;
  }
  bool ok = true;

 private:
  std::span<const std::byte> bytes_;
};

void append_text(std::string& out, std::string_view text) {
  append_value(out, static_cast<uint32_t>(text.size()));
  out += text;
}

Error write_error(const std::string& path, std::string_view what) {
  const ErrorCode code = errno == ENOSPC || errno == EDQUOT ? ErrorCode::kResourceExhausted : ErrorCode::kIo;
  return {code, cat("cannot ", what, " ", path, ": ", std::strerror(errno)), {}, {}};
}

// A file that vanishes unless it gets its name.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& path) : path_(path) {
    static std::atomic<unsigned> count = 0;
    name_ = cat(path, ".", getpid(), ".", count++, ".partial");
    descriptor_ = ::open(name_.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
  }
  ~TemporaryFile() {
    if (descriptor_ < 0) return;
    ::close(descriptor_);
    if (!named_) ::unlink(name_.c_str());
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  Result<void> reserve(uint64_t bytes) {
    if (descriptor_ < 0) return write_error(name_, "create");
    const int refused = ::posix_fallocate(descriptor_, 0, static_cast<off_t>(bytes));
    if (refused != ENOSPC) return {};  // some file systems cannot reserve
    errno = refused;
    return write_error(name_, "reserve room for");
  }
  Result<void> write(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const ssize_t count = ::write(descriptor_, bytes.data(), std::min(bytes.size(), kChunk));
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) return write_error(name_, "write");
      bytes = bytes.subspan(static_cast<size_t>(count));
    }
    return {};
  }
  Result<void> commit() {
    if (::fsync(descriptor_) != 0) return write_error(name_, "write");
    if (::rename(name_.c_str(), path_.c_str()) != 0) return write_error(name_, "rename");
    named_ = true;
    return {};
  }

 private:
  std::string path_, name_;
  int descriptor_ = -1;
  bool named_ = false;
};

}  // namespace

uint64_t checksum64(std::span<const std::byte> bytes) {
  constexpr uint64_t kPrime = 0x9E3779B185EBCA87;
  std::array<uint64_t, 8> lanes = {1, 2, 3, 4, 5, 6, 7, 8};
  size_t at = 0;
  for (; at + 64 <= bytes.size(); at += 64) {
    std::array<uint64_t, 8> words;
    std::memcpy(words.data(), bytes.data() + at, 64);
    for (size_t i = 0; i < 8; ++i) {
      lanes[i] = (lanes[i] ^ words[i]) * kPrime;
      lanes[i] ^= lanes[i] >> 29;
    }
  }
  std::array<uint64_t, 8> rest = {};
  if (at < bytes.size()) std::memcpy(rest.data(), bytes.data() + at, bytes.size() - at);
  uint64_t sum = bytes.size();
  for (size_t i = 0; i < 8; ++i) {
    sum = (sum ^ lanes[i] ^ (rest[i] * kPrime)) * kPrime;
    sum ^= sum >> 32;
  }
  return sum;
}

Result<PackFile> PackFile::parse(WeightFile file, std::string_view key) {
  const std::span<const std::byte> bytes = file.bytes;
  Header header = {};
  if (bytes.size() < sizeof header) return damaged(file.path, "is too short");
  std::memcpy(&header, bytes.data(), sizeof header);
  if (header.magic != kMagic || header.version != kVersion) return damaged(file.path, "is of another version");
  if (header.file_bytes != bytes.size()) return damaged(file.path, "has lost its end");
  if (header.index_bytes > kPackIndexBytesMax || header.index_bytes > bytes.size() - sizeof header)
    return damaged(file.path, "has an impossible index");
  const auto index = bytes.subspan(sizeof header, header.index_bytes);
  if (checksum64(index) != header.index_checksum) return damaged(file.path, "has a damaged index");
  IndexReader reader(index);
  const std::string_view own_key = reader.text(kKeyBytesMax);
  if (reader.ok && own_key != key) return damaged(file.path, "was made from other files or for other settings");
  const auto count = reader.number<uint32_t>();
  PackFile pack;
  for (uint32_t i = 0; reader.ok && i < std::min(count, kBlobsMax); ++i) {
    Entry entry;
    entry.name = reader.text(kBlobNameBytesMax);
    const auto offset = reader.number<uint64_t>(), length = reader.number<uint64_t>();
    entry.checksum = reader.number<uint64_t>();
    if (offset % kAlign != 0 || offset > bytes.size() || length > bytes.size() - offset) reader.ok = false;
    if (reader.ok) entry.bytes = bytes.subspan(offset, length);
    pack.entries_.push_back(std::move(entry));
  }
  if (!reader.ok || count > kBlobsMax) return damaged(file.path, "has a damaged index");
  std::ranges::sort(pack.entries_, {}, &Entry::name);
  pack.file_ = std::move(file);
  return pack;
}

Result<std::shared_ptr<const PackFile>> PackFile::open(const std::string& path, std::string_view key,
                                                       ThreadPool& pool) {
  if (!file_exists(path)) return not_found(cat("there is no pack file ", path));
  SLUICE_TRY(WeightFile file, WeightFile::map(path));
  SLUICE_TRY(PackFile pack, parse(std::move(file), key));
  std::atomic<bool> intact = true;
  pool.parallel_for(static_cast<int64_t>(pack.entries_.size()), [&](int64_t i, int) {
    const Entry& entry = pack.entries_[static_cast<size_t>(i)];
    if (checksum64(entry.bytes) != entry.checksum) intact = false;
  });
  if (!intact) return damaged(path, "is damaged");
  return std::make_shared<const PackFile>(std::move(pack));
}

std::span<const std::byte> PackFile::find(std::string_view name) const {
  const auto found = std::ranges::lower_bound(entries_, name, {}, &Entry::name);
  return found != entries_.end() && found->name == name ? found->bytes : std::span<const std::byte>();
}

Result<void> write_pack_file(const std::string& path, std::string_view key, std::span<const PackBlob> blobs,
                             ThreadPool& pool, const std::function<void(size_t, size_t)>& progress) {
  std::vector<uint64_t> checksums(blobs.size());
  pool.parallel_for(static_cast<int64_t>(blobs.size()), [&](int64_t i, int) {
    checksums[static_cast<size_t>(i)] = checksum64(blobs[static_cast<size_t>(i)].bytes);
  });
  uint64_t index_bytes = 4 + key.size() + 4;
  for (const PackBlob& blob : blobs) index_bytes += 4 + blob.name.size() + 3 * 8;
  std::string index;
  append_text(index, key);
  append_value(index, static_cast<uint32_t>(blobs.size()));
  uint64_t offset = round_up(sizeof(Header) + index_bytes);
  const uint64_t first = offset;
  for (size_t i = 0; i < blobs.size(); ++i) {
    append_text(index, blobs[i].name);
    append_value(index, offset);
    append_value(index, static_cast<uint64_t>(blobs[i].bytes.size()));
    append_value(index, checksums[i]);
    offset = round_up(offset + blobs[i].bytes.size());
  }
  SLUICE_CHECK(index.size() == index_bytes && key.size() <= kKeyBytesMax && blobs.size() <= kBlobsMax);
  const auto index_span = std::as_bytes(std::span(index));
  const Header header = {kMagic, kVersion, 0, offset, index_bytes, checksum64(index_span), {}};

  std::error_code ignored;
  const std::filesystem::path directory = std::filesystem::path(path).parent_path();
  std::filesystem::create_directories(directory, ignored);
  const auto space = std::filesystem::space(directory, ignored);
  if (!ignored && space.available < offset) {
    return Error{ErrorCode::kResourceExhausted,
                 cat(path, " needs ", format_bytes(offset), " but its disk has ", format_bytes(space.available)),
                 {},
                 {}};
  }
  TemporaryFile file(path);
  SLUICE_RETURN_IF_ERROR(file.reserve(offset));
  SLUICE_RETURN_IF_ERROR(file.write(std::as_bytes(std::span(&header, 1))));
  SLUICE_RETURN_IF_ERROR(file.write(index_span));
  const std::byte zeros[kAlign] = {};
  uint64_t at = sizeof header + index_bytes;
  SLUICE_RETURN_IF_ERROR(file.write({zeros, first - at}));
  at = first;
  for (const PackBlob& blob : blobs) {
    SLUICE_RETURN_IF_ERROR(file.write(blob.bytes));
    at += blob.bytes.size();
    SLUICE_RETURN_IF_ERROR(file.write({zeros, round_up(at) - at}));
    at = round_up(at);
    if (progress) progress(at, offset);
  }
  return file.commit();
}

}  // namespace sluice::checkpoint
