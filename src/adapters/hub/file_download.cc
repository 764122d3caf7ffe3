#include "adapters/hub/file_download.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <ctime>

#include "adapters/http/url.h"
#include "adapters/hub/checksum.h"
#include "base/random.h"
#include "base/strings.h"

namespace sluice::adapters {
namespace {

constexpr int64_t kLockAgainMs = 250;
constexpr int kChangesMax = 3;
constexpr int64_t kRealProgress = 64 << 10;  // bytes that make a broken transfer no failure in a row

// "bytes 5-9/10" → first and total (-1 for "*").
struct ContentRange {
  int64_t first = 0, total = -1;
};
std::optional<ContentRange> parse_content_range(std::string_view text) {
  if (!text.starts_with("bytes ")) return {};
  text.remove_prefix(6);
  ContentRange range;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), range.first);
  const size_t slash = text.find('/');
  if (error != std::errc() || slash == std::string_view::npos || end == text.data() + text.size() || *end != '-')
    return {};
  const std::string_view total = text.substr(slash + 1);
  if (total == "*") return range;
  const auto [total_end, total_error] = std::from_chars(total.data(), total.data() + total.size(), range.total);
  if (total_error != std::errc() || total_end != total.data() + total.size()) return {};
  return range;
}

Error changed(const std::string& path, const std::string& how) {
  return {ErrorCode::kCorruptData, cat(path, " is not what the hub listed: ", how), {}, "mismatch"};
}

}  // namespace

// The transfer of one segment; lives as long as the segment does.
class FileDownload::Piece final : public HttpReceiver {
 public:
  Piece(FileDownload& owner, size_t segment_index) : segment(segment_index), owner_(owner) {}

  bool on_head(const HttpHead& head) override { return owner_.judge_head(*this, head); }
  bool on_body(std::string_view bytes) override {
    if (owner_.restart_ || owner_.error_) return false;
    if (refused) return true;  // the text of a refusal is of no use
    if (auto written = owner_.part_->write(segment, bytes); !written.ok()) {
      owner_.fail(written.error());
      return false;
    }
    came += static_cast<int64_t>(bytes.size());
    return true;
  }
  void on_end(const HttpEnd& end) override {
    active = false;
    --owner_.active_;
    owner_.piece_ended(*this, end);
  }

  size_t segment;
  bool active = false;
  bool refused = false;       // this answer is a refusal, already judged
  bool direct = false;        // asked location_, not the hub
  int64_t came = 0;           // bytes of this transfer
  int64_t asked_first = 0;    // the offset asked for
  int failures = 0;           // in a row
  int64_t not_before_ms = 0;  // when it may be tried again

 private:
  FileDownload& owner_;
};

FileDownload::FileDownload(const DownloadPlace& place, HubFile file) : place_(place), file_(std::move(file)) {}

FileDownload::~FileDownload() {
  cancel_pieces();
  if (state_ == State::kFetching) save();
}

int64_t FileDownload::done_bytes() const {
  if (state_ == State::kDone) return file_.size;
  return part_ ? part_->done_bytes() : 0;
}

void FileDownload::cancel_pieces() {
  for (const auto& piece : pieces_) {
    if (piece->active) place_.client.cancel(*piece);
    piece->active = false;
  }
  active_ = 0;
}

void FileDownload::save() {
  if (!part_ || (state_ != State::kFetching && state_ != State::kChecking)) return;
  if (auto saved = part_->save(); !saved.ok()) fail(saved.error());
}

void FileDownload::fail(Error error) {
  if (!error_) error_ = std::move(error);
}

int FileDownload::advance(int64_t now_ms, int slots) {
  now_ms_ = now_ms;
  if (state_ == State::kDone || state_ == State::kFailed) return 0;
  int started = 0;
  if (state_ == State::kLocking && now_ms >= lock_again_ms_) lock(now_ms);
  if (state_ == State::kFetching && restart_ && !error_) restart();
  if (state_ == State::kFetching && !error_) {
    if (part_->whole()) {
      check();
    } else {
      started = start_pieces(now_ms, slots);
    }
  }
  if (state_ == State::kChecking) finish_check();
  if (error_) {
    cancel_pieces();
    if (part_ && state_ == State::kFetching) (void)part_->save();
    pieces_.clear();
    state_ = State::kFailed;
    lock_.reset();
  }
  return started;
}

void FileDownload::lock(int64_t now_ms) {
  auto got = place_.store.try_lock(file_.blob());
  if (!got.ok()) return fail(got.error());
  if (!got->has_value()) {
    lock_again_ms_ = now_ms + kLockAgainMs;
    if (!lock_noted_) place_.note(cat(file_.path, ": another program is downloading it; waiting for that"));
    lock_noted_ = true;
    return;
  }
  lock_.emplace(std::move(**got));
  if (place_.store.has_blob(file_.blob(), file_.size)) {  // the other one finished it
    if (auto linked = place_.store.link(place_.commit, file_.path, file_.blob()); !linked.ok())
      return fail(linked.error());
    state_ = State::kDone;
    lock_.reset();
    return;
  }
  auto part = PartFile::open(place_.store.part_path(file_.blob()), file_.size, place_.limits.segment_bytes);
  if (!part.ok()) return fail(part.error());
  part_.emplace(std::move(*part));
  make_pieces();
  state_ = State::kFetching;
}

