/* Products of bfloat16, added up in fp32 two at a time (VDPBF16PS: processors with AVX512_BF16; tiles.h
 * has the same in AMX's tiles).
 *
 * Weights lie in pairs of inputs: (N / BLOCK, K / 2, BLOCK, 2). Rows are rounded to bfloat16, too, and
 * lie in the pieces of fours.h: (R / 16, K / 32, 16, 32). */

#ifndef MIDIGEN_PAIRS_H
#define MIDIGEN_PAIRS_H

#include "fours.h"

#if HAS_PAIRS

/* Round a row (K,); behind its last number are zeros. */
static void round_in_pairs(const struct rows *rows, int64_t row, int64_t K) {
    const int64_t D = padded(K, DEPTH);
    const float *x = rows->x + row * K;
    uint8_t *to = rows->upper + in_pieces(row, 2 * D);
    for (int64_t k = 0; k < D; k += 2 * LANES, to += WHOLE_PIECE) {
        __m512 a = k < K ? (__m512)load(x + k) : _mm512_setzero_ps();
        __m512 b = k + LANES < K ? (__m512)load(x + k + LANES) : _mm512_setzero_ps();
        _mm512_storeu_si512(to, (__m512i)_mm512_cvtne2ps_pbh(b, a));
    }
}

#if !HAS_TILES
/* Pieces of rows that are multiplied before the next ones: so many meet 16 KiB of weights. */
#define PIECES 8

/* Add two products to each of sixteen sums. */
INLINE floats add_pairs(floats sum, __m512i x, __m512i w) {
    __asm__("vdpbf16ps %2, %1, %0" : "+v"(sum) : "v"(x), "v"(w));
    return sum;
}

/* Add to y (count, 2) what some pieces of rows give; fetch `lines` lines a pair, from `next` on. */
INLINE void multiply_pairs(const char *w, const uint8_t *x, int pieces, int count, const char *next,
                           int lines, floats y[][2]) {
    floats sum[TILE][2];
    for (int r = 0; r < count; r++)
        for (int half = 0; half < 2; half++)
            sum[r][half] = y[r][half];
    for (int piece = 0; piece < pieces; piece++, w += 2 * WHOLE_PIECE, x += WHOLE_PIECE)
        for (int p = 0; p < LANES; p++) {
            for (int i = 0; i < lines; i++, next += LINE)
                FETCH(next);
            const __m512i a = _mm512_loadu_si512(w + 2 * p * LINE);
            const __m512i b = _mm512_loadu_si512(w + (2 * p + 1) * LINE);
            for (int r = 0; r < count; r++) {
                /* Two of bfloat16 are as wide as four bytes. */
                const __m512i both = four(x + r * PIECE_BYTES + 4 * p);
                sum[r][0] = add_pairs(sum[r][0], both, a);
                sum[r][1] = add_pairs(sum[r][1], both, b);
            }
        }
    for (int r = 0; r < count; r++)
        for (int half = 0; half < 2; half++)
            y[r][half] = sum[r][half];
}

/* One way a number of rows: they stay in registers. */
#define PAIRS_OF(count, lines)                                                                     \
    case count:                                                                                    \
        multiply_pairs(w, x, pieces, count, next, lines, y);                                       \
        break;
#define SOME_PAIRS(name, lines)                                                                    \
    static void name(const char *w, const uint8_t *x, int pieces, int count, const char *next,     \
                     floats y[][2]) {                                                              \
        switch (count) {                                                                           \
            UP_TO_8(PAIRS_OF, lines)                                                               \
        }                                                                                          \
    }
SOME_PAIRS(pairs_once, 2)
SOME_PAIRS(pairs_again, 1)

/* `row` is a multiple of sixteen. A block has two lines a pair; where rows are more than stay in
 * registers, the next weights are fetched: half with the first of them, half with others. */
static void product_pairs(const struct matrix *m, int64_t block, const struct rows *rows,
                          int64_t row, int count, floats y[][2]) {
    const int64_t K = padded(m->inputs, DEPTH), bytes = 2 * K;
    const char *w = (const char *)m->weights + block * bytes * BLOCK;
    const uint8_t *x = rows->upper + row * bytes;
    for (int r = 0; r < count; r++)
        y[r][0] = y[r][1] = (floats){0};
    for (int64_t left = bytes / PIECE_BYTES; left > 0; left -= PIECES) {
        const int pieces = left < PIECES ? (int)left : PIECES;
        const int64_t size = pieces * 2 * WHOLE_PIECE;
        if (count <= TILE)
            pairs_once(w, x, pieces, count, w + AHEAD, y);
        else {
            pairs_again(w, x, pieces, TILE, w + size, y);
            pairs_again(w, x + TILE * PIECE_BYTES, pieces, count - TILE, w + size + size / 2,
                        y + TILE);
        }
        w += size, x += pieces * WHOLE_PIECE;
    }
}
#endif
#else
#define product_pairs 0
#endif

#endif
