// Every dialect: what families write, whole, byte by byte, in random pieces, and cut off at every byte.

#include "text/answers/answer_parser.h"

#include <gtest/gtest.h>

#include <ostream>

#include "base/file.h"
#include "base/json.h"
#include "base/random.h"
#include "text/answers/answer_testing.h"

namespace sluice::text::answers {

void PrintTo(const JoinedAnswer& answer, std::ostream* out) {
  *out << "content: " << answer.content << "\nreasoning: " << answer.reasoning;
  for (const JoinedAnswer::Call& call : answer.calls) {
    *out << "\ncall " << call.name << '(' << call.arguments << ") id=" << call.id << (call.ended ? "" : " open");
  }
}

namespace {

constexpr std::string_view kTools = R"([
  {"type":"function","function":{"name":"get_weather","parameters":{"type":"object","properties":{
    "city":{"type":"string"},"days":{"type":"integer"},"hot":{"type":"boolean"},"where":{"type":"object"},
    "list":{"type":"array"},"zip":{"type":["string","null"]},"ratio":{"anyOf":[{"type":"number"},{"type":"null"}]}}}}},
  {"type":"function","function":{"name":"get_time","parameters":{"type":"object","properties":{}}}},
  {"type":"function","function":{"name":"code_interpreter"}}])";

AnswerOptions options_of(std::string dialect, std::string reasoning = "", bool begun = false) {
  return {.tool_dialect = std::move(dialect),
          .tools = std::make_shared<const Json>(parse_json(kTools).value()),
          .reasoning_dialect = std::move(reasoning),
          .reasoning_begun = begun};
}

struct Case {
  std::string dialect;
  std::string text;
  std::string content;
  std::vector<std::pair<std::string, std::string>> calls;  // name, arguments
};

