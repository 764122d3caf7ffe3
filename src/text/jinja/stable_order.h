#pragma once
// A stable merge sort whose comparison may fail, and which stays inside its range whatever the comparison answers
// (values such as NaN have no consistent order).

#include <algorithm>
#include <utility>
#include <vector>

#include "base/result.h"

namespace sluice::text::jinja {

// `before(a, b)` gives Result<bool>: whether a must come before b.
template <class T, class Before>
Result<void> stable_order(std::vector<T>& items, Before before) {
  std::vector<T> merged;
  merged.reserve(items.size());
  for (size_t width = 1; width < items.size(); width *= 2) {
    merged.clear();
    for (size_t begin = 0; begin < items.size(); begin += 2 * width) {
      const size_t middle = std::min(begin + width, items.size());
      const size_t end = std::min(begin + 2 * width, items.size());
      size_t left = begin;
      size_t right = middle;
      while (left < middle && right < end) {
        SLUICE_TRY(const bool right_first, before(items[right], items[left]));
        merged.push_back(std::move(items[right_first ? right++ : left++]));
      }
      while (left < middle) merged.push_back(std::move(items[left++]));
      while (right < end) merged.push_back(std::move(items[right++]));
    }
    items.swap(merged);
  }
  return {};
}

}  // namespace sluice::text::jinja
