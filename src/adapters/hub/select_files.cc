#include "adapters/hub/select_files.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "base/strings.h"
#include "checkpoint/model_reference.h"
#include "checkpoint/safetensors.h"

namespace sluice::adapters {
namespace {

constexpr std::string_view kIndex = "model.safetensors.index.json";

// What says what the weights are and how text becomes tokens. Patterns of file names at the top of the repository.
constexpr std::string_view kDescribing[] = {
    "config.json",
    "generation_config.json",
    "configuration.json",
    "quantize_config.json",
    "quant_config.json",
    "quantization_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "tokenizer.model",
    "tokenizer.model.v*",
    "*.tiktoken",
    "tiktoken.model",
    "tekken.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "spiece.model",
    "sentencepiece*.model",
    "*.spm",
    "chat_template.*",
    "preprocessor_config.json",
    "processor_config.json",
    "video_preprocessor_config.json",
    "image_processor_config.json",
};

bool is_describing(std::string_view path) {
  if (matches_pattern("additional_chat_templates/*.jinja", path)) return true;
  if (path.find('/') != std::string_view::npos) return false;
  return std::ranges::any_of(kDescribing, [&](std::string_view pattern) { return matches_pattern(pattern, path); });
}

bool matches_any(const std::vector<std::string>& patterns, std::string_view path) {
  return std::ranges::any_of(patterns, [&](const std::string& pattern) {
    // "folder/" is all that is in it, as huggingface_hub reads it.
    return matches_pattern(pattern.ends_with('/') ? pattern + "*" : pattern, path);
  });
}

const HubFile* find_file(const HubListing& listing, std::string_view path) {
  const auto found = std::ranges::find_if(listing.files, [&](const HubFile& file) { return file.path == path; });
  return found == listing.files.end() ? nullptr : &*found;
}

// The safetensors that are the model, as checkpoint::open_safetensors_directory will look for them: model.safetensors,
// else what the index names, else all but adapters and second copies.
Result<std::set<std::string>> safetensors_of(const HubListing& listing, const ReadHubFile& read) {
  std::set<std::string> plain, consolidated;
  for (const HubFile& file : listing.files) {
    if (file.path.find('/') != std::string::npos || !file.path.ends_with(".safetensors")) continue;
    if (file.path.starts_with("adapter_model")) continue;
    (file.path.starts_with("consolidated") ? consolidated : plain).insert(file.path);
  }
  if (plain.contains("model.safetensors")) return std::set<std::string>{"model.safetensors"};
  if (const HubFile* index = find_file(listing, kIndex); index != nullptr) {
    SLUICE_TRY(const std::string text, read(*index));
    SLUICE_TRY(const checkpoint::SafetensorsIndex shards, checkpoint::parse_safetensors_index(text, index->path));
    std::set<std::string> names{std::string(kIndex)};
    for (const std::string& shard : shards.shards) {
      if (find_file(listing, shard) == nullptr) {
        return corrupt_data(cat(kIndex, " names ", utf8_sanitize(shard), ", which the repository does not have"));
      }
      names.insert(shard);
    }
    return names;
  }
  return plain.empty() ? consolidated : plain;
}

Error no_weights(const HubListing& listing) {
  std::set<std::string> folders;
  std::string pickle, other;
  bool adapter = false;
  for (const HubFile& file : listing.files) {
    const std::string& path = file.path;
    const bool inside = path.find('/') != std::string::npos;
    if (inside && path.ends_with(".safetensors")) folders.insert(path.substr(0, path.rfind('/')));
    if (!inside && (path.ends_with(".bin") || path.ends_with(".pth") || path.ends_with(".pt"))) pickle = path;
    if (path.ends_with(".onnx") || path.ends_with(".msgpack") || path.ends_with(".h5")) other = path;
    adapter = adapter || path == "adapter_config.json";
  }
  if (adapter) return unimplemented("this is an adapter (LoRA), not a whole model; pull its base model instead");
  if (!pickle.empty()) {
    return unimplemented(cat("the weights are there only as PyTorch files (", pickle,
                             "), which Sluice does not read; look for a copy as safetensors or GGUF, or take the files "
                             "as they are with --include '*'"));
  }
  if (!folders.empty()) {
    return not_found(cat("there are no weights at the top of the repository, but in the folders ",
                         join({folders.begin(), folders.end()}, ", "), "; take one with --include '", *folders.begin(),
                         "/*'"));
  }
  if (!other.empty()) {
    return unimplemented(cat("there are no safetensors or GGUF weights, only others such as ", other));
  }
  return not_found("the repository has no weights; --include '*' takes all files as they are");
}

// One "[…]" at the beginning of `pattern`; its length, or 0 when it is no such set.
size_t match_set(std::string_view pattern, char c, bool& matched) {
  size_t i = 1;
  const bool negated = pattern.size() > 1 && pattern[1] == '!';
  if (negated) ++i;
  const size_t close = pattern.find(']', i + 1);
  if (close == std::string_view::npos) return 0;
  bool inside = false;
  for (; i < close; ++i) {
    if (i + 2 < close && pattern[i + 1] == '-') {
      inside = inside || (pattern[i] <= c && c <= pattern[i + 2]);
      i += 2;
    } else {
      inside = inside || pattern[i] == c;
    }
  }
  matched = inside != negated;
  return close + 1;
}

}  // namespace

bool matches_pattern(std::string_view pattern, std::string_view text) {
  size_t p = 0, t = 0;
  std::optional<size_t> star;  // where to go on after the last "*"
  size_t star_text = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = ++p;
      star_text = t;
      continue;
    }
    bool matched = false;
    size_t length = 1;
    if (p < pattern.size()) {
      size_t set = 0;
      if (pattern[p] == '[') set = match_set(pattern.substr(p), text[t], matched);
      if (set > 0) {
        length = set;
      } else {
        matched = pattern[p] == '?' || pattern[p] == text[t];
      }
    }
    if (matched) {
      p += length;
      ++t;
    } else if (star) {
      p = *star;
      t = ++star_text;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

Result<std::vector<HubFile>> select_files(const HubListing& listing, const FileWishes& wishes,
                                          const ReadHubFile& read) {
  std::vector<HubFile> chosen;
  const auto take_if = [&](const std::function<bool(const std::string&)>& wanted) {
    for (const HubFile& file : listing.files) {
      if (!matches_any(wishes.exclude, file.path) && wanted(file.path)) chosen.push_back(file);
    }
  };
  if (!wishes.include.empty() && wishes.variant.empty()) {
    take_if([&](const std::string& path) { return matches_any(wishes.include, path); });
    if (chosen.empty()) return not_found("no file matches --include and is not excluded");
    return chosen;
  }

  std::set<std::string> weights;
  if (wishes.variant.empty()) {
    SLUICE_TRY(weights, safetensors_of(listing, read));
  }
  if (weights.empty()) {
    std::vector<std::string> names;
    bool any = false;
    for (const HubFile& file : listing.files) {
      if (!matches_any(wishes.exclude, file.path)) names.push_back(file.path);
      any = any || file.path.ends_with(".gguf");
    }
    if (!any) {
      if (!wishes.variant.empty()) {
        return not_found(cat("'", wishes.variant, "' chooses among GGUF files, and this repository has none"));
      }
      return no_weights(listing);
    }
    SLUICE_TRY(const std::vector<std::string> parts, checkpoint::choose_gguf(names, wishes.variant));
    weights.insert(parts.begin(), parts.end());
  }
  take_if([&](const std::string& path) {
    return weights.contains(path) || is_describing(path) || matches_any(wishes.include, path);
  });
  return chosen;
}

}  // namespace sluice::adapters