const std::vector<Case>& cases() {
  static const std::vector<Case> kCases = {
      // Hermes, Qwen2.5, Qwen3.
      {"hermes", "Just text.\n", "Just text.\n", {}},
      {"hermes",
       "<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Köln\"}}\n</tool_call>",
       "",
       {{"get_weather", R"({"city": "Köln"})"}}},
      {"hermes",
       "Let me see.\n\n<tool_call>{\"name\":\"a\",\"arguments\":{}}</tool_call>\n<tool_call>\n{\"name\": \"b\", "
       "\"arguments\": {\"x\": [1, {\"y\": \"}]\"}]}}\n</tool_call>\n",
       "Let me see.",
       {{"a", "{}"}, {"b", R"({"x": [1, {"y": "}]"}]})"}}},
      {"hermes",
       "<tool_call>\n{\"arguments\": {\"x\": \"</tool_call>\"}, \"name\": \"f\"}\n</tool_call> Done.",
       " Done.",
       {{"f", R"({"x": "</tool_call>"})"}}},
      {"hermes", R"(<tool_call>{"name": "f"}</tool_call>)", "", {{"f", "{}"}}},
      {"hermes", R"(<tool_call>{"name": "f", "arguments": null}</tool_call>)", "", {{"f", "{}"}}},
      {"hermes", R"(<tool_call>{"name": "f", "arguments": "{\"a\": 1}"}</tool_call>)", "", {{"f", R"({"a": 1})"}}},
      {"hermes",
       R"(<tool_call>{"type": "function", "function": {"name": "f", "arguments": {"a": 1}}, "id": 7}</tool_call>)",
       "",
       {{"f", R"({"a": 1})"}}},
      {"hermes", R"(<tool_call>{"name": "f", "arguments": {"a": 1}}}</tool_call>!)", "!", {{"f", R"({"a": 1})"}}},
      {"hermes", R"(<tool_call>{"name": "f", "arguments": {"a": 1}})", "", {{"f", R"({"a": 1})"}}},
      {"hermes",
       R"(<tool_call>{"name": "f", "arguments": {"a": 1}} and then</tool_call>)",
       " and then",
       {{"f", R"({"a": 1})"}}},
      {"hermes",
       R"(<tool_call>[{"name": "f", "arguments": {}}, {"name": "g", "arguments": {"a": 1}}]</tool_call>)",
       "",
       {{"f", "{}"}, {"g", R"({"a": 1})"}}},
      {"hermes",
       "<tool_call>{\"name\": \"f\", \"arguments\": {\"a\": \"one\ntwo\tthree\"}}</tool_call>",
       "",
       {{"f", R"({"a": "one\ntwo\tthree"})"}}},
      {"hermes",
       R"(<tool_call>{"name": "f", "arguments": {"a": "x\"y\\"}}</tool_call>)",
       "",
       {{"f", R"({"a": "x\"y\\"})"}}},
      // No calls after all: content, whole.
      {"hermes",
       "The tag <tool_call> opens one, </tool_call> closes it, 1 < 2 <",
       "The tag <tool_call> opens one, "
       "</tool_call> closes it, 1 < 2 <",
       {}},
      {"hermes", "<tool_call>{oops}</tool_call>", "<tool_call>{oops}</tool_call>", {}},
      {"hermes", R"(<tool_call>{"nome": "f"}</tool_call>)", R"(<tool_call>{"nome": "f"}</tool_call>)", {}},
      {"hermes",
       "<tool_call>no <tool_call>{\"name\": \"f\", \"arguments\": {}}</tool_call>",
       "<tool_call>no",
       {{"f", "{}"}}},
      // Wrong after the name is out: the rest of the call is handed on.
      {"hermes",
       R"(<tool_call>{"name": "f", "arguments": {"a": 'b'}}</tool_call> ok)",
       " ok",
       {{"f", R"({"a": 'b'}})"}}},
      // Kimi K2: the id holds the name.
      {"kimi_k2",
       "Let me look.<|tool_calls_section_begin|><|tool_call_begin|>functions.get_weather:0<|tool_call_argument_begin|>"
       "{\"city\": \"Oslo\"}<|tool_call_end|><|tool_call_begin|>functions.get_time:1<|tool_call_argument_begin|>{}"
       "<|tool_call_end|><|tool_calls_section_end|>",
       "Let me look.",
       {{"get_weather", R"({"city": "Oslo"})"}, {"get_time", "{}"}}},
      {"kimi_k2",
       "<|tool_calls_section_begin|> <|tool_call_begin|>get_time<|tool_call_argument_begin|> {\"a\": "
       "\"<|tool_call_end|>\"} "
       "<|tool_call_end|> <|tool_calls_section_end|> Done.",
       " Done.",
       {{"get_time", R"({"a": "<|tool_call_end|>"})"}}},
      {"kimi_k2", "A <|tool_calls_section_begin|> is odd.", "A <|tool_calls_section_begin|> is odd.", {}},
      {"kimi_k2",
       "<|tool_call_begin|>f:0<|tool_call_argument_begin|>no",
       "<|tool_call_begin|>f:0<|tool_call_argument_begin|>no",
       {}},
      // gpt-oss: a header as the model writes it, and as its template does; commentary and the final answer.
      {"harmony",
       "<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>{\"city\": \"Oslo\"}<|call|>",
       "",
       {{"get_weather", R"({"city": "Oslo"})"}}},
      {"harmony",
       " to=functions.get_weather<|channel|>commentary json<|message|>{\"city\": \"<|call|>\"}<|call|>",
       "",
       {{"get_weather", R"({"city": "<|call|>"})"}}},
      {"harmony",
       "<|channel|>commentary<|message|>I look.<|end|><|start|>assistant<|channel|>commentary to=functions.get_time"
       "<|message|><|call|><|start|>assistant to=functions.f<|channel|>analysis code<|message|>x = 1\n<|call|>",
       "I look.",
       {{"get_time", "{}"}, {"f", "x = 1\n"}}},
      {"harmony",
       "<|channel|>commentary<|message|>One.<|end|><|start|>assistant<|channel|>final<|message|>Two.\n<|return|>",
       "One.\n\nTwo.\n",
       {}},
      {"harmony", "Just text, 1 <| 2, to=functions.", "Just text, 1 <| 2, to=functions.", {}},
      {"harmony", "<|channel|>final<|message|>The tag <|start|> opens.", "The tag <|start|> opens.", {}},
      {"harmony", "<|channel|>commentary to=functions.f <|constrain|>json", "", {}},
      // DeepSeek V3 and its distillations, then V3.1.
      {"deepseek_v3",
       "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>get_weather\n```json\n{\"city\": "
       "\"北京\"}\n```"
       "<｜tool▁call▁end｜>\n<｜tool▁call▁begin｜>function<｜tool▁sep｜>get_time\n```json\n{}\n```<｜tool▁call▁end｜>"
       "<｜tool▁calls▁end｜>",
       "",
       {{"get_weather", R"({"city": "北京"})"}, {"get_time", "{}"}}},
      {"deepseek_v31",
       "Now.<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>get_weather<｜tool▁sep｜>{\"days\": [1, 2]}<｜tool▁call▁end｜>"
       "<｜tool▁call▁begin｜>get_time<｜tool▁sep｜>{}<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
       "Now.",
       {{"get_weather", R"({"days": [1, 2]})"}, {"get_time", "{}"}}},
      {"deepseek_v3", "A ```json\n{}\n``` block <｜tool▁sep｜>", "A ```json\n{}\n``` block <｜tool▁sep｜>", {}},
      {"deepseek_v31",
       "<｜tool▁call▁begin｜>f<｜tool▁sep｜>{\"a\": 1}<｜tool▁call▁end｜> ok",
       " ok",
       {{"f", R"({"a": 1})"}}},
      // Command R7B.
      {"command_r7b",
       "<|START_ACTION|>[\n    {\"tool_call_id\": \"0\", \"tool_name\": \"get_weather\", \"parameters\": {\"city\": "
       "\"Rome\"}},\n"
       "    {\"tool_call_id\": \"1\", \"tool_name\": \"get_time\", \"parameters\": {}}\n]<|END_ACTION|>",
       "",
       {{"get_weather", R"({"city": "Rome"})"}, {"get_time", "{}"}}},
      // Llama 3.
      {"llama3_json",
       R"({"name": "get_weather", "parameters": {"city": "SF"}})",
       "",
       {{"get_weather", R"({"city": "SF"})"}}},
      {"llama3_json", R"({"type": "function", "name": "f", "parameters": {"a": null}})", "", {{"f", R"({"a": null})"}}},
      {"llama3_json",
       "<|python_tag|>{\"name\": \"f\", \"parameters\": {}}; {\"name\": \"g\", \"arguments\": {\"a\": 1}}",
       "",
       {{"f", "{}"}, {"g", R"({"a": 1})"}}},
      {"llama3_json",
       "\n{\"name\": \"f\", \"parameters\": {}}\n{\"name\": \"g\", \"parameters\": {}}",
       "",
       {{"f", "{}"}, {"g", "{}"}}},
      {"llama3_json",
       R"({"name": "f", "parameters": {"a": 1}} Hope it helps.)",
       " Hope it helps.",
       {{"f", R"({"a": 1})"}}},
      {"llama3_json", R"({"name": "f", "parameters": {"a": 1})", "", {{"f", R"({"a": 1})"}}},
      {"llama3_json",
       R"(<|python_tag|>brave_search.call(query="a \"b\" c"))",
       "",
       {{"brave_search", R"({"query": "a \"b\" c"})"}}},
      {"llama3_json",
       "<|python_tag|>import math\nprint(math.pi)",
       "",
       {{"code_interpreter", R"x({"code": "import math\nprint(math.pi)"})x"}}},
      {"llama3_json", R"({"name": "Bob", "age": 3})", R"({"name": "Bob", "age": 3})", {}},
      {"llama3_json", R"({"name": "Bob"})", R"({"name": "Bob"})", {}},
      {"llama3_json",
       "Here is JSON: {\"name\": \"f\", \"parameters\": {}}",
       "Here is JSON: {\"name\": \"f\", \"parameters\": {}}",
       {}},
      {"llama3_json", R"({"answer": [1, 2]})", R"({"answer": [1, 2]})", {}},
      {"llama3_json", "  ", "  ", {}},
      // Python calls.
      {"pythonic",
       R"([get_weather(city="San Francisco", days=-2, hot=True), get_time()])",
       "",
       {{"get_weather", R"({"city": "San Francisco", "days": -2, "hot": true})"}, {"get_time", "{}"}}},
      {"pythonic",
       "[f(a='it''s', b=None, c=[1, 2.5, 1e3, .5], d={'k': (1,), 2: \"v\"}, e='a\\'b\\n\\u00e9\\x41')]",
       "[f(a='it''s', b=None, c=[1, 2.5, 1e3, .5], d={'k': (1,), 2: \"v\"}, e='a\\'b\\n\\u00e9\\x41')]",
       {}},
      {"pythonic",
       "[f(b=None, c=[1, 2.5, 1e3, .5,], d={'k': (1,), 2: \"v\"}, e='a\\'b\\n\\u00e9\\x41\\d')]",
       "",
       {{"f",
         "{\"b\": null, \"c\": [1, 2.5, 1e3, 0.5], \"d\": {\"k\": [1], \"2\": \"v\"}, \"e\": "
         "\"a'b\\né"
         "A\\\\d\"}"}}},
      {"pythonic", "<|python_start|>[f(a=1)]<|python_end|>", "", {{"f", R"({"a": 1})"}}},
      {"pythonic",
       "<|tool_call_start|>[f(a=1), g(b=[])]<|tool_call_end|>Wait.",
       "Wait.",
       {{"f", R"({"a": 1})"}, {"g", R"({"b": []})"}}},
      {"pythonic", "[link](https://x.y) [1, 2]", "[link](https://x.y) [1, 2]", {}},
      {"pythonic", "[f(x)]", "[f(x)]", {}},
      {"pythonic", "[f(a=1), oops]", ", oops]", {{"f", R"({"a": 1})"}}},
      // Mistral.
      {"mistral",
       R"([TOOL_CALLS][{"name": "f", "arguments": {"a": 3.5}}, {"name": "g", "arguments": {}}])",
       "",
       {{"f", R"({"a": 3.5})"}, {"g", "{}"}}},
      {"mistral",
       R"([TOOL_CALLS] [{"name": "f", "arguments": {"a": 3.5}, "id": "abcdefghi"}])",
       "",
       {{"f", R"({"a": 3.5})"}}},
      {"mistral", R"(Sure.[TOOL_CALLS]{"name": "f", "arguments": {}})", "Sure.", {{"f", "{}"}}},
      {"mistral",
       R"([TOOL_CALLS]get_weather[ARGS]{"city": "x"}[TOOL_CALLS]get_time[CALL_ID]123456789[ARGS]{})",
       "",
       {{"get_weather", R"({"city": "x"})"}, {"get_time", "{}"}}},
      {"mistral", R"([TOOL_CALLS]add{"a": 3, "b": {"c": 4}})", "", {{"add", R"({"a": 3, "b": {"c": 4}})"}}},
      {"mistral", "[TOOL_CALLS]no call", "[TOOL_CALLS]no call", {}},
      {"mistral", "[TOOL] and [", "[TOOL] and [", {}},
      // GLM-4.
      {"glm4", "get_weather\n{\"city\": \"北京\"}", "", {{"get_weather", R"({"city": "北京"})"}}},
      {"glm4",
       "\nget_weather \n {\"city\": \"a\"}<|assistant|>get_time\n{}<|observation|>",
       "",
       {{"get_weather", R"({"city": "a"})"}, {"get_time", "{}"}}},
      {"glm4", "I will ask.<|assistant|>get_time\n{}", "I will ask.", {{"get_time", "{}"}}},
      {"glm4", "I will ask.\nget_time\n{}\n", "I will ask.", {{"get_time", "{}"}}},
      {"glm4", "get_weather is a tool.\nget_time\nis another", "get_weather is a tool.\nget_time\nis another", {}},
      {"glm4", "other\n{\"a\": 1}", "other\n{\"a\": 1}", {}},
      {"glm4", "Use get_time\n{}", "Use get_time\n{}", {}},
      // GLM-4.5 and later.
      {"glm45",
       "\n<tool_call>get_weather\n<arg_key>city</arg_key>\n<arg_value>北京 \"x\"\n</arg_value>\n<arg_key>days</arg_key>"
       "\n<arg_value>3</arg_value>\n<arg_key>zip</arg_key>\n<arg_value>007</arg_value>\n</tool_call>",
       "",
       {{"get_weather", R"({"city": "北京 \"x\"\n", "days": 3, "zip": "007"})"}}},
      {"glm45",
       "Ok.<tool_call>get_time</tool_call><tool_call>f<arg_key>a</arg_key><arg_value>{\"b\": [1]}</arg_value>"
       "<arg_key>c</arg_key><arg_value>plain</arg_value></tool_call>",
       "Ok.",
       {{"get_time", "{}"}, {"f", R"({"a": {"b": [1]}, "c": "plain"})"}}},
      {"glm45",
       "<tool_call>get_weather\n<arg_key>hot</arg_key><arg_value>True</arg_value><arg_key>list</arg_key>"
       "<arg_value>['a', 1]</arg_value><arg_key>ratio</arg_key><arg_value>0.5</arg_value><arg_key>where</arg_key>"
       "<arg_value>nowhere</arg_value>\n</tool_call>",
       "",
       {{"get_weather", R"({"hot": true, "list": ["a", 1], "ratio": 0.5, "where": "nowhere"})"}}},
      {"glm45",
       "<tool_call>get_weather\n<arg_key>days</arg_key><arg_value>7</arg_value>",
       "",
       {{"get_weather", R"({"days": 7})"}}},
      {"glm45", "<tool_call>two words\n</tool_call>", "<tool_call>two words\n</tool_call>", {}},
      {"glm45", "<tool_call>get_time\nhuh</tool_call>", "\nhuh", {{"get_time", "{}"}}},
      // Qwen3-Coder and kin.
      {"qwen3_coder",
       "I look.\n<tool_call>\n<function=get_weather>\n<parameter=city>\nNew\nYork\n</parameter>\n<parameter=days>\n2\n"
       "</parameter>\n</function>\n</tool_call>\n<tool_call>\n<function=get_time>\n</function>\n</tool_call>",
       "I look.",
       {{"get_weather", R"({"city": "New\nYork", "days": 2})"}, {"get_time", "{}"}}},
      {"qwen3_coder",
       "<function=get_weather>\n<parameter=city>\n<b>&amp;</b>\n</parameter>\n</function>",
       "",
       {{"get_weather", R"({"city": "<b>&amp;</b>"})"}}},
      {"qwen3_coder", "<tool_call> is a tag; <function=> too", "<tool_call> is a tag; <function=> too", {}},
      {"seed_oss",
       "<seed:tool_call>\n<function=get_weather>\n<parameter=city>x</parameter>\n</function>\n"
       "</seed:tool_call>",
       "",
       {{"get_weather", R"({"city": "x"})"}}},
      {"minimax_m2",
       "<minimax:tool_call>\n<invoke name=\"get_weather\">\n<parameter name=\"city\">x</parameter>\n"
       "</invoke>\n<invoke name=\"get_time\">\n</invoke>\n</minimax:tool_call>",
       "",
       {{"get_weather", R"({"city": "x"})"}, {"get_time", "{}"}}},
      {"phi4_mini", R"(<|tool_call|>[{"name": "f", "arguments": {"a": 1}}]<|/tool_call|>)", "", {{"f", R"({"a": 1})"}}},
      {"phi4_mini", R"(functools[{"name": "f", "arguments": {"a": 1}}])", "", {{"f", R"({"a": 1})"}}},
      {"granite", R"(<|tool_call|>[{"name": "f", "arguments": {"a": 1}}])", "", {{"f", R"({"a": 1})"}}},
      {"apriel", R"(Yes <tool_calls>[{"name": "f", "arguments": {}}]</tool_calls>)", "Yes", {{"f", "{}"}}},
      {"nemotron", R"(<TOOLCALL>[{"name": "f", "arguments": {}}]</TOOLCALL>)", "", {{"f", "{}"}}},
  };
  return kCases;
}

