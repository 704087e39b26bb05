/* Products of whole numbers: sixteen bits of what is multiplied with eight of weights, added up in 32
 * (VPDPBUSD: processors with AVX512_VNNI; tiles.h has the same in AMX's tiles, to the last bit).
 *
 * Weights lie in fours of inputs: (N / BLOCK, K / 4, BLOCK, 4). A row has a scale; the upper bytes of
 * its numbers, and the lower ones, lie in pieces of sixteen rows, 64 bytes each. */

#ifndef MIDIGEN_FOURS_H
#define MIDIGEN_FOURS_H

#include "products.h"

#if defined(__AVX512VNNI__)
#define INT8_KIND INT8_IN_FOURS

#define PIECE_ROWS 16
#define PIECE_BYTES 64
#define WHOLE_PIECE (PIECE_ROWS * PIECE_BYTES)

/* Return where a row begins in pieces, of so many bytes a row. */
INLINE int64_t in_pieces(int64_t row, int64_t bytes) {
    return row / PIECE_ROWS * PIECE_ROWS * bytes + row % PIECE_ROWS * PIECE_BYTES;
}

/* Write a row (K,) as 16 bits: x = scale * (256 * (upper - 128) + lower). What is behind its last
 * number meets weights of 0. */
static void halve(const struct rows *rows, int64_t row, int64_t K) {
    const float *x = rows->x + row * K;
    const float scale = rows->scale[row] = largest(x, K) / 32767.0f, per = 1.0f / scale;
    const int64_t at = in_pieces(row, padded(K, DEPTH));
    for (int64_t k = 0; k < K; k += LANES) {
        const __m512i whole = (__m512i)(whole_numbers(load(x + k) * per) + 32768);
        const int64_t to = at + k / PIECE_BYTES * WHOLE_PIECE + k % PIECE_BYTES;
        _mm_storeu_si128((__m128i *)(rows->upper + to),
                         _mm512_cvtepi32_epi8(_mm512_srli_epi32(whole, 8)));
        _mm_storeu_si128((__m128i *)(rows->lower + to), _mm512_cvtepi32_epi8(whole));
    }
}

/* Add four products to each of sixteen sums. (GCC 12 copies sums around its own VPDPBUSD.) */
INLINE __m512i add_fours(__m512i sum, __m512i x, __m512i w) {
    __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(x), "v"(w));
    return sum;
}

INLINE __m512i four(const uint8_t *x) {
    int32_t one;
    memcpy(&one, x, sizeof one);
    return _mm512_set1_epi32(one);
}

/* 16 bits times 8, in whole numbers: 256 (upper - 128) + lower, and weights that add up to `sums`. */
INLINE floats joined(const struct matrix *m, int64_t block, int half, __m512i upper, __m512i lower,
                     float scale) {
    const int64_t at = block * BLOCK + half * LANES;
    __m512i sums = _mm512_slli_epi32(_mm512_loadu_si512(m->sums + at), 7);
    __m512 found = _mm512_fmadd_ps(_mm512_cvtepi32_ps(_mm512_sub_epi32(upper, sums)),
                                   _mm512_set1_ps(256.0f), _mm512_cvtepi32_ps(lower));
    found = _mm512_mul_ps(found, _mm512_set1_ps(scale));
    return (floats)_mm512_mul_ps(found, _mm512_loadu_ps(m->scale + at));
}

/* Rows whose sums stay in registers. */
#define FOURS_TILE 6

/* Multiply `count` rows, from `row` on, by a block; fetch `lines` lines a four, from `next` on. */
INLINE void multiply_fours(const struct matrix *m, int64_t block, const struct rows *rows,
                           int64_t row, int count, const char *next, int lines, floats y[][2]) {
    const int64_t K = padded(m->inputs, DEPTH), at = in_pieces(row, K);
    const int8_t *w = (const int8_t *)m->weights + block * K * BLOCK;
    const uint8_t *up = rows->upper + at, *low = rows->lower + at;
    __m512i upper[FOURS_TILE][2], lower[FOURS_TILE][2];
    for (int r = 0; r < count; r++)
        for (int half = 0; half < 2; half++)
            upper[r][half] = lower[r][half] = _mm512_setzero_si512();
    for (int64_t k = 0; k < K; k += PIECE_BYTES, up += WHOLE_PIECE, low += WHOLE_PIECE)
        for (int i = 0; i < PIECE_BYTES; i += 4, w += 4 * BLOCK) {
            for (int line = 0; line < lines; line++, next += LINE)
                FETCH(next);
            const __m512i a = _mm512_loadu_si512(w), b = _mm512_loadu_si512(w + 4 * LANES);
            for (int r = 0; r < count; r++) {
                const __m512i u = four(up + r * PIECE_BYTES + i);
                upper[r][0] = add_fours(upper[r][0], u, a);
                upper[r][1] = add_fours(upper[r][1], u, b);
                const __m512i l = four(low + r * PIECE_BYTES + i);
                lower[r][0] = add_fours(lower[r][0], l, a);
                lower[r][1] = add_fours(lower[r][1], l, b);
            }
        }
    for (int r = 0; r < count; r++)
        for (int half = 0; half < 2; half++)
            y[r][half] =
                joined(m, block, half, upper[r][half], lower[r][half], rows->scale[row + r]);
}

/* One way a number of rows: their sums stay in registers. */
#define FOURS_OF(count, lines)                                                                     \
    case count:                                                                                    \
        multiply_fours(m, block, rows, row, count, next, lines, y);                                \
        break;
#define SOME_FOURS(name, lines)                                                                    \
    static void name(const struct matrix *m, int64_t block, const struct rows *rows, int64_t row,  \
                     int count, const char *next, floats y[][2]) {                                 \
        switch (count) {                                                                           \
            UP_TO_6(FOURS_OF, lines)                                                               \
        }                                                                                          \
    }
SOME_FOURS(fours_once, 2)
SOME_FOURS(fours_again, 1)

/* `row` is a multiple of sixteen. A block has two lines a four; where rows are more than stay in
 * registers, the next block is fetched: half with the first of them, half with others. */
static void product_fours(const struct matrix *m, int64_t block, const struct rows *rows,
                          int64_t row, int count, floats y[][2]) {
    const int64_t whole = padded(m->inputs, DEPTH) * BLOCK;
    const char *next = (const char *)m->weights + block * whole;
    if (count <= FOURS_TILE) {
        fours_once(m, block, rows, row, count, next + AHEAD, y);
        return;
    }
    for (next += whole; count; next += whole / 2) {
        const int times = (count + FOURS_TILE - 1) / FOURS_TILE, some = (count + times - 1) / times;
        fours_again(m, block, rows, row, some, next, y);
        count -= some, row += some, y += some;
    }
}
#else
#define INT8_KIND INT8
#define product_fours 0
#define halve(rows, row, K) ((void)(rows), (void)(row), (void)(K))
#endif

#endif
