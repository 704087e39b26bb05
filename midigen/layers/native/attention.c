/* Causal attention in bfloat16, forward and back: FlashAttention's way (Dao et al., arXiv 2205.14135
 * and 2307.08691), in tiles.
 *
 * Scores are kept turned round, a column for each query: what is taken over keys is taken over rows,
 * and needs no sums across a vector. B rows, T places, H heads in G groups, D dimensions a head. */

#include <math.h>
#include <string.h>

#include "kernels.h"

/* Groups of EDGE keys and of queries whose gradients are taken together: their sums are read and
 * written once. */
#define KEYS 2
#define QUERIES 4

/* What a thread works in. P places: T, filled up to whole EDGEs. */
struct room {
    bf16 *turned;             /* (P, D) */
    char *q, *k, *v, *dy;     /* (P, D) in pieces, deep along D */
    char *q_wide, *k_wide, *dy_wide; /* (D, P), deep along P */
    float *scores;            /* (P, EDGE): of a group of queries */
    char *weights;            /* the same, in pieces */
    char *left, *right;       /* what changes scores, as left operands and right ones */
    float *sums;              /* (D, EDGE) */
    float *deltas, *logs;     /* (P,) */
    int32_t *starts;          /* (P,) */
    uint32_t head;            /* what the dropped weights of this head hang on */
    float *dq;                /* (P / EDGE, D, EDGE) */
    float *dk, *dv;           /* (P / EDGE, D / EDGE, EDGE, EDGE) */
};

struct work {
    const struct attention *attention;
    char *memory;
    int64_t each; /* bytes for a thread */
};

static struct memory memory;

static int64_t filled(const struct attention *a) { return divide_up(a->length, EDGE) * EDGE; }

static void *take(char **from, int64_t bytes) {
    void *taken = *from;
    *from += divide_up(bytes, 64) * 64;
    return taken;
}

/* Lay a room out in memory from `at` on; return the bytes that it takes. */
static int64_t lay_out(struct room *room, const struct attention *a, char *at) {
    char *next = at;
    int64_t P = filled(a), D = a->head, matrix = P * D * 2, group = EDGE * 4;
    int is_back = a->dy != 0;
    room->turned = take(&next, matrix);
    room->q = take(&next, matrix);
    room->k = take(&next, matrix);
    room->v = take(&next, matrix);
    room->scores = take(&next, is_back ? 2 * SUMS * 4 : P * group);
    room->weights = take(&next, is_back ? KEYS * QUERIES * PIECE : P * EDGE * 2);
    room->sums = take(&next, D * group);
    room->starts = take(&next, P * 4);
    room->logs = take(&next, P * 4);
    if (is_back) {
        room->left = take(&next, KEYS * QUERIES * PIECE);
        room->right = take(&next, KEYS * QUERIES * PIECE);
        room->dy = take(&next, matrix);
        room->q_wide = take(&next, matrix);
        room->k_wide = take(&next, matrix);
        room->dy_wide = take(&next, matrix);
        room->deltas = take(&next, P * 4);
        room->dq = take(&next, 2 * matrix);
        room->dk = take(&next, 2 * matrix);
        room->dv = take(&next, 2 * matrix);
    }
    return next - at;
}

/* Turn sixteen pairs of dimensions, `d` and those half a head behind, by a place's angles; back where
 * `sign` is -1. */
INLINE void turn_pairs(__m512 *low, __m512 *high, const struct attention *a, int64_t place, int64_t d,
                       float sign) {
    const bf16 *cosines = a->cosines + place * a->head + d, *sines = a->sines + place * a->head + d;
    int64_t half = a->head / 2;
    __m512 signs = _mm512_set1_ps(sign), x = *low, y = *high;
    __m512 s = _mm512_mul_ps(load_bf16(sines, 0xffff), signs);
    __m512 t = _mm512_mul_ps(load_bf16(sines + half, 0xffff), signs);
    *low = _mm512_fmadd_ps(y, s, _mm512_mul_ps(x, load_bf16(cosines, 0xffff)));
    *high = _mm512_fmadd_ps(x, t, _mm512_mul_ps(y, load_bf16(cosines + half, 0xffff)));
}

/* Turn queries or keys of one head, `*step` numbers from one to the next; return them, with their own
 * step, or what is there where nothing turns. */
