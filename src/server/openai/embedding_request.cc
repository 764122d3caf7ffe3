#include "base/strings.h"
#include "server/openai/request.h"
#include "server/openai/request_fields.h"
#include "server/openai/text_prompts.h"

namespace sluice::openai {
namespace {

void refuse_empty_texts(FieldReader& fields, const std::vector<api::Prompt>& inputs) {
  for (const api::Prompt& input : inputs) {
    const auto* text = std::get_if<api::TextPrompt>(&input);
    if (text != nullptr && text->text.empty()) {
      return fields.fail(invalid_value("input", "Invalid 'input': a text to embed must not be empty."));
    }
  }
}

}  // namespace

Result<EmbedCall> parse_embedding_request(const Json& body, const ParseOptions& options) {
  FieldReader fields(body);
  EmbedCall call;
  call.request.model = fields.string(field::kModel).value_or("");
  call.request.inputs = read_text_prompts(fields, "input", true, options.limits.embedding_inputs_max);
  refuse_empty_texts(fields, call.request.inputs);
  if (fields.string(field::kEncodingFormat) == "base64") call.encoding = EmbeddingEncoding::kBase64;
  if (fields.string(field::kPooling) == "last") call.request.pooling = api::Pooling::kLast;
  call.request.normalize = fields.boolean(field::kNormalize).value_or(true);
  call.request.cache_salt = fields.string(field::kCacheSalt).value_or("");
  call.dimensions = fields.integer(field::kDimensions).value_or(0);
  fields.string(field::kUser);
  if (!fields.ok()) return fields.error();
  return call;
}

}  // namespace sluice::openai
