#include "checkpoint/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "checkpoint/testing.h"

namespace sluice::checkpoint {
namespace {

using test_files::safetensors_bytes;
using test_files::safetensors_file;
using test_files::SafetensorsTensor;
using test_files::TemporaryDirectory;
using test_files::write_safetensors;
using test_files::write_text;
using ::testing::HasSubstr;

Result<WeightMap> weights_of(std::string_view file, const SafetensorsLimits& limits = {}) {
  return read_safetensors(WeightFile::from_memory("x.safetensors", test_files::as_bytes(file)), limits);
}

// A tensor of 64 zero bytes.
SafetensorsTensor small(const std::string& name) { return {name, "F32", {4, 4}, std::string(64, '\0')}; }

TEST(Safetensors, GivesViewsOfEveryUsableType) {
  const std::vector<float> floats = {1.5f, -2, 3, 4, 5, 6};
  const std::string file = safetensors_bytes({{"a", "F32", {2, 3}, test_files::bytes_of(floats)},
                                              {"b", "BF16", {4}, std::string(8, 'b')},
                                              {"c", "F16", {1, 1, 1, 1, 2}, std::string(4, 'c')},
                                              {"d", "I64", {}, std::string(8, 'd')},
                                              {"e", "I32", {0, 7}, ""},
                                              {"f", "U8", {3}, "fff"},
                                              {"g", "I8", {1}, "g"}});
  const auto weights = weights_of(file);
  ASSERT_TRUE(weights.ok()) << weights.error().message;
  EXPECT_EQ(weights->entries().size(), 7u);
  EXPECT_EQ(weights->tensor_bytes(), 24u + 8 + 4 + 8 + 3 + 1);
  EXPECT_EQ(weights->file_bytes(), file.size());
  const auto a = weights->tensor("a");
  ASSERT_TRUE(a.ok());
  EXPECT_EQ(a->dtype, DType::kF32);
  EXPECT_TRUE((a->shape == Shape{2, 3}));
  EXPECT_EQ(std::memcmp(a->data, floats.data(), 24), 0);
  EXPECT_TRUE(reinterpret_cast<const char*>(a->data) >= file.data() &&
              reinterpret_cast<const char*>(a->data) < file.data() + file.size())
      << "a view, not a copy";
  EXPECT_EQ(weights->tensor("c")->shape.rank(), 5);
  EXPECT_EQ(weights->tensor("d")->shape.rank(), 0);
  EXPECT_EQ(weights->tensor("e")->bytes(), 0u);
  EXPECT_EQ(*reinterpret_cast<const char*>(weights->tensor("g")->data), 'g');
}

TEST(Safetensors, ListsUnsupportedTypesAndNamesThemWhenUsed) {
  const auto weights = weights_of(safetensors_bytes({{"q", "F8_E4M3", {2, 2}, "1234"},
                                                     {"z", "F4", {4}, "12"},
                                                     {"u", "MADE_UP", {9}, "123456789"},
                                                     {"deep", "U8", {1, 1, 1, 1, 1, 2}, "12"}}));
  ASSERT_TRUE(weights.ok()) << weights.error().message;
  ASSERT_EQ(weights->entries().size(), 4u);
  for (const auto& [name, expected] :
       {std::pair{"q", "F8_E4M3"}, {"z", "F4"}, {"u", "MADE_UP"}, {"deep", "6 dimensions"}}) {
    ASSERT_TRUE(weights->contains(name));
    const auto tensor = weights->tensor(name);
    ASSERT_FALSE(tensor.ok());
    EXPECT_EQ(tensor.error().code, ErrorCode::kUnimplemented);
    EXPECT_THAT(tensor.error().message, HasSubstr(expected));
    EXPECT_THAT(tensor.error().message, HasSubstr("x.safetensors"));
  }
}

TEST(Safetensors, AMissingTensorNamesTheNearestOne) {
  const auto weights = weights_of(safetensors_bytes({small("model.norm.weight")}));
  ASSERT_TRUE(weights.ok());
  const auto tensor = weights->tensor("model.norm.weights");
  ASSERT_FALSE(tensor.ok());
  EXPECT_EQ(tensor.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(tensor.error().message, HasSubstr("'model.norm.weight'"));
  EXPECT_THAT(tensor.error().message, HasSubstr("x.safetensors"));
}

TEST(Safetensors, AcceptsAnEmptyFileOfTensorsAndPaddedHeaders) {
  EXPECT_TRUE(weights_of(safetensors_file("{}", "")).ok());
  EXPECT_TRUE(weights_of(safetensors_file(R"({"__metadata__":null})", "")).ok());
  EXPECT_TRUE(
      weights_of(safetensors_file(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}      )", "xy")).ok());
  // Fields and metadata that later versions may add.
  const std::string_view more =
      R"({"__metadata__":{"k":{"v":[1]},"n":3},"a":{"note":{"x":[[]]},"dtype":"U8","shape":[2],"data_offsets":[0,2]}})";
  const auto weights = weights_of(safetensors_file(more, "xy"));
  ASSERT_TRUE(weights.ok()) << weights.error().message;
  EXPECT_EQ(weights->entries().size(), 1u);
}

struct Hostile {
  const char* title;
  std::string header;
  std::string data;
  const char* expected;  // part of the message
};

std::vector<Hostile> hostile_headers() {
  const auto tensor = [](std::string_view fields) { return cat("{\"a\":{", fields, "}}"); };
  const std::string four(4, 'x');
  return {
      {"empty header", "", "", "begin with '{'"},
      {"a list", "[]", "", "begin with '{'"},
      {"space first", " {}", "", "begin with '{'"},
      {"half an object", "{\"a\":", "", "not valid JSON"},
      {"more after the object", "{}{}", "", "not valid JSON"},
      {"tensor is a number", "{\"a\":1}", "", "must be an object"},
      {"tensor is a list", "{\"a\":[]}", "", "must be an object"},
      {"metadata is a list", R"({"__metadata__":[2],"a":[{}]})", "", "must be an object"},
      {"metadata is a string", R"({"__metadata__":"x"})", "", "must be an object"},
      {"no dtype", tensor(R"("shape":[4],"data_offsets":[0,4])"), four, "dtype is missing"},
      {"no shape", tensor(R"("dtype":"U8","data_offsets":[0,4])"), four, "shape is missing"},
      {"no offsets", tensor(R"("dtype":"U8","shape":[4])"), four, "data_offsets must be two"},
      {"one offset", tensor(R"("dtype":"U8","shape":[4],"data_offsets":[0])"), four, "data_offsets must be two"},
      {"three offsets", tensor(R"("dtype":"U8","shape":[4],"data_offsets":[0,4,4])"), four, "more than two"},
      {"dtype a number", tensor(R"("dtype":8,"shape":[4],"data_offsets":[0,4])"), four, "dtype cannot be"},
      {"dtype null", tensor(R"("dtype":null,"shape":[4],"data_offsets":[0,4])"), four, "dtype cannot be"},
      {"shape a number", tensor(R"("dtype":"U8","shape":4,"data_offsets":[0,4])"), four, "shape cannot be"},
      {"shape nested", tensor(R"("dtype":"U8","shape":[[4]],"data_offsets":[0,4])"), four, "whole numbers"},
      {"shape negative", tensor(R"("dtype":"U8","shape":[-4],"data_offsets":[0,4])"), four, "negative"},
      {"shape a fraction", tensor(R"("dtype":"U8","shape":[4.0],"data_offsets":[0,4])"), four, "fraction"},
      {"shape beyond 64 bits", tensor(R"("dtype":"U8","shape":[99999999999999999999],"data_offsets":[0,4])"), four,
       "fraction"},
      {"offset an object", tensor(R"("dtype":"U8","shape":[4],"data_offsets":[{},4])"), four, "data_offsets"},
      {"shape twice", tensor(R"("dtype":"U8","shape":[4],"shape":[4],"data_offsets":[0,4])"), four,
       "shape is there twice"},
      {"dtype twice", tensor(R"("dtype":"U8","dtype":"U8","shape":[4],"data_offsets":[0,4])"), four,
       "dtype is there twice"},
      {"offsets twice", tensor(R"("dtype":"U8","shape":[4],"data_offsets":[0,4],"data_offsets":[0,4])"), four,
       "there twice"},
      {"name twice",
       R"({"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})",
       four, "there twice"},
      {"ends before it begins", tensor(R"("dtype":"U8","shape":[4],"data_offsets":[4,0])"), four, "ends before"},
      {"past the end", tensor(R"("dtype":"U8","shape":[8],"data_offsets":[0,8])"), four, "cut short"},
      {"far past the end",
       tensor(R"("dtype":"U8","shape":[4],"data_offsets":[18446744073709551612,18446744073709551615])"), four,
       "cut short"},
      {"size and shape differ", tensor(R"("dtype":"F32","shape":[4],"data_offsets":[0,4])"), four, "4 elements"},
      {"half a byte", tensor(R"("dtype":"F4","shape":[7],"data_offsets":[0,4])"), four, "7 elements"},
      {"overflowing shape", tensor(R"("dtype":"U8","shape":[4294967296,4294967296,4294967296],"data_offsets":[0,4])"),
       four, "too large"},
      {"overflow hidden by a zero",
       tensor(R"("dtype":"U8","shape":[4294967296,4294967296,4294967296,0],"data_offsets":[0,0])"), "", "too large"},
      {"overflowing bits", tensor(R"("dtype":"F64","shape":[2305843009213693952],"data_offsets":[0,0])"), "",
       "elements"},
      {"dimension beyond int64", tensor(R"("dtype":"U8","shape":[0,18446744073709551615],"data_offsets":[0,0])"), "",
       "too large"},
      {"too many dimensions",
       tensor(cat(
           R"("dtype":"U8","data_offsets":[0,4],"shape":[4)",
           [] {
             std::string ones;
             for (int i = 0; i < 40; ++i) ones += ",1";
             return ones;
           }(),
           "]")),
       four, "dimensions"},
      {"overlap",
       R"({"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},"b":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}})",
       four, "overlaps"},
      {"a gap",
       R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}})",
       four, "gap"},
      {"unused data at the end", tensor(R"("dtype":"U8","shape":[3],"data_offsets":[0,3])"), four, "4 data bytes"},
      {"invalid UTF-8 in a name", "{\"\xff\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}}", four,
       "not valid JSON"},
      {"deep in an unknown field", tensor("\"x\":" + std::string(40, '[') + std::string(40, ']')), four, "too deep"},
  };
}

