#include "server/openai/response.h"

#include <bit>
#include <cmath>

#include "base/json.h"
#include "base/strings.h"
#include "server/openai/json_text.h"

namespace sluice::openai {
namespace {

// `item(i)` appends the i-th element; brackets only for a list.
template <class Item>
void append_list(std::string& out, size_t size, bool brackets, Item item) {
  if (brackets) out += '[';
  for (size_t i = 0; i < size; ++i) {
    if (i > 0) out += ',';
    item(i);
  }
  if (brackets) out += ']';
}

std::string little_endian_bytes(const std::vector<float>& values) {
  std::string bytes;
  bytes.reserve(values.size() * 4);
  for (const float value : values) {
    const auto bits = std::bit_cast<uint32_t>(value);
    for (int shift = 0; shift < 32; shift += 8) bytes += static_cast<char>(bits >> shift & 0xFF);
  }
  return bytes;
}

}  // namespace

std::string render_inference(const AnswerHead& head, std::span<const ChoicePart> choices, const api::Usage& usage,
                             bool batch) {
  std::string out = R"({"id":)";
  append_json_string(out, head.id);
  out += R"(,"object":"inference","created":)";
  append_integer(out, head.created);
  out += R"(,"model":)";
  append_json_string(out, head.model);
  out += R"(,"output":)";
  append_list(out, choices.size(), batch, [&](size_t i) { append_json_string(out, choices[i].text); });
  out += R"(,"finish_reason":)";
  append_list(out, choices.size(), batch, [&](size_t i) {
    if (choices[i].finish) {
      append_json_string(out, api::finish_reason_name(*choices[i].finish));
    } else {
      out += "null";
    }
  });
  out += R"(,"usage":)";
  append_usage(out, usage);
  out += '}';
  return out;
}

std::string render_embeddings(std::string_view model, const api::EmbedAnswer& answer, EmbeddingEncoding encoding) {
  std::string out = R"({"object":"list","data":)";
  append_list(out, answer.embeddings.size(), true, [&](size_t i) {
    const std::vector<float>& values = answer.embeddings[i];
    out += R"({"object":"embedding","index":)";
    append_integer(out, static_cast<int64_t>(i));
    out += R"(,"embedding":)";
    if (encoding == EmbeddingEncoding::kBase64) {
      append_json_string(out, base64(little_endian_bytes(values)));
    } else {
      append_list(out, values.size(), true, [&](size_t j) { append_float(out, values[j]); });
    }
    out += '}';
  });
  out += R"(,"model":)";
  append_json_string(out, model);
  out += R"(,"usage":{"prompt_tokens":)";
  append_integer(out, answer.usage.prompt_tokens);
  out += R"(,"total_tokens":)";
  append_integer(out, answer.usage.prompt_tokens);
  out += "}}";
  return out;
}

Result<void> cut_embeddings(api::EmbedAnswer& answer, int64_t dimensions, bool normalize) {
  if (dimensions == 0) return {};
  for (std::vector<float>& values : answer.embeddings) {
    if (dimensions > static_cast<int64_t>(values.size())) {
      return Error{ErrorCode::kInvalidArgument,
                   cat("Invalid 'dimensions': integer above maximum value. Expected a value <= ", values.size(),
                       ", this model's size, but got ", dimensions, " instead."),
                   "dimensions", "integer_above_max_value"};
    }
    values.resize(static_cast<size_t>(dimensions));
    if (!normalize) continue;
    double squares = 0;
    for (const float value : values) squares += static_cast<double>(value) * value;
    if (squares <= 0) continue;
    const double scale = 1 / std::sqrt(squares);
    for (float& value : values) value = static_cast<float>(value * scale);
  }
  return {};
}

std::string render_model(const api::ModelCard& card) {
  std::string out = R"({"id":)";
  append_json_string(out, card.id);
  out += R"(,"object":"model","created":)";
  append_integer(out, card.created);
  out += R"(,"owned_by":)";
  append_json_string(out, card.owned_by);
  out += R"(,"root":)";
  append_json_string(out, card.root);
  out += R"(,"parent":null,"max_model_len":)";
  append_integer(out, card.context_tokens);
  out += R"(,"architecture":)";
  append_json_string(out, card.architecture);
  out += card.chat ? R"(,"chat":true})" : R"(,"chat":false})";
  return out;
}

std::string render_models(const std::vector<api::ModelCard>& cards) {
  std::string out = R"({"object":"list","data":)";
  append_list(out, cards.size(), true, [&](size_t i) { out += render_model(cards[i]); });
  out += '}';
  return out;
}

std::string render_tokens(const TokenizeCall& call, const std::vector<api::TokenId>& ids,
                          const std::vector<std::string>& pieces, int context_tokens) {
  std::string out = R"({"tokens":)";
  if (call.with_pieces) {
    append_list(out, ids.size(), true, [&](size_t i) {
      out += R"({"id":)";
      append_integer(out, ids[i]);
      out += R"(,"piece":)";
      if (utf8_valid(pieces[i])) {
        append_json_string(out, pieces[i]);
      } else {
        append_bytes(out, pieces[i]);
      }
      out += '}';
    });
  } else {
    append_ids(out, ids);
  }
  out += R"(,"count":)";
  append_integer(out, static_cast<int64_t>(ids.size()));
  out += R"(,"max_model_len":)";
  append_integer(out, context_tokens);
  if (call.token_strings) {
    out += R"(,"token_strs":)";
    append_list(out, ids.size(), true, [&](size_t i) { append_json_string(out, token_text(pieces[i])); });
  }
  out += '}';
  return out;
}

}  // namespace sluice::openai
