#pragma once
// A file that is cut short while it is mapped, or whose disk fails, kills its reader with SIGBUS. The guard turns that
// death into one line naming the file, and a fixed exit code that a supervisor can tell from a crash.

#include <memory>
#include <string>

#include "base/file.h"
#include "base/result.h"

namespace sluice::checkpoint {

constexpr int kMappingLostExitCode = 74;  // EX_IOERR of sysexits.h

// Installs the SIGBUS handler for the process; a second call does nothing. A SIGBUS elsewhere than in a guarded mapping
// goes on to the handler that was there before.
void install_mapping_guard();

// Maps `path` and lists it with the guard until the last owner lets go. Up to 4096 mappings are listed at a time; more
// are mapped all the same, without a guard.
Result<std::shared_ptr<const MappedFile>> map_guarded(const std::string& path);

}  // namespace sluice::checkpoint
