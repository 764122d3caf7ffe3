#pragma once
// The commands of the program, one file each, and the list main and --help read.

#include <memory>
#include <string_view>
#include <vector>

#include "cli/settings.h"
#include "local/local_backend.h"

namespace sluice::cli {

struct Command {
  std::string_view name;
  std::string_view arguments;    // "MODEL [PROMPT]"
  std::string_view summary;      // one line
  std::string_view description;  // what --help of the command adds
  int arguments_min, arguments_max;
  Result<int> (*run)(const CommandLine& line);  // the process's exit status
};
const std::vector<Command>& commands();
const Command* find_command(std::string_view name);

Result<int> run_serve(const CommandLine& line);  // http_server/ or no_server/, chosen when building
Result<int> run_pull(const CommandLine& line);   // hub/ or no_hub/, chosen when building
Result<int> run_chat(const CommandLine& line);
Result<int> run_generate(const CommandLine& line);
Result<int> run_inspect(const CommandLine& line);
Result<int> run_bench(const CommandLine& line);
Result<int> run_convert(const CommandLine& line);
Result<int> run_tokenize(const CommandLine& line);
Result<int> run_render(const CommandLine& line);
Result<int> run_completion(const CommandLine& line);
Result<int> run_man(const CommandLine& line);
Result<int> run_version(const CommandLine& line);

// Help texts, made from commands() and knobs().
std::string program_help();
std::string command_help(const Command& command);
std::string_view version();

// Settings → what local/ understands. kInvalidArgument names the flag.
Result<local::LocalOptions> local_options(const std::string& model, const Settings& settings);
// Loads with the memory plan and a progress bar on stderr (the plan only when `verbose`). `on_tuned` when it measured.
Result<std::unique_ptr<local::LocalBackend>> load_backend(
    const CommandLine& line, MetricsRegistry& metrics, bool verbose,
    const std::function<void(const local::Tuning&)>& on_tuned = {});

}  // namespace sluice::cli
