// What damage to a model's files does: an error that names the file, and the tensor where there is one, or, where the
// damage touches nothing that matters, the very same results. Never a crash, never other results in silence.

#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <limits>

#include "base/file.h"
#include "base/json.h"
#include "base/strings.h"
#include "model/golden_models.h"
#include "model/model_loader.h"

namespace sluice::model {
namespace {

namespace fs = std::filesystem;
using test_files::SafetensorsTensor;

// The bits of every weight after loading, or the error.
struct Outcome {
  std::string error, weights;
};

void add_bits(const Tensor& matrix, std::string& out) {
  if (matrix) out.append(reinterpret_cast<const char*>(matrix.data), matrix.bytes());
}
void add_bits(const std::vector<float>& values, std::string& out) { out += test_files::bytes_of(values); }

Outcome load(const std::string& path) {
  auto opened = checkpoint::open_model(path);
  if (!opened.ok()) return {opened.error().message, ""};
  const auto files = std::make_shared<const checkpoint::ModelFiles>(std::move(*opened));
  const auto description = describe_model(*files);
  if (!description.ok()) return {description.error().message, ""};
  ThreadPool pool({.threads = 1});
  const auto decoder = load_decoder(files, *description, {}, kernels::reference_ops(), pool);
  if (!decoder.ok()) return {decoder.error().message, ""};
  Outcome out;
  const DecoderWeights& weights = (*decoder)->weights();
  add_bits(weights.embedding, out.weights);
  add_bits(weights.head, out.weights);
  add_bits(weights.final_norm, out.weights);
  for (const DecoderLayerWeights& layer : weights.layers) {
    for (const Tensor* matrix : {&layer.q, &layer.k, &layer.v, &layer.o, &layer.gate, &layer.up, &layer.down})
      add_bits(*matrix, out.weights);
    for (const auto* vector : {&layer.attention_norm, &layer.mlp_norm, &layer.q_bias, &layer.o_bias, &layer.gate_bias})
      add_bits(*vector, out.weights);
  }
  return out;
}

bool names(const Outcome& outcome, std::string_view part) { return outcome.error.find(part) != std::string::npos; }

class DamagedModel : public testing::Test {
 protected:
  DamagedModel() : good_(golden_folder("llama_bias")) {
    const std::string source = good_.safetensors();
    config_ = read_json(source + "/config.json");
    weights_ = read_file(source + "/model.safetensors").value();
    write_config(config_);
    write_weights(weights_);
    expected_ = load(folder_.path());
    EXPECT_EQ(expected_.error, "");
    const Json golden = read_json(golden_folder("llama_bias") + "/golden.json");
    for (const Json& tensor : golden["tensors"]) {
      const DrawnTensor drawn = draw(tensor, golden["seed"].get<uint64_t>());
      tensors_.push_back({tensor[0].get<std::string>(), "F32", drawn.shape, bytes_of_floats(drawn.values)});
    }
  }

  void write_config(const Json& config) { test_files::write_text(folder_.file("config.json"), dump_json(config)); }
  void write_weights(std::string_view bytes) { test_files::write_text(weights_path(), bytes); }
  std::string weights_path() const { return folder_.file("model.safetensors"); }

  // An error that names `path`, or the same weights.
  void expect_error_or_same(const std::string& path, const std::string& what) {
    const Outcome outcome = load(folder_.path());
    if (outcome.error.empty()) {
      EXPECT_EQ(outcome.weights == expected_.weights, true) << what;
    } else {
      EXPECT_TRUE(names(outcome, path)) << what << ": " << outcome.error;
    }
  }
  void expect_error(const std::vector<std::string>& parts, const std::string& what) {
    const Outcome outcome = load(folder_.path());
    ASSERT_NE(outcome.error, "") << what;
    for (const std::string& part : parts) EXPECT_TRUE(names(outcome, part)) << what << ": " << outcome.error;
  }

