#pragma once
// For tests only: the models of tests/golden/models as files. Their weights are not stored; they are drawn anew, as
// tools/goldens/models.py did, and written as safetensors and, behind the header that the gguf package wrote, as GGUF.

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "base/strings.h"
#include "checkpoint/testing.h"
#include "model/language_model.h"

namespace sluice::model {

namespace test_files = checkpoint::test_files;

inline std::string golden_folder(const std::string& name) {
  return std::string(SLUICE_SOURCE_DIR) + "/tests/golden/models/" + name;
}
inline Json read_json(const std::string& path) { return parse_json(read_file(path).value()).value(); }

constexpr int kBlockTokens = 4;  // of the caches that tests ask for

struct GoldenRun {
  std::vector<TokenId> prompt, greedy;
  std::vector<std::vector<float>> logits;  // [prompt][vocab]
};

inline std::vector<GoldenRun> golden_runs(const std::string& folder) {
  const Json golden = read_json(folder + "/golden.json");
  const std::string bytes = read_file(folder + "/logits.f32").value();
  size_t rows = 0, row = 0;
  for (const Json& run : golden["runs"]) rows += run["prompt"].size();
  const size_t vocab = bytes.size() / sizeof(float) / rows;
  std::vector<GoldenRun> runs;
  for (const Json& run : golden["runs"]) {
    GoldenRun made{run["prompt"].get<std::vector<TokenId>>(), run["greedy"].get<std::vector<TokenId>>(), {}};
    for (size_t i = 0; i < made.prompt.size(); ++i, ++row) {
      made.logits.emplace_back(vocab);
      std::memcpy(made.logits.back().data(), bytes.data() + row * vocab * sizeof(float), vocab * sizeof(float));
    }
    runs.push_back(std::move(made));
  }
  return runs;
}

struct DrawnTensor {
  std::vector<int64_t> shape;
  std::vector<float> values;
};

// draw() of tools/goldens/models.py. Every step is exact or rounded once, so both give the same bits.
inline DrawnTensor draw(const Json& tensor, uint64_t seed) {
  const auto name = tensor[0].get<std::string>();
  const float scale = tensor[2].get<float>(), offset = tensor[3].get<float>();
  DrawnTensor drawn{tensor[1].get<std::vector<int64_t>>(), {}};
  size_t count = 1;
  for (const int64_t size : drawn.shape) count *= static_cast<size_t>(size);
  uint64_t state = 0xCBF29CE484222325 ^ seed;
  for (const char c : name) state = (state ^ static_cast<unsigned char>(c)) * 0x100000001B3;
  for (size_t i = 0; i < count; ++i) {
    uint64_t x = state + (i + 1) * 0x9E3779B97F4A7C15;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
    x ^= x >> 31;
    const float unit = static_cast<float>(x >> 40) * 0x1p-23f - 1;  // exact
    volatile float scaled = unit * scale;                           // rounded here, not fused with what follows
    drawn.values.push_back(scaled + offset);
  }
  return drawn;
}

inline std::string bytes_of_floats(const std::vector<float>& values) { return test_files::bytes_of(values); }

// What llama.cpp's converter does to rows of Q and K: rotary pairs become neighbours.
inline std::vector<float> permute_rows(const DrawnTensor& tensor, size_t heads) {
  const auto rows = static_cast<size_t>(tensor.shape[0]);
  const size_t columns = tensor.values.size() / rows, dim = rows / heads, half = dim / 2;
  std::vector<float> out;
  for (size_t h = 0; h < heads; ++h) {
    for (size_t i = 0; i < dim; ++i) {
      const size_t from = h * dim + (i % 2) * half + i / 2;
      out.insert(out.end(), tensor.values.begin() + static_cast<long>(from * columns),
                 tensor.values.begin() + static_cast<long>((from + 1) * columns));
    }
  }
  return out;
}

// A golden model in a directory of its own: config.json and model.safetensors, and gguf/model.gguf when there is one.
// Folders that already hold the files (models.py --full) are used as they are.
class GoldenFiles {
 public:
  explicit GoldenFiles(const std::string& folder) : folder_(folder) {
    if (std::filesystem::exists(folder + "/model.safetensors")) return;
    const Json golden = read_json(folder + "/golden.json");
    std::map<std::string, DrawnTensor> drawn;
    std::vector<test_files::SafetensorsTensor> tensors;
    for (const Json& tensor : golden["tensors"]) {
      const auto name = tensor[0].get<std::string>();
      const DrawnTensor& values = drawn[name] = draw(tensor, golden["seed"].get<uint64_t>());
      tensors.push_back({name, "F32", values.shape, bytes_of_floats(values.values)});
    }
    test_files::write_safetensors(made_.file("model.safetensors"), tensors);
    test_files::write_text(made_.file("config.json"), read_file(folder + "/config.json").value());
    if (std::filesystem::exists(folder + "/gguf.json")) write_gguf(drawn);
  }

  // To be opened by checkpoint::open_model; the GGUF's is "" when the model has none.
  std::string safetensors() const {
    return std::filesystem::exists(folder_ + "/model.safetensors") ? folder_ : made_.path();
  }
  std::string gguf() const {
    for (const std::string& path : {folder_ + "/model.gguf", made_.file("gguf/model.gguf")}) {
      if (std::filesystem::exists(path)) return path;
    }
    return "";
  }

 private:
  void write_gguf(const std::map<std::string, DrawnTensor>& drawn) {
    std::string file = read_file(folder_ + "/gguf.head").value();
    for (const Json& step : read_json(folder_ + "/gguf.json")) {
      file.resize((file.size() + 31) / 32 * 32);
      if (step.contains("values")) {
        file += bytes_of_floats(step["values"].get<std::vector<float>>());
        continue;
      }
      const DrawnTensor& from = drawn.at(step["from"].get<std::string>());
      std::vector<float> values = from.values;
      if (step["do"] == "permute") values = permute_rows(from, step["heads"].get<size_t>());
      if (step["do"] == "plus_one") {
        for (float& value : values) value += 1;
      }
      file += bytes_of_floats(values);
    }
    file.resize((file.size() + 31) / 32 * 32);
    std::filesystem::create_directory(made_.file("gguf"));
    test_files::write_text(made_.file("gguf/model.gguf"), file);
  }

  std::string folder_;
  test_files::TemporaryDirectory made_;
};

}  // namespace sluice::model
