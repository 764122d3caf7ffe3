#pragma once
// Whether this build runs under AddressSanitizer or ThreadSanitizer, for tests that do less there.

namespace sluice {

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SLUICE_SANITIZED 1
#endif
#endif
#if defined(SLUICE_SANITIZED)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

}  // namespace sluice
