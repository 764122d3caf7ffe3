// A build of the engine half alone has no network.
#include "cli/commands.h"

namespace sluice::cli {

Result<int> run_pull(const CommandLine&) {
  return unimplemented(
      "this build downloads nothing; build with -DSLUICE_SERVER=ON, or bring the model into the cache with "
      "huggingface_hub ('hf download')");
}

}  // namespace sluice::cli
