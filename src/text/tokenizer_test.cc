// Tokenizers against what Hugging Face tokenizers and SentencePiece make of the same strings
// (tests/golden/tokenizers, written by tools/goldens/text_tokenizers.py).

#include "text/tokenizer.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>
#include <random>
#include <set>
#include <thread>

#include "base/file.h"
#include "base/json.h"
#include "base/strings.h"
#include "text/testing.h"
#include "text/tokenizer_regex.h"

namespace sluice::text {
namespace {

std::unique_ptr<Tokenizer> load(const std::string& path) {
  auto made = Tokenizer::from_file(path);
  EXPECT_TRUE(made.ok()) << path << ": " << (made.ok() ? "" : made.error().message);
  return made.ok() ? std::move(*made) : nullptr;
}

std::unique_ptr<Tokenizer> from_json(const Json& json) {
  auto made = Tokenizer::from_json(dump_json(json));
  EXPECT_TRUE(made.ok()) << (made.ok() ? "" : made.error().message);
  return made.ok() ? std::move(*made) : nullptr;
}

using Ids = std::vector<TokenId>;

std::vector<std::string> golden_names() {
  return {"gpt2",  "llama3",  "qwen2", "o200k",      "deepseek", "llama2", "metaspace_first",
          "gemma", "unigram", "bert",  "word_level", "suffix",   "prefix"};
}

// Whether tokens of bytes ("<0xE4>") that follow one another are no UTF-8 together.
bool has_broken_bytes(const Tokenizer& tokenizer, const Ids& ids) {
  std::string bytes;
  for (TokenId id : ids) {
    const std::string_view token = tokenizer.token_text(id);
    if (token.empty()) continue;
    if (token.size() == 6 && token.starts_with("<0x")) {
      bytes += static_cast<char>(std::stoi(std::string(token.substr(3, 2)), nullptr, 16));
    } else if (!utf8_valid(bytes)) {
      return true;
    } else {
      bytes.clear();
    }
  }
  return !utf8_valid(bytes);
}

class TokenizerGolden : public testing::TestWithParam<std::string> {};

TEST_P(TokenizerGolden, EncodesAndDecodesAsTheReference) {
  const auto tokenizer = load(golden_tokenizer(GetParam() + ".json"));
  ASSERT_NE(tokenizer, nullptr);
  const Json texts = read_json(golden_tokenizer("strings.json"));
  const Json expected = read_json(golden_tokenizer(GetParam() + ".expected.json"));
  ASSERT_EQ(texts.size(), expected.size());
  for (size_t i = 0; i < texts.size(); ++i) {
    const auto text = texts[i].get<std::string>();
    const Json& row = expected[i];
    const Ids plain = row[0].get<Ids>();
    const Ids special = row[1].is_null() ? plain : row[1].get<Ids>();
    EXPECT_EQ(tokenizer->encode(text, {.add_special = false}), plain) << text;
    EXPECT_EQ(tokenizer->encode(text), special) << text;
    EXPECT_EQ(utf8_sanitize(tokenizer->decode(special)), row[2].is_null() ? text : row[2].get<std::string>());
    EXPECT_EQ(utf8_sanitize(tokenizer->decode(special, true)), row[3].is_null() ? text : row[3].get<std::string>());
  }
}

// Random ids, streamed one by one, give what decoding them at once gives.
TEST_P(TokenizerGolden, StreamsWhatItDecodes) {
  const auto tokenizer = load(golden_tokenizer(GetParam() + ".json"));
  ASSERT_NE(tokenizer, nullptr);
  std::mt19937 random(11);
  for (int round = 0; round < 400; ++round) {
    Ids ids(random() % 60), context(random() % 5);
    for (TokenId& id : ids)
      id = static_cast<TokenId>(random() % static_cast<unsigned>(tokenizer->vocab_size() + 2)) - 1;
    for (TokenId& id : context) id = static_cast<TokenId>(random() % static_cast<unsigned>(tokenizer->vocab_size()));
    const bool skip = round % 2 == 0;
    StreamDecoder stream(*tokenizer, skip, context);
    std::string streamed;
    for (TokenId id : ids) {
      const std::string part = stream.push(id);
      EXPECT_TRUE(utf8_valid(part));
      streamed += part;
    }
    streamed += stream.flush();
    const size_t before = tokenizer->decode(context, skip).size();
    Ids all = context;
    all.insert(all.end(), ids.begin(), ids.end());
    if (has_broken_bytes(*tokenizer, all)) continue;  // what was streamed stays; TokenizerBytes
    EXPECT_EQ(streamed, utf8_sanitize(tokenizer->decode(all, skip).substr(before)));
  }
}

// With special tokens as text, none of them comes out of a text.
TEST_P(TokenizerGolden, SpecialTokensCanBeText) {
  const auto tokenizer = load(golden_tokenizer(GetParam() + ".json"));
  ASSERT_NE(tokenizer, nullptr);
  for (const Json& text : read_json(golden_tokenizer("strings.json"))) {
    for (TokenId id : tokenizer->encode(text.get<std::string>(), {.add_special = false, .parse_special = false})) {
      if (GetParam() == "unigram") continue;  // there, as in tokenizers, the model itself finds every piece
      const bool unknown = tokenizer->token_text(id) == "<unk>" || tokenizer->token_text(id) == "[UNK]";
      EXPECT_TRUE(!tokenizer->is_special(id) || unknown) << tokenizer->token_text(id);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, TokenizerGolden, testing::ValuesIn(golden_names()),
                         [](const auto& info) { return info.param; });

// A tiktoken file whose special tokens stand in tokenizer_config.json.
TEST(TokenizerChatGlm, EncodesAsItsOwnCode) {
  const auto made = Tokenizer::from_directory(golden_tokenizer("chatglm"));
  ASSERT_TRUE(made.ok()) << made.error().message;
  const Tokenizer& tokenizer = **made;
  const Json expected = read_json(golden_tokenizer("chatglm/expected.json"));
  const Ids frame = expected["frame"].get<Ids>();
  EXPECT_EQ(tokenizer.encode(""), frame);
  EXPECT_EQ(tokenizer.eos(), tokenizer.token_id("<|endoftext|>"));
  EXPECT_EQ(tokenizer.token_text(frame[0]), "[gMASK]");
  for (const Json& row : expected["rows"]) {
    const auto text = row[0].get<std::string>();
    const Ids ids = row[1].get<Ids>();
    EXPECT_EQ(tokenizer.encode(text, {.add_special = false}), ids) << text;
    EXPECT_EQ(tokenizer.decode(ids), text);
    Ids framed = frame;
    framed.insert(framed.end(), ids.begin(), ids.end());
    EXPECT_EQ(tokenizer.encode(text), framed);
  }
}

TEST(TokenizerVariants, EveryPartMatchesTheReference) {
  const Json base = read_json(golden_tokenizer("base_chars.json"));
  const Json variants = read_json(golden_tokenizer("variants.json"));
  for (const Json& entry : variants["cases"]) {
    Json spec = base;
    for (const auto& [key, value] : entry[0].items()) spec[key] = value;
    const auto tokenizer = from_json(spec);
    ASSERT_NE(tokenizer, nullptr) << dump_json(entry[0]);
    const Json& texts = variants[entry[1].get<std::string>()];
    for (size_t i = 0; i < texts.size(); ++i) {
      const Json& answer = entry[2][i];
      const bool decodes = answer.size() == 2 && answer[1].is_string();
      const Ids ids = (decodes ? answer[0] : answer).get<Ids>();
      EXPECT_EQ(tokenizer->encode(texts[i].get<std::string>()), ids) << dump_json(entry[0]) << "\n" << texts[i];
      if (decodes) {
        EXPECT_EQ(utf8_sanitize(tokenizer->decode(ids, true)), answer[1].get<std::string>()) << dump_json(entry[0]);
      }
    }
  }
}

TEST(TokenizerVariants, EveryDecoderStreams) {
  const Json base = read_json(golden_tokenizer("base_chars.json"));
  std::mt19937 random(5);
  const Json variants = read_json(golden_tokenizer("variants.json"));
  for (const Json& entry : variants["cases"]) {
    if (!entry[0].contains("decoder")) continue;
    Json spec = base;
    for (const auto& [key, value] : entry[0].items()) spec[key] = value;
    const auto tokenizer = from_json(spec);
    ASSERT_NE(tokenizer, nullptr);
    for (int round = 0; round < 100; ++round) {
      Ids ids(random() % 50);
      for (TokenId& id : ids) id = static_cast<TokenId>(random() % static_cast<unsigned>(tokenizer->vocab_size()));
      StreamDecoder stream(*tokenizer, true);
      std::string streamed;
      for (TokenId id : ids) streamed += stream.push(id);
      streamed += stream.flush();
      EXPECT_EQ(streamed, utf8_sanitize(tokenizer->decode(ids, true))) << dump_json(entry[0]);
    }
  }
}

// Cases that tools/compare_random_tokenizers.py found; the numbers are those of tokenizers 0.23.
Json small_bpe(const Json& more) {
  Json file = {
      {"model",
       {{"type", "BPE"}, {"vocab", {{"a", 0}, {"b", 1}, {"c", 2}, {" ", 3}, {"▁", 4}}}, {"merges", Json::array()}}}};
  for (const auto& [key, value] : more.items()) file[key] = value;
  return file;
}

Json added_token(TokenId id, const std::string& content, const std::set<std::string>& flags) {
  Json token = {{"id", id}, {"content", content}};
  for (const char* flag : {"single_word", "lstrip", "rstrip", "normalized", "special"})
    token[flag] = flags.contains(flag);
  return token;
}

Json unigram(const Json& vocab) {
  return {{"model", {{"type", "Unigram"}, {"unk_id", 0}, {"byte_fallback", true}, {"vocab", vocab}}}};
}

// <unk>, a, b and a token for every byte.
Json with_bytes() {
  Json vocab = Json::array({Json::array({"<unk>", 0.0}), Json::array({"a", -1.0}), Json::array({"b", -1.5})});
  for (int byte = 0; byte < 256; ++byte) {
    char name[8];
    std::snprintf(name, sizeof name, "<0x%02X>", static_cast<unsigned>(byte));
    vocab.push_back(Json::array({name, -9.0}));
  }
  return vocab;
}

TEST(TokenizerAddedTokens, WhiteSpaceTakenByOneIsNoOther) {
  const auto spaces = from_json(small_bpe({{"added_tokens", {added_token(5, "  ", {"lstrip", "rstrip"})}}}));
  EXPECT_EQ(spaces->encode("a       b"), (Ids{0, 5, 1}));
  const auto lines =
      from_json(small_bpe({{"added_tokens", {added_token(5, "\n", {"rstrip"}), added_token(6, " b", {"lstrip"})}}}));
  EXPECT_EQ(lines->encode("a\n\n\n b  b"), (Ids{0, 5, 5, 5, 6, 6}));
}

TEST(TokenizerAddedTokens, OneThatIsPrintedNormalisedIsNotSkipped) {
  const auto tokenizer = from_json(small_bpe(
      {{"added_tokens", {added_token(5, "C", {"normalized", "special"})}}, {"normalizer", {{"type", "Lowercase"}}}}));
  EXPECT_EQ(tokenizer->decode(Ids{0, 5, 1}, true), "a c b");
}

TEST(TokenizerUnigram, TheUnknownTokenWrittenOutIsItself) {
  const auto tokenizer = from_json(unigram(with_bytes()));
  EXPECT_EQ(tokenizer->encode("a<unk>b"), (Ids{1, 0, 2}));
  EXPECT_EQ(tokenizer->encode("a<unk>é"), (Ids{1, 63, 120, 113, 110, 65, 198, 172}));
}

// The scores' last bits choose between segmentations that should be equal.
TEST(TokenizerUnigram, ScoresAreReadAsSerdeReadsThem) {
  const auto tokenizer = Tokenizer::from_json(
      R"({"model": {"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", -50.0], ["a", -4.002239192714831],
          ["aa", -0.9671780900962001], ["b", -1.5492497864976777]]}})");
  ASSERT_TRUE(tokenizer.ok());
  EXPECT_EQ((*tokenizer)->encode("baaa"), (Ids{3, 1, 2}));
}

TEST(TokenizerBytes, RunsThatAreNoUtf8AreReplacedByteForByte) {
  Json file = unigram(with_bytes());
  file["decoder"] = {{"type", "Sequence"}, {"decoders", {{{"type", "ByteFallback"}}, {{"type", "Fuse"}}}}};
  const auto tokenizer = from_json(file);
  const TokenId byte = 3;
  const struct {
    Ids ids;
    const char *decoded, *streamed;
  } cases[] = {{{1, byte + 0xE4, byte + 0xBD, 2}, "a\uFFFD\uFFFDb", "a\uFFFDb"},
               {{byte + 0xE4, byte + 0xBD, byte + 0xA0, 1}, "你a", "你a"},
               {{1, byte + 0xE4, byte + 0xBD}, "a\uFFFD\uFFFD", "a\uFFFD\uFFFD"},
               {{byte + 0x41, byte + 0xE4}, "\uFFFD\uFFFD", "A\uFFFD"}};
  for (const auto& one : cases) {
    EXPECT_EQ(tokenizer->decode(one.ids), one.decoded);
    StreamDecoder stream(*tokenizer, false);
    std::string streamed;
    for (TokenId id : one.ids) streamed += stream.push(id);
    EXPECT_EQ(streamed + stream.flush(), one.streamed);
  }
}

// A regular expression behind bytes that are no UTF-8.
TEST(TokenizerBytes, ReplaceMeetsCharactersOnly) {
  Json file = small_bpe({});
  file["model"]["vocab"] = {{"ä", 0}, {"½", 1}, {"ł", 2}, {"a", 3}};
  file["decoder"] = {
      {"type", "Sequence"},
      {"decoders",
       {{{"type", "ByteLevel"}}, {{"type", "Replace"}, {"pattern", {{"Regex", "\\w+"}}}, {"content", "_"}}}}};
  const auto tokenizer = from_json(file);
  for (const Ids& ids : {Ids{3, 0}, Ids{0}, Ids{3, 0, 1}, Ids{0, 3}, Ids{3, 0, 1, 2}}) {
    StreamDecoder stream(*tokenizer, false);
    for (TokenId id : ids) EXPECT_TRUE(utf8_valid(stream.push(id)));
    EXPECT_TRUE(utf8_sanitize(tokenizer->decode(ids)).starts_with(ids[0] == 3 || ids.size() > 3 ? "_" : "\uFFFD"));
  }
}

TEST(TokenizerDecoders, OfNothing) {
  EXPECT_EQ(from_json(small_bpe({}))->decode(Ids{0, 1, 2}), "a b c");
  EXPECT_EQ(
      from_json(small_bpe({{"decoder", {{"type", "Sequence"}, {"decoders", Json::array()}}}}))->decode(Ids{0, 1, 2}),
      "abc");
  EXPECT_EQ(from_json(small_bpe({{"decoder", {{"type", "BPEDecoder"}, {"suffix", ""}}}}))->decode(Ids{0, 1}), " a b");
}

TEST(TokenizerPreTokenizers, TheFirstWordIsThatOfTheTextAsGiven) {
  const auto tokenizer = from_json(
      small_bpe({{"normalizer", {{"type", "Strip"}, {"strip_left", true}, {"strip_right", false}}},
                 {"pre_tokenizer",
                  {{"type", "Metaspace"}, {"replacement", "▁"}, {"prepend_scheme", "first"}, {"split", true}}}}));
  EXPECT_EQ(tokenizer->encode("a"), (Ids{4, 0}));
  EXPECT_EQ(tokenizer->encode(" a"), (Ids{0}));
  // Every word that the first character becomes is a first one: so are tokenizers' ids.
  const auto expanding = from_json(small_bpe(
      {{"normalizer", {{"type", "Replace"}, {"pattern", {{"String", "a"}}}, {"content", "bc"}}},
       {"pre_tokenizer",
        {{"type", "Sequence"},
         {"pretokenizers",
          {{{"type", "Split"}, {"pattern", {{"String", "c"}}}, {"behavior", "MergedWithNext"}, {"invert", false}},
           {{"type", "Metaspace"}, {"replacement", "▁"}, {"prepend_scheme", "first"}, {"split", true}}}}}}}));
  EXPECT_EQ(expanding->encode("ab"), (Ids{4, 1, 4, 2, 1}));
  EXPECT_EQ(expanding->encode("bcb"), (Ids{4, 1, 2, 1}));
  // What several characters become stands where the last of them stood.
  const auto replacing = from_json(
      small_bpe({{"normalizer", {{"type", "Replace"}, {"pattern", {{"Regex", "x+"}}}, {"content", "ab"}}},
                 {"pre_tokenizer",
                  {{"type", "Metaspace"}, {"replacement", "▁"}, {"prepend_scheme", "first"}, {"split", true}}}}));
  EXPECT_EQ(replacing->encode("xc"), (Ids{4, 0, 1, 2}));
  EXPECT_EQ(replacing->encode("xxc"), (Ids{0, 1, 2}));
  EXPECT_EQ(replacing->encode("cxx"), (Ids{4, 2, 0, 1}));
}

// A character map that makes nothing of U+0001; the ids are those of tokenizers.
TEST(TokenizerPreTokenizers, ACharacterMapMovesTheStart) {
  // 256 units of a trie, of which the first four are used, and an empty text.
  const std::string map = "AAQAAAAIAAAAAAAAAAAAgAEFAAAA" + std::string(1340, 'A') + "AAAA";
  const auto tokenizer = from_json(
      small_bpe({{"normalizer", {{"type", "Precompiled"}, {"precompiled_charsmap", map}}},
                 {"pre_tokenizer",
                  {{"type", "Metaspace"}, {"replacement", "▁"}, {"prepend_scheme", "first"}, {"split", true}}}}));
  EXPECT_EQ(tokenizer->encode("\001ab"), (Ids{4, 0, 1}));
  EXPECT_EQ(tokenizer->encode("\001\001b"), (Ids{4, 1}));
  EXPECT_EQ(tokenizer->encode("a\001b"), (Ids{4, 0, 1}));
}

TEST(TokenizerPostProcessors, ATemplateMayHoldTheTextTwice) {
  const Json text = {{"Sequence", {{"id", "A"}, {"type_id", 0}}}};
  const auto tokenizer =
      from_json(small_bpe({{"post_processor",
                            {{"type", "TemplateProcessing"},
                             {"single", {text, text, {{"SpecialToken", {{"id", "a"}, {"type_id", 0}}}}}},
                             {"special_tokens", {{"a", {{"id", "a"}, {"ids", {0}}, {"tokens", {"a"}}}}}}}}}));
  EXPECT_EQ(tokenizer->encode("bc"), (Ids{1, 2, 1, 2, 0}));
  EXPECT_EQ(tokenizer->encode("bc", {.add_special = false}), (Ids{1, 2, 1, 2}));
}

TEST(TokenizerPostProcessors, EachFramesThePartsThatTheOneBeforeLeft) {
  Json spec = read_json(golden_tokenizer("base_chars.json"));
  const Json rows = read_json(golden_tokenizer("post_processors.json"));
  EXPECT_GE(rows.size(), 18U);
  for (const Json& row : rows) {
    spec["post_processor"] = row[0];
    const auto tokenizer = from_json(spec);
    ASSERT_NE(tokenizer, nullptr) << row[0];
    EXPECT_EQ(tokenizer->encode("the fox"), row[1].get<Ids>()) << row[0];
    EXPECT_EQ(tokenizer->encode("the fox", {.add_special = false}), row[2].get<Ids>()) << row[0];
  }
}

TEST(TokenizerSentencePiece, MatchesTheReference) {
  for (const char* name : {"sp_bpe", "sp_unigram", "sp_unigram_bytes"}) {
    const auto tokenizer = load(golden_tokenizer(cat(name, ".model")));
    ASSERT_NE(tokenizer, nullptr);
    for (const Json& row : read_json(golden_tokenizer(cat(name, ".expected.json")))) {
      const auto text = row[0].get<std::string>();
      EXPECT_EQ(tokenizer->encode(text, {.add_special = false}), row[1].get<Ids>()) << name << ": " << text;
    }
  }
}

TEST(TokenizerRegexTest, CutsAsTheReference) {
  const Json goldens = read_json(golden_tokenizer("regex.json"));
  const auto texts = goldens["texts"].get<std::vector<std::string>>();
  for (const Json& row : goldens["rows"]) {
    auto regex = Regex::compile(row[0].get<std::string>());
    ASSERT_TRUE(regex.ok()) << row[0] << ": " << (regex.ok() ? "" : regex.error().message);
    const size_t rows = row[1].size();
    for (size_t i = 0; i < rows; ++i) {
      const size_t shorter = goldens["short"].get<size_t>();
      const std::string& text = rows == texts.size() || i < shorter ? texts[i] : texts[texts.size() - (rows - i)];
      std::vector<size_t> cuts;
      Regex::Search search(*regex, text);
      size_t begin = 0, end = 0, done = 0;
      const auto cut = [&](size_t to) {
        if (to > done) cuts.push_back(to - done);
        done = to;
      };
      while (search.next(&begin, &end)) {
        cut(begin);
        cut(end);
      }
      cut(text.size());
      EXPECT_EQ(cuts, row[1][i].get<std::vector<size_t>>()) << row[0] << "\n" << text;
    }
  }
}

TEST(TokenizerRegexTest, RefusesWhatItDoesNotKnow) {
  for (const char* pattern : {"(a)\\1", "\\X", "\\K", "a\\Gb", "(?x) a", "(?<=a+)b", "\\p{Emoji}", "(?:a?)*"}) {
    const auto regex = Regex::compile(pattern);
    ASSERT_FALSE(regex.ok()) << pattern;
    EXPECT_EQ(regex.error().code, ErrorCode::kUnimplemented) << pattern;
  }
  for (const char* pattern :
       {"(a", "a)", "[a", "*a", "a{3,2}", "\\x{110000}", "[b-a]", "\\", "((((a{999}){999}){999}){999})"}) {
    const auto regex = Regex::compile(pattern);
    ASSERT_FALSE(regex.ok()) << pattern;
    EXPECT_EQ(regex.error().code, ErrorCode::kCorruptData) << pattern;
  }
}

TEST(TokenizerText, InvalidUtf8IsReplacedFirst) {
  for (const std::string& name : golden_names()) {
    const auto tokenizer = load(golden_tokenizer(name + ".json"));
    for (const std::string text : {"a\xFF b", "\xE4\xBD", "x\xF0\x9F\x98", "\xC0\xAF\x80\x80 ok", "\xED\xA0\x80"}) {
      EXPECT_EQ(tokenizer->encode(text), tokenizer->encode(utf8_sanitize(text)));
    }
  }
}

TEST(TokenizerText, TokenBytesJoinToTheText) {
  for (const char* name : {"gpt2", "llama3", "llama2", "gemma"}) {
    const auto tokenizer = load(golden_tokenizer(cat(name, ".json")));
    for (const Json& text : read_json(golden_tokenizer("strings.json"))) {
      const Ids ids = tokenizer->encode(text.get<std::string>(), {.add_special = false});
      std::string joined;
      for (TokenId id : ids) joined += tokenizer->token_bytes(id);
      const std::string whole = tokenizer->decode(ids);
      EXPECT_TRUE(joined == whole || joined == " " + whole) << name << ": " << text;
    }
  }
}

// Tokenizers that share a thread, and threads that share a tokenizer, do not meet in the words they remember.
TEST(TokenizerText, RememberedWordsAreTheTokenizersOwn) {
  std::vector<std::unique_ptr<Tokenizer>> tokenizers;
  for (const std::string& name : golden_names()) tokenizers.push_back(load(golden_tokenizer(name + ".json")));
  const Json texts = read_json(golden_tokenizer("strings.json"));
  const auto encode_all = [&](size_t first) {
    std::vector<std::vector<Ids>> made(tokenizers.size());
    for (const Json& text : texts) {
      for (size_t i = 0; i < tokenizers.size(); ++i) {
        const size_t at = (first + i) % tokenizers.size();
        made[at].push_back(tokenizers[at]->encode(text.get<std::string>(), {.add_special = false}));
      }
    }
    return made;
  };
  std::vector<std::vector<std::vector<Ids>>> made(4);
  std::vector<std::thread> threads;
  for (size_t i = 0; i < made.size(); ++i) {
    threads.emplace_back([&, i] {
      for (int round = 0; round < 2; ++round) made[i] = encode_all(i * 5);
    });
  }
  for (std::thread& thread : threads) thread.join();
  const std::vector<std::string> names = golden_names();
  for (size_t i = 0; i < names.size(); ++i) {
    const Json expected = read_json(golden_tokenizer(names[i] + ".expected.json"));
    for (size_t j = 0; j < texts.size(); ++j) {
      for (const auto& thread : made)
        EXPECT_EQ(thread[i][j], expected[j][0].get<Ids>()) << names[i] << ": " << texts[j];
    }
  }
}

TEST(TokenizerText, LongRepetitionsTakeLinearTime) {
  const size_t size = 1 << 20;
  for (const std::string& name : golden_names()) {
    const auto tokenizer = load(golden_tokenizer(name + ".json"));
    for (const char* unit : {"a", " ", "\xE2\x80\x8D", "1", "\n", "!", "A", "\xCC\x81", "' ", "<", "<mask>", "a1"}) {
      std::string text = "x";
      while (text.size() < size) text += unit;
      text += "y";
      const auto begin = std::chrono::steady_clock::now();
      EXPECT_FALSE(tokenizer->encode(text).empty());
      EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20)) << name << " on many " << unit;
    }
  }
}

