// sluice convert on the golden models and the quantised ones: what it writes is read back, value for value.

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>

#include "base/file.h"
#include "base/json.h"
#include "base/strings.h"
#include "checkpoint/testing.h"
#include "cli/commands.h"
#include "model/golden_models.h"

namespace sluice::cli {
namespace {

namespace fs = std::filesystem;
using checkpoint::test_files::TemporaryDirectory;

const std::string kGolden = std::string(SLUICE_SOURCE_DIR) + "/tests/golden/";

Result<int> convert(const std::string& model, const std::string& out, Settings settings = {}) {
  settings.threads = 2;
  return run_convert({.command = "convert", .arguments = {model, out}, .help = false, .settings = std::move(settings)});
}

Settings with_type(const std::string& type) {
  Settings settings;
  settings.type = type;
  return settings;
}

std::string bytes_of(const checkpoint::WeightEntry& entry) {
  return {reinterpret_cast<const char*>(entry.data), entry.bytes};
}

// Every tensor of `a` is in `b`, byte for byte, and no other. Gemma's norms lose a last bit where f32 cannot hold 1
// more.
void expect_equal_weights(const checkpoint::WeightMap& a, const checkpoint::WeightMap& b, bool norms_are_near = false) {
  EXPECT_EQ(a.entries().size(), b.entries().size());
  for (const checkpoint::WeightEntry& entry : a.entries()) {
    const checkpoint::WeightEntry* other = b.find(entry.name);
    ASSERT_NE(other, nullptr) << entry.name;
    EXPECT_EQ(entry.stored_type, other->stored_type) << entry.name;
    EXPECT_TRUE(entry.shape == other->shape) << entry.name;
    if (norms_are_near && entry.name.ends_with("norm.weight")) {
      for (int64_t i = 0; i < entry.shape.elements(); ++i) {
        float a_value = 0, b_value = 0;
        std::memcpy(&a_value, entry.data + 4 * i, 4);
        std::memcpy(&b_value, other->data + 4 * i, 4);
        EXPECT_NEAR(a_value, b_value, 2e-7) << entry.name;
      }
    } else {
      EXPECT_TRUE(bytes_of(entry) == bytes_of(*other)) << entry.name;
    }
  }
}

// The golden models that have a GGUF.
std::vector<std::string> families() {
  std::vector<std::string> all;
  for (const auto& entry : fs::directory_iterator(kGolden + "models")) {
    if (fs::exists(entry.path() / "gguf.json") || fs::exists(entry.path() / "model.gguf"))
      all.push_back(entry.path().filename().string());
  }
  std::ranges::sort(all);
  return all;
}

class ConvertFamily : public testing::TestWithParam<std::string> {
 protected:
  bool gemma() const { return GetParam().starts_with("gemma"); }
  // Only the text half is written, under a text model's names.
  bool multimodal() const { return GetParam().find("multimodal") != std::string::npos; }
  // Comes back under other names.
  bool renamed() const { return multimodal() || GetParam() == "chatglm"; }
  const model::GoldenFiles files_{model::golden_folder(GetParam())};
};

// The oracle is model.gguf, which the gguf package wrote from the same weights as llama.cpp's converter lays them out.
TEST_P(ConvertFamily, GgufIsWhatTheGgufPackageWrites) {
  const TemporaryDirectory directory;
  const std::string out = directory.file("out.gguf"), golden = files_.gguf();
  const auto status = convert(files_.safetensors(), out);
  ASSERT_TRUE(status.ok()) << status.error().message;
  const auto ours = checkpoint::open_gguf(out), theirs = checkpoint::open_gguf(golden);
  ASSERT_TRUE(ours.ok()) << ours.error().message;
  expect_equal_weights(theirs->weights, ours->weights);
  for (const std::string& key : theirs->metadata.keys()) {
    const checkpoint::GgufValue *a = theirs->metadata.find(key), *b = ours->metadata.find(key);
    ASSERT_NE(b, nullptr) << key;
    EXPECT_EQ(a->type, b->type) << key;
    EXPECT_TRUE(std::ranges::equal(a->bytes, b->bytes)) << key;
  }
}

TEST_P(ConvertFamily, RoundTripsAreExact) {
  if (renamed()) return;
  const TemporaryDirectory directory;
  const std::string model = files_.safetensors();
  const std::string gguf = directory.file("out.gguf"), back = directory.file("back"),
                    again = directory.file("again.gguf");
  ASSERT_TRUE(convert(model, gguf).ok());
  const auto status = convert(gguf, back);
  ASSERT_TRUE(status.ok()) << status.error().message;
  const auto before = checkpoint::open_model(model).value(), after = checkpoint::open_model(back).value();
  expect_equal_weights(before.weights, after.weights, gemma());
  ASSERT_TRUE(convert(back, again).ok());
  expect_equal_weights(checkpoint::open_gguf(gguf)->weights, checkpoint::open_gguf(again)->weights, gemma());
  EXPECT_FALSE(fs::exists(back + ".partial"));
}

// Without the config that our own GGUF files carry: from llama.cpp's keys alone.
TEST_P(ConvertFamily, DirectoryFromAForeignGgufDescribesTheSameModel) {
  if (renamed()) return;
  const TemporaryDirectory directory;
  const std::string model = files_.safetensors(), back = directory.file("back");
  const auto status = convert(files_.gguf(), back);
  ASSERT_TRUE(status.ok()) << status.error().message;
  const auto before = checkpoint::open_model(model).value(), after = checkpoint::open_model(back).value();
  expect_equal_weights(before.weights, after.weights, gemma());
  const auto expected = model::describe_model(before).value(), got = model::describe_model(after).value();
  if (!expected.architecture->gguf_name.empty()) EXPECT_EQ(expected.architecture, got.architecture);
  EXPECT_EQ(expected.spec.heads, got.spec.heads);
  EXPECT_EQ(expected.spec.kv_heads, got.spec.kv_heads);
  EXPECT_EQ(expected.spec.tied_embeddings, got.spec.tied_embeddings);
  EXPECT_EQ(expected.spec.norm_epsilon, got.spec.norm_epsilon);
  EXPECT_EQ(expected.spec.norm_offset, got.spec.norm_offset);
  EXPECT_EQ(expected.spec.attention_softcap, got.spec.attention_softcap);
  EXPECT_EQ(expected.spec.final_softcap, got.spec.final_softcap);
  EXPECT_NEAR(expected.spec.attention_scale, got.spec.attention_scale, 1e-6);
  for (size_t layer = 0; layer < expected.spec.layer_kinds.size(); ++layer)
    EXPECT_EQ(expected.spec.layer_kinds[layer].window, got.spec.layer_kinds[layer].window) << layer;
  ASSERT_EQ(expected.spec.ropes.size(), got.spec.ropes.size());
  for (size_t r = 0; r < expected.spec.ropes.size(); ++r) {
    const model::RopeSpec &a = expected.spec.ropes[r], &b = got.spec.ropes[r];
    EXPECT_EQ(a.interleaved, b.interleaved);
    EXPECT_NEAR(a.magnitude, b.magnitude, 1e-5);
    ASSERT_EQ(a.inverse_frequency.size(), b.inverse_frequency.size());
    for (size_t i = 0; i < a.inverse_frequency.size(); ++i)
      EXPECT_NEAR(b.inverse_frequency[i] / a.inverse_frequency[i], 1, 1e-5);
  }
}

// All weights as the decoder has them.
std::vector<float> loaded_weights(const std::string& path) {
  const auto files = std::make_shared<const checkpoint::ModelFiles>(checkpoint::open_model(path).value());
  const model::ModelDescription description = model::describe_model(*files).value();
  ThreadPool pool({.threads = 1});
  const auto decoder = model::load_decoder(files, description, {}, kernels::reference_ops(), pool).value();
  std::vector<float> all;
  const auto add = [&](const float* values, size_t count) { all.insert(all.end(), values, values + count); };
  const auto add_matrix = [&](const Tensor& matrix) {
    ASSERT_EQ(matrix.dtype, DType::kF32);
    std::vector<float> values(matrix.bytes() / sizeof(float));
    std::memcpy(values.data(), matrix.data, matrix.bytes());
    add(values.data(), values.size());
  };
  const model::DecoderWeights& weights = decoder->weights();
  add_matrix(weights.embedding);
  add_matrix(weights.head);
  const auto add_norm = [&](std::vector<float> norm) {
    for (float& value : norm) value += description.spec.norm_offset;
    add(norm.data(), norm.size());
  };
  add_norm(weights.final_norm);
  for (const model::DecoderLayerWeights& layer : weights.layers) {
    for (const Tensor* matrix : {&layer.q, &layer.k, &layer.v, &layer.o, &layer.gate, &layer.up, &layer.down})
      add_matrix(*matrix);
    for (const auto* bias : {&layer.q_bias, &layer.k_bias, &layer.v_bias}) add(bias->data(), bias->size());
    for (const auto* norm : {&layer.attention_norm, &layer.mlp_norm, &layer.q_norm, &layer.k_norm}) add_norm(*norm);
  }
  return all;
}

// The text half of a multimodal model, and a chatglm with Q K V fused: to GGUF, to a directory of their own, and from
// directory to directory.
TEST_P(ConvertFamily, ComesBackUnderOtherNames) {
  if (!renamed()) return;
  const TemporaryDirectory directory;
  const std::string gguf = directory.file("out.gguf"), back = directory.file("back"), copy = directory.file("copy"),
                    foreign = directory.file("foreign");
  for (const auto& [from, to] : {std::pair(files_.safetensors(), gguf), std::pair(gguf, back),
                                 std::pair(files_.safetensors(), copy), std::pair(files_.gguf(), foreign)}) {
    const auto status = convert(from, to);
    ASSERT_TRUE(status.ok()) << status.error().message;
  }
  const std::vector<float> expected = loaded_weights(files_.safetensors());
  for (const std::string& path : {gguf, back, copy, foreign}) {
    const std::vector<float> got = loaded_weights(path);
    ASSERT_EQ(got.size(), expected.size()) << path;
    for (size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], expected[i], gemma() ? 5e-7 : 0) << path;
  }
  const auto before = model::describe_model(checkpoint::open_model(files_.safetensors()).value()).value();
  const Json config = parse_json(read_file(back + "/config.json").value()).value();
  EXPECT_EQ(json_find(config, "text_config"), nullptr);
  const auto after = model::describe_model(checkpoint::open_model(back).value()).value();
  EXPECT_EQ(config["architectures"][0].get<std::string>(), before.architecture->class_names.front());
  EXPECT_EQ(before.spec.final_softcap, after.spec.final_softcap);
  EXPECT_EQ(before.spec.tied_embeddings, after.spec.tied_embeddings);
  EXPECT_EQ(before.spec.norm_epsilon, after.spec.norm_epsilon);
  for (size_t r = 0; r < before.spec.ropes.size(); ++r)
    EXPECT_EQ(before.spec.ropes[r].inverse_frequency, after.spec.ropes[r].inverse_frequency);
}

INSTANTIATE_TEST_SUITE_P(Families, ConvertFamily, testing::ValuesIn(families()),
                         [](const auto& tested) { return tested.param; });

TEST(Convert, QuantisesMatricesAndLeavesVectors) {
  for (const std::string type : {"q8_0", "q4_0", "q4_1", "q5_0", "q5_1", "f16", "bf16"}) {
    const TemporaryDirectory directory;
    const std::string out = directory.file("out.gguf");
    const auto status = convert(kGolden + "quantized/gptq4_g32", out, with_type(type));
    ASSERT_TRUE(status.ok()) << status.error().message;
    const auto file = checkpoint::open_gguf(out).value();
    const bool quantised = type.starts_with("q");
    std::string upper = type;
    for (char& c : upper) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    EXPECT_EQ(file.weights.find("blk.0.attn_q.weight")->stored_type, upper);
    EXPECT_EQ(file.weights.find("token_embd.weight")->stored_type, quantised ? "Q8_0" : upper);
    EXPECT_EQ(file.weights.find("blk.0.attn_norm.weight")->stored_type, "F32");
    EXPECT_EQ(file.metadata.contains("general.quantization_version"), quantised);
    const auto files = checkpoint::open_model(out).value();
    EXPECT_TRUE(model::describe_model(files).ok());
  }
}

TEST(Convert, ShardsAreReadBackAsOneModel) {
  const TemporaryDirectory directory;
  const std::string model = kGolden + "quantized/fp8_block";
  Settings settings;
  settings.shard_size = 100'000;
  ASSERT_TRUE(convert(model, directory.file("parts"), settings).ok());
  ASSERT_TRUE(convert(model, directory.file("whole")).ok());
  EXPECT_TRUE(file_exists(directory.file("parts/model.safetensors.index.json")));
  const auto parts = checkpoint::open_model(directory.file("parts")).value();
  EXPECT_GT(parts.weights.files().size(), 2u);
  expect_equal_weights(checkpoint::open_model(directory.file("whole")).value().weights, parts.weights);

  ASSERT_TRUE(convert(model, directory.file("p.gguf"), settings).ok());
  ASSERT_TRUE(convert(model, directory.file("w.gguf")).ok());
  std::string first;
  for (const auto& each : fs::directory_iterator(directory.path())) {
    const std::string name = each.path().filename().string();
    if (name.starts_with("p-00001-of-")) first = each.path().string();
  }
  ASSERT_FALSE(first.empty());
  expect_equal_weights(checkpoint::open_gguf(directory.file("w.gguf"))->weights, checkpoint::open_gguf(first)->weights);
}

TEST(Convert, ReplacesOnlyWhenAsked) {
  const TemporaryDirectory directory;
  const std::string model = kGolden + "quantized/awq_g32", out = directory.file("out.gguf");
  checkpoint::test_files::write_text(out, "mine");
  const auto refused = convert(model, out);
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().message.find("--force"), std::string::npos);
  EXPECT_EQ(read_file(out).value(), "mine");
  Settings settings;
  settings.force = true;
  EXPECT_TRUE(convert(model, out, settings).ok());
  EXPECT_TRUE(checkpoint::open_gguf(out).ok());

