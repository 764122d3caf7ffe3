#include "cli/settings.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/file.h"
#include "base/json.h"
#include "base/strings.h"
#include "text/answers/tool_dialects.h"

namespace sluice::cli {
namespace {

using S = Settings;
constexpr std::string_view kLoads = " serve chat generate inspect bench ";
constexpr std::string_view kRuns = " serve chat generate bench ";
constexpr std::string_view kComputes = " serve chat generate bench convert ";
constexpr std::string_view kServe = " serve ";
constexpr std::string_view kPull = " pull ";

std::vector<std::string_view> parser_names(std::vector<std::string_view> dialects) {
  dialects.insert(dialects.begin(), {"auto", "none"});
  return dialects;
}

std::vector<Knob> make_knobs() {
  return {
      {"served-model-name", &S::served_model_name, "NAME[,NAME]",
       "names clients may use for the model (default: its directory's name)", " serve bench "},
      {"dtype",
       &S::dtype,
       "TYPE",
       "type of unquantised weights; auto keeps the file's",
       kLoads,
       0,
       0,
       {"auto", "f32", "f16", "bf16"}},
      {"quantize", &S::quantize, "TYPE", "quantise the weights while loading", kLoads, 0, 0, {"none", "int8", "int4"}},
      {"activations",
       &S::activations,
       "TYPE",
       "how weights are multiplied: int8 rounds activations that meet quantised weights to 8 bits in groups of 128, "
       "bf16 those that meet bf16 weights to bf16; auto does either where that is fast",
       kLoads,
       0,
       0,
       {"auto", "f32", "int8", "bf16"}},
      {"pack-cache", &S::pack_cache, "DIR|off",
       "keep packed weights and tunings there for the next start (default: $XDG_CACHE_HOME/sluice or ~/.cache/sluice)",
       kLoads},
      {"kv-dtype",
       &S::kv_dtype,
       "TYPE",
       "type of the key/value cache; auto follows the weights",
       kLoads,
       0,
       0,
       {"auto", "f32", "f16", "bf16", "int8"}},
      {"chat-template", &S::chat_template, "FILE", "a Jinja chat template to use instead of the model's",
       " serve chat generate "},
      {"tool-call-parser", &S::tool_call_parser, "NAME",
       "how the model writes tool calls; auto goes by its chat template (docs/tools.md)", kServe, 0, 0,
       parser_names(text::answers::tool_dialect_names())},
      {"reasoning-parser", &S::reasoning_parser, "NAME",
       "split the model's reasoning off its answers as reasoning_content; auto goes by its chat template", kServe, 0, 0,
       parser_names(text::answers::reasoning_dialect_names())},
      {"memory", &S::memory, "BYTES", "memory to stay within, e.g. 8GiB (default: what is free)", kLoads},
      {"graph-memory-ratio", &S::graph_memory_ratio, "SHARE",
       "share of the memory left by the weights that the KV cache and prefix index get", kLoads, 0.01, 1},
      {"context", &S::context, "TOKENS", "longest prompt and answer together (default: the model's, or what fits)",
       kLoads, 0, 1 << 28},
      {"max-concurrency", &S::max_concurrency, "N",
       "sequences computed at the same time (default: as measured, at least 64)", kLoads, 1, 4096},
      {"chunk-tokens", &S::chunk_tokens, "N",
       "most tokens in one step; long prompts are computed in chunks (default: as measured, else 512)", kLoads, 16,
       65536},
      {"prefill-slowdown", &S::prefill_slowdown, "TIMES",
       "a step that computes prompts beside running answers takes at most so many times one of the answers alone; 0: "
       "as long as it wants",
       kRuns, 0, 1e6},
      {"queue-max", &S::queue_max, "N", "requests that may wait; more are answered 429", kServe, 1, 1 << 20},
      {"prefix-cache", &S::prefix_cache, "", "reuse the cache of prompts that begin alike (--no-prefix-cache: do not)",
       kRuns},
      {"speculate",
       &S::speculate,
       "KIND",
       "check several guessed tokens in one step where that is measured to pay, with the same answers: ngram guesses "
       "what followed the same words before, draft asks --draft-model; auto is draft with such a model, else off",
       kLoads,
       0,
       0,
       {"auto", "off", "ngram", "draft"}},
      {"draft-model", &S::draft_model, "MODEL", "a smaller model with the same vocabulary that guesses ahead", kLoads},
      {"draft-tokens-max", &S::draft_tokens_max, "N", "most tokens guessed for one sequence in a step", kRuns, 1, 32},
      {"threads", &S::threads, "N", "compute threads (default: as measured, else the CPUs this process may use)",
       kComputes, 0, 1024},
      {"cpu-affinity", &S::cpu_affinity, "LIST", "pin compute threads to these CPUs, e.g. 0-3,8", kRuns},
      {"numa",
       &S::numa,
       "MODE",
       "auto: on a machine with several memories, threads keep to the CPUs of one and weights lie where they are read; "
       "off: as if there were one",
       kRuns,
       0,
       0,
       {"auto", "off"}},
      {"kernels", &S::kernels, "NAME",
       "pin one kernel implementation: ref, tiles, avx2, avx512, avx512vnni, avx512bf16, amx (default: the fastest "
       "here)",
       kRuns},
      {"auto-tuning",
       &S::auto_tuning,
       "MODE",
       "measure threads, kernels, chunks and batches for a model on its first start, a few seconds, and remember them "
       "(beside --pack-cache); a flag that names one wins; again: measure once more",
       kLoads,
       0,
       0,
       {"on", "off", "again"}},
      {"host", &S::host, "ADDRESS", "address to listen on", kServe},
      {"port", &S::port, "N", "port to listen on; 0 takes a free one", kServe, 0, 65535},
      {"api-key",
       &S::api_key,
       "KEY[,KEY]",
       "accept only requests that carry one of these keys",
       " serve bench ",
       0,
       0,
       {},
       true,
       true},
      {"api-key-file", &S::api_key_file, "FILE", "further keys, one a line", kServe, 0, 0, {}, false, true},
      {"tls-cert", &S::tls_cert, "FILE", "certificate chain (PEM): serve HTTPS", kServe, 0, 0, {}, false, true},
      {"tls-key", &S::tls_key, "FILE", "private key (PEM) of the certificate", kServe, 0, 0, {}, false, true},
      {"cors-origin", &S::cors_origin, "ORIGIN", "web pages of this origin may call the API (* for any)", kServe},
      {"io-threads", &S::io_threads, "N", "threads that speak HTTP", kServe, 1, 64},
      {"body-max", &S::body_max, "BYTES", "largest request body", kServe},
      {"connections-max", &S::connections_max, "N", "connections open at the same time", kServe, 1, 1 << 20},
      {"drain-timeout", &S::drain_timeout, "SECONDS", "after SIGTERM, how long running requests may take to finish",
       kServe, 0, 3600},
      {"temperature", &S::temperature, "T", "0 is greedy (default: the model's own)", " chat generate ", -1, 100},
      {"top-p", &S::top_p, "P", "sample from the most likely tokens that make up this share", " chat generate ", -1, 1},
      {"max-tokens", &S::max_tokens, "N", "longest answer", " chat generate ", 1, 1 << 28},
      {"seed", &S::seed, "N", "same seed, same answer", " chat generate ", -1, 9e15},
      {"system", &S::system, "TEXT", "system message of the conversation", " chat "},
      {"source", &S::source, "HUB", "where to pull from", kPull, 0, 0, {"huggingface", "modelscope"}},
      {"revision", &S::revision, "REV", "branch, tag or commit to pull (default: the main branch)", kPull},
      {"file", &S::file, "NAME", "which GGUF to pull: a quantisation such as Q4_K_M, or a file's name", kPull},
      {"include", &S::include, "GLOB[,GLOB]", "pull the files these patterns match, instead of those a model needs",
       kPull},
      {"exclude", &S::exclude, "GLOB[,GLOB]", "leave out the files these patterns match", kPull},
      {"connections", &S::connections, "N", "transfers at the same time", kPull, 1, 64},
      {"retries", &S::retries, "N", "how often in a row a broken transfer is tried again", kPull, 0, 100},
      {"stall-timeout", &S::stall_timeout, "SECONDS", "a transfer slower than 1 KiB/s for so long is tried again",
       kPull, 1, 3600},
      {"dry-run", &S::dry_run, "", "only list what would be pulled", kPull},
      {"offline", &S::offline, "", "use no network: only say where the model is in the cache", kPull},
      {"prompt-tokens", &S::prompt_tokens, "N[,N]",
       "bench model: prompt lengths to measure (default 128,512); serve, compare: of each prompt (default 256)",
       " bench "},
      {"batch", &S::batch, "N[,N]", "bench model: sequences to decode at the same time (default 1,4,16)", " bench "},
      {"depth", &S::depth, "N[,N]", "bench model: tokens in the cache before each decode (default 128)", " bench "},
      {"url", &S::url, "URL", "bench serve: measure this server instead of starting one", " bench "},
      {"requests", &S::requests, "N", "bench serve, compare: requests to send", " bench ", 1, 1e6},
      {"streams", &S::streams, "N", "bench serve, compare: requests under way at the same time", " bench ", 1, 4096},
      {"rate", &S::rate, "R", "bench serve: begin R requests a second at random instead, however many are under way",
       " bench ", 0, 1e5},
      {"shared-tokens", &S::shared_tokens, "N",
       "bench serve, compare: tokens every prompt begins with alike (default: none; compare: half of the prompt)",
       " bench ", 0, 1 << 20},
      {"answer-tokens", &S::answer_tokens, "N", "bench serve, compare: tokens of each answer", " bench ", 1, 1 << 20},
      {"slo-ttft-ms", &S::slo_ttft_ms, "MS", "bench serve: count as good only answers whose first token comes by then",
       " bench ", 0, 1e9},
      {"slo-tpot-ms", &S::slo_tpot_ms, "MS", "bench serve: and whose further tokens take no longer than this each",
       " bench ", 0, 1e9},
      {"chart", &S::chart, "FILE", "bench compare: also draw the result as SVG", " bench "},
      {"repeat", &S::repeat, "N", "measurements of each figure; the median is printed", " bench ", 1, 100},
      {"to",
       &S::to,
       "KIND",
       "kind of file to write; auto takes it from OUT's ending",
       " convert ",
       0,
       0,
       {"auto", "gguf", "safetensors"}},
      {"type",
       &S::type,
       "TYPE",
       "type of the matrices to write; auto keeps the file's where it can",
       " convert ",
       0,
       0,
       {"auto", "f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "q5_0", "q5_1"}},
      {"shard-size", &S::shard_size, "BYTES", "write several files, none larger than this (default: one)", " convert "},
      {"force", &S::force, "", "replace what is there already", " convert "},
      {"json", &S::json, "", "print JSON", " inspect bench generate pull "},
      {"special", &S::special, "", "add bos/eos as the model does, and recognise special tokens in the text",
       " tokenize "},
      {"decode", &S::decode, "", "read arrays of ids and write texts", " tokenize "},
      {"log-level",
       &S::log_level,
       "LEVEL",
       "least important message to log",
       "",
       0,
       0,
       {"debug", "info", "warn", "error", "off"}},
      {"log-format", &S::log_format, "FORMAT", "form of log lines on stderr", "", 0, 0, {"text", "json"}},
      {"config", &S::config, "FILE", "read settings from FILE (default: sluice.yaml, when it is there)", ""},
  };
}

template <class Number>
bool parse_whole(std::string_view text, Number* number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *number);
  return error == std::errc() && end == text.data() + text.size();
}

Error bad_value(const Knob& knob, std::string_view source, std::string_view text, const std::string& expected) {
  return invalid_argument(cat(source, " must be ", expected, knob.secret ? "" : cat(", not '", text, "'")),
                          std::string(knob.name));
}

template <class Number>
Result<void> set_number(const Knob& knob, std::string_view source, std::string_view text, Number* number) {
  Number value{};
  const auto shown = [](double bound) {
    return std::floor(bound) == bound && std::abs(bound) < 1e15 ? cat(static_cast<int64_t>(bound)) : cat(bound);
  };
  const std::string range = knob.max > knob.min ? cat(" from ", shown(knob.min), " to ", shown(knob.max)) : "";
  if (!parse_whole(text, &value) ||
      (knob.max > knob.min && !(static_cast<double>(value) >= knob.min && static_cast<double>(value) <= knob.max))) {
    return bad_value(knob, source, text, cat(std::is_integral_v<Number> ? "a whole number" : "a number", range));
  }
  *number = value;
  return {};
}

// Sets one knob from text; `source` is how a message calls it: "--port", "SLUICE_PORT", "sluice.yaml: port".
// A list replaces what a weaker source said, and grows when `append` (the flag given again).
Result<void> set_text(const Knob& knob, std::string_view source, std::string_view text, bool append,
                      Settings& settings) {
  // "$KEY" of an unset variable must not quietly serve everyone.
  if (knob.guards && trim(text).find_first_not_of(", ") == std::string_view::npos) {
    return invalid_argument(cat(source, " is empty: give it a value or leave it out"), std::string(knob.name));
  }
  if (const auto* field = std::get_if<int64_t S::*>(&knob.field))
    return set_number(knob, source, text, &(settings.**field));
  if (const auto* field = std::get_if<double S::*>(&knob.field))
    return set_number(knob, source, text, &(settings.**field));
  if (const auto* field = std::get_if<uint64_t S::*>(&knob.field)) {
    return parse_bytes(text, &(settings.**field)) ? Result<void>()
                                                  : bad_value(knob, source, text, "a size such as 512MiB or 8GiB");
  }
  if (const auto* field = std::get_if<bool S::*>(&knob.field)) {
    const bool yes = text == "true" || text == "1" || text == "yes" || text == "on";
    if (!yes && text != "false" && text != "0" && text != "no" && text != "off")
      return bad_value(knob, source, text, "true or false");
    settings.** field = yes;
    return {};
  }
  if (const auto* field = std::get_if<std::vector<std::string> S::*>(&knob.field)) {
    auto& list = settings.**field;
    if (!append) list.clear();
    for (const std::string& item : split(text, ',')) {
      if (!trim(item).empty()) list.emplace_back(trim(item));
    }
    return {};
  }
  if (std::ranges::count(knob.choices, "on") > 0) {  // a switch with more than two positions
    if (text == "true" || text == "yes" || text == "1") text = "on";
    if (text == "false" || text == "no" || text == "0") text = "off";
  }
  if (!knob.choices.empty() && std::ranges::count(knob.choices, text) == 0) {
    std::vector<std::string> choices(knob.choices.begin(), knob.choices.end());
    return bad_value(knob, source, text, cat("one of ", join(choices, ", ")));
  }
  settings.*std::get<std::string S::*>(knob.field) = text;
  return {};
}

const Knob* find_knob(std::string_view name) {
  std::string dashed(name);
  std::ranges::replace(dashed, '_', '-');
  for (const Knob& knob : knobs()) {
    if (knob.name == dashed) return &knob;
  }
  return nullptr;
}

Error unknown_name(std::string_view kind, std::string_view name) {
  std::vector<std::string> names;
  for (const Knob& knob : knobs()) names.emplace_back(knob.name);
  const std::string nearest = nearest_name(name, names);
  return invalid_argument(
      cat("unknown ", kind, " '", name, "'", nearest.empty() ? "" : cat("; did you mean '", nearest, "'?")),
      std::string(name));
}

std::string environment_name(std::string_view name) {
  std::string variable = "SLUICE_";
  for (const char c : name) variable += c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return variable;
}

Result<void> read_file_settings(const std::string& path, Settings& settings) {
  SLUICE_TRY(const std::string text, read_file(path, size_t{1} << 20));
  if (trim(text).empty()) return {};
  auto yaml = parse_yaml(text);
  if (!yaml.ok()) return Error{yaml.error().code, cat(path, ": ", yaml.error().message), {}, {}};
  if (yaml->is_null()) return {};
  if (!yaml->is_object()) return invalid_argument(cat(path, " must hold 'name: value' lines"));
  for (const auto& [key, value] : yaml->items()) {
    const Knob* knob = find_knob(key);
    if (knob == nullptr || knob->name == "config") return unknown_name(cat("key in ", path), key);
    const std::string source = cat(path, ": ", key);
    if (value.is_array() && !std::holds_alternative<std::vector<std::string> S::*>(knob->field)) {
      return invalid_argument(cat(source, " must be one value, not a list"), std::string(knob->name));
    }
    if (knob->guards && (value.is_null() || value.empty())) {
      SLUICE_RETURN_IF_ERROR(set_text(*knob, source, "", false, settings));
    } else if (value.is_array()) {
      bool first = true;
      for (const Json& item : value) {
        SLUICE_RETURN_IF_ERROR(
            set_text(*knob, source, item.is_string() ? item.get<std::string>() : dump_json(item), !first, settings));
        first = false;
      }
    } else if (!value.is_null()) {
      SLUICE_RETURN_IF_ERROR(
          set_text(*knob, source, value.is_string() ? value.get<std::string>() : dump_json(value), false, settings));
    }
  }
  return {};
}

struct Flag {
  const Knob* knob;
  std::string source, value;
};

}  // namespace

const std::vector<Knob>& knobs() {
  static const std::vector<Knob> kKnobs = make_knobs();
  return kKnobs;
}

bool applies_to(const Knob& knob, std::string_view command) {
  return knob.commands.empty() || knob.commands.find(cat(' ', command, ' ')) != std::string_view::npos;
}

Result<CommandLine> parse_command_line(const std::vector<std::string>& words, const char* (*environment)(const char*)) {
  CommandLine line;
  std::vector<Flag> flags;
  bool only_arguments = false;
  for (size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (only_arguments || !word.starts_with('-') || word == "-") {
      (line.command.empty() ? line.command : line.arguments.emplace_back()) = word;
      continue;
    }
    if (word == "--") {
      only_arguments = true;
      continue;
    }
    if (word == "-h" || word == "--help") {
      line.help = true;
      continue;
    }
    if (word == "--version") {
      line.command = "version";
      continue;
    }
    const size_t equals = word.find('=');
    std::string name = word.substr(0, equals);
    if (!name.starts_with("--")) return invalid_argument(cat("unknown flag '", word, "'; flags begin with --"), word);
    name.erase(0, 2);
    const Knob* knob = find_knob(name);
    const bool negated = knob == nullptr && name.starts_with("no-") && (knob = find_knob(name.substr(3))) != nullptr;
    if (knob == nullptr) return unknown_name("flag", name);
    const bool is_switch = std::holds_alternative<bool S::*>(knob->field);
    if (negated && (!is_switch || equals != std::string::npos)) return unknown_name("flag", name);
    if (!line.command.empty() && !applies_to(*knob, line.command)) {
      return invalid_argument(cat("--", knob->name, " means nothing to 'sluice ", line.command, "'"),
                              std::string(knob->name));
    }
    std::string value;
    if (equals != std::string::npos) {
      value = word.substr(equals + 1);
    } else if (is_switch) {
      value = negated ? "false" : "true";
    } else if (i + 1 < words.size()) {
      value = words[++i];
    } else {
      return invalid_argument(cat("--", knob->name, " needs a value: ", knob->value), std::string(knob->name));
    }
    flags.push_back({knob, cat("--", knob->name), std::move(value)});
  }

  const auto config_flag = std::ranges::find_if(flags, [](const Flag& flag) { return flag.knob->name == "config"; });
  const char* config_variable = environment("SLUICE_CONFIG");
  if (config_flag != flags.end()) {
    SLUICE_RETURN_IF_ERROR(read_file_settings(config_flag->value, line.settings));
  } else if (config_variable != nullptr) {
    SLUICE_RETURN_IF_ERROR(read_file_settings(config_variable, line.settings));
  } else if (file_exists("sluice.yaml")) {
    SLUICE_RETURN_IF_ERROR(read_file_settings("sluice.yaml", line.settings));
  }
  for (const Knob& knob : knobs()) {
    if (knob.guards && !applies_to(knob, line.command)) continue;
    const std::string variable = environment_name(knob.name);
    if (const char* value = environment(variable.c_str()); value != nullptr) {
      SLUICE_RETURN_IF_ERROR(set_text(knob, variable, value, false, line.settings));
    }
  }
  std::vector<const Knob*> seen;
  for (const Flag& flag : flags) {
    const bool again = std::ranges::count(seen, flag.knob) > 0;
    SLUICE_RETURN_IF_ERROR(set_text(*flag.knob, flag.source, flag.value, again, line.settings));
    seen.push_back(flag.knob);
  }
  return line;
}

std::string value_text(const Knob& knob, const Settings& settings) {
  const auto print = [&](auto field) -> std::string {
    const auto& value = settings.*field;
    using Value = std::remove_cvref_t<decltype(value)>;
    if constexpr (std::is_same_v<Value, std::vector<std::string>>) {
      return join(value, ",");
    } else if constexpr (std::is_same_v<Value, bool>) {
      return value ? "true" : "false";
    } else if constexpr (std::is_same_v<Value, uint64_t>) {
      return value == 0 ? "" : format_bytes(value);
    } else {
      return cat(value);
    }
  };
  const std::string text = std::visit(print, knob.field);
  return knob.secret && !text.empty() ? "***" : text;
}

}  // namespace sluice::cli
