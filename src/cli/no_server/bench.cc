// A build of the engine half alone has no server to measure.
#include "cli/bench.h"

namespace sluice::cli {
namespace {

Error no_server() {
  return unimplemented("this build has no server; build with -DSLUICE_SERVER=ON, or use bench model and roofline");
}

}  // namespace

Result<int> bench_serve(const CommandLine&) { return no_server(); }
Result<int> bench_startup(const CommandLine&) { return no_server(); }
Result<int> bench_compare(const CommandLine&) { return no_server(); }

}  // namespace sluice::cli
