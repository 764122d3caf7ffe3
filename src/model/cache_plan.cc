#include "model/cache_plan.h"

#include <algorithm>

namespace sluice::model {
namespace {

constexpr size_t kBlockRecordBytes = 256;  // of allocator and prefix index
constexpr double kCountMax = 1 << 30;

struct Split {
  double blocks;
  double slots;
};

class CacheDivision {
 public:
  explicit CacheDivision(const CacheDemand& demand)
      : demand_(demand),
        block_(static_cast<double>(demand.layout.block_bytes > 0 ? demand.layout.block_bytes : kBlockRecordBytes)),
        slot_(static_cast<double>(demand.layout.window_block_bytes)),
        share_(static_cast<double>(demand.share)) {}

  // The longest sequence that the division leaves room for.
  int longest() const {
    int64_t fits = demand_.blocks_of(demand_.context_min), above = demand_.blocks_of(demand_.context_max) + 1;
    while (above - fits > 1) {
      const int64_t middle = fits + (above - fits) / 2;
      (has_room(middle) ? fits : above) = middle;
    }
    return static_cast<int>(std::min<int64_t>(fits * demand_.layout.block_tokens, demand_.context_max));
  }

  CachePlan result(int context) const {
    const auto blocks = static_cast<double>(demand_.blocks_of(context));
    const auto slots = static_cast<double>(demand_.slots_of(context));
    Split split = divide(blocks, slots);
    split.blocks = std::clamp(split.blocks, blocks + 1, kCountMax);
    if (slot_ > 0) split.slots = std::max(std::min(split.slots, (share_ - split.blocks * block_) / slot_), slots + 1);
    CachePlan plan = {
        .blocks = static_cast<int>(split.blocks), .window_slots = static_cast<int>(split.slots), .context = context};
    const CacheLayout& layout = demand_.layout;
    plan.cache_bytes = static_cast<size_t>(plan.blocks) * layout.block_bytes +
                       static_cast<size_t>(plan.window_slots) * layout.window_block_bytes;
    if (layout.block_bytes == 0) plan.record_bytes = static_cast<size_t>(plan.blocks) * kBlockRecordBytes;
    plan.sequences_at_context = int64_t{plan.blocks} * layout.block_tokens / context;
    if (slot_ > 0) {
      plan.sequences_at_context = std::min(plan.sequences_at_context, plan.window_slots / demand_.slots_of(context));
    }
    return plan;
  }

 private:
  bool has_room(int64_t blocks) const {
    const int64_t tokens = blocks * demand_.layout.block_tokens;
    const auto slots = static_cast<double>(demand_.slots_of(tokens));
    return divide(static_cast<double>(blocks), slots).blocks >= static_cast<double>(blocks + 1) &&
           demand_.least_bytes(tokens) <= demand_.share;
  }

  // For sequences of so many blocks and slots.
  Split divide(double blocks, double slots) const {
    const double blocks_wanted = 2 * demand_.sequences_max * blocks + 1;
    if (slot_ == 0) return {std::min(share_ / block_, blocks_wanted), 0};
    const double slots_wanted = 2 * demand_.sequences_max * slots + 1;
    const double to_long_ones = demand_.layout.block_bytes > 0 ? share_ / 2 : share_;
    const double long_ones = to_long_ones / (blocks * block_ + slots * slot_);
    const double pairs = (share_ - to_long_ones) / (block_ + slot_);
    Split split = {0, std::clamp(long_ones * slots + pairs, slots + 1, slots_wanted)};
    // What one part does not want is the other's.
    split.blocks = std::min((share_ - split.slots * slot_) / block_, blocks_wanted);
    split.slots = std::min({(share_ - split.blocks * block_) / slot_, slots_wanted, split.blocks});
    return split;
  }

  const CacheDemand& demand_;
  const double block_, slot_;  // bytes
  const double share_;
};

}  // namespace

int64_t CacheDemand::slots_of(int64_t tokens) const {
  if (layout.window_tokens == 0) return 0;
  return std::min<int64_t>(blocks_of(tokens), layout.window_blocks(step_rows_max));
}

// One block and one slot are for the copy of a block that is shared in part.
size_t CacheDemand::least_bytes(int64_t tokens) const {
  const size_t block = layout.block_bytes > 0 ? layout.block_bytes : kBlockRecordBytes;
  return static_cast<size_t>(blocks_of(tokens) + 1) * block +
         static_cast<size_t>(slots_of(tokens) + 1) * layout.window_block_bytes;
}

std::optional<CachePlan> plan_cache(const CacheDemand& demand) {
  if (demand.least_bytes(demand.context > 0 ? demand.context : demand.context_min) > demand.most) return std::nullopt;
  const CacheDivision planner(demand);
  return planner.result(demand.context > 0 ? demand.context : planner.longest());
}

}  // namespace sluice::model
