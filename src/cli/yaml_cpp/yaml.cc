#include <yaml-cpp/yaml.h>

#include "base/json.h"
#include "base/strings.h"
#include "cli/settings.h"

namespace sluice::cli {
namespace {

constexpr int kDepthMax = 16;
constexpr int kValuesMax = 1 << 16;  // an alias repeats all that it stands for

Result<Json> to_json(const YAML::Node& node, int depth, int& values) {
  if (depth > kDepthMax) return invalid_argument(cat("YAML is nested deeper than ", kDepthMax, " levels"));
  if (++values > kValuesMax) return invalid_argument(cat("YAML has more than ", kValuesMax, " values"));
  switch (node.Type()) {
    case YAML::NodeType::Undefined:
    case YAML::NodeType::Null:
      return Json(nullptr);
    case YAML::NodeType::Scalar:
      return Json(node.Scalar());  // a knob knows its own type
    case YAML::NodeType::Sequence: {
      Json list = Json::array();
      for (const YAML::Node& item : node) {
        SLUICE_TRY(Json value, to_json(item, depth + 1, values));
        list.push_back(std::move(value));
      }
      return list;
    }
    case YAML::NodeType::Map: {
      Json object = Json::object();
      for (const auto& member : node) {
        SLUICE_TRY(Json value, to_json(member.second, depth + 1, values));
        object[member.first.Scalar()] = std::move(value);
      }
      return object;
    }
  }
  return Json(nullptr);
}

}  // namespace

Result<Json> parse_yaml(std::string_view text) {
  try {
    int values = 0;
    return to_json(YAML::Load(std::string(text)), 0, values);
  } catch (const YAML::Exception& error) {
    return corrupt_data(
        cat("not valid YAML: line ", error.mark.line + 1, ", column ", error.mark.column + 1, ": ", error.msg));
  }
}

}  // namespace sluice::cli