  GoldenFiles good_;
  test_files::TemporaryDirectory folder_;
  Json config_;
  std::string weights_;
  std::vector<SafetensorsTensor> tensors_;
  Outcome expected_;
};

TEST_F(DamagedModel, SafetensorsCutAnywhere) {
  uint64_t header = 0;
  std::memcpy(&header, weights_.data(), sizeof header);
  for (size_t size = 0; size < weights_.size(); size += size < header + 8 ? 41 : weights_.size() / 40) {
    write_weights(std::string_view(weights_).substr(0, size));
    expect_error({weights_path()}, cat("cut to ", size));
  }
  write_weights(std::string_view(weights_).substr(0, weights_.size() - 1));
  expect_error({weights_path()}, "the last byte is missing");
}

TEST_F(DamagedModel, SafetensorsHeaderWithFlippedBits) {
  uint64_t header = 0;
  std::memcpy(&header, weights_.data(), sizeof header);
  for (size_t at = 0; at < header + 8; at += at < 8 ? 1 : 5) {
    std::string bytes = weights_;
    bytes[at] = static_cast<char>(bytes[at] ^ (1 << (at * 7 % 8)));
    write_weights(bytes);
    expect_error_or_same(folder_.path(), cat("byte ", at, " is '", bytes[at], "'"));
  }
}

TEST_F(DamagedModel, ValuesThatAreNoNumbersInEveryTensor) {
  for (size_t i = 0; i < tensors_.size(); ++i) {
    for (const float value : {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) {
      auto tensors = tensors_;
      const size_t at = tensors[i].bytes.size() / 8 * 4;
      std::memcpy(tensors[i].bytes.data() + at, &value, sizeof value);
      test_files::write_safetensors(weights_path(), tensors);
      expect_error({weights_path(), tensors[i].name, "not a finite number"}, tensors[i].name);
    }
  }
}

TEST_F(DamagedModel, WrongShapesMissingAndSurplusTensors) {
  const auto spoil = [&](const std::string& what, const std::vector<std::string>& parts,
                         const std::function<void(std::vector<SafetensorsTensor>&)>& change) {
    auto tensors = tensors_;
    change(tensors);
    test_files::write_safetensors(weights_path(), tensors);
    expect_error(parts, what);
  };
  for (size_t i = 0; i < tensors_.size(); ++i) {
    const std::string& name = tensors_[i].name;
    spoil("missing " + name, {weights_path(), name}, [&](auto& all) { all.erase(all.begin() + static_cast<long>(i)); });
    spoil("longer " + name, {weights_path(), name, "config asks for"}, [&](auto& all) {
      const size_t row = all[i].bytes.size() / static_cast<size_t>(all[i].shape[0]);
      all[i].bytes.append(row, '\0');
      ++all[i].shape[0];
    });
    spoil("flat " + name, {weights_path(), name, "config asks for"},
          [&](auto& all) { all[i].shape = {1, static_cast<int64_t>(all[i].bytes.size() / 4)}; });
    if (tensors_[i].shape.size() == 2 && tensors_[i].shape[0] != tensors_[i].shape[1]) {
      spoil("transposed " + name, {weights_path(), name, "config asks for"},
            [&](auto& all) { std::swap(all[i].shape[0], all[i].shape[1]); });
    }
    spoil("integers " + name, {weights_path(), name}, [&](auto& all) { all[i].dtype = "I32"; });
  }
  for (const std::string surplus : {"model.layers.2.mlp.up_proj.weight", "model.layers.0.mlp.gate.weight", "x"}) {
    spoil("surplus", {weights_path(), surplus, "no place"},
          [&](auto& all) { all.push_back({surplus, "F32", {2}, std::string(8, '\0')}); });
  }
}

TEST_F(DamagedModel, TheSameTensorInTwoFiles) {
  test_files::write_safetensors(folder_.file("model-2.safetensors"), {tensors_[0]});
  fs::rename(weights_path(), folder_.file("model-1.safetensors"));
  expect_error({"model-1.safetensors", "model-2.safetensors", tensors_[0].name, "twice"}, "two files");
}

// Every key with every kind of nonsense: an error that names the file and the key, or a model that loads.
TEST_F(DamagedModel, ConfigValuesOfEveryKind) {
  const Json nonsense[] = {nullptr,
                           true,
                           -1,
                           0,
                           1e300,
                           3.7,
                           (int64_t{1} << 62),
                           "x",
                           "",
                           Json::array(),
                           Json::object(),
                           Json::array({1, "a"}),
                           Json{{"a", nullptr}}};
  const std::string path = folder_.file("config.json");
  int errors = 0;
  for (const auto& [key, value] : config_.items()) {
    for (const Json& wrong : nonsense) {
      Json config = config_;
      config[key] = wrong;
      write_config(config);
      const Outcome outcome = load(folder_.path());
      if (outcome.error.empty()) continue;
      ++errors;
      EXPECT_TRUE(names(outcome, path) || names(outcome, weights_path()))
          << key << " = " << dump_json(wrong) << ": " << outcome.error;
    }
  }
  EXPECT_GT(errors, 60);
}

TEST_F(DamagedModel, ConfigCutAnywhere) {
  const std::string text = dump_json(config_);
  for (size_t size = 0; size < text.size(); ++size) {
    test_files::write_text(folder_.file("config.json"), text.substr(0, size));
    expect_error({folder_.file("config.json")}, cat("cut to ", size));
  }
}

TEST_F(DamagedModel, OtherJsonFilesCutOrOfAnotherForm) {
  for (const std::string name : {"generation_config.json", "tokenizer_config.json", "chat_template.json"}) {
    for (const std::string text : {"{", "[]", "7", "{\"a\": }", "{\"chat_template\": \"x\"", "\xff\xfe", "nul"}) {
      test_files::write_text(folder_.file(name), text);
      expect_error({folder_.file(name)}, name + " " + text);
    }
    fs::remove(folder_.file(name));
  }
}

TEST_F(DamagedModel, IndexThatPointsElsewhere) {
  fs::rename(weights_path(), folder_.file("a.safetensors"));
  const std::string index = folder_.file("model.safetensors.index.json");
  for (const std::string shard : {"../a.safetensors", "/etc/passwd", "sub/../../a.safetensors", "..", "", ".", "a\0b",
                                  "a.safetensors/", "./../x.safetensors", "none.safetensors"}) {
    Json map = Json::object();
    for (const SafetensorsTensor& tensor : tensors_) map[tensor.name] = "a.safetensors";
    map[tensors_[1].name] = shard;
    test_files::write_text(index, dump_json({{"weight_map", map}}));
    expect_error({folder_.path()}, shard);
  }
  Json twice = {{"weight_map", {{tensors_[0].name, "a.safetensors"}}}};
  test_files::write_text(index, dump_json(twice));
  EXPECT_EQ(load(folder_.path()).error, "");  // all tensors are in the one file it names
}

TEST_F(DamagedModel, GgufCutOrWithFlippedBits) {
  const std::string good = read_file(good_.gguf()).value();
  const std::string path = folder_.file("model.gguf");
  const size_t head = read_file(golden_folder("llama_bias") + "/gguf.head").value().size();
  const auto outcome_of = [&](std::string_view bytes) {
    test_files::write_text(path, bytes);
    return load(path);
  };
  ASSERT_EQ(outcome_of(good).error, "");
  for (size_t size = 0; size < good.size(); size += size < head ? 29 : good.size() / 40) {
    const Outcome outcome = outcome_of(std::string_view(good).substr(0, size));
    EXPECT_NE(outcome.error, "") << size;
    EXPECT_TRUE(names(outcome, path)) << size << ": " << outcome.error;
  }
  for (size_t at = 0; at < head; at += 3) {
    std::string bytes = good;
    bytes[at] = static_cast<char>(bytes[at] ^ (1 << (at * 5 % 8)));
    const Outcome outcome = outcome_of(bytes);  // a setting may have become another one
    if (!outcome.error.empty()) EXPECT_TRUE(names(outcome, path)) << at << ": " << outcome.error;
  }
}

// Behind the head every float of a GGUF's tensors.
TEST_F(DamagedModel, GgufValuesThatAreNoNumbers) {
  std::string bytes = read_file(good_.gguf()).value();
  const std::string path = folder_.file("model.gguf");
  test_files::write_text(path, bytes);
  std::vector<std::pair<std::string, size_t>> places;
  {
    const auto files = checkpoint::open_model(path).value();
    for (const checkpoint::WeightEntry& entry : files.weights.entries()) {
      const auto at = static_cast<size_t>(entry.data - files.weights.file_of(entry).bytes.data());
      places.emplace_back(entry.name, at + entry.bytes / 8 * 4);
    }
  }
  for (const auto& [name, at] : places) {
    const std::string before = bytes.substr(at, 4);
    const float value = std::numeric_limits<float>::infinity();
    std::memcpy(bytes.data() + at, &value, sizeof value);
    test_files::write_text(path, bytes);
    bytes.replace(at, 4, before);
    const Outcome outcome = load(path);
    EXPECT_TRUE(names(outcome, path) && names(outcome, name)) << name << ": " << outcome.error;
  }
}

// What a narrower type cannot hold is an error, not infinity.
TEST_F(DamagedModel, ValuesTooLargeForTheTypeAskedFor) {
  const float large = 1e6f;
  std::memcpy(tensors_[0].bytes.data(), &large, sizeof large);
  test_files::write_safetensors(weights_path(), tensors_);
  const auto files = std::make_shared<const checkpoint::ModelFiles>(checkpoint::open_model(folder_.path()).value());
  const ModelDescription description = describe_model(*files).value();
  ThreadPool pool({.threads = 1});
  const auto decoder = [&](DType dtype) {
    return load_decoder(files, description, {.weights = {.dtype = dtype}}, kernels::reference_ops(), pool);
  };
  EXPECT_TRUE(decoder(DType::kBF16).ok());
  const auto halves = decoder(DType::kF16);
  ASSERT_FALSE(halves.ok());
  for (const std::string& part : {weights_path(), tensors_[0].name, std::string("too large for f16")})
    EXPECT_NE(halves.error().message.find(part), std::string::npos) << halves.error().message;
}

}  // namespace
}  // namespace sluice::model