  checkpoint::test_files::write_text(directory.file("note.txt"), "mine");
  EXPECT_FALSE(convert(model, directory.path()).ok());
  EXPECT_TRUE(convert(model, directory.path(), settings).ok());
  EXPECT_EQ(read_file(directory.file("note.txt")).value(), "mine");
  EXPECT_TRUE(checkpoint::open_model(directory.path()).ok());
}

TEST(Convert, RefusesWhatCannotBeAndLeavesNothingBehind) {
  const TemporaryDirectory directory;
  const auto wrong_type = convert(kGolden + "quantized/awq_g32", directory.file("out"), with_type("q8_0"));
  ASSERT_FALSE(wrong_type.ok());
  EXPECT_NE(wrong_type.error().message.find("GGUF"), std::string::npos);
  // An activation that the architecture's name does not imply.
  const model::GoldenFiles gelu{model::golden_folder("llama_gelu")};
  const auto unsaid = convert(gelu.safetensors(), directory.file("gelu.gguf"));
  ASSERT_FALSE(unsaid.ok());
  EXPECT_NE(unsaid.error().message.find(R"(hidden_act "gelu")"), std::string::npos) << unsaid.error().message;
  EXPECT_FALSE(fs::exists(directory.file("gelu.gguf")));
  // A damaged scale, found while writing.
  const std::string damaged = directory.file("damaged");
  fs::copy(kGolden + "quantized/ct_int4_g32", damaged);
  {
    const auto weights = checkpoint::open_model(damaged).value().weights;
    std::string bytes = read_file(damaged + "/model.safetensors").value();
    const std::string name = "\"model.layers.0.mlp.up_proj.weight_scale\"";
    ASSERT_NE(bytes.find(name), std::string::npos);
    const size_t header = 8 + *reinterpret_cast<const uint64_t*>(bytes.data());
    const Json head = parse_json(std::string_view(bytes).substr(8, header - 8)).value();
    const auto at = head["model.layers.0.mlp.up_proj.weight_scale"]["data_offsets"][0].get<size_t>();
    bytes[header + at] = '\xC0';
    bytes[header + at + 1] = '\x7F';
    checkpoint::test_files::write_text(damaged + "/model.safetensors", bytes);
  }
  for (const std::string& out : {directory.file("x.gguf"), directory.file("x")}) {
    const auto got = convert(damaged, out);
    ASSERT_FALSE(got.ok());
    EXPECT_NE(got.error().message.find("up_proj.weight_scale"), std::string::npos) << got.error().message;
    EXPECT_FALSE(fs::exists(out));
    EXPECT_FALSE(fs::exists(out + ".partial"));
  }
}

}  // namespace
}  // namespace sluice::cli
