/* Keys and values in bytes, beside weights narrower than fp32: each key has a scale, and each value.
 * One side of a piece of places is
 *
 *   keys: (PLACES, D), unsigned, 128 more than what they stand for
 *   values: (PLACES / 4, D, 4), signed, four places side by side
 *
 * and behind it the scales of its places, (PLACES,) in fp32. Where the processor adds up four products
 * of bytes at once, what meets them has 16 bits, in two bytes; elsewhere it is fp32. A row may begin at
 * any place: what is not whole numbers is added up in an order that does not tell. */

#ifndef MIDIGEN_INBYTES_H
#define MIDIGEN_INBYTES_H

#include "attention.h"
#include "fours.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "four bytes side by side are read as a number whose first byte is the last of its digits"
#endif

/* Dimensions of a head: of more, whole numbers would not fit 32 bits; nor of 65,536 places. The caller
 * sees to both. */
#define MOST_HEAD 512

INLINE int64_t up_to(int64_t place, int64_t multiple) {
    return (place + multiple - 1) / multiple * multiple;
}

/* Keep D numbers as place `place` of a side of a piece: a key. */
static void keep_key(char *side, int64_t place, const float *from, int64_t D) {
    typedef uint8_t bytes __attribute__((vector_size(LANES)));
    const float scale = largest(from, D) / 127.0f, per = 1.0f / scale;
    for (int64_t d = 0; d < D; d += LANES) {
        const bytes key = __builtin_convertvector(whole_numbers(load(from + d) * per) + 128, bytes);
        memcpy(side + place * D + d, &key, sizeof key);
    }
    memcpy(side + PLACES * D + place * (int64_t)sizeof scale, &scale, sizeof scale);
}

/* A value: every fourth byte, and the three beside it stay. */
static void keep_value(char *side, int64_t place, const float *from, int64_t D) {
    const float scale = largest(from, D) / 127.0f, per = 1.0f / scale;
    const int bits = (int)(place % 4) * 8;
    for (int64_t d = 0; d < D; d += LANES) {
        char *to = side + place / 4 * 4 * D + 4 * d;
        words four;
        memcpy(&four, to, sizeof four);
        const words value = (words)whole_numbers(load(from + d) * per) & 0xff;
        four = (four & ~(0xffu << bits)) | value << bits;
        memcpy(to, &four, sizeof four);
    }
    memcpy(side + PLACES * D + place * (int64_t)sizeof scale, &scale, sizeof scale);
}

/* What is read of one side of a piece: places `begin` to `end` of it, from a multiple on, `piece`
 * places behind the first. `later` is what is read `SOON` bytes behind: the side of another piece, and
 * behind the last one's those of `then`. */
struct reading {
    const char *side, *later;
    int64_t piece, begin, end;
};

INLINE struct reading reading(const struct shelf *s, const char *sides, const char *then, int64_t D,
                              int64_t piece, int64_t from, int64_t end, int64_t multiple) {
    const int64_t first = from / PLACES, last = (end - 1) / PLACES, place = piece * PLACES;
    int64_t later = piece + SOON / (PLACES * D);
    const char *of = sides;
    if (later > last) {
        of = then;
        later = first + (later - last - 1);
        later = later < last ? later : last;
    }
    return (struct reading){sides + piece * s->to_next, of + later * s->to_next, place,
                            from > place ? (from - place) / multiple * multiple : 0,
                            end - place < PLACES ? end - place : PLACES};
}

/* The next group's keys lie behind this one's. */
INLINE const char *next_keys(const struct shelf *s, int64_t D) {
    return s->keys + PLACES * bytes_kept(INT8, D);
}

INLINE void fetch_bytes(const char *from, int64_t count) {
    for (int64_t i = 0; i < count; i += LINE)
        FETCH(from + i);
}

/* Where the scales of a side are, from place `i` of the piece on. */
INLINE const char *scales_at(const char *side, int64_t D, int64_t i) {
    return side + PLACES * D + i * (int64_t)sizeof(float);
}
INLINE floats scales(const char *side, int64_t D, int64_t i) {
    return load((const float *)scales_at(side, D, i));
}

/* Let values count by their scales, too. What is not asked for, of the LANES places where it begins
 * and ends, counts nothing. */
INLINE void scale_chances(const struct shelf *s, float *x, int64_t from, int64_t end, int64_t D) {
    for (int64_t place = from / LANES * LANES; place < end; place += LANES) {
        const char *side = s->keys + s->to_values + place / PLACES * s->to_next;
        store(x + place, load(x + place) * scales(side, D, place % PLACES));
    }
    for (int64_t place = from / LANES * LANES; place < from; place++)
        x[place] = 0.0f;
    for (int64_t place = end; place < up_to(end, LANES); place++)
        x[place] = 0.0f;
}

#if defined(__AVX512VNNI__)