JoinedAnswer expected_answer(const Case& one) {
  JoinedAnswer answer{.content = one.content, .reasoning = {}, .calls = {}};
  for (const auto& [name, arguments] : one.calls) {
    answer.calls.push_back({.name = name, .arguments = arguments, .id = {}, .ended = true});
  }
  return answer;
}

JoinedAnswer without_ids(JoinedAnswer answer) {
  for (JoinedAnswer::Call& call : answer.calls) call.id.clear();
  return answer;
}

TEST(ToolCalls, AreFoundInWholeAnswers) {
  for (const Case& one : cases()) {
    EXPECT_EQ(without_ids(parse_whole(options_of(one.dialect), one.text)), expected_answer(one)) << one.text;
  }
}

TEST(ToolCalls, AreFoundByteByByte) {
  for (const Case& one : cases()) {
    const auto joined = parse_pieces(options_of(one.dialect), one.text, false, [](size_t) { return size_t{1}; });
    EXPECT_EQ(without_ids(joined), expected_answer(one)) << one.text;
  }
}

TEST(ToolCalls, AreFoundInRandomPieces) {
  uint64_t draws = 0;
  for (const Case& one : cases()) {
    for (int round = 0; round < 20; ++round) {
      const auto joined = parse_pieces(options_of(one.dialect), one.text, false, [&](size_t) {
        return 1 + static_cast<size_t>(philox_uniform(3, draws++) * 12);
      });
      ASSERT_EQ(without_ids(joined), expected_answer(one)) << one.text;
    }
  }
}

