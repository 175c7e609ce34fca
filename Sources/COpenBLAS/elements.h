// Loops over elements in fp64 that Swift compiles for the baseline processor only. Every body is compiled twice, with
// the same order of operations, so the processor changes no bit.
#ifndef KFACD_ELEMENTS_H
#define KFACD_ELEMENTS_H

#include "shim.h"

typedef double kfacd_double4 __attribute__((vector_size(32)));
typedef int64_t kfacd_int64x4 __attribute__((vector_size(32)));
typedef int32_t kfacd_int32x4 __attribute__((vector_size(16)));
typedef unsigned char kfacd_uint8x4 __attribute__((vector_size(4)));

// The magnitude of a value in fp32 as a pattern of 31 bits; patterns order as magnitudes.
static inline uint32_t kfacd_magnitude_key(double value) {
    const float narrow = (float)value;
    uint32_t bits;
    memcpy(&bits, &narrow, sizeof bits);
    return bits & 0x7FFFFFFFu;
}

static inline kfacd_int32x4 kfacd_magnitude_keys(const double *values) {
    KFACD_LOAD(kfacd_double4, wide, values);
    const kfacd_float4 narrow = __builtin_convertvector(wide, kfacd_float4);
    return (kfacd_int32x4)narrow & 0x7FFFFFFF;
}

// counts[key >> 16] grows by one for each value.
KFACD_DISPATCHED(kfacd_count_leading, (const double *restrict values, size_t count, uint32_t *restrict counts),
                 (values, count, counts), {
    size_t i = 0;
    for (; i + 4 <= count; i += 4) {
        const kfacd_int32x4 leading = kfacd_magnitude_keys(values + i) >> 16;
        counts[leading[0]]++;
        counts[leading[1]]++;
        counts[leading[2]]++;
        counts[leading[3]]++;
    }
    for (; i < count; i++) counts[kfacd_magnitude_key(values[i]) >> 16]++;
})

// counts[key & 0xFFFF] grows by one for each value whose leading digits are `prefix`.
KFACD_DISPATCHED(kfacd_count_trailing,
                 (const double *restrict values, size_t count, uint32_t prefix, uint32_t *restrict counts),
                 (values, count, prefix, counts), {
    size_t i = 0;
    for (; i + 4 <= count; i += 4) {
        const kfacd_int32x4 keys = kfacd_magnitude_keys(values + i);
        const kfacd_int32x4 matches = (keys >> 16) == (int32_t)prefix;
        uint64_t halves[2];
        memcpy(halves, &matches, sizeof halves);
        if ((halves[0] | halves[1]) == 0) continue;
        for (size_t lane = 0; lane < 4; lane++)
            if (matches[lane]) counts[keys[lane] & 0xFFFF]++;
    }
    for (; i < count; i++) {
        const uint32_t key = kfacd_magnitude_key(values[i]);
        if (key >> 16 == prefix) counts[key & 0xFFFFu]++;
    }
})

// *found is the number of values with a key.
KFACD_DISPATCHED(kfacd_count_key, (const double *restrict values, size_t count, uint32_t key, size_t *restrict found),
                 (values, count, key, found), {
    kfacd_int32x4 matches = {0};
    size_t i = 0;
    for (; i + 4 <= count; i += 4) matches -= kfacd_magnitude_keys(values + i) == (int32_t)key;
    size_t sum = (size_t)matches[0] + (size_t)matches[1] + (size_t)matches[2] + (size_t)matches[3];
    for (; i < count; i++) sum += kfacd_magnitude_key(values[i]) == key;
    *found = sum;
})

// Sets values to zero whose key is below `low`, or `high` or above.
KFACD_DISPATCHED(kfacd_keep_magnitudes, (double *restrict values, size_t count, uint32_t low, uint32_t high),
                 (values, count, low, high), {
    size_t i = 0;
    for (; i + 4 <= count; i += 4) {
        const kfacd_int32x4 keys = kfacd_magnitude_keys(values + i);
        const kfacd_int32x4 kept = (keys >= (int32_t)low) & (keys < (int32_t)high);
        KFACD_LOAD(kfacd_int64x4, bits, values + i);
        bits &= __builtin_convertvector(kept, kfacd_int64x4);
        KFACD_STORE(values + i, bits);
    }
    for (; i < count; i++) {
        const uint32_t key = kfacd_magnitude_key(values[i]);
        if (key < low || key >= high) values[i] = 0;
    }
})