TEST(Safetensors, RefusesHostileHeaders) {
  for (const Hostile& hostile : hostile_headers()) {
    const auto weights = weights_of(safetensors_file(hostile.header, hostile.data));
    ASSERT_FALSE(weights.ok()) << hostile.title;
    EXPECT_EQ(weights.error().code, ErrorCode::kCorruptData) << hostile.title;
    EXPECT_THAT(weights.error().message, HasSubstr(hostile.expected)) << hostile.title;
    EXPECT_THAT(weights.error().message, HasSubstr("x.safetensors")) << hostile.title;
  }
}

TEST(Safetensors, RefusesAFileCutAnywhere) {
  const std::string whole = safetensors_bytes({small("a"), small("b")});
  for (size_t length = 0; length < whole.size(); ++length) {
    const std::string cut(whole.data(), length);  // its own memory, so that a read past the end is seen
    EXPECT_FALSE(weights_of(cut).ok()) << length;
  }
  EXPECT_FALSE(weights_of(whole + "x").ok());
}

TEST(Safetensors, KeepsItsLimits) {
  std::string huge(8, '\xff');
  const auto endless = weights_of(huge + "{}");
  ASSERT_FALSE(endless.ok());
  EXPECT_THAT(endless.error().message, HasSubstr("limit"));
  const std::string file = safetensors_bytes({small("a"), small("b")});
  EXPECT_TRUE(weights_of(file, {.tensors_max = 2}).ok());
  const auto too_many = weights_of(file, {.tensors_max = 1});
  ASSERT_FALSE(too_many.ok());
  EXPECT_THAT(too_many.error().message, HasSubstr("more than 1"));
  uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, file.data(), 8);
  EXPECT_TRUE(weights_of(file, {.header_bytes_max = header_bytes}).ok());
  EXPECT_FALSE(weights_of(file, {.header_bytes_max = header_bytes - 1}).ok());
}

