#pragma once
// The config of models that came with code of their own as model_type chatglm: THUDM/glm-4-9b and its kin, and
// ChatGLM2 and 3, which compute the same. Their tensors are named in glm.cc.

#include "base/json.h"
#include "base/result.h"

namespace sluice::model {

// config.json in the words of a GlmForCausalLM's; any other config as it is. kUnimplemented names a setting by which a
// model differs (the first ChatGLM, prefix tuning, a stretched ChatGLM2 or 3).
Result<Json> glm_config_of_chatglm(const Json& config);

}  // namespace sluice::model
