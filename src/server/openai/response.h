#pragma once
// Bodies of the answers that are not generated text. Pure text.

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "api/backend.h"
#include "server/openai/answer_writer.h"
#include "server/openai/request.h"

namespace sluice::openai {

// {"id":…,"object":"inference","model":…,"output":…,"finish_reason":…,"usage":…}; `batch`: output and finish_reason are
// arrays, one entry per input.
std::string render_inference(const AnswerHead& head, std::span<const ChoicePart> choices, const api::Usage& usage,
                             bool batch);

// {"object":"list","data":[{"object":"embedding","index":…,"embedding":…}],"model":…,"usage":…}
std::string render_embeddings(std::string_view model, const api::EmbedAnswer& answer, EmbeddingEncoding encoding);
// Keeps the first `dimensions` numbers of each, and scales them to length 1 again when `normalize`. kInvalidArgument
// when there are fewer.
Result<void> cut_embeddings(api::EmbedAnswer& answer, int64_t dimensions, bool normalize);

std::string render_model(const api::ModelCard& card);
std::string render_models(const std::vector<api::ModelCard>& cards);

// Both llama-server's and vLLM's members. `pieces`: the tokens' bytes, used when asked for.
std::string render_tokens(const TokenizeCall& call, const std::vector<api::TokenId>& ids,
                          const std::vector<std::string>& pieces, int context_tokens);

}  // namespace sluice::openai
