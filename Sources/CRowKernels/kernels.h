// Row-wise functions of a transformer that BLAS lacks and Swift cannot make fast. Swift is compiled for the
// architecture's baseline (SSE2) and does not reorder sums into lanes.
//
// Each body is written once in vectors of eight and compiled twice: for AVX2 with FMA, and for the baseline. The order
// of every sum is fixed. Rows are consecutive: element (i, j) of a matrix of d columns is at i · d + j.
#ifndef KFACD_ROW_KERNELS_H
#define KFACD_ROW_KERNELS_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef float kfacd_row8 __attribute__((vector_size(32)));
typedef int32_t kfacd_row_int8 __attribute__((vector_size(32)));

#if defined(__x86_64__)
#define KFACD_ROW_AVX2 __attribute__((target("avx2,fma")))
#define KFACD_ROW_HAS_AVX2 (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
#else
#define KFACD_ROW_AVX2
#define KFACD_ROW_HAS_AVX2 0
#endif

// Defines `static inline void name(parameters)`. Its one body is compiled twice: for AVX2 and for the baseline.
#define KFACD_ROW_KERNEL(name, parameters, arguments, ...) \
    KFACD_ROW_AVX2 static inline void name##_avx2 parameters { __VA_ARGS__ } \
    static inline void name##_portable parameters { __VA_ARGS__ } \
    static inline void name parameters { \
        if (KFACD_ROW_HAS_AVX2) name##_avx2 arguments; \
        else name##_portable arguments; \
    }

// Load and store the first `count` (at most 8) elements at an address. A load sets the other lanes to 0. Full vectors
// compile to one move.
#define KFACD_ROW_LOAD(variable, address, count) \
    kfacd_row8 variable = {0}; \
    if ((count) >= 8) memcpy(&variable, address, 32); \
    else memcpy(&variable, address, (count) * sizeof(float))
#define KFACD_ROW_STORE(address, variable, count) \
    do { \
        if ((count) >= 8) memcpy(address, &variable, 32); \
        else memcpy(address, &variable, (count) * sizeof(float)); \
    } while (0)

// Adds eight lanes pairwise.
#define KFACD_ROW_SUM(v) (((v[0] + v[4]) + (v[2] + v[6])) + ((v[1] + v[5]) + (v[3] + v[7])))

// result = exp(x) with a relative error below 2e-7 for |x| ≤ 87; beyond that, the value at ±87. x = n·ln 2 + r with |r|
// ≤ ln 2 / 2. ln 2 is split in two parts to keep r exact. The polynomial of the Cephes library's expf gives exp(r), and
// n is added to the exponent. Adding and subtracting 1.5 · 2^23 rounds to an integer, which is then in the sum's low
// bits.
#define KFACD_ROW_EXP(result, x) \
    kfacd_row8 result; \
    { \
        const kfacd_row8 zero = {0}; \
        const kfacd_row8 high = zero + 87.0f, low = zero - 87.0f; \
        kfacd_row8 bounded = (x); \
        kfacd_row_int8 above = bounded > high; \
        bounded = (kfacd_row8)((above & (kfacd_row_int8)high) | (~above & (kfacd_row_int8)bounded)); \
        kfacd_row_int8 below = bounded < low; \
        bounded = (kfacd_row8)((below & (kfacd_row_int8)low) | (~below & (kfacd_row_int8)bounded)); \
        const kfacd_row8 shifted = bounded * 1.44269504088896341f + 12582912.0f; \
        const kfacd_row8 whole = shifted - 12582912.0f; \
        const kfacd_row8 rest = (bounded - whole * 0.693359375f) - whole * -2.12194440e-4f; \
        kfacd_row8 power = rest * 1.9875691500e-4f + 1.3981999507e-3f; \
        power = power * rest + 8.3334519073e-3f; \
        power = power * rest + 4.1665795894e-2f; \
        power = power * rest + 1.6666665459e-1f; \
        power = power * rest + 5.0000001201e-1f; \
        power = power * rest * rest + rest + 1.0f; \
        const kfacd_row_int8 exponent = ((kfacd_row_int8)shifted - 0x4B400000) << 23; \
        result = (kfacd_row8)((kfacd_row_int8)power + exponent); \
    }

