#include "adapters/hub/checksum.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "base/strings.h"

namespace sluice::adapters {

struct Checksum::State {
  EVP_MD_CTX* digest = EVP_MD_CTX_new();
  ~State() { EVP_MD_CTX_free(digest); }
};

Checksum::Checksum(Kind kind) : state_(std::make_unique<State>()) {
  const EVP_MD* method = kind == Kind::kSha1 ? EVP_sha1() : EVP_sha256();
  SLUICE_CHECK(state_->digest != nullptr && EVP_DigestInit_ex(state_->digest, method, nullptr) == 1);
}
Checksum::~Checksum() = default;

void Checksum::add(std::string_view bytes) {
  SLUICE_CHECK(EVP_DigestUpdate(state_->digest, bytes.data(), bytes.size()) == 1);
}

std::string Checksum::hexadecimal() {
  unsigned char value[EVP_MAX_MD_SIZE];
  unsigned length = 0;
  SLUICE_CHECK(EVP_DigestFinal_ex(state_->digest, value, &length) == 1);
  std::string text;
  for (unsigned i = 0; i < length; ++i) {
    text += "0123456789abcdef"[value[i] >> 4];
    text += "0123456789abcdef"[value[i] & 15];
  }
  return text;
}

namespace {

Result<std::string> sum_file(Checksum& checksum, const std::string& path, int64_t size,
                             const std::function<bool()>& cancelled) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return io_error(cat("cannot open ", path, ": ", std::strerror(errno)));
  std::vector<char> buffer(size_t{1} << 20);
  Result<void> outcome;
  while (size > 0 && outcome.ok()) {
    const ssize_t n = ::read(file, buffer.data(), static_cast<size_t>(std::min<int64_t>(size, 1 << 20)));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      outcome = io_error(cat("cannot read ", path, ": ", std::strerror(errno)));
    } else if (n == 0) {
      outcome = corrupt_data(cat(path, " ends ", size, " bytes too early"));
    } else if (cancelled()) {
      outcome = Error{ErrorCode::kCancelled, "stopped", {}, {}};
    } else {
      checksum.add({buffer.data(), static_cast<size_t>(n)});
      size -= n;
    }
  }
  ::close(file);
  if (!outcome.ok()) return outcome.error();
  return checksum.hexadecimal();
}

}  // namespace

Result<std::string> file_sha256(const std::string& path, int64_t size, const std::function<bool()>& cancelled) {
  Checksum checksum(Checksum::Kind::kSha256);
  return sum_file(checksum, path, size, cancelled);
}

Result<std::string> file_git_sha1(const std::string& path, int64_t size, const std::function<bool()>& cancelled) {
  Checksum checksum(Checksum::Kind::kSha1);
  const std::string head = cat("blob ", size);
  checksum.add({head.c_str(), head.size() + 1});
  return sum_file(checksum, path, size, cancelled);
}

}  // namespace sluice::adapters
