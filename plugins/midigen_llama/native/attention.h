/* Attention: what a query finds in the keys and values that are kept, in fp32 beside weights in fp32;
 * beside narrower ones they are in bytes (inbytes.h). */

#ifndef MIDIGEN_ATTENTION_H
#define MIDIGEN_ATTENTION_H

#include <math.h>

#include "products.h"

/* Places of a piece of what is kept. */
#define PLACES 64

/* What a key or a value takes, (D,); in bytes it has a scale. */
INLINE int64_t bytes_kept(enum precision weights, int64_t D) {
    return weights == FP32 ? (int64_t)sizeof(float) * D : D + (int64_t)sizeof(float);
}

/* What is kept of one group of one row: where the keys of its first piece of places are, the bytes
 * from there to their values, and those from a piece to the next. */
struct shelf {
    char *keys;
    int64_t to_values, to_next;
};

/* What a thread looks back in, by places from the first there is, for whole pieces of them: what
 * they count, and in two bytes. */
struct chances {
    float *of;
    uint8_t *upper, *lower;
};

/* They come from memory, in order: so many bytes before they are fetched. */
#define SOON 8192

/* A stretch of places in one piece; `next`: what is read behind it. */
struct stretch {
    const char *at, *next;
    int64_t count;
};

/* Return the places from `place` on, as far as they lie together, `row` bytes each; behind the last
 * comes `last`. */
INLINE struct stretch stretch(const struct shelf *s, const char *first, int64_t row, int64_t place,
                              int64_t end, const char *last) {
    const int64_t left = PLACES - place % PLACES;
    const char *at = first + place / PLACES * s->to_next;
    return (struct stretch){at + place % PLACES * row, place + left < end ? at + s->to_next : last,
                            place + left < end ? left : end - place};
}

/* Return where place `from` is. */
INLINE const char *first_of(const struct shelf *s, const char *first, int64_t row, int64_t from) {
    return first + from / PLACES * s->to_next + from % PLACES * row;
}

/* Fetch the place that is `SOON` behind place `i` of a stretch. */
INLINE void fetch(const struct stretch *s, int64_t i, int64_t row) {
    const int64_t at = i * row + SOON, size = s->count * row;
    const char *from = at < size ? s->at + at : s->next + (at - size);
    for (int64_t line = 0; line < row; line += LINE)
        FETCH(from + line);
}

/* Return numbers of place `i` of a stretch, from `d` on. */
INLINE floats at_place(const struct stretch *s, int64_t i, int64_t row, int64_t d) {
    return load((const float *)(s->at + i * row) + d);
}

/* Let places `from` to `end` count by e^x; return the sum of what they count. */
static float soften(float *x, int64_t from, int64_t end) {
    const int64_t whole = from + (end - from) / LANES * LANES;
    floats tops = all(-INFINITY), sums = {0};
    for (int64_t place = from; place < whole; place += LANES)
        tops = larger(load(x + place), tops);
    float top = x[end - 1];
    for (int i = 0; i < LANES; i++)
        top = tops[i] > top ? tops[i] : top;
    for (int64_t place = whole; place < end; place++)
        top = x[place] > top ? x[place] : top;
    for (int64_t place = from; place < whole; place += LANES) {
        floats e = exponential(load(x + place) - top);
        store(x + place, e);
        sums += e;
    }
    float sum = total(sums);
    for (int64_t place = whole; place < end; place++)
        sum += x[place] = exponential(all(x[place] - top))[0];
    return sum;
}

#define WIDE 4

/* Write the values' dimensions from `d` on, `wide` LANES of them, by the places' chances. */
INLINE void mix(const struct shelf *s, const float *chances, int64_t from, int64_t end, int64_t D,
                int64_t d, int wide, float scale, float *to) {
    floats found[WIDE] = {{0}};
    const int64_t row = bytes_kept(FP32, D);
    /* The next group's keys lie behind this one's. */
    const char *then = first_of(s, s->keys + PLACES * row, row, from);
    for (int64_t place = from; place < end;) {
        const struct stretch here = stretch(s, s->keys + s->to_values, row, place, end, then);
        for (int64_t i = 0; i < here.count; i++) {
            fetch(&here, i, row);
            for (int j = 0; j < wide; j++)
                found[j] += at_place(&here, i, row, d + j * LANES) * chances[place + i];
        }
        place += here.count;
    }
    for (int j = 0; j < wide; j++)
        store(to + d + j * LANES, found[j] / scale);
}

/* Write what a query (D,) finds in places `from` to `end`. */
INLINE void attend(const float *q, const struct shelf *s, int64_t from, int64_t end, int64_t D,
                   const struct chances *chances, float *to) {
    const int64_t row = bytes_kept(FP32, D);
    const char *first_value = first_of(s, s->keys + s->to_values, row, from);
    for (int64_t place = from; place < end;) {
        const struct stretch here = stretch(s, s->keys, row, place, end, first_value);
        for (int64_t i = 0; i < here.count; i++) {
            floats sum = {0};
            fetch(&here, i, row);
            for (int64_t d = 0; d < D; d += LANES)
                sum += load(q + d) * at_place(&here, i, row, d);
            chances->of[place + i] = total(sum);
        }
        place += here.count;
    }
    const float sum = soften(chances->of, from, end);
    int64_t d = 0;
    for (; d + WIDE * LANES <= D; d += WIDE * LANES)
        mix(s, chances->of, from, end, D, d, WIDE, sum, to);
    for (; d < D; d += LANES)
        mix(s, chances->of, from, end, D, d, 1, sum, to);
}

typedef void attention(const float *q, const struct shelf *, int64_t from, int64_t end, int64_t D,
                       const struct chances *, float *to);

/* Of a head of the usual size all of a place is known beforehand, and a query stays in registers. */
#define USUAL 64
#define ATTENTION(name, how)                                                                      \
    static void name(const float *q, const struct shelf *s, int64_t from, int64_t end, int64_t D, \
                     const struct chances *chances, float *to) {                                  \
        if (D == USUAL)                                                                           \
            how(q, s, from, end, USUAL, chances, to);                                             \
        else                                                                                      \
            how(q, s, from, end, D, chances, to);                                                 \
    }

ATTENTION(attend_fp32, attend)

/* Keep D numbers as place `place` of a piece. */
static void keep_row(char *piece, int64_t place, const float *from, int64_t D) {
    memcpy(piece + place * bytes_kept(FP32, D), from, sizeof(float) * (size_t)D);
}

#endif
