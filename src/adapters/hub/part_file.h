#pragma once
// A file that comes in pieces, in any order, and survives interruption: the bytes at their places, and behind them a
// record of what is there. "<blob>.sluice.incomplete" beside the blobs; not the name huggingface_hub uses, because its
// older versions take such a file's size for its progress.
// One thread. Whoever opens one holds the blob's lock (cache_store.h).

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace sluice::adapters {

// Bytes [first, end) of the file; [first, first + done) have come.
struct Segment {
  int64_t first = 0, end = 0, done = 0;
  bool whole() const { return first + done == end; }
};

// Cuts `size` bytes into segments of `segment_bytes`; the last may be shorter. Size 0 gives none.
std::vector<Segment> plan_segments(int64_t size, int64_t segment_bytes);

class PartFile {
 public:
  // Opens or makes it. Progress that an earlier process recorded for the same size is taken over; a record that does
  // not fit starts anew.
  static Result<PartFile> open(std::string path, int64_t size, int64_t segment_bytes);
  // Bytes an earlier process left in such a file; 0 when there is none. Takes no lock.
  static int64_t recorded_bytes(const std::string& path, int64_t size);
  ~PartFile();
  PartFile(PartFile&& other) noexcept;
  PartFile& operator=(PartFile&&) = delete;

  const std::vector<Segment>& segments() const { return segments_; }
  int64_t done_bytes() const { return done_; }
  bool whole() const { return done_ == size_; }
  const std::string& path() const { return path_; }
  // The ETag all pieces so far came under; "" before the first.
  const std::string& etag() const { return etag_; }
  void set_etag(std::string etag) { etag_ = std::move(etag); }

  // Appends to a segment; kCorruptData when more comes than fits, kIo (a full disk says so).
  Result<void> write(size_t segment, std::string_view bytes);
  Result<void> save();  // records the progress
  // Forgets everything; `segment_bytes` 0 makes one segment of the whole, for servers that give no ranges.
  Result<void> restart(int64_t segment_bytes);
  // Cuts off the record and moves the file, which must be whole, to `path`.
  Result<void> publish(const std::string& path);
  void discard();  // deletes it

 private:
  PartFile() = default;

  std::string path_;
  int file_ = -1;
  int64_t size_ = 0, done_ = 0;
  std::string etag_;
  std::vector<Segment> segments_;
};

}  // namespace sluice::adapters
