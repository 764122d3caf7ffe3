// What configs say of the families: known and unknown names, defaults, and settings that must be refused by name.
// The defaults were read from transformers' configuration classes; the numbers below are of real models' configs.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "base/json.h"
#include "base/strings.h"
#include "model/decoder_spec.h"
#include "model/golden_models.h"
#include "model/model_loader.h"

namespace sluice::model {
namespace {

using testing::HasSubstr;

const Architecture& architecture(std::string_view name) {
  for (const Architecture* one : architectures()) {
    if (one->name == name) return *one;
  }
  SLUICE_CHECK(false, cat("no architecture ", name));
}

// A small config of a family, with `changes` merged in; a null in it stays.
Json small(std::string_view name, const Json& changes = Json::object()) {
  Json config = {{"model_type", architecture(name).model_types.front()},
                 {"vocab_size", 64},
                 {"hidden_size", 32},
                 {"intermediate_size", 40},
                 {"num_hidden_layers", 4},
                 {"num_attention_heads", 4},
                 {"num_key_value_heads", 2},
                 {"max_position_embeddings", 128}};
  for (const auto& [key, value] : changes.items()) config[key] = value;
  return config;
}

Result<DecoderSpec> spec(std::string_view name, const Json& changes = Json::object(),
                         FileKind kind = FileKind::kHuggingFace) {
  return decoder_spec(architecture(name), small(name, changes), kind);
}

std::vector<int> windows(const DecoderSpec& spec) {
  std::vector<int> all;
  for (const LayerKind& kind : spec.layer_kinds) all.push_back(kind.window);
  return all;
}

TEST(Architectures, AreWellFormed) {
  std::set<std::string_view> names, gguf_names, classes, types;
  for (const Architecture* one : architectures()) {
    SCOPED_TRACE(one->name);
    EXPECT_TRUE(names.insert(one->name).second);
    if (!one->gguf_name.empty()) EXPECT_TRUE(gguf_names.insert(one->gguf_name).second);
    for (const auto name : one->class_names) EXPECT_TRUE(classes.insert(name).second);
    for (const auto type : one->model_types) EXPECT_TRUE(types.insert(type).second);
    EXPECT_TRUE(parse_json(one->defaults).ok());
    for (const Setting& setting : one->settings) {
      if (!setting.allowed.empty()) EXPECT_TRUE(parse_json(setting.allowed).ok()) << setting.key;
    }
    std::set<Role> roles;
    for (const WeightName& weight : one->weights) EXPECT_TRUE(roles.insert(weight.role).second);
  }
}

// As LLaMA's first conversions spell it.
TEST(Architectures, OldSpellings) {
  const auto found = find_architecture({{"architectures", {"LLaMAForCausalLM"}}, {"model_type", "llama"}});
  ASSERT_TRUE(found.ok());
  EXPECT_EQ((*found)->name, "llama");
}

TEST(Architectures, AnUnknownOneNamesTheKnownAndTheNearest) {
  const auto message = [](const Json& config) {
    const auto found = find_architecture(config);
    EXPECT_FALSE(found.ok());
    if (!found.ok()) EXPECT_EQ(found.error().code, ErrorCode::kUnimplemented);
    return found.ok() ? "" : found.error().message;
  };
  const std::string moe = message({{"architectures", {"Qwen2MoeForCausalLM"}}, {"model_type", "qwen2_moe"}});
  EXPECT_THAT(moe, HasSubstr("'Qwen2MoeForCausalLM'"));
  EXPECT_THAT(moe, HasSubstr("LlamaForCausalLM, LLaMAForCausalLM, MistralForCausalLM"));
  EXPECT_THAT(moe, HasSubstr("nearest is Qwen2ForCausalLM"));
  EXPECT_THAT(message({{"architectures", {"PhiForCausalLM"}}}), HasSubstr("nearest is Phi3ForCausalLM"));
  EXPECT_THAT(message({{"architectures", {"MixtralForCausalLM"}}}), HasSubstr("nearest is MistralForCausalLM"));
  EXPECT_THAT(message({{"model_type", "gemma"}}), HasSubstr("nearest is Gemma2ForCausalLM"));
  // All names share "ForCausalLM"; that alone makes no neighbours.
  for (const char* name : {"InternLM2ForCausalLM", "Olmo2ForCausalLM", "SmolLM3ForCausalLM", "YiForCausalLM"})
    EXPECT_THAT(message({{"architectures", {name}}}), HasSubstr("nearest is LlamaForCausalLM"));
  EXPECT_THAT(message({{"architectures", {"BloomForCausalLM"}}}), testing::Not(HasSubstr("nearest")));
  // A head that is no language model's is not taken for one.
  EXPECT_THAT(message({{"architectures", {"LlamaForSequenceClassification"}}, {"model_type", "llama"}}),
              HasSubstr("LlamaForSequenceClassification"));
  EXPECT_FALSE(find_architecture(Json::object()).ok());
}

TEST(Architectures, AreFoundByClassOrType) {
  EXPECT_EQ((*find_architecture({{"architectures", {"Qwen3ForCausalLM"}}}))->name, "qwen3");
  EXPECT_EQ((*find_architecture({{"model_type", "gemma3_text"}}))->name, "gemma3");
  // A Mistral that calls itself a Llama: transformers goes by the type.
  EXPECT_EQ((*find_architecture({{"architectures", {"LlamaForCausalLM"}}, {"model_type", "mistral"}}))->name,
            "mistral");
}

TEST(Defaults, AreThoseOfTheFamily) {
  EXPECT_EQ(spec("mistral")->layer_kinds[0].window, 4096);
  EXPECT_EQ(spec("mistral", {{"sliding_window", nullptr}})->layer_kinds[0].window, 0);
  EXPECT_EQ(spec("qwen2")->layer_kinds[3].window, 0);
  EXPECT_EQ(spec("qwen3")->head_dim, 128);
  EXPECT_EQ(spec("qwen2")->head_dim, 8);
  EXPECT_FLOAT_EQ(spec("glm4")->norm_epsilon, 1.5625e-07f);
  EXPECT_EQ(spec("glm")->ropes[0].rotary_dim, 64);
  EXPECT_TRUE(spec("glm")->biases.qkv);
  EXPECT_TRUE(spec("gemma2")->tied_embeddings);
  EXPECT_FLOAT_EQ(spec("gemma2")->attention_softcap, 50);
  EXPECT_FLOAT_EQ(spec("gemma2")->final_softcap, 30);
  EXPECT_FLOAT_EQ(spec("gemma2")->attention_scale, 1.0f / 16);
  EXPECT_EQ(windows(*spec("gemma2")), (std::vector<int>{4096, 0, 4096, 0}));
  EXPECT_EQ(windows(*spec("gemma3", {{"num_hidden_layers", 7}, {"sliding_window", 512}})),
            (std::vector<int>{512, 512, 512, 512, 512, 0, 512}));
  EXPECT_FLOAT_EQ(spec("phi3")->norm_epsilon, 1e-5f);
  EXPECT_EQ(spec("llama", {{"num_key_value_heads", nullptr}})->kv_heads, 4);
  EXPECT_EQ(spec("phi3", {{"num_key_value_heads", nullptr}})->kv_heads, 4);
}

TEST(Defaults, OfMultimodalConfigsComeFromBothLevels) {
  const auto nested = [](const Json& outside, const Json& inside) {
    Json config = {{"architectures", {"Gemma3ForConditionalGeneration"}}, {"model_type", "gemma3"}};
    for (const auto& [key, value] : outside.items()) config[key] = value;
    config["text_config"] = small("gemma3", inside);
    return decoder_spec(**find_architecture(config), config, FileKind::kHuggingFace);
  };
  EXPECT_TRUE(nested(Json::object(), {{"tie_word_embeddings", false}})->tied_embeddings);
  EXPECT_FALSE(nested({{"tie_word_embeddings", false}}, Json::object())->tied_embeddings);
  EXPECT_EQ(nested(Json::object(), {{"final_logit_softcapping", 30.0}})->final_softcap, 0);
  EXPECT_EQ(spec("gemma3", {{"final_logit_softcapping", 30.0}})->final_softcap, 30);
}

TEST(Settings, ThatMatterAndAreUnknownAreRefusedByName) {
  struct Refused {
    std::string_view family;
    Json changes;
    std::string_view named;
  };
  const Refused all[] = {
      {"llama", {{"hidden_act", "xielu"}}, "hidden_act"},
      {"llama", {{"sliding_window", 8}}, "sliding_window"},
      {"llama", {{"attn_logit_softcapping", 30.0}}, "attn_logit_softcapping"},
      {"llama", {{"num_local_experts", 8}}, "num_local_experts"},
      {"llama", {{"partial_rotary_factor", 0.5}}, "partial_rotary_factor"},
      {"llama", {{"rope_scaling", {{"type", "mrope"}, {"factor", 2.0}}}}, "mrope"},
      {"llama", {{"rope_scaling", {{"rope_type", "default"}, {"mrope_section", {1, 1, 2}}}}}, "mrope_section"},
      {"llama", {{"rope_scaling", {{"rope_type", "linear"}}}}, "factor"},
      {"llama", {{"rope_parameters", {{"full_attention", {{"rope_type", "default"}}}}}}, "full_attention"},
      {"llama", {{"embedding_multiplier", 12.0}}, "embedding_multiplier"},
      {"mistral", {{"attention_bias", true}}, "attention_bias"},
      {"mistral", {{"mlp_bias", true}}, "mlp_bias"},
      {"mistral", {{"layer_types", {"full_attention"}}}, "layer_types"},
      {"qwen2", {{"num_experts", 60}}, "num_experts"},
      {"qwen2", {{"use_mrope", true}}, "use_mrope"},
      {"qwen2",
       {{"layer_types", {"full_attention", "chunked_attention", "full_attention", "full_attention"}}},
       "chunked_attention"},
      {"qwen2", {{"layer_types", {"full_attention"}}}, "layer_types"},
      {"qwen2",
       {{"layer_types", {"sliding_attention", "full_attention", "full_attention", "full_attention"}}},
       "sliding_window"},
      {"qwen3", {{"final_logit_softcapping", 30.0}}, "final_logit_softcapping"},
      {"glm", {{"hidden_act", "gelu_10"}}, "hidden_act"},
      {"glm4", {{"sliding_window", 4}}, "sliding_window"},
      {"gemma2", {{"hidden_activation", "mish"}}, "hidden_activation"},
      {"gemma2", {{"use_bidirectional_attention", true}}, "use_bidirectional_attention"},
      {"gemma3", {{"attn_logit_softcapping", 50.0}}, "attn_logit_softcapping"},
      {"gemma3", {{"use_bidirectional_attention", true}}, "use_bidirectional_attention"},
      {"phi3",
       {{"rope_scaling", {{"type", "longrope"}, {"short_factor", {1, 1}}, {"long_factor", {1, 1, 1, 1}}}}},
       "short_factor"},
      {"phi3", {{"attention_bias", true}}, "attention_bias"},
  };
  for (const Refused& one : all) {
    SCOPED_TRACE(cat(one.family, " ", dump_json(one.changes)));
    const auto made = spec(one.family, one.changes);
    ASSERT_FALSE(made.ok());
    EXPECT_THAT(made.error().message, HasSubstr(one.named));
  }
}

TEST(Settings, ThatSayNothingSpecialAreTolerated) {
  const Json harmless = {{"torch_dtype", "bfloat16"}, {"transformers_version", "4.46.0"},
                         {"attention_dropout", 0.0},  {"initializer_range", 0.02},
                         {"use_cache", true},         {"pretraining_tp", 1},
                         {"num_experts", 0},          {"attn_logit_softcapping", nullptr},
                         {"mlp_bias", false},         {"use_mrope", false},
                         {"some_vendor_note", "x"}};
  for (const Architecture* one : architectures()) {
    const auto made = spec(one->name, harmless);
    EXPECT_TRUE(made.ok()) << one->name << ": " << made.error().message;
  }
}

TEST(Settings, NumbersOutOfRangeAreRefused) {
  for (const Json& changes : std::initializer_list<Json>{{{"vocab_size", 0}},
                                                         {{"hidden_size", "32"}},
                                                         {{"num_key_value_heads", 3}},
                                                         {{"head_dim", 7}},
                                                         {{"rms_norm_eps", -1}},
                                                         {{"rope_theta", 0}},
                                                         {{"sliding_window", -5}},
                                                         {{"max_position_embeddings", 1LL << 40}}}) {
    EXPECT_FALSE(spec("mistral", changes).ok()) << dump_json(changes);
  }
}

TEST(Ropes, WinInTheOrderTransformersReadsThem) {
  const auto theta = [](const Json& changes) {
    // frequency 1 of a head of 8: theta^(-2/8)
    return std::pow(spec("llama", changes)->ropes[0].inverse_frequency[1], -4.0f);
  };
  EXPECT_NEAR(theta({}), 1e4, 1);
  EXPECT_NEAR(theta({{"rope_theta", 5e5}}), 5e5, 50);
  EXPECT_NEAR(theta({{"rope_parameters", {{"rope_theta", 2e4}}}, {"rope_theta", 5e5}}), 2e4, 2);
  EXPECT_NEAR(theta({{"rope_parameters", {{"rope_theta", 2e4}}}, {"rope_scaling", {{"rope_theta", 3e4}}}}), 3e4, 3);
}

TEST(Ropes, OfGemma3DifferByLayer) {
  const auto made = spec("gemma3", {{"rope_theta", 2e6},
                                    {"rope_scaling", {{"rope_type", "linear"}, {"factor", 8.0}}},
                                    {"sliding_window", 16},
                                    {"sliding_window_pattern", 2}});
  ASSERT_TRUE(made.ok()) << made.error().message;
  EXPECT_EQ(made->layer_kinds[0].rope, 1);
  EXPECT_EQ(made->layer_kinds[1].rope, 0);
  EXPECT_FLOAT_EQ(made->ropes[1].inverse_frequency[0], 1);
  EXPECT_FLOAT_EQ(made->ropes[0].inverse_frequency[0], 1.0f / 8);
}

TEST(Ropes, ThatScaleByLengthAllowLongerTexts) {
  EXPECT_EQ(spec("llama", {{"rope_scaling", {{"type", "dynamic"}, {"factor", 4.0}}}})->context_max, 512);
  EXPECT_EQ(
      spec("qwen2", {{"rope_scaling", {{"type", "yarn"}, {"factor", 4.0}, {"original_max_position_embeddings", 128}}}})
          ->context_max,
      512);
  EXPECT_EQ(spec("llama", {{"rope_scaling", {{"type", "linear"}, {"factor", 4.0}}}})->context_max, 128);
}

// A golden model whose config or tensors are changed: what describe_model and load_decoder say.
std::string loading_error(const GoldenFiles& files, const std::function<void(Json&)>& change_config,
                          const std::vector<test_files::SafetensorsTensor>& more = {}) {
  const test_files::TemporaryDirectory directory;
  Json config = read_json(files.safetensors() + "/config.json");
  change_config(config);
  test_files::write_text(directory.file("config.json"), dump_json(config));
  std::filesystem::copy_file(files.safetensors() + "/model.safetensors", directory.file("a.safetensors"));
  if (!more.empty()) test_files::write_safetensors(directory.file("b.safetensors"), more);
  auto opened = checkpoint::open_model(directory.path());
  if (!opened.ok()) return opened.error().message;
  const auto shared = std::make_shared<const checkpoint::ModelFiles>(std::move(opened).value());
  auto description = describe_model(*shared);
  if (!description.ok()) return description.error().message;
  ThreadPool pool({.threads = 1});
  auto decoder = load_decoder(shared, *description, {}, kernels::reference_ops(), pool);
  return decoder.ok() ? "" : decoder.error().message;
}

TEST(Biases, MustBeThereExactlyWhenTheConfigSaysSo) {
  const GoldenFiles biased(golden_folder("llama_bias")), plain(golden_folder("llama2"));
  EXPECT_EQ(loading_error(biased, [](Json&) {}), "");
  EXPECT_THAT(loading_error(biased, [](Json& config) { config["attention_bias"] = false; }),
              HasSubstr("self_attn.k_proj.bias"));
  EXPECT_THAT(loading_error(biased, [](Json& config) { config["mlp_bias"] = false; }), HasSubstr("mlp."));
  EXPECT_THAT(loading_error(plain, [](Json& config) { config["attention_bias"] = true; }),
              HasSubstr("self_attn.q_proj.bias"));
  EXPECT_THAT(
      loading_error(plain, [](Json&) {}, {{"model.layers.0.self_attn.q_norm.weight", "F32", {2}, std::string(8, 'x')}}),
      HasSubstr("q_norm"));
}

TEST(GgufConfig, RefusesMetadataThatChangesResults) {
  const GoldenFiles llama(golden_folder("llama2"));
  for (const auto& [key, value] : std::map<std::string, float>{
           {"expert_count", 8}, {"attention.clamp_kqv", 4}, {"rope.scaling.attn_factor", 2}, {"logit_scale", 3}}) {
    test_files::GgufWriter writer;
    writer.string("general.architecture", "llama");
    for (const auto& [name, number] : std::map<std::string, uint32_t>{{"embedding_length", 8},
                                                                      {"block_count", 1},
                                                                      {"feed_forward_length", 8},
                                                                      {"attention.head_count", 1},
                                                                      {"context_length", 64}})
      writer.u32("llama." + name, number);
    writer.f32("llama.attention.layer_norm_rms_epsilon", 1e-5f);
    writer.f32("llama." + key, value);
    writer.tensor({"token_embd.weight", 0, {4, 8}, std::string(4 * 8 * 4, '\0')});
    const test_files::TemporaryDirectory directory;
    writer.write(directory.file("model.gguf"));
    const auto described = describe_model(checkpoint::open_model(directory.file("model.gguf")).value());
    ASSERT_FALSE(described.ok());
    EXPECT_THAT(described.error().message, HasSubstr(key));
  }
}

}  // namespace
}  // namespace sluice::model
