#include "cli/convert_output.h"

#include <cstdio>

#include "base/json.h"
#include "base/strings.h"
#include "checkpoint/output_file.h"

namespace sluice::cli {
namespace {

using checkpoint::OutputFile;
using model::ConversionTensor;

constexpr size_t kPartsMax = 1024;

// First tensors of the parts: each part is as full as the limit allows, and holds one tensor at least.
std::vector<size_t> part_borders(const std::vector<ConversionTensor>& tensors, uint64_t limit) {
  std::vector<size_t> borders = {0};
  uint64_t bytes = 0;
  for (size_t i = 0; i < tensors.size(); ++i) {
    if (limit > 0 && bytes > 0 && bytes + tensors[i].bytes() > limit) {
      borders.push_back(i);
      bytes = 0;
    }
    bytes += tensors[i].bytes();
  }
  borders.push_back(tensors.size());
  return borders;
}

Result<void> check_parts(size_t parts) {
  if (parts <= kPartsMax) return {};
  return invalid_argument(cat("--shard-size would make ", parts, " files; at most ", kPartsMax, " are possible"),
                          "shard-size");
}

Result<void> write_one(const checkpoint::WeightMap& files, const ConversionTensor& tensor, OutputFile& file,
                       const ConversionOutput& output, ThreadPool& pool) {
  return model::write_tensor(files, tensor, pool, [&](std::span<const std::byte> bytes) -> Result<void> {
    SLUICE_RETURN_IF_ERROR(file.write(bytes));
    return output.on_progress(bytes.size());
  });
}

std::string safetensors_type(DType dtype) {
  return dtype == DType::kF32 ? "F32" : dtype == DType::kF16 ? "F16" : "BF16";
}

// Length, then JSON, padded with spaces so that the data begins at a multiple of 8.
std::string safetensors_head(std::span<const ConversionTensor> tensors) {
  Json header = {{"__metadata__", {{"format", "pt"}}}};
  uint64_t at = 0;
  for (const ConversionTensor& tensor : tensors) {
    Json shape = Json::array();
    for (int axis = 0; axis < tensor.shape.rank(); ++axis) shape.push_back(tensor.shape[axis]);
    header[tensor.name] = {
        {"dtype", safetensors_type(tensor.dtype)}, {"shape", shape}, {"data_offsets", {at, at + tensor.bytes()}}};
    at += tensor.bytes();
  }
  std::string text = dump_json(header);
  text.resize((text.size() + 7) / 8 * 8, ' ');
  const uint64_t length = text.size();
  return std::string(reinterpret_cast<const char*>(&length), sizeof length) + text;
}

}  // namespace

Result<void> write_gguf_model(const checkpoint::WeightMap& files, const std::vector<ConversionTensor>& tensors,
                              const std::vector<model::GgufSideTensor>& side, const checkpoint::GgufHead& head,
                              const ConversionOutput& output, ThreadPool& pool) {
  const std::vector<size_t> borders = part_borders(tensors, output.shard_bytes);
  const size_t parts = borders.size() - 1;
  SLUICE_RETURN_IF_ERROR(check_parts(parts));
  std::string stem = output.path;
  if (constexpr std::string_view kSuffix = ".gguf"; stem.ends_with(kSuffix)) stem.resize(stem.size() - kSuffix.size());
  std::vector<OutputFile> done;
  for (size_t part = 0; part < parts; ++part) {
    const bool first = part == 0;
    checkpoint::GgufHead part_head = first ? head : checkpoint::GgufHead();
    if (parts > 1) {
      part_head.add_u16("split.no", static_cast<uint16_t>(part));
      part_head.add_u16("split.count", static_cast<uint16_t>(parts));
      part_head.add_i32("split.tensors.count", static_cast<int32_t>(tensors.size() + side.size()));
    }
    if (first) {
      for (const model::GgufSideTensor& each : side)
        part_head.add_tensor(each.name, DType::kF32, {static_cast<int64_t>(each.values.size())});
    }
    const std::span part_tensors(tensors.begin() + static_cast<long>(borders[part]),
                                 tensors.begin() + static_cast<long>(borders[part + 1]));
    for (const ConversionTensor& tensor : part_tensors) part_head.add_tensor(tensor.name, tensor.dtype, tensor.shape);
    const std::string bytes = part_head.bytes();
    const std::string path =
        parts == 1 ? output.path : checkpoint::split_path({stem, 0, static_cast<int>(parts)}, static_cast<int>(part));
    SLUICE_TRY(OutputFile file, OutputFile::create(path, bytes.size() + part_head.tensor_bytes(), output.replace));
    SLUICE_RETURN_IF_ERROR(file.write(bytes));
    if (first) {
      for (const model::GgufSideTensor& each : side) {
        SLUICE_RETURN_IF_ERROR(file.write(std::as_bytes(std::span(each.values))));
        SLUICE_RETURN_IF_ERROR(file.pad(checkpoint::GgufHead::kAlignment));
      }
    }
    for (const ConversionTensor& tensor : part_tensors) {
      SLUICE_RETURN_IF_ERROR(write_one(files, tensor, file, output, pool));
      SLUICE_RETURN_IF_ERROR(file.pad(checkpoint::GgufHead::kAlignment));
    }
    done.push_back(std::move(file));
  }
  SLUICE_RETURN_IF_ERROR(files.verify_unchanged());  // of files that changed meanwhile, nothing good was written
  for (OutputFile& file : done) SLUICE_RETURN_IF_ERROR(file.commit());
  return {};
}

Result<void> write_safetensors_model(const checkpoint::WeightMap& files, const std::vector<ConversionTensor>& tensors,
                                     const ConversionOutput& output, ThreadPool& pool) {
  const std::vector<size_t> borders = part_borders(tensors, output.shard_bytes);
  const size_t parts = borders.size() - 1;
  SLUICE_RETURN_IF_ERROR(check_parts(parts));
  Json homes = Json::object();
  uint64_t total = 0;
  std::vector<OutputFile> done;
  for (size_t part = 0; part < parts; ++part) {
    const std::span part_tensors(tensors.begin() + static_cast<long>(borders[part]),
                                 tensors.begin() + static_cast<long>(borders[part + 1]));
    char name[64] = "model.safetensors";
    if (parts > 1) std::snprintf(name, sizeof name, "model-%05zu-of-%05zu.safetensors", part + 1, parts);
    const std::string head = safetensors_head(part_tensors);
    uint64_t bytes = 0;
    for (const ConversionTensor& tensor : part_tensors) {
      bytes += tensor.bytes();
      homes[tensor.name] = name;
    }
    total += bytes;
    SLUICE_TRY(OutputFile file, OutputFile::create(cat(output.path, "/", name), head.size() + bytes, output.replace));
    SLUICE_RETURN_IF_ERROR(file.write(head));
    for (const ConversionTensor& tensor : part_tensors)
      SLUICE_RETURN_IF_ERROR(write_one(files, tensor, file, output, pool));
    done.push_back(std::move(file));
  }
  SLUICE_RETURN_IF_ERROR(files.verify_unchanged());  // of files that changed meanwhile, nothing good was written
  for (OutputFile& file : done) SLUICE_RETURN_IF_ERROR(file.commit());
  if (parts == 1) return {};
  const Json index = {{"metadata", {{"total_size", total}}}, {"weight_map", homes}};
  return checkpoint::write_whole_file(output.path + "/model.safetensors.index.json", dump_json(index, 2) + "\n",
                                      output.replace);
}

}  // namespace sluice::cli
