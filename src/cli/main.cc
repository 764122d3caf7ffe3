// Entry: words → command → exit status. 0 done, 1 failed, 2 wrong usage.

#include <cstdio>
#include <cstdlib>

#include "base/log.h"
#include "base/strings.h"
#include "cli/commands.h"

namespace {

int fail(const sluice::Error& error, int status) {
  std::fprintf(stderr, "sluice: %s\n", error.message.c_str());
  return status;
}

}  // namespace

int main(int argc, char** argv) {
  using namespace sluice;
  using namespace sluice::cli;
  const std::vector<std::string> words(argv + 1, argv + argc);
  const auto line = parse_command_line(words, [](const char* name) -> const char* { return std::getenv(name); });
  if (!line.ok()) return fail(line.error(), 2);
  const auto level = log::parse_level(line->settings.log_level);
  if (!level.ok()) return fail(level.error(), 2);
  log::configure(*level, line->settings.log_format == "json" ? log::Format::kJson : log::Format::kText);

  const bool asks_help = line->help || line->command == "help";
  const std::string topic =
      line->command == "help" && !line->arguments.empty() ? line->arguments.front() : line->command;
  const Command* command = find_command(topic);
  if (line->command.empty() || (asks_help && command == nullptr && topic == "help")) {
    std::fputs(program_help().c_str(), line->help || !line->command.empty() ? stdout : stderr);
    return line->help || !line->command.empty() ? 0 : 2;
  }
  if (command == nullptr) {
    std::vector<std::string> names;
    for (const Command& known : commands()) names.emplace_back(known.name);
    const std::string nearest = nearest_name(topic, names);
    return fail(invalid_argument(cat("unknown command '", topic, "'",
                                     nearest.empty() ? "" : cat("; did you mean '", nearest, "'?"),
                                     " 'sluice --help' lists them")),
                2);
  }
  if (asks_help) {
    std::fputs(command_help(*command).c_str(), stdout);
    return 0;
  }
  const auto given = static_cast<int>(line->arguments.size());
  if (given < command->arguments_min || given > command->arguments_max) {
    return fail(invalid_argument(cat("usage: sluice ", command->name, " ", command->arguments, " [flags]; 'sluice ",
                                     command->name, " --help' says more")),
                2);
  }
  const auto status = command->run(*line);
  if (!status.ok()) return fail(status.error(), status.error().code == ErrorCode::kInvalidArgument ? 2 : 1);
  return *status;
}
