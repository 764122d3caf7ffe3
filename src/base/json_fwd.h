#pragma once
// Names the JSON value type without its 20,000 lines.

#include "nlohmann/json_fwd.hpp"

namespace sluice {
using Json = nlohmann::ordered_json;
}  // namespace sluice