static const bf16 *turn(bf16 *to, const bf16 *from, int64_t *step, const struct attention *a) {
    int64_t half = a->head / 2, stride = *step;
    bf16 *made = to;
    if (!a->cosines)
        return from;
    *step = a->head;
    for (int64_t t = 0; t < a->length; t++, from += stride, to += a->head)
        for (int64_t d = 0; d < half; d += 16) {
            __m512 low = load_bf16(from + d, 0xffff), high = load_bf16(from + half + d, 0xffff);
            turn_pairs(&low, &high, a, t, d, 1);
            store_bf16(to + d, 0xffff, low);
            store_bf16(to + half + d, 0xffff, high);
        }
    return made;
}

/* Write a row of fp32, turned back where it had been turned. */
INLINE void write_row(bf16 *to, const float *row, const struct attention *a, int64_t place,
                      int is_turned) {
    int64_t half = a->head / 2;
    for (int64_t d = 0; d < half; d += 16) {
        __m512 low = _mm512_loadu_ps(row + d), high = _mm512_loadu_ps(row + half + d);
        if (is_turned && a->cosines)
            turn_pairs(&low, &high, a, place, d, -1);
        store_bf16(to + d, 0xffff, low);
        store_bf16(to + half + d, 0xffff, high);
    }
}

typedef void cutter(char *to, const bf16 *from, int64_t stride, int64_t size, int64_t depth);

/* Cut (T, D), a row every `stride` numbers, into groups of EDGE places, deep along D. */
INLINE void cut_deep(char *to, const bf16 *from, int64_t stride, const struct attention *a,
                     cutter *cutter) {
    for (int64_t t = 0; t < a->length; t += EDGE)
        for (int64_t d = 0; d < a->head; d += EDGE, to += PIECE)
            cutter(to, from + t * stride + d, stride, smaller(EDGE, a->length - t), EDGE);
}

/* Cut (T, D) into groups of EDGE dimensions, deep along T. */
INLINE void cut_wide(char *to, const bf16 *from, int64_t stride, const struct attention *a,
                     cutter *cutter) {
    for (int64_t d = 0; d < a->head; d += EDGE)
        for (int64_t t = 0; t < a->length; t += EDGE, to += PIECE)
            cutter(to, from + t * stride + d, stride, EDGE, smaller(EDGE, a->length - t));
}

/* Which of sixteen queries, from `query` on, see `key`: part of a row of scores. */
INLINE __mmask16 seen(const struct room *room, int64_t key, int64_t query) {
    const __m512i count = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    __m512i k = _mm512_set1_epi32((int)key), q = _mm512_add_epi32(_mm512_set1_epi32((int)query), count);
    __m512i start = _mm512_loadu_si512(room->starts + query);
    return _mm512_cmple_epi32_mask(k, q) & _mm512_cmple_epi32_mask(start, k);
}

/* Whether some of EDGE queries do not see some of EDGE keys. */
INLINE int is_mixed(const struct room *room, int64_t key, int64_t query) {
    return key + EDGE > query || room->starts[query + EDGE - 1] > key;
}

/* Bits that look drawn, of numbers that count: the mixing function "lowbias32" (Wellons 2018). */
static uint32_t mixed_bits(uint32_t x) {
    x = (x ^ x >> 16) * 0x7feb352du;
    x = (x ^ x >> 15) * 0x846ca68bu;
    return x ^ x >> 16;
}
INLINE __m512i all_mixed(__m512i x) {
    x = _mm512_mullo_epi32(_mm512_xor_si512(x, _mm512_srli_epi32(x, 16)),
                           _mm512_set1_epi32(0x7feb352d));
    x = _mm512_mullo_epi32(_mm512_xor_si512(x, _mm512_srli_epi32(x, 15)),
                           _mm512_set1_epi32((int)0x846ca68bu));
    return _mm512_xor_si512(x, _mm512_srli_epi32(x, 16));
}