// ---- several files

std::string index_json(const std::vector<std::pair<std::string, std::string>>& map) {
  Json weight_map = Json::object();
  for (const auto& [tensor, file] : map) weight_map[tensor] = file;
  return dump_json({{"metadata", {{"total_size", 128}}}, {"weight_map", weight_map}});
}

TEST(SafetensorsIndex, JoinsTheShardsItNames) {
  TemporaryDirectory dir;
  write_safetensors(dir.file("m-1.safetensors"), {small("a"), small("extra")});
  write_safetensors(dir.file("m-2.safetensors"), {small("b")});
  write_safetensors(dir.file("other.safetensors"), {small("a")});
  write_text(dir.file("model.safetensors.index.json"),
             index_json({{"b", "m-2.safetensors"}, {"a", "m-1.safetensors"}}));
  const auto weights = open_safetensors_directory(dir.path());
  ASSERT_TRUE(weights.ok()) << weights.error().message;
  EXPECT_EQ(weights->entries().size(), 3u);
  EXPECT_EQ(weights->files().size(), 2u);
  EXPECT_EQ(weights->file_of(*weights->find("a")).path, dir.file("m-1.safetensors"));
  EXPECT_TRUE(weights->tensor("b").ok());
  EXPECT_TRUE(weights->verify_unchanged().ok());
}

