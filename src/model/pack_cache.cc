#include "model/pack_cache.h"

#include <signal.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "base/log.h"
#include "base/strings.h"

namespace sluice::model {
namespace {

std::string hex(std::string_view text) {
  char out[17];
  std::snprintf(out, sizeof out, "%016llx",
                static_cast<unsigned long long>(checkpoint::checksum64(std::as_bytes(std::span(text)))));
  return out;
}

// Everything the packed bytes depend on.
std::string make_key(const checkpoint::ModelFiles& files, const std::string& settings) {
  std::string key = cat("packed ", kPackedVersion, "\n", settings, "\n");
  for (const checkpoint::WeightFile& file : files.weights.files()) {
    std::error_code ignored;
    const auto path = std::filesystem::absolute(file.path, ignored);
    const auto modified = std::filesystem::last_write_time(file.path, ignored).time_since_epoch().count();
    key += cat(path.string(), " ", file.bytes.size(), " ", modified, "\n");
  }
  return key;
}

// Letters, digits and what else is harmless in a file's name.
std::string plain(std::string_view name) {
  std::string out(name.substr(0, 80));
  for (char& c : out) {
    const bool fine =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_';
    if (!fine) c = '-';
  }
  return out;
}

// "<…>.pack.<process>.<n>.partial": the process that was writing it is no more.
bool abandoned(const std::string& name) {
  constexpr std::string_view kEnd = ".partial", kPack = ".pack.";
  const size_t at = name.rfind(kPack);
  if (!name.ends_with(kEnd) || at == std::string::npos) return false;
  const long process = std::strtol(name.c_str() + at + kPack.size(), nullptr, 10);
  return process > 0 && kill(static_cast<pid_t>(process), 0) != 0 && errno == ESRCH;
}

}  // namespace

std::string default_pack_directory() {
  if (const char* cache = std::getenv("XDG_CACHE_HOME"); cache != nullptr && cache[0] == '/')
    return cat(cache, "/sluice");
  if (const char* home = std::getenv("HOME"); home != nullptr && home[0] == '/') return cat(home, "/.cache/sluice");
  return "";
}

PackCache::PackCache(std::string directory, const checkpoint::ModelFiles& files, const std::string& settings,
                     ThreadPool& pool)
    : directory_(std::move(directory)) {
  if (directory_.empty()) return;
  std::error_code ignored;
  const std::string model = std::filesystem::absolute(files.directory, ignored).string();
  key_ = make_key(files, settings);
  prefix_ = cat(plain(files.name), "-", plain(settings), "-", hex(cat(model, "\n", files.name, "\n", settings)), "-");
  path_ = cat(directory_, "/", prefix_, hex(key_), ".pack");
  auto opened = checkpoint::PackFile::open(path_, key_, pool);
  if (opened.ok()) {
    pack_ = std::move(opened).value();
  } else if (opened.error().code != ErrorCode::kNotFound) {
    log::warn(opened.error().message);
  }
}

Tensor PackCache::find(const std::string& name, const PackedFormat& format, int64_t n, int64_t k) const {
  if (pack_ == nullptr) return {};
  const std::span<const std::byte> bytes = pack_->find(name);
  if (bytes.empty() || !check_packed(bytes, n, k).ok()) return {};
  const Tensor tensor = {.data = bytes.data(), .dtype = DType::kPacked, .shape = {n, k}};
  return packed_view(tensor).format == format ? tensor : Tensor{};
}

void PackCache::add(std::string name, const Tensor& packed) {
  if (!directory_.empty()) added_.push_back({std::move(name), {packed.data, packed.bytes()}});
}

void PackCache::save(ThreadPool& pool, const std::function<void(size_t, size_t)>& progress) {
  if (added_.empty() || pack_ != nullptr) return;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(directory_, ignored)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with(prefix_) && abandoned(name)) std::filesystem::remove(entry.path(), ignored);
  }
  const Result<void> written = checkpoint::write_pack_file(path_, key_, added_, pool, progress);
  added_.clear();
  if (!written.ok()) {
    log::warn("packed weights are not kept for the next start", {{"reason", written.error().message}});
    return;
  }
  for (const auto& entry : std::filesystem::directory_iterator(directory_, ignored)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with(prefix_) && name.ends_with(".pack") && entry.path() != std::filesystem::path(path_))
      std::filesystem::remove(entry.path(), ignored);
  }
}

}  // namespace sluice::model
