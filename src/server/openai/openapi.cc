#include "server/openai/openapi.h"

#include "base/json.h"
#include "base/strings.h"
#include "server/openai/openapi_schemas.h"

namespace sluice::openai {
namespace {

Json reference(std::string_view schema) { return Json{{"$ref", cat("#/components/schemas/", schema)}}; }

Json media(std::string_view type, Json content) {
  Json media_types = Json::object();
  media_types[std::string(type)] = std::move(content);
  return media_types;
}

// "/v1/models/{model...}" is a path of one parameter to OpenAPI: "/v1/models/{model}".
std::string openapi_path(std::string_view path, Json& parameters) {
  std::string out;
  while (!path.empty()) {
    const size_t open = path.find('{');
    out += path.substr(0, open);
    if (open == std::string_view::npos) break;
    const size_t close = path.find('}', open);
    std::string_view name = path.substr(open + 1, close - open - 1);
    if (name.ends_with("...")) name.remove_suffix(3);
    out += cat("{", name, "}");
    parameters.push_back(
        Json{{"name", std::string(name)}, {"in", "path"}, {"required", true}, {"schema", Json{{"type", "string"}}}});
    path.remove_prefix(close + 1);
  }
  return out;
}

Json responses(const http::Route& route, const RouteSchemas* schemas) {
  Json ok = Json{{"description", "OK"}};
  if (schemas != nullptr && !schemas->response.empty()) {
    ok["content"] = media("application/json", Json{{"schema", reference(schemas->response)}});
    if (schemas->streams) {
      ok["content"]["text/event-stream"] =
          Json{{"schema", Json{{"description", "Server-sent events: chunks, then [DONE]."}}}};
    }
  }
  Json out = Json::object();
  out["200"] = std::move(ok);
  const auto failure = [&](const char* status, const char* description) {
    out[status] = Json{{"description", description},
                       {"content", media("application/json", Json{{"schema", reference("ErrorResponse")}})}};
  };
  if (!route.is_public) failure("401", "No valid API key, when the server has keys");
  if (route.method == "POST") {
    failure("400", "The request is wrong; the error names the parameter");
    failure("413", "The body is too large");
    failure("415", "The body is compressed");
    failure("429", "The queue is full; see Retry-After");
    failure("504", "The request was not done within its 'timeout'");
  }
  if (route.method == "POST" || route.path.find('{') != std::string::npos) failure("404", "No such model");
  failure("503", "The server is starting or stopping");
  return out;
}

Json operation(const http::Route& route, const Json& parameters) {
  const RouteSchemas* schemas = find_route_schemas(route.path);
  Json out = Json::object();
  if (!route.tag.empty()) out["tags"] = Json::array({route.tag});
  out["summary"] = route.summary;
  std::string id = to_lower_ascii(route.method);
  for (const char c : route.path) {
    const bool word = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    if (word || (id.back() != '_')) id += word ? c : '_';
  }
  while (id.back() == '_') id.pop_back();
  out["operationId"] = id;
  if (!parameters.empty()) out["parameters"] = parameters;
  if (schemas != nullptr && !schemas->request.empty()) {
    Json content = Json{{"schema", reference(schemas->request)}};
    if (const auto example = parse_json(schemas->example); example.ok()) content["example"] = *example;
    out["requestBody"] = Json{{"required", true}, {"content", media("application/json", std::move(content))}};
  }
  out["responses"] = responses(route, schemas);
  out["security"] = Json::array();
  if (!route.is_public) {
    out["security"].push_back(Json{{"bearer", Json::array()}});
    out["security"].push_back(Json{{"api_key", Json::array()}});
    out["security"].push_back(Json::object());  // servers without keys ask for none
  }
  return out;
}

}  // namespace

std::string openapi_json(const std::vector<http::Route>& routes, std::string_view version) {
  Json document = Json::object();
  document["openapi"] = "3.1.0";
  document["info"] = Json{{"title", "Sluice"},
                          {"version", std::string(version)},
                          {"description",
                           "Language models behind the API that OpenAI's clients speak. Unknown fields are ignored; "
                           "wrong ones are named in the error."}};
  document["paths"] = Json::object();
  for (const http::Route& route : routes) {
    Json parameters = Json::array();
    const std::string path = openapi_path(route.path, parameters);
    document["paths"][path][to_lower_ascii(route.method)] = operation(route, parameters);
  }
  document["components"] = Json::object();
  document["components"]["securitySchemes"] =
      Json{{"bearer", Json{{"type", "http"}, {"scheme", "bearer"}}},
           {"api_key", Json{{"type", "apiKey"}, {"in", "header"}, {"name", "x-api-key"}}}};
  document["components"]["schemas"] = component_schemas();
  return dump_json(document);
}

}  // namespace sluice::openai
