#include "checkpoint/quantized_weights.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <span>
#include <unordered_set>

#include "base/strings.h"

namespace sluice::checkpoint {
namespace {

constexpr std::string_view kWeight = ".weight";

// Endings of tensors that describe quantised activations, caches or how a kernel should run.
constexpr std::string_view kDropped[] = {".input_scale",       ".input_zero_point", ".input_global_scale",
                                         ".activation_scale",  ".input_scale_ub",   ".output_scale",
                                         ".output_zero_point", ".k_scale",          ".v_scale",
                                         ".q_scale",           ".kv_scale",         ".k_zero_point",
                                         ".v_zero_point",      ".prob_scale"};

std::string described(const WeightEntry& entry) {
  return cat(quote(entry.name), " (", entry.stored_type, " ", entry.shape.str(), ")");
}

int64_t blocks(int64_t size, int64_t block) { return block == 0 ? 1 : (size + block - 1) / block; }

// One matrix being put together.
class Assembly {
 public:
  Assembly(const WeightMap& weights, const Quantization& quantization, std::string_view module)
      : weights_(weights), quantization_(quantization), module_(module) {}

  // From the tensor with the codes; its name ends with `ending`.
  Result<WeightEntry> assemble(const WeightEntry& codes, std::string_view ending) {
    matrix_.codes = codes;
    matrix_.path = weights_.file_of(codes).path;
    used_.push_back(codes.name);
    if (codes.shape.rank() != 2) return wrong(codes, "a matrix");
    if (ending == ".weight_packed") {
      SLUICE_RETURN_IF_ERROR(packed_rows());
    } else if (ending == ".qweight") {
      SLUICE_RETURN_IF_ERROR(quantization_.method == QuantizationMethod::kAwq ? awq() : gptq());
    } else {
      SLUICE_RETURN_IF_ERROR(bytes());
    }
    return finish();
  }

  const std::vector<std::string>& used() const { return used_; }

 private:
  Error wrong(const WeightEntry& entry, std::string_view expected) const {
    return corrupt_data(cat(weights_.file_of(entry).path, ": tensor ", described(entry), " should be ", expected));
  }
  std::string name(std::string_view ending) const { return cat(module_, ending); }

  const WeightEntry* take(std::string_view ending) {
    const WeightEntry* entry = weights_.find(name(ending));
    if (entry != nullptr) used_.push_back(entry->name);
    return entry;
  }
  Result<const WeightEntry*> need(std::string_view ending) {
    const WeightEntry* entry = take(ending);
    if (entry != nullptr) return entry;
    return corrupt_data(cat(matrix_.path, ": tensor ", quote(name(ending)), " is missing: ", described(matrix_.codes),
                            " cannot be read without it (", quantization_.summary, ")"));
  }
  static bool has_scale_type(const WeightEntry& entry) {
    return entry.dtype == DType::kF32 || entry.dtype == DType::kF16 || entry.dtype == DType::kBF16 ||
           entry.stored_type == "F8_E8M0";
  }
  Result<void> check(const WeightEntry& entry, DType dtype, const Shape& shape) const {
    if (entry.dtype == dtype && entry.shape == shape) return {};
    return wrong(entry, cat(dtype_name(dtype), " ", shape.str(), " beside ", described(matrix_.codes), " (",
                            quantization_.summary, ")"));
  }
  Result<void> take_scales(std::string_view ending) {
    SLUICE_TRY(const WeightEntry* scales, need(ending));
    if (!has_scale_type(*scales)) return wrong(*scales, "f32, f16, bf16 or e8m0");
    matrix_.scales = *scales;
    return {};
  }
  Result<void> take_group_index(std::string_view ending) {
    const WeightEntry* index = take(ending);
    if (index == nullptr) return {};
    SLUICE_RETURN_IF_ERROR(check(*index, DType::kI32, {matrix_.columns()}));
    if (!lies_in_order(*index)) matrix_.group_index = *index;
    return {};
  }

  // Without act-order the index says what is so anyway; kernels can compute with such codes as they are.
  bool lies_in_order(const WeightEntry& index) const {
    for (int64_t column = 0; column < matrix_.columns(); ++column) {
      int32_t group = 0;
      std::memcpy(&group, index.data + static_cast<size_t>(column) * sizeof group, sizeof group);
      if (group != column / matrix_.group_columns) return false;
    }
    return true;
  }

