#pragma once
// The OpenAPI 3.1 document of a route table. Paths, methods, summaries and who may enter come from the table; request
// and answer schemas from request_fields.h and openapi_schemas.h, for the paths known there.

#include <string>
#include <string_view>
#include <vector>

#include "server/http/router.h"

namespace sluice::openai {

std::string openapi_json(const std::vector<http::Route>& routes, std::string_view version);

}  // namespace sluice::openai
