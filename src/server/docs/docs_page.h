#pragma once
// The /docs page: one HTML file without any outside resource. It reads /openapi.json, lists the routes, and has a form
// that sends a request and shows the answer as it comes.

#include <string_view>

namespace sluice::docs {

std::string_view page();
// The page's Content-Security-Policy: its own script and style, and requests to this server only.
std::string_view content_security_policy();

}  // namespace sluice::docs
