/* Products of a matrix (N, K) with rows (R, K): y = W x.
 *
 * A matrix lies in blocks of BLOCK outputs; in a block what belongs to one input stands together:
 * (N / BLOCK, K, BLOCK). So a block is read from front to back, nothing has to be added across a
 * vector, and an output is added up in the same order whatever is computed beside it. Where the
 * processor adds up several narrow products at once, inputs lie in fours (fours.h) or in pairs
 * (pairs.h). */

#ifndef MIDIGEN_PRODUCTS_H
#define MIDIGEN_PRODUCTS_H

#include "vectors.h"

#if defined(__AVX512VNNI__) && defined(__AVX512BF16__) && defined(__AMX_TILE__) &&                 \
    defined(__AMX_INT8__) && defined(__AMX_BF16__)
#define HAS_TILES 1
#else
#define HAS_TILES 0
#endif
#if defined(__AVX512VNNI__) && defined(__AVX512BF16__)
#define HAS_PAIRS 1
#else
#define HAS_PAIRS 0
#endif

#define BLOCK (2 * LANES)
/* Weights are fetched into the second cache, while what is there already is multiplied. */
#define FETCH(what) __builtin_prefetch(what, 0, 2)
#define LINE 64
/* How far ahead, in bytes, where rows are so few that memory is waited for anyway: two threads then
 * read 45 GB/s of weights instead of 28. */
#define AHEAD 8192

/* Inputs of a block that all rows are multiplied by before the next ones: 16 KiB of fp32, which stay
 * in the first cache. */
#define PIECE 128

/* Rows that are computed together, as many as the registers hold: TILE by both halves of a block, or
 * GROUP by one after the other. So of a piece each half is read once. */
#if defined(__AVX512F__)
#define TILE 8
#else
#define TILE 4
#endif
#define GROUP (2 * TILE)

enum precision { FP32, BF16, INT8, INT8_IN_FOURS, BF16_IN_PAIRS };

/* What is multiplied by narrow weights is narrow itself, 16 bits: see `struct rows`. */
INLINE int is_narrowed(enum precision precision) { return precision >= INT8_IN_FOURS; }
INLINE size_t bytes_narrowed(enum precision precision) {
    return precision == BF16_IN_PAIRS ? 2 : precision == INT8_IN_FOURS ? 1 : 0;
}

#if defined(__AVX512VNNI__)
/* Inputs are padded to a multiple. */
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

/* What is multiplied; as narrow weights meet it: in fours two bytes and a scale (fours.h), in pairs
 * bfloat16, in `upper` (pairs.h). side: of each GROUP, if it has more than TILE rows, what one input is
 * in all of them stands side by side, (K, GROUP): one address is enough for it. */
struct rows {
    float *x, *side;
    uint8_t *upper, *lower;
    float *scale;
};

/* Write `side` of LANES inputs of a group, from `k` on. */
static void set_side_by_side(const struct rows *rows, int64_t row, int count, int64_t K, int64_t k) {
    float *to = rows->side + row * K + k * GROUP;
    for (int i = 0; i < LANES; i++)
        for (int r = 0; r < count; r++)
            to[i * GROUP + r] = rows->x[(row + r) * K + k + i];
}

/* Multiply `count` rows by a block. */
typedef void product(const struct matrix *, int64_t block, const struct rows *, int64_t row, int count,
                     floats y[][2]);

INLINE int64_t bytes_of(enum precision precision) {
    return precision == FP32 ? 4 : precision == BF16 ? 2 : 1;
}

/* Add to y (count, 2) what `K` inputs give, of as many halves of a block, from `weights` on. `across`
 * and `on`: from a row's input to the next row's, and to the next input. Meanwhile, at every second
 * input, so many lines of what comes next are fetched: memory is read while there is something to
 * compute. */
INLINE void multiply_piece(const char *weights, const float *x, int64_t across, int64_t on,
                           int64_t K, int count, int halves, enum precision precision,
                           const char *next, int lines, floats *y) {
    floats sum[GROUP][2];
    for (int r = 0; r < count; r++)
        for (int half = 0; half < halves; half++)
            sum[r][half] = y[2 * r + half];
    for (int64_t k = 0; k < K; k++) {
        if (k % 2 == 0)
            for (int i = 0; i < lines; i++)
                FETCH(next + (k / 2 * lines + i) * LINE);
        floats w[2];
        for (int half = 0; half < halves; half++) {
            const char *from = weights + (k * BLOCK + half * LANES) * bytes_of(precision);
            w[half] = precision == FP32   ? load((const float *)from)
                      : precision == BF16 ? load_bf16((const uint16_t *)from)
                                          : load_int8((const int8_t *)from);
        }
        for (int r = 0; r < count; r++)
            for (int half = 0; half < halves; half++)
                sum[r][half] += w[half] * all(x[r * across + k * on]);
    }
    for (int r = 0; r < count; r++)
        for (int half = 0; half < halves; half++)
            y[2 * r + half] = sum[r][half];
}

/* Lines that hold two inputs of a block. */
#define LINES(precision) ((int)(2 * BLOCK * bytes_of(precision) / LINE))