// An answer that is cut off anywhere: the calls are the beginnings of the whole answer's calls, and the content is the
// beginning of its content, so that nothing of a call is in it.
TEST(ToolCalls, NeverLeakWhenCutOff) {
  for (const Case& one : cases()) {
    const JoinedAnswer whole = parse_whole(options_of(one.dialect), one.text, false);
    if (whole.calls.empty()) continue;
    for (size_t size = 0; size < one.text.size(); ++size) {
      if (utf8_complete_prefix(std::string_view(one.text).substr(0, size)) != size) continue;
      const auto cut = parse_pieces(options_of(one.dialect), std::string_view(one.text).substr(0, size), true,
                                    [](size_t) { return size_t{3}; });
      const std::string where = one.text.substr(0, size);
      EXPECT_TRUE(whole.content.starts_with(trim(cut.content)) ||
                  cut.content == whole.content.substr(0, cut.content.size()))
          << where << "|" << cut.content;
      ASSERT_LE(cut.calls.size(), whole.calls.size()) << where;
      for (size_t i = 0; i < cut.calls.size(); ++i) {
        EXPECT_EQ(cut.calls[i].name, whole.calls[i].name) << where;
        EXPECT_TRUE(whole.calls[i].arguments.starts_with(cut.calls[i].arguments))
            << where << "|" << cut.calls[i].arguments;
      }
    }
  }
}

