/* What the kernels of training share: threads, tiles of AMX, and bfloat16.
 *
 * AMX (Intel's processors from Sapphire Rapids on) multiplies tiles: TDPBF16PS adds to 16 x 16 sums
 * in fp32 the products of 16 x 32 and 32 x 16 numbers in bfloat16. See Intel's "Architecture
 * Instruction Set Extensions", chapter 3. */

#ifndef MIDIGEN_AMX_H
#define MIDIGEN_AMX_H

#include <immintrin.h>
#include <stdint.h>

typedef uint16_t bf16;

#define INLINE static inline __attribute__((always_inline))

/* Numbers along an edge of what is multiplied together: two tiles of sums each way, and the depth of
 * one instruction. */
#define EDGE 32
/* A piece of an operand, EDGE by EDGE: two tiles, in bytes. */
#define PIECE (EDGE * EDGE * 2)
#define SUMS (EDGE * EDGE)

#define MOST_THREADS 64

/* Do `task(what, unit, thread)` for each unit, with tiles set up. Which thread does which is left to
 * chance: a unit must give the same whoever does it, and whenever. */
typedef void task(const void *what, int64_t unit, int thread);
void midigen_share(int threads, int64_t units, task *task, const void *what);

/* Memory that is kept from call to call, of at least `bytes`; its contents are not kept. 0: none. */
struct memory {
    void *at;
    int64_t bytes;
};
void *midigen_memory(struct memory *memory, int64_t bytes);

/* Kernels are called one at a time. */
void midigen_lock(void);
void midigen_unlock(void);

INLINE int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }
INLINE int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

/* The first `count` of 16 or 32 lanes. */
INLINE __mmask16 first16(int64_t count) {
    return count >= 16 ? 0xffff : count <= 0 ? 0 : (__mmask16)((1u << count) - 1);
}
INLINE __mmask32 first32(int64_t count) {
    return count >= 32 ? 0xffffffffu : count <= 0 ? 0 : (__mmask32)((1ull << count) - 1);
}

/* bfloat16 is the upper half of a float. */
INLINE __m512 widened(__m256i x) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(x), 16));
}
INLINE __m512 load_bf16(const bf16 *from, __mmask16 lanes) {
    return widened(_mm256_maskz_loadu_epi16(lanes, from));
}
INLINE void store_bf16(bf16 *to, __mmask16 lanes, __m512 x) {
    _mm256_mask_storeu_epi16(to, lanes, (__m256i)_mm512_cvtneps_pbh(x));
}
/* Thirty-two numbers, the lower sixteen first. */
INLINE __m512i narrowed(__m512 low, __m512 high) {
    return (__m512i)_mm512_cvtne2ps_pbh(high, low);
}

/* Sixteen of one row and of the next, in turns. */
INLINE __m512i in_turns(__m512i pair) {
    const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24,
                                           8, 23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    return _mm512_permutexvar_epi16(order, pair);
}

/* Turn 16 x 16 words round. */
INLINE void turn_round(__m512i r[16]) {
    __m512i t[16];
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
    }
    for (int i = 0; i < 16; i += 4)
        for (int j = 0; j < 2; j++) {
            r[i + 2 * j] = _mm512_unpacklo_epi64(t[i + j], t[i + j + 2]);
            r[i + 2 * j + 1] = _mm512_unpackhi_epi64(t[i + j], t[i + j + 2]);
        }
    for (int i = 0; i < 16; i += 8)
        for (int j = 0; j < 4; j++) {
            t[i + j] = _mm512_shuffle_i32x4(r[i + j], r[i + j + 4], 0x88);
            t[i + j + 4] = _mm512_shuffle_i32x4(r[i + j], r[i + j + 4], 0xdd);
        }
    for (int j = 0; j < 8; j++) {
        r[j] = _mm512_shuffle_i32x4(t[j], t[j + 8], 0x88);
        r[j + 8] = _mm512_shuffle_i32x4(t[j], t[j + 8], 0xdd);
    }
}

/* e^x of x up to 88, to two units in the last place. Below -87 it stays at e^-87: numbers that are
 * smaller still are slow.
 *
 * 2^n times a polynomial on -ln(2)/2..ln(2)/2: Cephes' expf (Moshier). */
INLINE __m512 exponential(__m512 x) {
    x = _mm512_max_ps(x, _mm512_set1_ps(-87.0f));
    __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(1.44269504f)), 8);
    __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693359375f), x);
    r = _mm512_fmadd_ps(n, _mm512_set1_ps(2.12194440e-4f), r);
    __m512 p = _mm512_set1_ps(1.9875691500e-4f);
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.3981999507e-3f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(8.3334519073e-3f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(4.1665795894e-2f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.6666665459e-1f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(5.0000001201e-1f));
    p = _mm512_fmadd_ps(_mm512_mul_ps(p, r), r, _mm512_add_ps(r, _mm512_set1_ps(1.0f)));
    return _mm512_scalef_ps(p, n);
}

