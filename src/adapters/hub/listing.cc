#include "adapters/hub/listing.h"

#include <algorithm>
#include <set>

#include "adapters/hub/checksum.h"
#include "base/json.h"
#include "base/strings.h"
#include "checkpoint/model_reference.h"

namespace sluice::adapters {
namespace {

constexpr JsonLimits kLimits{.bytes_max = size_t{64} << 20, .depth_max = 32};
constexpr size_t kFilesMax = 100'000;
constexpr int64_t kFileBytesMax = int64_t{1} << 44;

// A member that is a string; "" otherwise.
std::string text_of(const Json& object, std::string_view key) {
  const Json* value = json_find(object, key);
  return value != nullptr && value->is_string() ? value->get<std::string>() : "";
}

// Text that must be so many hexadecimal digits, in lower case; "" when it is not.
std::string checksum_of(const Json& object, std::string_view key, size_t digits) {
  std::string text = to_lower_ascii(text_of(object, key));
  return is_hexadecimal(text, digits) ? text : "";
}

Result<int64_t> size_of(const Json& object, std::string_view key, const std::string& path) {
  const Json* value = json_find(object, key);
  if (value == nullptr || value->is_null()) return -1;
  const bool whole = value->is_number_unsigned() || (value->is_number_integer() && value->get<int64_t>() >= 0);
  if (!whole || value->get<uint64_t>() > static_cast<uint64_t>(kFileBytesMax)) {
    return corrupt_data(cat("the hub says ", path, " has ", dump_json(*value).substr(0, 40), " bytes; expected up to ",
                            format_bytes(kFileBytesMax)));
  }
  return value->get<int64_t>();
}

Result<void> add_file(HubFile file, HubListing& listing, std::set<std::string>& seen) {
  if (!checkpoint::is_safe_relative_path(file.path)) {
    std::string shown = dump_json(file.path);
    if (shown.size() > 80) shown = shown.substr(0, 80) + "…";
    return corrupt_data(cat("the hub lists a file named ", utf8_sanitize(shown),
                            ", which would not stay inside the model's folder; nothing was downloaded"));
  }
  if (!seen.insert(file.path).second) return corrupt_data(cat("the hub lists ", file.path, " twice"));
  if (listing.files.size() >= kFilesMax) return corrupt_data(cat("the hub lists more than ", kFilesMax, " files"));
  listing.files.push_back(std::move(file));
  return {};
}

Result<Json> parse_object(std::string_view json) {
  auto parsed = parse_json(json, kLimits);
  if (!parsed.ok()) return corrupt_data(cat("the hub's list of files is no JSON: ", parsed.error().message));
  if (!parsed->is_object()) return corrupt_data("the hub's list of files is no JSON object");
  return parsed;
}

}  // namespace

bool is_hexadecimal(std::string_view text, size_t digits) {
  return text.size() == digits && std::ranges::all_of(text, [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
         });
}

Result<HubListing> parse_huggingface_listing(std::string_view json) {
  SLUICE_TRY(const Json root, parse_object(json));
  HubListing listing;
  listing.commit = checksum_of(root, "sha", 40);
  if (listing.commit.empty()) return corrupt_data("the hub's list of files names no commit (\"sha\")");
  const Json* gated = json_find(root, "gated");
  listing.gated = gated != nullptr && !gated->is_null() && *gated != Json(false);
  const Json* siblings = json_find(root, "siblings");
  if (siblings == nullptr || !siblings->is_array()) return corrupt_data("the hub's answer has no \"siblings\"");
  std::set<std::string> seen;
  for (const Json& item : *siblings) {
    HubFile file;
    file.path = text_of(item, "rfilename");
    SLUICE_TRY(file.size, size_of(item, "size", utf8_sanitize(file.path)));
    if (const Json* lfs = json_find(item, "lfs"); lfs != nullptr && lfs->is_object()) {
      file.sha256 = checksum_of(*lfs, "sha256", 64);
      SLUICE_TRY(const int64_t size, size_of(*lfs, "size", utf8_sanitize(file.path)));
      if (size >= 0) file.size = size;
    } else {
      file.git_sha1 = checksum_of(item, "blobId", 40);
    }
    SLUICE_RETURN_IF_ERROR(add_file(std::move(file), listing, seen));
  }
  return listing;
}

Result<HubListing> parse_modelscope_listing(std::string_view json) {
  SLUICE_TRY(const Json root, parse_object(json));
  const Json* data = json_find(root, "Data");
  const Json* files = data == nullptr ? nullptr : json_find(*data, "Files");
  // An unknown revision is answered with 200 and no files.
  if (files == nullptr || files->is_null()) {
    const std::string message = utf8_sanitize(text_of(root, "Message")).substr(0, 200);
    return not_found(cat("the hub has no files for that model and revision", message.empty() ? "" : ": ", message));
  }
  if (!files->is_array()) return corrupt_data("the hub's answer has no array \"Files\"");
  HubListing listing;
  std::set<std::string> seen;
  for (const Json& item : *files) {
    if (text_of(item, "Type") == "tree") continue;
    HubFile file;
    file.path = text_of(item, "Path");
    SLUICE_TRY(file.size, size_of(item, "Size", utf8_sanitize(file.path)));
    file.sha256 = checksum_of(item, "Sha256", 64);
    file.revision = checksum_of(item, "Revision", 40);
    SLUICE_RETURN_IF_ERROR(add_file(std::move(file), listing, seen));
  }
  std::vector<std::string> lines;
  for (const HubFile& file : listing.files) lines.push_back(cat(file.sha256, " ", file.size, " ", file.path, "\n"));
  std::ranges::sort(lines);
  Checksum checksum(Checksum::Kind::kSha1);
  for (const std::string& line : lines) checksum.add(line);
  listing.commit = checksum.hexadecimal();
  return listing;
}

std::vector<std::string> parse_model_names(std::string_view json) {
  std::vector<std::string> names;
  const auto parsed = parse_json(json, kLimits);
  if (!parsed.ok() || !parsed->is_array()) return names;
  for (const Json& item : *parsed) {
    const std::string name = text_of(item, "id");
    if (checkpoint::parse_model_reference(name) && names.size() < 1000) names.push_back(name);
  }
  return names;
}

}  // namespace sluice::adapters
