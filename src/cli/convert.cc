// sluice convert: a model in the other kind of file, in other types, in one file or several.

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>

#include "base/file.h"
#include "base/json.h"
#include "base/strings.h"
#include "checkpoint/mapping_guard.h"
#include "checkpoint/model_reference.h"
#include "checkpoint/output_file.h"
#include "cli/commands.h"
#include "cli/convert_output.h"
#include "cli/convert_tokenizer.h"
#include "model/settings.h"

namespace sluice::cli {
namespace {

namespace fs = std::filesystem;
using model::FileKind;

std::atomic<bool> conversion_interrupted{false};

// Ctrl-C and its kin ask the conversion to end, so that it can take its unfinished files away.
class InterruptWatch {
 public:
  InterruptWatch() {
    struct sigaction action{};
    action.sa_handler = [](int) { conversion_interrupted = true; };
    for (size_t i = 0; i < std::size(kSignals); ++i) ::sigaction(kSignals[i], &action, &before_[i]);
  }
  ~InterruptWatch() {
    for (size_t i = 0; i < std::size(kSignals); ++i) ::sigaction(kSignals[i], &before_[i], nullptr);
  }
  InterruptWatch(const InterruptWatch&) = delete;
  InterruptWatch& operator=(const InterruptWatch&) = delete;

 private:
  static constexpr int kSignals[] = {SIGINT, SIGTERM, SIGHUP};
  struct sigaction before_[std::size(kSignals)];
};

// Share done and speed: one line that changes on a terminal, a line for every tenth elsewhere.
class Progress {
 public:
  explicit Progress(size_t total) : total_(std::max<size_t>(total, 1)) {}

  void add(size_t bytes) {
    done_ += bytes;
    const auto percent = static_cast<int>(std::min(done_, total_) * 100 / total_);
    if (terminal_ ? percent == shown_ : percent / 10 == shown_ / 10) return;
    shown_ = percent;
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
    const double speed = seconds > 0 ? static_cast<double>(done_) / 1e6 / seconds : 0;
    std::fprintf(stderr, "%sconverting %3d %%  %.0f MB/s%s", terminal_ ? "\r" : "", percent, speed,
                 terminal_ ? "\x1b[K" : "\n");
  }
  ~Progress() {
    if (terminal_ && shown_ > 0) std::fputs("\r\x1b[K", stderr);
  }

 private:
  bool terminal_ = ::isatty(STDERR_FILENO) != 0;
  size_t total_, done_ = 0;
  int shown_ = 0;
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

// A directory that is filled under another name and takes its own when everything is there.
class OutputDirectory {
 public:
  static Result<OutputDirectory> create(const std::string& path, bool replace) {
    std::error_code failed;
    if (fs::exists(path) && !fs::is_directory(path))
      return invalid_argument(cat(path, " is there already, and no directory"));
    if (fs::is_directory(path) && !fs::is_empty(path, failed) && !replace)
      return invalid_argument(cat(path, " is there already and not empty; --force writes into it"));
    OutputDirectory made(path);
    if (fs::exists(made.partial()) && !replace)
      return invalid_argument(cat(made.partial(), " is there, left by a conversion that was killed; remove it"));
    fs::remove_all(made.partial(), failed);
    fs::create_directories(made.partial(), failed);
    if (failed) return io_error(cat("cannot make the directory ", made.partial(), ": ", failed.message()));
    return made;
  }
  OutputDirectory(OutputDirectory&& other) noexcept : path_(std::exchange(other.path_, "")) {}
  OutputDirectory& operator=(OutputDirectory&&) = delete;
  ~OutputDirectory() {
    if (path_.empty()) return;
    std::error_code ignored;
    fs::remove_all(partial(), ignored);
  }

  std::string partial() const { return path_ + ".partial"; }
  std::string file(std::string_view name) const { return cat(partial(), "/", name); }

  // Into a directory that is there, file by file; the other files in it stay.
  Result<void> commit() {
    std::error_code failed;
    if (!fs::exists(path_) || fs::is_empty(path_, failed)) {
      fs::remove(path_, failed);
      fs::rename(partial(), path_, failed);
    } else {
      for (const auto& each : fs::recursive_directory_iterator(partial(), failed)) {
        if (failed || !each.is_regular_file()) continue;
        const fs::path target = fs::path(path_) / fs::relative(each.path(), partial());
        fs::create_directories(target.parent_path(), failed);
        fs::rename(each.path(), target, failed);
        if (failed) break;
      }
    }
    if (failed) return io_error(cat("cannot give ", path_, " its files: ", failed.message()));
    return {};
  }