TEST(SafetensorsIndex, RefusesPathTricks) {
  for (const std::string file :
       {"/etc/passwd", "../x.safetensors", "sub/x.safetensors", "..", ".", "", "a\\b", "./x"}) {
    const auto index = parse_safetensors_index(index_json({{"a", file}}), "i.json");
    ASSERT_FALSE(index.ok()) << file;
    EXPECT_EQ(index.error().code, ErrorCode::kCorruptData);
  }
  EXPECT_FALSE(parse_safetensors_index(index_json({{"a", std::string("x\0y", 3)}}), "i.json").ok());
  EXPECT_FALSE(parse_safetensors_index(index_json({{"a", std::string(256, 'x')}}), "i.json").ok());
  EXPECT_TRUE(parse_safetensors_index(index_json({{"a", "..x..safetensors"}}), "i.json").ok());
}

TEST(SafetensorsIndex, RefusesWrongForms) {
  for (const char* text :
       {"", "{", "[]", "{}", R"({"weight_map":[]})", R"({"weight_map":{}})", R"({"weight_map":{"a":1}})"}) {
    const auto index = parse_safetensors_index(text, "i.json");
    ASSERT_FALSE(index.ok()) << text;
    EXPECT_THAT(index.error().message, HasSubstr("i.json")) << text;
  }
}

TEST(SafetensorsIndex, FindsWhatIsMissingOrMisplaced) {
  TemporaryDirectory dir;
  write_safetensors(dir.file("m-1.safetensors"), {small("a")});
  write_safetensors(dir.file("m-2.safetensors"), {small("b")});
  const auto error_with = [&](const std::vector<std::pair<std::string, std::string>>& map) {
    write_text(dir.file("model.safetensors.index.json"), index_json(map));
    const auto weights = open_safetensors_directory(dir.path());
    return weights.ok() ? std::string("no error") : weights.error().message;
  };
  EXPECT_THAT(error_with({{"a", "m-1.safetensors"}, {"b", "m-3.safetensors"}}),
              HasSubstr("m-3.safetensors is missing"));
  EXPECT_THAT(error_with({{"a", "m-2.safetensors"}, {"b", "m-1.safetensors"}}), HasSubstr("says it is in"));
  EXPECT_THAT(error_with({{"a", "m-1.safetensors"}, {"c", "m-1.safetensors"}}), HasSubstr("tensor 'c' is not in"));
  EXPECT_EQ(error_with({{"a", "m-1.safetensors"}, {"b", "m-2.safetensors"}}), "no error");
}

TEST(SafetensorsDirectory, TakesFilesWithoutAnIndexWhenTheyDoNotCollide) {
  TemporaryDirectory dir;
  EXPECT_EQ(open_safetensors_directory(dir.path()).error().code, ErrorCode::kNotFound);
  write_safetensors(dir.file("part-a.safetensors"), {small("a")});
  write_safetensors(dir.file("part-b.safetensors"), {small("b")});
  write_safetensors(dir.file("adapter_model.safetensors"), {small("a")});
  write_safetensors(dir.file("consolidated.safetensors"), {small("b")});
  const auto weights = open_safetensors_directory(dir.path());
  ASSERT_TRUE(weights.ok()) << weights.error().message;
  EXPECT_EQ(weights->entries().size(), 2u);

  write_safetensors(dir.file("part-c.safetensors"), {small("b")});
  const auto twice = open_safetensors_directory(dir.path());
  ASSERT_FALSE(twice.ok());
  EXPECT_THAT(twice.error().message, HasSubstr("part-b.safetensors and in"));
  EXPECT_THAT(twice.error().message, HasSubstr("part-c.safetensors"));

  write_safetensors(dir.file("model.safetensors"), {small("whole")});
  const auto single = open_safetensors_directory(dir.path());
  ASSERT_TRUE(single.ok());
  EXPECT_EQ(single->entries().size(), 1u);
}

TEST(WeightMap, SeesThatAFileChanged) {
  TemporaryDirectory dir;
  write_safetensors(dir.file("model.safetensors"), {small("a")});
  const auto weights = open_safetensors_directory(dir.path());
  ASSERT_TRUE(weights.ok());
  EXPECT_TRUE(weights->verify_unchanged().ok());
  std::filesystem::resize_file(dir.file("model.safetensors"), 10);
  const auto changed = weights->verify_unchanged();
  ASSERT_FALSE(changed.ok());
  EXPECT_EQ(changed.error().code, ErrorCode::kIo);
  EXPECT_THAT(changed.error().message, HasSubstr("model.safetensors"));
}

TEST(WeightMap, OutlivesWhateverItWasTakenFrom) {
  TemporaryDirectory dir;
  write_safetensors(dir.file("model.safetensors"), {{"a", "U8", {3}, "abc"}});
  auto weights = std::make_unique<WeightMap>(*open_safetensors_directory(dir.path()));
  const WeightMap copy = *weights;
  weights.reset();
  EXPECT_EQ(std::memcmp(copy.tensor("a")->data, "abc", 3), 0);
}

}  // namespace
}  // namespace sluice::checkpoint
