#include "kernels/machine_limits.h"

#include <algorithm>
#include <chrono>
#include <cstring>

#include "base/check.h"
#include "kernels/cpu/unit_loops.h"
#include "tensor/tensor.h"

namespace sluice::kernels {
namespace {

using Time = std::chrono::steady_clock;

double seconds_since(Time::time_point start) { return std::chrono::duration<double>(Time::now() - start).count(); }

using Lanes = uint64_t __attribute__((vector_size(64), aligned(64)));

// Reads [begin, end) in `streams` places at once, each prefetched `ahead` bytes before it is read.
uint64_t read_streams(const std::byte* begin, size_t bytes, int streams, size_t ahead) {
  const size_t each = bytes / static_cast<size_t>(streams) / 64 * 64;
  Lanes sum = {};
  for (size_t at = 0; at < each; at += 64) {
    for (int s = 0; s < streams; ++s) {
      const std::byte* place = begin + static_cast<size_t>(s) * each + at;
      if (ahead > 0) __builtin_prefetch(place + ahead);
      sum ^= *reinterpret_cast<const Lanes*>(place);
    }
  }
  uint64_t joined = 0;
  for (int lane = 0; lane < 8; ++lane) joined ^= sum[lane];
  return joined;
}

struct Candidate {
  MachineLimit limit;
  // Amount (bytes or operations) done by one call with this many threads, and how it is done.
  std::function<double(int threads)> call;
};

Candidate arithmetic(const UnitLoop& loop, ThreadPool& pool, const std::byte* operands, double seconds) {
  // As many passes as fill the time, found by doubling.
  int64_t passes = 1024;
  for (double taken = 0; taken < seconds / 4; passes *= 2) {
    const Time::time_point start = Time::now();
    loop.run(passes, operands);
    taken = seconds_since(start);
  }
  passes *= 2;
  return {.limit = {.name = loop.name, .unit = loop.unit}, .call = [=, &pool](int threads) {
            pool.parallel_for(threads, [&](int64_t, int) { loop.run(passes, operands); });
            return loop.operations_per_pass * static_cast<double>(passes) * threads;
          }};
}

Candidate reading(std::string_view name, int streams, size_t ahead, ThreadPool& pool, const Buffer& buffer) {
  return {.limit = {.name = name, .unit = "B/s"}, .call = [=, &pool, &buffer](int threads) {
            constexpr size_t kPiece = size_t{4} << 20;
            const auto pieces = static_cast<int64_t>(buffer.size() / kPiece);
            const auto read = [&](int64_t piece, int) {
              const uint64_t sum =
                  read_streams(buffer.data() + static_cast<size_t>(piece) * kPiece, kPiece, streams, ahead);
              asm volatile("" ::"r"(sum));
            };
            if (threads > 1) {
              pool.parallel_for(pieces, read);
            } else {
              for (int64_t piece = 0; piece < pieces; ++piece) read(piece, 0);
            }
            return static_cast<double>(pieces) * static_cast<double>(kPiece);
          }};
}

}  // namespace

std::vector<MachineLimit> measure_machine_limits(ThreadPool& pool, const LimitOptions& options,
                                                 const std::function<void(int, int)>& progress) {
  SLUICE_CHECK(options.rounds > 0 && options.buffer_bytes >= size_t{64} << 20);
  Buffer memory(options.buffer_bytes);
  std::memset(memory.data(), 1, memory.size());  // pages of its own, not the shared zero page
  Buffer operands(kUnitLoopOperandBytes);
  std::memset(operands.data(), 0, operands.size());

  std::vector<Candidate> candidates = {
      reading("read, 1 stream", 1, 0, pool, memory),
      reading("read, 1 stream, prefetch 1 KiB", 1, 1024, pool, memory),
      reading("read, 2 streams", 2, 0, pool, memory),
      reading("read, 4 streams, prefetch 1 KiB", 4, 1024, pool, memory),
      reading("read, 8 streams, prefetch 2 KiB", 8, 2048, pool, memory),
  };
  for (const UnitLoop& loop : unit_loops())
    candidates.push_back(arithmetic(loop, pool, operands.data(), options.seconds_each));

  const int total = options.rounds * static_cast<int>(candidates.size());
  int done = 0;
  for (int round = 0; round < options.rounds; ++round) {
    for (Candidate& candidate : candidates) {
      const auto measure = [&](int threads, double& best) {
        const Time::time_point start = Time::now();
        const double amount = candidate.call(threads);
        best = std::max(best, amount / seconds_since(start));
      };
      measure(1, candidate.limit.one_thread);
      measure(pool.threads(), candidate.limit.all_threads);
      if (progress) progress(++done, total);
    }
  }
  std::vector<MachineLimit> limits;
  for (const Candidate& candidate : candidates) limits.push_back(candidate.limit);
  return limits;
}

double best_limit(const std::vector<MachineLimit>& limits, std::string_view name) {
  double best = 0;
  for (const MachineLimit& limit : limits) {
    if (limit.name.starts_with(name)) best = std::max({best, limit.one_thread, limit.all_threads});
  }
  return best;
}

}  // namespace sluice::kernels
