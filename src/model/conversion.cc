#include "model/conversion.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <unordered_set>

#include "base/json.h"
#include "base/strings.h"
#include "checkpoint/quantized_matrix.h"
#include "checkpoint/quantized_weights.h"
#include "model/config_export.h"
#include "model/weight_conversion.h"
#include "tensor/quantize.h"

namespace sluice::model {
namespace {

using checkpoint::WeightEntry;
using checkpoint::WeightMap;

bool is_norm(Role role) {
  switch (role) {
    case Role::kFinalNorm:
    case Role::kAttentionNorm:
    case Role::kAttentionPostNorm:
    case Role::kMlpNorm:
    case Role::kMlpPostNorm:
    case Role::kQNorm:
    case Role::kKNorm:
      return true;
    default:
      return false;
  }
}
int64_t rows_of(const WeightEntry& entry) {
  return entry.shape.rank() < 2 ? entry.shape.elements() : entry.shape.rows();
}
int64_t columns_of(const WeightEntry& entry) { return entry.shape.rank() < 2 ? 1 : entry.shape.columns(); }

// One layer's roles in either kind of file.
struct Fusion {
  Role whole;
  std::vector<Role> parts;
};
const Fusion kFusions[] = {{Role::kGateUp, {Role::kGate, Role::kUp}},
                           {Role::kQkv, {Role::kQ, Role::kK, Role::kV}},
                           {Role::kQkvBias, {Role::kQBias, Role::kKBias, Role::kVBias}}};

class ConversionPlanner {
 public:
  ConversionPlanner(const checkpoint::ModelFiles& files, const ModelDescription& description,
                    const ConversionTarget& target, bool permutes, float norm_offset)
      : files_(files.weights),
        description_(description),
        target_(target),
        naming_(find_naming(*description.architecture, description.kind, files.weights)),
        permutes_(permutes),
        norm_offset_(norm_offset) {}

  Result<std::vector<ConversionTensor>> plan() {
    for (int layer = -1; layer < description_.spec.layers; ++layer) {
      for (const WeightName& name : description_.architecture->weights) {
        if (per_layer(name) == (layer >= 0) && is_written(name.role)) SLUICE_RETURN_IF_ERROR(place(name, layer));
      }
    }
    SLUICE_RETURN_IF_ERROR(refuse_unknown());
    return std::move(tensors_);
  }

 private:
  bool same_kind() const { return target_.kind == description_.kind; }
  // Whether the new file has the role. Where it could have a fused matrix as well as its parts, it gets what there is.
  bool is_written(Role role) const {
    if (same_kind()) return true;
    const auto name_of = [&](Role other, const Naming& naming) {
      const auto found = std::ranges::find(description_.architecture->weights, other, &WeightName::role);
      return found == description_.architecture->weights.end() ? "" : tensor_name(*found, naming, 0);
    };
    const auto can_have = [&](Role other) { return !name_of(other, {.kind = target_.kind}).empty(); };
    for (const Fusion& fusion : kFusions) {
      const bool fused = can_have(fusion.whole) &&
                         (files_.contains(name_of(fusion.whole, naming_)) || !can_have(fusion.parts.front()));
      if (role == fusion.whole) return fused;
      if (std::ranges::count(fusion.parts, role) > 0) return !fused;
    }
    return true;
  }
  const WeightEntry* stored(Role role, int layer) {
    for (const WeightName& name : description_.architecture->weights) {
      if (name.role != role) continue;
      const std::string text = tensor_name(name, naming_, layer);
      const WeightEntry* entry = text.empty() ? nullptr : files_.find(text);
      if (entry != nullptr) used_.insert(entry->name);
      return entry;
    }
    return nullptr;
  }

  Result<void> place(const WeightName& name, int layer) {
    // A copy of the same kind keeps its names; text models inside others (multimodal) become models of their own.
    const bool keeps_names = same_kind() && naming_.prefix.empty();
    ConversionTensor out{.name = tensor_name(name, keeps_names ? naming_ : Naming{.kind = target_.kind}, layer),
                         .role = name.role};
    if (out.name.empty()) return {};
    if (const WeightEntry* entry = stored(name.role, layer); entry != nullptr) {
      if (name.role == Role::kHead && description_.spec.tied_embeddings) return {};
      out.sources = {{entry, 0, rows_of(*entry)}};
    } else if (!same_kind()) {
      SLUICE_TRY(out.sources, fused_sources(name.role, layer));
    }
    if (out.sources.empty()) return {};
    return finish(std::move(out));
  }

