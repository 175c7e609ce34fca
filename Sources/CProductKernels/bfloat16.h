// The product XᵀX of rows whose fp32 elements are exact in bfloat16, by the instruction VDPBF16PS (AVX512-BF16).
//
// A product of two bfloat16 numbers is exact in fp32. VDPBF16PS adds two of them to each of sixteen sums, and rounds
// after each addition; so the bits of a sum are defined by the order of the rows, on every processor that has it. It
// takes and gives subnormal numbers as zero.
//
// Rows are taken in blocks. A block is packed once: each 32-bit word holds the elements of two neighbouring rows in one
// column, and 48 columns lie side by side. Eight columns times 48 columns are summed in 24 registers.
#ifndef KFACD_BFLOAT16_KERNELS_H
#define KFACD_BFLOAT16_KERNELS_H

#include <stddef.h>
#include <stdint.h>

enum {
    // Rows of a block. Its panels of 48 columns fit in a first-level cache of 32 KiB.
    KFACD_BFLOAT16_BLOCK_ROWS = 256,
    KFACD_BFLOAT16_PANEL_COLUMNS = 48,
    KFACD_BFLOAT16_TILE_ROWS = 8,
};

#if defined(__x86_64__)
#include <immintrin.h>

#define KFACD_BFLOAT16 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")))

static inline int kfacd_bfloat16_is_supported(void) {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512bf16");
}

#define KFACD_BFLOAT16_SUBNORMAL(vector) _mm512_fpclass_ps_mask(vector, 0x20)

// Packs a block. Returns 0 if an element is not exact in bfloat16, or is subnormal.
KFACD_BFLOAT16 static inline int kfacd_bfloat16_pack(const float *rows, size_t row_count, size_t columns,
                                                     uint32_t *packed) {
    const size_t pairs = (row_count + 1) / 2;
    const __m512i high = _mm512_set1_epi32((int)0xffff0000);
    __m512i rest = _mm512_setzero_si512();
    __mmask16 faint = 0;
    for (size_t first = 0; first < columns; first += KFACD_BFLOAT16_PANEL_COLUMNS) {
        for (size_t pair = 0; pair < pairs; pair++) {
            const float *even = rows + 2 * pair * columns;
            const int has_odd = 2 * pair + 1 < row_count;
            for (size_t offset = 0; offset < KFACD_BFLOAT16_PANEL_COLUMNS; offset += 16) {
                const size_t column = first + offset;
                const size_t left = columns > column ? columns - column : 0;
                const __mmask16 lanes = left >= 16 ? 0xffff : (__mmask16)((1u << left) - 1);
                const __m512 low_values = _mm512_maskz_loadu_ps(lanes, even + column);
                const __m512 high_values = _mm512_maskz_loadu_ps(has_odd ? lanes : 0, even + columns + column);
                const __m512i low_bits = _mm512_castps_si512(low_values);
                const __m512i high_bits = _mm512_castps_si512(high_values);
                rest = _mm512_or_si512(rest, _mm512_or_si512(low_bits, high_bits));
                faint |= KFACD_BFLOAT16_SUBNORMAL(low_values) | KFACD_BFLOAT16_SUBNORMAL(high_values);
                _mm512_store_si512(packed, _mm512_or_si512(_mm512_srli_epi32(low_bits, 16),
                                                           _mm512_and_si512(high_bits, high)));
                packed += 16;
            }
        }
    }
    return faint == 0 && _mm512_testn_epi32_mask(rest, _mm512_set1_epi32(0xffff)) == 0xffff;
}

