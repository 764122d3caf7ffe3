#include "adapters/hub/pull.h"

#include <algorithm>
#include <ctime>
#include <deque>
#include <thread>

#include "adapters/http/url.h"
#include "adapters/hub/checksum.h"
#include "base/clock.h"
#include "base/random.h"
#include "base/strings.h"

namespace sluice::adapters {
namespace {

constexpr size_t kListingBytesMax = size_t{64} << 20;
constexpr size_t kIndexBytesMax = size_t{64} << 20;
constexpr int64_t kSaveEveryMs = 1000;
constexpr int64_t kShowEveryMs = 100;
constexpr uint64_t kSpaceLeft = uint64_t{64} << 20;  // not to fill a disk to its last byte
constexpr int kPollMs = 50;

int64_t now_ms() { return SteadyClock().now_us() / 1000; }

bool is_blob_name(const std::string& name) {
  return !name.empty() && name.size() <= 128 && name.front() != '.' && std::ranges::all_of(name, [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_' ||
           c == '.';
  });
}

// The downloads of one run, as many at a time as there are connections for.
class Downloads {
 public:
  Downloads(const PullPlan& plan, const DownloadPlace& place, const PullObserver& observer)
      : place_(place), observer_(observer), total_bytes_(plan.total_bytes), files_(plan.files.size()) {
    std::vector<std::string> blobs;
    for (const PlannedFile& planned : plan.files) {
      if (planned.there) {
        ++files_done_;
        done_bytes_ += planned.file.size;
      } else if (std::ranges::count(blobs, planned.file.blob()) > 0) {
        twins_.push_back(planned.file);  // equal content comes once
        ++files_done_;
        done_bytes_ += planned.file.size;
      } else {
        blobs.push_back(planned.file.blob());
        waiting_.push_back(planned.file);
      }
    }
    // Small files first: a missing permission shows at once, and the large ones are left to run in parallel.
    std::ranges::sort(waiting_, [](const HubFile& a, const HubFile& b) {
      return a.size != b.size ? a.size < b.size : a.path < b.path;
    });
  }

  bool done() const { return waiting_.empty() && running_.empty(); }

  Result<void> advance(int connections) {
    const int64_t now = now_ms();
    for (auto& download : running_) {
      download->advance(now, connections - transfers());
      if (download->state() == FileDownload::State::kFailed) return download->error();
    }
    std::erase_if(running_, [&](const auto& download) {
      if (download->state() != FileDownload::State::kDone) return false;
      ++files_done_;
      done_bytes_ += download->file().size;
      if (observer_.finished) observer_.finished(download->file());
      return true;
    });
    while (!waiting_.empty() && static_cast<int>(running_.size()) < connections) {
      const bool room = transfers() < connections;
      if (!room) break;
      running_.push_back(std::make_unique<FileDownload>(place_, waiting_.front()));
      waiting_.pop_front();
      running_.back()->advance(now, connections - transfers());
    }
    if (now - saved_ms_ >= kSaveEveryMs) {
      for (auto& download : running_) download->save();
      saved_ms_ = now;
    }
    if (observer_.progress && now - shown_ms_ >= kShowEveryMs) {
      observer_.progress(progress());
      shown_ms_ = now;
    }
    return {};
  }

  PullProgress progress() const {
    PullProgress state{
        .total_bytes = total_bytes_, .done_bytes = done_bytes_, .files = files_, .files_done = files_done_};
    for (const auto& download : running_) {
      const int64_t done = download->done_bytes();
      state.done_bytes += done;
      state.active.push_back({download->file().path, download->file().size, done, download->state()});
    }
    return state;
  }

  Result<void> link_twins() const {
    for (const HubFile& file : twins_) {
      SLUICE_RETURN_IF_ERROR(place_.store.link(place_.commit, file.path, file.blob()));
      if (observer_.finished) observer_.finished(file);
    }
    return {};
  }

 private:
  int transfers() const {
    int count = 0;
    for (const auto& download : running_) count += download->transfers();
    return count;
  }

