#pragma once
// TLS 1.2 and 1.3 over another Stream, by OpenSSL.

#include <memory>

#include "server/http/server.h"
#include "server/http/stream.h"

namespace sluice::http {

// Certificate and key, shared by all connections. Any thread.
class TlsIdentity {
 public:
  // Errors name the file and what is wrong with it: missing, not PEM, protected by a password, key of another
  // certificate.
  static Result<std::unique_ptr<TlsIdentity>> load(const TlsOptions& options);
  ~TlsIdentity();
  TlsIdentity(const TlsIdentity&) = delete;
  TlsIdentity& operator=(const TlsIdentity&) = delete;

  // The server's side of a TLS connection over `lower`. ALPN chooses h2 over http/1.1. The identity must outlive it.
  std::unique_ptr<Stream> wrap(std::unique_ptr<Stream> lower) const;

 private:
  struct State;
  explicit TlsIdentity(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace sluice::http
