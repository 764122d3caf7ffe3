#pragma once
// One request, from a thread that waits for its answer: prints text as it comes, and can be stopped.

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <string>

#include "api/backend.h"

namespace sluice::cli {

struct Answer {
  std::string text;
  api::Usage usage;
  api::FinishReason finish = api::FinishReason::kStop;
  double first_token_s = 0;  // from submission
  double total_s = 0;
};

// Submits and waits. `on_text` is called on this thread with each piece of choice 0. When `stop` becomes true the
// request is cancelled, and the answer so far is returned with FinishReason::kCancelled.
Result<Answer> wait_for_answer(api::Backend& backend, api::GenerateRequest request,
                               const std::function<void(const std::string&)>& on_text,
                               const std::atomic<bool>* stop = nullptr);

}  // namespace sluice::cli
