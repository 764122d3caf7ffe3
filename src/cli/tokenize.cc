// sluice tokenize and sluice render: the text half on its own, for scripts and for comparing with other libraries.

#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <iterator>

#include "base/file.h"
#include "base/json.h"
#include "base/strings.h"
#include "checkpoint/model_reference.h"
#include "cli/commands.h"
#include "local/model_text.h"

namespace sluice::cli {
namespace {

Result<Json> read_standard_input(const JsonLimits& limits = {}) {
  return parse_json(std::string(std::istreambuf_iterator<char>(std::cin), {}), limits);
}

Result<std::unique_ptr<text::Tokenizer>> open_tokenizer(const std::string& name) {
  SLUICE_TRY(const std::string path,
             checkpoint::find_model(name, [](const char* variable) -> const char* { return std::getenv(variable); }));
  if (is_directory(path)) return text::Tokenizer::from_directory(path);
  if (!path.ends_with(".gguf")) return text::Tokenizer::from_file(path);
  SLUICE_TRY(const checkpoint::GgufFile gguf, checkpoint::open_gguf(path));
  checkpoint::ModelFiles files;
  files.kind = checkpoint::ModelKind::kGguf;
  files.metadata = gguf.metadata;
  SLUICE_TRY(local::ModelText text, local::load_model_text(files, {}));
  return std::move(text.tokenizer);
}

}  // namespace

Result<int> run_tokenize(const CommandLine& line) {
  SLUICE_TRY(const auto tokenizer, open_tokenizer(line.arguments.front()));
  SLUICE_TRY(const Json input, read_standard_input());
  if (!input.is_array()) return invalid_argument("standard input must be a JSON array");
  Json output = Json::array();
  for (const Json& item : input) {
    if (line.settings.decode) {
      std::vector<text::TokenId> ids;
      if (!item.is_array()) return invalid_argument("with --decode every item must be an array of ids");
      for (const Json& id : item) {
        if (!id.is_number_integer() || id.get<int64_t>() < 0 || id.get<int64_t>() >= tokenizer->vocab_size()) {
          return invalid_argument(cat(dump_json(id), " is no token id; the vocabulary has ", tokenizer->vocab_size()));
        }
        ids.push_back(id.get<text::TokenId>());
      }
      output.push_back(tokenizer->decode(ids, line.settings.special));
    } else {
      if (!item.is_string()) return invalid_argument("every item must be a string; with --decode, an array of ids");
      const bool special = line.settings.special;
      output.push_back(tokenizer->encode(item.get<std::string>(), {.add_special = special, .parse_special = special}));
    }
  }
  std::printf("%s\n", dump_json(output).c_str());
  return 0;
}

Result<int> run_render(const CommandLine& line) {
  SLUICE_TRY(const std::string source, read_file(line.arguments.front(), size_t{1} << 20));
  SLUICE_TRY(const text::ChatTemplate chat_template, text::ChatTemplate::parse(source));
  // Python's integers have no limit: the nearest floating-point number would print as something else.
  SLUICE_TRY(const Json variables, read_standard_input({.exact_integers_depth = 0}));
  if (!variables.is_object()) return invalid_argument("standard input must be a JSON object");
  SLUICE_TRY(const std::string text, chat_template.render(variables));
  std::fwrite(text.data(), 1, text.size(), stdout);
  return 0;
}

}  // namespace sluice::cli
