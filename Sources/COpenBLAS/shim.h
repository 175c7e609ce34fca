// The parts of OpenBLAS for Swift: cblas.h unchanged, LAPACK routines by their Fortran symbols, and a few loops.
//
// Debian's libopenblas exports the Fortran symbols (`dpotrf_`) but no LAPACKE. Declaring them here avoids a dependency
// on liblapacke, whose workspace queries are wrong for large matrices anyway (SymmetricEigen.swift).
#ifndef KFACD_COPENBLAS_SHIM_H
#define KFACD_COPENBLAS_SHIM_H

#include <cblas.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#if defined(__linux__)
#include <sys/mman.h>
#endif

// MARK: - LAPACK
// Every argument is a pointer. A character argument also has a hidden length at the end of the list (size_t, by value,
// as gfortran compiles it). The length is always 1 here.

void dpotrf_(const char *uplo, const blasint *n, double *a, const blasint *lda, blasint *info, size_t uplo_length);
void dpotri_(const char *uplo, const blasint *n, double *a, const blasint *lda, blasint *info, size_t uplo_length);
void dpocon_(const char *uplo, const blasint *n, const double *a, const blasint *lda, const double *anorm,
             double *rcond, double *work, blasint *iwork, blasint *info, size_t uplo_length);
void dsyevd_(const char *jobz, const char *uplo, const blasint *n, double *a, const blasint *lda, double *w,
             double *work, const blasint *lwork, blasint *iwork, const blasint *liwork, blasint *info,
             size_t jobz_length, size_t uplo_length);
void ssyevd_(const char *jobz, const char *uplo, const blasint *n, float *a, const blasint *lda, float *w,
             float *work, const blasint *lwork, blasint *iwork, const blasint *liwork, blasint *info,
             size_t jobz_length, size_t uplo_length);
void dgesdd_(const char *jobz, const blasint *m, const blasint *n, double *a, const blasint *lda, double *s, double *u,
             const blasint *ldu, double *vt, const blasint *ldvt, double *work, const blasint *lwork, blasint *iwork,
             blasint *info, size_t jobz_length);
void sgesdd_(const char *jobz, const blasint *m, const blasint *n, float *a, const blasint *lda, float *s, float *u,
             const blasint *ldu, float *vt, const blasint *ldvt, float *work, const blasint *lwork, blasint *iwork,
             blasint *info, size_t jobz_length);

// MARK: - Threads

// OpenBLAS starts a thread for each further processor while it is loaded. Such a thread asks for work without a pause
// for some 2^26 cycles before it sleeps. This ends the threads. The next call that needs some starts them anew. A
// library without threads has no such routine.
int blas_thread_shutdown_(void) __attribute__((weak));

static inline void kfacd_end_blas_threads(void) {
    if (blas_thread_shutdown_ != NULL) blas_thread_shutdown_();
}

// MARK: - Memory

// calloc's large blocks are the kernel's zero pages, which stay untouched until they are used. Swift's aligned
// allocation would need clearing by hand, which faults in every page. The word before the result holds the block's own
// address. Returns NULL when memory is short. Large buffers ask for huge pages: a fresh square of n = 3072 then costs
// 40 page faults instead of 18 000. A refusal changes nothing.
static inline void *kfacd_allocate_zeroed(size_t byte_count) {
    const size_t alignment = 64;
    if (byte_count > SIZE_MAX - 2 * alignment) return NULL;
    char *block = (char *)calloc(1, byte_count + 2 * alignment);
    if (block == NULL) return NULL;
    char *aligned = (char *)(((uintptr_t)block + 2 * alignment - 1) & ~(uintptr_t)(alignment - 1));
    ((void **)aligned)[-1] = block;
#if defined(MADV_HUGEPAGE)
    if (byte_count >= (size_t)8 << 20) {
        const uintptr_t page = 4096;
        const uintptr_t first = ((uintptr_t)aligned + page - 1) & ~(page - 1);
        const uintptr_t end = ((uintptr_t)aligned + byte_count) & ~(page - 1);
        madvise((void *)first, end - first, MADV_HUGEPAGE);
    }
#endif
    return aligned;
}

static inline void kfacd_free_zeroed(void *aligned) { free(((void **)aligned)[-1]); }

