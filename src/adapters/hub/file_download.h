#pragma once
// One file of a model on its way into the cache: its lock, the pieces that come in parallel, their retries, the check
// of the whole, and the link in the snapshot. A state machine that whoever drives the HttpClient advances; one thread,
// apart from the check, which runs on a thread of its own.

#include <atomic>
#include <cstdint>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "adapters/http/http_client.h"
#include "adapters/hub/cache_store.h"
#include "adapters/hub/hub.h"
#include "adapters/hub/part_file.h"
#include "adapters/hub/retry.h"

namespace sluice::adapters {

struct DownloadLimits {
  int64_t segment_bytes = int64_t{32} << 20;
  int64_t stall_timeout_ms = 30'000;
  RetryPolicy retry;
};

// What all downloads of one pull share. Outlives them.
struct DownloadPlace {
  const Hub& hub;
  std::string repository, commit;
  const CacheStore& store;
  HttpClient& client;
  DownloadLimits limits;
  std::function<void(const std::string&)> note;  // something a person may want to know: a retry, a wait
  const std::atomic<bool>& stopped;              // makes checks end early
};

class FileDownload {
 public:
  enum class State { kLocking, kFetching, kChecking, kDone, kFailed };

  FileDownload(const DownloadPlace& place, HubFile file);
  ~FileDownload();  // ends its transfers; what has come stays recorded

  // Does what can be done at `now_ms` (monotonic) and starts up to `slots` transfers; returns how many it started.
  int advance(int64_t now_ms, int slots);

  State state() const { return state_; }
  const Error& error() const { return *error_; }  // when kFailed; reason "mismatch" when the content is not the listed
  const HubFile& file() const { return file_; }
  int64_t done_bytes() const;
  int transfers() const { return active_; }  // running now
  void save();                               // records the progress

 private:
  class Piece;
  enum class Ranges { kUnknown, kGiven, kIgnored };

  void lock(int64_t now_ms);
  int start_pieces(int64_t now_ms, int slots);
  void make_pieces();
  void cancel_pieces();
  void start(Piece& piece);
  void restart();
  void check();
  void finish_check();
  void fail(Error error);

  bool judge_head(Piece& piece, const HttpHead& head);
  bool judge_partial(Piece& piece, const HttpHead& head);
  bool judge_whole(Piece& piece, const HttpHead& head);
  bool accept_etag(const HttpHead& head);
  void judge_refusal(Piece& piece, const HttpHead& head);
  void retry(Piece& piece, const std::string& why, int64_t asked_ms);
  void piece_ended(Piece& piece, const HttpEnd& end);

  const DownloadPlace& place_;
  HubFile file_;
  State state_ = State::kLocking;
  std::optional<Error> error_;
  std::optional<BlobLock> lock_;
  int64_t lock_again_ms_ = 0;
  bool lock_noted_ = false;
  std::optional<PartFile> part_;
  std::vector<std::unique_ptr<Piece>> pieces_;  // one per segment
  size_t first_open_ = 0;                       // pieces before it are whole
  int active_ = 0;                              // pieces with a transfer
  Ranges ranges_ = Ranges::kUnknown;
  std::string location_;  // where redirects led; "" to ask the hub
  bool restart_ = false;  // the content changed or the server's habits did: begin again at the next advance()
  int changes_ = 0;       // how often the ETag changed
  int mismatches_ = 0;    // how often the checksum was another
  int64_t now_ms_ = 0;    // of the last advance()
  uint64_t draws_ = 0;    // of jitter
  std::future<Result<bool>> check_;
};

}  // namespace sluice::adapters
