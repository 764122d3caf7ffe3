// A build without the server has no YAML library.
#include "base/json.h"
#include "cli/settings.h"

namespace sluice::cli {

Result<Json> parse_yaml(std::string_view) {
  return unimplemented("this build reads no YAML; use flags or SLUICE_… variables, or build with -DSLUICE_SERVER=ON");
}

}  // namespace sluice::cli