/* A query in 16 bits, 256 upper + lower, both signed; what the 128 too much of keys add to each. */
struct query {
    int8_t upper[MOST_HEAD], lower[MOST_HEAD];
    __m512i upper_more, lower_more;
    float scale;
};

INLINE void set_query(struct query *to, const float *q, int64_t D) {
    to->scale = largest(q, D) / 32639.0f; /* 127 * 257: so both bytes have a sign */
    const float per = 1.0f / to->scale;
    const __m512i more = _mm512_set1_epi8((char)128);
    to->upper_more = to->lower_more = _mm512_setzero_si512();
    for (int64_t d = 0; d < up_to(D, 4 * LANES); d += LANES) {
        const ints x = d < D ? whole_numbers(load(q + d) * per) : (ints){0};
        const ints lower = x << 24 >> 24, upper = (x - lower) >> 8;
        _mm_storeu_si128((__m128i *)(to->upper + d), _mm512_cvtepi32_epi8((__m512i)upper));
        _mm_storeu_si128((__m128i *)(to->lower + d), _mm512_cvtepi32_epi8((__m512i)lower));
    }
    for (int64_t d = 0; d < D; d += 4 * LANES) {
        const __m512i upper = _mm512_loadu_si512(to->upper + d);
        const __m512i lower = _mm512_loadu_si512(to->lower + d);
        to->upper_more = add_fours(to->upper_more, more, upper);
        to->lower_more = add_fours(to->lower_more, more, lower);
    }
    to->upper_more = _mm512_sub_epi32(_mm512_setzero_si512(), to->upper_more);
    to->lower_more = _mm512_sub_epi32(_mm512_setzero_si512(), to->lower_more);
}

/* Return the sum of each of sixteen vectors. */
INLINE __m512i totals(__m512i x[LANES]) {
    for (int i = 0; i < 8; i++)
        x[i] = _mm512_add_epi32(_mm512_unpacklo_epi32(x[2 * i], x[2 * i + 1]),
                                _mm512_unpackhi_epi32(x[2 * i], x[2 * i + 1]));
    for (int i = 0; i < 4; i++)
        x[i] = _mm512_add_epi32(_mm512_unpacklo_epi64(x[2 * i], x[2 * i + 1]),
                                _mm512_unpackhi_epi64(x[2 * i], x[2 * i + 1]));
    for (int i = 0; i < 2; i++)
        x[i] = _mm512_add_epi32(_mm512_shuffle_i32x4(x[2 * i], x[2 * i + 1], 0x88),
                                _mm512_shuffle_i32x4(x[2 * i], x[2 * i + 1], 0xdd));
    return _mm512_add_epi32(_mm512_shuffle_i32x4(x[0], x[1], 0x88),
                            _mm512_shuffle_i32x4(x[0], x[1], 0xdd));
}

/* Write what a query is with the keys of places `from` to `end`; LANES places at a time. */
INLINE void compare(const float *q, const struct shelf *s, int64_t from, int64_t end, int64_t D,
                    float *to) {
    const char *values = s->keys + s->to_values;
    struct query query;
    set_query(&query, q, D);
    for (int64_t piece = from / PLACES; piece * PLACES < end; piece++) {
        const struct reading r = reading(s, s->keys, values, D, piece, from, end, LANES);
        const char *at = r.side + r.begin * D, *later = r.later + r.begin * D;
        for (int64_t i = r.begin; i < r.end; i += LANES, later += LANES * D) {
            __m512i found[LANES];
            fetch_bytes(later, LANES * D);
            FETCH(scales_at(r.later, D, i));
            FETCH(scales_at(values + piece * s->to_next, D, i));
            for (int j = 0; j < LANES; j++, at += D) {
                __m512i upper = query.upper_more, lower = query.lower_more;
                for (int64_t d = 0; d < D; d += 4 * LANES) {
                    const __mmask64 there = D - d < 4 * LANES ? (1ull << (D - d)) - 1 : ~0ull;
                    const __m512i key = _mm512_maskz_loadu_epi8(there, at + d);
                    upper = add_fours(upper, key, _mm512_loadu_si512(query.upper + d));
                    lower = add_fours(lower, key, _mm512_loadu_si512(query.lower + d));
                }
                found[j] = _mm512_add_epi32(_mm512_slli_epi32(upper, 8), lower);
            }
            const floats whole = (floats)_mm512_cvtepi32_ps(totals(found));
            store(to + r.piece + i, whole * (scales(r.side, D, i) * query.scale));
        }
    }
}