// Sets values to zero whose byte is 0; the others have the byte 1.
KFACD_DISPATCHED(kfacd_keep_marked, (double *restrict values, size_t count, const unsigned char *restrict marks),
                 (values, count, marks), {
    size_t i = 0;
    for (; i + 4 <= count; i += 4) {
        KFACD_LOAD(kfacd_uint8x4, bytes, marks + i);
        KFACD_LOAD(kfacd_int64x4, bits, values + i);
        bits &= -__builtin_convertvector(bytes, kfacd_int64x4);
        KFACD_STORE(values + i, bits);
    }
    for (; i < count; i++)
        if (marks[i] == 0) values[i] = 0;
})

// values *= scale.
KFACD_DISPATCHED(kfacd_scale, (double *restrict values, size_t count, double scale), (values, count, scale), {
    size_t i = 0;
    for (; i + 4 <= count; i += 4) {
        KFACD_LOAD(kfacd_double4, block, values + i);
        block *= scale;
        KFACD_STORE(values + i, block);
    }
    for (; i < count; i++) values[i] *= scale;
})

// *sum grows by Σ |value|, in four lanes.
KFACD_DISPATCHED(kfacd_sum_magnitudes, (const double *restrict values, size_t count, double *restrict sum),
                 (values, count, sum), {
    kfacd_double4 lanes = {0};
    size_t i = 0;
    for (; i + 4 <= count; i += 4) {
        KFACD_LOAD(kfacd_int64x4, bits, values + i);
        bits &= 0x7FFFFFFFFFFFFFFF;
        lanes += (kfacd_double4)bits;
    }
    double rest = 0;
    for (; i < count; i++) rest += values[i] < 0 ? -values[i] : values[i];
    *sum += ((lanes[0] + lanes[2]) + (lanes[1] + lanes[3])) + rest;
})

// sums += weight · values, without a fused operation.
KFACD_DISPATCHED(kfacd_add_scaled, (const double *restrict values, double weight, double *restrict sums, size_t count),
                 (values, weight, sums, count), {
    size_t i = 0;
    for (; i + 4 <= count; i += 4) {
        KFACD_LOAD(kfacd_double4, block, values + i);
        KFACD_LOAD(kfacd_double4, total, sums + i);
        block *= weight;
        total += block;
        KFACD_STORE(sums + i, total);
    }
    for (; i < count; i++) {
        const double share = weight * values[i];
        sums[i] += share;
    }
})

// votes grows by the sign of each value.
KFACD_DISPATCHED(kfacd_add_signs, (const double *restrict values, double *restrict votes, size_t count),
                 (values, votes, count), {
    size_t i = 0;
    for (; i + 4 <= count; i += 4) {
        KFACD_LOAD(kfacd_double4, block, values + i);
        KFACD_LOAD(kfacd_double4, total, votes + i);
        total += __builtin_convertvector((kfacd_int64x4)(block < 0) - (kfacd_int64x4)(block > 0), kfacd_double4);
        KFACD_STORE(votes + i, total);
    }
    for (; i < count; i++) votes[i] += (values[i] > 0) - (values[i] < 0);
})

