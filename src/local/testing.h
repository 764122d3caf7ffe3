#pragma once
// For tests only.

#include <string>

namespace sluice::local {

inline const std::string kPhoneDemo = std::string(SLUICE_SOURCE_DIR) + "/models/phone-demo";

}  // namespace sluice::local
