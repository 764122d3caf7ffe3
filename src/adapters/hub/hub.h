#pragma once
// The hubs models are pulled from, and how each is asked: addresses, credentials, and what its refusals mean.

#include <string>
#include <vector>

#include "adapters/http/http_client.h"
#include "adapters/hub/listing.h"
#include "base/result.h"
#include "checkpoint/model_reference.h"

namespace sluice::adapters {

enum class HubKind { kHuggingFace, kModelScope };

struct Hub {
  HubKind kind = HubKind::kHuggingFace;
  std::string endpoint;      // "https://huggingface.co", without a slash at its end
  std::string token;         // secret: neither printed nor logged; "" for none
  std::string token_source;  // where it came from: "HF_TOKEN"; "" for none
  bool offline = false;      // the environment forbids the network
};

// From the variables the hubs' own programs read. Hugging Face: HF_ENDPOINT, HF_TOKEN, HUGGING_FACE_HUB_TOKEN, the file
// at HF_TOKEN_PATH ($HF_HOME/token), HF_HUB_OFFLINE. ModelScope: MODELSCOPE_ENDPOINT, MODELSCOPE_DOMAIN,
// MODELSCOPE_API_TOKEN. kInvalidArgument when one cannot be used; the message does not hold its value if it is secret.
Result<Hub> hub_from_environment(HubKind kind, checkpoint::Environment environment);

std::string default_revision(const Hub& hub);  // "main", "master"

// Requests with the credentials in their place.
HttpRequest listing_request(const Hub& hub, const std::string& repository, const std::string& revision);
HttpRequest file_request(const Hub& hub, const std::string& repository, const std::string& commit, const HubFile& file);
// For advice after a name or revision that is not there; an empty url when the hub has no such search.
HttpRequest similar_names_request(const Hub& hub, const std::string& repository);

Result<HubListing> parse_listing(const Hub& hub, std::string_view json);

// What a refusal (status 400 and up) means and what to do. `what` is "org/name" or "org/name: file".
Error explain_refusal(const Hub& hub, const std::string& repository, const std::string& what, const HttpHead& head);
// Whether the same request may succeed later: 408, 425, 429, 5xx.
bool is_worth_retrying(int status);

}  // namespace sluice::adapters
