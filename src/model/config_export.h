#pragma once
// config.json and GGUF metadata, one made from the other. The reverse of gguf_config.h for what we write ourselves.

#include "base/json.h"
#include "checkpoint/gguf_writer.h"
#include "model/model_loader.h"

namespace sluice::model {

// config.json, or the same words made from GGUF metadata.
Result<Json> model_config(const checkpoint::ModelFiles& files);

// Whose name and layout a GGUF of this architecture has: its own, or, where GGUF has no name for it, that of the first
// whose tensors have the same names (a Mistral is a llama). Null when there is none.
const Architecture* gguf_architecture_of(const Architecture& architecture);

// GGUF calls several families by one name; of those the one that has windows is meant when there are some.
const Architecture& hugging_face_architecture_of(const ModelDescription& description);

// A small tensor that a GGUF file holds beside the model's own: divisors of the rotary frequencies.
struct GgufSideTensor {
  std::string name;
  std::vector<float> values;
};

// "<architecture>.*" of a GGUF file: llama.cpp's keys (gguf-py/gguf/constants.py), and the tensors rope scaling needs.
// kUnimplemented names a rope type that GGUF cannot say.
Result<std::vector<GgufSideTensor>> add_gguf_config(const Json& config, const ModelDescription& description,
                                                    checkpoint::GgufHead& head);

// The config.json of a directory made from a GGUF file: what config_from_gguf reads, in words transformers knows.
// `dtype` is the matrices': "bfloat16".
Result<Json> config_for_directory(const checkpoint::ModelFiles& files, const ModelDescription& description,
                                  std::string_view dtype);

}  // namespace sluice::model