// MARK: - Loops that Swift cannot make fast
//
// Swift is compiled for the architecture's baseline (SSE2: half the vector width or less). It does not reorder sums
// into lanes. Its Float16 conversions call a library function for each element (50 times slower than the F16C
// instructions). The vectors are written out because Swift compiles C bodies for size, which turns off the compiler's
// own vectorisation. The AVX2 bodies are compiled for AVX2 and F16C only, never for FMA, so that they round exactly as
// the portable ones.

typedef float kfacd_float8 __attribute__((vector_size(32)));
typedef double kfacd_double8 __attribute__((vector_size(64)));
typedef uint32_t kfacd_uint32x8 __attribute__((vector_size(32)));
typedef uint16_t kfacd_uint16x8 __attribute__((vector_size(16)));
typedef _Float16 kfacd_half8 __attribute__((vector_size(16)));

#if defined(__x86_64__)
#define KFACD_AVX2 __attribute__((target("avx2,f16c")))
#define KFACD_HAS_AVX2 (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("f16c"))
#else
#define KFACD_AVX2
#define KFACD_HAS_AVX2 0
#endif

// Defines `static inline void name(parameters)`. Its one body is compiled twice: for AVX2 and for the baseline.
#define KFACD_DISPATCHED(name, parameters, arguments, ...) \
    KFACD_AVX2 static inline void name##_avx2 parameters { __VA_ARGS__ } \
    static inline void name##_portable parameters { __VA_ARGS__ } \
    static inline void name parameters { \
        if (KFACD_HAS_AVX2) name##_avx2 arguments; \
        else name##_portable arguments; \
    }

// Loads and stores vectors of any alignment.
#define KFACD_LOAD(type, variable, address) type variable; memcpy(&variable, address, sizeof variable)
#define KFACD_STORE(address, variable) memcpy(address, &variable, sizeof variable)

typedef float kfacd_float4 __attribute__((vector_size(16)));

// Writes lines as columns: `target[column * pitch + line]` is element `column` of line `line`. Line 0 is at `source`.
// The distance from one line to the next is `stride` at first, and grows by `growth` from line to line.
//
// Whole cache lines of the target are written, because its rows may all fall into one set of a cache.
static inline void kfacd_mirror(const float *source, size_t stride, size_t growth, size_t lines, size_t columns,
                                float *target, size_t pitch) {
    enum { tile = 16 };
    size_t line = 0;
    for (; line + tile <= lines; line += tile) {
        const float *starts[tile];
        for (size_t i = 0; i < tile; i++) {
            starts[i] = source;
            source += stride;
            stride += growth;
        }
        size_t column = 0;
        for (; column + 4 <= columns; column += 4) {
            for (size_t i = 0; i < tile; i += 4) {
                KFACD_LOAD(kfacd_float4, a, starts[i] + column);
                KFACD_LOAD(kfacd_float4, b, starts[i + 1] + column);
                KFACD_LOAD(kfacd_float4, c, starts[i + 2] + column);
                KFACD_LOAD(kfacd_float4, d, starts[i + 3] + column);
                const kfacd_float4 ab0 = __builtin_shufflevector(a, b, 0, 4, 1, 5);
                const kfacd_float4 ab2 = __builtin_shufflevector(a, b, 2, 6, 3, 7);
                const kfacd_float4 cd0 = __builtin_shufflevector(c, d, 0, 4, 1, 5);
                const kfacd_float4 cd2 = __builtin_shufflevector(c, d, 2, 6, 3, 7);
                const kfacd_float4 rows[4] = {
                    __builtin_shufflevector(ab0, cd0, 0, 1, 4, 5), __builtin_shufflevector(ab0, cd0, 2, 3, 6, 7),
                    __builtin_shufflevector(ab2, cd2, 0, 1, 4, 5), __builtin_shufflevector(ab2, cd2, 2, 3, 6, 7),
                };
                for (size_t j = 0; j < 4; j++) KFACD_STORE(target + (column + j) * pitch + line + i, rows[j]);
            }
        }
        for (; column < columns; column++) {
            for (size_t i = 0; i < tile; i++) target[column * pitch + line + i] = starts[i][column];
        }
    }
    for (; line < lines; line++) {
        for (size_t column = 0; column < columns; column++) target[column * pitch + line] = source[column];
        source += stride;
        stride += growth;
    }
}

