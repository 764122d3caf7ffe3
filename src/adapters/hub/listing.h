#pragma once
// What a hub says a model consists of. Parsing is pure: any text gives an Error or names that stay below a folder.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace sluice::adapters {

struct HubFile {
  std::string path;       // safe, relative (checkpoint::is_safe_relative_path)
  int64_t size = -1;      // bytes; -1 when the hub does not say
  std::string sha256;     // 64 hexadecimal digits, or ""
  std::string git_sha1;   // 40 digits, the name git gives the content, or ""
  std::string file_etag;  // a name for the content by a hub that gives neither checksum, or ""
  std::string revision;   // ModelScope: the commit that last changed this file, or ""

  // The name of its blob in the cache; "" when nothing identifies the content.
  const std::string& blob() const { return !sha256.empty() ? sha256 : !git_sha1.empty() ? git_sha1 : file_etag; }
};

struct HubListing {
  std::string commit;  // 40 hexadecimal digits
  bool gated = false;  // needs a licence to be accepted
  std::vector<HubFile> files;
};

// GET /api/models/{id}/revision/{revision}?blobs=true of the Hugging Face hub and its mirrors.
Result<HubListing> parse_huggingface_listing(std::string_view json);
// GET /api/v1/models/{id}/repo/files?Revision=…&Recursive=true of ModelScope. It names no commit of the whole; one is
// made from the files' checksums, so that equal content has an equal name. kNotFound for a revision that is not there.
Result<HubListing> parse_modelscope_listing(std::string_view json);

// The "id" of each model of GET /api/models?search=…; what is not of that form is left out.
std::vector<std::string> parse_model_names(std::string_view json);

bool is_hexadecimal(std::string_view text, size_t digits);

}  // namespace sluice::adapters