  // From the parts of a matrix that is one here, or from the one that is several here.
  Result<std::vector<StoredRows>> fused_sources(Role role, int layer) {
    std::vector<StoredRows> sources;
    for (const Fusion& fusion : kFusions) {
      if (role == fusion.whole) {
        for (const Role part : fusion.parts) {
          if (const WeightEntry* entry = stored(part, layer); entry != nullptr)
            sources.push_back({entry, 0, rows_of(*entry)});
        }
        return sources;
      }
      int64_t first = 0;
      for (const Role part : fusion.parts) {
        const int64_t rows = part_rows(part);
        if (part != role) {
          first += rows;
          continue;
        }
        const WeightEntry* whole = stored(fusion.whole, layer);
        if (whole == nullptr) break;
        if (rows_of(*whole) < first + rows)
          return corrupt_data(cat("tensor '", whole->name, "' has ", rows_of(*whole), " rows; expected more"));
        sources.push_back({whole, first, rows});
        return sources;
      }
    }
    return sources;
  }
  int64_t part_rows(Role role) const {
    const DecoderSpec& spec = description_.spec;
    if (role == Role::kGate || role == Role::kUp) return spec.intermediate_size;
    return int64_t{role == Role::kQ || role == Role::kQBias ? spec.heads : spec.kv_heads} * spec.head_dim;
  }

  Result<void> finish(ConversionTensor out) {
    const WeightEntry& first = *out.sources.front().entry;
    int64_t rows = 0;
    for (const StoredRows& source : out.sources) {
      if (columns_of(*source.entry) != columns_of(first))
        return corrupt_data(
            cat("tensors '", first.name, "' and '", source.entry->name, "' have rows of unlike lengths"));
      rows += source.count;
    }
    out.shape = first.shape.rank() < 2 ? Shape{rows} : Shape{rows, columns_of(first)};
    const bool rotates =
        out.role == Role::kQ || out.role == Role::kK || out.role == Role::kQBias || out.role == Role::kKBias;
    if (rotates && permutes_) {
      out.order = target_.kind == FileKind::kGguf ? RowOrder::kPairsBecomeNeighbours : RowOrder::kNeighboursBecomePairs;
      out.head_dim = description_.spec.head_dim;
      if (rows % out.head_dim != 0)
        return corrupt_data(cat("tensor '", first.name, "' has ", rows, " rows, which are no whole heads"));
    }
    if (is_norm(out.role)) out.offset = norm_offset_;
    SLUICE_TRY(out.dtype, choose_type(out));
    tensors_.push_back(std::move(out));
    return {};
  }

  Result<DType> choose_type(const ConversionTensor& tensor) const {
    const WeightEntry& first = *tensor.sources.front().entry;
    SLUICE_TRY(const DType stored, stored_dtype(files_, first));
    if (tensor.shape.rank() < 2) return target_.kind == FileKind::kGguf ? DType::kF32 : vector_type(tensor);
    bool mixed = first.quantized != nullptr;
    for (const StoredRows& source : tensor.sources) mixed |= source.entry->dtype != first.dtype;
    if (!target_.dtype) {
      if (is_floating(stored)) return stored;
      return target_.kind == FileKind::kGguf && !mixed ? stored : DType::kF16;
    }
    const DType wanted = *target_.dtype;
    if (!is_quantized(wanted)) return wanted;
    if (tensor.shape.columns() % dtype_traits(wanted).block_elements != 0) return DType::kF16;
    const bool outer = tensor.role == Role::kEmbedding || tensor.role == Role::kHead;
    return outer ? DType::kQ8_0 : wanted;
  }

