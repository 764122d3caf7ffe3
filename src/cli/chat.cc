// sluice chat: a conversation in the terminal. The model's turns stream; Ctrl-C stops an answer, not the program.

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iostream>

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/strings.h"
#include "cli/answer_stream.h"
#include "cli/commands.h"
#include "cli/line_editor.h"

namespace sluice::cli {
namespace {

std::atomic<bool> g_interrupted{false};
int g_interrupts[2] = {-1, -1};  // a pipe: a byte for every Ctrl-C, whichever thread the signal met and whenever

void on_interrupt(int) {
  const int saved = errno;
  g_interrupted = true;
  [[maybe_unused]] const ssize_t written = write(g_interrupts[1], "", 1);
  errno = saved;
}

// Waits until a terminal has input (true) or Ctrl-C was pressed (false).
bool wait_for_input() {
  while (true) {
    pollfd ends[2] = {{.fd = STDIN_FILENO, .events = POLLIN, .revents = 0},
                      {.fd = g_interrupts[0], .events = POLLIN, .revents = 0}};
    if (poll(ends, 2, -1) < 0) continue;  // interrupted: the pipe says more
    if (ends[1].revents != 0) {
      char bytes[16];
      while (read(g_interrupts[0], bytes, sizeof bytes) > 0) {
      }
      if (g_interrupted.exchange(false)) return false;
      continue;  // it stopped an answer
    }
    return true;
  }
}

constexpr std::string_view kHelp =
    "  /help               this list\n"
    "  /system TEXT        set the system message and start over (no text: none)\n"
    "  /reset              forget the conversation\n"
    "  /undo               forget the last question and answer\n"
    "  /retry              answer the last question again\n"
    "  /set NAME VALUE     temperature, top_p, max_tokens or seed\n"
    "  /save FILE          write the conversation as JSON;  /load FILE reads one\n"
    "  /history            print the conversation\n"
    "  /stats              tokens and speed of the last answer\n"
    "  /quit               end (also Ctrl-D)\n"
    "  \"\"\"                 begins and ends a message of several lines\n";

// The first word of every line of the help that has one.
std::vector<std::string> command_names() {
  std::vector<std::string> names;
  for (size_t at = kHelp.find('/'); at != std::string_view::npos; at = kHelp.find('/', at + 1)) {
    names.emplace_back(kHelp.substr(at, kHelp.find_first_of(" \n", at) - at));
  }
  return names;
}

bool is_message(const Json& message) {
  const Json* role = json_find(message, "role");
  const Json* content = json_find(message, "content");
  return role != nullptr && role->is_string() && content != nullptr && content->is_string();
}

class Conversation {
 public:
  Conversation(local::LocalBackend& backend, const Settings& settings)
      : backend_(backend), settings_(settings), colour_(isatty(STDOUT_FILENO) != 0) {
    reset();
  }

  // Runs until the input ends.
  void run() {
    const bool prompt = isatty(STDIN_FILENO) != 0;
    std::string line;
    while (true) {
      if (LineEditor::usable()) {
        const LineEditor::Outcome outcome = edit_message(line);
        if (outcome == LineEditor::Outcome::kEnd) return;
        if (outcome == LineEditor::Outcome::kInterrupted) std::puts("(Ctrl-D or /quit ends)");
        if (outcome == LineEditor::Outcome::kLine && !act_on(line)) return;
        continue;
      }
      if (prompt) std::fputs(colour_ ? "\x1b[1m> \x1b[0m" : "> ", stdout);
      std::fflush(stdout);
      // A terminal gives one line at a time, so nothing waits unread in a buffer.
      if (prompt && !wait_for_input()) {
        std::fputs("\n(Ctrl-D or /quit ends)\n", stdout);
        continue;
      }
      if (!read_message(line)) {
        if (!g_interrupted.exchange(false)) break;
        std::cin.clear();  // Ctrl-C within a message of several lines drops it
        clearerr(stdin);
        continue;
      }
      if (!act_on(line)) break;
    }
    if (prompt) std::fputc('\n', stdout);
  }