 private:
  explicit OutputDirectory(std::string path) : path_(std::move(path)) {
    while (path_.size() > 1 && path_.ends_with('/')) path_.pop_back();
  }
  std::string path_;
};

std::optional<DType> dtype_named(std::string_view name) {
  for (const DType dtype :
       {DType::kF32, DType::kF16, DType::kBF16, DType::kQ8_0, DType::kQ4_0, DType::kQ4_1, DType::kQ5_0, DType::kQ5_1}) {
    if (dtype_name(dtype) == name) return dtype;
  }
  return std::nullopt;  // auto
}

// The type most of the matrices have.
DType main_dtype(const std::vector<model::ConversionTensor>& tensors) {
  std::map<DType, size_t> bytes;
  DType best = DType::kF32;
  for (const model::ConversionTensor& tensor : tensors) {
    if (tensor.shape.rank() == 2 && (bytes[tensor.dtype] += tensor.bytes()) > bytes[best]) best = tensor.dtype;
  }
  return best;
}

// llama.cpp's numbers for general.file_type (enum llama_ftype).
uint32_t file_type(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return 0;
    case DType::kF16:
      return 1;
    case DType::kQ4_0:
      return 2;
    case DType::kQ4_1:
      return 3;
    case DType::kQ8_0:
      return 7;
    case DType::kQ5_0:
      return 8;
    case DType::kQ5_1:
      return 9;
    case DType::kBF16:
      return 32;
    default:
      return 1024;  // guessed from the tensors
  }
}

struct Conversion {
  const checkpoint::ModelFiles& files;
  const model::ModelDescription& description;
  const std::vector<model::ConversionTensor>& tensors;
  ConversionOutput output;
  ThreadPool& pool;
};

Result<void> convert_to_gguf(const Conversion& job) {
  checkpoint::GgufHead head;
  SLUICE_TRY(Json config, model::model_config(job.files));
  std::vector<model::GgufSideTensor> side;
  if (job.files.kind == checkpoint::ModelKind::kGguf) {
    for (const std::string& key : job.files.metadata.keys()) {
      if (key == "general.file_type" || key == "general.alignment" || key.starts_with("split.")) continue;
      head.copy(key, *job.files.metadata.find(key));
    }
    checkpoint::GgufHead unused;
    SLUICE_TRY(side, model::add_gguf_config(config, job.description, unused));
  } else {
    SLUICE_TRY(side, model::add_gguf_config(config, job.description, head));
    head.add("general.name", std::string_view(job.files.name));
    SLUICE_TRY(config, model::translated_config(*job.description.architecture, config));
    SLUICE_TRY(config, model::text_model_config(*job.description.architecture, config));
    config.erase("quantization_config");
    head.add(checkpoint::kConfigKey, std::string_view(dump_json(config)));
    SLUICE_RETURN_IF_ERROR(add_gguf_tokenizer(job.files, job.description.spec.vocab_size, head));
  }
  const DType dtype = main_dtype(job.tensors);
  head.add("general.file_type", file_type(dtype));
  if (is_quantized(dtype) && !job.files.metadata.contains("general.quantization_version"))
    head.add("general.quantization_version", uint32_t{2});
  return write_gguf_model(job.files.weights, job.tensors, side, head, job.output, job.pool);
}

Result<void> write_texts(const Conversion& job, const OutputDirectory& directory) {
  const DType dtype = main_dtype(job.tensors);
  const std::string_view name = dtype == DType::kF32 ? "float32" : dtype == DType::kF16 ? "float16" : "bfloat16";
  const bool from_gguf = job.files.kind == checkpoint::ModelKind::kGguf;
  Json config = job.files.config;
  if (from_gguf && job.files.metadata.contains(checkpoint::kConfigKey)) {
    SLUICE_TRY(const std::string_view text, job.files.metadata.string(checkpoint::kConfigKey));
    SLUICE_TRY(config, checkpoint::parse_config(text, job.files.path));
  } else if (from_gguf) {
    SLUICE_TRY(config, model::config_for_directory(job.files, job.description, name));
  } else {
    SLUICE_TRY(config, model::text_model_config(*job.description.architecture, config));
  }
  config.erase("quantization_config");
  config.erase("compression_config");
  config[config.contains("torch_dtype") ? "torch_dtype" : "dtype"] = std::string(name);
  std::vector<TextFile> texts = {{"config.json", dump_json(config, 2) + "\n"}};
  if (from_gguf) {
    SLUICE_TRY(auto more, tokenizer_files(job.files));
    for (TextFile& each : more) texts.push_back(std::move(each));
  } else {
    std::vector<std::string> names = {"spiece.model",
                                      "sentencepiece.bpe.model",
                                      "tiktoken.model",
                                      "qwen.tiktoken",
                                      "vocab.txt",
                                      "tokenizer.json",
                                      "tokenizer_config.json",
                                      "tokenizer.model",
                                      "special_tokens_map.json",
                                      "added_tokens.json",
                                      "vocab.json",
                                      "merges.txt",
                                      "generation_config.json",
                                      "chat_template.jinja",
                                      "chat_template.json"};
    for (const checkpoint::NamedTemplate& each : job.files.templates)
      names.push_back(cat("additional_chat_templates/", each.name, ".jinja"));
    for (std::string& each : names) {
      const std::string path = cat(job.files.directory, "/", each);
      if (!file_exists(path)) continue;
      SLUICE_TRY(std::string content, read_file(path));
      texts.push_back({std::move(each), std::move(content)});
    }
  }
  for (const TextFile& each : texts) {
    std::error_code failed;
    fs::create_directories(fs::path(directory.file(each.name)).parent_path(), failed);
    SLUICE_RETURN_IF_ERROR(checkpoint::write_whole_file(directory.file(each.name), each.content, true));
  }
  return {};
}

Result<void> convert_to_directory(Conversion job) {
  SLUICE_TRY(OutputDirectory directory, OutputDirectory::create(job.output.path, job.output.replace));
  job.output.path = directory.partial();
  SLUICE_RETURN_IF_ERROR(write_texts(job, directory));
  SLUICE_RETURN_IF_ERROR(write_safetensors_model(job.files.weights, job.tensors, job.output, job.pool));
  return directory.commit();
}

}  // namespace

Result<int> run_convert(const CommandLine& line) {
  const Settings& settings = line.settings;
  const std::string& out = line.arguments[1];
  const bool to_gguf = settings.to == "gguf" || (settings.to == "auto" && out.ends_with(".gguf"));
  checkpoint::install_mapping_guard();
  const auto environment = [](const char* variable) -> const char* { return std::getenv(variable); };
  SLUICE_TRY(const std::string path, checkpoint::find_model(line.arguments[0], environment));
  SLUICE_TRY(const checkpoint::ModelFiles files, checkpoint::open_model(path));
  SLUICE_TRY(const model::ModelDescription description, model::describe_model(files));
  const model::ConversionTarget target{.kind = to_gguf ? FileKind::kGguf : FileKind::kHuggingFace,
                                       .dtype = dtype_named(settings.type)};
  SLUICE_TRY(const auto tensors, model::plan_conversion(files, description, target));
  size_t total = 0;
  for (const model::ConversionTensor& tensor : tensors) total += tensor.bytes();

  ThreadPool pool({.threads = static_cast<int>(settings.threads)});
  const InterruptWatch watch;
  Result<void> done;
  {
    Progress progress(total);
    const auto step = [&](size_t bytes) -> Result<void> {
      progress.add(bytes);
      if (conversion_interrupted) return Error{ErrorCode::kCancelled, "interrupted; nothing was written", {}, {}};
      return {};
    };
    const Conversion job{
        .files = files,
        .description = description,
        .tensors = tensors,
        .output = {.path = out, .shard_bytes = settings.shard_size, .replace = settings.force, .on_progress = step},
        .pool = pool};
    done = to_gguf ? convert_to_gguf(job) : convert_to_directory(job);
  }
  if (!done.ok() && done.error().code == ErrorCode::kCancelled) {
    std::fprintf(stderr, "sluice: %s\n", done.error().message.c_str());
    return 130;
  }
  SLUICE_RETURN_IF_ERROR(done);
  std::printf("%s: %zu tensors, %s\n", out.c_str(), tensors.size(), format_bytes(total).c_str());
  return 0;
}

}  // namespace sluice::cli
