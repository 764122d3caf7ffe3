#pragma once
// The keys that open a server: `Authorization: Bearer KEY` or `x-api-key: KEY`; for GET and HEAD also Basic with the
// key as password, so that a browser can open /docs. Compared without telling by the time it takes how much of a key
// was right. Any thread.

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "server/http/request.h"

namespace sluice::openai {

class ApiKeys {
 public:
  ApiKeys() = default;
  explicit ApiKeys(const std::vector<std::string>& keys);  // empty strings are left out
  // One key per line; blank lines and lines that begin with '#' are skipped. An error when the file cannot be read or
  // holds none: a server that was meant to be closed must not stand open.
  static Result<std::vector<std::string>> read_file(const std::string& path);

  bool empty() const { return digests_.empty(); }

  // For ServerOptions::authenticate: ok when there are no keys or the request shows one; sets request.principal to
  // "key-" and the beginning of the key's SHA-256, which names the key in logs without telling it.
  Result<void> authenticate(http::Request& request) const;

 private:
  using Digest = std::array<uint8_t, 32>;
  static Digest digest(std::string_view key);

  std::vector<Digest> digests_;
};

}  // namespace sluice::openai
