#pragma once
// The settings of a model: what its config says, completed with the defaults of its family, and the check that none of
// them asks for something this program does not compute.

#include <optional>
#include <vector>

#include "base/json.h"
#include "model/decoder_spec.h"

namespace sluice::model {

// The part of config.json that describes the text model: text_config if there is one, else the whole.
const Json& text_config(const Json& config);
// The config in the words that settings have here (Architecture::translate).
Result<Json> translated_config(const Architecture& architecture, const Json& config);
// The config of the text model alone, as a model of its own: of a multimodal one the text_config with what stands
// beside it; any other as it is.
Result<Json> text_model_config(const Architecture& architecture, const Json& config);
// The text model's config over the architecture's defaults. A key that is there with null stays null. kMultimodal is
// added, as true, when there was a text_config.
inline constexpr const char* kMultimodal = "sluice.multimodal";
Result<Json> complete_settings(const Architecture& architecture, const Json& config);
// kUnimplemented naming the first setting whose value changes results in a way this architecture does not compute.
Result<void> check_settings(const Architecture& architecture, const Json& settings);

// The fields all decoders share, from complete_settings(); checks ranges. No layer has a window, and there is no rope
// yet.
Result<DecoderSpec> common_spec(const Architecture& architecture, const Json& settings);
// What `key` names, as transformers' ACT2FN reads it; kUnimplemented lists the names that are known.
Result<kernels::Activation> activation_from(const Json& settings, std::string_view key);
// > 0, or 0 for null or absent.
Result<float> positive_or_none(const Json& settings, std::string_view key);
// `sliding_window`: > 0, or 0 for null or absent.
Result<int> window_from(const Json& settings);

enum class LayerType { kFull, kSliding };
// `layer_types`, one a layer; nothing when the key is absent or null.
Result<std::optional<std::vector<LayerType>>> layer_types_from(const Json& settings, int layers);
// Sliding layers get `window`, all use rope 0; kInvalidArgument when layers slide but there is no window.
Result<void> set_layer_kinds(DecoderSpec& spec, const std::vector<LayerType>& types, int window);
// Every layer has this window (0: none).
void set_one_window(DecoderSpec& spec, int window);

}  // namespace sluice::model