  // AWQ: qweight i32 [C, R/8], qzeros i32 [groups, R/8], scales [groups, R].
  Result<void> awq() {
    const WeightEntry& codes = matrix_.codes;
    if (codes.dtype != DType::kI32) return wrong(codes, "i32");
    matrix_.layout = CodeLayout::kAwqNibbles;
    matrix_.shape = {codes.shape[1] * 8, codes.shape[0]};
    matrix_.scales_transposed = true;
    SLUICE_RETURN_IF_ERROR(set_groups(quantization_.schemes.front().group_columns));
    SLUICE_RETURN_IF_ERROR(take_scales(".scales"));
    SLUICE_RETURN_IF_ERROR(check_transposed_scales());
    const WeightEntry* zeros = take(".qzeros");
    if (zeros == nullptr && quantization_.has_zero_points) return need(".qzeros").error();
    if (zeros == nullptr) return {};
    SLUICE_RETURN_IF_ERROR(check(*zeros, DType::kI32, {matrix_.groups(), codes.shape[1]}));
    matrix_.zeros = *zeros;
    return {};
  }

  // GPTQ: qweight i32 [C·bits/32, R], qzeros i32 [groups, R·bits/32], scales [groups, R], g_idx i32 [C].
  Result<void> gptq() {
    const WeightEntry& codes = matrix_.codes;
    if (codes.dtype != DType::kI32) return wrong(codes, "i32");
    matrix_.layout = CodeLayout::kColumnBits;
    matrix_.scales_transposed = true;
    matrix_.zero_added = quantization_.zero_points_lack_one ? 1 : 0;
    SLUICE_RETURN_IF_ERROR(take_scales(".scales"));
    SLUICE_TRY(const WeightEntry* zeros, need(".qzeros"));
    if (matrix_.scales.shape.rank() != 2 || zeros->shape.rank() != 2) return wrong(*zeros, "a matrix, like the scales");
    const int64_t rows = codes.shape[1];
    SLUICE_TRY(matrix_.bits, gptq_bits(*zeros, rows));
    if (rows * matrix_.bits % 32 != 0 || codes.shape[0] * 32 % matrix_.bits != 0)
      return wrong(codes, cat("whole words of ", matrix_.bits, "-bit codes"));
    matrix_.shape = {rows, codes.shape[0] * 32 / matrix_.bits};
    int64_t group = quantization_.schemes.front().group_columns;
    if (quantization_.per_module && matrix_.scales.shape[0] > 0)
      group = blocks(matrix_.columns(), matrix_.scales.shape[0]);
    SLUICE_RETURN_IF_ERROR(set_groups(group));
    SLUICE_RETURN_IF_ERROR(check_transposed_scales());
    SLUICE_RETURN_IF_ERROR(check(*zeros, DType::kI32, {matrix_.groups(), rows * matrix_.bits / 32}));
    matrix_.zeros = *zeros;
    return take_group_index(".g_idx");
  }

  // The config's bits, or where modules have their own ("dynamic"), what the zero points' width says.
  Result<int> gptq_bits(const WeightEntry& zeros, int64_t rows) const {
    const int configured = quantization_.schemes.front().bits;
    if (!quantization_.per_module) return configured;
    for (const int bits : {2, 3, 4, 8}) {
      if (rows > 0 && zeros.shape[1] * 32 == rows * bits) return bits;
    }
    return wrong(zeros, cat("[groups, ", rows, "·bits/32] with 2, 3, 4 or 8 bits"));
  }

  Result<void> check_transposed_scales() const {
    const Shape expected = {matrix_.groups(), matrix_.rows()};
    if (matrix_.scales.shape == expected) return {};
    return wrong(matrix_.scales,
                 cat(expected.str(), " beside ", described(matrix_.codes), " (", quantization_.summary, ")"));
  }

  Result<void> set_groups(int64_t columns) {
    matrix_.group_columns = columns == 0 || columns > matrix_.columns() ? matrix_.columns() : columns;
    if (matrix_.columns() > 0 && matrix_.rows() > 0) return {};
    return wrong(matrix_.codes, "a matrix that is not empty");
  }

  // compressed-tensors pack-quantized: weight_packed i32 [R, ⌈C·bits/32⌉], weight_shape i64 [2].
  Result<void> packed_rows() {
    const WeightEntry& codes = matrix_.codes;
    if (codes.dtype != DType::kI32) return wrong(codes, "i32");
    SLUICE_TRY(const WeightEntry* shape, need(".weight_shape"));
    if ((shape->dtype != DType::kI64 && shape->dtype != DType::kI32) || !(shape->shape == Shape{2}))
      return wrong(*shape, "i64 [2]");
    std::array<int64_t, 2> sizes{};
    for (size_t i = 0; i < sizes.size(); ++i) {
      if (shape->dtype == DType::kI64) {
        std::memcpy(&sizes[i], shape->data + i * sizeof(int64_t), sizeof(int64_t));
      } else {
        int32_t size = 0;
        std::memcpy(&size, shape->data + i * sizeof size, sizeof size);
        sizes[i] = size;
      }
    }
    if (sizes[0] != codes.shape[0] || sizes[1] < 1 || sizes[1] > codes.shape[1] * 32) {
      return corrupt_data(cat(matrix_.path, ": tensor ", quote(shape->name), " says [", sizes[0], ", ", sizes[1],
                              "], which does not fit ", described(codes)));
    }
    matrix_.layout = CodeLayout::kRowBits;
    matrix_.shape = {sizes[0], sizes[1]};
    SLUICE_RETURN_IF_ERROR(take_scales(".weight_scale"));
    const auto fits = [&](const WeightScheme& scheme) {
      return !scheme.is_float && codes.shape[1] == (sizes[1] * scheme.bits + 31) / 32;
    };
    SLUICE_RETURN_IF_ERROR(choose_scheme(fits));
    SLUICE_RETURN_IF_ERROR(take_zero_points());
    return take_group_index(".weight_g_idx");
  }

