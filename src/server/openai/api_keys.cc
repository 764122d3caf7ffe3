#include "server/openai/api_keys.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/sha.h>

#include <algorithm>
#include <optional>

#include "base/file.h"
#include "base/strings.h"

namespace sluice::openai {
namespace {

// What a header says behind its scheme ("bearer "), if it is of that scheme.
std::optional<std::string_view> behind_scheme(std::string_view authorization, std::string_view scheme) {
  if (authorization.size() <= scheme.size() || to_lower_ascii(authorization.substr(0, scheme.size())) != scheme)
    return std::nullopt;
  return trim(authorization.substr(scheme.size()));
}

// The password of "user:password" in base64, or the user where it is empty; "" when it is no such thing.
std::string basic_password(std::string_view encoded) {
  std::string plain(encoded.size() / 4 * 3 + 3, '\0');
  if (encoded.size() % 4 != 0) return {};
  const int size =
      EVP_DecodeBlock(reinterpret_cast<unsigned char*>(plain.data()),
                      reinterpret_cast<const unsigned char*>(encoded.data()), static_cast<int>(encoded.size()));
  if (size < 0) return {};
  const auto padding = static_cast<size_t>(std::count(encoded.begin(), encoded.end(), '='));
  plain.resize(static_cast<size_t>(size) - std::min(padding, static_cast<size_t>(size)));
  const size_t colon = plain.find(':');
  if (colon == std::string::npos) return {};
  return colon + 1 < plain.size() ? plain.substr(colon + 1) : plain.substr(0, colon);
}

// A browser that opens a page asks its user for a password; the key is it. Only where nothing is done, as browsers send
// it with the requests of other sites' pages too.
std::string shown_key(const http::Request& request) {
  const std::string_view authorization = request.headers.get("authorization");
  if (const auto key = behind_scheme(authorization, "bearer ")) return std::string(*key);
  const bool reads = request.method == "GET" || request.method == "HEAD";
  if (const auto basic = behind_scheme(authorization, "basic "); basic && reads && basic->size() < 4096)
    return basic_password(*basic);
  return std::string(trim(request.headers.get("x-api-key")));
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
  const std::string key = shown_key(request);
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
