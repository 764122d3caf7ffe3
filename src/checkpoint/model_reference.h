#pragma once
// Models by name: "org/name", "org/name@revision", "org/name:Q4_K_M", found in the cache that Hugging Face's own
// programs share (huggingface_hub, "Understand caching"): models--org--name/{refs, snapshots, blobs}. Pure functions of
// names and of the files there; nothing is downloaded here.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace sluice::checkpoint {

// Gives an environment variable's value or null (std::getenv).
using Environment = const char* (*)(const char*);

struct ModelReference {
  std::string repository;  // "org/name", or "name" for the few without an organisation
  std::string revision;    // branch, tag or commit; "" for the default
  std::string variant;     // which GGUF: a quantisation ("Q4_K_M") or a file's name; "" for the usual one
};

// ID[@REVISION][:VARIANT]; "hf.co/", "huggingface.co/" and "https://huggingface.co/" before it are dropped. Nothing
// when the text cannot be such a name.
std::optional<ModelReference> parse_model_reference(std::string_view text);
std::string to_string(const ModelReference& reference);

// A name that stays below the folder it is joined to: no empty, "." or ".." part, no absolute path, no backslash or
// control character, within the limits of file systems.
bool is_safe_relative_path(std::string_view path);

// HF_HUB_CACHE, HUGGINGFACE_HUB_CACHE, $HF_HOME/hub, $XDG_CACHE_HOME/huggingface/hub, ~/.cache/huggingface/hub: the
// first that is set. "~" and "$NAME" in them are expanded.
std::string hub_cache_directory(Environment environment);
// $HF_HOME, $XDG_CACHE_HOME/huggingface or ~/.cache/huggingface.
std::string hub_home_directory(Environment environment);
std::string repository_folder(std::string_view repository);  // "models--org--name"

// Which of these files are the GGUF model `variant` (all parts of a split one): a file's name, or a quantisation as the
// name ends with it. "" is the only model there is, else Q4_K_M. Vision projectors ("mmproj…") are no models.
// kNotFound and kInvalidArgument list what there is.
Result<std::vector<std::string>> choose_gguf(const std::vector<std::string>& names, std::string_view variant);
// The quantisation a GGUF file's name ends with ("Q4_K_M", "BF16"), or "".
std::string gguf_quantization(std::string_view name);

// The folder of the snapshot in `cache`. Without a revision: main, master, or the only one there is.
Result<std::string> find_snapshot(const std::string& cache, const ModelReference& reference);

// What a model is called on the command line → a path: an existing path as it is, else a name found in the cache (the
// snapshot's folder, or the GGUF file in it). kNotFound tells how to download it.
Result<std::string> find_model(const std::string& name, Environment environment);

}  // namespace sluice::checkpoint