/* Write what places count in 16 bits, as shares of the most; return what one of them stands for. */
INLINE float halve_chances(const struct chances *chances, int64_t from, int64_t end) {
    const int64_t first = from / LANES * LANES;
    const float scale = largest(chances->of + first, up_to(end, LANES) - first) / 65535.0f;
    const float per = 1.0f / scale;
    for (int64_t place = first; place < end; place += LANES) {
        /* (What is rounded up to 65,536 would be 0.) */
        const floats x = -larger(-(load(chances->of + place) * per), all(-65535.0f));
        const ints whole = whole_numbers(x);
        _mm_storeu_si128((__m128i *)(chances->upper + place),
                         _mm512_cvtepi32_epi8((__m512i)(whole >> 8)));
        _mm_storeu_si128((__m128i *)(chances->lower + place), _mm512_cvtepi32_epi8((__m512i)whole));
    }
    return scale;
}

INLINE void mix_bytes(const struct shelf *s, const struct chances *chances, int64_t from,
                      int64_t end, int64_t D, int64_t d, int wide, float scale, float *to) {
    const char *values = s->keys + s->to_values;
    __m512i upper[WIDE], lower[WIDE];
    for (int j = 0; j < wide; j++)
        upper[j] = lower[j] = _mm512_setzero_si512();
    for (int64_t piece = from / PLACES; piece * PLACES < end; piece++) {
        const struct reading r = reading(s, values, next_keys(s, D), D, piece, from, end, 4);
        const char *at = r.side + r.begin * D + 4 * d, *later = r.later + r.begin * D + 4 * d;
        for (int64_t i = r.begin; i < r.end; i += 4, at += 4 * D, later += 4 * D) {
            const __m512i up = four(chances->upper + r.piece + i);
            const __m512i low = four(chances->lower + r.piece + i);
            fetch_bytes(later, 4 * wide * LANES);
            for (int j = 0; j < wide; j++) {
                const __m512i value = _mm512_loadu_si512(at + 4 * j * LANES);
                upper[j] = add_fours(upper[j], up, value);
                lower[j] = add_fours(lower[j], low, value);
            }
        }
    }
    for (int j = 0; j < wide; j++) {
        const floats x = (floats)_mm512_fmadd_ps(_mm512_cvtepi32_ps(upper[j]), _mm512_set1_ps(256),
                                                 _mm512_cvtepi32_ps(lower[j]));
        store(to + d + j * LANES, x * scale);
    }
}
#else
INLINE void compare(const float *q, const struct shelf *s, int64_t from, int64_t end, int64_t D,
                    float *to) {
    const char *values = s->keys + s->to_values;
    for (int64_t piece = from / PLACES; piece * PLACES < end; piece++) {
        const struct reading r = reading(s, s->keys, values, D, piece, from, end, 1);
        for (int64_t i = r.begin; i < r.end; i++) {
            const uint8_t *at = (const uint8_t *)r.side + i * D;
            floats sum = {0};
            float scale;
            fetch_bytes(r.later + i * D, D);
            for (int64_t d = 0; d < D; d += LANES)
                sum += load(q + d) * (load_uint8(at + d) - 128.0f);
            memcpy(&scale, scales_at(r.side, D, i), sizeof scale);
            to[r.piece + i] = total(sum) * scale;
        }
    }
}

INLINE float halve_chances(const struct chances *chances, int64_t from, int64_t end) {
    (void)chances, (void)from, (void)end;
    return 1.0f;
}

INLINE void mix_bytes(const struct shelf *s, const struct chances *chances, int64_t from,
                      int64_t end, int64_t D, int64_t d, int wide, float scale, float *to) {
    const char *values = s->keys + s->to_values;
    floats found[WIDE] = {{0}};
    for (int64_t piece = from / PLACES; piece * PLACES < end; piece++) {
        const struct reading r = reading(s, values, next_keys(s, D), D, piece, from, end, 4);
        for (int64_t i = r.begin; i < r.end; i += 4) {
            fetch_bytes(r.later + i * D + 4 * d, 4 * wide * LANES);
            for (int j = 0; j < wide; j++) {
                ints four;
                memcpy(&four, r.side + i * D + 4 * (d + j * LANES), sizeof four);
                for (int k = 0; k < 4; k++)
                    found[j] += __builtin_convertvector(four << (24 - 8 * k) >> 24, floats) *
                                chances->of[r.piece + i + k];
            }
        }
    }
    for (int j = 0; j < wide; j++)
        store(to + d + j * LANES, found[j] * scale);
}
#endif

INLINE void attend_in_bytes(const float *q, const struct shelf *s, int64_t from, int64_t end,
                            int64_t D, const struct chances *chances, float *to) {
    compare(q, s, from, end, D, chances->of);
    const float sum = soften(chances->of, from, end);
    scale_chances(s, chances->of, from, end, D);
    const float scale = halve_chances(chances, from, end) / sum;
    int64_t d = 0;
    for (; d + WIDE * LANES <= D; d += WIDE * LANES)
        mix_bytes(s, chances, from, end, D, d, WIDE, scale, to);
    for (; d < D; d += LANES)
        mix_bytes(s, chances, from, end, D, d, 1, scale, to);
}

ATTENTION(attend_bytes, attend_in_bytes)

#endif
