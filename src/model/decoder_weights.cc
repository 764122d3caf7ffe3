#include "model/decoder_weights.h"

#include <algorithm>
#include <unordered_set>

#include "base/log.h"
#include "base/strings.h"
#include "checkpoint/quantized_weights.h"
#include "model/weight_conversion.h"

namespace sluice::model {
namespace {

using checkpoint::WeightMap;

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
    case Role::kQNorm:
      return &layer.q_norm;
    case Role::kKNorm:
      return &layer.k_norm;
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
    case Role::kQkv:
      return {q + 2 * kv, spec.hidden_size};
    case Role::kQkvBias:
      return {q + 2 * kv};
    case Role::kQNorm:
    case Role::kKNorm:
      return {spec.head_dim};
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

// Whether a checkpoint must have the tensor, may have it, or has no place for it.
enum class Need { kRequired, kOptional, kNone };

Need need_of(const WeightName& name, FileKind kind, const DecoderSpec& spec) {
  const auto bias = [&](bool has) {
    if (kind == FileKind::kGguf) return Need::kOptional;  // its metadata does not speak of biases
    return has ? Need::kRequired : Need::kNone;
  };
  switch (name.role) {
    case Role::kQBias:
    case Role::kKBias:
    case Role::kVBias:
    case Role::kQkvBias:
      return bias(spec.biases.qkv);
    case Role::kOBias:
      return bias(spec.biases.o);
    case Role::kGateBias:
    case Role::kUpBias:
    case Role::kDownBias:
      return bias(spec.biases.mlp);
    case Role::kHead:
      return Need::kOptional;
    default:
      return Need::kRequired;
  }
}

// Rows [first, first + count) of a matrix, as a matrix.
Tensor row_slice(const Tensor& matrix, int64_t first, int64_t count) {
  return {.data = matrix.row(first), .dtype = matrix.dtype, .shape = {count, matrix.shape.columns()}};
}

// Walks the architecture's names once, converting as it goes.
class WeightLoader {
 public:
  WeightLoader(const DecoderSpec& spec, const Naming& naming, const WeightMap& files, const WeightOptions& options,
               ThreadPool& pool)
      : spec_(spec), naming_(naming), files_(files), options_(options), pool_(pool) {}

