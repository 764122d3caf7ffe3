// TLS with certificates made here, by OpenSSL's own client.

#include <gmock/gmock.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <filesystem>

#include "server/http/test_server.h"

namespace sluice::http::testing {
namespace {

using ::testing::HasSubstr;

// A folder with a self-signed certificate and its key, removed at the end.
class TestIdentity {
 public:
  TestIdentity() {
    char pattern[] = "/tmp/sluice-tls-XXXXXX";
    folder_ = ::mkdtemp(pattern);
    EVP_PKEY* key = EVP_EC_gen("P-256");
    X509* certificate = X509_new();
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -60);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_set_pubkey(certificate, key);
    X509_NAME* name = X509_get_subject_name(certificate);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>("localhost"), -1, -1,
                               0);
    X509_set_issuer_name(certificate, name);
    X509_sign(certificate, key, EVP_sha256());
    write("cert.pem", [&](FILE* file) { PEM_write_X509(file, certificate); });
    write("key.pem", [&](FILE* file) { PEM_write_PrivateKey(file, key, nullptr, nullptr, 0, nullptr, nullptr); });
    write("locked.pem", [&](FILE* file) {
      PEM_write_PrivateKey(file, key, EVP_aes_128_cbc(), nullptr, 0, nullptr, const_cast<char*>("secret"));
    });
    X509_free(certificate);
    EVP_PKEY_free(key);
    EVP_PKEY* other = EVP_EC_gen("P-256");
    write("other.pem", [&](FILE* file) { PEM_write_PrivateKey(file, other, nullptr, nullptr, 0, nullptr, nullptr); });
    EVP_PKEY_free(other);
    write("garbage.pem", [](FILE* file) { fputs("not PEM\n", file); });
  }
  ~TestIdentity() { std::filesystem::remove_all(folder_); }
  std::string path(const std::string& name) const { return folder_ + "/" + name; }
  ServerOptions options() const {
    ServerOptions options;
    options.tls = {path("cert.pem"), path("key.pem")};
    return options;
  }

 private:
  template <class Write>
  void write(const std::string& name, const Write& contents) {
    FILE* file = fopen(path(name).c_str(), "w");
    contents(file);
    fclose(file);
  }
  std::string folder_;
};

class TlsClient {
 public:
  // `alpn` in wire form: "\x02h2".
  explicit TlsClient(uint16_t port, std::string alpn = "", int version = 0)
      : raw_(port), context_(SSL_CTX_new(TLS_client_method())) {
    if (version != 0) {
      SSL_CTX_set_security_level(context_, 0);
      SSL_CTX_set_min_proto_version(context_, TLS1_VERSION);
      SSL_CTX_set_max_proto_version(context_, version);
    }
    if (!alpn.empty())
      SSL_CTX_set_alpn_protos(context_, reinterpret_cast<const unsigned char*>(alpn.data()),
                              static_cast<unsigned>(alpn.size()));
    ssl_ = SSL_new(context_);
    SSL_set_fd(ssl_, raw_.fd());
    ERR_clear_error();
    shaken_ = SSL_connect(ssl_) == 1;
  }
  ~TlsClient() {
    SSL_free(ssl_);
    SSL_CTX_free(context_);
  }
  bool shaken() const { return shaken_; }
  SSL* ssl() { return ssl_; }
  std::string protocol() const {
    const unsigned char* name = nullptr;
    unsigned size = 0;
    SSL_get0_alpn_selected(ssl_, &name, &size);
    return {reinterpret_cast<const char*>(name), size};
  }
  bool send(std::string_view bytes) {
    size_t written = 0;
    return SSL_write_ex(ssl_, bytes.data(), bytes.size(), &written) == 1 && written == bytes.size();
  }
  bool receive() {
    char buffer[16384];
    size_t size = 0;
    if (SSL_read_ex(ssl_, buffer, sizeof buffer, &size) != 1) {
      clean_end = SSL_get_error(ssl_, 0) == SSL_ERROR_ZERO_RETURN;
      return false;
    }
    received.append(buffer, size);
    return true;
  }
  bool receive_until(std::string_view text) {
    while (received.find(text) == std::string::npos) {
      if (!receive()) return false;
    }
    return true;
  }

  std::string received;
  bool clean_end = false;

 private:
  RawClient raw_;
  SSL_CTX* context_;
  SSL* ssl_ = nullptr;
  bool shaken_ = false;
};

