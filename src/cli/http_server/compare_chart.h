#pragma once
// The report of `sluice bench compare` as a picture.

#include <string>

#include "base/json_fwd.h"

namespace sluice::cli {

// SVG: for every step a bar of its output tokens a second, inside an outline as long as the machine's limit allows.
std::string chart_svg(const Json& report);

}  // namespace sluice::cli
