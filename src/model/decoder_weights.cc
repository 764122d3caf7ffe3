#include "model/decoder_weights.h"

#include <algorithm>
#include <unordered_set>

#include "base/strings.h"
#include "checkpoint/quantized_weights.h"
#include "model/weight_conversion.h"

namespace sluice::model {
namespace {

using checkpoint::WeightMap;

std::string tensor_name(const WeightName& name, FileKind kind, int layer) {
  std::string text(kind == FileKind::kGguf ? name.gguf : name.hugging_face);
  if (const size_t braces = text.find("{}"); braces != std::string::npos)
    text.replace(braces, 2, std::to_string(layer));
  return text;
}

// Where a vector goes; null for the roles of matrices.
std::vector<float>* vector_slot(Role role, DecoderWeights& weights, DecoderLayerWeights& layer) {
  switch (role) {
    case Role::kFinalNorm:
      return &weights.final_norm;
    case Role::kAttentionNorm:
      return &layer.attention_norm;
    case Role::kAttentionPostNorm:
      return &layer.attention_post_norm;
    case Role::kMlpNorm:
      return &layer.mlp_norm;
    case Role::kMlpPostNorm:
      return &layer.mlp_post_norm;
    case Role::kQBias:
      return &layer.q_bias;
    case Role::kKBias:
      return &layer.k_bias;
    case Role::kVBias:
      return &layer.v_bias;
    case Role::kOBias:
      return &layer.o_bias;
    case Role::kGateBias:
      return &layer.gate_bias;
    case Role::kUpBias:
      return &layer.up_bias;
    case Role::kDownBias:
      return &layer.down_bias;
    default:
      return nullptr;
  }
}

Shape expected_shape(Role role, const DecoderSpec& spec) {
  const int64_t q = int64_t{spec.heads} * spec.head_dim, kv = int64_t{spec.kv_heads} * spec.head_dim;
  switch (role) {
    case Role::kEmbedding:
    case Role::kHead:
      return {spec.vocab_size, spec.hidden_size};
    case Role::kQ:
      return {q, spec.hidden_size};
    case Role::kK:
    case Role::kV:
      return {kv, spec.hidden_size};
    case Role::kQBias:
      return {q};
    case Role::kKBias:
    case Role::kVBias:
      return {kv};
    case Role::kO:
      return {spec.hidden_size, q};
    case Role::kGateBias:
    case Role::kUpBias:
      return {spec.intermediate_size};
    case Role::kGate:
    case Role::kUp:
      return {spec.intermediate_size, spec.hidden_size};
    case Role::kGateUp:
      return {int64_t{2} * spec.intermediate_size, spec.hidden_size};
    case Role::kDown:
      return {spec.hidden_size, spec.intermediate_size};
    default:
      return {spec.hidden_size};
  }
}

// Rows [first, first + count) of a matrix, as a matrix.
Tensor row_slice(const Tensor& matrix, int64_t first, int64_t count) {
  return {.data = matrix.row(first), .dtype = matrix.dtype, .shape = {count, matrix.shape.columns()}};
}

// Walks the architecture's names once, converting as it goes.
class WeightLoader {
 public:
  WeightLoader(const DecoderSpec& spec, FileKind kind, const WeightMap& files, const WeightOptions& options,
               ThreadPool& pool)
      : spec_(spec), kind_(kind), files_(files), options_(options), pool_(pool) {}

  Result<void> load(const Architecture& architecture, const std::function<void(size_t, size_t)>& progress) {
    weights_.layers.resize(static_cast<size_t>(spec_.layers));
    size_t done = 0;
    for (int layer = 0; layer < spec_.layers; ++layer) {
      for (const WeightName& name : architecture.weights) {
        const bool per_layer = name.hugging_face.find("{}") != std::string_view::npos;
        if (!per_layer && layer > 0) continue;
        SLUICE_RETURN_IF_ERROR(load_one(name, layer, done));
        if (progress) progress(done, files_.tensor_bytes());
      }
    }
    SLUICE_RETURN_IF_ERROR(refuse_unknown(architecture));
    return finish_head();
  }

  DecoderWeights take() { return std::move(weights_); }

 private:
  Result<void> load_one(const WeightName& name, int layer, size_t& done) {
    const std::string text = tensor_name(name, kind_, layer);
    if (!files_.contains(text)) {
      if (name.optional) return {};
      return files_.tensor(text).error();
    }
    const checkpoint::WeightEntry& stored = *files_.find(text);
    const Shape expected = expected_shape(name.role, spec_);
    if (!(stored.shape == expected)) {
      return corrupt_data(cat(files_.file_of(stored).path, ": tensor '", text, "' has shape ", stored.shape.str(),
                              "; the config asks for ", expected.str()));
    }
    done += stored.bytes;
    DecoderLayerWeights& target = weights_.layers[static_cast<size_t>(layer)];
    used_.insert(text);
    std::vector<float>* slot = vector_slot(name.role, weights_, target);
    if (slot == nullptr) return place_matrix(name.role, stored, target);
    SLUICE_TRY(*slot, widen_vector(files_, stored));
    weights_.owned_bytes += slot->size() * sizeof(float);
    return {};
  }

