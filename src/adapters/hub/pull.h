#pragma once
// Pulling a model: what there is (plan), then bringing what is missing into the cache (run). Interrupted at any moment
// it can be run again and goes on where it was; two processes may pull the same model at once.

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "adapters/hub/cache_store.h"
#include "adapters/hub/file_download.h"
#include "adapters/hub/hub.h"
#include "adapters/hub/select_files.h"

namespace sluice::adapters {

struct PullRequest {
  checkpoint::ModelReference reference;
  Hub hub;
  FileWishes wishes;
  std::string cache;  // checkpoint::hub_cache_directory
  int connections = 8;
  DownloadLimits limits;
  std::string user_agent;
  std::string certificates;  // a file of trusted certificates; "" for the system's
};

struct PlannedFile {
  HubFile file;
  bool there = false;      // whole in the cache already
  int64_t kept_bytes = 0;  // of an interrupted download
};

struct PullPlan {
  std::string repository, revision, commit;
  std::string snapshot;  // the folder the model will be in
  std::vector<PlannedFile> files;
  int64_t total_bytes = 0;
  int64_t there_bytes = 0;  // files in the cache, and what interrupted downloads left
  int64_t todo_bytes() const { return total_bytes - there_bytes; }
};

struct FileProgress {
  std::string path;
  int64_t size = 0, done = 0;
  FileDownload::State state = FileDownload::State::kLocking;
};
struct PullProgress {
  int64_t total_bytes = 0, done_bytes = 0;
  size_t files = 0, files_done = 0;
  std::vector<FileProgress> active;
};

// Told what happens; called on the thread that runs. Any but `stopped` may be empty.
struct PullObserver {
  std::function<void(const PullProgress&)> progress;  // up to ten times a second
  std::function<void(const std::string&)> note;       // retries, waits
  std::function<void(const HubFile&)> finished;
  std::function<bool()> stopped;  // asked often; true ends the pull with kCancelled, keeping what came
};

class Pull {
 public:
  static Result<std::unique_ptr<Pull>> create(PullRequest request, PullObserver observer);

  // Asks the hub. kNotFound suggests near names; kPermissionDenied says which token or licence is missing.
  Result<PullPlan> plan();
  // Downloads what `plan` lacks, links the snapshot and sets the ref. kResourceExhausted before anything is written
  // when the disk is too small. kCorruptData with reason "mismatch" when the hub no longer has what it listed: plan
  // again.
  Result<void> run(const PullPlan& plan);

 private:
  Pull(PullRequest request, PullObserver observer, std::unique_ptr<HttpClient> client);
  Result<HttpAnswer> ask(const HttpRequest& request, size_t body_max);
  Result<HubListing> list(const std::string& revision);
  Result<std::string> read_file(const HubListing& listing, const HubFile& file);
  Result<void> identify(const HubListing& listing, HubFile& file);
  std::string advice(const Error& error);
  Result<void> check_space(const PullPlan& plan);
  Result<void> download(const PullPlan& plan, const DownloadPlace& place);
  bool stop_asked();

  PullRequest request_;
  PullObserver observer_;
  CacheStore store_;
  std::unique_ptr<HttpClient> client_;
  std::atomic<bool> stopped_{false};
};

}  // namespace sluice::adapters
