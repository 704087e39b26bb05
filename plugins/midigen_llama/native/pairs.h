/* Products of bfloat16 with bfloat16, two at a time, added up in fp32 (VDPBF16PS: Intel's and AMD's
 * processors with AVX512_BF16; tiles.h has the same in AMX's tiles).
 *
 * Weights lie in pairs of inputs: (N / BLOCK, K / 2, BLOCK, 2). Rows are rounded to bfloat16
 * and lie in pieces of sixteen of them, 64 bytes each: (R / 16, K / 32, 16, 32). */

#ifndef MIDIGEN_PAIRS_H
#define MIDIGEN_PAIRS_H

#include "fours.h"

#if HAS_PAIRS

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
/* Pieces of weights that all rows are multiplied by before the next ones: 16 KiB. */
#define PIECES 8

/* Add two products to each of sixteen sums. */
INLINE floats add_pairs(floats sum, __m512i x, __m512i w) {
    __asm__("vdpbf16ps %2, %1, %0" : "+v"(sum) : "v"(x), "v"(w));
    return sum;
}

/* Add to y (count, 2) what some pieces give; fetch `lines` lines from `next` on meanwhile. */
INLINE void multiply_pairs(const char *w, const uint8_t *x, int pieces, int count, const char *next,
                           int lines, floats y[][2]) {
    floats sum[TILE][2];
    for (int r = 0; r < count; r++)
        for (int half = 0; half < 2; half++)
            sum[r][half] = y[r][half];
    for (int piece = 0; piece < pieces; piece++, w += 2 * WHOLE_PIECE, x += WHOLE_PIECE)
        for (int p = 0; p < 2 * LANES / 2; p++) {
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
#define PAIRS_OF(rows)                                                                             \
    case rows:                                                                                     \
        multiply_pairs(w, x, pieces, rows, next, lines, y);                                        \
        break;
#define SOME_PAIRS(name, ahead)                                                                    \
    static void name(const char *w, const uint8_t *x, int pieces, int count, const char *next,     \
                     floats y[][2]) {                                                              \
        const int lines = ahead;                                                                   \
        switch (count) {                                                                           \
            PAIRS_OF(1)                                                                            \
            PAIRS_OF(2)                                                                            \
            PAIRS_OF(3)                                                                            \
            PAIRS_OF(4)                                                                            \
            PAIRS_OF(5)                                                                            \
            PAIRS_OF(6)                                                                            \
            PAIRS_OF(7)                                                                            \
            PAIRS_OF(8)                                                                            \
        }                                                                                          \
    }
SOME_PAIRS(pairs_one, 1)
SOME_PAIRS(pairs_two, 2)

/* `row` is a multiple of sixteen. Of more than TILE rows each half fetches half of what is next. */
static void product_pairs(const struct matrix *m, int64_t block, const struct rows *rows,
                          int64_t row, int count, floats y[][2]) {
    const int64_t K = padded(m->inputs, DEPTH), bytes = 2 * K;
    const char *w = (const char *)m->weights + block * bytes * BLOCK;
    const uint8_t *x = rows->upper + row * bytes;
    for (int r = 0; r < count; r++)
        y[r][0] = y[r][1] = (floats){0};
    for (int64_t left = K / (2 * LANES); left > 0; left -= PIECES) {
        const int pieces = left < PIECES ? (int)left : PIECES;
        const char *next = w + PIECES * 2 * WHOLE_PIECE;
        if (count <= TILE)
            pairs_two(w, x, pieces, count, w + AHEAD, y);
        else {
            pairs_one(w, x, pieces, TILE, next, y);
            pairs_one(w, x + TILE * PIECE_BYTES, pieces, count - TILE,
                      next + pieces * WHOLE_PIECE, y + TILE);
        }
        w += pieces * 2 * WHOLE_PIECE, x += pieces * WHOLE_PIECE;
    }
}
#endif
#else
#define product_pairs 0
#endif

#endif
