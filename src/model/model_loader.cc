#include "model/model_loader.h"

#include <map>

#include "base/json.h"
#include "base/log.h"
#include "base/strings.h"
#include "model/gguf_config.h"
#include "model/weight_placement.h"

namespace sluice::model {
namespace {

DType most_common_dtype(const checkpoint::WeightMap& weights) {
  std::map<DType, size_t> bytes;
  for (const checkpoint::WeightEntry& entry : weights.entries()) {
    if (entry.dtype && entry.shape.rank() == 2) bytes[*entry.dtype] += entry.bytes;
  }
  DType best = DType::kF32;
  size_t most = 0;
  for (const auto& [dtype, count] : bytes) {
    if (count > most) {
      most = count;
      best = dtype;
    }
  }
  return best;
}

// All options that decide what is packed and how.
std::string packing_name(const WeightOptions& options) {
  const bool int8 = options.quantization == WeightQuantization::kInt8;
  std::string name = int8 ? "int8" : options.quantization == WeightQuantization::kInt4 ? "int4" : "stored";
  if (options.dtype) name += cat(" ", dtype_name(*options.dtype));
  if (options.activations == Activations::kBF16) name += " bf16 products";
  if (options.activations == Activations::kInt8AndBF16) name += " int8 and bf16 products";
  return name;
}

}  // namespace

namespace {

Result<ModelDescription> describe(const checkpoint::ModelFiles& files) {
  ModelDescription description;
  description.kind = files.kind == checkpoint::ModelKind::kGguf ? FileKind::kGguf : FileKind::kHuggingFace;
  Json from_gguf;
  if (description.kind == FileKind::kGguf) {
    SLUICE_TRY(from_gguf, config_from_gguf(files.metadata, files.weights));
  }
  const Json& config = description.kind == FileKind::kGguf ? from_gguf : files.config;
  SLUICE_TRY(description.architecture, find_architecture(config));
  SLUICE_TRY(description.spec, decoder_spec(*description.architecture, config, description.kind));
  description.stored_dtype = most_common_dtype(files.weights);
  return description;
}

}  // namespace

Result<ModelDescription> describe_model(const checkpoint::ModelFiles& files) {
  auto description = describe(files);
  if (description.ok()) return description;
  Error error = std::move(description).error();
  const bool gguf = files.kind == checkpoint::ModelKind::kGguf;
  const std::string path = gguf ? files.metadata.path() : cat(files.directory, "/config.json");
  constexpr std::string_view kBareName = "config.json: ";
  if (error.message.starts_with(kBareName)) error.message.erase(0, kBareName.size());
  if (error.message.find(path) == std::string::npos) error.message = cat(path, ": ", error.message);
  return error;
}

DType resolve_kv_dtype(const ModelDescription& description, const LoadOptions& options) {
  if (options.kv_dtype) return *options.kv_dtype;
  if (options.weights.quantization != WeightQuantization::kNone) return DType::kF16;
  const DType weights = options.weights.dtype.value_or(description.stored_dtype);
  return weights == DType::kF32 || weights == DType::kBF16 ? weights : DType::kF16;
}

Result<std::unique_ptr<Decoder>> load_decoder(std::shared_ptr<const checkpoint::ModelFiles> files,
                                              const ModelDescription& description, const LoadOptions& options,
                                              const kernels::Ops& ops, ThreadPool& pool,
                                              const std::function<void(size_t done, size_t total)>& progress) {
  WeightOptions weight_options = resolve_activations(options.weights, description.spec, ops);
  const bool packs = weight_options.activations != Activations::kF32;
  PackCache cache(packs ? options.pack_directory : "", *files, packing_name(weight_options), pool);
  weight_options.cache = &cache;
  if (!cache.found()) files->weights.prefetch();  // the disk works while the first tensors are placed
  const std::shared_ptr<const checkpoint::WeightMap> weights_in_files(files, &files->weights);
  SLUICE_TRY(DecoderWeights weights, load_decoder_weights(*description.architecture, description.spec, description.kind,
                                                          weights_in_files, weight_options, pool, progress));
  SLUICE_RETURN_IF_ERROR(files->weights.verify_unchanged());  // half of an old file and half of a new one
  cache.save(pool, progress);
  weights.packs = cache.file();
  if (!place_weights(weights, pool)) {
    log::warn(
        "weights stay where the kernel has put them: it does not let this process place memory on NUMA nodes "
        "(in a container that takes CAP_SYS_NICE)");
  }
  return Decoder::create(description.spec, std::move(weights),
                         {.kv_dtype = resolve_kv_dtype(description, options), .block_tokens = options.block_tokens},
                         ops, pool);
}

}  // namespace sluice::model