TEST(TokenizerText, HostilePatternsTakeLinearTime) {
  std::string digits(1 << 18, '7'), spaces = std::string(1 << 18, ' ') + "x", letters = std::string(1 << 18, 'a') + "!";
  for (const char* pattern : {R"((?=(\d{3})+(?!\d)))", R"(\d{1,3}(?=(?:\d{3})*\b))", R"(\s+$)", R"((?:a|b)*c|\d)",
                              R"((?:\p{L}\p{M}*)+\d|x)", R"((?:a|aa)+$)"}) {
    const auto regex = Regex::compile(pattern);
    ASSERT_TRUE(regex.ok()) << pattern;
    for (const std::string& text : {digits, spaces, letters}) {
      const auto started = std::chrono::steady_clock::now();
      Regex::Search search(*regex, text);
      size_t begin = 0, end = 0;
      while (search.next(&begin, &end)) {
      }
      EXPECT_LT(std::chrono::steady_clock::now() - started, std::chrono::seconds(10))
          << pattern << " on " << text.substr(0, 3);
    }
  }
}

TEST(TokenizerErrors, NameWhatIsWrong) {
  const Json base = read_json(golden_tokenizer("base_chars.json"));
  const auto error_of = [&](const char* key, const Json& value) {
    Json spec = base;
    spec[key] = value;
    auto made = Tokenizer::from_json(dump_json(spec));
    EXPECT_FALSE(made.ok()) << key << " " << value;
    return made.ok() ? Error{} : made.error();
  };
  for (const char* key : {"normalizer", "pre_tokenizer", "decoder", "post_processor"}) {
    const Error error = error_of(key, {{"type", "Sourdough"}});
    EXPECT_EQ(error.code, ErrorCode::kUnimplemented);
    EXPECT_NE(error.message.find("Sourdough"), std::string::npos) << error.message;
  }
  EXPECT_EQ(error_of("model", {{"type", "Sourdough"}, {"vocab", Json::object()}}).code, ErrorCode::kUnimplemented);
  const auto model = [](const Json& vocab, const Json& merges) {
    return Json{{"type", "BPE"}, {"vocab", vocab}, {"merges", merges}};
  };
  EXPECT_EQ(error_of("model", model({{"a", 0}, {"b", 0}}, Json::array())).code, ErrorCode::kCorruptData);
  EXPECT_EQ(error_of("model", model({{"a", -1}}, Json::array())).code, ErrorCode::kCorruptData);
  EXPECT_EQ(error_of("model", model({{"a", 4'000'000'000}}, Json::array())).code, ErrorCode::kCorruptData);
  EXPECT_EQ(error_of("model", model({{"a", 0}}, {"a b"})).code, ErrorCode::kCorruptData);
  EXPECT_EQ(error_of("model", model({{"a", 0}}, {"a"})).code, ErrorCode::kCorruptData);
  EXPECT_EQ(error_of("model", model({{"a", 0}}, {Json{"a"}})).code, ErrorCode::kCorruptData);
  EXPECT_EQ(error_of("post_processor", {{"type", "BertProcessing"}, {"cls", {"x", 99999}}, {"sep", {"x", 1}}}).code,
            ErrorCode::kCorruptData);
  EXPECT_FALSE(Tokenizer::from_json("{\"model\": {\"vocab\": {\"a\": ").ok());
  EXPECT_FALSE(Tokenizer::from_json("").ok());
  EXPECT_FALSE(Tokenizer::from_json("{\"model\":{\"type\":\"BPE\",\"vocab\":{\"\\ud800\":0},\"merges\":[]}}").ok());
}

TEST(TokenizerErrors, DirectoryWithoutTokenizer) {
  const auto made = Tokenizer::from_directory(std::string(SLUICE_SOURCE_DIR) + "/src/base");
  ASSERT_FALSE(made.ok());
  EXPECT_EQ(made.error().code, ErrorCode::kNotFound);
}

}  // namespace
}  // namespace sluice::text
