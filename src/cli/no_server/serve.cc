// A build of the engine half alone has no HTTP server.
#include "cli/commands.h"

namespace sluice::cli {

Result<int> run_serve(const CommandLine&) {
  return unimplemented("this build has no server; build with -DSLUICE_SERVER=ON, or use generate and chat");
}

}  // namespace sluice::cli