TEST(ToolCalls, ArgumentsComeAsTheyAreWritten) {
  AnswerParser parser(options_of("hermes"));
  const auto after = [&](std::string_view text) {
    std::vector<AnswerEvent> events;
    parser.push(text, events);
    return events;
  };
  EXPECT_TRUE(after("<tool_call>\n{\"name\": \"get_wea").empty());
  EXPECT_TRUE(after("ther\", \"arguments\"").empty());
  const auto begin = after(": {\"city\": \"San");
  ASSERT_EQ(begin.size(), 2U);
  EXPECT_EQ(begin[0].kind, AnswerEvent::Kind::kCallBegin);
  EXPECT_EQ(begin[0].text, "get_weather");
  EXPECT_EQ(begin[1].text, "{\"city\": \"San");
  const auto more = after(" Francisco\"");
  ASSERT_EQ(more.size(), 1U);
  EXPECT_EQ(more[0].text, " Francisco\"");
}

TEST(ToolCalls, StringsInTagsComeAsTheyAreWritten) {
  AnswerParser parser(options_of("qwen3_coder"));
  std::vector<AnswerEvent> events;
  parser.push("<tool_call>\n<function=get_weather>\n<parameter=city>\nSan \"F\"", events);
  JoinedAnswer joined;
  join_events(events, joined);
  ASSERT_EQ(joined.calls.size(), 1U);
  EXPECT_EQ(joined.calls[0].arguments, R"({"city": "San \"F\")");
}

