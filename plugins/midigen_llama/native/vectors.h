/* Sixteen numbers at a time, in GCC's and Clang's vectors: every processor has some way for them. */

#ifndef MIDIGEN_VECTORS_H
#define MIDIGEN_VECTORS_H

#include <stdint.h>
#include <string.h>

#if defined(__AVX512F__)
#include <immintrin.h>
#endif

#define LANES 16
#define INLINE static inline __attribute__((always_inline))

typedef float floats __attribute__((vector_size(4 * LANES)));
typedef int32_t ints __attribute__((vector_size(4 * LANES)));
typedef uint32_t words __attribute__((vector_size(4 * LANES)));
typedef uint16_t halves __attribute__((vector_size(2 * LANES)));
typedef int8_t bytes __attribute__((vector_size(LANES)));

INLINE floats load(const float *from) {
    floats x;
    memcpy(&x, from, sizeof x);
    return x;
}

INLINE void store(float *to, floats x) { memcpy(to, &x, sizeof x); }

INLINE floats all(float x) {
    return (floats){x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x};
}

/* bfloat16 is the upper half of a float. (GCC 12 widens whole vectors of AVX-512 in two parts.) */
INLINE floats load_bf16(const uint16_t *from) {
#if defined(__AVX512F__)
    const __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)from));
    return (floats)_mm512_slli_epi32(wide, 16);
#else
    halves x;
    memcpy(&x, from, sizeof x);
    return (floats)(__builtin_convertvector(x, words) << 16);
#endif
}

INLINE floats load_int8(const int8_t *from) {
#if defined(__AVX512F__)
    const __m512i wide = _mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)from));
    return (floats)_mm512_cvtepi32_ps(wide);
#else
    bytes x;
    memcpy(&x, from, sizeof x);
    return __builtin_convertvector(x, floats);
#endif
}

INLINE floats load_uint8(const uint8_t *from) {
    typedef uint8_t bytes __attribute__((vector_size(LANES)));
    bytes x;
    memcpy(&x, from, sizeof x);
    return __builtin_convertvector(x, floats);
}

INLINE float total(floats x) {
    typedef float quarter __attribute__((vector_size(16)));
#if defined(__AVX512F__)
    const __m512i whole = (__m512i)x;
    const __m256 a = _mm256_add_ps((__m256)_mm512_castsi512_si256(whole),
                                   (__m256)_mm512_extracti64x4_epi64(whole, 1));
    const quarter c = (quarter)_mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
#else
    typedef float half __attribute__((vector_size(32)));
    half a, b;
    memcpy(&a, &x, sizeof a);
    memcpy(&b, (const char *)&x + sizeof a, sizeof b);
    a += b;
    quarter c, d;
    memcpy(&c, &a, sizeof c);
    memcpy(&d, (const char *)&a + sizeof c, sizeof d);
    c += d;
#endif
    return (c[0] + c[1]) + (c[2] + c[3]);
}

INLINE floats larger(floats x, floats y) {
    ints choose = x > y;
    return (floats)(((ints)x & choose) | ((ints)y & ~choose));
}

/* Round to whole numbers, of up to 22 bits. */
INLINE ints whole_numbers(floats x) {
    return __builtin_convertvector(x + 12582912.0f - 12582912.0f, ints); /* 1.5 * 2^23 */
}

/* e^x, to two units in the last place, of x in -87..88; what is outside, or is
 * no number, counts as an end.
 *
 * 2^n times a polynomial on -ln(2)/2..ln(2)/2: Cephes' expf (Moshier). */
INLINE floats exponential(floats x) {
    x = larger(x, all(-87.0f));
    x = -larger(-x, all(-88.0f));
    floats shifted = x * 1.44269504f + 12582912.0f; /* 1.5 * 2^23: what is left is rounded */
    floats n = shifted - 12582912.0f;
    floats r = x - n * 0.693359375f + n * 2.12194440e-4f;
    floats p = r * 1.9875691500e-4f + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    ints power = (__builtin_convertvector(n, ints) + 127) << 23;
    return p * (floats)power;
}

#endif
