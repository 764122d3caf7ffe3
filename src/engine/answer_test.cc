#include "engine/answer.h"

#include <gtest/gtest.h>

#include "engine/engine_test_model.h"

namespace sluice::engine {
namespace {

std::string text_of(const SamplingSettings& settings, const std::vector<TokenId>& ids) {
  const PieceTokenizer tokenizer;
  Answer answer(tokenizer, settings, std::vector<TokenId>{8, 2}, 100);
  std::string text;
  for (const TokenId id : ids) text += answer.push({.id = id}).text;
  return text + answer.push({.id = PieceTokenizer::kEos}).text;
}

TEST(Answer, PrintsOnlyTheSpecialTokensItIsToldTo) {
  // "a", "<pad>", a character in halves around "<stop>", "b".
  const std::vector<TokenId> ids = {8, 2, 3, 1, 4, 9};
  SamplingSettings settings;
  settings.end_ids = {PieceTokenizer::kEos};
  EXPECT_EQ(text_of(settings, ids), "aéb");
  settings.shown_tokens = {"<pad>", "<unknown>"};
  EXPECT_EQ(text_of(settings, ids), "a<pad>éb");
  settings.shown_tokens = {"<eos>", "<pad>"};
  EXPECT_EQ(text_of(settings, {8, 2}), "a<pad>");
  settings.shown_tokens = {};
  settings.skip_special_tokens = false;
  EXPECT_EQ(text_of(settings, {8, 2, 9}), "a<pad>b");
}

TEST(Answer, ShownTokensMayBeStopStrings) {
  SamplingSettings settings;
  settings.end_ids = {PieceTokenizer::kEos};
  settings.shown_tokens = {"<pad>"};
  settings.stop = {"<pad>"};
  const PieceTokenizer tokenizer;
  Answer answer(tokenizer, settings, std::vector<TokenId>{8}, 100);
  EXPECT_EQ(answer.push({.id = 8}).text, "a");
  const api::TokenDelta last = answer.push({.id = 2});
  EXPECT_EQ(last.text, "");
  EXPECT_EQ(last.stop_match, "<pad>");
}

}  // namespace
}  // namespace sluice::engine
