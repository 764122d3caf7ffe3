#pragma once
// How many rows the next step may have, so that prompts do not hold up the answers that are being written: a step that
// computes prompts beside decoding sequences should take at most `slowdown` times a step that only decodes. Both costs
// are learned from the steps it is told of, so a busy machine, a long context or another model need no new setting.
// Pure: times are passed in. While nobody decodes, prompts get all rows there are.

namespace sluice::engine {

struct StepBudgetOptions {
  int rows_max = 512;
  double slowdown = 0;        // 0: no limit
  int prefill_rows_min = 32;  // fewer cost nearly as much as these: every step reads all weights
};

class StepBudget {
 public:
  explicit StepBudget(const StepBudgetOptions& options) : options_(options) {}

  // Of a step in which `decoding` sequences compute one row each: their rows and the prompts'. When what decoding costs
  // is not known for about so many sequences, or was last seen long ago, the step is theirs alone, to find out.
  int rows(int decoding) const;

  // A step that took `seconds`.
  void observe(int decoding, int prefill_rows, double seconds);

 private:
  StepBudgetOptions options_;
  double decode_s_ = 0;   // of a step that only decodes
  int decoding_ = 0;      // sequences in it
  int steps_since_ = 0;   // steps with prompts since then
  double prefill_s_ = 0;  // of a prompt's row; 0: not known
};

}  // namespace sluice::engine
