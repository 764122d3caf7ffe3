#pragma once
// The fields every generating route shares: sampling, stops, delivery. Used by the parsers of request.h.

#include <string_view>
#include <vector>

#include "api/generate.h"
#include "server/openai/fields.h"
#include "server/openai/request.h"

namespace sluice::openai {

// Reads them into `request` and `answer`; mistakes are kept in `fields`. max_tokens and logprobs differ between routes
// and are not among them.
void read_sampling(FieldReader& fields, const ParseOptions& options, api::GenerateRequest& request,
                   AnswerOptions& answer);
void read_stream_options(FieldReader& fields, AnswerOptions& answer);
// After max_tokens is known: min_tokens must fit.
void check_min_tokens(FieldReader& fields, const api::SamplingParams& sampling);
// Refuses known parameters that would change the answer and are not supported.
void refuse_unsupported(FieldReader& fields);

// An array of token ids, each 0 … 2³¹−1. `param` names the array in errors.
Result<std::vector<api::TokenId>> parse_token_ids(const Json& array, std::string_view param);

}  // namespace sluice::openai