 private:
  // False: the program should end.
  bool act_on(const std::string& line) {
    if (trim(line).empty()) return true;
    if (line.starts_with('/')) return command(line);
    messages_.push_back({{"role", "user"}, {"content", line}});
    answer();
    return true;
  }

  LineEditor::Outcome edit_message(std::string& message) {
    LineEditor::Outcome outcome = editor_.read("> ", colour_, message);
    if (outcome != LineEditor::Outcome::kLine || !message.starts_with("\"\"\"")) return outcome;
    message.erase(0, 3);
    std::string line;
    while ((outcome = editor_.read("… ", false, line)) == LineEditor::Outcome::kLine && line != "\"\"\"")
      message += (message.empty() ? "" : "\n") + line;
    return outcome;
  }

  // One line, or everything between two lines that begin with """.
  static bool read_message(std::string& message) {
    if (!std::getline(std::cin, message)) return false;
    if (!message.starts_with("\"\"\"")) return true;
    message.erase(0, 3);
    std::string line;
    while (std::getline(std::cin, line) && line != "\"\"\"") message += (message.empty() ? "" : "\n") + line;
    return true;
  }

  void reset() {
    messages_ = Json::array();
    if (!settings_.system.empty()) messages_.push_back({{"role", "system"}, {"content", settings_.system}});
  }

  // False: the program should end.
  bool command(const std::string& line) {
    const size_t space = line.find(' ');
    const std::string name = line.substr(0, space);
    const std::string rest(space == std::string::npos ? "" : trim(std::string_view(line).substr(space)));
    if (name == "/quit" || name == "/exit") return false;
    if (name == "/help") {
      std::fwrite(kHelp.data(), 1, kHelp.size(), stdout);
    } else if (name == "/reset") {
      reset();
    } else if (name == "/system") {
      settings_.system = rest;
      reset();
    } else if (name == "/undo") {
      drop_last_exchange();
    } else if (name == "/retry") {
      retry();
    } else if (name == "/set") {
      set(rest);
    } else if (name == "/save") {
      save(rest);
    } else if (name == "/load") {
      load(rest);
    } else if (name == "/history") {
      for (const Json& message : messages_) {
        std::printf("%s: %s\n", message.value("role", "").c_str(), message.value("content", "").c_str());
      }
    } else if (name == "/stats") {
      print_stats();
    } else {
      std::printf("unknown command %s; /help lists them\n", name.c_str());
    }
    return true;
  }

  void drop_last_exchange() {
    while (!messages_.empty() && messages_.back()["role"] != "system") {
      const bool question = messages_.back()["role"] == "user";
      messages_.erase(messages_.size() - 1);
      if (question) return;
    }
  }

  void retry() {
    if (!messages_.empty() && messages_.back()["role"] == "assistant") messages_.erase(messages_.size() - 1);
    if (messages_.empty() || messages_.back()["role"] != "user") {
      std::puts("there is no question to answer again");
    } else {
      answer();
    }
  }

  void set(const std::string& rest) {
    const std::vector<std::string> words = split(rest, ' ');
    if (words.size() == 2) {
      // The knobs' own parser knows types and bounds.
      const auto parsed = parse_command_line({"chat", "--config", "/dev/null", "--" + words[0], words[1]},
                                             [](const char*) -> const char* { return nullptr; });
      if (!parsed.ok()) {
        std::printf("%s\n", parsed.error().message.c_str());
        return;
      }
      const Settings& given = parsed->settings;
      if (words[0] == "temperature") settings_.temperature = given.temperature;
      if (words[0] == "top_p" || words[0] == "top-p") settings_.top_p = given.top_p;
      if (words[0] == "max_tokens" || words[0] == "max-tokens") settings_.max_tokens = given.max_tokens;
      if (words[0] == "seed") settings_.seed = given.seed;
    } else {
      std::puts("usage: /set temperature|top_p|max_tokens|seed VALUE");
    }
  }

