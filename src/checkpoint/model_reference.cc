#include "checkpoint/model_reference.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <map>

#include "base/file.h"
#include "base/strings.h"
#include "checkpoint/gguf.h"

namespace sluice::checkpoint {
namespace {

namespace fs = std::filesystem;

constexpr size_t kNamePartMax = 96;   // bytes; the hub's own limit for organisation and name
constexpr size_t kPathMax = 1024;     // bytes
constexpr size_t kPathPartMax = 255;  // bytes; of file systems
constexpr size_t kSnapshotFilesMax = 100'000;
constexpr int kSnapshotDepthMax = 8;
constexpr std::string_view kGguf = ".gguf";
constexpr std::string_view kUsualVariant = "Q4_K_M";

bool is_name_part(std::string_view part) {
  if (part.empty() || part.size() > kNamePartMax) return false;
  const auto allowed = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_' || c == '.';
  };
  return std::ranges::all_of(part, allowed) && part.find("--") == std::string_view::npos &&
         part.find("..") == std::string_view::npos && part.front() != '-' && part.front() != '.' &&
         part.back() != '-' && part.back() != '.';
}

bool is_repository(std::string_view id) {
  const size_t slash = id.find('/');
  if (slash == std::string_view::npos) return is_name_part(id);
  return is_name_part(id.substr(0, slash)) && is_name_part(id.substr(slash + 1));
}

bool is_revision(std::string_view revision) {
  return is_safe_relative_path(revision) && revision.find_first_of(" :~^?*[\"'") == std::string_view::npos &&
         revision.front() != '-';
}

std::string variable(Environment environment, const char* name) {
  const char* value = environment(name);
  return value == nullptr ? "" : value;
}

std::string home(Environment environment) {
  const std::string directory = variable(environment, "HOME");
  return directory.empty() ? "." : directory;
}

// "~/x" and "$NAME/x", as Python's expanduser and expandvars do. Unknown variables stay as they are.
std::string expand(std::string_view path, Environment environment) {
  std::string out;
  if (path == "~" || path.starts_with("~/")) {
    out = home(environment);
    path.remove_prefix(1);
  }
  for (size_t i = 0; i < path.size(); ++i) {
    if (path[i] != '$') {
      out += path[i];
      continue;
    }
    const bool braces = i + 1 < path.size() && path[i + 1] == '{';
    const size_t first = i + 1 + (braces ? 1 : 0);
    size_t last = first;
    while (last < path.size() && (std::isalnum(static_cast<unsigned char>(path[last])) != 0 || path[last] == '_')) {
      ++last;
    }
    const char* value = environment(std::string(path.substr(first, last - first)).c_str());
    if (last == first || value == nullptr || (braces && (last == path.size() || path[last] != '}'))) {
      out += path[i];
      continue;
    }
    out += value;
    i = braces ? last : last - 1;
  }
  return out;
}

std::string_view base_name(std::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

// What a model's parts have in common: the path before "-00001-of-00003.gguf" or ".gguf".
std::string model_stem(std::string_view name) {
  if (const auto split_name = parse_split_name(name)) return split_name->stem;
  return std::string(name.substr(0, name.size() - kGguf.size()));
}

// "Q4_K" is what "model-Q4_K.gguf" ends with, and not what "model-Q4_K_M.gguf" or "modelQ4_K.gguf" does.
bool ends_with_word(const std::string& text, const std::string& word) {
  if (word.empty() || !text.ends_with(word)) return false;
  if (text.size() == word.size()) return true;
  const char before = text[text.size() - word.size() - 1];
  return before == '-' || before == '.' || before == '_' || before == '/';
}

bool is_projector(std::string_view name) { return to_lower_ascii(base_name(name)).find("mmproj") != std::string::npos; }

// stem → its files, sorted.
using GgufModels = std::map<std::string, std::vector<std::string>>;

std::string list_models(const GgufModels& models) {
  constexpr size_t kShown = 24;
  std::vector<std::string> shown;
  for (const auto& [stem, files] : models) {
    const std::string quantization = gguf_quantization(files.front());
    shown.push_back(quantization.empty() ? std::string(base_name(stem)) : quantization);
  }
  std::ranges::sort(shown);
  shown.erase(std::unique(shown.begin(), shown.end()), shown.end());
  const bool more = shown.size() > kShown;
  if (more) shown.resize(kShown);
  return join(shown, ", ") + (more ? ", …" : "");
}

Result<std::vector<std::string>> all_parts(const std::vector<std::string>& files) {
  const auto split_name = parse_split_name(files.front());
  if (split_name && files.size() != static_cast<size_t>(split_name->count)) {
    return not_found(cat(split_name->stem, ": there are ", files.size(), " of its ", split_name->count, " parts"));
  }
  return files;
}

void list_gguf(const fs::path& folder, const std::string& prefix, int depth, std::vector<std::string>& names) {
  std::error_code failed;
  for (fs::directory_iterator each(folder, failed), end; !failed && each != end; each.increment(failed)) {
    if (names.size() >= kSnapshotFilesMax) return;
    const std::string name = prefix + each->path().filename().string();
    if (is_directory(each->path().string())) {
      if (depth < kSnapshotDepthMax) list_gguf(each->path(), name + "/", depth + 1, names);
    } else if (name.ends_with(kGguf) && file_exists(each->path().string())) {
      names.push_back(name);
    }
  }
}

bool has_safetensors(const std::string& folder) {
  std::error_code failed;
  for (fs::directory_iterator each(folder, failed), end; !failed && each != end; each.increment(failed)) {
    const std::string name = each->path().filename().string();
    if (name.ends_with(".safetensors") && !name.starts_with("adapter_model") && file_exists(each->path().string())) {
      return true;
    }
  }
  return false;
}

std::string snapshot_of_ref(const std::string& folder, const std::string& ref) {
  const auto text = read_file(cat(folder, "/refs/", ref), 1024);
  if (!text.ok()) return "";
  const std::string commit(trim(*text));
  if (!is_safe_relative_path(commit) || commit.find('/') != std::string::npos) return "";
  const std::string snapshot = cat(folder, "/snapshots/", commit);
  return is_directory(snapshot) ? snapshot : "";
}

std::vector<std::string> snapshots_of(const std::string& folder) {
  std::vector<std::string> names;
  std::error_code failed;
  for (fs::directory_iterator each(folder + "/snapshots", failed), end; !failed && each != end;
       each.increment(failed)) {
    if (is_directory(each->path().string())) names.push_back(each->path().filename().string());
  }
  std::ranges::sort(names);
  return names;
}

bool has_unfinished_downloads(const std::string& folder) {
  std::error_code failed;
  for (fs::directory_iterator each(folder + "/blobs", failed), end; !failed && each != end; each.increment(failed)) {
    if (each->path().extension() == ".incomplete") return true;
  }
  return false;
}

}  // namespace

std::optional<ModelReference> parse_model_reference(std::string_view text) {
  for (const std::string_view prefix : {"https://huggingface.co/", "https://hf.co/", "huggingface.co/", "hf.co/"}) {
    if (text.starts_with(prefix)) {
      text.remove_prefix(prefix.size());
      break;
    }
  }
  ModelReference reference;
  if (const size_t colon = text.find(':'); colon != std::string_view::npos) {
    reference.variant = text.substr(colon + 1);
    text = text.substr(0, colon);
    if (!is_safe_relative_path(reference.variant)) return std::nullopt;
  }
  if (const size_t at = text.find('@'); at != std::string_view::npos) {
    reference.revision = text.substr(at + 1);
    text = text.substr(0, at);
    if (!is_revision(reference.revision)) return std::nullopt;
  }
  if (!is_repository(text)) return std::nullopt;
  reference.repository = text;
  return reference;
}

std::string to_string(const ModelReference& reference) {
  return cat(reference.repository, reference.revision.empty() ? "" : "@", reference.revision,
             reference.variant.empty() ? "" : ":", reference.variant);
}

bool is_safe_relative_path(std::string_view path) {
  if (path.empty() || path.size() > kPathMax) return false;
  for (const char c : path) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f || c == '\\') return false;
  }
  for (const std::string& part : split(path, '/')) {
    if (part.empty() || part == "." || part == ".." || part.size() > kPathPartMax) return false;
  }
  return true;
}

