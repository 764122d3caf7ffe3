// The list of commands, and every text made from it and from the knobs: --help, man page, shell completion.

#include <algorithm>
#include <cstdio>

#include "base/strings.h"
#include "cli/commands.h"

namespace sluice::cli {
namespace {

std::string flag_text(const Knob& knob) { return cat("--", knob.name, knob.value.empty() ? "" : " ", knob.value); }

std::string flag_note(const Knob& knob) {
  std::string note;
  if (!knob.choices.empty()) note += cat(" (", join({knob.choices.begin(), knob.choices.end()}, ", "), ")");
  const std::string value = value_text(knob, Settings{});
  const bool unset = value.empty() || value == "0" || value == "-1" || value == "false";
  if (!unset && knob.help.find("default") == std::string_view::npos) note += cat(" [", value, "]");
  return note;
}

constexpr std::string_view kModelHelp =
    "MODEL is a Hugging Face directory (config.json, *.safetensors), a .gguf file, a directory with one, or the name "
    "of\n"
    "a model in the cache: ORG/MODEL[@REVISION][:GGUF], as 'sluice pull' takes it.";

constexpr std::string_view kBenchHelp =
    "WHAT is one of\n"
    "  roofline        this machine's limits: memory reads and every arithmetic unit\n"
    "  model MODEL     the decoder alone: prefill, and decode at several depths and batches (also without the word)\n"
    "  tune MODEL      what auto-tuning measures and chooses; remembers it for the next start\n"
    "  serve MODEL     a server under load: TTFT, TPOT and ITL percentiles, tokens/s, goodput; --url for one that "
    "runs\n"
    "  startup MODEL   from process start to the first token, and the memory taken\n"
    "  compare MODEL   a plain deployment, then each optimisation added in turn";

const std::vector<Command> kCommands = {
    {"serve", "MODEL", "serve a model over HTTP with OpenAI's API", kModelHelp, 1, 1, run_serve},
    {"pull", "NAME", "download a model from a hub into the model cache, where every command finds it by its name",
     "NAME is ORG/MODEL[@REVISION][:GGUF], e.g. Qwen/Qwen3-0.6B or org/model-GGUF:Q4_K_M. Only the files a model "
     "needs\n"
     "are taken. Run again after an interruption it goes on where it was. The cache is Hugging Face's (HF_HUB_CACHE,\n"
     "HF_HOME); HF_ENDPOINT names a mirror, HF_TOKEN a token for gated models; ModelScope: MODELSCOPE_API_TOKEN.",
     1, 1, run_pull},
    {"chat", "MODEL", "talk to a model in the terminal",
     "Ctrl-C stops an answer, /help lists the commands, Ctrl-D ends.", 1, 1, run_chat},
    {"generate", "MODEL [TEXT]", "continue a text once; TEXT is read from standard input when it is not given",
     kModelHelp, 1, 2, run_generate},
    {"inspect", "MODEL", "show what a model is and the memory it would take, without loading it", kModelHelp, 1, 1,
     run_inspect},
    {"bench", "[WHAT] [MODEL]", "measure the machine, a model, a server; every figure beside its floor", kBenchHelp, 1,
     2, run_bench},
    {"convert", "MODEL OUT", "write a model as GGUF or as safetensors, in another type if asked",
     "MODEL is a Hugging Face directory or a .gguf file; models quantised by AWQ, GPTQ, compressed-tensors or FP8 "
     "tools are decoded. OUT is a file that ends in .gguf, or a directory for config.json, safetensors and "
     "tokenizer.json. "
     "Ctrl-C leaves nothing behind.",
     2, 2, run_convert},
    {"tokenize", "PATH", "read a JSON array of texts on standard input, write a JSON array of id arrays",
     "PATH is a tokenizer file, a model directory, a GGUF file or the name of a model in the cache. Plain text only, "
     "unless --special; --decode is the "
     "reverse.",
     1, 1, run_tokenize},
    {"render", "TEMPLATE", "read a JSON context on standard input, write the rendered chat template",
     "The context holds messages, tools, add_generation_prompt and whatever else the template reads.", 1, 1,
     run_render},
    {"completion", "SHELL", "print a completion script: bash, zsh or fish",
     "For bash: source <(sluice completion bash)", 1, 1, run_completion},
    {"man", "", "print the manual page", "sluice man | man -l -", 0, 0, run_man},
    {"version", "", "print the version", "", 0, 0, run_version},
};

std::string troff(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '-') {
      out += "\\-";
    } else if (c == '\\') {
      out += "\\e";
    } else {
      out += c;
    }
  }
  return out;
}

