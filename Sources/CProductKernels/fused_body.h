// The kernel of fused.h for one set of instructions, which includes this text with these macros set:
// KFACD_FUSED(name) names a function, KFACD_FUSED_TARGET has the instructions, KFACD_FUSED_TILE_ROWS and
// KFACD_FUSED_TILE_VECTORS are a tile's shape. The shape divides a panel.

// Copies a block into panels. Columns beyond the last hold anything, and reach no element of the product.
KFACD_FUSED_TARGET static inline void KFACD_FUSED(kfacd_fused_pack)(const float *rows, size_t row_count,
                                                                   size_t columns, float *packed) {
    const size_t panel = KFACD_FUSED_PANEL_COLUMNS;
    const float *end = rows + row_count * columns;
    for (size_t first = 0; first < columns; first += panel) {
        const size_t width = columns - first < panel ? columns - first : panel;
        for (size_t row = 0; row < row_count; row++) {
            const float *source = rows + row * columns + first;
            for (size_t offset = 0; offset < width; offset += KFACD_FUSED_LANES) {
                if (source + offset + KFACD_FUSED_LANES <= end) {
                    kfacd_fused_vector elements;
                    memcpy(&elements, source + offset, sizeof elements);
                    memcpy(packed + offset, &elements, sizeof elements);
                } else {
                    for (size_t lane = offset; lane < offset + KFACD_FUSED_LANES; lane++)
                        packed[lane] = lane < width ? source[lane] : 0;
                }
            }
            packed += panel;
        }
    }
}

// Defines a tile: the sums of neighbouring packed columns with 16 · vectors others, written to or added to `sums`, of
// which only `row_count` rows and `column_count` columns exist.
#define KFACD_FUSED_TILE(vectors) \
    KFACD_FUSED_TARGET static inline void KFACD_FUSED(kfacd_fused_tile_##vectors)( \
        const float *left, const float *right, size_t block_rows, float *sums, size_t stride, int adds, \
        size_t row_count, size_t column_count) { \
        kfacd_fused_vector tile[KFACD_FUSED_TILE_ROWS][vectors] = {}; \
        for (size_t row = 0; row < block_rows; row++) { \
            kfacd_fused_vector others[vectors]; \
            memcpy(others, right, sizeof others); \
            _Pragma("clang loop unroll(full)") for (int i = 0; i < KFACD_FUSED_TILE_ROWS; i++) { \
                const kfacd_fused_vector own = left[i] - (kfacd_fused_vector){}; \
                _Pragma("clang loop unroll(full)") for (int v = 0; v < vectors; v++) \
                    tile[i][v] = __builtin_elementwise_fma(own, others[v], tile[i][v]); \
            } \
            left += KFACD_FUSED_PANEL_COLUMNS; \
            right += KFACD_FUSED_PANEL_COLUMNS; \
        } \
        _Pragma("clang loop unroll(full)") for (int i = 0; i < KFACD_FUSED_TILE_ROWS; i++) { \
            if ((size_t)i >= row_count) break; \
            _Pragma("clang loop unroll(full)") for (int v = 0; v < vectors; v++) { \
                float *target = sums + (size_t)i * stride + KFACD_FUSED_LANES * v; \
                const size_t before = (size_t)KFACD_FUSED_LANES * v; \
                if (before + KFACD_FUSED_LANES <= column_count) { \
                    kfacd_fused_vector sum = tile[i][v]; \
                    if (adds) { \
                        kfacd_fused_vector known; \
                        memcpy(&known, target, sizeof known); \
                        sum = known + sum; \
                    } \
                    memcpy(target, &sum, sizeof sum); \
                } else { \
                    float lanes[KFACD_FUSED_LANES]; \
                    memcpy(lanes, &tile[i][v], sizeof lanes); \
                    for (size_t lane = 0; before + lane < column_count; lane++) \
                        target[lane] = adds ? target[lane] + lanes[lane] : lanes[lane]; \
                } \
            } \
        } \
    }

KFACD_FUSED_TILE(1)
#if KFACD_FUSED_TILE_VECTORS == 3
KFACD_FUSED_TILE(2)
KFACD_FUSED_TILE(3)
#endif

KFACD_FUSED_TARGET static inline void KFACD_FUSED(kfacd_fused_product)(const float *rows, size_t row_count,
                                                                      size_t columns, float *sums, float *packed) {
    const size_t panel = KFACD_FUSED_PANEL_COLUMNS;
    const size_t tile_columns = KFACD_FUSED_TILE_VECTORS * KFACD_FUSED_LANES;
    for (size_t first = 0; first < row_count; first += KFACD_FUSED_BLOCK_ROWS) {
        const size_t left = row_count - first;
        const size_t block = left < KFACD_FUSED_BLOCK_ROWS ? left : KFACD_FUSED_BLOCK_ROWS;
        KFACD_FUSED(kfacd_fused_pack)(rows + first * columns, block, columns, packed);
        for (size_t column = 0; column < columns; column += tile_columns) {
            const float *others = packed + column / panel * panel * block + column % panel;
            // The first tile holds the diagonal element of this column.
            for (size_t row = column / KFACD_FUSED_TILE_ROWS * KFACD_FUSED_TILE_ROWS; row < columns;
                 row += KFACD_FUSED_TILE_ROWS) {
                const float *own = packed + row / panel * panel * block + row % panel;
                const size_t rows_below = columns - row;
                const size_t height = rows_below < KFACD_FUSED_TILE_ROWS ? rows_below : KFACD_FUSED_TILE_ROWS;
                const size_t width = columns - column;
                float *target = sums + row * columns + column;
#if KFACD_FUSED_TILE_VECTORS == 3
                const size_t to_diagonal = row + height - column;
                if (to_diagonal > 2 * KFACD_FUSED_LANES && width > 2 * KFACD_FUSED_LANES) {
                    KFACD_FUSED(kfacd_fused_tile_3)(own, others, block, target, columns, first > 0, height, width);
                    continue;
                }
                if (to_diagonal > KFACD_FUSED_LANES && width > KFACD_FUSED_LANES) {
                    KFACD_FUSED(kfacd_fused_tile_2)(own, others, block, target, columns, first > 0, height, width);
                    continue;
                }
#endif
                KFACD_FUSED(kfacd_fused_tile_1)(own, others, block, target, columns, first > 0, height, width);
            }
        }
    }
}

#undef KFACD_FUSED_TILE
#undef KFACD_FUSED
#undef KFACD_FUSED_TARGET
#undef KFACD_FUSED_TILE_ROWS
#undef KFACD_FUSED_TILE_VECTORS