// y = u · σ(1.702 u) and slope = dy/du = σ · (1 + 1.702 u (1 − σ)).
KFACD_ROW_KERNEL(kfacd_quick_gelu,
                 (const float *restrict u, float *restrict y, float *restrict slope, size_t count),
                 (u, y, slope, count), {
    for (size_t i = 0; i < count; i += 8) {
        const size_t lanes = count - i;
        KFACD_ROW_LOAD(value, u + i, lanes);
        const kfacd_row8 argument = value * 1.702f;
        KFACD_ROW_EXP(decay, -argument);
        const kfacd_row8 sigmoid = 1.0f / (1.0f + decay);
        const kfacd_row8 activated = value * sigmoid;
        const kfacd_row8 derivative = sigmoid * (1.0f + argument * (1.0f - sigmoid));
        KFACD_ROW_STORE(y + i, activated, lanes);
        KFACD_ROW_STORE(slope + i, derivative, lanes);
    }
})

// Each row of x becomes exp(x − max) / Σ exp(x − max).
KFACD_ROW_KERNEL(kfacd_softmax_rows, (float *x, size_t rows, size_t columns), (x, rows, columns), {
    for (size_t i = 0; i < rows; i++) {
        float *row = x + i * columns;
        float largest = row[0];
        for (size_t j = 1; j < columns; j++) largest = row[j] > largest ? row[j] : largest;
        float sum = 0;
        for (size_t j = 0; j < columns; j += 8) {
            const size_t lanes = columns - j;
            KFACD_ROW_LOAD(value, row + j, lanes);
            KFACD_ROW_EXP(grown, value - largest);
            KFACD_ROW_STORE(row + j, grown, lanes);
            for (size_t k = 0; k < (lanes < 8 ? lanes : 8); k++) sum += grown[k];
        }
        const float scale = 1.0f / sum;
        for (size_t j = 0; j < columns; j++) row[j] *= scale;
    }
})

// The softmax's derivative, which is symmetric: each row v becomes p ∘ (v − ⟨p, v⟩).
KFACD_ROW_KERNEL(kfacd_softmax_derivative, (const float *restrict p, float *restrict v, size_t rows, size_t columns),
                 (p, v, rows, columns), {
    for (size_t i = 0; i < rows; i++) {
        const float *weights = p + i * columns;
        float *row = v + i * columns;
        kfacd_row8 total = {0};
        for (size_t j = 0; j < columns; j += 8) {
            const size_t lanes = columns - j;
            KFACD_ROW_LOAD(weight, weights + j, lanes);
            KFACD_ROW_LOAD(value, row + j, lanes);
            total += weight * value;
        }
        const float mean = KFACD_ROW_SUM(total);
        for (size_t j = 0; j < columns; j += 8) {
            const size_t lanes = columns - j;
            KFACD_ROW_LOAD(weight, weights + j, lanes);
            KFACD_ROW_LOAD(value, row + j, lanes);
            value = weight * (value - mean);
            KFACD_ROW_STORE(row + j, value, lanes);
        }
    }
})

// normalized = (x − mean) · rate, rate = 1 / √(variance + epsilon), for each row.
KFACD_ROW_KERNEL(kfacd_normalize_rows,
                 (const float *restrict x, float *restrict normalized, float *restrict rates, size_t rows,
                  size_t columns, float epsilon),
                 (x, normalized, rates, rows, columns, epsilon), {
    for (size_t i = 0; i < rows; i++) {
        const float *row = x + i * columns;
        float *target = normalized + i * columns;
        kfacd_row8 total = {0};
        for (size_t j = 0; j < columns; j += 8) {
            const size_t lanes = columns - j;
            KFACD_ROW_LOAD(value, row + j, lanes);
            total += value;
        }
        const float mean = KFACD_ROW_SUM(total) / (float)columns;
        float squares = 0;
        kfacd_row8 spread = {0};
        for (size_t j = 0; j < columns; j += 8) {
            const size_t lanes = columns - j;
            KFACD_ROW_LOAD(value, row + j, lanes);
            value -= mean;
            if (lanes >= 8) spread += value * value;
            else for (size_t k = 0; k < lanes; k++) squares += value[k] * value[k];
            KFACD_ROW_STORE(target + j, value, lanes);
        }
        const float rate = 1.0f / sqrtf((KFACD_ROW_SUM(spread) + squares) / (float)columns + epsilon);
        rates[i] = rate;
        for (size_t j = 0; j < columns; j += 8) {
            const size_t lanes = columns - j;
            KFACD_ROW_LOAD(value, target + j, lanes);
            value *= rate;
            KFACD_ROW_STORE(target + j, value, lanes);
        }
    }
})

