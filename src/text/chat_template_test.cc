#include "text/chat_template.h"

#include <gtest/gtest.h>

#include <array>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "base/file.h"
#include "base/json.h"
#include "base/strings.h"
#include "text/testing.h"

namespace sluice::text {
namespace {

const std::string kGoldens = SLUICE_SOURCE_DIR "/tests/golden/templates/";
// strftime_now depends on the day; goldens are rendered under this macro instead (tools/goldens/templates.py).
constexpr std::string_view kClock = "{% macro strftime_now(format) %}<{{ format }}>{% endmacro %}";

std::filesystem::path shared_data() {
  const char* configured = std::getenv("SLUICE_SHARED_DATA");
  return configured ? configured : SLUICE_SOURCE_DIR "/../shared/data";
}

Result<std::string> render(std::string_view source, const Json& variables, const TemplateLimits& limits = {}) {
  SLUICE_TRY(const ChatTemplate parsed, ChatTemplate::parse(source, limits));
  return parsed.render(variables);
}

std::string shown(const Result<std::string>& result) {
  return result.ok() ? *result : "error: " + result.error().message;
}

// The text as rendered.json records it.
std::string digest(const Result<std::string>& result) {
  if (!result.ok()) return "error";
  uint64_t code = 0xCBF29CE484222325;
  for (const char c : *result) code = (code ^ static_cast<uint8_t>(c)) * 0x100000001B3;
  std::array<char, 48> text{};
  std::snprintf(text.data(), text.size(), "%016" PRIx64 ":%zu", code, result->size());
  return text.data();
}

TEST(ChatTemplate, LanguageAsJinja2RendersIt) {
  const Json golden = read_json(kGoldens + "language.json");
  ASSERT_GT(golden["cases"].size(), 900u);
  for (const Json& one : golden["cases"]) {
    const auto source = one["template"].get<std::string>();
    const auto result = render(source, golden["contexts"][one["context"].get<size_t>()]);
    if (one.contains("error")) {
      EXPECT_FALSE(result.ok()) << source << "\n  Jinja2 raises " << one["error"] << ", we render " << shown(result);
    } else {
      EXPECT_EQ(shown(result), one["expected"].get<std::string>()) << source;
    }
  }
}

TEST(ChatTemplate, PublishedTemplatesAsTransformersRendersThem) {
  const auto shared = shared_data();
  if (!std::filesystem::exists(shared / "templates")) GTEST_SKIP() << "no shared data at " << shared;
  const Json conversations = read_json(kGoldens + "conversations.json");
  int compared = 0;
  const Json rendered = read_json(kGoldens + "rendered.json");
  for (const auto& [path, digests] : rendered.items()) {
    auto source = read_file((shared / path).string());
    ASSERT_TRUE(source.ok()) << path;
    if (source->find("strftime_now") != std::string::npos) source->insert(0, kClock);
    const auto parsed = ChatTemplate::parse(*source);
    ASSERT_TRUE(parsed.ok()) << path << ": " << parsed.error().message;
    for (const auto& [name, expected] : digests.items()) {
      const auto result = parsed->render(conversations[name]);
      EXPECT_EQ(digest(result), expected.get<std::string>()) << path << " with " << name << ":\n" << shown(result);
      ++compared;
    }
  }
  EXPECT_GT(compared, 2000);
}

TEST(ChatTemplate, SharedVectors) {
  const auto path = shared_data() / "conformance/jinja-vectors/jinja_vectors.dev.json";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "no shared data at " << path;
  const Json vectors = read_json(path.string());
  EXPECT_EQ(vectors["cases"].size(), 168u);
  for (const Json& one : vectors["cases"]) {
    const auto result = render(one["template"].get<std::string>(), one["vars"]);
    if (one["jinja2_3.1.6"] == "same") {
      EXPECT_EQ(shown(result), one["expected"].get<std::string>()) << one["name"] << ": " << one["template"];
    } else {
      EXPECT_FALSE(result.ok()) << one["name"] << ": Jinja2 raises, we render " << shown(result);
    }
  }
}

Error failure(std::string_view source, const Json& variables = Json::object(), const TemplateLimits& limits = {}) {
  const auto result = render(source, variables, limits);
  EXPECT_FALSE(result.ok()) << source << " renders " << shown(result).substr(0, 200);
  return result.ok() ? Error{} : result.error();
}

TEST(ChatTemplate, RaisedTextComesFirstAndThenItsPlace) {
  const Error error = failure("a\n{{ raise_exception('Roles must alternate: ' ~ 2) }}");
  EXPECT_EQ(error.code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(error.message,
            "Roles must alternate: 2 (chat template line 2, in 'raise_exception('Roles must alternate: ' ~ 2)')");
  // The place is where it was raised, not where the macro was called; a failure of its argument is not the template's.
  EXPECT_EQ(failure("{% macro m(x) %}\n{{ raise_exception(x) }}\n{% endmacro %}\n{{ m('no') }}").message,
            "no (chat template line 2, in 'raise_exception(x)')");
  EXPECT_EQ(failure("\n{{ raise_exception(x.y) }}").message, "chat template line 2: 'x' is undefined (in 'x.y')");
}

TEST(ChatTemplate, ErrorsNameLineAndExpression) {
  EXPECT_EQ(failure("a\nb\n{{ 1 }} {{ user.name }}").message,
            "chat template line 3: 'user' is undefined (in 'user.name')");
  EXPECT_EQ(failure("\n{% for a in 5 %}{% endfor %}").message.substr(0, 21), "chat template line 2:");
  EXPECT_EQ(failure("{{ messages[0].content + 'x' }}", {{"messages", {{{"role", "user"}}}}}).message,
            "chat template line 1: 'dict object' has no attribute 'content' (in 'messages[0].content + 'x'')");
  EXPECT_EQ(failure("{% if x %}\n\n{{ 1 + }}{% endif %}").message,
            "chat template line 3: expected an expression, got '}}'");
  EXPECT_EQ(failure("{% set _ = [1].append(2) %}").message.substr(0, 21), "chat template line 1:");
  EXPECT_NE(failure("{{ [1].append(2) }}").message.find("unsafe"), std::string::npos);
}

TEST(ChatTemplate, OtherFilesAreNamedAsUnsupported) {
  for (const char* source :
       {"{% include 'a' %}", "{% extends 'a' %}", "{% import 'a' as b %}", "{% from 'a' import b %}"}) {
    EXPECT_EQ(failure(source).code, ErrorCode::kUnimplemented) << source;
  }
}

TEST(ChatTemplate, SyntaxErrorsAreCorruptData) {
  for (const char* source : {"{% if x %}", "{{ x", "{{ 'a }}", "{# x", "{% raw %}", "{{ x|nosuch }}", "{% wrong %}"}) {
    EXPECT_EQ(failure(source).code, ErrorCode::kCorruptData) << source;
  }
}

TEST(ChatTemplate, IntegersEndAt64BitsWithAnError) {
  for (const char* source :
       {"{{ 9223372036854775807 + 1 }}", "{{ 2 ** 64 }}", "{{ 99999999999999999999 }}",
        "{{ -(-9223372036854775807 - 1) }}", "{{ '99999999999999999999'|int }}", "{{ 4611686018427387904 * 2 }}",
        "{{ 1e300|int }}", "{{ (-9223372036854775807 - 1) // -1 }}", "{{ (-9223372036854775807 - 1)|abs }}"}) {
    EXPECT_FALSE(render(source, Json::object()).ok()) << source;
  }
}

TEST(ChatTemplate, TimeOfTheLocalClock) {
  const auto result = render("{{ strftime_now('%Y-%m-%d|%H:%M:%S|%f|%j|%%|%z%Z') }}", Json::object());
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->size(), std::string("2026-01-01|00:00:00|000000|001|%|").size()) << *result;
  EXPECT_EQ(result->substr(0, 2), "20");
}

TEST(ChatTemplate, VariablesMustBeAnObject) {
  EXPECT_EQ(render("x", Json::array()).error().code, ErrorCode::kInvalidArgument);
}

// ---- limits: a hostile template ends with an error, quickly, in little memory and stack ----

constexpr TemplateLimits kSmall{.output_bytes_max = size_t{4} << 20, .steps_max = 2'000'000};

TEST(ChatTemplateLimits, EndlessWorkIsStopped) {
  for (const char* source : {
           "{% for a in range(10 ** 12) %}{% endfor %}",
           "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}",
           "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
           "{% macro m(n) %}{% if n > 0 %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(60) }}",
           "{% for a in [[[]]] recursive %}{{ loop([a]) }}{% endfor %}",
           "{% macro f(x) %}{% endmacro %}{% macro m() %}{{ f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(m())))))))))))))))) }}{% "
           "endmacro %}{{ m() }}",
           "{% macro m() %}{% filter upper %}{% set x %}{% call m() %}{{ caller() }}{% endcall %}{% endset %}{% "
           "endfilter %}"
           "{% endmacro %}{{ m() }}",
           "{% set ns = namespace(l=range(1000)|list) %}{% for a in range(100000) %}{% set x = ns.l == ns.l + [] %}{% "
           "endfor %}",
           "{% set l = range(100000)|list %}{% for a in l %}{% if a in l %}{% endif %}{{ l|sum }}{% endfor %}",
       }) {
    EXPECT_NE(failure(source, Json::object(), kSmall).message.find("line 1"), std::string::npos) << source;
  }
}

TEST(ChatTemplateLimits, HugeTextIsRefusedBeforeItIsMade) {
  for (const char* source : {
           "{{ 'a' * 10 ** 9 }}",
           "{{ 'abc' * 9223372036854775807 }}",
           "{{ [1] * 10 ** 15 }}",
           "{% set ns = namespace(s='aaaaaaaa') %}{% for i in range(64) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
           "{% set ns = namespace(s='aaaaaaaa') %}{% for i in range(64) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
           "{% set ns = namespace(s=[1]) %}{% for i in range(64) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
           "{% set ns = namespace(s=[1]) %}{% for i in range(64) %}{% set ns.s = [ns.s, ns.s] %}{% endfor %}{{ ns.s }}",
           "{% set ns = namespace(s=[1]) %}{% for i in range(64) %}{% set ns.s = [ns.s, ns.s] %}{% endfor %}{{ "
           "ns.s|tojson }}",
           "{% set ns = namespace(s=[1]) %}{% for i in range(64) %}{% set ns.s = [ns.s, ns.s] %}{% endfor %}{{ ns.s == "
           "ns.s + [] }}",
           "{% set ns = namespace(s=(1,)) %}{% for i in range(64) %}{% set ns.s = (ns.s, ns.s) %}{% endfor %}{{ {ns.s: "
           "1} }}",
           "{{ ('a' * 100000).replace('a', 'b' * 100000) }}",
           "{{ 'a'.center(10 ** 12) }}{{ 1 }}",
           "{{ 'a'.zfill(10 ** 12) }}",
           "{{ '%1000000000d' % 1 }}",
           "{{ '%.1000000000f' % 1 }}",
           "{{ '{:1000000000}'.format('a') }}",
           "{{ 'a\tb'.expandtabs(10 ** 10) }}",
           "{{ ('a\n' * 100000)|indent(100000) }}",
           "{{ 'x'|indent(10 ** 12) }}",
           "{{ [1, 2]|tojson(indent=10 ** 12) }}",
           "{{ [1, 2]|tojson(indent='x' * 4000000) }}",
           "{{ [1]|batch(10 ** 12, 0)|list }}",
           "{{ [1]|slice(10 ** 12)|list }}",
           "{{ (range(100000)|list)|join('a' * 100000) }}",
           "{{ ('a' * 100000).join(range(100000)|map('string')|list) }}",
           "{% for a in range(100000) %}{{ 'a' * 1000 }}{% endfor %}",
           "{% set x %}{% for a in range(100000) %}{{ 'a' * 1000 }}{% endfor %}{% endset %}",
           "{{ ('a,' * 2000000).split(',')|length }}",
           "{{ (('<' * 4000000)|e)|length }}",
       }) {
    EXPECT_EQ(failure(source, Json::object(), kSmall).code, ErrorCode::kTooLarge) << source;
  }
}

TEST(ChatTemplateLimits, DeepNestingIsRefusedNotFollowed) {
  const auto repeat = [](std::string_view text, int count) {
    std::string out;
    for (int i = 0; i < count; ++i) out += text;
    return out;
  };
  const int deep = 100000;
  for (const std::string& source : {
           "{{ " + repeat("(", deep),
           "{{ " + repeat("[", deep) + repeat("]", deep) + " }}",
           "{{ " + repeat("{1:", deep),
           "{{ " + repeat("not ", deep) + "1 }}",
           "{{ " + repeat("-", deep) + "1 }}",
           "{{ " + repeat("x.", deep) + "x }}",
           "{{ x" + repeat("[0]", deep) + " }}",
           "{{ x" + repeat("()", deep) + " }}",
           "{{ x" + repeat("|upper", deep) + " }}",
           "{{ x" + repeat(" is defined", deep) + " }}",
           "{{ " + repeat("1 if 1 else ", deep) + "1 }}",
           "{{ 1" + repeat(" if 1", deep) + " }}",
           "{{ " + repeat("f(", deep),
           repeat("{% if 1 %}", deep),
           repeat("{% for a in b %}", deep),
           "{% set " + repeat("(", deep) + "a" + repeat(")", deep) + " = 1 %}",
       }) {
    EXPECT_FALSE(ChatTemplate::parse(source).ok()) << source.substr(0, 40);
  }
  // What people write is no nesting yet (Jinja2 itself ends at about 60 parentheses), and neither are long chains.
  EXPECT_EQ(shown(render("{{ " + repeat("(", 70) + "1" + repeat(")", 70) + " }}", Json::object())), "1");
  EXPECT_EQ(shown(render("{{ 1" + repeat(" + 1", 20000) + " }}", Json::object())), "20001");
  EXPECT_EQ(shown(render("{{ 1" + repeat(" and 1", 20000) + " }}", Json::object())), "1");
  EXPECT_EQ(shown(render("{% if 0 %}" + repeat("{% elif 0 %}", 20000) + "{% else %}x{% endif %}", Json::object())),
            "x");
}

TEST(ChatTemplateLimits, DeepValuesAreRefusedNotFollowed) {
  for (const char* source : {
           "{% set ns = namespace(s=[]) %}{% for i in range(100000) %}{% set ns.s = [ns.s] %}{% endfor %}{{ ns.s }}",
           "{% set ns = namespace(s={}) %}{% for i in range(100000) %}{% set ns.s = {1: ns.s} %}{% endfor %}{{ "
           "ns.s|tojson }}",
           "{% set l = ['map'] * 5000 %}{{ ['a']|map(*l)|list }}",
       }) {
    EXPECT_EQ(failure(source).code, ErrorCode::kTooLarge) << source;
  }
  Json deep = Json::array();
  for (int i = 0; i < 1000; ++i) deep = Json::array({std::move(deep)});
  EXPECT_EQ(failure("{{ x }}", {{"x", std::move(deep)}}).code, ErrorCode::kTooLarge);
  // Chains through namespaces and closures end too, and are freed without recursion.
  EXPECT_TRUE(
      render("{% set ns = namespace(s=0) %}{% for i in range(50000) %}{% set ns.s = namespace(s=ns.s) %}{% endfor %}",
             Json::object())
          .ok());
  EXPECT_TRUE(
      render("{% set ns = namespace(f=0) %}{% macro m(f) %}{% macro g() %}{{ f }}{% endmacro %}{% set ns.f = g %}"
             "{% endmacro %}{% for i in range(5000) %}{{ m(ns.f) }}{% endfor %}",
             Json::object())
          .ok());
}

TEST(ChatTemplateLimits, RingsOfValuesAreFreed) {
  // Leaks would be reported by the address sanitizer.
  for (const char* source :
       {"{% set ns = namespace() %}{% set ns.me = ns %}{{ ns }}",
        "{% set ns = namespace() %}{% macro m() %}{{ ns }}{% endmacro %}{% set ns.m = m %}",
        "{% for a in [1, 2] %}{{ loop.changed(loop) }}{% endfor %}",
        "{% for a in [1] %}{% macro m() %}{{ a }}{% endmacro %}{% set l = [m, loop] %}{% endfor %}"}) {
    EXPECT_TRUE(render(source, Json::object()).ok()) << source;
  }
}

TEST(ChatTemplateLimits, SourceSize) {
  EXPECT_EQ(ChatTemplate::parse(std::string(2000, 'a'), {.source_bytes_max = 1000}).error().code, ErrorCode::kTooLarge);
}

TEST(ChatTemplate, OneTemplateManyThreads) {
  const auto parsed = ChatTemplate::parse(
      "{% macro m(x) %}<{{ x|upper }}>{% endmacro %}{% for a in l %}{{ m('k' ~ a) }}{% endfor %}{{ 'const' + s }}");
  ASSERT_TRUE(parsed.ok());
  std::vector<std::thread> threads;
  std::vector<std::string> results(8);
  for (size_t i = 0; i < results.size(); ++i) {
    threads.emplace_back([&, i] {
      for (int round = 0; round < 200; ++round) {
        results[i] = shown(parsed->render({{"l", {1, 2, static_cast<int>(i)}}, {"s", std::to_string(i)}}));
      }
    });
  }
  for (auto& thread : threads) thread.join();
  for (size_t i = 0; i < results.size(); ++i) EXPECT_EQ(results[i], cat("<K1><K2><K", i, ">const", i));
}

}  // namespace
}  // namespace sluice::text