void FileDownload::make_pieces() {
  pieces_.clear();
  first_open_ = 0;
  for (size_t i = 0; i < part_->segments().size(); ++i) pieces_.push_back(std::make_unique<Piece>(*this, i));
}

int FileDownload::start_pieces(int64_t now_ms, int slots) {
  int started = 0;
  const auto& segments = part_->segments();
  while (first_open_ < segments.size() && segments[first_open_].whole()) ++first_open_;
  for (size_t i = first_open_; i < pieces_.size() && started < slots; ++i) {
    // Until the first answer tells whether the server gives ranges, one transfer is enough.
    if (ranges_ != Ranges::kGiven && active_ > 0) break;
    Piece& piece = *pieces_[i];
    if (piece.active || segments[i].whole() || now_ms < piece.not_before_ms) continue;
    start(piece);
    ++started;
  }
  return started;
}

void FileDownload::start(Piece& piece) {
  const Segment& segment = part_->segments()[piece.segment];
  HttpRequest request = file_request(place_.hub, place_.repository, place_.commit, file_);
  piece.direct = !location_.empty();
  if (piece.direct) {
    if (!same_origin(request.url, location_)) request.secret_headers.clear();
    request.url = location_;
  }
  request.stall_timeout_ms = place_.limits.stall_timeout_ms;
  piece.asked_first = segment.first + segment.done;
  if (piece.asked_first > 0 || segment.end < file_.size) {
    request.headers.push_back(cat("Range: bytes=", piece.asked_first, "-", segment.end - 1));
    if (!part_->etag().empty()) request.headers.push_back(cat("If-Range: ", part_->etag()));
  }
  piece.active = true;
  ++active_;
  piece.refused = false;
  piece.came = 0;
  place_.client.start(request, piece);
}

void FileDownload::restart() {
  cancel_pieces();
  restart_ = false;
  location_.clear();
  const int64_t segment_bytes = ranges_ == Ranges::kIgnored ? 0 : place_.limits.segment_bytes;
  if (auto done = part_->restart(segment_bytes); !done.ok()) return fail(done.error());
  make_pieces();
}

bool FileDownload::judge_head(Piece& piece, const HttpHead& head) {
  if (restart_ || error_) return false;
  if (head.status == 206) return judge_partial(piece, head);
  if (head.status == 200) return judge_whole(piece, head);
  judge_refusal(piece, head);
  return !error_;
}

bool FileDownload::accept_etag(const HttpHead& head) {
  const std::string* etag = head.find("etag");
  // Weak ones do not promise equal bytes.
  if (etag == nullptr || !etag->starts_with('"') || changes_ > kChangesMax) return true;
  if (part_->etag().empty() && part_->done_bytes() == 0) part_->set_etag(*etag);
  if (part_->etag().empty() || part_->etag() == *etag) return true;
  // Servers that name the same content differently each time are bearable only where a checksum decides in the end.
  if (++changes_ > kChangesMax && file_.sha256.empty() && file_.git_sha1.empty()) {
    fail(changed(file_.path, "it changes all the time on the server"));
    return false;
  }
  place_.note(cat(file_.path, ": the file changed on the server; beginning again"));
  restart_ = true;
  return false;
}

bool FileDownload::judge_partial(Piece& piece, const HttpHead& head) {
  const std::string* header = head.find("content-range");
  const auto range = header == nullptr ? std::nullopt : parse_content_range(*header);
  if (!range || range->first != piece.asked_first) {
    fail(changed(file_.path, "the server sends another range than it was asked for"));
    return false;
  }
  if (range->total >= 0 && range->total != file_.size) {
    fail(changed(file_.path, cat("the server has ", range->total, " bytes, the list says ", file_.size)));
    return false;
  }
  if (!accept_etag(head)) return false;
  ranges_ = Ranges::kGiven;
  if (!head.hops.empty()) location_ = head.url;
  return true;
}

// The server sends the file from its beginning: because that was asked for, because it gives no ranges, or because of
// If-Range.
bool FileDownload::judge_whole(Piece& piece, const HttpHead& head) {
  const std::string* length = head.find("content-length");
  if (length != nullptr && *length != std::to_string(file_.size) && head.find("content-encoding") == nullptr) {
    fail(changed(file_.path, cat("the server has ", utf8_sanitize(*length), " bytes, the list says ", file_.size)));
    return false;
  }
  if (!accept_etag(head)) return false;
  const bool is_all = part_->segments().size() == 1 && part_->segments().front().done == 0;
  if (!is_all) {
    ranges_ = Ranges::kIgnored;
    if (transfers() > 1) {
      restart_ = true;
      return false;
    }
    const std::string etag = part_->etag();
    if (auto done = part_->restart(0); !done.ok()) {
      fail(done.error());
      return false;
    }
    part_->set_etag(etag);
    // This answer goes on as the only piece.
    for (auto& each : pieces_) {
      if (each.get() == &piece) std::swap(each, pieces_.front());
    }
    pieces_.resize(1);
    first_open_ = 0;
    piece.segment = 0;
  }
  if (!head.hops.empty()) location_ = head.url;
  return true;
}