TEST(ToolCalls, TextIsNotHeldBackWithoutNeed) {
  AnswerParser parser(options_of("hermes"));
  std::vector<AnswerEvent> events;
  parser.push("Hello, <b>world</b> a<", events);
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0].text, "Hello, <b>world</b> a");
}

TEST(ToolCalls, IdsOfTheModelAreKept) {
  const auto answer = parse_whole(options_of("mistral"), "[TOOL_CALLS]f[CALL_ID]a1B2c3D4e[ARGS]{\"a\": 1}");
  ASSERT_EQ(answer.calls.size(), 1U);
  EXPECT_EQ(answer.calls[0].id, "a1B2c3D4e");
  const auto kimi = parse_whole(options_of("kimi_k2"),
                                "<|tool_call_begin|>functions.f:12<|tool_call_argument_begin|>{}<|tool_call_end|>");
  ASSERT_EQ(kimi.calls.size(), 1U);
  EXPECT_EQ(kimi.calls[0].name, "f");
  EXPECT_EQ(kimi.calls[0].id, "functions.f:12");
  const auto command = parse_whole(  // ids that begin again with every answer are none
      options_of("command_r7b"), R"(<|START_ACTION|>[{"tool_call_id": "0", "tool_name": "f", "parameters": {}}])");
  ASSERT_EQ(command.calls.size(), 1U);
  EXPECT_EQ(command.calls[0].id, "");
}

TEST(ToolCalls, WithoutADialectAllIsContent) {
  const std::string text = "<tool_call>\n{\"name\": \"f\", \"arguments\": {}}\n</tool_call>\n";
  const JoinedAnswer answer = parse_whole(options_of(""), text);
  EXPECT_EQ(answer.content, text);
  EXPECT_TRUE(answer.calls.empty());
}

struct ReasoningCase {
  std::string dialect;
  bool begun;
  std::string text, reasoning, content;
};

