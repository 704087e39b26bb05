/* One step of a decoder of LLaMA's kind on a CPU: ids in, keys and values kept, logits out.
 *
 * For one row a step is bound by reading the weights once, and by how often threads wait for one
 * another. Everything is computed in fp32; the weights may be smaller (products.h). Python calls
 * `midigen_step` through ctypes (native.py), which has the same structures.
 *
 * Rows of a step: B samples of T ids each, R = B T. Shapes are those of the model: W width, H heads
 * in G groups, D dimensions a head, F the inner width, V ids. */

#include <math.h>
#include <stdlib.h>

#include "pool.h"
#include "products.h"

struct layer {
    struct matrix qkv;     /* (H + 2 G) D outputs: queries are scaled; pairs that turn lie together */
    struct matrix out;     /* W */
    struct matrix gate_up; /* 2 F: LANES gates, then the LANES that they open, and so on */
    struct matrix down;    /* W */
};

struct model {
    int64_t width, heads, groups, head, inner, vocab, layers;
    int64_t precision;
    double eps;
    const float *table; /* (V, W): the embeddings */
    const struct layer *layer;
    struct matrix logits; /* V */
};

struct step {
    int64_t batch, count;   /* B, T */
    const int64_t *ids;     /* (B, T) */
    const int64_t *starts;  /* (B,): places before are padding */
    int64_t length;         /* places that are kept by now */
    int64_t capacity;       /* L */
    float *const *keys;     /* a layer: (B, G, L, D) */
    float *const *values;   /* the same */
    const float *turns;     /* (T, D / 2, 2): cosine and sine of the new places */
    float *result;          /* (B, T, V) */
};

/* What a step works in, R rows of each: memory that it takes and gives back. */
struct room {
    float *x;           /* (R, W): what the layers add to */
    struct rows normed; /* (R, W) */
    float *qkv;         /* (R, (H + 2 G) D) */
    struct rows mixed;  /* (R, H D): what attention found */
    struct rows inner;  /* (R, F) */
    float *chances;     /* (threads, L) */
};

struct job {
    const struct model *model;
    const struct step *step;
    struct room room;
};

#define EACH(unit, units) for (int64_t unit; (unit = take()) < (units);)

INLINE int64_t blocks(const struct matrix *m) { return (m->outputs + BLOCK - 1) / BLOCK; }

/* Divide a row (W,) by its root mean square (Zhang and Sennrich 2019). Weights are in the matrix. */
static void norm(const float *x, float *to, int64_t W, double eps) {
    floats sum = {0};
    for (int64_t i = 0; i < W; i += LANES)
        sum += load(x + i) * load(x + i);
    const float scale = (float)(1.0 / sqrt(total(sum) / (double)W + eps));
    for (int64_t i = 0; i < W; i += LANES)
        store(to + i, load(x + i) * scale);
}

/* Turn pairs of a head (D,) by the angles of its place (Su et al. 2021). */
static void turn(const float *x, const float *turns, float *to, int64_t D) {
    for (int64_t i = 0; i < D; i += 2) {
        const float a = x[i], b = x[i + 1], cosine = turns[i], sine = turns[i + 1];
        to[i] = a * cosine - b * sine;
        to[i + 1] = a * sine + b * cosine;
    }
}

#define WIDE 4

/* Write the values' dimensions from `values` on, `wide` LANES of them, by the places' chances. */
INLINE void mix(const float *chances, const float *values, int64_t from, int64_t end, int64_t D,
                int wide, float *to) {
    floats found[WIDE] = {{0}};
    for (int64_t place = from; place < end; place++) {
        const float *here = values + place * D;
        for (int i = 0; i < wide; i++) {
            FETCH(here + i * LANES + AHEAD);
            found[i] += load(here + i * LANES) * chances[place];
        }
    }
    for (int i = 0; i < wide; i++)
        store(to + i * LANES, found[i]);
}