  // weight i8 or float8 [R, C].
  Result<void> bytes() {
    const WeightEntry& codes = matrix_.codes;
    const bool is_float = codes.dtype != DType::kI8;
    matrix_.layout = is_float ? CodeLayout::kFloat8 : CodeLayout::kInt8;
    matrix_.shape = codes.shape;
    matrix_.bits = 8;
    const bool inverse = weights_.contains(name(".weight_scale_inv"));
    SLUICE_RETURN_IF_ERROR(take_scales(inverse ? ".weight_scale_inv" : ".weight_scale"));
    SLUICE_RETURN_IF_ERROR(
        choose_scheme([&](const WeightScheme& scheme) { return scheme.is_float == is_float && scheme.bits <= 8; }));
    matrix_.bits = 8;  // narrower integers lie in whole bytes, too
    SLUICE_RETURN_IF_ERROR(take_zero_points());
    return take_group_index(".weight_g_idx");
  }

  // The schemes this module may have: all of them, or for compressed-tensors the one of its group.
  Result<std::span<const WeightScheme>> schemes() const {
    const std::span<const WeightScheme> all = quantization_.schemes;
    if (quantization_.method != QuantizationMethod::kCompressedTensors) return all;
    const std::optional<int> group = quantization_.targets.group_of(module_);
    if (group && *group >= 0) return all.subspan(static_cast<size_t>(*group), 1);
    return corrupt_data(cat(matrix_.path, ": tensor ", described(matrix_.codes), " is quantised, but config.json ",
                            quantization_.targets.is_ignored(module_) ? "ignores" : "has no config group for",
                            " module ", quote(module_), " (", quantization_.summary, ")"));
  }

  // The first scheme that the codes (`fits`) and the scales' shape agree with.
  template <class Fits>
  Result<void> choose_scheme(const Fits& fits) {
    if (matrix_.rows() < 1 || matrix_.columns() < 1) return wrong(matrix_.codes, "a matrix that is not empty");
    const Shape& scales = matrix_.scales.shape;
    std::string expected;
    SLUICE_TRY(const std::span<const WeightScheme> possible, schemes());
    for (const WeightScheme& scheme : possible) {
      if (!fits(scheme)) continue;
      const int64_t down = blocks(matrix_.rows(), scheme.group_rows);
      const int64_t along = blocks(matrix_.columns(), scheme.group_columns);
      const bool is_column = along == 1 && (scales == Shape{down} || (down == 1 && scales.rank() == 0));
      if (scales == Shape{down, along} || is_column) {
        matrix_.bits = scheme.bits;
        matrix_.group_rows = scheme.group_rows == 0 ? matrix_.rows() : scheme.group_rows;
        return set_groups(scheme.group_columns);
      }
      expected += cat(expected.empty() ? "" : " or ", Shape{down, along}.str());
    }
    if (expected.empty()) {
      return corrupt_data(cat(matrix_.path, ": tensor ", described(matrix_.codes), " of shape ", matrix_.shape.str(),
                              " does not fit the config's group for it (", quantization_.summary, ")"));
    }
    return wrong(matrix_.scales, cat(expected, " beside ", described(matrix_.codes), " (", quantization_.summary, ")"));
  }

  Result<void> take_zero_points() {
    const WeightEntry* zeros = take(".weight_zero_point");
    if (zeros == nullptr || !matrix_.has_integer_codes()) return {};
    const int64_t down = blocks(matrix_.rows(), matrix_.group_rows);
    if (zeros->dtype == DType::kI8 && zeros->shape.elements() == down * matrix_.groups()) {
      matrix_.zeros = *zeros;
      return {};
    }
    if (matrix_.layout != CodeLayout::kRowBits || matrix_.group_rows != 1)
      return wrong(*zeros, cat("i8 with ", down * matrix_.groups(), " elements"));
    SLUICE_RETURN_IF_ERROR(check(*zeros, DType::kI32, {(matrix_.rows() * matrix_.bits + 31) / 32, matrix_.groups()}));
    matrix_.zeros = *zeros;
    return {};
  }

