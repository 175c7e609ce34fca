// The product XᵀX of narrow fp32 rows, by fused multiply-adds in an order that no processor changes.
//
// OpenBLAS is made for wide matrices: at 64 columns it does half to two thirds of its operations per second at 768.
// Here a block of rows is copied once into panels of 48 columns, and the lower triangle is summed in tiles that stay in
// registers.
//
// Rows are taken in blocks of 128. An element's sum over a block begins with zero and takes one fused multiply-add for
// each row, in the order of the rows. Sums of blocks are added in their order. A tile's shape changes no bit of that,
// so AVX2 and AVX-512 give equal bits.
#ifndef KFACD_FUSED_H
#define KFACD_FUSED_H

#include <stddef.h>
#include <string.h>

enum {
    // Rows of a block.
    KFACD_FUSED_BLOCK_ROWS = 128,
    KFACD_FUSED_PANEL_COLUMNS = 48,
};

// The instructions of a kernel.
enum {
    KFACD_FUSED_NONE = 0,
    // AVX2 and FMA.
    KFACD_FUSED_AVX2 = 1,
    // These and AVX-512 F.
    KFACD_FUSED_AVX512 = 2,
};

#if defined(__x86_64__)
typedef float kfacd_fused_vector __attribute__((vector_size(64)));

enum { KFACD_FUSED_LANES = 16 };

// The best instructions of this processor.
static inline int kfacd_fused_instructions(void) {
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return KFACD_FUSED_NONE;
    return __builtin_cpu_supports("avx512f") ? KFACD_FUSED_AVX512 : KFACD_FUSED_AVX2;
}

// The sums of a tile fill 24 of 32 registers with 16 lanes, or 12 of 16 with 8.
#define KFACD_FUSED(name) name##_avx512
#define KFACD_FUSED_TARGET __attribute__((target("avx512f,avx2,fma")))
#define KFACD_FUSED_TILE_ROWS 8
#define KFACD_FUSED_TILE_VECTORS 3
#include "fused_body.h"

#define KFACD_FUSED(name) name##_avx2
#define KFACD_FUSED_TARGET __attribute__((target("avx2,fma")))
#define KFACD_FUSED_TILE_ROWS 6
#define KFACD_FUSED_TILE_VECTORS 1
#include "fused_body.h"

// Sets the lower triangle of sums[columns][columns] to rowsᵀ · rows; elements above the diagonal may be overwritten
// too. The processor must have the instructions. `scratch` is aligned to 64 bytes, and has 4 bytes for each column,
// rounded up to a panel, and each row of a block.
static inline void kfacd_fused_product(int instructions, const float *rows, size_t row_count, size_t columns,
                                       float *sums, void *scratch) {
    if (instructions == KFACD_FUSED_AVX512)
        kfacd_fused_product_avx512(rows, row_count, columns, sums, (float *)scratch);
    else
        kfacd_fused_product_avx2(rows, row_count, columns, sums, (float *)scratch);
}
#else
static inline int kfacd_fused_instructions(void) { return KFACD_FUSED_NONE; }
static inline void kfacd_fused_product(int instructions, const float *rows, size_t row_count, size_t columns,
                                       float *sums, void *scratch) {
    (void)instructions, (void)rows, (void)row_count, (void)columns, (void)sums, (void)scratch;
}
#endif

#endif