// Where a value has the sign of its votes (0 votes count as positive), sums grows by it, and divisors by the weight.
// NaN and infinity always enter the sums, so that no election hides them.
KFACD_DISPATCHED(kfacd_add_agreeing,
                 (const double *restrict values, const double *restrict votes, double weight, double *restrict sums,
                  double *restrict divisors, size_t count),
                 (values, votes, weight, sums, divisors, count), {
    size_t i = 0;
    for (; i + 4 <= count; i += 4) {
        KFACD_LOAD(kfacd_double4, block, values + i);
        KFACD_LOAD(kfacd_double4, vote, votes + i);
        KFACD_LOAD(kfacd_double4, total, sums + i);
        KFACD_LOAD(kfacd_double4, divisor, divisors + i);
        const kfacd_int64x4 positive = (kfacd_int64x4)(vote >= 0);
        const kfacd_int64x4 agrees = (positive & (kfacd_int64x4)(block > 0)) |
                                     (~positive & (kfacd_int64x4)(block < 0)) |
                                     (kfacd_int64x4)(block - block != 0);
        const kfacd_double4 weights = {weight, weight, weight, weight};
        total += (kfacd_double4)((kfacd_int64x4)block & agrees);
        divisor += (kfacd_double4)((kfacd_int64x4)weights & agrees);
        KFACD_STORE(sums + i, total);
        KFACD_STORE(divisors + i, divisor);
    }
    for (; i < count; i++) {
        if ((votes[i] >= 0 ? values[i] > 0 : values[i] < 0) || values[i] - values[i] != 0) {
            sums[i] += values[i];
            divisors[i] += weight;
        }
    }
})

// Divides sums by divisors where these are not 0.
KFACD_DISPATCHED(kfacd_divide_nonzero, (double *restrict sums, const double *restrict divisors, size_t count),
                 (sums, divisors, count), {
    const kfacd_double4 ones = {1, 1, 1, 1};
    size_t i = 0;
    for (; i + 4 <= count; i += 4) {
        KFACD_LOAD(kfacd_double4, total, sums + i);
        KFACD_LOAD(kfacd_double4, divisor, divisors + i);
        divisor += (kfacd_double4)((kfacd_int64x4)ones & (kfacd_int64x4)(divisor == 0));
        total /= divisor;
        KFACD_STORE(sums + i, total);
    }
    for (; i < count; i++) sums[i] /= divisors[i] == 0 ? 1 : divisors[i];
})

// sums = base + scale · sums, and exactly the base where the product is zero, which keeps the sign of a zero.
KFACD_DISPATCHED(kfacd_add_to_base, (const double *restrict base, double scale, double *restrict sums, size_t count),
                 (base, scale, sums, count), {
    size_t i = 0;
    for (; i + 4 <= count; i += 4) {
        KFACD_LOAD(kfacd_double4, origin, base + i);
        KFACD_LOAD(kfacd_double4, change, sums + i);
        change *= scale;
        const kfacd_int64x4 stays = (kfacd_int64x4)(change == 0);
        const kfacd_double4 moved = origin + change;
        const kfacd_int64x4 result = (stays & (kfacd_int64x4)origin) | (~stays & (kfacd_int64x4)moved);
        KFACD_STORE(sums + i, result);
    }
    for (; i < count; i++) {
        const double change = scale * sums[i];
        sums[i] = change == 0 ? base[i] : base[i] + change;
    }
})

// fp64 → fp32, rounded to odd: truncated, with the last bit set when anything was lost; NaN stays NaN.
KFACD_DISPATCHED(kfacd_round_to_odd, (const double *restrict source, float *restrict destination, size_t count),
                 (source, destination, count), {
    size_t i = 0;
    for (; i + 4 <= count; i += 4) {
        KFACD_LOAD(kfacd_double4, value, source + i);
        const kfacd_float4 nearest = __builtin_convertvector(value, kfacd_float4);
        const kfacd_double4 widened = __builtin_convertvector(nearest, kfacd_double4);
        const kfacd_int64x4 magnitude = (kfacd_int64x4)value & 0x7FFFFFFFFFFFFFFF;
        const kfacd_int64x4 other = (kfacd_int64x4)widened & 0x7FFFFFFFFFFFFFFF;
        // The comparison gives −1, so the sum steps towards zero; it turns infinity into the largest value.
        const kfacd_int32x4 above = __builtin_convertvector(other > magnitude, kfacd_int32x4);
        const kfacd_int32x4 odd = ((kfacd_int32x4)nearest + above) | 1;
        const kfacd_int64x4 exact = (kfacd_int64x4)(widened == value) | (kfacd_int64x4)(value != value);
        const kfacd_int32x4 stays = __builtin_convertvector(exact, kfacd_int32x4);
        const kfacd_int32x4 rounded = (stays & (kfacd_int32x4)nearest) | (~stays & odd);
        KFACD_STORE(destination + i, rounded);
    }
    for (; i < count; i++) {
        const float nearest = (float)source[i];
        const double widened = (double)nearest;
        if (widened == source[i] || source[i] != source[i]) {
            destination[i] = nearest;
            continue;
        }
        int32_t bits;
        memcpy(&bits, &nearest, sizeof bits);
        const double magnitude = source[i] < 0 ? -source[i] : source[i];
        const double other = widened < 0 ? -widened : widened;
        if (other > magnitude) bits -= 1;
        bits |= 1;
        memcpy(destination + i, &bits, sizeof bits);
    }
})

