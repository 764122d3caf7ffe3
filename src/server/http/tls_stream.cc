#include "server/http/tls_stream.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <array>
#include <vector>

#include "base/file.h"
#include "base/strings.h"

namespace sluice::http {
namespace {

constexpr size_t kCipherBuffer = 16384 + 512;     // one TLS record
constexpr size_t kFlushBytes = size_t{64} << 10;  // of plain text, encrypted before the socket sees it

// The reason of the newest error in OpenSSL's queue, which is emptied.
std::string openssl_reason() {
  const unsigned long code = ERR_peek_last_error();
  const char* reason = ERR_reason_error_string(code);
  ERR_clear_error();
  return reason ? reason : "unknown error";
}

Error broken(const char* what) { return {ErrorCode::kCancelled, cat(what, ": ", openssl_reason()), {}, {}}; }

// Never asks on the terminal.
int no_password(char*, int, int, void*) { return 0; }

int choose_protocol(SSL*, const unsigned char** out, unsigned char* out_size, const unsigned char* in,
                    unsigned int in_size, void*) {
  static constexpr unsigned char kOurs[] = "\x02h2\x08http/1.1";
  auto* chosen = const_cast<unsigned char**>(out);
  const int outcome = SSL_select_next_proto(chosen, out_size, kOurs, sizeof kOurs - 1, in, in_size);
  return outcome == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

class TlsStream final : public Stream {
 public:
  TlsStream(SSL_CTX* identity, std::unique_ptr<Stream> lower) : lower_(std::move(lower)), ssl_(SSL_new(identity)) {
    SLUICE_CHECK(ssl_ != nullptr, "out of memory");
    in_ = BIO_new(BIO_s_mem());
    out_ = BIO_new(BIO_s_mem());
    SLUICE_CHECK(in_ != nullptr && out_ != nullptr, "out of memory");
    BIO_set_mem_eof_return(in_, -1);
    BIO_set_mem_eof_return(out_, -1);
    SSL_set_bio(ssl_, in_, out_);
    SSL_set_accept_state(ssl_);
  }
  ~TlsStream() override { SSL_free(ssl_); }

  Task<Result<std::string>> handshake() override {
    while (true) {
      ERR_clear_error();
      const int outcome = SSL_do_handshake(ssl_);
      Error error;
      if (outcome != 1 && SSL_get_error(ssl_, outcome) != SSL_ERROR_WANT_READ) error = broken("TLS handshake");
      if (Result<void> sent = co_await flush(); !sent.ok()) co_return sent.error();
      if (outcome == 1) break;
      if (!error.message.empty()) co_return error;
      const Result<bool> more = co_await receive();
      if (!more.ok()) co_return more.error();
      if (!*more) co_return Error{ErrorCode::kCancelled, "TLS handshake: the client has left", {}, {}};
    }
    const unsigned char* protocol = nullptr;
    unsigned int size = 0;
    SSL_get0_alpn_selected(ssl_, &protocol, &size);
    co_return size == 0 ? std::string("http/1.1") : std::string(reinterpret_cast<const char*>(protocol), size);
  }

  Task<Result<size_t>> read_some(std::span<char> into) override {
    while (true) {
      ERR_clear_error();
      size_t size = 0;
      const int outcome = SSL_read_ex(ssl_, into.data(), into.size(), &size);
      if (outcome == 1) co_return size;
      const int error = SSL_get_error(ssl_, outcome);
      if (error == SSL_ERROR_ZERO_RETURN) co_return size_t{0};
      if (error != SSL_ERROR_WANT_READ) co_return broken("TLS read");
      // A key update may have to be answered; a write under way takes it along.
      if (BIO_pending(out_) > 0 && !flushing_) {
        if (Result<void> sent = co_await flush(); !sent.ok()) co_return sent.error();
      }
      const Result<bool> more = co_await receive();
      if (!more.ok()) co_return more.error();
      if (!*more) co_return size_t{0};
    }
  }

  Task<Result<void>> write(std::span<const std::string_view> pieces) override {
    std::string joined;
    std::string_view plain;
    if (pieces.size() == 1) {
      plain = pieces.front();
    } else {
      // One record instead of one per piece.
      for (const std::string_view piece : pieces) joined += piece;
      plain = joined;
    }
    while (!plain.empty()) {
      const std::string_view part = plain.substr(0, kFlushBytes);
      ERR_clear_error();
      size_t written = 0;
      if (SSL_write_ex(ssl_, part.data(), part.size(), &written) != 1) co_return broken("TLS write");
      plain.remove_prefix(written);
      if (Result<void> sent = co_await flush(); !sent.ok()) co_return sent;
    }
    co_return Result<void>();
  }

  Task<void> end_writing() override {
    ERR_clear_error();
    if (SSL_is_init_finished(ssl_)) SSL_shutdown(ssl_);
    ERR_clear_error();
    (void)co_await flush();
    co_await lower_->end_writing();
  }

  void abort() override { lower_->abort(); }
  std::optional<Time> stalled_since() const override { return lower_->stalled_since(); }

 private:
  // Sends what OpenSSL has written. When another coroutine is doing so, waits until it has.
  Task<Result<void>> flush() {
    if (flushing_) {
      co_await Turn{*this};
    }
    if (BIO_pending(out_) <= 0) co_return Result<void>();
    flushing_ = true;
    Result<void> result;
    while (result.ok() && BIO_pending(out_) > 0) {
      cipher_out_.resize(static_cast<size_t>(BIO_pending(out_)));
      BIO_read(out_, cipher_out_.data(), static_cast<int>(cipher_out_.size()));
      const std::string_view pieces[] = {cipher_out_};
      result = co_await lower_->write(pieces);
    }
    flushing_ = false;
    if (cipher_out_.capacity() > 2 * kFlushBytes) cipher_out_ = {};
    if (const auto next = std::exchange(next_, nullptr)) next.resume();
    co_return result;
  }

  // False at the end of the stream.
  Task<Result<bool>> receive() {
    const Result<size_t> size = co_await lower_->read_some(cipher_in_);
    if (!size.ok()) co_return size.error();
    if (*size > 0) BIO_write(in_, cipher_in_.data(), static_cast<int>(*size));
    co_return *size > 0;
  }

  // Waits for the flush under way. At most two coroutines write: the protocol's, and the reader with a key update.
  struct Turn {
    bool await_ready() { return false; }
    void await_suspend(std::coroutine_handle<> coroutine) { stream.next_ = coroutine; }
    void await_resume() {}
    TlsStream& stream;
  };

  std::unique_ptr<Stream> lower_;
  SSL* ssl_;
  BIO* in_;
  BIO* out_;
  std::vector<char> cipher_in_ = std::vector<char>(kCipherBuffer);
  std::string cipher_out_;
  bool flushing_ = false;
  std::coroutine_handle<> next_;
};

}  // namespace

struct TlsIdentity::State {
  ~State() { SSL_CTX_free(tls); }
  SSL_CTX* tls = nullptr;
};

TlsIdentity::TlsIdentity(std::unique_ptr<State> state) : state_(std::move(state)) {}
TlsIdentity::~TlsIdentity() = default;

Result<std::unique_ptr<TlsIdentity>> TlsIdentity::load(const TlsOptions& options) {
  if (options.certificate_file.empty() || options.key_file.empty()) {
    return invalid_argument("TLS needs both a certificate file and a key file",
                            options.certificate_file.empty() ? "tls-cert" : "tls-key");
  }
  for (const std::string& file : {options.certificate_file, options.key_file}) {
    SLUICE_RETURN_IF_ERROR(read_file(file, size_t{1} << 20));
  }
  ERR_clear_error();
  auto state = std::make_unique<State>();
  state->tls = SSL_CTX_new(TLS_server_method());
  SLUICE_CHECK(state->tls != nullptr, "OpenSSL cannot start");
  SSL_CTX* tls = state->tls;
  SSL_CTX_set_min_proto_version(tls, TLS1_2_VERSION);
  SSL_CTX_set_options(tls, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE |
                               SSL_OP_PRIORITIZE_CHACHA);
  SSL_CTX_set_mode(tls, SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_default_passwd_cb(tls, no_password);
  SSL_CTX_set_alpn_select_cb(tls, choose_protocol, nullptr);
  static constexpr unsigned char kSession[] = "sluice";
  SSL_CTX_set_session_id_context(tls, kSession, sizeof kSession - 1);
  if (SSL_CTX_use_certificate_chain_file(tls, options.certificate_file.c_str()) != 1) {
    return corrupt_data(cat("TLS certificate ", options.certificate_file,
                            ": expected a PEM certificate, leaf first: ", openssl_reason()));
  }
  if (SSL_CTX_use_PrivateKey_file(tls, options.key_file.c_str(), SSL_FILETYPE_PEM) != 1) {
    const bool mismatch = ERR_GET_REASON(ERR_peek_last_error()) == X509_R_KEY_VALUES_MISMATCH;
    const std::string reason = openssl_reason();
    if (mismatch)
      return corrupt_data(
          cat("TLS key ", options.key_file, " does not belong to the certificate ", options.certificate_file));
    return corrupt_data(cat("TLS key ", options.key_file, ": expected a PEM private key without a password: ", reason));
  }
  if (SSL_CTX_check_private_key(tls) != 1) {
    ERR_clear_error();
    return corrupt_data(
        cat("TLS key ", options.key_file, " does not belong to the certificate ", options.certificate_file));
  }
  return std::unique_ptr<TlsIdentity>(new TlsIdentity(std::move(state)));
}

std::unique_ptr<Stream> TlsIdentity::wrap(std::unique_ptr<Stream> lower) const {
  return std::make_unique<TlsStream>(state_->tls, std::move(lower));
}

}  // namespace sluice::http
