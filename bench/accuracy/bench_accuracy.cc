// What a weight type and the coding of activations cost in accuracy, against float32 of the same file: Kullback-Leibler
// divergence of the next-token distributions, how often the likeliest token is the same, and the relative error of the
// logits. The text is the model's own: tokens sampled from the float32 model at temperature 1.
//
// bench_accuracy MODEL [--sequences N] [--tokens N]

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <string>

#include "base/random.h"
#include "model/model_loader.h"

namespace sluice::model {
namespace {

constexpr int kBlockTokens = 16;

struct Kind {
  const char* name;
  WeightOptions options;
};

class Accuracy {
 public:
  Accuracy(const std::string& path, int sequences, int tokens)
      : files_(std::make_shared<const checkpoint::ModelFiles>(checkpoint::open_model(path).value())),
        description_(describe_model(*files_).value()),
        sequences_(sequences),
        tokens_(tokens) {}

  void run() {
    reference_ = load({.dtype = DType::kF32, .activations = Activations::kF32});
    for (int s = 0; s < sequences_; ++s) write_text(static_cast<uint64_t>(s));
    reference_.reset();
    std::printf("%s: %d tokens\n%-34s %12s %12s %9s %12s\n", files_->name.c_str(), sequences_ * tokens_, "weights",
                "mean KL", "largest KL", "same top", "logit error");
    const Kind kinds[] = {
        {"as stored, f32 activations", {.activations = Activations::kF32}},
        {"as stored, int8 activations", {.activations = Activations::kInt8}},
        {"bf16, f32 activations", {.dtype = DType::kBF16, .activations = Activations::kF32}},
        {"bf16, bf16 activations", {.dtype = DType::kBF16, .activations = Activations::kBF16}},
        {"int8, f32 activations", {.quantization = WeightQuantization::kInt8, .activations = Activations::kF32}},
        {"int8, int8 activations", {.quantization = WeightQuantization::kInt8, .activations = Activations::kInt8}},
        {"int4, f32 activations", {.quantization = WeightQuantization::kInt4, .activations = Activations::kF32}},
        {"int4, int8 activations", {.quantization = WeightQuantization::kInt4, .activations = Activations::kInt8}},
    };
    for (const Kind& kind : kinds) compare(kind);
  }

 private:
  std::unique_ptr<Decoder> load(const WeightOptions& options) {
    auto decoder = load_decoder(files_, description_, {.weights = options, .kv_dtype = DType::kF32},
                                *kernels::available_ops().back(), pool_);
    if (!decoder.ok()) {
      std::fprintf(stderr, "%s\n", decoder.error().message.c_str());
      std::exit(1);
    }
    const auto reserved = (*decoder)->reserve(tokens_ / kBlockTokens + 2, tokens_, tokens_);
    if (!reserved.ok()) std::exit(1);
    return std::move(*decoder);
  }

  // Logits of new tokens after `context` of the same sequence.
  std::vector<float> logits(Decoder& decoder, std::span<const TokenId> tokens, int context) {
    std::vector<int32_t> positions(tokens.size()), rows(tokens.size()), blocks;
    std::iota(positions.begin(), positions.end(), context);
    std::iota(rows.begin(), rows.end(), 0);
    for (int b = 0; b < tokens_ / kBlockTokens + 2; ++b) blocks.push_back(b);
    const SequenceRows sequence{
        .first_row = 0, .rows = static_cast<int>(tokens.size()), .context = context, .blocks = blocks.data()};
    const auto output =
        decoder.run({.tokens = tokens, .positions = positions, .sequences = {&sequence, 1}, .logits_rows = rows});
    if (!output.ok()) std::exit(1);
    return {output->logits.begin(), output->logits.end()};
  }

  static std::vector<double> log_softmax(const float* logits, size_t count) {
    const double most = *std::max_element(logits, logits + count);
    double total = 0;
    for (size_t i = 0; i < count; ++i) total += std::exp(logits[i] - most);
    std::vector<double> out(count);
    for (size_t i = 0; i < count; ++i) out[i] = logits[i] - most - std::log(total);
    return out;
  }

  void write_text(uint64_t seed) {
    const auto vocab = static_cast<size_t>(description_.spec.vocab_size);
    std::vector<TokenId> text = {1};
    std::vector<float> all;
    for (int t = 0; t < tokens_; ++t) {
      const std::vector<float> row = logits(*reference_, {&text.back(), 1}, t);
      const std::vector<double> chances = log_softmax(row.data(), vocab);
      double left = philox_uniform(seed, static_cast<uint64_t>(t));
      size_t token = 0;
      while (token + 1 < vocab && (left -= std::exp(chances[token])) > 0) ++token;
      all.insert(all.end(), row.begin(), row.end());
      text.push_back(static_cast<TokenId>(token));
    }
    text.pop_back();
    texts_.push_back(std::move(text));
    expected_.push_back(std::move(all));
  }

  void compare(const Kind& kind) {
    const auto decoder = load(kind.options);
    const auto vocab = static_cast<size_t>(description_.spec.vocab_size);
    double sum = 0, largest = 0, squares = 0, differences = 0;
    int same = 0;
    for (size_t s = 0; s < texts_.size(); ++s) {
      const std::vector<float> actual = logits(*decoder, texts_[s], 0);
      for (size_t t = 0; t < texts_[s].size(); ++t) {
        const float* want = expected_[s].data() + t * vocab;
        const float* have = actual.data() + t * vocab;
        const std::vector<double> p = log_softmax(want, vocab), q = log_softmax(have, vocab);
        double divergence = 0;
        for (size_t i = 0; i < vocab; ++i) {
          divergence += std::exp(p[i]) * (p[i] - q[i]);
          squares += double{want[i]} * want[i];
          differences += (double{want[i]} - have[i]) * (double{want[i]} - have[i]);
        }
        sum += divergence;
        largest = std::max(largest, divergence);
        same += std::max_element(want, want + vocab) - want == std::max_element(have, have + vocab) - have;
      }
    }
    const double count = sequences_ * tokens_;
    std::printf("%-34s %12.6f %12.6f %7.2f %% %12.5f\n", kind.name, sum / count, largest, 100 * same / count,
                std::sqrt(differences / squares));
    std::fflush(stdout);
  }

  std::shared_ptr<const checkpoint::ModelFiles> files_;
  ModelDescription description_;
  int sequences_, tokens_;
  ThreadPool pool_;
  std::unique_ptr<Decoder> reference_;
  std::vector<std::vector<TokenId>> texts_;
  std::vector<std::vector<float>> expected_;
};

}  // namespace
}  // namespace sluice::model

int main(int argc, char** argv) {
  int sequences = 8, tokens = 128;
  for (int i = 2; i + 1 < argc; i += 2) {
    if (std::string(argv[i]) == "--sequences") sequences = std::max(1, std::atoi(argv[i + 1]));
    if (std::string(argv[i]) == "--tokens") tokens = std::max(1, std::atoi(argv[i + 1]));
  }
  if (argc < 2) return 2;
  sluice::model::Accuracy(argv[1], sequences, tokens).run();
}
