#include <algorithm>
#include <numeric>

#include "kernels/kernel_testing.h"

namespace sluice::kernels {
namespace {

struct AttentionCase {
  DType dtype = DType::kF32;
  int heads = 4;
  int kv_heads = 2;
  int head_dim = 64;
  int block_tokens = 16;
  int window = 0;
  float softcap = 0;
};

std::string describe(const AttentionCase& c) {
  return std::string(dtype_name(c.dtype)) + " heads " + std::to_string(c.heads) + "/" + std::to_string(c.kv_heads) +
         " dim " + std::to_string(c.head_dim) + " block " + std::to_string(c.block_tokens) + " window " +
         std::to_string(c.window) + " softcap " + std::to_string(c.softcap);
}

// One sequence's rows, whole: q, k, v of every token.
struct Sequence {
  Sequence(const AttentionCase& c, int tokens_in, Random& random)
      : tokens(tokens_in),
        q(random.normals(int64_t{tokens} * c.heads * c.head_dim)),
        k(random.normals(int64_t{tokens} * c.kv_heads * c.head_dim)),
        v(random.normals(int64_t{tokens} * c.kv_heads * c.head_dim)) {}
  int tokens;
  std::vector<float> q;
  std::vector<float> k;
  std::vector<float> v;
};

// A cache whose blocks are handed out in random order and start as NaN (all bits set), which no kernel may read.
class Cache {
 public:
  Cache(const AttentionCase& c, int blocks, Random& random) : free_(static_cast<size_t>(blocks)) {
    const size_t bytes =
        static_cast<size_t>(blocks) * static_cast<size_t>(c.kv_heads * c.block_tokens) * row_bytes(c.dtype, c.head_dim);
    k_.assign(bytes, std::byte{0xFF});
    v_.assign(bytes, std::byte{0xFF});
    std::iota(free_.begin(), free_.end(), 0);
    for (size_t i = free_.size(); i > 1; --i)
      std::swap(free_[i - 1], free_[static_cast<size_t>(random.below(static_cast<int>(i)))]);
    layer_ = {k_.data(), v_.data(), c.dtype, c.kv_heads, c.head_dim, c.block_tokens};
  }
  std::vector<int32_t> take(int tokens) {
    std::vector<int32_t> blocks;
    for (int t = 0; t < tokens; t += layer_.block_tokens) {
      blocks.push_back(free_.back());
      free_.pop_back();
    }
    return blocks;
  }
  const KvLayer& layer() const { return layer_; }