  // Safetensors hold vectors in the matrices' type where nothing is lost by it.
  Result<DType> vector_type(const ConversionTensor& tensor) const {
    const DType wanted = target_.dtype.value_or(matrix_type());
    for (const StoredRows& source : tensor.sources) {
      SLUICE_TRY(const std::vector<float> values, widen_vector(files_, *source.entry));
      for (const float value : values) {
        const float moved = value + tensor.offset;
        const float kept = wanted == DType::kF16    ? f16_to_f32(f32_to_f16(moved))
                           : wanted == DType::kBF16 ? bf16_to_f32(f32_to_bf16(moved))
                                                    : moved;
        if (kept != moved) return DType::kF32;
      }
    }
    return wanted;
  }
  DType matrix_type() const { return is_floating(description_.stored_dtype) ? description_.stored_dtype : DType::kF16; }

  Result<void> refuse_unknown() const {
    const Architecture& architecture = *description_.architecture;
    for (const WeightEntry& entry : files_.entries()) {
      if (used_.contains(entry.name) || checkpoint::is_zero_bias(files_, entry)) continue;
      const auto ignored = [&](std::string_view suffix) { return std::string_view(entry.name).ends_with(suffix); };
      if (std::ranges::any_of(architecture.ignored_suffixes, ignored)) continue;
      const auto elsewhere = [&](std::string_view prefix) { return entry.name.starts_with(prefix); };
      if (std::ranges::any_of(architecture.ignored_prefixes, elsewhere)) continue;
      return unimplemented(cat(files_.file_of(entry).path, ": tensor '", entry.name, "' ", entry.shape.str(),
                               " has no place in architecture ", architecture.name));
    }
    return {};
  }