  void save(const std::string& path) const {
    if (path.empty()) {
      std::puts("usage: /save FILE");
      return;
    }
    std::ofstream file(path);
    file << dump_json(messages_, 2) << '\n';
    std::printf(file.flush() ? "saved %s\n" : "cannot write %s\n", path.c_str());
  }

  void load(const std::string& path) {
    const auto text = read_file(path, size_t{64} << 20);
    const auto json = text.ok() ? parse_json(*text) : Result<Json>(text.error());
    if (!json.ok() || !json->is_array() || !std::ranges::all_of(*json, is_message)) {
      std::printf("%s\n", json.ok() ? "the file must hold an array of messages, each with a role and a text as content"
                                    : json.error().message.c_str());
      return;
    }
    messages_ = *json;
    std::printf("%zu messages\n", messages_.size());
  }

  void answer() {
    api::GenerateRequest request;
    request.id = api::next_request_id();
    request.model = backend_.models().front().id;
    if (backend_.has_chat_template()) {
      request.prompt = api::ChatPrompt{.messages = std::make_shared<const Json>(messages_)};
    } else {
      request.prompt = api::TextPrompt{messages_.back().value("content", "")};  // a base model continues the text
    }
    request.sampling.max_tokens = static_cast<int>(settings_.max_tokens);
    if (settings_.temperature >= 0) request.sampling.temperature = settings_.temperature;
    if (settings_.top_p >= 0) request.sampling.top_p = settings_.top_p;
    if (settings_.seed >= 0) request.sampling.seed = static_cast<uint64_t>(settings_.seed);
    g_interrupted = false;
    auto answer = wait_for_answer(
        backend_, std::move(request),
        [](const std::string& piece) {
          std::fputs(piece.c_str(), stdout);
          std::fflush(stdout);
        },
        &g_interrupted);
    std::fputc('\n', stdout);
    if (!answer.ok()) {
      std::printf("error: %s\n", answer.error().message.c_str());
      messages_.erase(messages_.size() - 1);
      return;
    }
    if (answer->finish == api::FinishReason::kCancelled) std::puts("(stopped)");
    if (answer->finish == api::FinishReason::kLength) std::puts("(cut at the token limit; /set max_tokens raises it)");
    g_interrupted = false;
    last_ = *answer;
    messages_.push_back({{"role", "assistant"}, {"content", answer->text}});
  }

  void print_stats() const {
    const double decode_s = last_.total_s - last_.first_token_s;
    std::printf("%lld prompt tokens (%lld cached), %lld answer tokens, first token after %.3f s, then %.1f tokens/s\n",
                static_cast<long long>(last_.usage.prompt_tokens), static_cast<long long>(last_.usage.cached_tokens),
                static_cast<long long>(last_.usage.completion_tokens), last_.first_token_s,
                decode_s > 0 && last_.usage.completion_tokens > 1
                    ? static_cast<double>(last_.usage.completion_tokens - 1) / decode_s
                    : 0.0);
  }

  local::LocalBackend& backend_;
  Settings settings_;
  bool colour_;
  LineEditor editor_{command_names(), wait_for_input};
  Json messages_;
  Answer last_;
};

}  // namespace

Result<int> run_chat(const CommandLine& line) {
  if (log::enabled(log::Level::kInfo)) log::configure(log::Level::kWarn, log::Format::kText);  // lines of text only
  MetricsRegistry metrics;
  SLUICE_TRY(const auto backend, load_backend(line, metrics, false));
  if (pipe2(g_interrupts, O_CLOEXEC | O_NONBLOCK) != 0) return io_error(cat("no pipe: ", std::strerror(errno)));
  struct sigaction action{};
  action.sa_handler = on_interrupt;  // no SA_RESTART: a waiting read returns
  sigaction(SIGINT, &action, nullptr);
  if (isatty(STDIN_FILENO) != 0) {
    std::printf("%s. %s/help lists the commands, Ctrl-D ends.\n", backend->models().front().id.c_str(),
                backend->has_chat_template() ? "" : "It has no chat template: it continues what you write. ");
  }
  Conversation(*backend, line.settings).run();
  return 0;
}

}  // namespace sluice::cli
