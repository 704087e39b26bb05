/* Products in the tiles of AMX, for sixteen rows at a time (Intel's processors from Sapphire Rapids on;
 * "Architecture Instruction Set Extensions", chapter 3), and which product is taken when.
 *
 * TDPBF16PS adds to 16 x 16 sums in fp32 the products of 16 x 32 and 32 x 16 numbers in bfloat16,
 * TDPBUSD in int32 those of 16 x 64 and 64 x 16 bytes. Weights and rows lie as they do for pairs
 * (pairs.h) and fours (fours.h): a piece of rows is a tile. */

#ifndef MIDIGEN_TILES_H
#define MIDIGEN_TILES_H

#include "pairs.h"

#if HAS_TILES
#include "../../../midigen/layers/native/setup.h"
#include <cpuid.h>

#define WHOLE_TILE (TILE_ROWS * TILE_BYTES)
/* Tiles, the first ones, that have a row for each that is multiplied: sums and rows. */
#define OF_ROWS 6
/* Rows, so few that VNNI is as quick. */
#define FEW 4

/* Whether processor and system let this process use tiles. */
static int tiles_run(void) {
    const unsigned bf16 = 1u << 22, tile = 1u << 24, int8 = 1u << 25; /* CPUID 7, EDX */
    const unsigned narrow = 1u << 5;                                  /* CPUID 7, 1, EAX */
    unsigned a, b, c, d;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || ~d & (bf16 | tile | int8))
        return 0;
    if (!__get_cpuid_count(7, 1, &a, &b, &c, &d) || ~a & narrow)
        return 0;
    return tiles_granted();
}

INLINE void fetch_tiles(const char *w) {
    for (int i = 0; i < 2 * WHOLE_TILE; i += LINE)
        FETCH(w + i);
}

/* `row` is a multiple of sixteen. Of more rows than that what is behind the last one is multiplied,
 * too, and left there. */
static void product_pairs(const struct matrix *m, int64_t block, const struct rows *rows,
                          int64_t row, int count, floats y[][2]) {
    const int64_t K = padded(m->inputs, DEPTH), bytes = 2 * K;
    const char *w = (const char *)m->weights + block * bytes * BLOCK;
    const char *x = (const char *)rows->upper + row * bytes;
    _tile_zero(0);
    _tile_zero(1);
    for (int64_t k = 0; k < bytes; k += TILE_BYTES) {
        fetch_tiles(w + AHEAD);
        _tile_loadd(4, x, TILE_BYTES);
        _tile_loadd(6, w, 2 * TILE_BYTES);
        _tile_dpbf16ps(0, 4, 6);
        _tile_loadd(7, w + TILE_BYTES, 2 * TILE_BYTES);
        _tile_dpbf16ps(1, 4, 7);
        w += 2 * WHOLE_TILE, x += WHOLE_TILE;
    }
    floats sums[2][TILE_ROWS];
    _tile_stored(0, sums[0], TILE_BYTES);
    _tile_stored(1, sums[1], TILE_BYTES);
    for (int r = 0; r < count; r++)
        for (int half = 0; half < 2; half++)
            y[r][half] = sums[half][r];
}

/* The same of bytes in fours. Tiles 0 to 3 have the sums of the lower and upper LANES of a block with
 * the rows' upper bytes, and with the lower ones. */
static void product_tiled_fours(const struct matrix *m, int64_t block, const struct rows *rows,
                                int64_t row, int count, floats y[][2]) {
    const int64_t K = padded(m->inputs, DEPTH);
    const char *w = (const char *)m->weights + block * K * BLOCK;
    const char *upper = (const char *)rows->upper + row * K;
    const char *lower = (const char *)rows->lower + row * K;
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (int64_t k = 0; k < K; k += TILE_BYTES) {
        fetch_tiles(w + AHEAD);
        _tile_loadd(4, upper, TILE_BYTES);
        _tile_loadd(6, w, 2 * TILE_BYTES);
        _tile_dpbusd(0, 4, 6);
        _tile_loadd(7, w + TILE_BYTES, 2 * TILE_BYTES);
        _tile_dpbusd(1, 4, 7);
        _tile_loadd(5, lower, TILE_BYTES);
        _tile_dpbusd(2, 5, 6);
        _tile_dpbusd(3, 5, 7);
        w += 2 * WHOLE_TILE, upper += WHOLE_TILE, lower += WHOLE_TILE;
    }
    __m512i sums[4][TILE_ROWS];
    _tile_stored(0, sums[0], TILE_BYTES);
    _tile_stored(1, sums[1], TILE_BYTES);
    _tile_stored(2, sums[2], TILE_BYTES);
    _tile_stored(3, sums[3], TILE_BYTES);
    for (int r = 0; r < count; r++)
        for (int half = 0; half < 2; half++)
            y[r][half] = joined(m, block, half, sums[half][r], sums[2 + half][r],
                               rows->scale[row + r]);
}
#else
#define OF_ROWS 0
struct tiles {
    char none;
};
static int tiles_run(void) { return 1; }
static void tiles_begin(struct tiles *before, int many, int rows) {
    (void)before, (void)many, (void)rows;
}
static void tiles_end(const struct tiles *before) { (void)before; }
#endif

/* Return how so many rows are multiplied. */
static product *product_of(enum precision precision, int64_t rows) {
    static product *const products[] = {product_fp32, product_bf16, product_int8, product_fours,
                                        product_pairs};
#if HAS_TILES
    if (precision == INT8_IN_FOURS && rows > FEW)
        return product_tiled_fours;
#endif
    (void)rows;
    return products[precision];
}

/* Narrow one of all rows (K,) as it is multiplied. */
static void narrow(enum precision precision, const struct rows *rows, int64_t row, int64_t K) {
#if HAS_PAIRS
    if (precision == BF16_IN_PAIRS) {
        round_in_pairs(rows, row, K);
        return;
    }
#endif
    (void)precision;
    halve(rows, row, K);
}

/* What weights must look like here. */
static enum precision kind_of(enum precision precision) {
    if (precision == BF16 && HAS_PAIRS)
        return BF16_IN_PAIRS;
    return precision == INT8 ? INT8_KIND : precision;
}

#endif
