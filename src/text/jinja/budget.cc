#include "text/jinja/budget.h"

#include <algorithm>

#include "base/strings.h"

namespace sluice::text::jinja {
namespace {
// A template may make this many times its largest output in intermediate values.
constexpr size_t kWorkingTexts = 8;
}  // namespace

Budget::Budget(const TemplateLimits& limits)
    : steps_max_(limits.steps_max),
      steps_left_(limits.steps_max),
      text_bytes_max_(limits.output_bytes_max),
      bytes_left_(limits.output_bytes_max * kWorkingTexts),
      depth_max_(limits.depth_max) {}

Result<void> Budget::Level::check() const {
  if (budget_.levels_ <= budget_.depth_max_) return {};
  return Error{ErrorCode::kTooLarge, cat("filters call filters more than ", budget_.depth_max_, " deep"), {}, {}};
}

Result<void> Budget::make_text(size_t bytes) {
  SLUICE_RETURN_IF_ERROR(scan(bytes));
  if (bytes > bytes_left_) {
    return Error{
        ErrorCode::kTooLarge, "the template makes more intermediate text than its memory limit allows", {}, {}};
  }
  if (bytes > text_bytes_max_) {
    return Error{
        ErrorCode::kTooLarge, cat("the template makes more text than ", format_bytes(text_bytes_max_)), {}, {}};
  }
  bytes_left_ -= bytes;
  return {};
}

Result<void> Budget::make_values(size_t count) {
  SLUICE_RETURN_IF_ERROR(step(static_cast<int64_t>(std::min(count, size_t{1} << 62))));
  if (count > values_max()) {
    return Error{ErrorCode::kTooLarge, "the template makes more values than its memory limit allows", {}, {}};
  }
  bytes_left_ -= count * kBytesPerValue;
  return {};
}

Error Budget::steps_error() const {
  return {ErrorCode::kTooLarge,
          cat("the template takes more than ", steps_max_, " steps; it may be stuck in a loop"),
          {},
          {}};
}

void TextBuilder::repeat(size_t count, std::string_view text) {
  if (text.empty()) return;
  if (count > (budget_.text_bytes_max() - text_.size()) / text.size()) full_ = true;
  for (size_t i = 0; i < count && !full_; ++i) text_.append(text);
}

Result<std::string> TextBuilder::take() {
  SLUICE_RETURN_IF_ERROR(budget_.make_text(full_ ? budget_.text_bytes_max() + 1 : text_.size()));
  return std::move(text_);
}

}  // namespace sluice::text::jinja
