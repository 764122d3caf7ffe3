#include "adapters/hub/part_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <optional>
#include <utility>

#include "base/json.h"
#include "base/strings.h"

namespace sluice::adapters {
namespace {

constexpr int64_t kRecordBytesMax = int64_t{16} << 20;
constexpr int kRecordVersion = 1;

struct Record {
  std::string etag;
  std::vector<Segment> segments;
};

Error disk_error(const char* what, const std::string& path) {
  const int code = errno;
  const bool full = code == ENOSPC || code == EDQUOT;
  return {full ? ErrorCode::kResourceExhausted : ErrorCode::kIo,
          cat("cannot ", what, " ", path, ": ", std::strerror(code),
              full ? "; make room, or point HF_HUB_CACHE to a larger disk, and pull again: what has come is kept" : ""),
          {},
          {}};
}

Result<void> write_at(int file, std::string_view bytes, int64_t offset, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t n = ::pwrite(file, bytes.data(), bytes.size(), offset);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return disk_error("write", path);
    bytes.remove_prefix(static_cast<size_t>(n));
    offset += n;
  }
  return {};
}

// The record behind the first `size` bytes, if there is one and it is about this size.
std::optional<Record> read_record(int file, int64_t size) {
  struct stat status{};
  if (::fstat(file, &status) != 0 || status.st_size <= size || status.st_size - size > kRecordBytesMax) return {};
  std::string text(static_cast<size_t>(status.st_size - size), '\0');
  if (::pread(file, text.data(), text.size(), size) != static_cast<ssize_t>(text.size())) return {};
  const auto json = parse_json(text, {.bytes_max = kRecordBytesMax, .depth_max = 4});
  if (!json.ok() || !json->is_object()) return {};
  const auto version = json_int(*json, "version", 0), recorded_size = json_int(*json, "size", -1);
  const auto etag = json_string(*json, "etag", "");
  const Json* segments = json_find(*json, "segments");
  if (!version.ok() || *version != kRecordVersion || !recorded_size.ok() || *recorded_size != size || !etag.ok() ||
      segments == nullptr || !segments->is_array()) {
    return {};
  }
  Record record{*etag, {}};
  int64_t at = 0;
  for (const Json& item : *segments) {  // [length, done]
    if (!item.is_array() || item.size() != 2 || !item[0].is_number_integer() || !item[1].is_number_integer()) return {};
    const auto length = item[0].get<int64_t>(), done = item[1].get<int64_t>();
    if (length <= 0 || length > size - at || done < 0 || done > length) return {};
    record.segments.push_back({at, at + length, done});
    at += length;
  }
  if (at != size) return {};
  return record;
}

}  // namespace

std::vector<Segment> plan_segments(int64_t size, int64_t segment_bytes) {
  std::vector<Segment> segments;
  if (segment_bytes <= 0) segment_bytes = size;
  for (int64_t first = 0; first < size; first += segment_bytes) {
    segments.push_back({first, first + std::min(segment_bytes, size - first), 0});
  }
  return segments;
}

Result<PartFile> PartFile::open(std::string path, int64_t size, int64_t segment_bytes) {
  PartFile part;
  part.path_ = std::move(path);
  part.size_ = size;
  part.file_ = ::open(part.path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
  if (part.file_ < 0) return disk_error("create", part.path_);
  if (auto record = read_record(part.file_, size)) {
    part.etag_ = std::move(record->etag);
    part.segments_ = std::move(record->segments);
    for (const Segment& segment : part.segments_) part.done_ += segment.done;
    return part;
  }
  SLUICE_RETURN_IF_ERROR(part.restart(segment_bytes));
  return part;
}

int64_t PartFile::recorded_bytes(const std::string& path, int64_t size) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (file < 0) return 0;
  int64_t done = 0;
  if (const auto record = read_record(file, size)) {
    for (const Segment& segment : record->segments) done += segment.done;
  }
  ::close(file);
  return done;
}

PartFile::PartFile(PartFile&& other) noexcept
    : path_(std::move(other.path_)),
      file_(std::exchange(other.file_, -1)),
      size_(other.size_),
      done_(other.done_),
      etag_(std::move(other.etag_)),
      segments_(std::move(other.segments_)) {}

PartFile::~PartFile() {
  if (file_ >= 0) ::close(file_);
}

Result<void> PartFile::write(size_t index, std::string_view bytes) {
  Segment& segment = segments_[index];
  if (static_cast<int64_t>(bytes.size()) > segment.end - segment.first - segment.done) {
    return corrupt_data("more bytes came than were asked for");
  }
  SLUICE_RETURN_IF_ERROR(write_at(file_, bytes, segment.first + segment.done, path_));
  segment.done += static_cast<int64_t>(bytes.size());
  done_ += static_cast<int64_t>(bytes.size());
  return {};
}

Result<void> PartFile::save() {
  Json segments = Json::array();
  for (const Segment& segment : segments_) segments.push_back({segment.end - segment.first, segment.done});
  const Json record = {{"version", kRecordVersion}, {"size", size_}, {"etag", etag_}, {"segments", segments}};
  const std::string text = dump_json(record);
  SLUICE_RETURN_IF_ERROR(write_at(file_, text, size_, path_));
  if (::ftruncate(file_, size_ + static_cast<int64_t>(text.size())) != 0) return disk_error("write", path_);
  return {};
}

Result<void> PartFile::restart(int64_t segment_bytes) {
  if (::ftruncate(file_, 0) != 0) return disk_error("empty", path_);
  etag_.clear();
  done_ = 0;
  segments_ = plan_segments(size_, segment_bytes);
  return {};
}

Result<void> PartFile::publish(const std::string& path) {
  SLUICE_CHECK(whole());
  if (::ftruncate(file_, size_) != 0 || ::fsync(file_) != 0) return disk_error("write", path_);
  if (::rename(path_.c_str(), path.c_str()) != 0) return disk_error("move the finished file to", path);
  ::close(std::exchange(file_, -1));
  return {};
}

void PartFile::discard() {
  ::unlink(path_.c_str());
  if (file_ >= 0) ::close(std::exchange(file_, -1));
}

}  // namespace sluice::adapters