TEST(Tls, AnswersInBothVersions) {
  const TestIdentity identity;
  TestServer test(identity.options());
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    TlsClient client(test.port(), "", version);
    ASSERT_TRUE(client.shaken());
    client.send("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_TRUE(client.receive_until("Hello\n"));
    client.received.clear();
    client.send("GET /stream?n=5 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    EXPECT_TRUE(client.receive_until("\r\n0\r\n\r\n"));
    EXPECT_FALSE(client.receive());
    EXPECT_TRUE(client.clean_end) << "the server says the end (close_notify)";
  }
}

TEST(Tls, OlderVersionsAreRefused) {
  const TestIdentity identity;
  TestServer test(identity.options());
  EXPECT_FALSE(TlsClient(test.port(), "", TLS1_1_VERSION).shaken());
}

TEST(Tls, AlpnChoosesTheProtocol) {
  const TestIdentity identity;
  TestServer test(identity.options());
  EXPECT_EQ(TlsClient(test.port(), "\x08http/1.1\x02h2").protocol(), "h2");
  EXPECT_EQ(TlsClient(test.port(), "\x08http/1.1").protocol(), "http/1.1");
  EXPECT_FALSE(TlsClient(test.port(), "\x06spdy/1").shaken());
}

TEST(Tls, LargeBodiesBothWays) {
  const TestIdentity identity;
  TestServer test(identity.options());
  TlsClient client(test.port());
  std::string body(2'000'000, '\0');
  for (size_t i = 0; i < body.size(); ++i) body[i] = static_cast<char>(i * 13 + i / 255);
  client.send(cat("POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: ", body.size(), "\r\n\r\n"));
  client.send(body);
  while (client.receive()) {
  }
  EXPECT_EQ(body_of(client.received), body);
}

TEST(Tls, AKeyUpdateWhileStreaming) {
  const TestIdentity identity;
  TestServer test(identity.options());
  TlsClient client(test.port(), "", TLS1_3_VERSION);
  client.send("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
  ASSERT_TRUE(eventually([&] { return test.observed.waiting == 1; }));
  for (int i = 0; i < 5; ++i) {
    SSL_key_update(client.ssl(), SSL_KEY_UPDATE_REQUESTED);
    client.send("\r\n");
    test.observed.channel->push(cat("event ", i, ';'));
    ASSERT_TRUE(client.receive_until(cat("event ", i, ';')));
  }
  test.observed.channel->push_last("end");
  EXPECT_TRUE(client.receive_until("end\r\n0\r\n\r\n"));
}

TEST(Tls, TheDisconnectIsNoticed) {
  const TestIdentity identity;
  TestServer test(identity.options());
  {
    TlsClient client(test.port());
    client.send("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
    ASSERT_TRUE(eventually([&] { return test.observed.waiting == 1; }));
    SSL_shutdown(client.ssl());
  }
  EXPECT_TRUE(eventually([&] { return test.observed.disconnects == 1 && test.observed.ended == 1; }));
  EXPECT_TRUE(eventually([&] { return test.server->connections() == 0; }));
}

TEST(Tls, HandshakesThatStallOrAreNone) {
  const TestIdentity identity;
  ServerOptions options = identity.options();
  options.limits.tls_handshake = milliseconds(200);
  TestServer test(options);
  RawClient silent(test.port()), plain(test.port());
  plain.send("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
  plain.receive_all();
  EXPECT_TRUE(plain.ended());
  EXPECT_EQ(silent.receive_all(), "");
  EXPECT_TRUE(silent.ended());
  EXPECT_TRUE(eventually([&] { return test.server->connections() == 0; }));
}

TEST(Tls, AReaderThatStopsIsDropped) {
  const TestIdentity identity;
  ServerOptions options = identity.options();
  options.limits.write_stall = milliseconds(300);
  TestServer test(options);
  TlsClient client(test.port());
  client.send("GET /flood HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_TRUE(eventually([&] { return test.observed.ended == 1; }));
  EXPECT_EQ(test.observed.last_error, static_cast<int>(ErrorCode::kDeadlineExceeded));
  EXPECT_TRUE(eventually([&] { return test.server->connections() == 0; }));
}

TEST(Tls, ErrorsNameTheFile) {
  const TestIdentity identity;
  Observed observed;
  const auto message = [&](const std::string& certificate, const std::string& key) {
    ServerOptions options;
    options.port = 0;
    options.tls = {certificate.empty() ? "" : identity.path(certificate), key.empty() ? "" : identity.path(key)};
    const auto server = Server::start(options, test_routes(observed));
    return server.ok() ? std::string("started") : server.error().message;
  };
  EXPECT_THAT(message("cert.pem", ""), HasSubstr("both"));
  EXPECT_THAT(message("none.pem", "key.pem"), HasSubstr("none.pem"));
  EXPECT_THAT(message("garbage.pem", "key.pem"), HasSubstr("garbage.pem"));
  EXPECT_THAT(message("cert.pem", "garbage.pem"), HasSubstr("garbage.pem"));
  EXPECT_THAT(message("cert.pem", "other.pem"), HasSubstr("does not belong"));
  EXPECT_THAT(message("cert.pem", "locked.pem"), HasSubstr("password"));
  EXPECT_EQ(message("cert.pem", "key.pem"), "started");
}

}  // namespace
}  // namespace sluice::http::testing