void FileDownload::judge_refusal(Piece& piece, const HttpHead& head) {
  piece.refused = true;
  const std::string url = file_request(place_.hub, place_.repository, place_.commit, file_).url;
  const std::string what = cat(place_.repository, ": ", file_.path);
  if (head.status == 416) {
    restart_ = true;
    if (++changes_ > kChangesMax) fail(changed(file_.path, "the server has another size than the list says"));
    return;
  }
  const bool elsewhere = !same_origin(url, head.url);
  const bool worth = is_worth_retrying(head.status) || elsewhere || piece.direct;
  if (!worth || piece.failures + 1 >= place_.limits.retry.failures_max) {
    return fail(explain_refusal(place_.hub, place_.repository, what, head));
  }
  // An address a redirect gave has run out: the hub gives a new one.
  const bool ran_out = piece.direct && !is_worth_retrying(head.status);
  if (elsewhere) location_.clear();
  const std::string* after = head.find("retry-after");
  const int64_t asked_ms = after == nullptr ? -1 : parse_retry_after_ms(*after, std::time(nullptr));
  if (ran_out) {
    ++piece.failures;
    return;
  }
  retry(piece, cat("HTTP ", head.status), asked_ms);
}

void FileDownload::retry(Piece& piece, const std::string& why, int64_t asked_ms) {
  ++piece.failures;
  const double jitter = philox_uniform(reinterpret_cast<uintptr_t>(this), ++draws_);
  const int64_t delay = retry_delay_ms(place_.limits.retry, piece.failures, jitter, asked_ms);
  piece.not_before_ms = now_ms_ + delay;
  place_.note(cat(file_.path, ": ", why, "; again in ", (delay + 999) / 1000, " s"));
}

void FileDownload::piece_ended(Piece& piece, const HttpEnd& end) {
  if (restart_ || error_ || piece.refused) return;
  const Segment segment = part_->segments()[piece.segment];
  if (segment.whole()) {
    piece.failures = 0;
    return;
  }
  if (end.kind == HttpEnd::Kind::kImpossible) {
    return fail({ErrorCode::kUnavailable, cat(file_.path, ": ", end.message), {}, {}});
  }
  // What a server without ranges sent is lost; that is no progress.
  const bool keeps = ranges_ == Ranges::kGiven || part_->segments().size() == 1;
  if (ranges_ != Ranges::kIgnored && keeps && piece.came >= kRealProgress) piece.failures = 0;
  const std::string why = end.kind == HttpEnd::Kind::kWhole ? "the server ended too early" : end.message;
  if (piece.failures + 1 >= place_.limits.retry.failures_max) {
    return fail({ErrorCode::kUnavailable,
                 cat(file_.path, ": ", why, "; tried ", place_.limits.retry.failures_max,
                     " times. What has come is kept: pull again to go on"),
                 {},
                 {}});
  }
  retry(piece, why, -1);
}

void FileDownload::check() {
  state_ = State::kChecking;
  if (auto saved = part_->save(); !saved.ok()) return fail(saved.error());
  check_ =
      std::async(std::launch::async, [file = file_, path = part_->path(), &stopped = place_.stopped]() -> Result<bool> {
        const auto cancelled = [&stopped] { return stopped.load(); };
        if (!file.sha256.empty()) {
          SLUICE_TRY(const std::string sum, file_sha256(path, file.size, cancelled));
          return sum == file.sha256;
        }
        if (file.git_sha1.empty()) return true;
        SLUICE_TRY(const std::string sum, file_git_sha1(path, file.size, cancelled));
        return sum == file.git_sha1;
      });
}

void FileDownload::finish_check() {
  if (error_ || check_.wait_for(std::chrono::seconds(0)) != std::future_status::ready) return;
  const Result<bool> equal = check_.get();
  if (!equal.ok()) return fail(equal.error());
  if (!*equal) {
    if (++mismatches_ > 1) {
      part_->discard();
      return fail(changed(file_.path,
                          cat("its checksum is another (expected ", file_.blob(), "), twice; what came was deleted")));
    }
    place_.note(cat(file_.path, ": the checksum is wrong; downloading it again"));
    state_ = State::kFetching;
    return restart();
  }
  if (auto moved = part_->publish(place_.store.blob_path(file_.blob())); !moved.ok()) return fail(moved.error());
  if (auto linked = place_.store.link(place_.commit, file_.path, file_.blob()); !linked.ok())
    return fail(linked.error());
  pieces_.clear();
  part_.reset();
  lock_.reset();
  state_ = State::kDone;
}

}  // namespace sluice::adapters