// Adds eight lanes pairwise. The order of the sum is fixed on every processor.
#define KFACD_SUM_LANES(l) (((l[0] + l[4]) + (l[2] + l[6])) + ((l[1] + l[5]) + (l[3] + l[7])))

typedef uint16_t kfacd_uint16x16 __attribute__((vector_size(32)));
typedef uint64_t kfacd_uint64x4 __attribute__((vector_size(32)));

// Defines a search for infinities and NaN: their exponent bits are all set in every IEEE type. `*found` becomes 1 if
// there is one, otherwise 0. `source` need not be aligned.
#define KFACD_NONFINITE(name, scalar, vector, lanes) \
    KFACD_DISPATCHED(name, (const void *source, size_t count, scalar exponent, int *found), \
                     (source, count, exponent, found), { \
        const char *bytes = (const char *)source; \
        vector any = {0}; \
        size_t i = 0; \
        for (; i + lanes <= count; i += lanes) { \
            KFACD_LOAD(vector, bits, bytes + sizeof(scalar) * i); \
            any |= (vector)((bits & exponent) == exponent); \
        } \
        scalar flags = 0; \
        for (size_t lane = 0; lane < lanes; lane++) flags |= any[lane]; \
        for (; i < count; i++) { \
            KFACD_LOAD(scalar, bits, bytes + sizeof(scalar) * i); \
            if ((bits & exponent) == exponent) flags = 1; \
        } \
        *found = flags != 0; \
    })

KFACD_NONFINITE(kfacd_find_nonfinite_16, uint16_t, kfacd_uint16x16, 16)
KFACD_NONFINITE(kfacd_find_nonfinite_32, uint32_t, kfacd_uint32x8, 8)
KFACD_NONFINITE(kfacd_find_nonfinite_64, uint64_t, kfacd_uint64x4, 4)

// float16 → float32, exact. `source` need not be aligned.
KFACD_DISPATCHED(kfacd_float16_to_float32, (const void *source, float *restrict destination, size_t count),
                 (source, destination, count), {
    const char *bytes = (const char *)source;
    size_t i = 0;
    for (; i + 8 <= count; i += 8) {
        KFACD_LOAD(kfacd_half8, halves, bytes + 2 * i);
        const kfacd_float8 values = __builtin_convertvector(halves, kfacd_float8);
        KFACD_STORE(destination + i, values);
    }
    for (; i < count; i++) {
        KFACD_LOAD(_Float16, half, bytes + 2 * i);
        destination[i] = (float)half;
    }
})

// float32 → float16, to nearest even. `destination` need not be aligned.
KFACD_DISPATCHED(kfacd_float32_to_float16, (const float *restrict source, void *destination, size_t count),
                 (source, destination, count), {
    char *bytes = (char *)destination;
    size_t i = 0;
    for (; i + 8 <= count; i += 8) {
        KFACD_LOAD(kfacd_float8, values, source + i);
        const kfacd_half8 halves = __builtin_convertvector(values, kfacd_half8);
        KFACD_STORE(bytes + 2 * i, halves);
    }
    for (; i < count; i++) {
        const _Float16 half = (_Float16)source[i];
        KFACD_STORE(bytes + 2 * i, half);
    }
})

// bfloat16 → float32, exact. `source` need not be aligned.
KFACD_DISPATCHED(kfacd_bfloat16_to_float32, (const void *source, float *restrict destination, size_t count),
                 (source, destination, count), {
    const char *bytes = (const char *)source;
    size_t i = 0;
    for (; i + 8 <= count; i += 8) {
        KFACD_LOAD(kfacd_uint16x8, upper, bytes + 2 * i);
        const kfacd_uint32x8 bits = __builtin_convertvector(upper, kfacd_uint32x8) << 16;
        KFACD_STORE(destination + i, bits);
    }
    for (; i < count; i++) {
        KFACD_LOAD(uint16_t, upper, bytes + 2 * i);
        const uint32_t bits = (uint32_t)upper << 16;
        KFACD_STORE(destination + i, bits);
    }
})