/* Which weights of `key` and the next one are kept, of sixteen queries. */
INLINE void choose_kept(const struct room *room, const struct attention *a, int64_t key, int64_t query,
                        __mmask16 kept[2]) {
    const __m512i count = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    __m512i at = _mm512_add_epi32(_mm512_set1_epi32((int)query), count);
    at = _mm512_xor_si512(_mm512_slli_epi32(at, 16), _mm512_set1_epi32((int)(key / 2)));
    at = all_mixed(_mm512_xor_si512(at, _mm512_set1_epi32((int)room->head)));
    __m512i dropped = _mm512_set1_epi32((int)a->dropped);
    kept[0] = _mm512_cmpge_epi32_mask(_mm512_and_si512(at, _mm512_set1_epi32(0xffff)), dropped);
    kept[1] = _mm512_cmpge_epi32_mask(_mm512_srli_epi32(at, 16), dropped);
}

static void take_starts(struct room *room, const struct attention *a, int64_t b) {
    int64_t P = filled(a), T = a->length;
    memset(room->starts, 0, (size_t)P * 4);
    if (!a->starts)
        return;
    memcpy(room->starts, a->starts + b * T, (size_t)T * 4);
    for (int64_t t = T; t < P; t++)
        room->starts[t] = room->starts[T - 1];
}

/* Write EDGE by EDGE sums of (D, EDGE), turned round and times `scale`, as rows of (T, D). */
INLINE void write_round(bf16 *to, int64_t stride, const float *sums, int64_t rows, __m512 low,
                        __m512 high) {
    for (int half = 0; half < EDGE && half < rows; half += 16) {
        __m512i a[16], b[16];
        __m512 scale = half ? high : low;
        for (int i = 0; i < 16; i++) {
            a[i] = (__m512i)_mm512_mul_ps(_mm512_loadu_ps(sums + i * EDGE + half), scale);
            b[i] = (__m512i)_mm512_mul_ps(_mm512_loadu_ps(sums + (16 + i) * EDGE + half), scale);
        }
        turn_round(a);
        turn_round(b);
        for (int64_t i = 0; i < smaller(16, rows - half); i++)
            _mm512_storeu_si512(to + (half + i) * stride, narrowed((__m512)a[i], (__m512)b[i]));
    }
}

/* Scores of a group of queries with the keys from `first` to `end`; their greatest, by query. */
static void score(const struct room *room, int64_t D, int64_t query, int64_t first, int64_t end,
                  __m512 most[2]) {
    const char *q = room->q + query * D * 2;
    most[0] = most[1] = _mm512_set1_ps(-INFINITY);
    for (int64_t key = first; key < end; key += EDGE) {
        float *here = room->scores + (key - first) * EDGE;
        sums_zero();
        sums_add(room->k + key * D * 2, q, D / EDGE);
        sums_store(here);
        int mixed = is_mixed(room, key, query);
        for (int64_t r = 0; r < EDGE; r++)
            for (int h = 0; h < 2; h++) {
                __m512 x = _mm512_loadu_ps(here + r * EDGE + 16 * h);
                if (mixed) {
                    x = _mm512_mask_blend_ps(seen(room, key + r, query + 16 * h),
                                             _mm512_set1_ps(-INFINITY), x);
                    _mm512_storeu_ps(here + r * EDGE + 16 * h, x);
                }
                most[h] = _mm512_max_ps(most[h], x);
            }
    }
}

/* Weights of the values, not divided yet, in pieces; their sums, by query. */
static void weigh(const struct room *room, const struct attention *a, int64_t query, int64_t first,
                  int64_t keys, __m512 scale, const __m512 most[2], __m512 sums[2]) {
    const __m512 larger = _mm512_set1_ps((float)a->scale);
    for (int h = 0; h < 2; h++) {
        __m512 away = _mm512_mul_ps(most[h], scale), sum = _mm512_setzero_ps();
        for (int64_t key = 0; key < keys; key += 2) {
            const float *here = room->scores + key * EDGE + 16 * h;
            char *to = room->weights + key / EDGE * PIECE + h * PIECE / 2 + key % EDGE * 32;
            __m512 x = exponential(_mm512_fmsub_ps(_mm512_loadu_ps(here), scale, away));
            __m512 y = exponential(_mm512_fmsub_ps(_mm512_loadu_ps(here + EDGE), scale, away));
            sum = _mm512_add_ps(sum, _mm512_add_ps(x, y));
            if (a->dropped) {
                __mmask16 kept[2];
                choose_kept(room, a, first + key, query + 16 * h, kept);
                x = _mm512_maskz_mul_ps(kept[0], x, larger);
                y = _mm512_maskz_mul_ps(kept[1], y, larger);
            }
            _mm512_store_si512(to, in_turns(narrowed(x, y)));
        }
        sums[h] = sum;
    }
}

