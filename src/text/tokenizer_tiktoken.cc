// tiktoken files: lines of "base64 rank". A token's rank is its id and its merge order.

#include <algorithm>
#include <charconv>

#include "base/strings.h"
#include "text/bpe.h"
#include "text/tokenizer_gguf_patterns.h"
#include "text/tokenizer_json_parts.h"
#include "text/tokenizer_loaders.h"
#include "text/tokenizer_pieces.h"

namespace sluice::text {
namespace {

struct Family {
  std::string pre;                    // whose patterns (tokenizer_gguf_patterns.h)
  std::vector<std::string> specials;  // ids from the end of the ranks on
  std::string bos, eos;
};

std::vector<std::string> llama3_specials() {
  std::vector<std::string> names = {"<|begin_of_text|>",
                                    "<|end_of_text|>",
                                    "<|reserved_special_token_0|>",
                                    "<|reserved_special_token_1|>",
                                    "<|reserved_special_token_2|>",
                                    "<|reserved_special_token_3|>",
                                    "<|start_header_id|>",
                                    "<|end_header_id|>",
                                    "<|reserved_special_token_4|>",
                                    "<|eot_id|>"};
  for (int i = 5; names.size() < 256; ++i) names.push_back(cat("<|reserved_special_token_", i, "|>"));
  return names;
}

std::vector<std::string> qwen_specials() {
  std::vector<std::string> names = {"<|endoftext|>", "<|im_start|>", "<|im_end|>"};
  for (int i = 0; i < 205; ++i) names.push_back(cat("<|extra_", i, "|>"));
  return names;
}

std::vector<std::string> glm4_specials() {
  return {"<|endoftext|>",
          "[MASK]",
          "[gMASK]",
          "[sMASK]",
          "<sop>",
          "<eop>",
          "<|system|>",
          "<|user|>",
          "<|assistant|>",
          "<|observation|>",
          "<|begin_of_image|>",
          "<|end_of_image|>",
          "<|begin_of_video|>",
          "<|end_of_video|>"};
}

// The file does not say how to cut the text; the class in the config does, else the number of tokens tells.
Result<Family> family_of(const TokenizerConfig& config, size_t tokens) {
  const std::string& name = config.tokenizer_class;
  if (name.starts_with("QWen") || (name.empty() && tokens == 151'643))
    return Family{"grok-2", qwen_specials(), "", "<|endoftext|>"};
  if (name.starts_with("ChatGLM") || (name.empty() && tokens == 151'329))
    return Family{"glm4", glm4_specials(), "", "<|endoftext|>"};
  if (name == "TikTokenTokenizer" || (name.empty() && tokens == 163'584)) return Family{"kimi-k2", {}, "", ""};
  if (tokens == 199'998) return Family{"gpt-4o", {}, "", ""};
  if (tokens == 128'000) return Family{"llama-bpe", llama3_specials(), "<|begin_of_text|>", "<|end_of_text|>"};
  if (name.empty() || name.starts_with("PreTrainedTokenizer") || name.starts_with("Llama") || name.starts_with("GPT")) {
    return Family{"glm4", {}, "", ""};
  }
  return unimplemented(
      cat("a tiktoken file for the tokenizer class \"", name, "\": its way of cutting text is not known"));
}

struct Ranks {
  Vocabulary raw;                                                        // the tokens' bytes
  std::shared_ptr<Vocabulary> spelled = std::make_shared<Vocabulary>();  // the same in the byte alphabet
};

Result<Ranks> read_ranks(std::string_view file) {
  Ranks ranks;
  size_t number = 0;
  while (!file.empty()) {
    ++number;
    const size_t end = std::min(file.find('\n'), file.size());
    const std::string_view line = trim(file.substr(0, end));
    file.remove_prefix(std::min(end + 1, file.size()));
    if (line.empty()) continue;
    const size_t space = line.find(' ');
    if (space == std::string_view::npos)
      return corrupt_data(cat("tiktoken file, line ", number, ": expected \"base64 rank\""));
    auto bytes = decode_base64(line.substr(0, space));
    if (!bytes.ok()) return corrupt_data(cat("tiktoken file, line ", number, ": ", bytes.error().message));
    TokenId rank = 0;
    const std::string_view digits = line.substr(space + 1);
    const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), rank);
    if (read.ec != std::errc() || read.ptr != digits.data() + digits.size()) {
      return corrupt_data(cat("tiktoken file, line ", number, ": \"", digits, "\" is no rank"));
    }
    SLUICE_RETURN_IF_ERROR(ranks.raw.add(*bytes, rank));
    SLUICE_RETURN_IF_ERROR(ranks.spelled->add(alphabet_of_bytes(*bytes), rank));
  }
  if (ranks.raw.count() == 0) return corrupt_data("tiktoken file: it has no tokens");
  return ranks;
}

}  // namespace

Result<TokenizerParts> parts_from_tiktoken(std::string_view file, const TokenizerConfig& config) {
  SLUICE_TRY(Ranks ranks, read_ranks(file));
  SLUICE_TRY(const Family family, family_of(config, static_cast<size_t>(ranks.raw.count())));
  for (const AddedToken& token : config.added) {
    // Added tokens follow the ranks: fewer of those than that is a file cut short.
    const bool first = std::ranges::all_of(config.added, [&](const AddedToken& other) { return token.id <= other.id; });
    if (first && token.id > ranks.raw.size()) {
      return corrupt_data(cat("tiktoken file: it has ", ranks.raw.size(), " tokens, but tokenizer_config.json's added ",
                              "tokens begin at ", token.id, "; it was cut short"));
    }
  }
  TokenizerParts parts;
  std::vector<uint32_t> order;
  for (TokenId id = 0; id < ranks.raw.size(); ++id)
    order.push_back(ranks.raw.has(id) ? static_cast<uint32_t>(id) : Bpe::kNoMerge);
  const std::vector<BpeMerge> merges = Bpe::implied_merges(ranks.raw, order);
  SLUICE_TRY(parts.pre_tokenizer, PreTokenizer::byte_level(find_pre_rule(family.pre)->patterns));
  BpeOptions options;
  options.byte_level = parts.pre_tokenizer.drop_byte_alphabet();
  options.ignore_merges = true;
  parts.vocabulary = ranks.spelled;
  SLUICE_TRY(parts.model, Bpe::create(ranks.spelled, merges, options));
  parts.decoder = Decoder::byte_level();
  TokenId next = ranks.raw.size();
  if (config.added.empty()) {
    for (const std::string& name : family.specials) {
      AddedToken token;
      token.content = name;
      token.id = next++;
      token.normalized = false;
      token.special = true;
      parts.added.push_back(std::move(token));
    }
  }
  add_tokens(config.added, parts);
  TokenizerConfig with_defaults = config;
  if (!config.bos && !family.bos.empty()) with_defaults.bos = family.bos;
  if (!config.eos && !family.eos.empty()) with_defaults.eos = family.eos;
  if (!config.add_bos) with_defaults.add_bos = !family.bos.empty();
  apply_config(with_defaults, parts);
  if (config.tokenizer_class.starts_with("ChatGLM")) SLUICE_RETURN_IF_ERROR(frame_as_chatglm(parts));
  return parts;
}

}  // namespace sluice::text