/* Write what a query (D,) finds in places `from` to `end` of a head (L, D). */
static void attend(const float *q, const float *keys, const float *values, int64_t from,
                   int64_t end, int64_t D, float *chances, float *to) {
    float top = -INFINITY;
    for (int64_t place = from; place < end; place++) {
        floats sum = {0};
        for (int64_t d = 0; d < D; d += LANES) {
            FETCH(keys + place * D + d + AHEAD);
            sum += load(q + d) * load(keys + place * D + d);
        }
        chances[place] = total(sum);
        top = chances[place] > top ? chances[place] : top;
    }
    const int64_t whole = from + (end - from) / LANES * LANES;
    floats sums = {0};
    for (int64_t place = from; place < whole; place += LANES) {
        floats e = exponential(load(chances + place) - top);
        store(chances + place, e);
        sums += e;
    }
    float sum = total(sums);
    for (int64_t place = whole; place < end; place++)
        sum += chances[place] = exponential(all(chances[place] - top))[0];
    int64_t d = 0;
    for (; d + WIDE * LANES <= D; d += WIDE * LANES)
        mix(chances, values + d, from, end, D, WIDE, to + d);
    for (; d < D; d += LANES)
        mix(chances, values + d, from, end, D, 1, to + d);
    for (d = 0; d < D; d += LANES)
        store(to + d, load(to + d) / sum);
}

/* x / (1 + e^-x), the SiLU of SwiGLU (Shazeer 2020). */
INLINE floats silu(floats x) { return x / (1.0f + exponential(-x)); }

static void open_gates(const floats *y, float *to) { store(to, silu(y[0]) * y[1]); }

enum end { WRITE, ADD, OPEN };

/* Multiply all rows by a matrix, a block for each unit; write (R, to), add, or open the gates. */
static void multiply(const struct job *job, const struct matrix *m, const struct rows *rows,
                     enum end end, float *to, int64_t width) {
    const int64_t R = job->step->batch * job->step->count;
    product *product = products[job->model->precision];
    EACH(block, blocks(m)) {
        const int64_t at = block * (end == OPEN ? LANES : BLOCK);
        const int64_t left = width - at < BLOCK ? width - at : BLOCK;
        for (int64_t row = 0; row < R; row += TILE) {
            const int count = R - row < TILE ? (int)(R - row) : TILE;
            floats y[TILE][2];
            product(m, block, rows, row, count, y);
            for (int r = 0; r < count; r++) {
                float *here = to + (row + r) * width + at;
                if (end == OPEN)
                    open_gates(y[r], here);
                else if (end == WRITE && left == BLOCK)
                    memcpy(here, y[r], sizeof y[r]);
                else
                    for (int64_t i = 0; i < left; i++)
                        here[i] = (end == ADD ? here[i] : 0.0f) + y[r][i / LANES][i % LANES];
            }
        }
    }
    together();
}

static void norm_all(const struct job *job) {
    const struct model *m = job->model;
    EACH(row, job->step->batch * job->step->count) {
        const int64_t W = m->width;
        norm(job->room.x + row * W, job->room.normed.x + row * W, W, m->eps);
        if (m->precision == INT8_IN_FOURS)
            halve(&job->room.normed, row, W);
    }
    together();
}

/* Keep the new keys, turned, and values. */
static void keep(const struct job *job, int64_t layer) {
    const struct model *m = job->model;
    const struct step *s = job->step;
    const int64_t D = m->head, G = m->groups, H = m->heads;
    EACH(unit, s->batch * s->count * G) {
        const int64_t row = unit / G, group = unit % G, b = row / s->count, t = row % s->count;
        const float *from = job->room.qkv + (row * (H + 2 * G) + H + group) * D;
        const int64_t at = ((b * G + group) * s->capacity + s->length + t) * D;
        turn(from, s->turns + t * D, s->keys[layer] + at, D);
        memcpy(s->values[layer] + at, from + G * D, sizeof(float) * (size_t)D);
    }
    together();
}

static void look_back(const struct job *job, int64_t layer, int thread) {
    const struct model *m = job->model;
    const struct step *s = job->step;
    const int64_t D = m->head, G = m->groups, H = m->heads;
    float *chances = job->room.chances + thread * s->capacity;
    EACH(unit, s->batch * s->count * H) {
        const int64_t row = unit / H, head = unit % H, b = row / s->count, t = row % s->count;
        const int64_t at = (b * G + head / (H / G)) * s->capacity * D;
        /* A place of padding sees itself. */
        const int64_t here = s->length + t;
        const int64_t from = s->starts[b] < here ? s->starts[b] : here;
        float *q = job->room.qkv + (row * (H + 2 * G) + head) * D;
        turn(q, s->turns + t * D, q, D);
        attend(q, s->keys[layer] + at, s->values[layer] + at, from, here + 1, D, chances,
               job->room.mixed.x + (row * H + head) * D);
    }
    together();
}

