#pragma once
// For tests only.

#include <gtest/gtest.h>

#include <string>

#include "base/file.h"
#include "base/json.h"

namespace sluice::text {

inline std::string golden_tokenizer(const std::string& name) {
  return std::string(SLUICE_SOURCE_DIR) + "/tests/golden/tokenizers/" + name;
}

inline Json read_json(const std::string& path) {
  auto text = read_file(path);
  EXPECT_TRUE(text.ok()) << path;
  auto json = parse_json(text.ok() ? *text : "null");
  EXPECT_TRUE(json.ok()) << path;
  return json.ok() ? *json : Json();
}

}  // namespace sluice::text
