// Several safetensors files that are one model.

#include <filesystem>

#include "base/json.h"
#include "base/strings.h"
#include "checkpoint/safetensors.h"

namespace sluice::checkpoint {
namespace {

constexpr std::string_view kSafetensorsSuffix = ".safetensors";
constexpr size_t kIndexBytesMax = size_t{256} << 20;
constexpr size_t kShardsMax = 10'000;

// A bare file name: an index is data from outside and may not reach into other directories.
bool is_bare_file_name(std::string_view name) {
  return !name.empty() && name.size() <= 255 && name != "." && name != ".." &&
         name.find_first_of(std::string_view("/\\\0", 3)) == std::string_view::npos;
}

std::string parent(const std::string& path) {
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  return folder.empty() ? "." : folder.string();
}

// Names of the *.safetensors files of a directory, sorted.
std::vector<std::string> list_shards(const std::string& directory) {
  std::vector<std::string> names = list_files(directory);
  std::erase_if(
      names, [](const std::string& name) { return !name.ends_with(kSafetensorsSuffix) || name == kSafetensorsSuffix; });
  return names;
}

// Without an index, the files that are the model: not the adapters nor the second copy ("consolidated") that some
// repositories keep beside it.
std::vector<std::string> model_parts(const std::vector<std::string>& names) {
  std::vector<std::string> parts;
  for (const std::string& name : names) {
    if (!name.starts_with("adapter_model") && !name.starts_with("consolidated")) parts.push_back(name);
  }
  if (!parts.empty()) return parts;
  for (const std::string& name : names) {
    if (name.starts_with("consolidated")) parts.push_back(name);
  }
  return parts;
}

}  // namespace

Result<SafetensorsIndex> parse_safetensors_index(std::string_view json, const std::string& path) {
  auto parsed = parse_json(json, {.bytes_max = kIndexBytesMax, .depth_max = 16});
  if (!parsed.ok()) return Error{parsed.error().code, cat(path, ": ", parsed.error().message), {}, {}};
  const Json* map = json_find(*parsed, "weight_map");
  if (map == nullptr || !map->is_object() || map->empty()) {
    return corrupt_data(cat(path, ": expected an object \"weight_map\" from tensor names to file names"));
  }
  SafetensorsIndex index;
  std::map<std::string, size_t, std::less<>> shard_numbers;
  for (const auto& [tensor, file] : map->items()) {
    if (!file.is_string()) return corrupt_data(cat(path, ": the file of tensor ", quote(tensor), " is not a string"));
    const auto& name = file.get_ref<const std::string&>();
    if (!is_bare_file_name(name)) {
      return corrupt_data(cat(path, ": tensor ", quote(tensor), " is said to be in ", quote(name),
                              "; only files of the index's own directory are allowed"));
    }
    const auto [place, is_new] = shard_numbers.try_emplace(name, index.shards.size());
    if (is_new) index.shards.push_back(name);
    if (index.shards.size() > kShardsMax) return corrupt_data(cat(path, ": it names more than ", kShardsMax, " files"));
    index.home.emplace(tensor, place->second);
  }
  return index;
}

Result<WeightMap> open_safetensors_index(const std::string& index_path) {
  SLUICE_TRY(const std::string text, read_file(index_path, kIndexBytesMax));
  SLUICE_TRY(const SafetensorsIndex index, parse_safetensors_index(text, index_path));
  const std::string folder = parent(index_path);
  WeightMap weights;
  for (size_t i = 0; i < index.shards.size(); ++i) {
    const std::string path = cat(folder, "/", index.shards[i]);
    if (!file_exists(path)) {
      return not_found(cat(path, " is missing: ", index_path, " names it as one of ", index.shards.size(),
                           " files; download it again"));
    }
    SLUICE_TRY(auto shard, open_safetensors(path));
    for (const WeightEntry& entry : shard.entries()) {
      const auto home = index.home.find(entry.name);
      if (home != index.home.end() && home->second != i) {
        return corrupt_data(cat("tensor ", quote(entry.name), " is in ", path, ", but ", index_path, " says it is in ",
                                index.shards[home->second]));
      }
    }
    SLUICE_RETURN_IF_ERROR(weights.append(std::move(shard)));
  }
  for (const auto& [tensor, shard] : index.home) {
    if (!weights.contains(tensor)) {
      return corrupt_data(cat("tensor ", quote(tensor), " is not in ", folder, "/", index.shards[shard], ", where ",
                              index_path, " says it is"));
    }
  }
  return weights;
}

Result<WeightMap> open_safetensors_directory(const std::string& directory) {
  if (const std::string single = directory + "/model.safetensors"; file_exists(single)) return open_safetensors(single);
  if (const std::string index = directory + "/model.safetensors.index.json"; file_exists(index)) {
    return open_safetensors_index(index);
  }
  const std::vector<std::string> parts = model_parts(list_shards(directory));
  if (parts.empty()) {
    return not_found(cat("there are no weights in ", directory,
                         ": looked for model.safetensors, "
                         "model.safetensors.index.json and any other *.safetensors"));
  }
  WeightMap weights;
  for (const std::string& name : parts) {
    SLUICE_TRY(auto part, open_safetensors(cat(directory, "/", name)));
    SLUICE_RETURN_IF_ERROR(weights.append(std::move(part)));
  }
  return weights;
}

}  // namespace sluice::checkpoint