/* Cases of a switch, a number of rows each, with whatever else they hang on. */
#define UP_TO_6(one, with)                                                                        \
    one(1, with) one(2, with) one(3, with) one(4, with) one(5, with) one(6, with)
#define UP_TO_8(one, with) UP_TO_6(one, with) one(7, with) one(8, with)

/* One function a precision; in each, one way a number of rows, which then stay in registers. Rows up
 * to TILE are so few that memory is waited for anyway: all lines are theirs. */
#define FEW_ROWS(rows, precision)                                                                 \
    case rows:                                                                                    \
        multiply_piece(w, x, K, 1, size, rows < TILE ? rows : TILE, 2, precision, w + AHEAD,      \
                       LINES(precision), y);                                                      \
        break;
#define ROWS_OF_HALF(rows, precision)                                                             \
    case rows:                                                                                    \
        multiply_piece(w, x, 1, GROUP, size, rows < GROUP ? rows : GROUP, 1, precision, next,     \
                       (precision) == INT8 ? lines : LINES(precision) / 2, y);                    \
        break;
#define PIECE_OF(name, precision)                                                                 \
    static void few_##name(const char *w, const float *x, int64_t K, int64_t size, int count,     \
                           floats *y) {                                                           \
        switch (count) {                                                                          \
            UP_TO_8(FEW_ROWS, precision)                                                          \
        }                                                                                         \
    }                                                                                             \
    static void half_##name(const char *w, const float *x, int64_t size, int count,               \
                            const char *next, int lines, floats *y) {                             \
        switch (count) {                                                                          \
            HALVES_OF(precision)                                                                  \
        }                                                                                         \
    }

#if defined(__AVX512F__)
#define HALVES_OF(precision)                                                                      \
    ROWS_OF_HALF(9, precision)                                                                    \
    ROWS_OF_HALF(10, precision)                                                                   \
    ROWS_OF_HALF(11, precision)                                                                   \
    ROWS_OF_HALF(12, precision)                                                                   \
    ROWS_OF_HALF(13, precision)                                                                   \
    ROWS_OF_HALF(14, precision)                                                                   \
    ROWS_OF_HALF(15, precision)                                                                   \
    ROWS_OF_HALF(16, precision)
#else
#define HALVES_OF(precision)                                                                      \
    ROWS_OF_HALF(5, precision)                                                                    \
    ROWS_OF_HALF(6, precision)                                                                    \
    ROWS_OF_HALF(7, precision)                                                                    \
    ROWS_OF_HALF(8, precision)
#endif

PIECE_OF(piece_fp32, FP32)
PIECE_OF(piece_bf16, BF16)
PIECE_OF(piece_int8, INT8)

typedef void few(const char *w, const float *x, int64_t K, int64_t size, int count, floats *y);
typedef void half(const char *w, const float *x, int64_t size, int count, const char *next,
                  int lines, floats *y);

INLINE void multiply_block(const struct matrix *m, int64_t block, const struct rows *rows,
                           int64_t row, int count, enum precision precision, few *few, half *half,
                           floats y[][2]) {
    const int64_t K = m->inputs, whole = K * BLOCK * bytes_of(precision);
    const char *w = (const char *)m->weights + block * whole;
    for (int r = 0; r < count; r++)
        y[r][0] = y[r][1] = (floats){0};
    for (int64_t k = 0; k < K; k += PIECE) {
        const int64_t size = K - k < PIECE ? K - k : PIECE;
        const int64_t bytes = size * BLOCK * bytes_of(precision);
        /* Behind a block lies this thread's next one. */
        const char *next = w + bytes;
        if (count <= TILE)
            few(w, rows->x + row * K + k, K, size, count, &y[0][0]);
        else
            for (int i = 0; i < 2; i++) {
                const int from = i * LINES(precision) / 2, to = (i + 1) * LINES(precision) / 2;
                half(w + i * LANES * bytes_of(precision), rows->side + row * K + k * GROUP, size,
                     count, next + from * size / 2 * LINE, to - from, &y[0][i]);
            }
        w += bytes;
    }
    if (precision == INT8)
        for (int i = 0; i < 2; i++) {
            floats scale = load(m->scale + block * BLOCK + i * LANES);
            for (int r = 0; r < count; r++)
                y[r][i] *= scale;
        }
}

#define PRODUCT(name, precision, piece)                                                           \
    static void name(const struct matrix *m, int64_t block, const struct rows *rows, int64_t row, \
                     int count, floats y[][2]) {                                                  \
        multiply_block(m, block, rows, row, count, precision, few_##piece, half_##piece, y);      \
    }

PRODUCT(product_fp32, FP32, piece_fp32)
PRODUCT(product_bf16, BF16, piece_bf16)
PRODUCT(product_int8, INT8, piece_int8)

/* Return the largest of numbers (K,), without their signs; a little more than 0 if all are 0. */
INLINE float largest(const float *x, int64_t K) {
    floats most = {0};
    for (int64_t k = 0; k < K; k += LANES) {
        floats v = load(x + k);
        most = larger(most, larger(v, -v));
    }
    float top = 1e-30f;
    for (int i = 0; i < LANES; i++)
        top = most[i] > top ? most[i] : top;
    return top;
}

#endif
