// sluice pull: a model from a hub into the cache.

#include <sys/ioctl.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "adapters/hub/pull.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/strings.h"
#include "checkpoint/model_reference.h"
#include "cli/commands.h"
#include "cli/hub/pull_display.h"

namespace sluice::cli {
namespace {

constexpr int kInterrupted = 130;  // what shells expect after Ctrl-C
volatile std::sig_atomic_t g_signals = 0;

void on_signal(int) {
  g_signals = g_signals + 1;
  if (g_signals > 1) ::_exit(kInterrupted);
}

const char* environment(const char* name) { return std::getenv(name); }

int terminal_columns() {
  winsize size{};
  return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 20 ? size.ws_col : 80;
}

std::string certificates() {
  for (const char* name : {"CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"}) {
    if (const char* value = environment(name); value != nullptr && *value != '\0') return value;
  }
  return "";
}

Result<checkpoint::ModelReference> reference_of(const CommandLine& line) {
  const std::string& name = line.arguments.front();
  auto reference = checkpoint::parse_model_reference(name);
  if (!reference) {
    return invalid_argument(cat("'", utf8_sanitize(name),
                                "' is no model's name; expected ORG/MODEL[@REVISION][:GGUF], e.g. Qwen/Qwen3-0.6B or "
                                "org/model-GGUF:Q4_K_M"));
  }
  const Settings& settings = line.settings;
  if (!settings.revision.empty()) {
    if (!reference->revision.empty()) return invalid_argument("the revision is given twice, after @ and by --revision");
    const auto whole = checkpoint::parse_model_reference(cat(reference->repository, "@", settings.revision));
    if (!whole || whole->revision != settings.revision)
      return invalid_argument("--revision is no revision's name", "revision");
    reference->revision = settings.revision;
  }
  if (!settings.file.empty()) {
    if (!reference->variant.empty()) return invalid_argument("the file is given twice, after : and by --file");
    if (!checkpoint::is_safe_relative_path(settings.file)) return invalid_argument("--file is no file's name", "file");
    reference->variant = settings.file;
  }
  return *reference;
}

Result<adapters::PullRequest> request_of(const CommandLine& line) {
  const Settings& settings = line.settings;
  adapters::PullRequest request;
  SLUICE_TRY(request.reference, reference_of(line));
  const auto kind = settings.source == "modelscope" ? adapters::HubKind::kModelScope : adapters::HubKind::kHuggingFace;
  SLUICE_TRY(request.hub, adapters::hub_from_environment(kind, environment));
  request.hub.offline = request.hub.offline || settings.offline;
  request.wishes = {.variant = request.reference.variant, .include = settings.include, .exclude = settings.exclude};
  request.cache = checkpoint::hub_cache_directory(environment);
  request.connections = static_cast<int>(settings.connections);
  request.limits.stall_timeout_ms = settings.stall_timeout * 1000;
  request.limits.retry.failures_max = static_cast<int>(settings.retries) + 1;
  request.user_agent = cat("sluice/", version());
  request.certificates = certificates();
  return request;
}

Json to_json(const adapters::PullPlan& plan) {
  Json files = Json::array();
  for (const adapters::PlannedFile& planned : plan.files) {
    files.push_back({{"path", planned.file.path},
                     {"size", planned.file.size},
                     {"sha256", planned.file.sha256.empty() ? Json() : Json(planned.file.sha256)},
                     {"cached", planned.there},
                     {"kept_bytes", planned.kept_bytes}});
  }
  return {{"model", plan.repository},
          {"revision", plan.revision},
          {"commit", plan.commit},
          {"path", plan.snapshot},
          {"files", files},
          {"total_bytes", plan.total_bytes},
          {"todo_bytes", plan.todo_bytes()}};
}

std::string bytes_text(int64_t bytes) { return format_bytes(static_cast<uint64_t>(bytes)); }

void print_plan(const adapters::PullPlan& plan) {
  for (const adapters::PlannedFile& planned : plan.files) {
    std::string size = bytes_text(planned.file.size);
    size.insert(0, 12 - std::min<size_t>(size.size(), 12), ' ');
    std::printf("%s  %s%s\n", size.c_str(), utf8_sanitize(planned.file.path).c_str(),
                planned.there            ? "  (in the cache)"
                : planned.kept_bytes > 0 ? cat("  (", bytes_text(planned.kept_bytes), " of it in the cache)").c_str()
                                         : "");
  }
  std::printf("%s in %zu files, %s to download to %s\n", bytes_text(plan.total_bytes).c_str(), plan.files.size(),
              bytes_text(plan.todo_bytes()).c_str(), plan.snapshot.c_str());
}

Result<int> run_offline(const CommandLine& line, const checkpoint::ModelReference& reference) {
  auto path = checkpoint::find_model(checkpoint::to_string(reference), environment);
  if (!path.ok()) return Error{path.error().code, cat("offline: ", path.error().message), {}, {}};
  if (line.settings.json) {
    std::printf("%s\n", dump_json({{"model", reference.repository}, {"path", *path}}, 2).c_str());
  } else {
    std::printf("%s\n", path->c_str());
  }
  return 0;
}

void report(const CommandLine& line, const adapters::PullPlan& plan, int64_t ms) {
  if (line.settings.json) {
    Json json = to_json(plan);
    json["downloaded_bytes"] = plan.todo_bytes();
    json["seconds"] = static_cast<double>(ms) / 1000;
    std::printf("%s\n", dump_json(json, 2).c_str());
    return;
  }
  if (plan.todo_bytes() == 0) {
    std::fprintf(stderr, "%s is up to date\n", plan.repository.c_str());
  } else {
    const int64_t per_second = plan.todo_bytes() * 1000 / std::max<int64_t>(ms, 1);
    std::fprintf(stderr, "%s: %s in %s (%s/s)\n", plan.repository.c_str(), bytes_text(plan.todo_bytes()).c_str(),
                 format_duration((ms + 999) / 1000).c_str(), bytes_text(per_second).c_str());
  }
  std::printf("%s\n", plan.snapshot.c_str());
}

// A copy from an earlier day, when the hub cannot be asked.
std::string older_copy(const adapters::PullRequest& request) {
  const auto path = checkpoint::find_model(checkpoint::to_string(request.reference), environment);
  return path.ok() ? cat("; the copy in the cache can be used meanwhile: ", *path) : "";
}

}  // namespace

Result<int> run_pull(const CommandLine& line) {
  SLUICE_TRY(const adapters::PullRequest request, request_of(line));
  if (request.hub.offline) return run_offline(line, request.reference);

  const bool terminal = ::isatty(STDERR_FILENO) != 0;
  const SteadyClock clock;
  const auto now_ms = [&] { return clock.now_us() / 1000; };
  PullDisplay display(terminal, terminal_columns());
  adapters::PullObserver observer;
  observer.progress = [&](const adapters::PullProgress& progress) { display.show(progress, now_ms()); };
  observer.note = [&](const std::string& text) { display.line(utf8_sanitize(text)); };
  observer.finished = [&](const adapters::HubFile& file) {
    display.line(cat(utf8_sanitize(file.path), "  ", bytes_text(file.size)));
  };
  observer.stopped = [] { return g_signals > 0; };

  SLUICE_TRY(const auto pull, adapters::Pull::create(request, std::move(observer)));
  std::signal(SIGINT, on_signal);
  std::signal(SIGTERM, on_signal);
  std::signal(SIGPIPE, SIG_IGN);  // a connection that the other side closed is an error like others
  const int64_t begin_ms = now_ms();
  for (int round = 0;; ++round) {
    const auto plan = pull->plan();
    if (!plan.ok()) {
      if (plan.error().code == ErrorCode::kCancelled) return kInterrupted;
      const bool unreachable = plan.error().code == ErrorCode::kUnavailable;
      return Error{plan.error().code, cat(plan.error().message, unreachable ? older_copy(request) : ""), {}, {}};
    }
    if (line.settings.dry_run) {
      if (line.settings.json) {
        std::printf("%s\n", dump_json(to_json(*plan), 2).c_str());
      } else {
        print_plan(*plan);
      }
      return 0;
    }
    if (plan->todo_bytes() > 0) {
      display.line(cat(plan->repository, "@", plan->commit.substr(0, 12), ": ", bytes_text(plan->todo_bytes()), " of ",
                       bytes_text(plan->total_bytes), " to download"));
    }
    const auto done = pull->run(*plan);
    display.clear();
    if (done.ok()) {
      report(line, *plan, now_ms() - begin_ms);
      return 0;
    }
    if (done.error().code == ErrorCode::kCancelled) {
      std::fprintf(stderr, "stopped; what has come is kept: the same command goes on from there\n");
      return kInterrupted;
    }
    // The repository changed between list and download: what is there now is asked for once more.
    if (done.error().reason != "mismatch" || round > 0) return done.error();
    std::fprintf(stderr, "%s; asking the hub again\n", done.error().message.c_str());
  }
}

}  // namespace sluice::cli
