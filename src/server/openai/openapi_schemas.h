#pragma once
// components/schemas of /openapi.json, and which route speaks which.

#include <string_view>

#include "base/json_fwd.h"

namespace sluice::openai {

// What one path takes and gives: names in components/schemas, "" for none.
struct RouteSchemas {
  std::string_view path;  // as in the route table
  std::string_view request;
  std::string_view response;
  bool streams = false;      // the answer may be text/event-stream
  std::string_view example;  // a request body, JSON text
};
// Null for a path without an entry.
const RouteSchemas* find_route_schemas(std::string_view path);

Json component_schemas();

}  // namespace sluice::openai
