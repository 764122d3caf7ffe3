#pragma once
// SLUICE_WIDE before a function: it is compiled for wider registers, too, and the machine chooses when the program
// starts. Every copy has the same bits, since without fused multiply-adds (-ffp-contract=off) the width changes
// nothing. For plain loops outside kernels/. No lambdas inside: clang 19 loses what is made of them.

#include "base/sanitized.h"

// The resolvers run before a sanitizer's own start-up.
#if defined(__x86_64__) && defined(__gnu_linux__) && !defined(SLUICE_SANITIZED)
#define SLUICE_WIDE __attribute__((target_clones("default", "avx2")))
#else
#define SLUICE_WIDE
#endif
