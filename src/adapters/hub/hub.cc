#include "adapters/hub/hub.h"

#include <algorithm>

#include "adapters/http/url.h"
#include "base/file.h"
#include "base/strings.h"

namespace sluice::adapters {
namespace {

std::string variable(checkpoint::Environment environment, const char* name) {
  const char* value = environment(name);
  return value == nullptr ? "" : std::string(trim(value));
}

bool is_true(const std::string& value) {
  const std::string lower = to_lower_ascii(value);
  return lower == "1" || lower == "true" || lower == "yes" || lower == "on";
}

Result<std::string> endpoint_from(const std::string& value, const char* name) {
  std::string endpoint = value;
  while (endpoint.ends_with('/')) endpoint.pop_back();
  const bool usable = (endpoint.starts_with("http://") || endpoint.starts_with("https://")) &&
                      endpoint.find_first_of("?# \t\r\n") == std::string::npos &&
                      same_origin(endpoint, endpoint);  // false for what cannot be read
  if (!usable) return invalid_argument(cat(name, " must be an address such as https://huggingface.co"), name);
  return endpoint;
}

Result<void> set_token(Hub& hub, const std::string& token, std::string source) {
  if (token.size() > 4096 || std::ranges::any_of(token, [](char c) { return c <= 0x20 || c >= 0x7f; })) {
    return invalid_argument(cat("the token of ", source, " holds characters no token has; it is not used"));
  }
  hub.token = token;
  hub.token_source = std::move(source);
  return {};
}

Result<void> find_huggingface_token(Hub& hub, checkpoint::Environment environment) {
  if (is_true(variable(environment, "HF_HUB_DISABLE_IMPLICIT_TOKEN"))) return {};
  for (const char* name : {"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"}) {
    if (const std::string token = variable(environment, name); !token.empty()) return set_token(hub, token, name);
  }
  std::string path = variable(environment, "HF_TOKEN_PATH");
  if (path.empty()) path = checkpoint::hub_home_directory(environment) + "/token";
  const auto text = read_file(path, 8192);
  if (!text.ok() || trim(*text).empty()) return {};
  return set_token(hub, std::string(trim(*text)), path);
}

void add_credentials(const Hub& hub, HttpRequest& request) {
  if (hub.token.empty()) return;
  request.secret_headers.push_back(cat("Authorization: Bearer ", hub.token));
  if (hub.kind == HubKind::kModelScope) request.secret_headers.push_back(cat("Cookie: m_session_id=", hub.token));
}

HttpRequest request_to(const Hub& hub, std::string address) {
  HttpRequest request;
  request.url = cat(hub.endpoint, std::move(address));
  add_credentials(hub, request);
  return request;
}

std::string token_advice(const Hub& hub) {
  const char* name = hub.kind == HubKind::kModelScope ? "MODELSCOPE_API_TOKEN" : "HF_TOKEN";
  if (hub.token.empty()) return cat("set ", name, " to a token of an account that may read it");
  return cat("the token of ", hub.token_source, " was sent and does not give access");
}

}  // namespace

Result<Hub> hub_from_environment(HubKind kind, checkpoint::Environment environment) {
  Hub hub;
  hub.kind = kind;
  if (kind == HubKind::kHuggingFace) {
    hub.endpoint = "https://huggingface.co";
    if (const std::string value = variable(environment, "HF_ENDPOINT"); !value.empty()) {
      SLUICE_TRY(hub.endpoint, endpoint_from(value, "HF_ENDPOINT"));
    }
    SLUICE_RETURN_IF_ERROR(find_huggingface_token(hub, environment));
    hub.offline =
        is_true(variable(environment, "HF_HUB_OFFLINE")) || is_true(variable(environment, "TRANSFORMERS_OFFLINE"));
    return hub;
  }
  hub.endpoint = "https://www.modelscope.cn";
  if (const std::string domain = variable(environment, "MODELSCOPE_DOMAIN"); !domain.empty()) {
    SLUICE_TRY(hub.endpoint, endpoint_from(domain.find("://") == std::string::npos ? "https://" + domain : domain,
                                           "MODELSCOPE_DOMAIN"));
  }
  if (const std::string value = variable(environment, "MODELSCOPE_ENDPOINT"); !value.empty()) {
    SLUICE_TRY(hub.endpoint, endpoint_from(value, "MODELSCOPE_ENDPOINT"));
  }
  if (const std::string token = variable(environment, "MODELSCOPE_API_TOKEN"); !token.empty()) {
    SLUICE_RETURN_IF_ERROR(set_token(hub, token, "MODELSCOPE_API_TOKEN"));
  }
  hub.offline = is_true(variable(environment, "HF_HUB_OFFLINE"));
  return hub;
}

std::string default_revision(const Hub& hub) { return hub.kind == HubKind::kModelScope ? "master" : "main"; }

HttpRequest listing_request(const Hub& hub, const std::string& repository, const std::string& revision) {
  HttpRequest request;
  if (hub.kind == HubKind::kModelScope) {
    request = request_to(
        hub, cat("/api/v1/models/", repository, "/repo/files?Revision=", escape_url(revision), "&Recursive=true"));
  } else {
    request = request_to(hub, cat("/api/models/", repository, "/revision/", escape_url(revision), "?blobs=true"));
  }
  request.headers.push_back("Accept: application/json");
  return request;
}

HttpRequest file_request(const Hub& hub, const std::string& repository, const std::string& commit,
                         const HubFile& file) {
  if (hub.kind == HubKind::kModelScope) {
    const std::string& revision = file.revision.empty() ? commit : file.revision;
    return request_to(hub, cat("/api/v1/models/", repository, "/repo?Revision=", escape_url(revision),
                               "&FilePath=", escape_url(file.path)));
  }
  return request_to(hub, cat("/", repository, "/resolve/", escape_url(commit), "/", escape_url(file.path, "/")));
}

HttpRequest similar_names_request(const Hub& hub, const std::string& repository) {
  if (hub.kind == HubKind::kModelScope) return {};
  const std::string name = repository.substr(repository.find('/') + 1);
  return request_to(hub, cat("/api/models?limit=50&search=", escape_url(name)));
}

Result<HubListing> parse_listing(const Hub& hub, std::string_view json) {
  return hub.kind == HubKind::kModelScope ? parse_modelscope_listing(json) : parse_huggingface_listing(json);
}

Error explain_refusal(const Hub& hub, const std::string& repository, const std::string& what, const HttpHead& head) {
  const std::string* reason = head.find_on_way("x-error-code");
  const std::string code = reason == nullptr ? "" : *reason;
  const std::string host = display_url(hub.endpoint);
  const std::string page =
      hub.kind == HubKind::kModelScope ? cat(host, "/models/", repository) : cat(host, "/", repository);
  if (code == "GatedRepo") {
    return {ErrorCode::kPermissionDenied,
            cat(what, " is gated: accept its licence at ", page, " while signed in, then ",
                hub.token.empty() ? "set HF_TOKEN to a token of that account"
                                  : cat("pull again (", token_advice(hub), " yet)")),
            {},
            {}};
  }
  if (code == "DisabledRepo") return {ErrorCode::kPermissionDenied, cat(what, " was disabled by the hub"), {}, {}};
  if (code == "RevisionNotFound")
    return {ErrorCode::kNotFound, cat(what, " has no such revision on ", host), {}, "revision"};
  if (code == "EntryNotFound") return {ErrorCode::kNotFound, cat(what, " is not there on ", host), {}, {}};
  // The hub answers 401 for a name that does not exist, so as not to tell it from a private one.
  if (code == "RepoNotFound" || (head.status == 404 && what == repository)) {
    return {ErrorCode::kNotFound,
            cat("there is no model ", repository, " on ", host, ", or it is private (", token_advice(hub), ")"),
            {},
            "name"};
  }
  if (head.status == 401 || head.status == 403) {
    return {ErrorCode::kPermissionDenied,
            cat(what, " may not be read (HTTP ", head.status, " from ", display_url(head.url), "): ", token_advice(hub),
                "; if the model is gated, accept its licence at ", page),
            {},
            {}};
  }
  if (head.status == 404 || head.status == 410) {
    return {ErrorCode::kNotFound,
            cat(what, " is not there (HTTP ", head.status, " from ", display_url(head.url), ")"),
            {},
            {}};
  }
  if (head.status == 429) {
    return {ErrorCode::kResourceExhausted,
            cat(display_url(head.url), " asks for fewer requests (HTTP 429); wait, or use fewer --connections",
                hub.token.empty() ? ", or a token, which has a larger allowance" : ""),
            {},
            {}};
  }
  return {ErrorCode::kUnavailable, cat(what, ": ", display_url(head.url), " answers HTTP ", head.status), {}, {}};
}

bool is_worth_retrying(int status) { return status == 408 || status == 425 || status == 429 || status >= 500; }

}  // namespace sluice::adapters
