// Compiling kernels for extensions of AVX-512 that Highway has no target for. They are compiled
// once, along with Highway's AVX3 target, whose operations they use, and chosen by feature
// (cpu/features.h), whatever target Highway itself dispatches to.
#pragma once

#include "hwy/detect_targets.h"

// Whether such kernels are compiled.
#if defined(__x86_64__) && defined(__linux__) && (defined(__GNUC__) || defined(__clang__)) && \
    (HWY_TARGETS & HWY_AVX3)
#define COMBINER_AVX512_KERNELS 1
#else
#define COMBINER_AVX512_KERNELS 0
#endif

// Whether the current target is the one they are compiled along with.
#define COMBINER_AVX512_TARGET (COMBINER_AVX512_KERNELS && HWY_TARGET == HWY_AVX3)

// Marks functions that use the instructions of a feature (cpu/features.h).
#define COMBINER_AVX512_BF16 __attribute__((target("avx512bf16,avx512vnni")))
#define COMBINER_AMX \
  __attribute__((target("amx-tile,amx-bf16,amx-int8,avx512bf16,avx512vnni,prfchw")))
