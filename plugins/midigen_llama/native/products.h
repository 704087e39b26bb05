/* Products of a matrix (N, K) with rows (R, K): y = W x.
 *
 * A matrix lies in blocks of BLOCK outputs; in a block what belongs to one input stands together:
 * (N / BLOCK, K, BLOCK). So a block is read from front to back, nothing has to be added across a
 * vector, and an output is added up in the same order whatever is computed beside it. Where the
 * processor adds up four products of bytes at once, int8 lies in fours: (N / BLOCK, K / 4, BLOCK,
 * 4). */

#ifndef MIDIGEN_PRODUCTS_H
#define MIDIGEN_PRODUCTS_H

#include "vectors.h"

#if defined(__AVX512VNNI__)
#include <immintrin.h>
#endif
#if defined(__AVX512VNNI__) && defined(__AVX512BF16__) && defined(__AMX_TILE__) &&                 \
    defined(__AMX_INT8__) && defined(__AMX_BF16__)
#define HAS_TILES 1
#else
#define HAS_TILES 0
#endif

#define BLOCK (2 * LANES)
/* Weights are fetched into the second cache, while what is there already is multiplied. */
#define FETCH(what) __builtin_prefetch(what, 0, 2)
#define LINE 64
/* How far ahead, in bytes, where rows are so few that memory is waited for anyway: two threads then
 * read 45 GB/s of weights instead of 28. */
#define AHEAD 8192

/* Inputs of a block that all rows are multiplied by before the next ones: 64 KiB of fp32, which stay
 * in the second cache. */
#define PIECE 512

/* Rows that are computed together, as many as the registers hold; GROUP of them while a piece of the
 * weights is near. */
#if defined(__AVX512F__)
#define TILE 8
#else
#define TILE 4
#endif
#define GROUP (2 * TILE)
#define FOURS_TILE 4

enum precision { FP32, BF16, INT8, INT8_IN_FOURS, BF16_IN_PAIRS };

/* What is multiplied by narrow weights is narrow itself, in two halves: see `struct rows`. */
INLINE int in_halves(enum precision precision) { return precision >= INT8_IN_FOURS; }
INLINE size_t bytes_of_half(enum precision precision) {
    return precision == BF16_IN_PAIRS ? 2 : precision == INT8_IN_FOURS ? 1 : 0;
}

#if HAS_TILES
/* Inputs are padded to a multiple: what a tile takes of them. */
#define DEPTH 64
#else
#define DEPTH 1
#endif
INLINE int64_t padded(int64_t n, int64_t multiple) {
    return (n + multiple - 1) / multiple * multiple;
}

/* scale: of int8, what an output is multiplied by. sums: in fours, of each output's weights. */
struct matrix {
    const void *weights;
    const float *scale;
    const int32_t *sums;
    int64_t outputs, inputs;
};

/* What is multiplied, and its halves: in fours of 16 bits, with their scale, one row after the other;
 * in tiles (tiles.h) as these want them. */
struct rows {
    float *x;
    uint8_t *upper, *lower;
    float *scale;
};

/* Multiply `count` rows by a block; `step` blocks on is the one that comes next. */
typedef void product(const struct matrix *, int64_t block, int64_t step, const struct rows *,
                     int64_t row, int count, floats y[][2]);

INLINE int64_t bytes_of(enum precision precision) {
    return precision == FP32 ? 4 : precision == BF16 ? 2 : 1;
}

/* Add to y (count, BLOCK) what `K` inputs give. Meanwhile, at every second one, so many lines of what
 * comes next are fetched: memory is read while there is something to compute. */