TEST(Reasoning, IsSplitOff) {
  const ReasoningCase kCases[] = {
      {"qwen3", false, "<think>\nHm.\n\nYes.\n</think>\n\nAnswer.\n", "Hm.\n\nYes.", "Answer.\n"},
      {"qwen3", false, "No thought </think> here.", "", "No thought </think> here."},
      {"qwen3", false, "<think>\n\n</think>\n\nAnswer.", "", "Answer."},
      {"qwen3", true, "Hm.</think>Answer <think> again.", "Hm.", "Answer <think> again."},
      {"deepseek_r1", true, "\nHm. 1 < 2 </ \n</think>\n\nAnswer.", "Hm. 1 < 2 </", "Answer."},
      {"deepseek_r1", true, "<think>\nHm.</think>Answer.", "Hm.", "Answer."},
      {"deepseek_r1", true, "never ends <", "never ends <", ""},
      {"glm45", false, "\n<think>短い</think>\n答え", "短い", "答え"},
      {"mistral", false, "[THINK]Hm.[/THINK]Answer.", "Hm.", "Answer."},
      {"seed_oss", false, "<seed:think>Hm.</seed:think>Answer.", "Hm.", "Answer."},
      {"harmony", false,
       "<|channel|>analysis<|message|>Hm.\n<|end|><|start|>assistant<|channel|>analysis<|message|>Yes.<|end|>"
       "<|start|>assistant<|channel|>final<|message|>Answer.\n<|return|>",
       "Hm.\n\n\nYes.", "Answer.\n"},
      {"harmony", true, "Hm.<|end|><|start|>assistant<|channel|>final<|message|>Answer.", "Hm.", "Answer."},
      {"harmony", false, "<|channel|>final<|message|>A", "", "A"},
      {"harmony", false, "<|channel|>analysis<|message|>never ends <|", "never ends <|", ""},
      {"qwen3", false, "  two spaces", "", "  two spaces"},
      {"qwen3", false, "<thin", "", "<thin"},
      {"", false, "<think>x</think>y", "", "<think>x</think>y"},
  };
  for (const ReasoningCase& one : kCases) {
    const AnswerOptions options = options_of("", one.dialect, one.begun);
    for (const size_t size : {size_t{1}, size_t{2}, size_t{5}, size_t{1000}}) {
      const auto joined = parse_pieces(options, one.text, false, [&](size_t) { return size; });
      EXPECT_EQ(joined.reasoning, one.reasoning) << one.text << size;
      EXPECT_EQ(joined.content, one.content) << one.text << size;
    }
  }
}

TEST(Reasoning, CutOffMarkersAreNoText) {
  const AnswerOptions options = options_of("hermes", "qwen3");
  EXPECT_EQ(parse_whole(options, "<thi", true), JoinedAnswer{});
  EXPECT_EQ(parse_whole(options, "<think>Hm.\n</thin", true).reasoning, "Hm.");
  EXPECT_EQ(parse_whole(options, "<think>Hm.\n</thin", true).content, "");
}

TEST(Reasoning, StandsBeforeCalls) {
  for (const size_t size : {size_t{1}, size_t{7}, size_t{1000}}) {
    const auto joined = parse_pieces(options_of("hermes", "qwen3"),
                                     "<think>\nI could write <tool_call>.\n</think>\n\n<tool_call>\n{\"name\": \"f\", "
                                     "\"arguments\": {}}\n</tool_call>",
                                     false, [&](size_t) { return size; });
    EXPECT_EQ(joined.reasoning, "I could write <tool_call>.");
    EXPECT_EQ(joined.content, "");
    ASSERT_EQ(joined.calls.size(), 1U);
  }
  const auto llama =
      parse_whole(options_of("llama3_json", "deepseek_r1", true), "Hm.</think>\n{\"name\": \"f\", \"parameters\": {}}");
  EXPECT_EQ(llama.calls.size(), 1U);
}

// What an answer's messages, as OpenAI's parser reads them, are to a client.
JoinedAnswer joined_messages(const Json& messages) {
  JoinedAnswer joined;
  for (const Json& message : messages) {
    const auto body = message[2].get<std::string>();
    if (!message[1].is_null()) {
      auto name = message[1].get<std::string>();
      if (name.starts_with("functions.")) name.erase(0, std::string_view("functions.").size());
      joined.calls.push_back({.name = name, .arguments = body.empty() ? "{}" : body, .id = {}, .ended = true});
    } else if (!body.empty()) {
      std::string& text = message[0] == "analysis" ? joined.reasoning : joined.content;
      text += (text.empty() ? "" : "\n\n") + body;
    }
  }
  return joined;
}