static void forward(const void *what, int64_t unit, int thread) {
    const struct work *work = what;
    const struct attention *a = work->attention;
    int64_t T = a->length, H = a->heads, G = a->groups, D = a->head, P = filled(a);
    int64_t b = unit / H, h = unit % H, g = h / (H / G);
    struct room room;
    lay_out(&room, a, work->memory + thread * work->each);
    take_starts(&room, a, b);
    int64_t q_step = a->q_step, k_step = a->kv_step;
    const bf16 *q = turn(room.turned, a->q + b * T * q_step + h * D, &q_step, a);
    cut_deep(room.q, q, q_step, a, right_deep);
    const bf16 *k = turn(room.turned, a->k + b * T * k_step + g * D, &k_step, a);
    cut_deep(room.k, k, k_step, a, left_deep);
    cut_wide(room.v, a->v + b * T * a->kv_step + g * D, a->kv_step, a, left_wide);
    room.head = mixed_bits((uint32_t)unit ^ (uint32_t)a->seed);
    __m512 scale = _mm512_set1_ps(1 / sqrtf((float)D));
    for (int64_t query = 0; query < T; query += EDGE) {
        int64_t first = room.starts[query] / EDGE * EDGE, end = query + EDGE;
        __m512 most[2], sums[2];
        score(&room, D, query, first, end, most);
        weigh(&room, a, query, first, end - first, scale, most, sums);
        for (int64_t d = 0; d < D; d += EDGE) {
            sums_zero();
            sums_add(room.v + (d * P + first * EDGE) * 2, room.weights, (end - first) / EDGE);
            sums_store(room.sums);
            write_round(a->y + ((b * T + query) * H + h) * D + d, H * D, room.sums, T - query,
                        _mm512_div_ps(_mm512_set1_ps(1), sums[0]),
                        _mm512_div_ps(_mm512_set1_ps(1), sums[1]));
        }
        float sum[EDGE], top[EDGE];
        for (int i = 0; i < 2; i++) {
            _mm512_storeu_ps(sum + 16 * i, sums[i]);
            _mm512_storeu_ps(top + 16 * i, _mm512_mul_ps(most[i], scale));
        }
        for (int64_t i = 0; i < smaller(EDGE, T - query); i++)
            a->logs[(b * H + h) * T + query + i] = top[i] + logf(sum[i]);
    }
}

/* The weights of EDGE keys and queries, and what changes their scores, in pieces: (keys, queries)
 * both as left operands, and the latter as a right one. */
static void slopes(const struct room *room, const struct attention *a, int64_t key, int64_t query,
                   __m512 scale, char *weights, char *left, char *right) {
    int64_t D = a->head;
    float *scores = room->scores, *dweights = scores + SUMS;
    sums_zero();
    sums_add(room->k + key * D * 2, room->q + query * D * 2, D / EDGE);
    sums_store(scores);
    sums_zero();
    sums_add(room->v + key * D * 2, room->dy + query * D * 2, D / EDGE);
    sums_store(dweights);
    int mixed = is_mixed(room, key, query);
    __m512 logs[2], deltas[2];
    for (int h = 0; h < 2; h++) {
        logs[h] = _mm512_loadu_ps(room->logs + query + 16 * h);
        deltas[h] = _mm512_loadu_ps(room->deltas + query + 16 * h);
    }
    const __m512 larger = _mm512_set1_ps((float)a->scale);
    for (int64_t r = 0; r < EDGE; r += 2) {
        __m512 w[2][2], ds[2][2];
        for (int h = 0; h < 2; h++) {
            __mmask16 kept[2];
            if (a->dropped)
                choose_kept(room, a, key + r, query + 16 * h, kept);
            for (int i = 0; i < 2; i++) {
                int64_t at = (r + i) * EDGE + 16 * h;
                __m512 x = exponential(_mm512_fmsub_ps(_mm512_loadu_ps(scores + at), scale, logs[h]));
                __m512 d = _mm512_loadu_ps(dweights + at);
                if (mixed)
                    x = _mm512_maskz_mov_ps(seen(room, key + r + i, query + 16 * h), x);
                w[i][h] = x;
                if (a->dropped) {
                    w[i][h] = _mm512_maskz_mul_ps(kept[i], x, larger);
                    d = _mm512_maskz_mul_ps(kept[i], d, larger);
                }
                ds[i][h] = _mm512_mul_ps(x, _mm512_sub_ps(d, deltas[h]));
            }
        }
        for (int i = 0; i < 2; i++) {
            _mm512_store_si512(weights + (r + i) * 64, narrowed(w[i][0], w[i][1]));
            _mm512_store_si512(left + (r + i) * 64, narrowed(ds[i][0], ds[i][1]));
        }
        for (int h = 0; h < 2; h++)
            _mm512_store_si512(right + h * PIECE / 2 + r * 32,
                               in_turns(narrowed(ds[0][h], ds[1][h])));
    }
}