// The normalisation's derivative, which is symmetric: result = rate · (w − mean(w) − n · mean(n ∘ w)) for each row. w =
// scale ∘ v, or v if `scale` is NULL. `adds` is 1 to add to `result` and 0 to replace it.
KFACD_ROW_KERNEL(kfacd_normalization_derivative,
                 (const float *restrict normalized, const float *restrict rates, const float *restrict v,
                  const float *restrict scale, float *restrict result, size_t rows, size_t columns, int adds),
                 (normalized, rates, v, scale, result, rows, columns, adds), {
    for (size_t i = 0; i < rows; i++) {
        const float *row = v + i * columns;
        const float *unit = normalized + i * columns;
        float *target = result + i * columns;
        kfacd_row8 sums = {0};
        kfacd_row8 products = {0};
        for (size_t j = 0; j < columns; j += 8) {
            const size_t lanes = columns - j;
            KFACD_ROW_LOAD(value, row + j, lanes);
            KFACD_ROW_LOAD(direction, unit + j, lanes);
            if (scale) {
                KFACD_ROW_LOAD(factor, scale + j, lanes);
                value *= factor;
            }
            sums += value;
            products += value * direction;
        }
        const float mean = KFACD_ROW_SUM(sums) / (float)columns;
        const float along = KFACD_ROW_SUM(products) / (float)columns;
        const float rate = rates[i];
        for (size_t j = 0; j < columns; j += 8) {
            const size_t lanes = columns - j;
            KFACD_ROW_LOAD(value, row + j, lanes);
            KFACD_ROW_LOAD(direction, unit + j, lanes);
            if (scale) {
                KFACD_ROW_LOAD(factor, scale + j, lanes);
                value *= factor;
            }
            value = rate * (value - mean - direction * along);
            if (adds) {
                KFACD_ROW_LOAD(present, target + j, lanes);
                value += present;
            }
            KFACD_ROW_STORE(target + j, value, lanes);
        }
    }
})

// result = scale ∘ x + shift for each row. `adds` is 1 to add to `result`. `shift` may be NULL.
KFACD_ROW_KERNEL(kfacd_scale_rows,
                 (const float *restrict x, const float *restrict scale, const float *restrict shift,
                  float *restrict result, size_t rows, size_t columns, int adds),
                 (x, scale, shift, result, rows, columns, adds), {
    for (size_t i = 0; i < rows; i++) {
        for (size_t j = 0; j < columns; j += 8) {
            const size_t lanes = columns - j;
            KFACD_ROW_LOAD(value, x + i * columns + j, lanes);
            KFACD_ROW_LOAD(factor, scale + j, lanes);
            value *= factor;
            if (shift) {
                KFACD_ROW_LOAD(offset, shift + j, lanes);
                value += offset;
            }
            if (adds) {
                KFACD_ROW_LOAD(present, result + i * columns + j, lanes);
                value += present;
            }
            KFACD_ROW_STORE(result + i * columns + j, value, lanes);
        }
    }
})