// Values of 16 or 32 bits → fp64, exact, eight at a time; `widen` makes eight of them fp32. `source` need not be
// aligned.
#define KFACD_DECODE_WIDE(name, vector, widen) \
    KFACD_DISPATCHED(name, (const void *source, double *restrict destination, size_t count), \
                     (source, destination, count), { \
        enum { size = sizeof(vector) / 8 }; \
        const char *bytes = (const char *)source; \
        size_t i = 0; \
        for (; i + 8 <= count; i += 8) { \
            KFACD_LOAD(vector, stored, bytes + size * i); \
            const kfacd_double8 values = __builtin_convertvector(widen(stored), kfacd_double8); \
            KFACD_STORE(destination + i, values); \
        } \
        if (i < count) { \
            vector stored = {0}; \
            memcpy(&stored, bytes + size * i, size * (count - i)); \
            const kfacd_double8 values = __builtin_convertvector(widen(stored), kfacd_double8); \
            memcpy(destination + i, &values, sizeof(double) * (count - i)); \
        } \
    })

// sums += weight · (values − base), of the same values.
#define KFACD_ADD_WIDE_DIFFERENCE(name, vector, widen) \
    KFACD_DISPATCHED(name, \
                     (double weight, const void *source, const double *restrict base, double *restrict sums, \
                      size_t count), \
                     (weight, source, base, sums, count), { \
        enum { size = sizeof(vector) / 8 }; \
        const char *bytes = (const char *)source; \
        size_t i = 0; \
        for (; i + 8 <= count; i += 8) { \
            KFACD_LOAD(vector, stored, bytes + size * i); \
            KFACD_LOAD(kfacd_double8, origin, base + i); \
            KFACD_LOAD(kfacd_double8, total, sums + i); \
            total += weight * (__builtin_convertvector(widen(stored), kfacd_double8) - origin); \
            KFACD_STORE(sums + i, total); \
        } \
        if (i < count) { \
            vector stored = {0}; \
            memcpy(&stored, bytes + size * i, size * (count - i)); \
            const kfacd_double8 values = __builtin_convertvector(widen(stored), kfacd_double8); \
            for (size_t lane = 0; i + lane < count; lane++) \
                sums[i + lane] += weight * (values[lane] - base[i + lane]); \
        } \
    })

#define KFACD_WIDEN_NOTHING(values) values

KFACD_DECODE_WIDE(kfacd_bfloat16_to_float64, kfacd_uint16x8, KFACD_WIDEN_BFLOAT16)
KFACD_DECODE_WIDE(kfacd_float16_to_float64, kfacd_half8, KFACD_WIDEN_FLOAT16)
KFACD_DECODE_WIDE(kfacd_float32_to_float64, kfacd_float8, KFACD_WIDEN_NOTHING)

KFACD_ADD_WIDE_DIFFERENCE(kfacd_add_bfloat16_wide_difference, kfacd_uint16x8, KFACD_WIDEN_BFLOAT16)
KFACD_ADD_WIDE_DIFFERENCE(kfacd_add_float16_wide_difference, kfacd_half8, KFACD_WIDEN_FLOAT16)
KFACD_ADD_WIDE_DIFFERENCE(kfacd_add_float32_wide_difference, kfacd_float8, KFACD_WIDEN_NOTHING)
KFACD_ADD_WIDE_DIFFERENCE(kfacd_add_wide_difference, kfacd_double8, KFACD_WIDEN_NOTHING)

#endif