  const DownloadPlace& place_;
  const PullObserver& observer_;
  int64_t total_bytes_;
  size_t files_;
  size_t files_done_ = 0;
  int64_t done_bytes_ = 0;
  int64_t saved_ms_ = 0, shown_ms_ = 0;
  std::deque<HubFile> waiting_;
  std::vector<HubFile> twins_;
  std::vector<std::unique_ptr<FileDownload>> running_;
};

}  // namespace

Pull::Pull(PullRequest request, PullObserver observer, std::unique_ptr<HttpClient> client)
    : request_(std::move(request)),
      observer_(std::move(observer)),
      store_(request_.cache, request_.reference.repository),
      client_(std::move(client)) {
  if (!observer_.note) observer_.note = [](const std::string&) {};
}

Result<std::unique_ptr<Pull>> Pull::create(PullRequest request, PullObserver observer) {
  SLUICE_TRY(auto client, HttpClient::create(request.user_agent, request.certificates));
  return std::unique_ptr<Pull>(new Pull(std::move(request), std::move(observer), std::move(client)));
}

bool Pull::stop_asked() {
  if (observer_.stopped && observer_.stopped()) stopped_ = true;
  return stopped_;
}

// One small request, retried as downloads are. The answer may be a refusal that retrying would not change.
Result<HttpAnswer> Pull::ask(const HttpRequest& request, size_t body_max) {
  const RetryPolicy& policy = request_.limits.retry;
  HttpRequest limited = request;
  limited.stall_timeout_ms = request_.limits.stall_timeout_ms;
  for (int failures = 1;; ++failures) {
    SLUICE_TRY(HttpAnswer answer, fetch(*client_, limited, body_max, [this] { return stop_asked(); }));
    const bool whole = answer.end.kind == HttpEnd::Kind::kWhole;
    if (whole && !is_worth_retrying(answer.head.status)) return answer;
    if (failures >= policy.failures_max || answer.end.kind == HttpEnd::Kind::kImpossible) {
      if (whole) return answer;
      return Error{ErrorCode::kUnavailable, answer.end.message, {}, {}};
    }
    const std::string* after = answer.head.find("retry-after");
    const int64_t asked_ms = whole && after != nullptr ? parse_retry_after_ms(*after, std::time(nullptr)) : -1;
    const double jitter = philox_uniform(static_cast<uint64_t>(now_ms()), static_cast<uint64_t>(failures));
    const int64_t delay = retry_delay_ms(policy, failures, jitter, asked_ms);
    observer_.note(cat(whole ? cat(display_url(request.url), ": HTTP ", answer.head.status) : answer.end.message,
                       "; again in ", (delay + 999) / 1000, " s"));
    for (const int64_t until = now_ms() + delay; now_ms() < until;) {
      if (stop_asked()) return Error{ErrorCode::kCancelled, "stopped", {}, {}};
      std::this_thread::sleep_for(std::chrono::milliseconds(kPollMs));
    }
  }
}

Result<HubListing> Pull::list(const std::string& revision) {
  const std::string& repository = request_.reference.repository;
  SLUICE_TRY(const HttpAnswer answer, ask(listing_request(request_.hub, repository, revision), kListingBytesMax));
  if (answer.head.status != 200) {
    Error error = explain_refusal(request_.hub, repository, repository, answer.head);
    error.message += advice(error);
    return error;
  }
  auto listing = parse_listing(request_.hub, answer.body);
  if (!listing.ok()) {
    return Error{
        listing.error().code,
        cat(listing.error().message, " (", request_.reference.repository, ", ", display_url(answer.head.url), ")"),
        {},
        {}};
  }
  return listing;
}

std::string Pull::advice(const Error& error) {
  if (error.reason != "name") return "";
  const HttpRequest request = similar_names_request(request_.hub, request_.reference.repository);
  if (request.url.empty()) return "";
  const auto answer = fetch(*client_, request, kListingBytesMax, [this] { return stop_asked(); });
  if (!answer.ok() || answer->end.kind != HttpEnd::Kind::kWhole || answer->head.status != 200) return "";
  const std::vector<std::string> names = parse_model_names(answer->body);
  const std::string nearest = nearest_name(request_.reference.repository, names);
  if (!nearest.empty() && nearest != request_.reference.repository) return cat("; did you mean ", nearest, "?");
  return "";
}

Result<std::string> Pull::read_file(const HubListing& listing, const HubFile& file) {
  const std::string& repository = request_.reference.repository;
  if (file.size > static_cast<int64_t>(kIndexBytesMax)) {
    return corrupt_data(cat(file.path, " is larger than the limit of ", format_bytes(kIndexBytesMax)));
  }
  SLUICE_TRY(HttpAnswer answer, ask(file_request(request_.hub, repository, listing.commit, file), kIndexBytesMax));
  if (answer.head.status == 200) return std::move(answer.body);
  return explain_refusal(request_.hub, repository, cat(repository, ": ", file.path), answer.head);
}

// Mirrors may list names alone; the head of each file then tells its size and checksum.
Result<void> Pull::identify(const HubListing& listing, HubFile& file) {
  if (file.size >= 0 && !file.blob().empty()) return {};
  const std::string& repository = request_.reference.repository;
  HttpRequest request = file_request(request_.hub, repository, listing.commit, file);
  request.head = true;
  SLUICE_TRY(const HttpAnswer answer, ask(request, 0));
  if (answer.head.status != 200) {
    return explain_refusal(request_.hub, repository, cat(repository, ": ", file.path), answer.head);
  }
  const std::string* size = answer.head.find_on_way("x-linked-size");
  if (size == nullptr) size = answer.head.find("content-length");
  if (file.size < 0 && size != nullptr && !size->empty() && size->size() <= 14 &&
      std::ranges::all_of(*size, [](char c) { return c >= '0' && c <= '9'; })) {
    file.size = std::stoll(*size);
  }
  const std::string* etag = answer.head.find_on_way("x-linked-etag");
  if (etag == nullptr) etag = answer.head.find("etag");
  std::string_view name = etag == nullptr ? std::string_view() : std::string_view(*etag);
  if (name.starts_with("W/")) name.remove_prefix(2);
  while (name.starts_with('"')) name.remove_prefix(1);
  while (name.ends_with('"')) name.remove_suffix(1);
  if (file.blob().empty() && is_hexadecimal(name, 64)) file.sha256 = to_lower_ascii(name);
  if (file.blob().empty() && is_hexadecimal(name, 40)) file.git_sha1 = to_lower_ascii(name);
  if (file.blob().empty() && is_blob_name(std::string(name))) file.file_etag = name;
  if (file.size < 0 || file.blob().empty()) {
    return corrupt_data(cat(display_url(answer.head.url), " tells neither ", file.size < 0 ? "the size" : "a name",
                            " of ", file.path, "; is it a hub?"));
  }
  return {};
}

Result<PullPlan> Pull::plan() {
  stopped_ = false;
  PullPlan plan;
  plan.repository = request_.reference.repository;
  plan.revision = request_.reference.revision.empty() ? default_revision(request_.hub) : request_.reference.revision;
  SLUICE_TRY(HubListing listing, list(plan.revision));
  const auto read = [&](const HubFile& file) { return read_file(listing, file); };
  auto chosen = select_files(listing, request_.wishes, read);
  if (!chosen.ok()) {
    const Error& error = chosen.error();
    return Error{error.code, cat(plan.repository, ": ", error.message), error.param, error.reason};
  }
  plan.commit = listing.commit;
  plan.snapshot = store_.snapshot_path(plan.commit);
  for (HubFile& file : *chosen) {
    SLUICE_RETURN_IF_ERROR(identify(listing, file));
    PlannedFile planned{.file = file};
    planned.there = store_.has_blob(file.blob(), file.size);
    if (!planned.there) planned.kept_bytes = PartFile::recorded_bytes(store_.part_path(file.blob()), file.size);
    plan.total_bytes += file.size;
    const bool twin =
        std::ranges::any_of(plan.files, [&](const PlannedFile& other) { return other.file.blob() == file.blob(); });
    plan.there_bytes += planned.there || twin ? file.size : planned.kept_bytes;
    plan.files.push_back(std::move(planned));
  }
  return plan;
}

Result<void> Pull::check_space(const PullPlan& plan) {
  if (plan.todo_bytes() == 0) return {};
  SLUICE_TRY(const uint64_t free, store_.free_bytes());
  const auto needed = static_cast<uint64_t>(plan.todo_bytes());
  if (needed + kSpaceLeft <= free) return {};
  return Error{ErrorCode::kResourceExhausted,
               cat("the download needs ", format_bytes(needed), " and ", request_.cache, " has ", format_bytes(free),
                   " free; make room, or set HF_HUB_CACHE to a folder on a larger disk"),
               {},
               {}};
}

Result<void> Pull::run(const PullPlan& plan) {
  SLUICE_RETURN_IF_ERROR(check_space(plan));
  SLUICE_RETURN_IF_ERROR(store_.make_folders());
  for (const PlannedFile& planned : plan.files) {
    const HubFile& file = planned.file;
    if (planned.there && !store_.has_link(plan.commit, file.path, file.blob())) {
      SLUICE_RETURN_IF_ERROR(store_.link(plan.commit, file.path, file.blob()));
    }
  }
  const DownloadPlace place{request_.hub, plan.repository, plan.commit,    store_,
                            *client_,     request_.limits, observer_.note, stopped_};
  SLUICE_RETURN_IF_ERROR(download(plan, place));
  // Last: whoever looks for the branch finds a whole model.
  return store_.set_ref(plan.revision, plan.commit);
}

Result<void> Pull::download(const PullPlan& plan, const DownloadPlace& place) {
  Downloads downloads(plan, place, observer_);
  const auto loop = [&]() -> Result<void> {
    while (!downloads.done()) {
      if (stop_asked()) return Error{ErrorCode::kCancelled, "stopped", {}, {}};
      SLUICE_RETURN_IF_ERROR(downloads.advance(request_.connections));
      if (client_->active() > 0) {
        SLUICE_RETURN_IF_ERROR(client_->poll(kPollMs));
      } else if (!downloads.done()) {
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
      }
    }
    return downloads.link_twins();
  };
  Result<void> outcome = loop();
  if (!outcome.ok()) stopped_ = true;  // checks that still run end early
  if (observer_.progress) observer_.progress(downloads.progress());
  return outcome;
}

}  // namespace sluice::adapters