/* Write all rows (R, K) in 16 bits, where that is what is multiplied. */
static void halve_all(const struct job *job, const struct rows *rows, int64_t K) {
    if (job->model->precision != INT8_IN_FOURS)
        return;
    EACH(row, job->step->batch * job->step->count) { halve(rows, row, K); }
    together();
}

static void run(void *what, int thread) {
    const struct job *job = what;
    const struct model *m = job->model;
    const struct step *s = job->step;
    const struct room *room = &job->room;
    const int64_t W = m->width, D = m->head, R = s->batch * s->count;
    EACH(row, R) {
        memcpy(room->x + row * W, m->table + s->ids[row] * W, sizeof(float) * (size_t)W);
    }
    together();
    for (int64_t layer = 0; layer < m->layers; layer++) {
        const struct layer *l = &m->layer[layer];
        norm_all(job);
        multiply(job, &l->qkv, &room->normed, WRITE, room->qkv, (m->heads + 2 * m->groups) * D);
        keep(job, layer);
        look_back(job, layer, thread);
        halve_all(job, &room->mixed, m->heads * D);
        multiply(job, &l->out, &room->mixed, ADD, room->x, W);
        norm_all(job);
        multiply(job, &l->gate_up, &room->normed, OPEN, room->inner.x, m->inner);
        halve_all(job, &room->inner, m->inner);
        multiply(job, &l->down, &room->inner, ADD, room->x, W);
    }
    norm_all(job);
    multiply(job, &m->logits, &room->normed, WRITE, s->result, m->vocab);
}

/* Lay parts of a room out behind one another; with no memory, only count it. */
static size_t lay_out(struct room *room, const struct model *m, const struct step *s, int threads,
                      char *memory) {
    const size_t R = (size_t)(s->batch * s->count), W = (size_t)m->width, F = (size_t)m->inner;
    const size_t HD = (size_t)(m->heads * m->head);
    const size_t QKV = (size_t)((m->heads + 2 * m->groups) * m->head);
    size_t used = 0;
#define PART(part, size)                                                                          \
    do {                                                                                          \
        part = memory ? (void *)(memory + used) : 0;                                              \
        used += ((size) + 63) / 64 * 64;                                                          \
    } while (0)
#define ROWS(rows, K)                                                                             \
    do {                                                                                          \
        PART((rows).x, 4 * R * (K));                                                              \
        PART((rows).upper, R * (K));                                                              \
        PART((rows).lower, R * (K));                                                              \
        PART((rows).scale, 4 * R);                                                                \
    } while (0)
    PART(room->x, 4 * R * W);
    ROWS(room->normed, W);
    PART(room->qkv, 4 * R * QKV);
    ROWS(room->mixed, HD);
    ROWS(room->inner, F);
    PART(room->chances, 4 * (size_t)threads * (size_t)s->capacity);
    return used;
}

/* What int8 weights must look like here: INT8 or INT8_IN_FOURS. */
int midigen_int8(void) { return INT8_KIND; }

/* What step.c and native.py agree on, in one number. */
#define VERSION 1
int midigen_layout(void) {
    const size_t numbers[] = {VERSION, sizeof(struct model), sizeof(struct layer),
                              sizeof(struct step)};
    int mixed = 0;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        mixed = (mixed * 1009 + (int)numbers[i]) % 1000003;
    return mixed;
}

/* Whether this processor has the instructions that this library was built with. */
int midigen_runs(void) {
#if defined(__AVX512VNNI__)
    if (!__builtin_cpu_supports("avx512vnni"))
        return 0;
#endif
#if defined(__AVX512F__)
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
#elif defined(__AVX2__)
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#else
    return 1;
#endif
}

enum fault { NONE, NO_MEMORY, NO_SUCH_ID };

/* Read B T ids behind what is kept; the caller counts the places on. Returns a fault, or 0. Places
 * are within the capacity, heads and the inner width multiples of LANES: the caller sees to that. */
int midigen_step(const struct model *model, const struct step *step, int threads) {
    struct job job = {.model = model, .step = step};
    for (int64_t i = 0; i < step->batch * step->count; i++)
        if (step->ids[i] < 0 || step->ids[i] >= model->vocab)
            return NO_SUCH_ID;
    threads = threads < 1 ? 1 : threads < MOST_THREADS ? threads : MOST_THREADS;
    const size_t size = lay_out(&job.room, model, step, threads, 0);
    char *memory = aligned_alloc(64, size);
    if (!memory)
        return NO_MEMORY;
    lay_out(&job.room, model, step, threads, memory);
    work_together(threads, run, &job);
    free(memory);
    return NONE;
}
