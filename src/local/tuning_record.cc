#include "local/tuning_record.h"

#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <filesystem>

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/strings.h"
#include "checkpoint/output_file.h"
#include "checkpoint/pack_file.h"

namespace sluice::local {
namespace {

constexpr int kVersion = 1;  // of what is measured and how it is judged
constexpr size_t kBytesMax = size_t{1} << 20;

Result<Tuning> parse(const std::string& text, const std::string& key) {
  SLUICE_TRY(const Json json, parse_json(text));
  SLUICE_TRY(const int64_t version, json_int(json, "version", 0));
  SLUICE_TRY(const std::string written_for, json_string(json, "key", ""));
  if (version != kVersion || written_for != key) return invalid_argument("it was made for something else");
  const Json* tuning = json_find(json, "tuning");
  if (tuning == nullptr) return invalid_argument("it holds no tuning");
  return tuning_from_json(*tuning);
}

}  // namespace

std::string tuning_key(const Machine& machine, const model::ModelDescription& description,
                       const model::LoadOptions& load, const ThreadPoolOptions& threads, const std::string& kernels) {
  const model::DecoderSpec& spec = description.spec;
  std::string cpus;
  for (const int cpu : threads.cpus) cpus += cat(cpu, ",");
  // Memory in whole GiB: what the kernel keeps for itself changes from boot to boot.
  return cat("cpu ", machine.cpu, "; cpus ", machine.cpus, "; memory ", (machine.memory_bytes + (1U << 29)) >> 30,
             " GiB; flags ", machine.flags, "; model ", spec.architecture, " layers ", spec.layers, " hidden ",
             spec.hidden_size, " intermediate ", spec.intermediate_size, " heads ", spec.heads, "/", spec.kv_heads,
             " of ", spec.head_dim, " vocabulary ", spec.vocab_size, "; weights ", dtype_name(description.stored_dtype),
             " as ", load.weights.dtype ? dtype_name(*load.weights.dtype) : "stored", " quantised ",
             static_cast<int>(load.weights.quantization), " activations ", static_cast<int>(load.weights.activations),
             " cache ", dtype_name(model::resolve_kv_dtype(description, load)), "; threads ", threads.threads, " on ",
             cpus, "; kernels ", kernels);
}

TuningRecord::TuningRecord(const std::string& directory, const model::ModelDescription& description, std::string key)
    : key_(std::move(key)) {
  if (directory.empty()) return;
  char hash[17];
  std::snprintf(hash, sizeof hash, "%016llx",
                static_cast<unsigned long long>(checkpoint::checksum64(std::as_bytes(std::span(key_)))));
  path_ = cat(directory, "/", description.spec.architecture, "-", hash, ".tuning.json");
}

std::optional<Tuning> TuningRecord::read() const {
  if (path_.empty() || !file_exists(path_)) return std::nullopt;
  const Result<std::string> text = read_file(path_, kBytesMax);
  Result<Tuning> tuning = text.ok() ? parse(*text, key_) : Result<Tuning>(text.error());
  if (tuning.ok()) return std::move(tuning).value();
  log::debug("a tuning record is not used", {{"path", path_}, {"reason", tuning.error().message}});
  return std::nullopt;
}

void TuningRecord::write(const Tuning& tuning) const {
  if (path_.empty()) return;
  static std::atomic<unsigned> count = 0;
  const std::string own = cat(path_, ".", getpid(), ".", count++);  // another process may be writing too
  std::error_code failed;
  std::filesystem::create_directories(std::filesystem::path(path_).parent_path(), failed);
  const Json json = {{"version", kVersion}, {"key", key_}, {"tuning", tuning_to_json(tuning)}};
  const Result<void> written = checkpoint::write_whole_file(own, dump_json(json, 1) + "\n", true);
  if (written.ok()) std::filesystem::rename(own, path_, failed);
  if (!written.ok() || failed) {
    log::warn("the tuning is not kept for the next start",
              {{"path", path_}, {"reason", written.ok() ? failed.message() : written.error().message}});
  }
}

}  // namespace sluice::local