/* Add products of pieces to sums in memory. */
INLINE void add_to(float *sums, const char *left, const char *right, int64_t pieces) {
    sums_load(sums);
    sums_add(left, right, pieces);
    sums_store(sums);
}

/* Add what `keys` and `queries` groups from `key` and `query` on have to do with each other. */
static void add_slopes(struct room *room, const struct attention *a, int64_t key, int64_t keys,
                       int64_t query, int64_t queries, __m512 scale) {
    int64_t D = a->head, P = filled(a);
    for (int64_t k = 0; k < keys; k++)
        for (int64_t q = 0; q < queries; q++)
            slopes(room, a, key + k * EDGE, query + q * EDGE, scale,
                   room->weights + (k * QUERIES + q) * PIECE, room->left + (k * QUERIES + q) * PIECE,
                   room->right + (q * KEYS + k) * PIECE);
    for (int64_t d = 0; d < D; d += EDGE) {
        for (int64_t k = 0; k < keys; k++) {
            int64_t at = (key + k * EDGE) * D + d * EDGE, wide = (d * P + query * EDGE) * 2;
            const char *weights = room->weights + k * QUERIES * PIECE;
            add_to(room->dv + at, weights, room->dy_wide + wide, queries);
            add_to(room->dk + at, room->left + k * QUERIES * PIECE, room->q_wide + wide, queries);
        }
        for (int64_t q = 0; q < queries; q++)
            add_to(room->dq + (query + q * EDGE) * D + d * EDGE,
                   room->k_wide + (d * P + key * EDGE) * 2, room->right + q * KEYS * PIECE, keys);
    }
}

/* deltas: of each query, its output times the output's gradient. */
static void take_deltas(struct room *room, const struct attention *a, int64_t b, int64_t h) {
    int64_t T = a->length, H = a->heads, D = a->head, P = filled(a);
    memset(room->deltas, 0, (size_t)P * 4);
    memset(room->logs, 0, (size_t)P * 4);
    memcpy(room->logs, a->logs + (b * H + h) * T, (size_t)T * 4);
    for (int64_t t = 0; t < T; t++) {
        int64_t at = ((b * T + t) * H + h) * D;
        __m512 sum = _mm512_setzero_ps();
        for (int64_t d = 0; d < D; d += 16)
            sum = _mm512_fmadd_ps(load_bf16(a->y + at + d, 0xffff),
                                  load_bf16(a->dy + at + d, 0xffff), sum);
        room->deltas[t] = _mm512_reduce_add_ps(sum);
    }
}

/* Write gradients (T, D) of keys in sums of EDGE by EDGE; turned back where they had been turned. */
static void write_keys(bf16 *to, int64_t stride, const float *sums, const struct attention *a,
                       int is_turned, __m512 scale) {
    int64_t D = a->head;
    float row[D];
    for (int64_t t = 0; t < a->length; t++, to += stride) {
        const float *from = sums + t / EDGE * EDGE * D + t % EDGE * EDGE;
        for (int64_t d = 0; d < D; d += 16)
            _mm512_storeu_ps(row + d, _mm512_mul_ps(scale, _mm512_loadu_ps(
                                                               from + d / EDGE * SUMS + d % EDGE)));
        write_row(to, row, a, t, is_turned);
    }
}