std::string hub_home_directory(Environment environment) {
  if (const std::string home_variable = variable(environment, "HF_HOME"); !home_variable.empty()) {
    return expand(home_variable, environment);
  }
  if (const std::string cache = variable(environment, "XDG_CACHE_HOME"); !cache.empty()) {
    return expand(cache, environment) + "/huggingface";
  }
  return home(environment) + "/.cache/huggingface";
}

std::string hub_cache_directory(Environment environment) {
  for (const char* name : {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"}) {
    if (const std::string cache = variable(environment, name); !cache.empty()) return expand(cache, environment);
  }
  return hub_home_directory(environment) + "/hub";
}

std::string repository_folder(std::string_view repository) {
  std::string folder = "models--";
  for (const char c : repository) folder += c == '/' ? std::string("--") : std::string(1, c);
  return folder;
}

std::string gguf_quantization(std::string_view name) {
  if (!name.ends_with(kGguf)) return "";
  const std::string stem(base_name(model_stem(name)));
  // The shortest end, at a border, that begins like a type: "Q4_K_M" of "Qwen3-4B-UD-Q4_K_M", "IQ4_XS", "MXFP4_MOE".
  for (size_t i = stem.size(); i-- > 0;) {
    if (i > 0 && stem[i - 1] != '-' && stem[i - 1] != '.' && stem[i - 1] != '_') continue;
    std::string word = stem.substr(i);
    std::ranges::transform(word, word.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    const auto digit_at = [&](size_t at) {
      return word.size() > at && std::isdigit(static_cast<unsigned char>(word[at])) != 0;
    };
    const bool is_type = (word.starts_with("Q") && digit_at(1)) || (word.starts_with("IQ") && digit_at(2)) ||
                         (word.starts_with("TQ") && digit_at(2)) || word.starts_with("MXFP4") || word == "BF16" ||
                         word == "F16" || word == "F32" || word == "FP16" || word == "FP32";
    if (is_type) return word;
  }
  return "";
}

Result<std::vector<std::string>> choose_gguf(const std::vector<std::string>& names, std::string_view variant) {
  std::vector<std::string> sorted;
  for (const std::string& name : names) {
    if (name.ends_with(kGguf)) sorted.push_back(name);
  }
  std::ranges::sort(sorted);
  if (!variant.empty() && variant.ends_with(kGguf)) {
    GgufModels exact;
    for (const std::string& name : sorted) {
      if (name == variant || base_name(name) == variant) exact[model_stem(name)];
    }
    if (exact.empty()) {
      const std::string nearest = nearest_name(variant, sorted);
      return not_found(cat("there is no file ", variant, nearest.empty() ? "" : cat("; did you mean ", nearest, "?")));
    }
    if (exact.size() > 1) return invalid_argument(cat(variant, " is the name of several files; give the whole path"));
    for (const std::string& name : sorted) {
      if (auto place = exact.find(model_stem(name)); place != exact.end()) place->second.push_back(name);
    }
    return all_parts(exact.begin()->second);
  }

  GgufModels models;
  for (const std::string& name : sorted) {
    if (!is_projector(name)) models[model_stem(name)].push_back(name);
  }
  if (models.empty()) return not_found("there are no GGUF models");
  if (variant.empty() && models.size() == 1) return all_parts(models.begin()->second);
  const std::string wanted = to_lower_ascii(variant.empty() ? kUsualVariant : variant);
  GgufModels fitting;
  for (const auto& [stem, files] : models) {
    if (ends_with_word(to_lower_ascii(stem), wanted)) fitting.emplace(stem, files);
  }
  // "Q4_K_M" means the plain file when there is a "UD-Q4_K_M" beside it.
  if (fitting.size() > 1) {
    std::erase_if(fitting, [&](const auto& model) {
      return to_lower_ascii(model.first).ends_with("ud-" + wanted) && !wanted.starts_with("ud-");
    });
  }
  if (fitting.size() == 1) return all_parts(fitting.begin()->second);
  if (fitting.size() > 1) {
    std::vector<std::string> files;
    for (const auto& [stem, parts] : fitting) files.push_back(parts.front());
    return invalid_argument(
        cat("several GGUF models end with ", wanted, ": ", join(files, ", "), "; name the file after the colon"));
  }
  if (variant.empty()) {
    return invalid_argument(cat("there are ", models.size(), " GGUF models and none is ", kUsualVariant,
                                "; choose one after a colon: ", list_models(models)));
  }
  return not_found(cat("there is no GGUF model ", variant, "; there are ", list_models(models)));
}

Result<std::string> find_snapshot(const std::string& cache, const ModelReference& reference) {
  const std::string folder = cat(cache, "/", repository_folder(reference.repository));
  const std::string advice = cat("download it with 'sluice pull ", to_string(reference), "'");
  if (!is_directory(folder)) {
    return not_found(cat(reference.repository, " is not in the model cache (", cache, "); ", advice));
  }
  if (!reference.revision.empty()) {
    if (reference.revision.find('/') == std::string::npos) {
      const std::string direct = cat(folder, "/snapshots/", reference.revision);
      if (is_directory(direct)) return direct;
    }
    std::string snapshot = snapshot_of_ref(folder, reference.revision);
    if (!snapshot.empty()) return snapshot;
    return not_found(cat("revision ", reference.revision, " of ", reference.repository, " is not in the model cache (",
                         cache, "); ", advice));
  }
  for (const char* branch : {"main", "master"}) {
    std::string snapshot = snapshot_of_ref(folder, branch);
    if (!snapshot.empty()) return snapshot;
  }
  // What was downloaded by commit or tag alone has no such ref.
  const std::vector<std::string> snapshots = snapshots_of(folder);
  if (snapshots.size() > 1) {
    return not_found(cat("the main revision of ", reference.repository, " is not in the model cache; there are ",
                         join(snapshots, ", "), ": choose one with ", reference.repository, "@REVISION, or ", advice));
  }
  if (snapshots.empty() || has_unfinished_downloads(folder)) {
    return not_found(cat(reference.repository, " is not whole in the model cache (", cache, "); ", advice));
  }
  return cat(folder, "/snapshots/", snapshots.front());
}

Result<std::string> find_model(const std::string& name, Environment environment) {
  if (is_directory(name) || file_exists(name)) return name;
  const auto reference = parse_model_reference(name);
  if (!reference) {
    return not_found(cat("there is no model at '", utf8_sanitize(name),
                         "': expected a directory with config.json and *.safetensors, a .gguf file, or a name such as "
                         "org/name that 'sluice pull' has downloaded"));
  }
  const std::string cache = hub_cache_directory(environment);
  auto snapshot = find_snapshot(cache, *reference);
  if (!snapshot.ok()) {
    return not_found(cat("there is no file or directory '", name, "' here, and ", snapshot.error().message));
  }
  if (reference->variant.empty() && has_safetensors(*snapshot)) return *snapshot;
  std::vector<std::string> names;
  list_gguf(*snapshot, "", 0, names);
  if (reference->variant.empty() && names.empty()) return *snapshot;
  auto files = choose_gguf(names, reference->variant);
  if (!files.ok()) {
    return Error{files.error().code,
                 cat(*snapshot, ": ", files.error().message, "; 'sluice pull ", name, "' downloads it"),
                 {},
                 {}};
  }
  return cat(*snapshot, "/", files->front());
}

}  // namespace sluice::checkpoint
