#pragma once
// The scalar fields of the requests, each declared once: parsers read by them and /openapi.json describes by them.
// Fields with a structure of their own (messages, prompt, stop, tools…) are described in schema.cc.

#include <array>

#include "server/openai/fields.h"

namespace sluice::openai::field {

using enum FieldKind;
inline constexpr double kTokensMax = 2147483647;  // token ids and counts are 32-bit

inline constexpr FieldSpec kModel{
    .name = "model", .kind = kString, .help = "A served model's id. Unset: the first one in /v1/models."};
inline constexpr FieldSpec kUser{.name = "user", .kind = kString, .help = "Accepted for compatibility; not used."};

// Sampling.
inline constexpr FieldSpec kTemperature{
    .name = "temperature",
    .kind = kNumber,
    .min = 0,
    .max = 2,
    .help = "0: always the most likely token. Unset: the model's generation_config, else 1."};
inline constexpr FieldSpec kTopP{.name = "top_p",
                                 .kind = kNumber,
                                 .min = 0,
                                 .max = 1,
                                 .help = "Keep the smallest set of tokens whose probabilities add up to this."};
inline constexpr FieldSpec kTopK{.name = "top_k",
                                 .kind = kInteger,
                                 .min = -1,
                                 .max = kTokensMax,
                                 .help = "Keep this many of the most likely tokens; 0 or -1: all."};
inline constexpr FieldSpec kMinP{.name = "min_p",
                                 .kind = kNumber,
                                 .min = 0,
                                 .max = 1,
                                 .help = "Keep tokens at least this likely relative to the most likely one."};
inline constexpr FieldSpec kRepetitionPenalty{
    .name = "repetition_penalty",
    .kind = kNumber,
    .min = 0,
    .max = 100,
    .help = "Above 1: tokens of prompt and answer become less likely. Greater than 0."};
inline constexpr FieldSpec kRepeatPenalty{
    .name = "repeat_penalty", .kind = kNumber, .min = 0, .max = 100, .help = "The same as repetition_penalty."};
inline constexpr FieldSpec kFrequencyPenalty{.name = "frequency_penalty",
                                             .kind = kNumber,
                                             .min = -2,
                                             .max = 2,
                                             .help = "Subtracted from a token's logit for each time it was generated."};
inline constexpr FieldSpec kPresencePenalty{.name = "presence_penalty",
                                            .kind = kNumber,
                                            .min = -2,
                                            .max = 2,
                                            .help = "Subtracted once from the logit of every generated token."};
inline constexpr FieldSpec kSeed{.name = "seed",
                                 .kind = kInteger,
                                 .min = -9223372036854775808.0,
                                 .max = 18446744073709551615.0,
                                 .help = "The same seed gives the same text, whatever else runs."};
inline constexpr FieldSpec kN{
    .name = "n", .kind = kInteger, .min = 1, .max = 128, .help = "Independent answers per prompt."};
inline constexpr FieldSpec kMinTokens{.name = "min_tokens",
                                      .kind = kInteger,
                                      .min = 0,
                                      .max = kTokensMax,
                                      .help = "End tokens and stop strings are held back until then."};
inline constexpr FieldSpec kIgnoreEos{
    .name = "ignore_eos", .kind = kBoolean, .help = "The model's end tokens do not end the answer."};
inline constexpr FieldSpec kSkipSpecialTokens{
    .name = "skip_special_tokens", .kind = kBoolean, .help = "Do not print special tokens (default true)."};
inline constexpr FieldSpec kIncludeStop{.name = "include_stop_str_in_output",
                                        .kind = kBoolean,
                                        .help = "Leave the matched stop string in the text (default false)."};

// Delivery.
inline constexpr FieldSpec kStream{
    .name = "stream", .kind = kBoolean, .help = "Answer as server-sent events while the text is made."};
inline constexpr FieldSpec kIncludeUsage{
    .name = "include_usage", .kind = kBoolean, .help = "One more chunk, with the usage, at the end."};
inline constexpr FieldSpec kContinuousUsage{
    .name = "continuous_usage_stats", .kind = kBoolean, .help = "The usage so far in every chunk."};
inline constexpr FieldSpec kReturnTokenIds{
    .name = "return_token_ids",
    .kind = kBoolean,
    .help = "Add token_ids, the answer's tokens, to every choice, and prompt_token_ids."};
inline constexpr FieldSpec kPriority{.name = "priority",
                                     .kind = kInteger,
                                     .min = -2147483648.0,
                                     .max = kTokensMax,
                                     .help = "Lower runs first; equal: first come, first served (default 0)."};
inline constexpr FieldSpec kCacheSalt{
    .name = "cache_salt", .kind = kString, .help = "Prompts share cached prefixes only within one salt."};
inline constexpr FieldSpec kTimeout{.name = "timeout",
                                    .kind = kNumber,
                                    .min = 0.001,
                                    .max = 86400,
                                    .help = "Seconds after which the request ends with an error."};

// Chat.
inline constexpr FieldSpec kMaxTokens{
    .name = "max_tokens",
    .kind = kInteger,
    .min = 1,
    .max = kTokensMax,
    .help = "The answer's length in tokens at most. Unset: until the context is full."};
inline constexpr FieldSpec kMaxCompletionTokens{.name = "max_completion_tokens",
                                                .kind = kInteger,
                                                .min = 1,
                                                .max = kTokensMax,
                                                .help = "The newer name of max_tokens; it wins when both are set."};
inline constexpr FieldSpec kChatLogprobs{
    .name = "logprobs", .kind = kBoolean, .help = "Report each token's log-probability."};
inline constexpr FieldSpec kTopLogprobs{.name = "top_logprobs",
                                        .kind = kInteger,
                                        .min = 0,
                                        .max = 20,
                                        .help = "Also report this many of the most likely tokens; needs logprobs."};
inline constexpr FieldSpec kAddGenerationPrompt{
    .name = "add_generation_prompt",
    .kind = kBoolean,
    .help = "End the prompt with the beginning of an assistant turn (default true)."};
inline constexpr FieldSpec kContinueFinalMessage{
    .name = "continue_final_message",
    .kind = kBoolean,
    .help = "The last message, the assistant's, is the beginning of the answer."};
inline constexpr FieldSpec kReasoningEffort{
    .name = "reasoning_effort", .kind = kString, .help = "Given to the chat template under this name."};
inline constexpr FieldSpec kParallelToolCalls{
    .name = "parallel_tool_calls", .kind = kBoolean, .help = "false: at most one call in an answer (default true)."};
inline constexpr FieldSpec kIncludeReasoning{
    .name = "include_reasoning",
    .kind = kBoolean,
    .help = "false: reasoning that is split off the answer is left out (default true)."};

// Completions.
inline constexpr FieldSpec kCompletionMaxTokens{
    .name = "max_tokens",
    .kind = kInteger,
    .min = 0,
    .max = kTokensMax,
    .help =
        "The answer's length in tokens at most (default 16). 0: only the prompt is computed, for echo with logprobs."};
inline constexpr FieldSpec kCompletionLogprobs{
    .name = "logprobs",
    .kind = kInteger,
    .min = 0,
    .max = 20,
    .help = "Report each token's log-probability and this many of the most likely tokens."};
inline constexpr FieldSpec kEcho{
    .name = "echo",
    .kind = kBoolean,
    .help = "The text begins with the prompt; with logprobs, the prompt's own log-probabilities are reported."};
inline constexpr FieldSpec kBestOf{
    .name = "best_of", .kind = kInteger, .min = 1, .max = 128, .help = "Only the value of n is supported."};
inline constexpr FieldSpec kAddSpecialTokens{
    .name = "add_special_tokens",
    .kind = kBoolean,
    .help = "Put the tokenizer's own bos and such around a text (default true)."};

// Embeddings.
inline constexpr std::array<std::string_view, 2> kEncodings = {"float", "base64"};
inline constexpr std::array<std::string_view, 2> kPoolings = {"mean", "last"};
inline constexpr FieldSpec kEncodingFormat{.name = "encoding_format",
                                           .kind = kString,
                                           .help = "float: arrays of numbers. base64: little-endian 32-bit floats.",
                                           .words = kEncodings};
inline constexpr FieldSpec kDimensions{.name = "dimensions",
                                       .kind = kInteger,
                                       .min = 1,
                                       .max = kTokensMax,
                                       .help = "Keep the first so many numbers and normalise again."};
inline constexpr FieldSpec kPooling{.name = "pooling",
                                    .kind = kString,
                                    .help = "mean (default) or last: which tokens' states make the vector.",
                                    .words = kPoolings};
inline constexpr FieldSpec kNormalize{
    .name = "normalize", .kind = kBoolean, .help = "Scale to Euclidean length 1 (default true)."};

// Tokens as text and back.
inline constexpr FieldSpec kAddSpecial{
    .name = "add_special", .kind = kBoolean, .help = "The same as add_special_tokens."};
inline constexpr FieldSpec kWithPieces{.name = "with_pieces", .kind = kBoolean, .help = "Each token as {id, piece}."};
inline constexpr FieldSpec kReturnTokenStrings{
    .name = "return_token_strs", .kind = kBoolean, .help = "Add token_strs, the tokens' texts."};

inline constexpr std::array kSamplingFields = {kTemperature,
                                               kTopP,
                                               kTopK,
                                               kMinP,
                                               kRepetitionPenalty,
                                               kRepeatPenalty,
                                               kFrequencyPenalty,
                                               kPresencePenalty,
                                               kSeed,
                                               kN,
                                               kMinTokens,
                                               kIgnoreEos,
                                               kSkipSpecialTokens,
                                               kIncludeStop,
                                               kReturnTokenIds,
                                               kPriority,
                                               kCacheSalt,
                                               kTimeout,
                                               kUser};
inline constexpr std::array kChatFields = {kModel,
                                           kStream,
                                           kMaxTokens,
                                           kMaxCompletionTokens,
                                           kChatLogprobs,
                                           kTopLogprobs,
                                           kAddGenerationPrompt,
                                           kContinueFinalMessage,
                                           kReasoningEffort,
                                           kParallelToolCalls,
                                           kIncludeReasoning};
inline constexpr std::array kCompletionFields = {kModel, kStream, kCompletionMaxTokens, kCompletionLogprobs,
                                                 kEcho,  kBestOf, kAddSpecialTokens};
inline constexpr std::array kEmbeddingFields = {kModel,     kEncodingFormat, kDimensions, kPooling,
                                                kNormalize, kCacheSalt,      kUser};
inline constexpr std::array kInferFields = {kModel, kMaxTokens, kMaxCompletionTokens};
inline constexpr std::array kTokenizeFields = {kModel,      kAddSpecial,         kAddSpecialTokens,
                                               kWithPieces, kReturnTokenStrings, kAddGenerationPrompt};

}  // namespace sluice::openai::field