  const WeightMap& files_;
  const ModelDescription& description_;
  const ConversionTarget& target_;
  const Naming naming_;
  bool permutes_;
  float norm_offset_;
  std::vector<ConversionTensor> tensors_;
  std::unordered_set<std::string> used_;
};

struct KindDifference {
  bool permutes = false;
  float norm_offset = 0;  // what GGUF's norms have more
};

// The same config read as either kind of file tells what the families' converters change.
Result<KindDifference> kind_difference(const checkpoint::ModelFiles& files, const ModelDescription& description) {
  SLUICE_TRY(const Json config, model_config(files));
  SLUICE_TRY(const DecoderSpec hugging_face,
             decoder_spec(hugging_face_architecture_of(description), config, FileKind::kHuggingFace));
  const Architecture* written = gguf_architecture_of(*description.architecture);
  if (written == nullptr)
    return unimplemented(cat("GGUF has no name for architecture ", description.architecture->name));
  SLUICE_TRY(const DecoderSpec gguf, decoder_spec(*written, config, FileKind::kGguf));
  return KindDifference{.permutes = hugging_face.ropes.front().interleaved != gguf.ropes.front().interleaved,
                        .norm_offset = hugging_face.norm_offset - gguf.norm_offset};
}

// Where row `row` of a head comes from.
int64_t source_row(RowOrder order, int64_t row, int64_t head_dim) {
  const int64_t half = head_dim / 2;
  switch (order) {
    case RowOrder::kPairsBecomeNeighbours:
      return row % 2 * half + row / 2;
    case RowOrder::kNeighboursBecomePairs:
      return row % half * 2 + row / half;
    case RowOrder::kSame:
      break;
  }
  return row;
}

enum class Verdict { kGood, kNotFinite, kTooLarge };

// Rows [first, first + count) of one source into `out`; of a head when the order changes.
Verdict convert_rows(const ConversionTensor& tensor, const WeightEntry& entry, int64_t first, int64_t count,
                     std::byte* out) {
  const int64_t columns = columns_of(entry);
  const size_t out_bytes = row_bytes(tensor.dtype, columns);
  const auto from = [&](int64_t r) { return source_row(tensor.order, r, tensor.head_dim); };
  if (entry.quantized == nullptr && entry.dtype == tensor.dtype && tensor.offset == 0) {
    for (int64_t r = 0; r < count; ++r) {
      const std::byte* row = entry.data + static_cast<size_t>(first + from(r)) * out_bytes;
      if (has_kernels(tensor.dtype) && first_non_finite(tensor.dtype, row, columns) >= 0) return Verdict::kNotFinite;
      std::memcpy(out + static_cast<size_t>(r) * out_bytes, row, out_bytes);
    }
    return Verdict::kGood;
  }
  std::vector<float> values(static_cast<size_t>(count * columns));
  if (entry.quantized != nullptr) {
    entry.quantized->dequantize_rows(first, count, values.data());
  } else {
    const size_t in_bytes = row_bytes(*entry.dtype, columns);
    for (int64_t r = 0; r < count; ++r)
      dequantize_row(*entry.dtype, entry.data + static_cast<size_t>(first + r) * in_bytes, values.data() + r * columns,
                     columns);
  }
  for (float& value : values) {
    if (!std::isfinite(value)) return Verdict::kNotFinite;
    value += tensor.offset;
    if (tensor.dtype == DType::kF16 && std::abs(value) >= 65520) return Verdict::kTooLarge;
  }
  for (int64_t r = 0; r < count; ++r)
    quantize_row(tensor.dtype, values.data() + from(r) * columns, out + static_cast<size_t>(r) * out_bytes, columns);
  return Verdict::kGood;
}

}  // namespace

Result<std::vector<ConversionTensor>> plan_conversion(const checkpoint::ModelFiles& files,
                                                      const ModelDescription& description,
                                                      const ConversionTarget& target) {
  if (target.kind == FileKind::kHuggingFace && target.dtype && !is_floating(*target.dtype)) {
    return invalid_argument(cat("safetensors hold f32, f16 or bf16, not ", dtype_name(*target.dtype), "; write GGUF"),
                            "type");
  }
  bool permutes = false;
  float norm_offset = 0;
  if (target.kind != description.kind) {
    SLUICE_TRY(const KindDifference difference, kind_difference(files, description));
    permutes = difference.permutes;
    norm_offset = target.kind == FileKind::kGguf ? difference.norm_offset : -difference.norm_offset;
  }
  return ConversionPlanner(files, description, target, permutes, norm_offset).plan();
}

Result<void> write_tensor(const WeightMap& files, const ConversionTensor& tensor, ThreadPool& pool,
                          const std::function<Result<void>(std::span<const std::byte>)>& sink) {
  const size_t out_bytes =
      tensor.shape.rank() < 2 ? row_bytes(tensor.dtype, 1) : row_bytes(tensor.dtype, tensor.shape.columns());
  const int64_t task_rows = tensor.order != RowOrder::kSame ? tensor.head_dim : tensor.shape.rank() < 2 ? 4096 : 64;
  const int64_t tasks_at_once = int64_t{4} * pool.threads();
  Buffer buffer(out_bytes * static_cast<size_t>(task_rows * tasks_at_once));
  for (const StoredRows& source : tensor.sources) {
    const WeightEntry& entry = *source.entry;
    if (entry.quantized != nullptr) SLUICE_RETURN_IF_ERROR(entry.quantized->verify());
    for (int64_t begin = 0; begin < source.count; begin += task_rows * tasks_at_once) {
      const int64_t count = std::min(source.count - begin, task_rows * tasks_at_once);
      std::atomic<Verdict> verdict{Verdict::kGood};
      pool.parallel_for((count + task_rows - 1) / task_rows, [&](int64_t task, int) {
        const int64_t first = task * task_rows;
        const Verdict found =
            convert_rows(tensor, entry, source.first + begin + first, std::min(task_rows, count - first),
                         buffer.data() + static_cast<size_t>(first) * out_bytes);
        if (found != Verdict::kGood) verdict = found;
      });
      const std::string where = cat(files.file_of(entry).path, ": tensor '", entry.name, "' (", entry.stored_type, ")");
      if (verdict == Verdict::kNotFinite)
        return corrupt_data(cat(where, " holds a value that is not a finite number: the file is damaged"));
      if (verdict == Verdict::kTooLarge)
        return invalid_argument(cat(where, " holds a value beyond 65504, which f16 cannot; use --type bf16"), "type");
      SLUICE_RETURN_IF_ERROR(sink({buffer.data(), static_cast<size_t>(count) * out_bytes}));
    }
    files.forget(entry);
  }
  return {};
}

}  // namespace sluice::model
