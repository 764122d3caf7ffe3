#pragma once
// The config of a GGUF model in the words of config.json, so that every architecture reads one kind of config.

#include "base/json.h"
#include "checkpoint/gguf.h"

namespace sluice::model {

// {"architectures": […], "hidden_size": …, "rope_parameters": {…}, …} from "<arch>.embedding_length" and its kin, with
// the frequency factors of rope_freqs.weight when the file has that tensor. kUnimplemented for an architecture we do
// not know.
Result<Json> config_from_gguf(const checkpoint::GgufMetadata& metadata, const checkpoint::WeightMap& weights);

}  // namespace sluice::model
