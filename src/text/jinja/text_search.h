#pragma once
// The pieces of str's methods that filters share.

#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/jinja/budget.h"
#include "text/jinja/value.h"

namespace sluice::text::jinja {

enum class Side : uint8_t { kBoth, kLeft, kRight };

// str.strip: without `chars`, white space.
std::string_view strip(std::string_view text, Side side);
std::string_view strip(std::string_view text, Side side, std::string_view chars);
// The ways to split stop after `parts_max` pieces, so that the list of them stays within a memory limit.
// str.splitlines
std::vector<std::string_view> split_lines(std::string_view text, bool keep_ends, size_t parts_max);
// str.split() and rsplit() at white space, at most `splits` times (negative: any number).
std::vector<std::string_view> split_words(std::string_view text, int64_t splits, bool from_right, size_t parts_max);
// str.replace; `count` < 0: all.
Result<std::string> replace(Budget& budget, std::string_view text, std::string_view from, std::string_view to,
                            int64_t count);

}  // namespace sluice::text::jinja
