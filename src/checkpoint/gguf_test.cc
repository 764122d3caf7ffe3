#include "checkpoint/gguf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "checkpoint/gguf_types.h"
#include "checkpoint/testing.h"

namespace sluice::checkpoint {
namespace {

using test_files::GgufWriter;
using test_files::TemporaryDirectory;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

Result<GgufFile> gguf_of(std::string_view file, const GgufLimits& limits = {}) {
  return read_gguf(WeightFile::from_memory("x.gguf", test_files::as_bytes(file)), limits);
}

template <class T>
std::string number(T value) {
  std::string out;
  test_files::append_number(out, value);
  return out;
}

GgufWriter sample() {
  GgufWriter gguf;
  gguf.string("general.architecture", "llama");
  gguf.u32("llama.block_count", 2);
  gguf.f32("llama.eps", 0.5f);
  gguf.boolean("flag", true);
  gguf.strings("words", {"one", "",
                         "thr\xff"
                         "ee"});
  gguf.i32s("ints", {1, -2, 3});
  gguf.f32s("floats", {1.5f, -2});
  gguf.u64("large", std::numeric_limits<uint64_t>::max());
  gguf.raw("i8", 1, number<int8_t>(-5));
  gguf.raw("u16", 2, number<uint16_t>(65535));
  gguf.raw("i64", 11, number<int64_t>(-5'000'000'000));
  gguf.raw("f64", 12, number(2.25));
  gguf.raw("empty", 9, GgufWriter::array_head(4, 0));
  gguf.raw("flags", 9, GgufWriter::array_head(7, 2) + std::string("\1\0", 2));
  gguf.raw(
      "nested", 9,
      GgufWriter::array_head(9, 2) + GgufWriter::array_head(4, 1) + number<uint32_t>(7) + GgufWriter::array_head(8, 0));
  gguf.tensor({"a", 0, {2, 3}, test_files::bytes_of<float>({1, 2, 3, 4, 5, 6})});
  gguf.tensor({"q", 8, {2, 64}, std::string(4 * 34, 'q')});
  gguf.tensor({"k", 12, {256}, std::string(144, 'k')});
  gguf.tensor({"s", 30, {}, "bf"});
  return gguf;
}

TEST(Gguf, ReadsTensorsInPlaceWithRowMajorShapes) {
  const std::string file = sample().bytes();
  const auto gguf = gguf_of(file);
  ASSERT_TRUE(gguf.ok()) << gguf.error().message;
  EXPECT_EQ(gguf->version, 3u);
  EXPECT_EQ(gguf->alignment, 32u);
  const auto a = gguf->weights.tensor("a");
  ASSERT_TRUE(a.ok()) << a.error().message;
  EXPECT_TRUE((a->shape == Shape{2, 3}));
  float last = 0;
  std::memcpy(&last, a->row(1) + 8, 4);
  EXPECT_EQ(last, 6);
  EXPECT_TRUE(reinterpret_cast<const char*>(a->data) > file.data() &&
              reinterpret_cast<const char*>(a->data) < file.data() + file.size());
  const auto q = gguf->weights.tensor("q");
  ASSERT_TRUE(q.ok());
  EXPECT_EQ(q->dtype, DType::kQ8_0);
  EXPECT_EQ(q->bytes(), 4u * 34);
  EXPECT_EQ(gguf->weights.tensor("s")->dtype, DType::kBF16);
  const WeightEntry* k = gguf->weights.find("k");
  ASSERT_NE(k, nullptr);
  EXPECT_EQ(k->stored_type, "Q4_K");
  EXPECT_EQ(k->bytes, 144u);
}

TEST(Gguf, NamesATypeItCannotComputeWith) {
  GgufWriter writer;
  writer.tensor({"k", 19, {256}, std::string(50, 'k')});
  writer.tensor({"new", 99, {3, 5}, std::string(10, 'n')});
  const auto gguf = gguf_of(writer.bytes());
  ASSERT_TRUE(gguf.ok()) << gguf.error().message;
  for (const auto& [name, expected] : {std::pair{"k", "IQ1_S"}, std::pair{"new", "99"}}) {
    const auto tensor = gguf->weights.tensor(name);
    ASSERT_FALSE(tensor.ok());
    EXPECT_EQ(tensor.error().code, ErrorCode::kUnimplemented);
    EXPECT_THAT(tensor.error().message, HasSubstr(expected));
    EXPECT_THAT(tensor.error().message, HasSubstr("x.gguf"));
  }
}

TEST(GgufMetadata, GivesTypedValuesFallbacksAndErrors) {
  const std::string file = sample().bytes();
  const auto gguf = gguf_of(file);
  ASSERT_TRUE(gguf.ok());
  const GgufMetadata& metadata = gguf->metadata;
  EXPECT_EQ(*metadata.string("general.architecture"), "llama");
  EXPECT_EQ(*metadata.string("absent", "other"), "other");
  EXPECT_EQ(*metadata.integer("llama.block_count"), 2);
  EXPECT_EQ(*metadata.integer("i8"), -5);
  EXPECT_EQ(*metadata.integer("u16"), 65535);
  EXPECT_EQ(*metadata.integer("i64"), -5'000'000'000);
  EXPECT_EQ(*metadata.integer("absent", 9), 9);
  EXPECT_EQ(*metadata.number("llama.eps"), 0.5);
  EXPECT_EQ(*metadata.number("f64", 1), 2.25);
  EXPECT_EQ(*metadata.number("i8"), -5);
  EXPECT_EQ(*metadata.number("absent", 1.5), 1.5);
  EXPECT_TRUE(*metadata.boolean("flag", false));
  EXPECT_TRUE(*metadata.boolean("absent", true));
  EXPECT_THAT(*metadata.strings("words"), ElementsAre("one", "",
                                                      "thr\xff"
                                                      "ee"));
  EXPECT_THAT(*metadata.strings("general.architecture"), ElementsAre("llama"));
  EXPECT_THAT(*metadata.strings("absent"), IsEmpty());
  EXPECT_THAT(*metadata.strings("empty"), IsEmpty());
  EXPECT_THAT(*metadata.integers("ints"), ElementsAre(1, -2, 3));
  EXPECT_THAT(*metadata.integers("llama.block_count"), ElementsAre(2));
  EXPECT_THAT(*metadata.integers("absent"), IsEmpty());
  EXPECT_THAT(*metadata.numbers("floats"), ElementsAre(1.5f, -2.0f));
  EXPECT_THAT(*metadata.numbers("ints"), ElementsAre(1.0f, -2.0f, 3.0f));
  EXPECT_EQ(metadata.keys().size(), 15u);

  EXPECT_EQ(metadata.integer("absent").error().code, ErrorCode::kNotFound);
  EXPECT_THAT(metadata.integer("absent").error().message, HasSubstr("x.gguf: metadata 'absent' is missing"));
  EXPECT_EQ(metadata.integer("llama.eps", 3).error().code, ErrorCode::kCorruptData);
  EXPECT_THAT(metadata.integer("large").error().message, HasSubstr("must be an integer"));
  EXPECT_THAT(metadata.string("ints").error().message, HasSubstr("but is an array of 3 i32"));
  EXPECT_THAT(metadata.strings("ints").error().message, HasSubstr("must be an array of strings"));
  EXPECT_FALSE(metadata.integers("words").ok());
  EXPECT_FALSE(metadata.integers("floats").ok());
  EXPECT_FALSE(metadata.numbers("general.architecture").ok());
  EXPECT_FALSE(metadata.numbers("nested").ok());
  EXPECT_FALSE(metadata.boolean("i8", false).ok());
}

TEST(GgufMetadata, PrintsAsJson) {
  const std::string file = sample().bytes();
  const Json json = gguf_of(file)->metadata.to_json(2);
  EXPECT_EQ(json["general.architecture"], "llama");
  EXPECT_EQ(json["large"], std::numeric_limits<uint64_t>::max());
  EXPECT_EQ(json["flags"], Json::parse("[true,false]"));
  EXPECT_EQ(json["floats"], Json::parse("[1.5,-2.0]"));
  EXPECT_EQ(json["words"], Json::parse(R"({"type":"string","count":3})"));
  EXPECT_EQ(json["nested"]["type"], "array");
  EXPECT_EQ(gguf_of(file)->metadata.to_json()["words"][2],
            "thr\xEF\xBF\xBD"
            "ee");
}

TEST(GgufMetadata, KeepsTheMappingAlive) {
  TemporaryDirectory dir;
  sample().write(dir.file("m.gguf"));
  const GgufMetadata metadata = open_gguf(dir.file("m.gguf"))->metadata;
  EXPECT_EQ(*metadata.string("general.architecture"), "llama");
  EXPECT_EQ(GgufMetadata().find("x"), nullptr);
  EXPECT_EQ(GgufMetadata().path(), "");
}

TEST(Gguf, ReadsVersion2AndOtherAlignments) {
  for (const uint32_t alignment : {1u, 8u, 64u, 4096u}) {
    GgufWriter aligned;
    aligned.version = 2;
    aligned.alignment = alignment;
    aligned.u32("general.alignment", alignment);
    aligned.tensor({"a", 24, {3}, "abc"});
    aligned.tensor({"b", 24, {2}, "de"});
    const std::string file = aligned.bytes();
    const auto gguf = gguf_of(file);
    ASSERT_TRUE(gguf.ok()) << gguf.error().message;
    EXPECT_EQ(gguf->version, 2u);
    EXPECT_EQ(gguf->alignment, alignment);
    EXPECT_EQ(std::memcmp(gguf->weights.tensor("b")->data, "de", 2), 0);
  }
}

std::string gguf_error(std::string_view file) {
  const auto gguf = gguf_of(file);
  return gguf.ok() ? "no error" : gguf.error().message;
}

TEST(Gguf, SaysWhatIsWrongWithTheHead) {
  EXPECT_THAT(gguf_error(""), HasSubstr("cut short"));
  EXPECT_THAT(gguf_error("PK\3\4aaaaaaaaaaaaaaaaaaaaa"), HasSubstr("does not begin with"));
  EXPECT_THAT(gguf_error("tjgg\3\0\0\0"), HasSubstr("before GGUF"));
  EXPECT_THAT(gguf_error(std::string("GGUF\1\0\0\0", 8) + std::string(16, '\0')), HasSubstr("version 1"));
  EXPECT_THAT(gguf_error(std::string("GGUF\4\0\0\0", 8) + std::string(16, '\0')), HasSubstr("version 4"));
  EXPECT_THAT(gguf_error(std::string("GGUF\0\0\0\3", 8) + std::string(16, '\0')), HasSubstr("big-endian"));
  EXPECT_EQ(gguf_error(std::string("GGUF\3\0\0\0", 8) + std::string(16, '\0')), "no error");
  const std::string huge(8, '\xff');
  EXPECT_THAT(gguf_error(std::string("GGUF\3\0\0\0", 8) + huge + std::string(8, '\0')), HasSubstr("tensors"));
  EXPECT_THAT(gguf_error(std::string("GGUF\3\0\0\0", 8) + std::string(8, '\0') + huge), HasSubstr("metadata keys"));
  EXPECT_THAT(gguf_error(std::string("GGUF\3\0\0\0", 8) + std::string(8, '\0') + number<uint64_t>(60'000)),
              HasSubstr("more than fit"));
}

TEST(Gguf, RefusesHostileMetadata) {
  const std::string many = number(std::numeric_limits<uint64_t>::max());
  struct Case {
    const char* title;
    uint32_t type;
    std::string bytes;
    const char* expected;
  };
  std::string deep;
  for (int i = 0; i < 5; ++i) deep += GgufWriter::array_head(9, 1);
  const Case cases[] = {
      {"unknown type", 13, "", "unknown type 13"},
      {"string past the end", 8, many, "more than the file has left"},
      {"string a little past the end", 8, number<uint64_t>(100) + std::string(50, 'x'), "more than the file has left"},
      {"array of an unknown type", 9, GgufWriter::array_head(77, 1), "unknown type 77"},
      {"endless array", 9, number<uint32_t>(0) + many, "more than the file has left"},
      {"array whose bytes overflow", 9, GgufWriter::array_head(10, uint64_t{1} << 61), "more than the file has left"},
      {"endless array of strings", 9, number<uint32_t>(8) + many, "more than the file has left"},
      {"array of strings past the end", 9, GgufWriter::array_head(8, 1) + many, "more than the file has left"},
      {"endless array of arrays", 9, number<uint32_t>(9) + many, "more than the file has left"},
      {"arrays nested too deep", 9, deep + GgufWriter::array_head(0, 0), "nested deeper"},
  };
  for (const Case& each : cases) {
    GgufWriter writer;
    writer.raw("key", each.type, each.bytes);
    EXPECT_THAT(gguf_error(writer.bytes()), HasSubstr(each.expected)) << each.title;
  }
  GgufWriter twice;
  twice.u32("key", 1);
  twice.u32("key", 1);
  EXPECT_THAT(gguf_error(twice.bytes()), HasSubstr("'key' is there twice"));
  GgufWriter empty;
  empty.u32("", 1);
  EXPECT_THAT(gguf_error(empty.bytes()), HasSubstr("empty"));
  GgufWriter long_key;
  long_key.u32(std::string(65'536, 'k'), 1);
  EXPECT_THAT(gguf_error(long_key.bytes()), HasSubstr("limit"));
  for (const uint32_t alignment : {0u, 3u, 48u, 1u << 21, 0xFFFFFFFFu}) {
    GgufWriter writer;
    writer.u32("general.alignment", alignment);
    EXPECT_THAT(gguf_error(writer.bytes()), HasSubstr("power of two")) << alignment;
  }
  GgufWriter wrong_type;
  wrong_type.u64("general.alignment", 32);
  EXPECT_THAT(gguf_error(wrong_type.bytes()), HasSubstr("must be a u32"));
}

TEST(Gguf, RefusesHostileTensors) {
  const int64_t huge = int64_t{1} << 62;
  struct Case {
    const char* title;
    test_files::GgufTensor tensor;
    uint64_t offset;
    const char* expected;
  };
  const Case cases[] = {
      {"five dimensions", {"t", 0, {1, 1, 1, 1, 1}, ""}, 0, "5 dimensions"},
      {"negative size", {"t", 0, {-1}, ""}, 0, "too large"},
      {"overflowing shape", {"t", 0, {huge, huge}, ""}, 0, "too large"},
      {"overflow hidden by a zero", {"t", 0, {0, huge, huge}, ""}, 0, "too large"},
      {"overflowing bytes", {"t", 0, {huge}, ""}, 0, "too large"},
      {"overflow of an unknown type", {"t", 99, {huge, huge}, ""}, 0, "too large"},
      {"part of a block", {"t", 8, {33}, ""}, 0, "whole blocks of 32"},
      {"unaligned", {"t", 24, {1}, ""}, 8, "not aligned"},
      {"past the end", {"t", 24, {65}, ""}, 0, "past the end"},
      {"offset past the end", {"t", 24, {1}, ""}, 96, "past the end"},
      {"offset at the end of time", {"t", 24, {64}, ""}, ~uint64_t{31}, "past the end"},
      {"shares bytes with another", {"t", 24, {8}, ""}, 32, "share"},
      {"name twice", {"first", 24, {0}, ""}, 0, "there twice"},
  };
  for (const Case& each : cases) {
    GgufWriter writer;
    writer.tensor({"first", 24, {64}, std::string(64, 'x')});
    writer.tensor_at(each.tensor, each.offset);
    EXPECT_THAT(gguf_error(writer.bytes()), HasSubstr(each.expected)) << each.title;
  }
}

TEST(Gguf, RefusesAFileCutAnywhere) {
  const std::string whole = sample().bytes();
  for (size_t length = 0; length < whole.size(); ++length) {
    const std::string cut(whole.data(), length);
    EXPECT_FALSE(gguf_of(cut).ok()) << length;
  }
}

TEST(Gguf, SurvivesEveryByteBeingChanged) {
  const std::string whole = sample().bytes();
  for (size_t i = 0; i < whole.size(); ++i) {
    for (const char value : {'\0', '\1', '\x7f', '\xff'}) {
      std::string changed = whole;
      changed[i] = value;
      if (const auto gguf = gguf_of(changed); gguf.ok()) {
        for (const WeightEntry& entry : gguf->weights.entries()) (void)gguf->weights.tensor(entry.name);
        (void)gguf->metadata.to_json();
      }
    }
  }
}

TEST(Gguf, KeepsItsLimits) {
  const std::string file = sample().bytes();
  EXPECT_TRUE(gguf_of(file, {.keys_max = 15, .tensors_max = 4, .array_depth_max = 2}).ok());
  EXPECT_FALSE(gguf_of(file, {.keys_max = 14}).ok());
  EXPECT_FALSE(gguf_of(file, {.tensors_max = 3}).ok());
  EXPECT_FALSE(gguf_of(file, {.array_depth_max = 1}).ok());
  EXPECT_FALSE(gguf_of(file, {.name_bytes_max = 5}).ok());
}

TEST(GgufTypes, HaveTheSizesOfTheTypesWeComputeWith) {
  for (uint32_t id = 0; id < 64; ++id) {
    const GgmlType* type = find_ggml_type(id);
    if (type == nullptr || !type->dtype) continue;
    const DTypeTraits traits = dtype_traits(*type->dtype);
    EXPECT_EQ(to_lower_ascii(type->name), traits.name);
    EXPECT_EQ(static_cast<int>(type->block_elements), traits.block_elements) << type->name;
    EXPECT_EQ(static_cast<int>(type->block_bytes), traits.block_bytes) << type->name;
  }
}

// ---- split files

TEST(GgufSplit, KnowsTheNames) {
  const auto name = parse_split_name("/a/b-00002-of-00005.gguf");
  ASSERT_TRUE(name.has_value());
  EXPECT_EQ(name->stem, "/a/b");
  EXPECT_EQ(name->index, 1);
  EXPECT_EQ(name->count, 5);
  EXPECT_EQ(split_path(*name, 4), "/a/b-00005-of-00005.gguf");
  for (const char* other :
       {"b.gguf", "b-00000-of-00005.gguf", "b-00006-of-00005.gguf", "b-0001-of-00005.gguf", "-00001-of-00005.gguf",
        "b-00001-of-00005.ggu", "b-0000x-of-00005.gguf", "b_00001-of-00005.gguf"}) {
    EXPECT_FALSE(parse_split_name(other).has_value()) << other;
  }
}

void write_part(const std::string& path, int number, int count, const std::string& tensor) {
  GgufWriter writer;
  if (number == 0) writer.string("general.architecture", "llama");
  writer.raw("split.no", 2, test_files::bytes_of<uint16_t>({static_cast<uint16_t>(number)}));
  writer.raw("split.count", 2, test_files::bytes_of<uint16_t>({static_cast<uint16_t>(count)}));
  writer.i32("split.tensors.count", 2);
  if (!tensor.empty()) writer.tensor({tensor, 24, {3}, "abc"});
  writer.write(path);
}

TEST(GgufSplit, JoinsAllPartsFromAnyOfThem) {
  TemporaryDirectory dir;
  write_part(dir.file("m-00001-of-00003.gguf"), 0, 3, "");
  write_part(dir.file("m-00002-of-00003.gguf"), 1, 3, "a");
  EXPECT_THAT(open_gguf(dir.file("m-00001-of-00003.gguf")).error().message,
              HasSubstr("m-00003-of-00003.gguf is missing"));
  write_part(dir.file("m-00003-of-00003.gguf"), 2, 3, "b");
  for (const char* part : {"m-00001-of-00003.gguf", "m-00003-of-00003.gguf"}) {
    const auto gguf = open_gguf(dir.file(part));
    ASSERT_TRUE(gguf.ok()) << gguf.error().message;
    EXPECT_EQ(*gguf->metadata.string("general.architecture"), "llama");
    EXPECT_EQ(gguf->weights.entries().size(), 2u);
    EXPECT_TRUE(gguf->weights.tensor("b").ok());
  }
  const auto error_after_rewriting = [&](int number, int count, const std::string& tensor) {
    write_part(dir.file("m-00003-of-00003.gguf"), number, count, tensor);
    return open_gguf(dir.file("m-00001-of-00003.gguf")).error().message;
  };
  EXPECT_THAT(error_after_rewriting(1, 3, "b"), HasSubstr("says it is part 2 of 3"));
  EXPECT_THAT(error_after_rewriting(2, 4, "b"), HasSubstr("part 3 of 4"));
  EXPECT_THAT(error_after_rewriting(2, 3, "a"), HasSubstr("'a' is there twice"));
  EXPECT_THAT(error_after_rewriting(2, 3, ""), HasSubstr("should have 2 tensors"));
}

}  // namespace
}  // namespace sluice::checkpoint
