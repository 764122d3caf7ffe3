#include "server/openai/api_keys.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include "base/file.h"
#include "base/strings.h"

namespace sluice::openai {
namespace {

std::string_view shown_key(const http::Request& request) {
  const std::string_view authorization = request.headers.get("authorization");
  constexpr std::string_view kScheme = "bearer ";
  if (authorization.size() > kScheme.size() && to_lower_ascii(authorization.substr(0, kScheme.size())) == kScheme) {
    return trim(authorization.substr(kScheme.size()));
  }
  return trim(request.headers.get("x-api-key"));
}

}  // namespace

ApiKeys::ApiKeys(const std::vector<std::string>& keys) {
  for (const std::string& key : keys) {
    if (!key.empty()) digests_.push_back(digest(key));
  }
}

Result<std::vector<std::string>> ApiKeys::read_file(const std::string& path) {
  SLUICE_TRY(const std::string text, sluice::read_file(path, size_t{1} << 20));
  std::vector<std::string> keys;
  for (const std::string& line : split(text, '\n')) {
    const std::string_view key = trim(line);
    if (!key.empty() && !key.starts_with('#')) keys.emplace_back(key);
  }
  if (keys.empty())
    return invalid_argument(cat("The key file ", path, " holds no key; write one per line, or leave the option out."));
  return keys;
}

ApiKeys::Digest ApiKeys::digest(std::string_view key) {
  Digest out;
  SHA256(reinterpret_cast<const unsigned char*>(key.data()), key.size(), out.data());
  return out;
}

Result<void> ApiKeys::authenticate(http::Request& request) const {
  if (empty()) return {};
  const std::string_view key = shown_key(request);
  if (key.empty()) {
    return Error{ErrorCode::kUnauthenticated,
                 "You didn't provide an API key. Send it as 'Authorization: Bearer YOUR_KEY' or 'x-api-key: YOUR_KEY'.",
                 {},
                 "missing_api_key"};
  }
  const Digest shown = digest(key);
  bool known = false;
  for (const Digest& digest : digests_)
    known |= CRYPTO_memcmp(digest.data(), shown.data(), shown.size()) == 0;  // all, always
  if (!known) return Error{ErrorCode::kUnauthenticated, "Incorrect API key provided.", {}, "invalid_api_key"};
  static constexpr char kHex[] = "0123456789abcdef";
  request.principal = "key-";
  for (int i = 0; i < 4; ++i) {
    request.principal += kHex[shown[static_cast<size_t>(i)] >> 4];
    request.principal += kHex[shown[static_cast<size_t>(i)] & 15];
  }
  return {};
}

}  // namespace sluice::openai
