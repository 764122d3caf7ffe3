#pragma once
// Whether this build runs under AddressSanitizer or ThreadSanitizer: tests do less there, and nothing may run before
// their own start-up (resolvers of functions with several copies do).

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