/* Pieces. As a left operand: two tiles of 16 rows, 32 deep. As a right operand: two tiles of 16
 * columns, with two neighbours in depth side by side. In memory, an operand lies `deep` (neighbours
 * are neighbours in depth) or `wide` (they are rows of the left one or columns of the right one).
 * Where there is less than a whole piece, the rest is 0. */

/* left, deep: `rows` rows of `depth`. */
INLINE void left_deep(char *to, const bf16 *from, int64_t stride, int64_t rows, int64_t depth) {
    __mmask32 lanes = first32(depth);
    for (int64_t r = 0; r < EDGE; r++, to += 64) {
        __m512i x = _mm512_setzero_si512();
        if (r < rows)
            x = _mm512_maskz_loadu_epi16(lanes, from + r * stride);
        _mm512_store_si512(to, x);
    }
}

/* right, deep: `columns` columns of `depth`. */
INLINE void right_deep(char *to, const bf16 *from, int64_t stride, int64_t columns, int64_t depth) {
    __mmask32 lanes = first32(depth);
    for (int64_t half = 0; half < EDGE; half += 16) {
        __m512i r[16];
        for (int64_t i = 0; i < 16; i++) {
            r[i] = _mm512_setzero_si512();
            if (half + i < columns)
                r[i] = _mm512_maskz_loadu_epi16(lanes, from + (half + i) * stride);
        }
        turn_round(r);
        for (int i = 0; i < 16; i++, to += 64)
            _mm512_store_si512(to, r[i]);
    }
}

/* Row 2 i and the one behind, in turns: the lower 16 pairs and the upper. */
INLINE void pairs(const bf16 *from, int64_t stride, __mmask32 lanes, int64_t left, __m512i *low,
                  __m512i *high) {
    const __m512i lower = _mm512_set_epi16(47, 15, 46, 14, 45, 13, 44, 12, 43, 11, 42, 10, 41, 9, 40,
                                           8, 39, 7, 38, 6, 37, 5, 36, 4, 35, 3, 34, 2, 33, 1, 32, 0);
    const __m512i upper =
        _mm512_set_epi16(63, 31, 62, 30, 61, 29, 60, 28, 59, 27, 58, 26, 57, 25, 56, 24, 55, 23, 54,
                         22, 53, 21, 52, 20, 51, 19, 50, 18, 49, 17, 48, 16);
    __m512i one = _mm512_setzero_si512(), two = one;
    if (left > 0)
        one = _mm512_maskz_loadu_epi16(lanes, from);
    if (left > 1)
        two = _mm512_maskz_loadu_epi16(lanes, from + stride);
    *low = _mm512_permutex2var_epi16(one, lower, two);
    *high = _mm512_permutex2var_epi16(one, upper, two);
}

/* right, wide: `depth` rows of `columns`. */
INLINE void right_wide(char *to, const bf16 *from, int64_t stride, int64_t columns, int64_t depth) {
    __mmask32 lanes = first32(columns);
    for (int64_t i = 0; i < 16; i++, to += 64) {
        __m512i low, high;
        pairs(from + 2 * i * stride, stride, lanes, depth - 2 * i, &low, &high);
        _mm512_store_si512(to, low);
        _mm512_store_si512(to + PIECE / 2, high);
    }
}

/* left, wide: `depth` rows of `rows`. */
INLINE void left_wide(char *to, const bf16 *from, int64_t stride, int64_t rows, int64_t depth) {
    __m512i low[16], high[16];
    for (int64_t i = 0; i < 16; i++)
        pairs(from + 2 * i * stride, stride, first32(rows), depth - 2 * i, &low[i], &high[i]);
    turn_round(low);
    turn_round(high);
    for (int i = 0; i < 16; i++, to += 64) {
        _mm512_store_si512(to, low[i]);
        _mm512_store_si512(to + PIECE / 2, high[i]);
    }
}

/* Sums of EDGE by EDGE, in tiles 0 to 3. */
INLINE void sums_zero(void) {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
}
INLINE void sums_load(const float *from) {
    _tile_loadd(0, from, 4 * EDGE);
    _tile_loadd(1, from + 16, 4 * EDGE);
    _tile_loadd(2, from + 16 * EDGE, 4 * EDGE);
    _tile_loadd(3, from + 16 * EDGE + 16, 4 * EDGE);
}
INLINE void sums_store(float *to) {
    _tile_stored(0, to, 4 * EDGE);
    _tile_stored(1, to + 16, 4 * EDGE);
    _tile_stored(2, to + 16 * EDGE, 4 * EDGE);
    _tile_stored(3, to + 16 * EDGE + 16, 4 * EDGE);
}

/* Add products of pieces that lie one behind the other. The left operand passes L1 by, where the
 * right one may then stay. */
INLINE void sums_add(const char *left, const char *right, int64_t pieces) {
    for (; pieces > 0; pieces--, left += PIECE, right += PIECE) {
        _tile_stream_loadd(4, left, 64);
        _tile_loadd(6, right, 64);
        _tile_dpbf16ps(0, 4, 6);
        _tile_loadd(7, right + PIECE / 2, 64);
        _tile_dpbf16ps(1, 4, 7);
        _tile_stream_loadd(5, left + PIECE / 2, 64);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    }
}

#endif
