#pragma once
// Every knob of the program, declared once (settings.cc): name, type, default, bounds, help. From that one list come
// the command line, the environment (SLUICE_MAX_CONCURRENCY), sluice.yaml, --help, the man page and shell completion.
// A flag beats the environment, which beats the file, which beats the default.

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/json_fwd.h"
#include "base/result.h"

namespace sluice::cli {

struct Settings {
  // The model.
  std::vector<std::string> served_model_name;
  std::string dtype = "auto";
  std::string quantize = "none";
  std::string kv_dtype = "auto";
  std::string activations = "auto";
  std::string pack_cache;
  std::string chat_template;
  std::string tool_call_parser = "auto";
  std::string reasoning_parser = "none";
  // Memory and batching.
  uint64_t memory = 0;
  double graph_memory_ratio = 0.6;
  int64_t context = 0;
  int64_t max_concurrency = 0;
  int64_t chunk_tokens = 0;
  double prefill_slowdown = 0;
  int64_t queue_max = 1024;
  bool prefix_cache = true;
  std::string speculate = "auto";
  std::string draft_model;
  int64_t draft_tokens_max = 8;
  // The machine.
  int64_t threads = 0;
  std::string cpu_affinity;
  std::string numa = "auto";
  std::string kernels;
  std::string auto_tuning = "on";
  // The server.
  std::string host = "127.0.0.1";
  int64_t port = 8000;
  std::vector<std::string> api_key;
  std::string api_key_file;
  std::string tls_cert;
  std::string tls_key;
  std::string cors_origin;
  int64_t io_threads = 1;
  uint64_t body_max = uint64_t{32} << 20;
  int64_t connections_max = 1024;
  int64_t drain_timeout = 30;
  // Sampling for generate and chat.
  double temperature = -1;
  double top_p = -1;
  int64_t max_tokens = 512;
  int64_t seed = -1;
  std::string system;
  // Pulling.
  std::string source = "huggingface";
  std::string revision;
  std::string file;
  std::vector<std::string> include;
  std::vector<std::string> exclude;
  int64_t connections = 8;
  int64_t retries = 5;
  int64_t stall_timeout = 30;
  bool dry_run = false;
  bool offline = false;
  // Measuring.
  std::vector<std::string> prompt_tokens;
  std::vector<std::string> batch;
  std::vector<std::string> depth;
  int64_t repeat = 3;
  std::string url;
  int64_t requests = 64;
  int64_t streams = 16;
  double rate = 0;
  int64_t shared_tokens = -1;
  int64_t answer_tokens = 128;
  double slo_ttft_ms = 0;
  double slo_tpot_ms = 0;
  std::string chart;
  // Converting.
  std::string to = "auto";
  std::string type = "auto";
  uint64_t shard_size = 0;
  bool force = false;
  // Output.
  bool json = false;
  bool special = false;
  bool decode = false;
  std::string log_level = "info";
  std::string log_format = "text";
  std::string config;
};

struct Knob {
  using Field = std::variant<std::string Settings::*, int64_t Settings::*, double Settings::*, bool Settings::*,
                             uint64_t Settings::*, std::vector<std::string> Settings::*>;
  std::string_view name;   // "max-concurrency"
  Field field;             // uint64_t: bytes ("8GiB"); a list: comma-separated, or the flag again
  std::string_view value;  // what to print for the value in --help: "N", "FILE"; "" for a switch
  std::string_view help;
  std::string_view commands;  // " serve chat ": where it means something; "" everywhere
  double min = 0, max = 0;    // of numbers, when max > min
  std::vector<std::string_view> choices;
  bool secret = false;  // never printed
  bool guards = false;  // keeps strangers out: an empty value is a mistake, not the same as none
};

const std::vector<Knob>& knobs();
bool applies_to(const Knob& knob, std::string_view command);

// A parsed command line: what is left after the flags, and the settings from all four sources.
struct CommandLine {
  std::string command;
  std::vector<std::string> arguments;
  bool help = false;
  Settings settings;
};

// `environment` gives a variable's value or null (std::getenv). Reads --config FILE, or ./sluice.yaml when it is there.
// kInvalidArgument names the flag, variable or key at fault, and the nearest known one.
Result<CommandLine> parse_command_line(const std::vector<std::string>& words, const char* (*environment)(const char*));

// One value of a YAML file (yaml_cpp/ or no_yaml/, chosen when building).
Result<Json> parse_yaml(std::string_view text);

// The value as it would be written on a command line; secrets as "***".
std::string value_text(const Knob& knob, const Settings& settings);

}  // namespace sluice::cli
