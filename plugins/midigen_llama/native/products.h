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

#define BLOCK (2 * LANES)
/* What is read in order is fetched so many floats before, into the second cache: two threads then
 * read 45 GB/s of weights instead of 28. */
#define AHEAD 2048
#define FETCH(what) __builtin_prefetch(what, 0, 2)

/* Rows that are computed together: as many as the registers hold. */
#if defined(__AVX512F__)
#define TILE 8
#else
#define TILE 4
#endif
#define FOURS_TILE 4

enum precision { FP32, BF16, INT8, INT8_IN_FOURS };

/* scale: of int8, what an output is multiplied by. sums: in fours, of each output's weights. */
struct matrix {
    const void *weights;
    const float *scale;
    const int32_t *sums;
    int64_t outputs, inputs;
};

/* What is multiplied: in fours also in 16 bits, upper and lower halves apart, and their scale. */
struct rows {
    float *x;
    uint8_t *upper, *lower;
    float *scale;
};

typedef void product(const struct matrix *, int64_t block, const struct rows *, int64_t row,
                     int count, floats y[TILE][2]);

INLINE void multiply_tile(const struct matrix *m, int64_t block, const struct rows *rows,
                          int64_t row, int count, enum precision precision, floats y[TILE][2]) {
    const int64_t K = m->inputs;
    const float *x = rows->x + row * K;
    const int64_t first = block * K * BLOCK;
    floats sum[TILE][2];
    for (int r = 0; r < count; r++)
        sum[r][0] = sum[r][1] = (floats){0};
    for (int64_t k = 0; k < K; k++) {
        const int64_t at = first + k * BLOCK;
        floats a, b;
        if (precision == FP32) {
            const float *ahead = (const float *)m->weights + at + AHEAD;
            FETCH(ahead);
            FETCH(ahead + LANES);
            a = load((const float *)m->weights + at);
            b = load((const float *)m->weights + at + LANES);
        } else if (precision == BF16) {
            a = load_bf16((const uint16_t *)m->weights + at);
            b = load_bf16((const uint16_t *)m->weights + at + LANES);
        } else {
            a = load_int8((const int8_t *)m->weights + at);
            b = load_int8((const int8_t *)m->weights + at + LANES);
        }
        for (int r = 0; r < count; r++) {
            floats one = all(x[r * K + k]);
            sum[r][0] += a * one;
            sum[r][1] += b * one;
        }
    }
    for (int half = 0; half < 2; half++) {
        floats scale = all(1.0f);
        if (precision == INT8)
            scale = load(m->scale + block * BLOCK + half * LANES);
        for (int r = 0; r < count; r++)
            y[r][half] = precision == INT8 ? sum[r][half] * scale : sum[r][half];
    }
}

/* One function a precision; in each, one way a number of rows, which then stay in registers. */
#define WAY(count, precision)                                                                     \
    case count:                                                                                   \
        multiply_tile(m, block, rows, row, count < TILE ? count : TILE, precision, y);            \
        break;
#define PRODUCT(name, precision)                                                                  \
    static void name(const struct matrix *m, int64_t block, const struct rows *rows, int64_t row, \
                     int count, floats y[TILE][2]) {                                              \
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

PRODUCT(product_fp32, FP32)
PRODUCT(product_bf16, BF16)
PRODUCT(product_int8, INT8)

#if defined(__AVX512VNNI__)
#define INT8_KIND INT8_IN_FOURS

INLINE __m512i four(const uint8_t *x) {
    int32_t one;
    memcpy(&one, x, sizeof one);
    return _mm512_set1_epi32(one);
}

/* 16 bits times 8, exactly: 256 (upper - 128) + lower, and weights that add up to `sums`. */
INLINE void multiply_fours(const struct matrix *m, int64_t block, const struct rows *rows,
                           int64_t row, int count, floats y[TILE][2]) {
    const int64_t K = m->inputs;
    const int8_t *w = (const int8_t *)m->weights + block * K * BLOCK;
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
    for (int half = 0; half < 2; half++) {
        const int64_t at = block * BLOCK + half * LANES;
        __m512i sums = _mm512_slli_epi32(_mm512_loadu_si512(m->sums + at), 7);
        __m512 scale = _mm512_loadu_ps(m->scale + at);
        for (int r = 0; r < count; r++) {
            __m512 whole = _mm512_cvtepi32_ps(_mm512_sub_epi32(upper[r][half], sums));
            __m512 found = _mm512_fmadd_ps(whole, _mm512_set1_ps(256.0f),
                                           _mm512_cvtepi32_ps(lower[r][half]));
            found = _mm512_mul_ps(found, _mm512_set1_ps(rows->scale[row + r]));
            y[r][half] = (floats)_mm512_mul_ps(found, scale);
        }
    }
}

static void product_fours(const struct matrix *m, int64_t block, const struct rows *rows,
                          int64_t row, int count, floats y[TILE][2]) {
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

static product *const products[] = {product_fp32, product_bf16, product_int8, product_fours};

/* Write a row in 16 bits: x = scale * (256 * (upper - 128) + lower). */
static void halve(const struct rows *rows, int64_t row, int64_t K) {
    const float *x = rows->x + row * K;
    floats most = {0};
    for (int64_t k = 0; k < K; k += LANES) {
        floats v = load(x + k);
        most = larger(most, larger(v, -v));
    }
    float top = 1e-30f;
    for (int i = 0; i < LANES; i++)
        top = most[i] > top ? most[i] : top;
    rows->scale[row] = top / 32767.0f;
    const float per = 32767.0f / top;
    uint8_t *upper = rows->upper + row * K, *lower = rows->lower + row * K;
    for (int64_t k = 0; k < K; k++) {
        /* 1.5 * 2^23: what is left is rounded. */
        int32_t whole = (int32_t)(x[k] * per + 12582912.0f - 12582912.0f) + 32768;
        upper[k] = (uint8_t)(whole >> 8);
        lower[k] = (uint8_t)whole;
    }
}

#endif