  WeightEntry finish() {
    WeightEntry out;
    out.name = name(kWeight);
    out.stored_type = type_name();
    out.dtype = DType::kBF16;
    out.shape = matrix_.shape;
    out.data = matrix_.codes.data;
    out.file = matrix_.codes.file;
    for (const std::string& part : used_) out.bytes += weights_.find(part)->bytes;
    out.problem = cat("it is stored as ", out.stored_type, ", which must be decoded");
    matrix_.path = weights_.file_of(matrix_.scales).path;
    out.quantized = std::make_shared<const QuantizedMatrix>(std::move(matrix_));
    return out;
  }

  std::string type_name() const {
    switch (quantization_.method) {
      case QuantizationMethod::kAwq:
        return "AWQ int4";
      case QuantizationMethod::kGptq:
        return cat("GPTQ int", matrix_.bits);
      case QuantizationMethod::kCompressedTensors:
      case QuantizationMethod::kFp8:
        return matrix_.has_integer_codes() ? cat("int", matrix_.bits) : "fp8 e4m3";
    }
    return {};
  }

  const WeightMap& weights_;
  const Quantization& quantization_;
  std::string module_;
  QuantizedMatrix matrix_;
  std::vector<std::string> used_;
};

// The module whose codes this tensor holds, or nothing.
std::string_view codes_ending(const WeightEntry& entry, const Quantization& quantization) {
  const std::string_view name = entry.name;
  switch (quantization.method) {
    case QuantizationMethod::kAwq:
    case QuantizationMethod::kGptq:
      return name.ends_with(".qweight") ? ".qweight" : "";
    case QuantizationMethod::kCompressedTensors:
      if (name.ends_with(".weight_packed")) return ".weight_packed";
      return name.ends_with(kWeight) && (entry.dtype == DType::kI8 || entry.stored_type == "F8_E4M3") ? kWeight : "";
    case QuantizationMethod::kFp8:
      return name.ends_with(kWeight) && entry.stored_type == "F8_E4M3" ? kWeight : "";
  }
  return "";
}

// A matrix that the config says is quantised, but that is plain in the file.
bool lacks_codes(const WeightEntry& entry, const Quantization& quantization) {
  if (quantization.method != QuantizationMethod::kCompressedTensors) return false;
  const std::string_view name = entry.name;
  if (!name.ends_with(kWeight) || entry.shape.rank() != 2) return false;
  return quantization.targets.group_of(name.substr(0, name.size() - kWeight.size())).value_or(-1) >= 0;
}

bool is_dropped(std::string_view name) {
  return std::ranges::any_of(kDropped, [&](std::string_view ending) { return name.ends_with(ending); });
}

}  // namespace

Result<WeightMap> gather_quantized(WeightMap weights, const Quantization& quantization) {
  std::unordered_set<std::string> used;
  std::vector<WeightEntry> assembled;
  for (const WeightEntry& entry : weights.entries()) {
    const std::string_view ending = codes_ending(entry, quantization);
    if (ending.empty()) continue;
    Assembly assembly(weights, quantization, std::string_view(entry.name).substr(0, entry.name.size() - ending.size()));
    SLUICE_TRY(assembled.emplace_back(), assembly.assemble(entry, ending));
    used.insert(assembly.used().begin(), assembly.used().end());
  }
  WeightMap out;
  for (const WeightFile& file : weights.files()) out.add_file(file);
  for (const WeightEntry& entry : weights.entries()) {
    if (used.contains(entry.name) || is_dropped(entry.name)) continue;
    if (lacks_codes(entry, quantization)) {
      return corrupt_data(cat(weights.file_of(entry).path, ": tensor ", described(entry),
                              " is not quantised, but config.json has a config group for it and does not ignore it (",
                              quantization.summary, ")"));
    }
    SLUICE_RETURN_IF_ERROR(out.add(entry));
  }
  for (WeightEntry& entry : assembled) SLUICE_RETURN_IF_ERROR(out.add(std::move(entry)));
  return out;
}

bool is_zero_bias(const WeightMap& weights, const WeightEntry& entry) {
  constexpr std::string_view kBias = ".bias";
  if (!entry.name.ends_with(kBias) || entry.shape.rank() != 1 || !entry.problem.empty()) return false;
  const WeightEntry* weight =
      weights.find(cat(std::string_view(entry.name).substr(0, entry.name.size() - kBias.size()), kWeight));
  if (weight == nullptr || weight->quantized == nullptr) return false;
  return std::all_of(entry.data, entry.data + entry.bytes, [](std::byte byte) { return byte == std::byte{0}; });
}

}  // namespace sluice::checkpoint