// sums[g] += Σ x ∘ y over the rows of group g. Each group has `group_rows` rows. If y is NULL, Σ x.
KFACD_ROW_KERNEL(kfacd_add_group_sums,
                 (const float *restrict x, const float *restrict y, float *restrict sums, size_t groups,
                  size_t group_rows, size_t columns),
                 (x, y, sums, groups, group_rows, columns), {
    for (size_t g = 0; g < groups; g++) {
        for (size_t j = 0; j < columns; j += 8) {
            const size_t lanes = columns - j;
            KFACD_ROW_LOAD(total, sums + g * columns + j, lanes);
            for (size_t i = g * group_rows; i < (g + 1) * group_rows; i++) {
                KFACD_ROW_LOAD(value, x + i * columns + j, lanes);
                if (y) {
                    KFACD_ROW_LOAD(other, y + i * columns + j, lanes);
                    value *= other;
                }
                total += value;
            }
            KFACD_ROW_STORE(sums + g * columns + j, total, lanes);
        }
    }
})

// Sets each row of `result` to `row`, or adds `row` to it.
KFACD_ROW_KERNEL(kfacd_broadcast_row, (const float *restrict row, float *restrict result, size_t rows, size_t columns,
                                       int adds),
                 (row, result, rows, columns, adds), {
    for (size_t i = 0; i < rows; i++) {
        float *target = result + i * columns;
        for (size_t j = 0; j < columns; j += 8) {
            const size_t lanes = columns - j;
            KFACD_ROW_LOAD(value, row + j, lanes);
            if (adds) {
                KFACD_ROW_LOAD(present, target + j, lanes);
                value += present;
            }
            KFACD_ROW_STORE(target + j, value, lanes);
        }
    }
})

// x[i] *= y[i].
KFACD_ROW_KERNEL(kfacd_multiply, (float *restrict x, const float *restrict y, size_t count), (x, y, count), {
    for (size_t i = 0; i < count; i += 8) {
        const size_t lanes = count - i;
        KFACD_ROW_LOAD(value, x + i, lanes);
        KFACD_ROW_LOAD(other, y + i, lanes);
        value *= other;
        KFACD_ROW_STORE(x + i, value, lanes);
    }
})

// One step of AdamW without weight decay (Loshchilov & Hutter 2019, algorithm 2):
// m = β1 m + (1 − β1) g, s = β2 s + (1 − β2) g², x −= rate · (m / (1 − β1^k)) / (√(s / (1 − β2^k)) + ε).
KFACD_ROW_KERNEL(kfacd_adam_step,
                 (float *restrict x, float *restrict m, float *restrict s, const float *restrict g, size_t count,
                  float beta1, float beta2, float rate, float correction1, float correction2, float epsilon),
                 (x, m, s, g, count, beta1, beta2, rate, correction1, correction2, epsilon), {
    for (size_t i = 0; i < count; i += 8) {
        const size_t lanes = count - i;
        KFACD_ROW_LOAD(gradient, g + i, lanes);
        KFACD_ROW_LOAD(mean, m + i, lanes);
        KFACD_ROW_LOAD(square, s + i, lanes);
        KFACD_ROW_LOAD(value, x + i, lanes);
        mean = beta1 * mean + (1.0f - beta1) * gradient;
        square = beta2 * square + (1.0f - beta2) * gradient * gradient;
        value -= rate * (mean * correction1) / (__builtin_elementwise_sqrt(square * correction2) + epsilon);
        KFACD_ROW_STORE(m + i, mean, lanes);
        KFACD_ROW_STORE(s + i, square, lanes);
        KFACD_ROW_STORE(x + i, value, lanes);
    }
})

// Softmax cross-entropy of each row against its label, in place. `x` becomes (softmax(x) − onehot(label)) · scale.
// *loss becomes the sum over the rows of log Σ exp(x) − x[label].
static inline void kfacd_cross_entropy_rows(float *x, const int32_t *labels, size_t rows, size_t columns, float scale,
                                            double *loss) {
    double total = 0;
    for (size_t i = 0; i < rows; i++) {
        float *row = x + i * columns;
        float largest = row[0];
        for (size_t j = 1; j < columns; j++) largest = row[j] > largest ? row[j] : largest;
        const float wanted = row[labels[i]] - largest;
        float sum = 0;
        for (size_t j = 0; j < columns; j++) {
            row[j] = expf(row[j] - largest);
            sum += row[j];
        }
        total += log((double)sum) - (double)wanted;
        for (size_t j = 0; j < columns; j++) row[j] *= scale / sum;
        row[labels[i]] -= scale;
    }
    *loss = total;
}

#endif