  Result<void> place_matrix(Role role, const checkpoint::WeightEntry& entry, DecoderLayerWeights& layer) {
    SLUICE_TRY(const DType stored, stored_dtype(files_, entry));
    SLUICE_TRY(ConvertedMatrix converted,
               convert_matrix(files_, entry, target_dtype(stored, role, entry.shape.columns(), options_), pool_));
    const Tensor matrix = converted.tensor;
    (converted.owned.size() > 0 ? weights_.owned_bytes : weights_.mapped_bytes) += matrix.bytes();
    weights_.owned.push_back(std::move(converted.owned));
    switch (role) {
      case Role::kEmbedding:
        weights_.embedding = matrix;
        break;
      case Role::kHead:
        weights_.head = matrix;
        break;
      case Role::kQ:
        layer.q = matrix;
        break;
      case Role::kK:
        layer.k = matrix;
        break;
      case Role::kV:
        layer.v = matrix;
        break;
      case Role::kO:
        layer.o = matrix;
        break;
      case Role::kGate:
        layer.gate = matrix;
        break;
      case Role::kUp:
        layer.up = matrix;
        break;
      case Role::kGateUp:
        layer.gate = row_slice(matrix, 0, spec_.intermediate_size);
        layer.up = row_slice(matrix, spec_.intermediate_size, spec_.intermediate_size);
        break;
      default:
        layer.down = matrix;
        break;
    }
    return {};
  }

  // A tensor nobody asked for means that the model does something this architecture does not: running it would be
  // wrong.
  Result<void> refuse_unknown(const Architecture& architecture) const {
    for (const checkpoint::WeightEntry& entry : files_.entries()) {
      if (used_.contains(entry.name)) continue;
      const auto ignored = [&](std::string_view suffix) { return std::string_view(entry.name).ends_with(suffix); };
      if (std::ranges::any_of(architecture.ignored_suffixes, ignored)) continue;
      if (checkpoint::is_zero_bias(files_, entry)) continue;
      return unimplemented(cat("tensor '", entry.name, "' ", entry.shape.str(), " has no place in architecture ",
                               architecture.name, " with ", spec_.layers,
                               " layers: this model has a part that is not supported"));
    }
    return {};
  }

  Result<void> finish_head() {
    if (weights_.head && !spec_.tied_embeddings) return {};
    // GGUF files leave out the head when it is tied; some safetensors hold both although the config ties them.
    if (!weights_.head && !spec_.tied_embeddings && kind_ != FileKind::kGguf) {
      return corrupt_data("the weights have no lm_head.weight, and config.json does not say tie_word_embeddings");
    }
    if (!weights_.head || kind_ != FileKind::kGguf) weights_.head = weights_.embedding;
    return {};
  }

  const DecoderSpec& spec_;
  FileKind kind_;
  const WeightMap& files_;
  const WeightOptions& options_;
  ThreadPool& pool_;
  DecoderWeights weights_;
  std::unordered_set<std::string> used_;
};

}  // namespace

DType target_dtype(DType stored, Role role, int64_t columns, const WeightOptions& options) {
  // What nothing is computed with is widened to f16, whose 11 bits keep such values nearly exactly.
  const DType kept = has_kernels(stored) ? stored : DType::kF16;
  const DType wide = is_quantized(stored) ? kept : options.dtype.value_or(stored);
  if (options.quantization == WeightQuantization::kNone) return options.dtype.value_or(kept);
  if (columns % dtype_traits(DType::kQ8_0).block_elements != 0) return wide;
  const bool keep_int8 = role == Role::kEmbedding || role == Role::kHead;
  const DType wanted = options.quantization == WeightQuantization::kInt4 && !keep_int8 ? DType::kQ4_0 : DType::kQ8_0;
  // Quantising again what is already as small would only lose.
  const bool smaller = row_bytes(wanted, columns) < row_bytes(stored, columns);
  return is_quantized(stored) && has_kernels(stored) && !smaller ? stored : wanted;
}

Result<DecoderWeights> load_decoder_weights(const Architecture& architecture, const DecoderSpec& spec, FileKind kind,
                                            std::shared_ptr<const WeightMap> files, const WeightOptions& options,
                                            ThreadPool& pool, const std::function<void(size_t, size_t)>& progress) {
  WeightLoader loader(spec, kind, *files, options, pool);
  SLUICE_RETURN_IF_ERROR(loader.load(architecture, progress));
  DecoderWeights weights = loader.take();
  weights.files = std::move(files);
  return weights;
}

}  // namespace sluice::model
