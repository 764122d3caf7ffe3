// What types of weights and caches and the coding of activations cost in accuracy, against float32 of one file:
// Kullback-Leibler divergence of the next-token distributions, how often the likeliest token is the same, and the
// relative error of the logits. The text is the model's own, tokens sampled from the float32 model at temperature 1, or
// that of a file: a JSON array of arrays of ids, as `sluice tokenize` prints it, each cut to --tokens.
//
// bench_accuracy MODEL [OTHER…] [--sequences N] [--tokens N] [--texts FILE]
//
// MODEL is compared as stored, quantised while loading, and with every type of cache; OTHER, files of the same model in
// other types, as stored: dequantised with float32 activations, and packed with int8 activations. A table in Markdown.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <string>

#include "base/file.h"
#include "base/json.h"
#include "base/random.h"
#include "model/model_loader.h"

namespace sluice::model {
namespace {

constexpr int kBlockTokens = 16;

struct Kind {
  std::string name;
  WeightOptions options = {};
  DType kv_dtype = DType::kF32;
};

struct Opened {
  explicit Opened(const std::string& path)
      : files(std::make_shared<const checkpoint::ModelFiles>(checkpoint::open_model(path).value())),
        description(describe_model(*files).value()) {}
  std::shared_ptr<const checkpoint::ModelFiles> files;
  ModelDescription description;
};

class Accuracy {
 public:
  Accuracy(const std::string& path, int sequences, int tokens) : model_(path), sequences_(sequences), tokens_(tokens) {}

  void run(const std::vector<std::string>& others, const std::string& texts) {
    reference_ = load(model_, {"", {.dtype = DType::kF32, .activations = Activations::kF32}});
    if (texts.empty()) {
      for (int s = 0; s < sequences_; ++s) write_text(static_cast<uint64_t>(s));
    } else {
      read_texts(texts);
    }
    reference_.reset();
    std::printf(
        "%s: %d tokens\n\n| weights | activations | cache | mean KL | largest KL | same top token | relative error "
        "of the logits |\n|---|---|---|---|---|---|---|\n",
        model_.files->name.c_str(), count_);
    const auto weights = [&](const Opened& opened, const std::string& name, WeightOptions options) {
      for (const Activations activations : {Activations::kF32, Activations::kInt8}) {
        options.activations = activations;
        compare(opened, {name, options});
      }
    };
    weights(model_, "as stored", {});
    weights(model_, "as stored, as f16", {.dtype = DType::kF16});
    weights(model_, "as stored, as bf16", {.dtype = DType::kBF16});
    compare(model_, {"as stored, as bf16", {.dtype = DType::kBF16, .activations = Activations::kBF16}});
    weights(model_, "quantised to int8", {.quantization = WeightQuantization::kInt8});
    weights(model_, "quantised to int4", {.quantization = WeightQuantization::kInt4});
    for (const DType kv : {DType::kF16, DType::kBF16, DType::kQ8_0})
      compare(model_, {"as stored", {.activations = Activations::kF32}, kv});
    for (const std::string& path : others) {
      const Opened other(path);
      weights(other, other.files->name, {});
    }
  }

 private:
  // Null when the model cannot be had in this kind.
  std::unique_ptr<Decoder> load(const Opened& opened, const Kind& kind) {
    auto decoder = load_decoder(opened.files, opened.description, {.weights = kind.options, .kv_dtype = kind.kv_dtype},
                                *kernels::available_ops().back(), pool_);
    if (!decoder.ok()) {
      std::fprintf(stderr, "%s: %s\n", kind.name.c_str(), decoder.error().message.c_str());
      return nullptr;
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

  void read_texts(const std::string& path) {
    const Json json = parse_json(read_file(path).value()).value();
    for (const Json& one : json) {
      auto ids = one.get<std::vector<TokenId>>();
      if (ids.size() > static_cast<size_t>(tokens_)) ids.resize(static_cast<size_t>(tokens_));
      if (ids.empty()) continue;
      expected_.push_back(logits(*reference_, ids, 0));
      count_ += static_cast<int>(ids.size());
      texts_.push_back(std::move(ids));
    }
  }

  void write_text(uint64_t seed) {
    const auto vocab = static_cast<size_t>(model_.description.spec.vocab_size);
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
    count_ += tokens_;
    texts_.push_back(std::move(text));
    expected_.push_back(std::move(all));
  }

  void compare(const Opened& opened, const Kind& kind) {
    const auto decoder = load(opened, kind);
    if (decoder == nullptr) return;
    const auto vocab = static_cast<size_t>(model_.description.spec.vocab_size);
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
    const double count = count_;
    std::printf("| %s | %s | %s | %.6f | %.5f | %.2f %% | %.5f |\n", kind.name.c_str(),
                kind.options.activations == Activations::kInt8 ? "int8" : "f32",
                kind.kv_dtype == DType::kQ8_0 ? "int8" : std::string(dtype_name(kind.kv_dtype)).c_str(), sum / count,
                largest, 100 * same / count, std::sqrt(differences / squares));
    std::fflush(stdout);
  }

  const Opened model_;
  int sequences_, tokens_;
  int count_ = 0;  // tokens in all texts
  ThreadPool pool_;
  std::unique_ptr<Decoder> reference_;
  std::vector<std::vector<TokenId>> texts_;
  std::vector<std::vector<float>> expected_;
};

}  // namespace
}  // namespace sluice::model

int main(int argc, char** argv) {
  int sequences = 8, tokens = 128;
  std::vector<std::string> models;
  std::string texts;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "--sequences" && i + 1 < argc) {
      sequences = std::max(1, std::atoi(argv[++i]));
    } else if (word == "--tokens" && i + 1 < argc) {
      tokens = std::max(1, std::atoi(argv[++i]));
    } else if (word == "--texts" && i + 1 < argc) {
      texts = argv[++i];
    } else {
      models.push_back(word);
    }
  }
  if (models.empty()) return 2;
  sluice::model::Accuracy accuracy(models.front(), sequences, tokens);
  models.erase(models.begin());
  accuracy.run(models, texts);
}