// Words a command's first argument can be, beside files.
struct FirstWords {
  std::string_view command, words;
};
constexpr FirstWords kFirstWords[] = {{"bench", "roofline model tune serve startup compare"},
                                      {"completion", "bash zsh fish"}};

std::string bash_completion() {
  std::string names, cases;
  for (const Command& command : kCommands) {
    names += cat(names.empty() ? "" : " ", command.name);
    cases += cat("    ", command.name, ") flags=\"--help");
    for (const Knob& knob : knobs()) {
      if (applies_to(knob, command.name)) cases += cat(" --", knob.name);
    }
    cases += "\"";
    for (const auto& [named, words] : kFirstWords) {
      if (named == command.name) cases += cat("; words=\"", words, "\"");
    }
    cases += " ;;\n";
  }
  cases += cat("    help) words=\"", names, "\" ;;\n");
  std::string choices;
  for (const Knob& knob : knobs()) {
    if (!knob.choices.empty()) {
      choices += cat("    --", knob.name, ") COMPREPLY=($(compgen -W \"",
                     join({knob.choices.begin(), knob.choices.end()}, " "), "\" -- \"$word\")); return ;;\n");
    }
  }
  return cat(
      "_sluice() {\n  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} flags= words=\n  case "
      "$before "
      "in\n",
      choices, "  esac\n  if [ \"$COMP_CWORD\" = 1 ]; then COMPREPLY=($(compgen -W \"", names,
      "\" -- \"$word\")); return; fi\n  case ${COMP_WORDS[1]} in\n", cases,
      "  esac\n  [ \"$COMP_CWORD\" = 2 ] || words=\n  case $word in\n"
      "    -*) COMPREPLY=($(compgen -W \"$flags\" -- \"$word\")) ;;\n"
      "    *) COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n"
      "       case ${COMP_WORDS[1]} in completion|help) ;; *) COMPREPLY+=($(compgen -f -- \"$word\")) ;; esac ;;\n"
      "  esac\n}\n",
      "complete -o filenames -F _sluice sluice\n");
}

std::string fish_completion() {
  std::string out =
      "complete -c sluice -n __fish_use_subcommand -f\n"
      "complete -c sluice -n \"__fish_seen_subcommand_from completion help man version\" -f\n";
  for (const Command& command : kCommands) {
    out += cat("complete -c sluice -n __fish_use_subcommand -f -a ", command.name, " -d \"", command.summary, "\"\n");
    for (const auto& [named, words] : kFirstWords) {
      if (named != command.name) continue;
      out += cat("complete -c sluice -n \"__fish_seen_subcommand_from ", named,
                 "; and not __fish_seen_subcommand_from ", words, "\" -a \"", words, "\"\n");
    }
    out += cat("complete -c sluice -n \"__fish_seen_subcommand_from help\" -a ", command.name, "\n");
    for (const Knob& knob : knobs()) {
      if (!applies_to(knob, command.name)) continue;
      out += cat("complete -c sluice -n \"__fish_seen_subcommand_from ", command.name, "\" -l ", knob.name);
      if (!knob.choices.empty()) {
        out += cat(" -x -a \"", join({knob.choices.begin(), knob.choices.end()}, " "), "\"");
      } else if (!knob.value.empty()) {
        out += " -r";
      }
      out += cat(" -d \"", knob.help, "\"\n");
    }
  }
  return out;
}

}  // namespace