// Defines a tile: the sums of eight packed columns with 16 · vectors others, written to or added to `sums`. Of the last
// vector only `last` lanes are written, and only `row_count` rows.
#define KFACD_BFLOAT16_TILE(vectors) \
    KFACD_BFLOAT16 static inline void kfacd_bfloat16_tile_##vectors( \
        const uint32_t *left, const uint32_t *right, size_t pairs, float *sums, size_t stride, int adds, \
        size_t row_count, __mmask16 last) { \
        __m512 tile[KFACD_BFLOAT16_TILE_ROWS][vectors]; \
        _Pragma("clang loop unroll(full)") for (int i = 0; i < KFACD_BFLOAT16_TILE_ROWS; i++) { \
            _Pragma("clang loop unroll(full)") for (int v = 0; v < vectors; v++) tile[i][v] = _mm512_setzero_ps(); \
        } \
        for (size_t pair = 0; pair < pairs; pair++) { \
            __m512bh others[vectors]; \
            _Pragma("clang loop unroll(full)") for (int v = 0; v < vectors; v++) { \
                others[v] = (__m512bh)_mm512_load_si512(right + 16 * v); \
            } \
            _Pragma("clang loop unroll(full)") for (int i = 0; i < KFACD_BFLOAT16_TILE_ROWS; i++) { \
                const __m512bh own = (__m512bh)_mm512_set1_epi32((int)left[i]); \
                _Pragma("clang loop unroll(full)") for (int v = 0; v < vectors; v++) { \
                    tile[i][v] = _mm512_dpbf16_ps(tile[i][v], own, others[v]); \
                } \
            } \
            left += KFACD_BFLOAT16_PANEL_COLUMNS; \
            right += KFACD_BFLOAT16_PANEL_COLUMNS; \
        } \
        _Pragma("clang loop unroll(full)") for (int i = 0; i < KFACD_BFLOAT16_TILE_ROWS; i++) { \
            if ((size_t)i >= row_count) break; \
            _Pragma("clang loop unroll(full)") for (int v = 0; v < vectors; v++) { \
                const __mmask16 lanes = v == vectors - 1 ? last : (__mmask16)0xffff; \
                float *target = sums + (size_t)i * stride + 16 * v; \
                __m512 sum = tile[i][v]; \
                if (adds) sum = _mm512_add_ps(sum, _mm512_maskz_loadu_ps(lanes, target)); \
                _mm512_mask_storeu_ps(target, lanes, sum); \
            } \
        } \
    }

KFACD_BFLOAT16_TILE(1)
KFACD_BFLOAT16_TILE(2)
KFACD_BFLOAT16_TILE(3)

// Sets the lower triangle of sums[columns][columns] to rowsᵀ · rows; elements just above the diagonal are overwritten
// too. Returns 0 if an element is not exact in bfloat16; `sums` is then undefined. `scratch` is aligned to 64 bytes,
// and has 4 bytes for each column, rounded up to a panel, and each pair of a block's rows.
KFACD_BFLOAT16 static inline int kfacd_bfloat16_product(const float *rows, size_t row_count, size_t columns,
                                                        float *sums, void *scratch) {
    uint32_t *packed = (uint32_t *)scratch;
    for (size_t first = 0; first < row_count; first += KFACD_BFLOAT16_BLOCK_ROWS) {
        const size_t left = row_count - first;
        const size_t block = left < KFACD_BFLOAT16_BLOCK_ROWS ? left : KFACD_BFLOAT16_BLOCK_ROWS;
        const size_t pairs = (block + 1) / 2;
        if (!kfacd_bfloat16_pack(rows + first * columns, block, columns, packed)) return 0;
        for (size_t panel = 0; panel < columns; panel += KFACD_BFLOAT16_PANEL_COLUMNS) {
            const uint32_t *others = packed + panel * pairs;
            for (size_t row = panel; row < columns; row += KFACD_BFLOAT16_TILE_ROWS) {
                const size_t own_panel = row / KFACD_BFLOAT16_PANEL_COLUMNS * KFACD_BFLOAT16_PANEL_COLUMNS;
                const uint32_t *own = packed + own_panel * pairs + (row - own_panel);
                const size_t rest = columns - row;
                const size_t tile_rows = rest < KFACD_BFLOAT16_TILE_ROWS ? rest : KFACD_BFLOAT16_TILE_ROWS;
                const size_t below = row + tile_rows - panel;
                const size_t width = below < KFACD_BFLOAT16_PANEL_COLUMNS ? below : KFACD_BFLOAT16_PANEL_COLUMNS;
                const size_t vectors = (width + 15) / 16;
                const __mmask16 last = (__mmask16)((1u << (width - 16 * (vectors - 1))) - 1);
                float *target = sums + row * columns + panel;
                if (vectors == 3)
                    kfacd_bfloat16_tile_3(own, others, pairs, target, columns, first > 0, tile_rows, last);
                else if (vectors == 2)
                    kfacd_bfloat16_tile_2(own, others, pairs, target, columns, first > 0, tile_rows, last);
                else
                    kfacd_bfloat16_tile_1(own, others, pairs, target, columns, first > 0, tile_rows, last);
            }
        }
    }
    return 1;
}
#else
static inline int kfacd_bfloat16_is_supported(void) { return 0; }
static inline int kfacd_bfloat16_product(const float *rows, size_t row_count, size_t columns, float *sums,
                                         void *scratch) {
    (void)rows, (void)row_count, (void)columns, (void)sums, (void)scratch;
    return 0;
}
#endif

#endif
