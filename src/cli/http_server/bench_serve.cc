// sluice bench serve: a server under load, and sluice bench startup: how long until there is a first token.

#include <cstdio>

#include "base/strings.h"
#include "checkpoint/model_files.h"
#include "cli/bench.h"
#include "cli/http_server/load_generator.h"
#include "cli/http_server/served_process.h"

namespace sluice::cli {

Result<int> bench_serve(const CommandLine& line) {
  const Settings& settings = line.settings;
  if (line.arguments.empty() == settings.url.empty())
    return invalid_argument("give either a MODEL to serve and measure, or the --url of a server that runs", "url");
  SLUICE_TRY(Load load, load_from_settings(settings));
  std::unique_ptr<ServedProcess> server;
  load.url = settings.url;
  while (load.url.ends_with('/')) load.url.pop_back();
  if (load.url.ends_with("/v1")) load.url.resize(load.url.size() - 3);
  if (load.url.empty()) {
    SLUICE_TRY(server, ServedProcess::start(line.arguments.front(), settings, {}, interrupted));
    load.url = server->url();
  }
  SLUICE_RETURN_IF_ERROR(warm_up(load, interrupted));
  SLUICE_TRY(const LoadOutcome outcome, run_load(load, show_progress("requests"), interrupted));

  Json report = report_head("serve");
  report.update(Json{{"url", load.url},
                     {"streams", load.rate > 0 ? Json(nullptr) : Json(load.streams)},
                     {"rate", load.rate > 0 ? Json(load.rate) : Json(nullptr)},
                     {"prompt_tokens_each", load.prompt_tokens},
                     {"shared_tokens", load.shared_tokens},
                     {"answer_tokens_each", load.max_tokens}});
  if (server != nullptr) {
    report["start_s"] = server->ready_s();
    report["resident_bytes"] = server->resident_bytes();
  }
  const Json result =
      load_report(outcome, {.ttft_s = settings.slo_ttft_ms / 1000, .tpot_s = settings.slo_tpot_ms / 1000});
  report.update(result);
  if (settings.json) {
    std::printf("%s\n", dump_json(report, 2).c_str());
  } else {
    std::printf("%s", format_load_report(result).c_str());
  }
  return result["failed"].get<int>() == 0 ? 0 : 1;
}

Result<int> bench_startup(const CommandLine& line) {
  const Settings& settings = line.settings;
  const std::string& model = line.arguments.front();
  std::vector<double> ready, first;
  uint64_t anonymous = 0, resident = 0;
  for (int64_t i = 0; i < settings.repeat; ++i) {
    SLUICE_TRY(const auto server, ServedProcess::start(model, settings));
    Load one;
    one.url = server->url();
    one.requests = one.streams = one.max_tokens = 1;
    one.prompt_tokens = 16;
    SLUICE_TRY(const LoadOutcome outcome, run_load(one, {}, {}));
    if (!outcome.answers.front().error.empty())
      return Error{ErrorCode::kUnavailable, outcome.answers.front().error, {}, {}};
    ready.push_back(server->ready_s());
    first.push_back(server->ready_s() + outcome.answers.front().ttft_s);
    anonymous = std::max(anonymous, server->anonymous_bytes());
    resident = std::max(resident, server->resident_bytes());
  }
  SLUICE_TRY(const checkpoint::ModelFiles files, checkpoint::open_model(model));
  const size_t file_bytes = files.weights.tensor_bytes();
  Json report = report_head("startup");
  report.update(Json{{"model", model},
                     {"ready_s", median(ready)},
                     {"first_token_s", median(first)},
                     {"first_start_s", first.front()},
                     {"weight_file_bytes", file_bytes},
                     {"anonymous_bytes", anonymous},
                     {"resident_bytes", resident}});
  if (settings.json) {
    std::printf("%s\n", dump_json(report, 2).c_str());
  } else {
    std::printf(
        "ready after %.3f s, first token after %.3f s (median of %zu starts; the first one %.3f s)\n"
        "resident %s, of which %s its own memory; the weights' files hold %s\n",
        median(ready), median(first), first.size(), first.front(), format_bytes(resident).c_str(),
        format_bytes(anonymous).c_str(), format_bytes(file_bytes).c_str());
  }
  return 0;
}

}  // namespace sluice::cli