std::string_view version() { return SLUICE_VERSION; }

const std::vector<Command>& commands() { return kCommands; }

const Command* find_command(std::string_view name) {
  const auto found = std::ranges::find_if(kCommands, [&](const Command& command) { return command.name == name; });
  return found == kCommands.end() ? nullptr : &*found;
}

std::string program_help() {
  std::string out =
      cat("Sluice ", version(), ": open language models, served.\n\nusage: sluice COMMAND [arguments] [flags]\n\n");
  for (const Command& command : kCommands) {
    std::string left = cat(command.name, command.arguments.empty() ? "" : " ", command.arguments);
    left.resize(std::max<size_t>(left.size(), 24), ' ');
    out += cat("  ", left, " ", command.summary, "\n");
  }
  return out +
         "\n'sluice COMMAND --help' lists the flags. Every flag can also be set in sluice.yaml (max-concurrency: 8)\n"
         "or in the environment (SLUICE_MAX_CONCURRENCY=8); a flag beats the environment, which beats the file.\n";
}

std::string command_help(const Command& command) {
  std::string out = cat("usage: sluice ", command.name, command.arguments.empty() ? "" : " ", command.arguments,
                        " [flags]\n\n", command.summary, "\n");
  if (!command.description.empty()) out += cat(command.description, "\n");
  out += "\nflags:\n";
  for (const Knob& knob : knobs()) {
    if (!applies_to(knob, command.name)) continue;
    std::string left = flag_text(knob);
    left.resize(std::max<size_t>(left.size(), 28), ' ');
    out += cat("  ", left, " ", knob.help, flag_note(knob), "\n");
  }
  return out;
}

Result<int> run_completion(const CommandLine& line) {
  const std::string& shell = line.arguments.front();
  if (shell == "bash") {
    std::fputs(bash_completion().c_str(), stdout);
  } else if (shell == "zsh") {
    std::fputs(("autoload -U +X bashcompinit && bashcompinit\n" + bash_completion()).c_str(), stdout);
  } else if (shell == "fish") {
    std::fputs(fish_completion().c_str(), stdout);
  } else {
    return invalid_argument(cat("completion is there for bash, zsh and fish, not '", shell, "'"));
  }
  return 0;
}

Result<int> run_man(const CommandLine&) {
  std::string out = cat(".TH SLUICE 1 2026-11-27 \"sluice ", version(),
                        "\" \"User Commands\"\n.SH NAME\nsluice \\- serve open language models\n"
                        ".SH SYNOPSIS\n.B sluice\n.I COMMAND\n[arguments] [flags]\n.SH COMMANDS\n");
  for (const Command& command : kCommands) {
    out += cat(".TP\n.B sluice ", command.name, "\n");
    if (!command.arguments.empty()) out += cat(".I ", troff(command.arguments), "\n.br\n");
    out += cat(troff(command.summary), ".\n");
    if (!command.description.empty()) out += cat(troff(command.description), "\n");
  }
  out += ".SH FLAGS\n";
  for (const Knob& knob : knobs()) {
    out +=
        cat(".TP\n.B ", troff(flag_text(knob)), "\n", troff(knob.help), troff(flag_note(knob)),
            knob.commands.empty() ? "" : cat(". For:", troff(knob.commands.substr(0, knob.commands.size() - 1))), "\n");
  }
  out +=
      ".SH ENVIRONMENT\nEvery flag can be set as SLUICE_NAME, with underscores; SLUICE_CONFIG names the configuration "
      "file.\n"
      ".SH FILES\n.TP\n.B sluice.yaml\nSettings, one name: value a line, read from the current directory.\n"
      ".SH EXIT STATUS\n0 done, 1 failed, 2 wrong usage.\n";
  std::fputs(out.c_str(), stdout);
  return 0;
}

Result<int> run_version(const CommandLine&) {
  std::printf("sluice %s\n", std::string(version()).c_str());
  return 0;
}

}  // namespace sluice::cli