INLINE void multiply_piece(const char *weights, const float *x, int64_t stride, int64_t K,
                           int count, enum precision precision, const char *next, int lines,
                           floats y[][2]) {
    floats sum[TILE][2];
    for (int r = 0; r < count; r++)
        for (int half = 0; half < 2; half++)
            sum[r][half] = y[r][half];
    for (int64_t k = 0; k < K; k++) {
        if (k % 2 == 0)
            for (int i = 0; i < lines; i++, next += LINE)
                FETCH(next);
        floats w[2];
        for (int half = 0; half < 2; half++) {
            const char *from = weights + (k * BLOCK + half * LANES) * bytes_of(precision);
            w[half] = precision == FP32   ? load((const float *)from)
                      : precision == BF16 ? load_bf16((const uint16_t *)from)
                                          : load_int8((const int8_t *)from);
        }
        for (int r = 0; r < count; r++)
            for (int half = 0; half < 2; half++)
                sum[r][half] += w[half] * all(x[r * stride + k]);
    }
    for (int r = 0; r < count; r++)
        for (int half = 0; half < 2; half++)
            y[r][half] = sum[r][half];
}

/* Lines that hold two inputs of a block. */
#define LINES(precision) ((int)(2 * BLOCK * bytes_of(precision) / LINE))
/* Rows so few that memory is waited for anyway: all lines are theirs. */
#define ALONE (-1)

/* One function a precision; in each, one way a number of rows, which then stay in registers. */
#define WAY(rows, precision)                                                                      \
    case rows:                                                                                    \
        if (lines == ALONE)                                                                       \
            multiply_piece(w, x, K, size, rows < TILE ? rows : TILE, precision, w + AHEAD,        \
                           LINES(precision), y);                                                  \
        else                                                                                      \
            multiply_piece(w, x, K, size, rows < TILE ? rows : TILE, precision, next, lines, y);  \
        break;
#define PIECE_OF(name, precision)                                                                 \
    static void name(const char *w, const float *x, int64_t K, int64_t size, int count,           \
                     const char *next, int lines, floats y[][2]) {                                \
        switch (count) {                                                                          \
            WAY(1, precision)                                                                     \
            WAY(2, precision)                                                                     \
            WAY(3, precision)                                                                     \
            WAY(4, precision)                                                                     \
            WAY(5, precision)                                                                     \
            WAY(6, precision)                                                                     \
            WAY(7, precision)                                                                     \
            WAY(8, precision)                                                                     \
        }                                                                                         \
    }

PIECE_OF(piece_fp32, FP32)
PIECE_OF(piece_bf16, BF16)
PIECE_OF(piece_int8, INT8)

typedef void piece(const char *w, const float *x, int64_t K, int64_t size, int count,
                   const char *next, int lines, floats y[][2]);

INLINE void multiply_block(const struct matrix *m, int64_t block, int64_t step,
                           const struct rows *rows, int64_t row, int count,
                           enum precision precision, piece *multiply, floats y[][2]) {
    const int64_t K = m->inputs, whole = K * BLOCK * bytes_of(precision);
    const int passes = (count + TILE - 1) / TILE;
    const char *w = (const char *)m->weights + block * whole;
    for (int r = 0; r < count; r++)
        y[r][0] = y[r][1] = (floats){0};
    for (int64_t k = 0; k < K; k += PIECE) {
        const int64_t size = K - k < PIECE ? K - k : PIECE;
        const int64_t bytes = size * BLOCK * bytes_of(precision);
        /* Behind the last piece of a block comes the first of this thread's next block. */
        const char *next = w + bytes + (k + size < K ? 0 : (step - 1) * whole);
        for (int pass = 0; pass < passes; pass++) {
            const int r = pass * TILE, here = count - r < TILE ? count - r : TILE;
            const int from = pass * LINES(precision) / passes;
            const int to = (pass + 1) * LINES(precision) / passes;
            multiply(w, rows->x + (row + r) * K + k, K, size, here, next + from * size / 2 * LINE,
                     passes > 1 ? to - from : ALONE, y + r);
        }
        w += bytes;
    }
    if (precision == INT8)
        for (int half = 0; half < 2; half++) {
            floats scale = load(m->scale + block * BLOCK + half * LANES);
            for (int r = 0; r < count; r++)
                y[r][half] *= scale;
        }
}

