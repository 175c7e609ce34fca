// Philox4x32-10 of many counters at once. Swift is compiled for the architecture's baseline, with half the vectors.
//
// The body is compiled twice, for AVX2 and for the baseline. All of it is in integers, so both give the same numbers.
#ifndef KFACD_PHILOX_H
#define KFACD_PHILOX_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef uint64_t kfacd_philox_lanes __attribute__((vector_size(32)));
typedef uint32_t kfacd_philox_words __attribute__((vector_size(16)));

#if defined(__x86_64__)
#define KFACD_PHILOX_AVX2 __attribute__((target("avx2")))
#define KFACD_PHILOX_HAS_AVX2 __builtin_cpu_supports("avx2")
#else
#define KFACD_PHILOX_AVX2
#define KFACD_PHILOX_HAS_AVX2 0
#endif

// marks[4 · i + j] is 1 if word j of the counter `first` + i is below the threshold, else 0. Each lane is a counter,
// with its words in the lower halves. `blocks` is a multiple of 4.
#define KFACD_PHILOX_BODY \
    const kfacd_philox_lanes low = {0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF}; \
    const kfacd_philox_lanes step = {0, 1, 2, 3}; \
    for (size_t block = 0; block < blocks; block += 4) { \
        const kfacd_philox_lanes counter = first + block + step; \
        kfacd_philox_lanes c0 = counter & low; \
        kfacd_philox_lanes c1 = counter >> 32; \
        kfacd_philox_lanes c2 = (low & 0) + upper[0]; \
        kfacd_philox_lanes c3 = (low & 0) + upper[1]; \
        uint32_t k0 = key[0]; \
        uint32_t k1 = key[1]; \
        for (int round = 0; round < 10; round++) { \
            const kfacd_philox_lanes even = (c0 & low) * 0xD2511F53u; \
            const kfacd_philox_lanes odd = (c2 & low) * 0xCD9E8D57u; \
            c0 = (odd >> 32) ^ c1 ^ (uint64_t)k0; \
            c1 = odd & low; \
            c2 = (even >> 32) ^ c3 ^ (uint64_t)k1; \
            c3 = even & low; \
            k0 += 0x9E3779B9u; \
            k1 += 0xBB67AE85u; \
        } \
        /* The difference of two numbers below 2^33 is negative where the first is smaller. */ \
        const kfacd_philox_lanes bytes = ((c0 - threshold) >> 63) | ((c1 - threshold) >> 63) << 8 \
            | ((c2 - threshold) >> 63) << 16 | ((c3 - threshold) >> 63) << 24; \
        const kfacd_philox_words packed = __builtin_convertvector(bytes, kfacd_philox_words); \
        memcpy(marks + 4 * block, &packed, 16); \
    }

KFACD_PHILOX_AVX2 static inline void kfacd_philox_marks_avx2(
    const uint32_t key[2], uint64_t first, const uint32_t upper[2], uint64_t threshold, unsigned char *marks,
    size_t blocks) {
    KFACD_PHILOX_BODY
}

static inline void kfacd_philox_marks_portable(
    const uint32_t key[2], uint64_t first, const uint32_t upper[2], uint64_t threshold, unsigned char *marks,
    size_t blocks) {
    KFACD_PHILOX_BODY
}

static inline void kfacd_philox_marks(
    const uint32_t key[2], uint64_t first, const uint32_t upper[2], uint64_t threshold, unsigned char *marks,
    size_t blocks) {
    if (KFACD_PHILOX_HAS_AVX2) kfacd_philox_marks_avx2(key, first, upper, threshold, marks, blocks);
    else kfacd_philox_marks_portable(key, first, upper, threshold, marks, blocks);
}

#endif