TEST(Harmony, IsReadAsOpenAIsParserReadsIt) {
  const auto text = read_file(SLUICE_SOURCE_DIR "/tests/golden/answers/harmony.json");
  ASSERT_TRUE(text.ok());
  const Json rows = parse_json(*text).value();
  EXPECT_GE(rows.size(), 80U);
  for (const Json& row : rows) {
    const auto answer = row[0].get<std::string>();
    for (const size_t size : {size_t{1}, size_t{7}, answer.size()}) {
      EXPECT_EQ(parse_pieces(options_of("harmony", "harmony"), answer, false, [&](size_t) { return size; }),
                joined_messages(row[1]))
          << answer;
    }
  }
}

TEST(Reasoning, StandsBetweenCallsOfHarmony) {
  const std::string text =
      "<|channel|>analysis<|message|>I call.<|end|><|start|>assistant<|channel|>commentary to=functions.f "
      "<|constrain|>json<|message|>{\"a\": 1}<|call|><|start|>assistant<|channel|>analysis<|message|>Done.<|end|>"
      "<|start|>assistant<|channel|>final<|message|>Well.<|return|>";
  for (const size_t size : {size_t{1}, size_t{7}, size_t{1000}}) {
    const auto joined = parse_pieces(options_of("harmony", "harmony"), text, false, [&](size_t) { return size; });
    EXPECT_EQ(joined.reasoning, "I call.\n\nDone.");
    EXPECT_EQ(joined.content, "Well.");
    ASSERT_EQ(joined.calls.size(), 1U);
    EXPECT_EQ(joined.calls[0].arguments, R"({"a": 1})");
  }
  // A parser of calls alone leaves reasoning in the text, one of reasoning alone the calls.
  EXPECT_EQ(parse_whole(options_of("harmony"), text).content, "I call.\n\nDone.\n\nWell.");
  EXPECT_EQ(parse_whole(options_of("", "harmony"), text).content, "{\"a\": 1}\n\nWell.");
  // Cut off anywhere it shows no header and nothing of a call but its arguments.
  for (size_t length = 0; length < text.size(); ++length) {
    const auto cut = parse_whole(options_of("harmony", "harmony"), std::string_view(text).substr(0, length), true);
    EXPECT_TRUE(std::string_view("I call.\n\nDone.").starts_with(cut.reasoning)) << length << cut.reasoning;
    EXPECT_TRUE(std::string_view("Well.").starts_with(cut.content)) << length << cut.content;
    for (const auto& call : cut.calls) EXPECT_TRUE(std::string_view(R"({"a": 1})").starts_with(call.arguments));
  }
}

// A hostile answer takes no more than linear time: a test that is too slow fails by its timeout.
TEST(ToolCalls, LongAnswersTakeLinearTime) {
  const std::string long_text(2'000'000, 'a');
  const std::pair<std::string, std::string> kHostile[] = {
      {"hermes", "<tool_call>{\"name\": \"f\", \"x\": \"" + long_text},
      {"hermes", "<tool_call>{\"arguments\": {\"a\": \"" + long_text},
      {"hermes", "<tool_call>{\"name\": \"f\", \"arguments\": {\"a\": \"" + long_text},
      {"pythonic", "[f(a=\"" + long_text},
      {"glm45", "<tool_call>f<arg_key>a</arg_key><arg_value>" + long_text},
      {"glm4", std::string(1'000'000, '\n') + long_text},
      {"mistral", "[TOOL_CALLS]" + long_text},
      {"harmony", "<|channel|>commentary to=functions.f<|message|>{\"a\": \"" + long_text},
      {"harmony", "<|channel|>" + long_text},
  };
  for (const auto& [dialect, text] : kHostile) {
    (void)parse_pieces(options_of(dialect), text, true, [](size_t) { return size_t{4}; });
  }
  std::string repeated;
  for (int i = 0; i < 100'000; ++i) repeated += "<tool_call>x";
  EXPECT_EQ(parse_whole(options_of("hermes"), repeated).content, repeated);
  repeated.clear();
  for (int i = 0; i < 100'000; ++i) repeated += "<|start|>x";
  EXPECT_EQ(parse_whole(options_of("harmony"), repeated).content, repeated);
}

}  // namespace
}  // namespace sluice::text::answers
