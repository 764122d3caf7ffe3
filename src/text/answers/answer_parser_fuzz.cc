// The first byte chooses a dialect, the second how long the pieces are; the rest is an answer. Whole and in pieces it
// gives the same; content without calls is the text itself; and no content holds an opener with a whole call behind it.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/json.h"
#include "text/answers/answer_testing.h"
#include "text/answers/tool_dialects.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice;
  using namespace sluice::text::answers;
  static const auto kTools = std::make_shared<const Json>(
      parse_json(R"([{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{
        "s":{"type":"string"},"n":{"type":"number"}}}}},{"type":"function","function":{"name":"python"}}])")
          .value());
  if (size < 2) return 0;
  const auto dialects = tool_dialect_names();
  const auto reasonings = reasoning_dialect_names();
  AnswerOptions options{.tool_dialect = std::string(dialects[data[0] % dialects.size()]), .tools = kTools};
  if ((data[1] & 0xC0) == 0xC0) options.reasoning_dialect = std::string(reasonings[data[0] % reasonings.size()]);
  // Engines hand out complete characters.
  const std::string text = utf8_sanitize({reinterpret_cast<const char*>(data) + 2, size - 2});

  const JoinedAnswer whole = parse_whole(options, text);
  uint64_t step = data[1] & 0x3F;
  const auto pieces = parse_pieces(options, text, false, [&](size_t) {
    step = step * 6364136223846793005U + 1442695040888963407U;
    return 1 + static_cast<size_t>(step >> 60);
  });
  SLUICE_CHECK(pieces == whole, "pieces give what the whole gives");
  if (whole.calls.empty() && options.reasoning_dialect.empty() && options.tool_dialect != "glm4" &&
      options.tool_dialect != "harmony") {
    const bool all = whole.content == text;
    SLUICE_CHECK(all || text.starts_with(whole.content), "text is content");
  }
  for (const JoinedAnswer::Call& call : whole.calls) SLUICE_CHECK(!call.name.empty() && call.ended, "calls are whole");
  const JoinedAnswer cut = parse_whole(options, text, true);
  SLUICE_CHECK(trim(cut.content).size() <= trim(whole.content).size(), "a cut answer shows no more");
  SLUICE_CHECK(cut.calls.size() <= whole.calls.size(), "a cut answer has no more calls");
  return 0;
}
