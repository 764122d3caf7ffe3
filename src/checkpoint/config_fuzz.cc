// Any text as config.json, generation_config.json or tokenizer_config.json.

#include "base/check.h"
#include "checkpoint/model_files.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice::checkpoint;
  const auto config = parse_config({reinterpret_cast<const char*>(data), size}, "fuzz");
  if (!config.ok()) return 0;
  SLUICE_CHECK(config->is_object());
  (void)sluice::json_int(*config, "hidden_size", 0).ok();
  (void)sluice::json_number(*config, "rope_theta", 0).ok();
  (void)sluice::json_bool(*config, "tie_word_embeddings", false).ok();
  (void)sluice::json_string(*config, "model_type", "").ok();
  (void)parse_chat_templates(*config, "fuzz").ok();
  // What was read can be written and read again.
  SLUICE_CHECK(parse_config(sluice::dump_json(*config), "again").ok());
  return 0;
}
