#pragma once
// Philox4x32-10, a counter-based generator: the i-th number of a seed is a pure function of (seed, i), so a sequence
// draws the same numbers whatever else is in its batch and after any pre-emption.
// Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC'11.

#include <array>
#include <cstdint>

namespace sluice {

inline std::array<uint32_t, 4> philox4x32(uint64_t seed, uint64_t counter_low, uint64_t counter_high = 0) {
  std::array<uint32_t, 4> c = {static_cast<uint32_t>(counter_low), static_cast<uint32_t>(counter_low >> 32),
                               static_cast<uint32_t>(counter_high), static_cast<uint32_t>(counter_high >> 32)};
  auto k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t{0xD2511F53} * c[0], p1 = uint64_t{0xCD9E8D57} * c[2];
    c = {static_cast<uint32_t>(p1 >> 32) ^ c[1] ^ k0, static_cast<uint32_t>(p1),
         static_cast<uint32_t>(p0 >> 32) ^ c[3] ^ k1, static_cast<uint32_t>(p0)};
    k0 += 0x9E3779B9;
    k1 += 0xBB67AE85;
  }
  return c;
}

// Uniform in [0, 1) with 53 bits.
inline double philox_uniform(uint64_t seed, uint64_t counter_low, uint64_t counter_high = 0) {
  const auto r = philox4x32(seed, counter_low, counter_high);
  return static_cast<double>((uint64_t{r[0]} << 21) ^ (r[1] >> 11)) * 0x1.0p-53;
}

}  // namespace sluice
