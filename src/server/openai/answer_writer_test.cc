#include "server/openai/answer_writer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <limits>

#include "base/file.h"
#include "base/json.h"
#include "base/random.h"
#include "base/strings.h"
#include "server/openai/answer_inbox.h"
#include "server/openai/json_text.h"
#include "server/openai/response.h"
#include "server/testing/loopback_client.h"

namespace sluice::openai {
namespace {

using sluice::testing::event_payloads;

const AnswerHead kHead{.id = "chatcmpl-1", .model = "a/\"model\"", .fingerprint = "sluice-0", .created = 1700000000};

api::TokenLogprob token(api::TokenId id, std::string bytes, float logprob, std::vector<api::TopLogprob> top = {}) {
  return {.id = id, .bytes = std::move(bytes), .logprob = logprob, .top = std::move(top)};
}

// Compares with tests/golden/openai/<name>; with SLUICE_WRITE_GOLDENS set it writes the file instead. The files were
// checked against the schemas of OpenAI's own openapi.yaml by tools/goldens/openai_shapes.py.
void expect_golden(const std::string& name, const std::string& text) {
  const std::string path = cat(SLUICE_SOURCE_DIR, "/tests/golden/openai/", name);
  if (std::getenv("SLUICE_WRITE_GOLDENS") != nullptr) {
    std::ofstream(path, std::ios::binary) << text;
    return;
  }
  const auto golden = read_file(path);
  ASSERT_TRUE(golden.ok()) << golden.error().message;
  EXPECT_EQ(text, *golden) << name;
}

// Two choices with text that needs escaping, characters in pieces, and alternatives.
std::vector<ChoicePart> sample_parts(bool logprobs) {
  ChoicePart first{
      .choice = 0, .text = "Hi \"你\"\n\t\x01", .ids = {5, 6, 7}, .logprobs = {}, .finish = api::FinishReason::kStop};
  ChoicePart second{.choice = 1, .text = "😀", .ids = {8, 9}, .logprobs = {}, .finish = api::FinishReason::kLength};
  if (logprobs) {
    first.logprobs = {token(5, "Hi ", -0.5F, {{5, "Hi ", -0.5F}, {6, "Ho ", -1.25F}}),
                      token(6, "\"你\"", -1e-6F, {{6, "\"你\"", -1e-6F}, {9, "x", -14.F}}),
                      token(7, "\n\t\x01", -std::numeric_limits<float>::infinity(), {{4, "a", 0.F}, {9, "x", -3.F}})};
    second.logprobs = {token(8, "\xF0\x9F", -2.F, {{8, "\xF0\x9F", -2.F}, {3, "\xF0", -2.5F}}),
                       token(9, "\x98\x80", -0.25F, {{9, "\x98\x80", -0.25F}, {1, "b", -7.F}})};
  }
  return {first, second};
}

constexpr api::Usage kUsage{.prompt_tokens = 11, .cached_tokens = 4, .completion_tokens = 5};

std::string streamed(AnswerWriter& writer, const std::vector<ChoicePart>& parts) {
  std::string out;
  for (const ChoicePart& part : parts) writer.append_events(out, part, kUsage);
  writer.append_end(out, kUsage);
  return out;
}

TEST(ChatWriter, MatchesItsGoldens) {
  AnswerOptions plain{.choices = 2};
  expect_golden("chat.json", make_chat_writer(kHead, plain)->whole(sample_parts(false), kUsage));
  AnswerOptions detailed{.logprobs = true, .top_logprobs = 2, .token_ids = true, .choices = 2};
  expect_golden("chat_logprobs.json", make_chat_writer(kHead, detailed)->whole(sample_parts(true), kUsage));
  AnswerOptions streaming{.stream = true, .include_usage = true, .logprobs = true, .top_logprobs = 1, .choices = 2};
  expect_golden("chat_stream.txt", streamed(*make_chat_writer(kHead, streaming), sample_parts(true)));
}

TEST(CompletionWriter, MatchesItsGoldens) {
  AnswerOptions plain{.choices = 2};
  expect_golden("completion.json", make_completion_writer(kHead, plain)->whole(sample_parts(false), kUsage));
  AnswerOptions echoing{.logprobs = true, .top_logprobs = 1, .echo = true, .choices = 2};
  const EchoedPrompt echo{.text = "né ",
                          .logprobs = {token(1, "<s>", std::nanf("")), token(2, " n", -1.F), token(3, "é ", -2.F)}};
  auto writer = make_completion_writer(kHead, echoing);
  writer->set_echo(0, echo);
  expect_golden("completion_echo.json", writer->whole(sample_parts(true), kUsage));
  echoing.stream = echoing.continuous_usage = true;
  writer = make_completion_writer(kHead, echoing);
  writer->set_echo(0, echo);
  expect_golden("completion_stream.txt", streamed(*writer, sample_parts(true)));
}

TEST(ChatWriter, SendsTheRoleWithTheFirstTextAndNeverAlone) {
  auto writer = make_chat_writer(kHead, {.stream = true});
  std::string out;
  writer->append_events(out, {.choice = 0, .text = "a", .ids = {1}, .logprobs = {}, .finish = std::nullopt}, {});
  writer->append_events(out, {.choice = 0, .text = "b", .ids = {2}, .logprobs = {}, .finish = api::FinishReason::kStop},
                        {});
  const auto events = event_payloads(out);
  ASSERT_EQ(events.size(), 3U);
  EXPECT_EQ(dump_json(parse_json(events[0]).value()["choices"][0]["delta"]), R"({"role":"assistant","content":"a"})");
  EXPECT_EQ(dump_json(parse_json(events[1]).value()["choices"][0]["delta"]), R"({"content":"b"})");
  EXPECT_EQ(dump_json(parse_json(events[2]).value()["choices"][0]),
            R"({"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"})");
}

TEST(ChatWriter, AnEmptyAnswerStillHasARole) {
  auto writer = make_chat_writer(kHead, {.stream = true});
  std::string out;
  writer->append_events(out, {.choice = 0, .text = "", .ids = {1}, .logprobs = {}, .finish = api::FinishReason::kStop},
                        {});
  const auto events = event_payloads(out);
  ASSERT_EQ(events.size(), 2U);
  EXPECT_EQ(parse_json(events[0]).value()["choices"][0]["delta"]["role"], "assistant");
}

// Random answers in random pieces through the inbox: taken after every delta, seldom, or only at the end, the joined
// stream is the whole answer, in text, token ids and log-probabilities.
TEST(Streaming, JoinedPiecesAreTheWholeAnswer) {
  static const std::vector<std::string> kPieces = {"", "a", " b", "你好", "\"", "\n", "\\", "😀", "é", "data: x\n\n"};
  for (uint64_t seed = 0; seed < 200; ++seed) {
    uint64_t draws = 0;
    const auto draw = [&](size_t below) {
      return static_cast<size_t>(philox_uniform(seed, draws++) * static_cast<double>(below));
    };
    const bool chat = draw(2) == 0;
    AnswerOptions options{
        .logprobs = draw(2) == 0, .top_logprobs = 2, .echo = !chat && draw(2) == 0, .token_ids = true};
    options.choices = 1 + static_cast<int>(draw(3));
    const int prompts = chat ? 1 : 1 + static_cast<int>(draw(3));
    AnswerOptions streaming = options;
    streaming.stream = true;
    const auto whole_inbox = std::make_shared<AnswerInbox>(prompts, options);
    const auto stream_inbox = std::make_shared<AnswerInbox>(prompts, streaming);
    auto whole_writer = chat ? make_chat_writer(kHead, options) : make_completion_writer(kHead, options);
    auto stream_writer = chat ? make_chat_writer(kHead, streaming) : make_completion_writer(kHead, streaming);
    std::string events;
    const auto take = [&] {
      AnswerInbox::Taken taken = stream_inbox->take();
      for (const ChoicePart& part : taken.parts) stream_writer->append_events(events, part, taken.usage);
      if (taken.ended) stream_writer->append_end(events, taken.usage);
    };
    for (int prompt = 0; prompt < prompts; ++prompt) {
      EchoedPrompt echo{.text = "P é", .logprobs = {}};
      if (options.logprobs) echo.logprobs = {token(1, "P", std::nanf("")), token(2, " é", -1.F)};
      for (auto* writer : {whole_writer.get(), stream_writer.get()}) {
        if (options.echo) writer->set_echo(prompt, echo);
      }
      std::vector<int> left(static_cast<size_t>(options.choices), 1 + static_cast<int>(draw(12)));
      const auto sinks = {whole_inbox->sink(prompt), stream_inbox->sink(prompt)};
      while (true) {
        const size_t choice = draw(left.size());
        if (left[choice] > 0) {
          api::TokenDelta delta{.choice = static_cast<int>(choice),
                                .text = kPieces[draw(kPieces.size())],
                                .ids = {static_cast<int>(draw(100))},
                                .logprobs = {},
                                .finish = {},
                                .stop_match = {}};
          if (options.logprobs)
            delta.logprobs = {
                token(delta.ids[0], delta.text, -0.5F, {{1, "x", -0.25F}, {delta.ids[0], delta.text, -0.5F}})};
          if (--left[choice] == 0) delta.finish = draw(2) == 0 ? api::FinishReason::kStop : api::FinishReason::kLength;
          for (const auto& sink : sinks) sink->on_delta(delta);
          if (draw(3) == 0) take();
        }
        if (std::all_of(left.begin(), left.end(), [](int n) { return n == 0; })) break;
      }
      for (const auto& sink : sinks)
        sink->on_end(api::Usage{.prompt_tokens = 3, .cached_tokens = 1, .completion_tokens = 7});
    }
    take();
    const AnswerInbox::Taken whole_taken = whole_inbox->take();
    ASSERT_TRUE(whole_taken.ended);
    const Json whole = parse_json(whole_writer->whole(whole_taken.parts, whole_taken.usage)).value();

    std::map<int, Json> joined;
    const auto payloads = event_payloads(events);
    ASSERT_EQ(payloads.back(), "[DONE]");
    for (size_t i = 0; i + 1 < payloads.size(); ++i) {
      const Json piece = parse_json(payloads[i]).value()["choices"][0];
      Json& choice = joined.try_emplace(piece["index"].get<int>(), Json::object()).first->second;
      const Json content = chat ? piece["delta"].value("content", Json("")) : piece["text"];
      choice["text"] = choice.value("text", "") + content.get<std::string>();
      if (!piece["finish_reason"].is_null()) choice["finish"] = piece["finish_reason"];
      for (const Json& id : piece.value("token_ids", Json::array())) choice["ids"].push_back(id);
      if (piece["logprobs"].is_null()) continue;
      for (const auto& [name, list] : piece["logprobs"].items()) {
        if (!list.is_array()) continue;
        for (const Json& entry : list) choice[name].push_back(entry);
      }
    }
    ASSERT_EQ(joined.size(), whole["choices"].size());
    for (const Json& choice : whole["choices"]) {
      const Json& stream = joined[choice["index"].get<int>()];
      EXPECT_EQ(stream["text"], chat ? choice["message"]["content"] : choice["text"]) << seed;
      EXPECT_EQ(stream["finish"], choice["finish_reason"]);
      EXPECT_EQ(stream.value("ids", Json::array()), choice["token_ids"]);
      if (choice["logprobs"].is_null()) continue;
      for (const auto& [name, list] : choice["logprobs"].items()) {
        if (list.is_array()) EXPECT_EQ(stream.value(name, Json::array()), list) << seed << name;
      }
    }
  }
}

TEST(AnswerInbox, AnEndTokenHasNoPlaceAmongTheTextsLogprobs) {
  for (const bool include : {false, true}) {
    const auto inbox = std::make_shared<AnswerInbox>(1, AnswerOptions{.logprobs = true, .include_stop = include});
    const auto sink = inbox->sink(0);
    sink->on_delta(
        {.choice = 0, .text = "a", .ids = {1}, .logprobs = {token(1, "a", -1)}, .finish = {}, .stop_match = {}});
    sink->on_delta({.choice = 0,
                    .text = "",
                    .ids = {2},
                    .logprobs = {token(2, "</s>", -1)},
                    .finish = api::FinishReason::kStop,
                    .stop_match = {}});
    sink->on_end(api::Usage{.prompt_tokens = 1, .cached_tokens = 0, .completion_tokens = 2});
    EXPECT_EQ(inbox->take().parts[0].logprobs.size(), include ? 2U : 1U);
  }
}

TEST(AnswerInbox, OneFailureEndsTheAnswer) {
  const auto inbox = std::make_shared<AnswerInbox>(2, AnswerOptions{.stream = true});
  inbox->sink(0)->on_end(Error{ErrorCode::kInternal, "broken", {}, {}});
  const AnswerInbox::Taken taken = inbox->take();
  EXPECT_TRUE(taken.ended);
  EXPECT_EQ(taken.error->message, "broken");
  inbox->sink(1)->on_end(Error{ErrorCode::kCancelled, "later", {}, {}});
  EXPECT_EQ(inbox->take().error->message, "broken");
}

TEST(JsonText, WritesFloatsThatReadBack) {
  const auto text = [](float value) {
    std::string out;
    append_float(out, value);
    return out;
  };
  EXPECT_EQ(text(0), "0.0");
  EXPECT_EQ(text(-1), "-1.0");
  EXPECT_EQ(text(1e-10F), "1e-10");
  EXPECT_EQ(text(std::nanf("")), "null");
  EXPECT_EQ(text(-std::numeric_limits<float>::infinity()), "-9999.0");
  for (uint64_t i = 0; i < 2000; ++i) {
    const auto value =
        static_cast<float>((philox_uniform(1, i) - 0.5) * std::pow(10.0, static_cast<double>(i % 60) - 30));
    EXPECT_EQ(static_cast<float>(parse_json(text(value)).value().get<double>()), value);
  }
}

TEST(JsonText, Base64AsInRfc4648) {
  const std::pair<const char*, const char*> vectors[] = {{"", ""},
                                                         {"f", "Zg=="},
                                                         {"fo", "Zm8="},
                                                         {"foo", "Zm9v"},
                                                         {"foob", "Zm9vYg=="},
                                                         {"fooba", "Zm9vYmE="},
                                                         {"foobar", "Zm9vYmFy"}};
  for (const auto& [plain, encoded] : vectors) EXPECT_EQ(base64(plain), encoded);
}

TEST(Responses, MatchTheirGoldens) {
  api::EmbedAnswer answer{.embeddings = {{0.6F, 0.8F, 0.F}, {1.F, -0.F, 1e-9F}}, .usage = {.prompt_tokens = 5}};
  expect_golden("embeddings.json", render_embeddings("m", answer, EmbeddingEncoding::kFloat));
  expect_golden("embeddings_base64.json", render_embeddings("m", answer, EmbeddingEncoding::kBase64));
  expect_golden("models.json", render_models({{.id = "zai/glm",
                                               .created = 1700000000,
                                               .context_tokens = 4096,
                                               .architecture = "glm4",
                                               .root = "/m",
                                               .chat = true}}));
  expect_golden("infer.json", render_inference(kHead, sample_parts(false), kUsage, true));
}

TEST(Responses, CutEmbeddingsHaveLengthOneAgain) {
  api::EmbedAnswer answer{.embeddings = {{3.F, 4.F, 12.F}}, .usage = {}};
  ASSERT_TRUE(cut_embeddings(answer, 2, true).ok());
  EXPECT_FLOAT_EQ(answer.embeddings[0][0], 0.6F);
  EXPECT_FLOAT_EQ(answer.embeddings[0][1], 0.8F);
  EXPECT_EQ(cut_embeddings(answer, 3, true).error().param, "dimensions");
}

TEST(AnswerIds, AreDifferent) {
  EXPECT_NE(make_answer_id("cmpl-"), make_answer_id("cmpl-"));
  EXPECT_EQ(make_answer_id("cmpl-").size(), 37U);
}

}  // namespace
}  // namespace sluice::openai