  Result<void> load(const Architecture& architecture, const std::function<void(size_t, size_t)>& progress) {
    names_ = architecture.weights;
    weights_.layers.resize(static_cast<size_t>(spec_.layers));
    for (const WeightName& name : architecture.weights) {
      if (name.role == Role::kHead) files_have_head_ = files_.contains(tensor_name(name, naming_, 0));
    }
    size_t done = 0;
    for (int layer = 0; layer < spec_.layers; ++layer) {
      for (const WeightName& name : architecture.weights) {
        if (!per_layer(name) && layer > 0) continue;
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
    const std::string text = tensor_name(name, naming_, layer);
    const Need need = need_of(name, naming_.kind, spec_);
    if (text.empty() || need == Need::kNone) return {};
    if (!files_.contains(text)) {
      if (need == Need::kOptional || replaced(name.role, layer)) return {};
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
    if (name.role == Role::kQkvBias) return place_qkv_bias(stored, target);
    std::vector<float>* slot = vector_slot(name.role, weights_, target);
    if (slot == nullptr) return place_matrix(name.role, stored, target);
    SLUICE_TRY(*slot, widen_vector(files_, stored));
    weights_.owned_bytes += slot->size() * sizeof(float);
    return {};
  }

  // Some files fuse Q K V, others of the same architecture do not: either will do.
  bool replaced(Role role, int layer) const {
    const auto in_files = [&](Role other) {
      const auto found = std::ranges::find(names_, other, &WeightName::role);
      return found != names_.end() && files_.contains(tensor_name(*found, naming_, layer));
    };
    if (role == Role::kQkv) return in_files(Role::kQ);
    return (role == Role::kQ || role == Role::kK || role == Role::kV) && in_files(Role::kQkv);
  }

  Result<void> place_qkv_bias(const checkpoint::WeightEntry& stored, DecoderLayerWeights& layer) {
    SLUICE_TRY(const std::vector<float> all, widen_vector(files_, stored));
    const auto q_end = all.begin() + spec_.heads * spec_.head_dim, k_end = q_end + spec_.kv_heads * spec_.head_dim;
    layer.q_bias.assign(all.begin(), q_end);
    layer.k_bias.assign(q_end, k_end);
    layer.v_bias.assign(k_end, all.end());
    weights_.owned_bytes += all.size() * sizeof(float);
    return {};
  }

  Tensor keep(ConvertedMatrix converted) {
    (converted.owned.size() > 0 ? weights_.owned_bytes : weights_.mapped_bytes) += converted.tensor.bytes();
    weights_.owned.push_back(std::move(converted.owned));
    return converted.tensor;
  }

  // Rows of a matrix in packed form: from the cache, else packed now.
  Result<Tensor> packed(const checkpoint::WeightEntry& entry, const RowRange& rows, const PackedFormat& format) {
    const std::string name = cat(entry.name, " ", rows.first);
    if (options_.cache != nullptr) {
      const Tensor kept = options_.cache->find(name, format, rows.count, entry.shape.columns());
      if (kept) {
        weights_.mapped_bytes += kept.bytes();
        return kept;
      }
    }
    SLUICE_TRY(ConvertedMatrix made, pack_matrix(files_, entry, rows, format, pool_));
    const Tensor matrix = keep(std::move(made));
    if (options_.cache != nullptr) options_.cache->add(name, matrix);
    return matrix;
  }

  // Parts of a fused matrix, packed each on its own.
  Result<void> place_packed_parts(const checkpoint::WeightEntry& entry, const PackedFormat& format,
                                  std::span<const int64_t> rows, std::initializer_list<Tensor*> slots) {
    int64_t first = 0;
    for (size_t i = 0; i < rows.size(); ++i) {
      SLUICE_TRY(*slots.begin()[i], packed(entry, {first, rows[i]}, format));
      first += rows[i];
    }
    return {};
  }

  Result<void> place_matrix(Role role, const checkpoint::WeightEntry& entry, DecoderLayerWeights& layer) {
    const bool lookup_only = role == Role::kEmbedding && !head_is_embedding(spec_, naming_.kind, files_have_head_);
    SLUICE_TRY(const MatrixTarget target, matrix_target(files_, entry, role, lookup_only, options_));
    const bool is_packed = target.dtype == DType::kPacked;
    const std::vector<int64_t> parts = fused_rows(role, spec_);
    if (is_packed && role == Role::kGateUp)
      return place_packed_parts(entry, target.format, parts, {&layer.gate, &layer.up});
    if (is_packed && role == Role::kQkv)
      return place_packed_parts(entry, target.format, parts, {&layer.q, &layer.k, &layer.v});
    Tensor matrix;
    if (is_packed) {
      SLUICE_TRY(matrix, packed(entry, {0, entry.shape.rows()}, target.format));
    } else {
      SLUICE_TRY(ConvertedMatrix converted, convert_matrix(files_, entry, target.dtype, pool_));
      matrix = keep(std::move(converted));
    }
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
      case Role::kQkv: {
        const int64_t q = int64_t{spec_.heads} * spec_.head_dim, kv = int64_t{spec_.kv_heads} * spec_.head_dim;
        layer.q = row_slice(matrix, 0, q);
        layer.k = row_slice(matrix, q, kv);
        layer.v = row_slice(matrix, q + kv, kv);
        break;
      }
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
    size_t left_out = 0;
    for (const checkpoint::WeightEntry& entry : files_.entries()) {
      if (used_.contains(entry.name)) continue;
      const auto ignored = [&](std::string_view suffix) { return std::string_view(entry.name).ends_with(suffix); };
      if (std::ranges::any_of(architecture.ignored_suffixes, ignored)) continue;
      if (checkpoint::is_zero_bias(files_, entry)) continue;
      const auto elsewhere = [&](std::string_view prefix) { return entry.name.starts_with(prefix); };
      if (std::ranges::any_of(architecture.ignored_prefixes, elsewhere)) {
        ++left_out;
        continue;
      }
      return unimplemented(cat(files_.file_of(entry).path, ": tensor '", entry.name, "' ", entry.shape.str(),
                               " has no place in architecture ", architecture.name, " with ", spec_.layers,
                               " layers: this model has a part that is not supported"));
    }
    if (left_out > 0) {
      log::warn("only the text half of this model is used; it will not see images",
                {{"architecture", architecture.class_names.back()}, {"tensors_not_loaded", left_out}});
    }
    return {};
  }

  Result<void> finish_head() {
    if (!weights_.head && !spec_.tied_embeddings && naming_.kind != FileKind::kGguf) {
      return corrupt_data(
          cat(files_.files().empty() ? "" : files_.files().front().path,
              ": the weights have no lm_head.weight, and config.json does not say tie_word_embeddings"));
    }
    if (head_is_embedding(spec_, naming_.kind, static_cast<bool>(weights_.head))) weights_.head = weights_.embedding;
    return {};
  }

  const DecoderSpec& spec_;
  const Naming naming_;
  std::span<const WeightName> names_;
  const WeightMap& files_;
  const WeightOptions& options_;
  ThreadPool& pool_;
  bool files_have_head_ = false;
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

std::vector<int64_t> fused_rows(Role role, const DecoderSpec& spec) {
  const int64_t q = int64_t{spec.heads} * spec.head_dim, kv = int64_t{spec.kv_heads} * spec.head_dim;
  if (role == Role::kQkv) return {q, kv, kv};
  if (role == Role::kGateUp) return {spec.intermediate_size, spec.intermediate_size};
  return {};
}

bool head_is_embedding(const DecoderSpec& spec, FileKind kind, bool files_have_head) {
  // GGUF files leave out the head when it is tied; some safetensors hold both although the config ties them.
  return !files_have_head || (spec.tied_embeddings && kind != FileKind::kGguf);
}

WeightOptions resolve_activations(WeightOptions options, const DecoderSpec& spec, const kernels::Ops& ops) {
  constexpr int kHiddenSizeLeast = 512;  // below it a step is made of other things than products
  if (options.activations == Activations::kAuto) {
    const bool large = spec.hidden_size >= kHiddenSizeLeast;
    const bool int8 = ops.fast_int8 && large, bf16 = ops.fast_bf16 && large;
    options.activations = int8 && bf16 ? Activations::kInt8AndBF16
                          : int8       ? Activations::kInt8
                          : bf16       ? Activations::kBF16
                                       : Activations::kF32;
  }
  return options;
}

namespace {

// The packed form of a matrix of codes; nothing when it has none and gets none.
std::optional<PackedFormat> coded_format(const checkpoint::WeightEntry& entry, DType stored, Role role,
                                         const WeightOptions& options) {
  std::optional<PackedFormat> own;
  if (entry.quantized != nullptr) own = packed_format_of(*entry.quantized);
  if (entry.quantized == nullptr && is_quantized(stored)) own = sluice::packed_format_of(stored);
  if (options.quantization == WeightQuantization::kNone) return options.dtype ? std::nullopt : own;
  const bool keep_int8 = role == Role::kEmbedding || role == Role::kHead;
  const bool int4 = options.quantization == WeightQuantization::kInt4 && !keep_int8;
  const PackedFormat wanted = {.bits = int4 ? 4 : 8, .group = 32, .minima = false, .shift = 12};
  // Quantising again what is already as small would only lose.
  const int64_t columns = entry.shape.columns();
  const bool smaller = !own || packed_bytes(wanted, 16, columns) < packed_bytes(*own, 16, columns);
  return smaller ? wanted : *own;
}

}  // namespace

Result<MatrixTarget> matrix_target(const WeightMap& files, const checkpoint::WeightEntry& entry, Role role,
                                   bool lookup_only, const WeightOptions& options) {
  SLUICE_TRY(const DType stored, stored_dtype(files, entry));
  const MatrixTarget rows = {.dtype = target_dtype(stored, role, entry.shape.columns(), options)};
  if (lookup_only) return rows;
  if (packs_quantized(options.activations)) {
    const std::optional<PackedFormat> codes = coded_format(entry, stored, role, options);
    if (codes) return MatrixTarget{.dtype = DType::kPacked, .format = *codes};
  }
  if (packs_bf16(options.activations) && rows.dtype == DType::kBF16)
    return MatrixTarget{.dtype = DType::kPacked, .format = {.bits = 16, .group = 0}};
  return rows;
}

Result<DecoderWeights> load_decoder_weights(const Architecture& architecture, const DecoderSpec& spec, FileKind kind,
                                            std::shared_ptr<const WeightMap> files, const WeightOptions& options,
                                            ThreadPool& pool, const std::function<void(size_t, size_t)>& progress) {
  WeightLoader loader(spec, find_naming(architecture, kind, *files), *files, options, pool);
  SLUICE_RETURN_IF_ERROR(loader.load(architecture, progress));
  DecoderWeights weights = loader.take();
  weights.files = std::move(files);
  return weights;
}

}  // namespace sluice::model
