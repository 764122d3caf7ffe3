// Kernels against the limits of this machine, measured in the same run: read bandwidth for products with few rows of x,
// the peak of their unit (float32 multiply-add, VNNI for packed int8 and int4) for products with many. Every figure is
// a median over rounds in which all candidates take turns.
//
// bench_kernels [--threads N] [--rounds N] [--megabytes N] [--kernels NAME] [--only gemv|gemm|packed|bf16|attention]
// [--clock wall|cpu]
//
// --clock cpu counts one thread's own CPU time: for a machine that others use at the same time.

#include <time.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "kernels/cpu/unit_loops.h"
#include "kernels/ops.h"
#include "tensor/packed_matrix.h"
#include "tensor/quantize.h"

namespace sluice::kernels {
namespace {

using Lanes = float __attribute__((vector_size(64), aligned(4)));

float read_plain(const float* data, size_t count) {
  Lanes sum[8] = {};
  for (size_t i = 0; i + 128 <= count; i += 128) {
    for (size_t j = 0; j < 8; ++j) sum[j] += *reinterpret_cast<const Lanes*>(data + i + 16 * j);
  }
  float total = 0;
  for (const Lanes& lanes : sum) total += lanes[0];
  return total;
}

double now(clockid_t clock) {
  timespec time = {};
  clock_gettime(clock, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

double seconds(clockid_t clock, const std::function<void()>& work) {
  const double start = now(clock);
  work();
  return now(clock) - start;
}

const std::string kBandwidth = "read bandwidth";

struct Candidate {
  std::string name;
  double amount;      // bytes or operations of one call
  std::string limit;  // the unit whose rate is 100 %
  std::function<void()> call;
  std::vector<double> rates = {};

  double median() {
    std::sort(rates.begin(), rates.end());
    return rates[rates.size() / 2];
  }
};

struct Options {
  int threads = 0;
  int rounds = 7;
  int64_t megabytes = 128;
  std::string kernels;
  std::string only;
  clockid_t clock = CLOCK_MONOTONIC;
};

constexpr DType kTypes[] = {DType::kF32, DType::kF16, DType::kBF16, DType::kQ8_0, DType::kQ4_0};
constexpr int64_t kNoise = 1 << 16;

volatile float sink = 0;  // keeps the measured loops alive

class Bench {
 public:
  explicit Bench(const Options& options)
      : options_(options), pool_({.threads = options.threads}), ops_(*select_ops(options.kernels).value()) {
    std::printf("kernels %s, %d threads\n", std::string(ops_.name).c_str(), pool_.threads());
    std::mt19937 random(1);
    std::vector<float> noise(kNoise);
    for (float& value : noise) value = std::normal_distribution<float>(0, 0.02f)(random);
    for (const DType dtype : kTypes) {
      Buffer& memory = memory_[static_cast<size_t>(dtype)];
      memory = Buffer(static_cast<size_t>(options.megabytes) << 20);
      const size_t piece = row_bytes(dtype, kNoise);
      for (size_t at = 0; at + piece <= memory.size(); at += piece) {
        if (at == 0) quantize_row(dtype, noise.data(), memory.data(), kNoise);
        if (at > 0) std::memcpy(memory.data() + at, memory.data(), piece);
      }
    }
  }

  void run() {
    add_limits();
    const bool all = options_.only.empty();
    if (all || options_.only == "gemv") add_gemv();
    if (all || options_.only == "gemm") add_gemm();
    if (all || options_.only == "packed") add_packed();
    if (all || options_.only == "bf16") add_bf16();
    if (all || options_.only == "attention") add_attention();
    for (int round = 0; round < options_.rounds; ++round) {
      for (Candidate& candidate : candidates_)
        candidate.rates.push_back(candidate.amount / seconds(options_.clock, candidate.call));
    }
    std::map<std::string, double> limits;
    for (Candidate& candidate : candidates_) {  // the first of each kind is the limit itself
      if (limits[candidate.limit] == 0) limits[candidate.limit] = candidate.median();
    }
    for (Candidate& candidate : candidates_) {
      const double rate = candidate.median();
      const double limit = limits[candidate.limit];
      std::printf("%-44s %8.1f %s  %5.1f %%\n", candidate.name.c_str(), rate / 1e9,
                  candidate.limit == kBandwidth ? "GB/s   " : "GOP/s  ", 100 * rate / limit);
    }
  }

 private:
  void add_limits() {
    constexpr size_t kPiece = size_t{1} << 18;  // floats
    const auto pieces = static_cast<int64_t>(memory(DType::kF32).size() / 4 / kPiece);
    candidates_.push_back({"read bandwidth", static_cast<double>(pieces) * kPiece * 4, kBandwidth, [this, pieces] {
                             pool_.parallel_for(pieces, [this](int64_t piece, int) {
                               const float* data =
                                   memory(DType::kF32).as<float>() + static_cast<size_t>(piece) * kPiece;
                               sink = read_plain(data, kPiece);
                             });
                           }});
    for (const UnitLoop& loop : unit_loops()) {
      constexpr int64_t kPasses = 1'000'000;
      const std::string name(loop.name);
      units_.push_back(name);
      candidates_.push_back({name, loop.operations_per_pass * kPasses * pool_.threads(), name, [this, run = loop.run] {
                               pool_.parallel_for(pool_.threads(),
                                                  [&](int64_t, int) { run(kPasses, memory(DType::kF32).data()); });
                             }});
    }
  }

  // The unit that products with such weights are made of.
  std::string unit_of(const Tensor& tensor) const {
    if (tensor.dtype == DType::kPacked && packed_view(tensor).format.bits < 16) {
      if (std::ranges::count(units_, "int8 vnni") > 0) return "int8 vnni";
      return packed_view(tensor).format.bits == 4 ? "int4 as bytes" : "int8 as words";
    }
    return "fp32 fma";
  }

  Buffer& memory(DType dtype) { return memory_[static_cast<size_t>(dtype)]; }
  Tensor weight(DType dtype, int64_t n, int64_t k) { return {memory(dtype).data(), dtype, {n, k}}; }

  void add_matmul(const std::string& name, const Tensor& tensor, int64_t rows, bool arithmetic) {
    tensors_.push_back(std::make_unique<Tensor>(tensor));
    const Tensor* w = tensors_.back().get();
    const int64_t n = tensor.shape.rows();
    const int64_t k = tensor.shape.columns();
    x_.resize(std::max(x_.size(), static_cast<size_t>(rows * k)), 0.5f);
    out_.resize(std::max(out_.size(), static_cast<size_t>(rows * n)));
    const double amount = arithmetic ? 2.0 * static_cast<double>(rows * n * k) : static_cast<double>(tensor.bytes());
    candidates_.push_back({name, amount, arithmetic ? unit_of(tensor) : kBandwidth, [this, w, rows] {
                             ops_.matmul(pool_, {.x = x_.data(), .rows = rows, .weight = w, .out = out_.data()});
                           }});
  }

  void add_gemv() {
    for (const int64_t k : {1024, 4096}) {
      for (const DType dtype : kTypes) {
        const auto n = static_cast<int64_t>(memory(dtype).size() / row_bytes(dtype, k * 64) * 64);
        for (const int64_t rows : {1, 4, 8}) {
          add_matmul(
              "gemv " + std::string(dtype_name(dtype)) + " k " + std::to_string(k) + " rows " + std::to_string(rows),
              weight(dtype, n, k), rows, false);
        }
      }
    }
  }

  void add_gemm() {
    for (const DType dtype : kTypes) {
      for (const auto& [rows, n, k] : {std::array<int64_t, 3>{16, 3072, 1024},
                                       {32, 3072, 1024},
                                       {32, 4096, 4096},
                                       {128, 3072, 1024},
                                       {512, 3072, 1024},
                                       {512, 1024, 3072},
                                       {256, 2048, 4096}}) {
        add_matmul("gemm " + std::string(dtype_name(dtype)) + " " + std::to_string(rows) + "x" + std::to_string(n) +
                       "x" + std::to_string(k),
                   weight(dtype, n, k), rows, true);
      }
    }
  }

  // A packed [n, k] of one random panel, again and again.
  Tensor packed(const PackedFormat& format, int64_t n, int64_t k) {
    packed_.push_back(Buffer(packed_bytes(format, n, k)));
    Buffer& memory_of = packed_.back();
    const Tensor tensor = pack_header(format, n, k, memory_of.data());
    const PackedView view = packed_view(tensor);
    pack_panels({memory(DType::kF32).data(), DType::kF32, {n, k}}, tensor, 0, 1);
    auto* panels = const_cast<std::byte*>(view.panels);
    for (int64_t p = 1; p < view.panel_count(); ++p)
      std::memcpy(panels + static_cast<size_t>(p) * view.panel_bytes, panels, view.panel_bytes);
    return tensor;
  }

  void add_packed() {
    struct Kind {
      const char* name;
      PackedFormat format;
    };
    for (const Kind& kind : {Kind{"int8 g32", {.bits = 8, .group = 32}}, Kind{"int8 g128", {.bits = 8, .group = 128}},
                             Kind{"int4 g32", {.bits = 4, .group = 32}},
                             Kind{"int4 g32 minima", {.bits = 4, .group = 32, .minima = true}}}) {
      for (const auto& [n, k] : {std::array<int64_t, 2>{32768, 1024}, {32768, 2048}, {8192, 8192}}) {
        const Tensor tensor = packed(kind.format, n, k);
        const std::string shape = " " + std::to_string(n) + "x" + std::to_string(k) + " rows ";
        for (const int64_t rows : {1, 2, 4, 6, 8, 16, 32}) {
          add_matmul(std::string("packed gemv ") + kind.name + shape + std::to_string(rows), tensor, rows, false);
        }
      }
      for (const auto& [rows, n, k] : {std::array<int64_t, 3>{12, 32, 1024},  // in level 1
                                       {48, 32, 1024},
                                       {32, 4096, 4096},
                                       {128, 3072, 1024},
                                       {512, 2048, 2048},
                                       {512, 8192, 2048},
                                       {512, 2048, 8192}}) {
        add_matmul(std::string("packed gemm ") + kind.name + " " + std::to_string(rows) + "x" + std::to_string(n) +
                       "x" + std::to_string(k),
                   packed(kind.format, n, k), rows, true);
      }
    }
  }

  // bf16 from stored rows and packed, in turn.
  void add_bf16() {
    constexpr PackedFormat kFormat = {.bits = 16, .group = 0};
    for (const auto& [n, k] : {std::array<int64_t, 2>{32768, 1024}, {16384, 4096}}) {
      const Tensor tensor = packed(kFormat, n, k);
      for (const int64_t rows : {1, 2, 4, 8, 16}) {
        const std::string shape = std::to_string(n) + "x" + std::to_string(k) + " rows " + std::to_string(rows);
        add_matmul("bf16 gemv stored " + shape, weight(DType::kBF16, n, k), rows, false);
        add_matmul("bf16 gemv packed " + shape, tensor, rows, false);
      }
    }
    for (const auto& [rows, n, k] : {std::array<int64_t, 3>{32, 4096, 4096}, {128, 3072, 1024}, {512, 2048, 2048}}) {
      const std::string shape = std::to_string(rows) + "x" + std::to_string(n) + "x" + std::to_string(k);
      add_matmul("bf16 gemm stored " + shape, weight(DType::kBF16, n, k), rows, true);
      add_matmul("bf16 gemm packed " + shape, packed(kFormat, n, k), rows, true);
    }
  }

  // Decoding one token at depth 4096 (bytes of the cache), and a prefill of 512 tokens (operations, the causal half).
  void add_attention() {
    constexpr int kHeadDim = 128;
    constexpr int kBlockTokens = 16;
    for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16, DType::kQ8_0}) {
      for (const int group : {1, 2, 8}) {
        constexpr int kKvHeads = 8;
        Buffer& cache = memory(dtype);
        const size_t block_bytes = kKvHeads * kBlockTokens * row_bytes(dtype, kHeadDim);
        const int blocks = static_cast<int>(cache.size() / 2 / block_bytes);
        const KvLayer layer = {cache.data(), cache.data() + static_cast<size_t>(blocks) * block_bytes,
                               dtype,        kKvHeads,
                               kHeadDim,     kBlockTokens};
        const std::string what = std::string(dtype_name(dtype)) + " group " + std::to_string(group);
        const int sequences = std::max(1, blocks * kBlockTokens / 4096);
        const int depth = std::min(4096, blocks * kBlockTokens);
        const double bytes = 2.0 * sequences * depth * kKvHeads * static_cast<double>(row_bytes(dtype, kHeadDim));
        add_attention_case("decode attention " + what, layer, group, {sequences, depth - 1, 1}, bytes, false);
        const double operations = 4.0 * kKvHeads * group * kHeadDim * 512.0 * 513.0 / 2;
        add_attention_case("prefill attention " + what, layer, group, {1, 0, 512}, operations, true);
      }
    }
  }

  struct Step {
    int sequences;
    int context;
    int rows;
  };
  void add_attention_case(const std::string& name, const KvLayer& layer, int group, const Step& step, double amount,
                          bool arithmetic) {
    const int heads = layer.kv_heads * group;
    const int64_t width = int64_t{heads} * layer.head_dim;
    const int table = (step.context + step.rows) / layer.block_tokens;
    auto blocks = std::make_shared<std::vector<int32_t>>();
    for (int b = 0; b < table * step.sequences; ++b) blocks->push_back(b);
    auto rows = std::make_shared<std::vector<SequenceRows>>();
    for (int s = 0; s < step.sequences; ++s)
      rows->push_back({s * step.rows, step.rows, step.context, blocks->data() + s * table});
    x_.resize(std::max(x_.size(), static_cast<size_t>(width * step.rows * step.sequences)), 0.5f);
    out_.resize(std::max(out_.size(), x_.size()));
    candidates_.push_back(
        {name, amount, arithmetic ? "fp32 fma" : kBandwidth, [this, blocks, rows, layer, heads, width] {
           ops_.attention(pool_, {.q = x_.data(),
                                  .q_stride = width,
                                  .out = out_.data(),
                                  .heads = heads,
                                  .scale = 0.088f,
                                  .sequences = *rows,
                                  .layer = layer});
         }});
  }

  Options options_;
  ThreadPool pool_;
  const Ops& ops_;
  Buffer memory_[5];  // of every type: copies of one random row, so that no value is strange
  std::vector<std::string> units_;
  std::list<Buffer> packed_;
  std::vector<float> x_;
  std::vector<float> out_;
  std::vector<std::unique_ptr<Tensor>> tensors_;
  std::vector<Candidate> candidates_;
};

}  // namespace
}  // namespace sluice::kernels

int main(int argc, char** argv) {
  sluice::kernels::Options options;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string flag = argv[i];
    if (flag == "--threads") options.threads = std::atoi(argv[i + 1]);
    if (flag == "--rounds") options.rounds = std::max(1, std::atoi(argv[i + 1]));
    if (flag == "--megabytes") options.megabytes = std::max(64, std::atoi(argv[i + 1]));
    if (flag == "--kernels") options.kernels = argv[i + 1];
    if (flag == "--only") options.only = argv[i + 1];
    if (flag == "--clock" && std::string(argv[i + 1]) == "cpu") {
      options.clock = CLOCK_THREAD_CPUTIME_ID;
      options.threads = 1;
    }
  }
  sluice::kernels::Bench(options).run();
}
