// sluice generate: one continuation of one text.

#include <cstdio>
#include <iostream>
#include <iterator>

#include "base/json.h"
#include "cli/answer_stream.h"
#include "cli/commands.h"

namespace sluice::cli {

Result<int> run_generate(const CommandLine& line) {
  const Settings& settings = line.settings;
  std::string text;
  if (line.arguments.size() > 1) {
    text = line.arguments[1];
  } else {
    text.assign(std::istreambuf_iterator<char>(std::cin), {});
  }
  MetricsRegistry metrics;
  SLUICE_TRY(const auto backend, load_backend(line, metrics, false));

  api::GenerateRequest request;
  request.id = api::next_request_id();
  request.model = backend->models().front().id;
  request.prompt = api::TextPrompt{text};
  request.sampling.max_tokens = static_cast<int>(settings.max_tokens);
  if (settings.temperature >= 0) request.sampling.temperature = settings.temperature;
  if (settings.top_p >= 0) request.sampling.top_p = settings.top_p;
  if (settings.seed >= 0) request.sampling.seed = static_cast<uint64_t>(settings.seed);
  SLUICE_TRY(const Answer answer, wait_for_answer(*backend, std::move(request), [&](const std::string& piece) {
               if (settings.json) return;
               std::fputs(piece.c_str(), stdout);
               std::fflush(stdout);
             }));
  if (!settings.json) {
    std::fputc('\n', stdout);
    return 0;
  }
  const Json json = {{"text", answer.text},
                     {"finish_reason", std::string(api::finish_reason_name(answer.finish))},
                     {"prompt_tokens", answer.usage.prompt_tokens},
                     {"completion_tokens", answer.usage.completion_tokens},
                     {"first_token_s", answer.first_token_s},
                     {"total_s", answer.total_s}};
  std::printf("%s\n", dump_json(json, 2).c_str());
  return 0;
}

}  // namespace sluice::cli
