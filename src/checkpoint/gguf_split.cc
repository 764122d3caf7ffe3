// Opening GGUF files, also those that llama.cpp's gguf-split has cut into parts: "stem-00001-of-00005.gguf", …

#include <cstdio>

#include "base/strings.h"
#include "checkpoint/gguf.h"

namespace sluice::checkpoint {
namespace {

constexpr int kPartsMax = 1024;

// Five digits, or -1.
int parse_five(std::string_view text) {
  int value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return -1;
    value = value * 10 + (c - '0');
  }
  return text.size() == 5 ? value : -1;
}

Result<GgufFile> open_one(const std::string& path) {
  SLUICE_TRY(auto file, WeightFile::map(path));
  return read_gguf(std::move(file));
}

// Parts carry their own number and count; a part that was renamed or comes from another split is found out here.
Result<void> check_part(const GgufFile& part, const GgufSplitName& name, int index) {
  const std::string& path = part.metadata.path();
  SLUICE_TRY(const int64_t number, part.metadata.integer("split.no"));
  SLUICE_TRY(const int64_t count, part.metadata.integer("split.count"));
  if (number != index || count != name.count) {
    return corrupt_data(cat(path, " says it is part ", number + 1, " of ", count, ", but its name says part ",
                            index + 1, " of ", name.count));
  }
  return {};
}

}  // namespace

std::optional<GgufSplitName> parse_split_name(std::string_view path) {
  constexpr size_t kTail = std::string_view("-00001-of-00005.gguf").size();
  if (path.size() <= kTail || !path.ends_with(kGgufSuffix)) return std::nullopt;
  const std::string_view tail = path.substr(path.size() - kTail);
  const int number = parse_five(tail.substr(1, 5));
  const int count = parse_five(tail.substr(10, 5));
  if (tail[0] != '-' || tail.substr(6, 4) != "-of-" || number < 1 || count < number) return std::nullopt;
  return GgufSplitName{std::string(path.substr(0, path.size() - kTail)), number - 1, count};
}

std::string split_path(const GgufSplitName& name, int index) {
  char tail[32];
  std::snprintf(tail, sizeof tail, "-%05d-of-%05d.gguf", index + 1, name.count);
  return name.stem + tail;
}

Result<GgufFile> open_gguf(const std::string& path) {
  const std::optional<GgufSplitName> name = parse_split_name(path);
  if (!name || name->count == 1) return open_one(path);
  if (name->count > kPartsMax) {
    return corrupt_data(cat(path, " is one of ", name->count, " parts; at most ", kPartsMax, " are supported"));
  }
  for (int i = 0; i < name->count; ++i) {
    if (const std::string part = split_path(*name, i); !file_exists(part)) {
      return not_found(
          cat(part, " is missing: ", path, " is one of ", name->count, " parts of a model; download it, too"));
    }
  }
  SLUICE_TRY(GgufFile whole, open_one(split_path(*name, 0)));
  SLUICE_RETURN_IF_ERROR(check_part(whole, *name, 0));
  for (int i = 1; i < name->count; ++i) {
    SLUICE_TRY(GgufFile part, open_one(split_path(*name, i)));
    SLUICE_RETURN_IF_ERROR(check_part(part, *name, i));
    SLUICE_RETURN_IF_ERROR(whole.weights.append(std::move(part.weights)));
  }
  SLUICE_TRY(const int64_t expected, whole.metadata.integer("split.tensors.count", -1));
  const auto found = static_cast<int64_t>(whole.weights.entries().size());
  if (expected >= 0 && expected != found) {
    return corrupt_data(cat(path, ": the model should have ", expected, " tensors, but its parts have ", found));
  }
  return whole;
}

}  // namespace sluice::checkpoint
