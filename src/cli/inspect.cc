// sluice inspect: what a model is, from its small files alone, and where its memory would go.

#include <algorithm>
#include <cstdio>

#include "base/json.h"
#include "base/strings.h"
#include "cli/commands.h"
#include "local/draft_model.h"
#include "local/model_text.h"

namespace sluice::cli {
namespace {

Json describe(const checkpoint::ModelFiles& files, const model::ModelDescription& description) {
  const model::DecoderSpec& spec = description.spec;
  int64_t parameters = 0;
  Json types = Json::object();
  for (const checkpoint::WeightEntry& entry : files.weights.entries()) {
    parameters += entry.shape.elements();
    types[entry.stored_type] = types.value(entry.stored_type, int64_t{0}) + 1;
  }
  return {{"name", files.name},
          {"path", files.path},
          {"format", description.kind == model::FileKind::kGguf ? "gguf" : "safetensors"},
          {"quantization", files.quantization.empty() ? Json() : Json(files.quantization)},
          {"architecture", spec.architecture},
          {"parameters", parameters},
          {"file_bytes", files.weights.file_bytes()},
          {"tensors", files.weights.entries().size()},
          {"tensor_types", types},
          {"layers", spec.layers},
          {"hidden_size", spec.hidden_size},
          {"intermediate_size", spec.intermediate_size},
          {"heads", spec.heads},
          {"kv_heads", spec.kv_heads},
          {"head_dim", spec.head_dim},
          {"vocab_size", spec.vocab_size},
          {"context_max", spec.context_max},
          {"tied_embeddings", spec.tied_embeddings},
          {"windowed_layers", std::ranges::count_if(spec.layer_kinds, [](const auto& k) { return k.window > 0; })},
          {"window", std::ranges::max(spec.layer_kinds, {}, &model::LayerKind::window).window}};
}

// What requests get that do not say otherwise.
Json describe_sampling(const api::SamplingParams& sampling) {
  Json report = Json::object();
  if (sampling.temperature) report["temperature"] = *sampling.temperature;
  if (sampling.top_p) report["top_p"] = *sampling.top_p;
  if (sampling.top_k) report["top_k"] = *sampling.top_k;
  if (sampling.min_p) report["min_p"] = *sampling.min_p;
  if (sampling.repetition_penalty) report["repetition_penalty"] = *sampling.repetition_penalty;
  if (sampling.max_tokens > 0) report["max_tokens"] = sampling.max_tokens;
  return report;
}

Json describe_text(const local::ModelText& text) {
  Json eos = Json::array();
  for (const text::TokenId id : text.eos)
    eos.push_back({{"id", id}, {"text", std::string(text.tokenizer->token_text(id))}});
  return {{"vocab_size", text.tokenizer->vocab_size()},
          {"end_tokens", eos},
          {"sampling_defaults", describe_sampling(text.sampling)},
          {"chat_template", text.templates.any()},
          {"tool_calls", text.tool_dialect},
          {"reasoning", text.reasoning_dialect}};
}

}  // namespace

Result<int> run_inspect(const CommandLine& line) {
  SLUICE_TRY(const local::LocalOptions options, local_options(line.arguments.front(), line.settings));
  SLUICE_TRY(const checkpoint::ModelFiles files, checkpoint::open_model(options.model_path));
  SLUICE_TRY(const model::ModelDescription description, model::describe_model(files));
  Json report = describe(files, description);
  const auto text =
      local::load_model_text(files, {.template_path = options.chat_template_path, .reasoning_parser = "auto"});
  report["tokenizer"] = text.ok() ? describe_text(*text) : Json{{"error", text.error().message}};
  SLUICE_TRY(const kernels::Ops* ops, kernels::select_ops(options.kernels));
  model::LoadOptions load = options.load;
  load.weights = model::resolve_activations(load.weights, description.spec, *ops);
  const local::TuningRecord record = local::tuning_record(options, description, load);
  const auto tuning = options.tuning == local::TuningMode::kOff ? std::nullopt : record.read();
  report["tuning"] = tuning ? local::tuning_to_json(*tuning) : Json();
  model::MemoryRequest memory = local::with_batch_limits(options.memory, tuning, options.speculation);
  if (options.speculation.kind == local::SpeculationOptions::Kind::kModel) {
    SLUICE_TRY(const local::DraftModel draft,
               local::DraftModel::open(options.speculation.draft_model, options.load, *ops, memory.sequences_max));
    memory.draft = draft.demand();
  }
  const auto plan = model::plan_memory(files, description, load, memory);
  report["memory_plan"] = plan.ok() ? model::plan_to_json(*plan) : Json{{"error", plan.error().message}};
  if (line.settings.json) {
    std::printf("%s\n", dump_json(report, 2).c_str());
  } else {
    for (const auto& [key, value] : report.items()) {
      if (key == "memory_plan" || key == "tuning") continue;
      std::printf("%-18s %s\n", key.c_str(),
                  value.is_string() ? value.get<std::string>().c_str() : dump_json(value).c_str());
    }
    std::printf("%-18s %s\n", "tuning",
                tuning ? local::describe_tuning(*tuning).c_str() : "not measured yet (the first start will)");
    std::printf("%s", plan.ok() ? model::format_plan(*plan).c_str() : (plan.error().message + "\n").c_str());
  }
  return plan.ok() ? 0 : 1;
}

}  // namespace sluice::cli
