#pragma once
// Which files of a repository a model needs: its configuration, tokenizer and templates, and its weights once: one
// set of safetensors, or one GGUF model. Pure.

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "adapters/hub/listing.h"
#include "base/result.h"

namespace sluice::adapters {

struct FileWishes {
  std::string variant;               // a quantisation or a GGUF file; "" for the usual one
  std::vector<std::string> include;  // patterns; when there are any, the files they match are all that is taken
  std::vector<std::string> exclude;  // patterns; what they match is left out in any case
};

// Shell patterns as Python's fnmatch reads them: * ? [abc] [!abc], where * also matches "/".
bool matches_pattern(std::string_view pattern, std::string_view text);

// Reads the text of a small file of the listing (the weights' index).
using ReadHubFile = std::function<Result<std::string>(const HubFile&)>;

// In the listing's order. kNotFound and kUnimplemented say what there is instead.
Result<std::vector<HubFile>> select_files(const HubListing& listing, const FileWishes& wishes, const ReadHubFile& read);

}  // namespace sluice::adapters