#define PRODUCT(name, precision, multiply)                                                        \
    static void name(const struct matrix *m, int64_t block, int64_t step,                         \
                     const struct rows *rows, int64_t row, int count, floats y[][2]) {            \
        multiply_block(m, block, step, rows, row, count, precision, multiply, y);                 \
    }

PRODUCT(product_fp32, FP32, piece_fp32)
PRODUCT(product_bf16, BF16, piece_bf16)
PRODUCT(product_int8, INT8, piece_int8)

#if defined(__AVX512VNNI__)
#define INT8_KIND INT8_IN_FOURS

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

INLINE void multiply_fours(const struct matrix *m, int64_t block, const struct rows *rows,
                           int64_t row, int count, floats y[][2]) {
    const int64_t K = m->inputs;
    const int8_t *w = (const int8_t *)m->weights + block * padded(K, DEPTH) * BLOCK;
    __m512i upper[FOURS_TILE][2], lower[FOURS_TILE][2];
    for (int r = 0; r < count; r++)
        for (int half = 0; half < 2; half++)
            upper[r][half] = lower[r][half] = _mm512_setzero_si512();
    for (int64_t k = 0; k < K; k += 4, w += 4 * BLOCK) {
        __m512i a = _mm512_loadu_si512(w), b = _mm512_loadu_si512(w + 4 * LANES);
        for (int r = 0; r < count; r++) {
            const int64_t at = (row + r) * K + k;
            __m512i up = four(rows->upper + at), low = four(rows->lower + at);
            upper[r][0] = _mm512_dpbusd_epi32(upper[r][0], up, a);
            upper[r][1] = _mm512_dpbusd_epi32(upper[r][1], up, b);
            lower[r][0] = _mm512_dpbusd_epi32(lower[r][0], low, a);
            lower[r][1] = _mm512_dpbusd_epi32(lower[r][1], low, b);
        }
    }
    for (int r = 0; r < count; r++)
        for (int half = 0; half < 2; half++)
            y[r][half] =
                joined(m, block, half, upper[r][half], lower[r][half], rows->scale[row + r]);
}

static void product_fours(const struct matrix *m, int64_t block, int64_t step,
                          const struct rows *rows, int64_t row, int count, floats y[][2]) {
    (void)step;
    for (; count > FOURS_TILE; count -= FOURS_TILE, row += FOURS_TILE, y += FOURS_TILE)
        multiply_fours(m, block, rows, row, FOURS_TILE, y);
    if (count == 1)
        multiply_fours(m, block, rows, row, 1, y);
    else if (count == 2)
        multiply_fours(m, block, rows, row, 2, y);
    else if (count == 3)
        multiply_fours(m, block, rows, row, 3, y);
    else
        multiply_fours(m, block, rows, row, 4, y);
}
#else
#define INT8_KIND INT8
#define product_fours 0
#endif

/* Return what a row is multiplied by in 16 bits: x = scale * (256 * (upper - 128) + lower). */
INLINE float scale_of(const float *x, int64_t K) {
    floats most = {0};
    for (int64_t k = 0; k < K; k += LANES) {
        floats v = load(x + k);
        most = larger(most, larger(v, -v));
    }
    float top = 1e-30f;
    for (int i = 0; i < LANES; i++)
        top = most[i] > top ? most[i] : top;
    return top / 32767.0f;
}

INLINE void write_halves(const float *x, int64_t K, float per, uint8_t *upper, uint8_t *lower) {
    for (int64_t k = 0; k < K; k++) {
        /* 1.5 * 2^23: what is left is rounded. */
        int32_t whole = (int32_t)(x[k] * per + 12582912.0f - 12582912.0f) + 32768;
        upper[k] = (uint8_t)(whole >> 8);
        lower[k] = (uint8_t)whole;
    }
}

static void halve(const struct rows *rows, int64_t row, int64_t K) {
    const float *x = rows->x + row * K;
    const float scale = rows->scale[row] = scale_of(x, K);
    write_halves(x, K, 1.0f / scale, rows->upper + row * K, rows->lower + row * K);
}

#endif