 private:
  std::vector<std::byte> k_;
  std::vector<std::byte> v_;
  std::vector<int32_t> free_;
  KvLayer layer_;
};

struct Part {
  const Sequence* sequence;
  int context;
  int rows;
  const int32_t* blocks;
};

// Writes and attends one step of several sequences' parts; the rows of the parts one after another.
std::vector<float> attend(const Ops& ops, ThreadPool& pool, const AttentionCase& c, const KvLayer& layer,
                          const std::vector<Part>& parts) {
  const int64_t q_width = int64_t{c.heads} * c.head_dim;
  const int64_t kv_width = int64_t{c.kv_heads} * c.head_dim;
  std::vector<float> q;
  std::vector<float> k;
  std::vector<float> v;
  std::vector<SequenceRows> sequences;
  int rows = 0;
  const auto append = [](std::vector<float>& to, const std::vector<float>& from, int64_t begin, int64_t end) {
    to.insert(to.end(), from.begin() + begin, from.begin() + end);
  };
  for (const Part& part : parts) {
    sequences.push_back({rows, part.rows, part.context, part.blocks});
    append(q, part.sequence->q, part.context * q_width, (part.context + part.rows) * q_width);
    append(k, part.sequence->k, part.context * kv_width, (part.context + part.rows) * kv_width);
    append(v, part.sequence->v, part.context * kv_width, (part.context + part.rows) * kv_width);
    rows += part.rows;
  }
  ops.kv_write(pool, {.k = k.data(), .v = v.data(), .stride = kv_width, .sequences = sequences, .layer = layer});
  Output out(rows * q_width);
  ops.attention(pool, {.q = q.data(),
                       .q_stride = q_width,
                       .out = out.data(),
                       .heads = c.heads,
                       .scale = 1.0f / std::sqrt(static_cast<float>(c.head_dim)),
                       .softcap = c.softcap,
                       .window = c.window,
                       .sequences = sequences,
                       .layer = layer});
  return out.take();
}

std::vector<float> attend_whole(const Ops& ops, ThreadPool& pool, const AttentionCase& c, const Sequence& sequence,
                                Random& random) {
  Cache cache(c, sequence.tokens / c.block_tokens + 3, random);
  const std::vector<int32_t> blocks = cache.take(sequence.tokens);
  return attend(ops, pool, c, cache.layer(), {{&sequence, 0, sequence.tokens, blocks.data()}});
}

std::vector<AttentionCase> cases() {
  return {
      {},
      {.heads = 8, .kv_heads = 4, .head_dim = 8},
      {.heads = 3, .kv_heads = 1, .head_dim = 20, .block_tokens = 7},
      {.dtype = DType::kF16, .heads = 5, .kv_heads = 5, .head_dim = 80},
      {.dtype = DType::kBF16, .heads = 6, .kv_heads = 2, .head_dim = 96, .block_tokens = 32},
      {.dtype = DType::kQ8_0, .heads = 4, .kv_heads = 1, .head_dim = 128},
      {.dtype = DType::kF16, .heads = 2, .kv_heads = 1, .head_dim = 256, .block_tokens = 64},
      {.heads = 64, .kv_heads = 1, .head_dim = 16},
      {.window = 5},
      {.dtype = DType::kBF16, .window = 70, .softcap = 2.5f},
      {.dtype = DType::kQ8_0, .head_dim = 32, .block_tokens = 128, .window = 1},
      {.softcap = 20.0f},
  };
}

class AttentionTest : public OpsTest {};

TEST_P(AttentionTest, AgreesWithTheReference) {
  Random random(1);
  for (const AttentionCase& c : cases()) {
    for (const int tokens : {1, 2, 17, 63, 65, 150}) {
      const Sequence sequence(c, tokens, random);
      const std::vector<float> expected = attend_whole(reference(), pool_, c, sequence, random);
      const std::vector<float> actual = attend_whole(ops(), pool_, c, sequence, random);
      EXPECT_LE(relative_error(actual, expected), 1e-5) << describe(c) << " tokens " << tokens;
    }
  }
}

TEST_P(AttentionTest, AgreesOverSeveralSegments) {
  Random random(2);
  const AttentionCase c = {.dtype = DType::kBF16, .heads = 2, .kv_heads = 1, .head_dim = 32};
  for (const int window : {0, 700}) {
    AttentionCase windowed = c;
    windowed.window = window;
    const Sequence sequence(windowed, 1400, random);
    const std::vector<float> expected = attend_whole(reference(), pool_, windowed, sequence, random);
    EXPECT_LE(relative_error(attend_whole(ops(), pool_, windowed, sequence, random), expected), 1e-5);
  }
}

// The last row of a long sequence, computed within a whole prefill, in chunks, and alone with one and more threads
// (which may cut it into segments), in other blocks each time, has the same bits.
TEST_P(AttentionTest, ChunksThreadsAndBlocksDoNotChangeARow) {
  Random random(3);
  std::vector<AttentionCase> all = cases();
  all.push_back({.dtype = DType::kF16, .heads = 2, .kv_heads = 1, .head_dim = 16, .window = 600});
  for (const AttentionCase& c : all) {
    const bool small = c.heads * c.head_dim <= 64;
    const Sequence sequence(c, small ? 1300 : 200, random);
    const std::vector<float> whole = attend_whole(ops(), pool_, c, sequence, random);
    const int64_t width = int64_t{c.heads} * c.head_dim;
    for (const int threads : {1, 3}) {
      ThreadPool pool({.threads = threads});
      Cache cache(c, sequence.tokens / c.block_tokens + 10, random);
      const std::vector<int32_t> blocks = cache.take(sequence.tokens);
      int done = 0;
      while (done < sequence.tokens) {
        const int left = sequence.tokens - done;
        const int rows = left <= 3 ? 1 : std::min(left - 3, 1 + random.below(small ? 400 : 90));
        const std::vector<float> chunk =
            attend(ops(), pool, c, cache.layer(), {{&sequence, done, rows, blocks.data()}});
        const auto expected = std::span(whole).subspan(static_cast<size_t>(done * width), chunk.size());
        EXPECT_TRUE(same_bits(chunk, expected))
            << describe(c) << " rows " << done << " + " << rows << " threads " << threads;
        done += rows;
      }
    }
  }
}

// Prefills and decodes of several sequences in one step give each what it gets alone.
TEST_P(AttentionTest, AMixedBatchChangesNothing) {
  Random random(4);
  for (const AttentionCase& c : cases()) {
    const int lengths[] = {40, 1, 101, 64, 23};
    std::vector<Sequence> sequences;
    for (const int length : lengths) sequences.emplace_back(c, length, random);
    Cache cache(c, 300 / c.block_tokens + 20, random);
    std::vector<std::vector<int32_t>> tables;
    std::vector<Part> first;
    std::vector<Part>
        second;  // all but the last row in one step, then the last rows of all together with a new prefill
    for (const Sequence& sequence : sequences) {
      tables.push_back(cache.take(sequence.tokens));
      const bool late = sequence.tokens == 101;
      if (!late && sequence.tokens > 1) first.push_back({&sequence, 0, sequence.tokens - 1, tables.back().data()});
      second.push_back({&sequence, late ? 0 : sequence.tokens - 1, late ? sequence.tokens : 1, tables.back().data()});
    }
    attend(ops(), pool_, c, cache.layer(), first);
    const std::vector<float> mixed = attend(ops(), pool_, c, cache.layer(), second);
    size_t at = 0;
    for (const Part& part : second) {
      const std::vector<float> whole = attend_whole(ops(), pool_, c, *part.sequence, random);
      const size_t count = static_cast<size_t>(part.rows * c.heads * c.head_dim);
      EXPECT_TRUE(same_bits(std::span(mixed).subspan(at, count), std::span(whole).last(count))) << describe(c);
      at += count;
    }
  }
}

// A sliding window's blocks that lie behind it may be given to others: their table entries are never used.
TEST_P(AttentionTest, TokensBehindTheWindowAreNotRead) {
  Random random(5);
  const AttentionCase c = {.window = 30};
  const Sequence sequence(c, 120, random);
  Cache cache(c, 12, random);
  std::vector<int32_t> blocks = cache.take(sequence.tokens);
  attend(ops(), pool_, c, cache.layer(), {{&sequence, 0, 110, blocks.data()}});
  const std::vector<float> expected = attend(ops(), pool_, c, cache.layer(), {{&sequence, 110, 10, blocks.data()}});
  for (int b = 0; b < (110 + 1 - 30) / c.block_tokens; ++b) blocks[static_cast<size_t>(b)] = -1'000'000;
  const std::vector<float> actual = attend(ops(), pool_, c, cache.layer(), {{&sequence, 110, 10, blocks.data()}});
  EXPECT_TRUE(same_bits(actual, expected));
}

TEST_P(AttentionTest, LargeScoresDoNotOverflow) {
  Random random(6);
  AttentionCase c;
  Sequence sequence(c, 80, random);
  for (float& q : sequence.q) q *= 1000.0f;
  const std::vector<float> expected = attend_whole(reference(), pool_, c, sequence, random);
  EXPECT_LE(relative_error(attend_whole(ops(), pool_, c, sequence, random), expected), 2e-3);
}

TEST_P(AttentionTest, CacheBytesAreTheReferences) {
  Random random(7);
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16, DType::kQ8_0}) {
    for (const int head_dim : {32, 96, dtype == DType::kQ8_0 ? 64 : 20}) {
      std::vector<float> rows = random.normals(int64_t{9} * head_dim);
      for (size_t i = 0; i < rows.size(); i += 3) rows[i] = std::ldexp(rows[i], random.below(50) - 35);
      std::fill(rows.begin(), rows.begin() + 32, 0.0f);
      const size_t bytes = 8 * row_bytes(dtype, head_dim);
      std::vector<std::byte> caches[2][2];
      const int32_t blocks[] = {1, 0};
      const SequenceRows sequence = {0, 3, 4, blocks};  // tokens 4, 5, 6: in table entry 1, which is block 0
      int which = 0;
      for (const Ops* table : {&reference(), &ops()}) {
        std::vector<std::byte>& k = caches[which][0] = std::vector<std::byte>(2 * bytes, std::byte{7});
        std::vector<std::byte>& v = caches[which][1] = std::vector<std::byte>(2 * bytes, std::byte{9});
        const KvLayer layer = {k.data(), v.data(), dtype, 2, head_dim, 4};
        table->kv_write(pool_, {.k = rows.data(),
                                .v = rows.data() + head_dim,
                                .stride = 2 * head_dim,
                                .sequences = {&sequence, 1},
                                .layer = layer});
        ++which;
      }
      EXPECT_EQ(caches[0][0], caches[1][0]) << dtype_name(dtype) << " " << head_dim;
      EXPECT_EQ(caches[0][1], caches[1][1]) << dtype_name(dtype) << " " << head_dim;
    }
  }
}

SLUICE_FOR_ALL_TABLES(AttentionTest);

}  // namespace
}  // namespace sluice::kernels