// float32 → bfloat16, to nearest even. `destination` need not be aligned. The code adds half of the last kept bit,
// minus one when that bit is even. This carries exactly when the value must be rounded up. A carry out of the largest
// finite value gives the pattern of infinity. A NaN would carry too, so it is made quiet instead.
KFACD_DISPATCHED(kfacd_float32_to_bfloat16, (const float *restrict source, void *destination, size_t count),
                 (source, destination, count), {
    char *bytes = (char *)destination;
    size_t i = 0;
    for (; i + 8 <= count; i += 8) {
        KFACD_LOAD(kfacd_uint32x8, bits, source + i);
        const kfacd_uint32x8 rounded = (bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16;
        const kfacd_uint32x8 quieted = (bits >> 16) | 0x40u;
        const kfacd_uint32x8 is_nan = (kfacd_uint32x8)((bits & 0x7FFFFFFFu) > 0x7F800000u);
        const kfacd_uint16x8 upper =
            __builtin_convertvector((is_nan & quieted) | (~is_nan & rounded), kfacd_uint16x8);
        KFACD_STORE(bytes + 2 * i, upper);
    }
    for (; i < count; i++) {
        KFACD_LOAD(uint32_t, bits, source + i);
        const uint32_t rounded = (bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16;
        const uint32_t quieted = (bits >> 16) | 0x40u;
        const uint16_t upper = (uint16_t)((bits & 0x7FFFFFFFu) > 0x7F800000u ? quieted : rounded);
        KFACD_STORE(bytes + 2 * i, upper);
    }
})

// sum[i] += weight · (values[i] − base[i]). `source` need not be aligned.
KFACD_DISPATCHED(kfacd_add_difference,
                 (float weight, const void *source, const float *restrict base, float *restrict sum, size_t count),
                 (weight, source, base, sum, count), {
    const char *bytes = (const char *)source;
    size_t i = 0;
    for (; i + 8 <= count; i += 8) {
        KFACD_LOAD(kfacd_float8, value, bytes + 4 * i);
        KFACD_LOAD(kfacd_float8, origin, base + i);
        KFACD_LOAD(kfacd_float8, total, sum + i);
        total += weight * (value - origin);
        KFACD_STORE(sum + i, total);
    }
    for (; i < count; i++) {
        KFACD_LOAD(float, value, bytes + 4 * i);
        sum[i] += weight * (value - base[i]);
    }
})

// The same with values of 16 bits, which are widened exactly on their way: a buffer for them would be written and read
// once more. `widen` makes eight of them fp32.
#define KFACD_ADD_WIDENED_DIFFERENCE(name, vector, widen) \
    KFACD_DISPATCHED(name, \
                     (float weight, const void *source, const float *restrict base, float *restrict sum, \
                      size_t count), \
                     (weight, source, base, sum, count), { \
        const char *bytes = (const char *)source; \
        size_t i = 0; \
        for (; i + 8 <= count; i += 8) { \
            KFACD_LOAD(vector, halves, bytes + 2 * i); \
            KFACD_LOAD(kfacd_float8, origin, base + i); \
            KFACD_LOAD(kfacd_float8, total, sum + i); \
            total += weight * (widen(halves) - origin); \
            KFACD_STORE(sum + i, total); \
        } \
        if (i < count) { \
            vector halves = {0}; \
            memcpy(&halves, bytes + 2 * i, 2 * (count - i)); \
            const kfacd_float8 values = widen(halves); \
            for (size_t lane = 0; i + lane < count; lane++) \
                sum[i + lane] += weight * (values[lane] - base[i + lane]); \
        } \
    })

#define KFACD_WIDEN_BFLOAT16(halves) ((kfacd_float8)(__builtin_convertvector(halves, kfacd_uint32x8) << 16))
#define KFACD_WIDEN_FLOAT16(halves) __builtin_convertvector(halves, kfacd_float8)

KFACD_ADD_WIDENED_DIFFERENCE(kfacd_add_bfloat16_difference, kfacd_uint16x8, KFACD_WIDEN_BFLOAT16)
KFACD_ADD_WIDENED_DIFFERENCE(kfacd_add_float16_difference, kfacd_half8, KFACD_WIDEN_FLOAT16)

// sum[i] = base[i] + scale · sum[i].
KFACD_DISPATCHED(kfacd_scale_and_add,
                 (float scale, const float *restrict base, float *restrict sum, size_t count),
                 (scale, base, sum, count), {
    size_t i = 0;
    for (; i + 8 <= count; i += 8) {
        KFACD_LOAD(kfacd_float8, origin, base + i);
        KFACD_LOAD(kfacd_float8, total, sum + i);
        total = origin + scale * total;
        KFACD_STORE(sum + i, total);
    }
    for (; i < count; i++) sum[i] = base[i] + scale * sum[i];
})

// sum[i] += row[i], widened. Adds one row of a chunk's fp32 triangle to the fp64 master.
KFACD_DISPATCHED(kfacd_add_widened, (const float *restrict row, double *restrict sum, size_t count),
                 (row, sum, count), {
    size_t i = 0;
    for (; i + 8 <= count; i += 8) {
        KFACD_LOAD(kfacd_float8, values, row + i);
        KFACD_LOAD(kfacd_double8, total, sum + i);
        total += __builtin_convertvector(values, kfacd_double8);
        KFACD_STORE(sum + i, total);
    }
    for (; i < count; i++) sum[i] += (double)row[i];
})

// sums[j] += Σ_i rows[i][j] in fp64. Eight rows are added at a time, so that each sum passes through the first-level
// cache once for eight rows. The order is fixed.
KFACD_DISPATCHED(kfacd_add_column_sums,
                 (const float *restrict rows, size_t row_count, size_t column_count, double *restrict sums),
                 (rows, row_count, column_count, sums), {
    size_t i = 0;
    for (; i + 8 <= row_count; i += 8) {
        const float *first = rows + i * column_count;
        size_t j = 0;
        for (; j + 8 <= column_count; j += 8) {
            KFACD_LOAD(kfacd_double8, total, sums + j);
            for (size_t k = 0; k < 8; k += 2) {
                KFACD_LOAD(kfacd_float8, even, first + k * column_count + j);
                KFACD_LOAD(kfacd_float8, odd, first + (k + 1) * column_count + j);
                total += __builtin_convertvector(even, kfacd_double8) + __builtin_convertvector(odd, kfacd_double8);
            }
            KFACD_STORE(sums + j, total);
        }
        for (; j < column_count; j++)
            for (size_t k = 0; k < 8; k += 2)
                sums[j] += (double)first[k * column_count + j] + (double)first[(k + 1) * column_count + j];
    }
    for (; i < row_count; i++)
        for (size_t j = 0; j < column_count; j++) sums[j] += (double)rows[i * column_count + j];
})

// Σ x[i] · y[i] in fp64.
KFACD_DISPATCHED(kfacd_dot_widened, (const float *x, const float *y, size_t count, double *result),
                 (x, y, count, result), {
    kfacd_double8 low = {0};
    kfacd_double8 high = {0};
    size_t i = 0;
    for (; i + 16 <= count; i += 16) {
        KFACD_LOAD(kfacd_float8, x_low, x + i);
        KFACD_LOAD(kfacd_float8, y_low, y + i);
        KFACD_LOAD(kfacd_float8, x_high, x + i + 8);
        KFACD_LOAD(kfacd_float8, y_high, y + i + 8);
        low += __builtin_convertvector(x_low, kfacd_double8) * __builtin_convertvector(y_low, kfacd_double8);
        high += __builtin_convertvector(x_high, kfacd_double8) * __builtin_convertvector(y_high, kfacd_double8);
    }
    double tail = 0;
    for (; i < count; i++) tail += (double)x[i] * (double)y[i];
    low += high;
    double lanes[8];
    KFACD_STORE(lanes, low);
    *result = KFACD_SUM_LANES(lanes) + tail;
})

// sums[j] += |row[j]| and *total = Σ |row[j]|. A row of a symmetric matrix's triangle counts in its own column sum and
// in the sums of the columns that it crosses.
KFACD_DISPATCHED(kfacd_add_magnitudes, (const double *restrict row, double *restrict sums, size_t count, double *total),
                 (row, sums, count, total), {
    kfacd_double8 all = {0};
    size_t i = 0;
    for (; i + 8 <= count; i += 8) {
        KFACD_LOAD(kfacd_double8, values, row + i);
        KFACD_LOAD(kfacd_double8, column, sums + i);
        const kfacd_double8 magnitudes = __builtin_elementwise_abs(values);
        column += magnitudes;
        all += magnitudes;
        KFACD_STORE(sums + i, column);
    }
    double tail = 0;
    for (; i < count; i++) {
        const double magnitude = __builtin_fabs(row[i]);
        sums[i] += magnitude;
        tail += magnitude;
    }
    double lanes[8];
    KFACD_STORE(lanes, all);
    *total = KFACD_SUM_LANES(lanes) + tail;
})

#endif