/* Write gradients of the queries of a head, turned back. */
static void write_queries(bf16 *to, int64_t stride, const struct room *room,
                          const struct attention *a, __m512 scale) {
    int64_t D = a->head;
    float rows[16][D];
    for (int64_t t = 0; t < a->length; t += 16) {
        const float *from = room->dq + t / EDGE * EDGE * D + t % EDGE;
        for (int64_t d = 0; d < D; d += 16) {
            __m512i r[16];
            for (int i = 0; i < 16; i++)
                r[i] = (__m512i)_mm512_mul_ps(_mm512_loadu_ps(from + (d + i) * EDGE), scale);
            turn_round(r);
            for (int i = 0; i < 16; i++)
                _mm512_storeu_ps(rows[i] + d, (__m512)r[i]);
        }
        for (int64_t i = 0; i < smaller(16, a->length - t); i++)
            write_row(to + (t + i) * stride, rows[i], a, t + i, 1);
    }
}

static void head_back(struct room *room, const struct attention *a, int64_t b, int64_t h) {
    int64_t T = a->length, H = a->heads, D = a->head, P = filled(a);
    const bf16 *dy = a->dy + (b * T * H + h) * D;
    int64_t q_step = a->q_step;
    const bf16 *q = turn(room->turned, a->q + b * T * q_step + h * D, &q_step, a);
    cut_deep(room->q, q, q_step, a, right_deep);
    cut_wide(room->q_wide, q, q_step, a, right_wide);
    room->head = mixed_bits((uint32_t)(b * H + h) ^ (uint32_t)a->seed);
    cut_deep(room->dy, dy, H * D, a, right_deep);
    cut_wide(room->dy_wide, dy, H * D, a, right_wide);
    take_deltas(room, a, b, h);
    memset(room->dq, 0, (size_t)(P * D * 4));
    __m512 scale = _mm512_set1_ps(1 / sqrtf((float)D));
    for (int64_t key = 0; key < P; key += KEYS * EDGE) {
        int64_t keys = smaller(KEYS, (P - key) / EDGE);
        for (int64_t query = key; query < P; query += QUERIES * EDGE) {
            if (room->starts[query] >= key + keys * EDGE)
                break;
            int64_t queries = smaller(QUERIES, (P - query) / EDGE);
            add_slopes(room, a, key, keys, query, queries, scale);
        }
    }
    write_queries(a->dq + b * T * a->q_step + h * D, a->q_step, room, a, scale);
}

static void backward(const void *what, int64_t unit, int thread) {
    const struct work *work = what;
    const struct attention *a = work->attention;
    int64_t T = a->length, H = a->heads, G = a->groups, D = a->head, P = filled(a);
    int64_t b = unit / G, g = unit % G, at = b * T * a->kv_step + g * D, step = a->kv_step;
    struct room room;
    lay_out(&room, a, work->memory + thread * work->each);
    take_starts(&room, a, b);
    const bf16 *k = turn(room.turned, a->k + at, &step, a);
    cut_deep(room.k, k, step, a, left_deep);
    cut_wide(room.k_wide, k, step, a, left_wide);
    cut_deep(room.v, a->v + at, a->kv_step, a, left_deep);
    memset(room.dk, 0, (size_t)(P * D * 4));
    memset(room.dv, 0, (size_t)(P * D * 4));
    for (int64_t h = g * (H / G); h < (g + 1) * (H / G); h++)
        head_back(&room, a, b, h);
    __m512 one = _mm512_set1_ps(1), scale = _mm512_set1_ps(1 / sqrtf((float)D));
    write_keys(a->dk + at, a->kv_step, room.dk, a, 1, scale);
    write_keys(a->dv + at, a->kv_step, room.dv, a, 0, one);
}

static int run(const struct attention *a, int threads, int64_t units, task *task) {
    struct room room;
    midigen_lock();
    threads = threads < 1 ? 1 : threads > MOST_THREADS ? MOST_THREADS : threads;
    struct work work = {a, 0, lay_out(&room, a, 0)};
    work.memory = midigen_memory(&memory, threads * work.each);
    if (work.memory)
        midigen_share(threads, units, task, &work);
    midigen_unlock();
    return !work.memory;
}

/* y and logs. Returns 0, or 1 where there is no memory. */
int midigen_attention(const struct attention *a, int threads) {
    return run(a, threads, a->batch * a->heads, forward);
}

/* dq, dk and dv, from dy and what the forward pass gave. */
int midigen_attention_back(const struct attention *a, int threads) {
    return run(a, threads, a->batch * a->groups, backward);
}
