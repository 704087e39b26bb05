/* One step of a decoder of LLaMA's kind on a CPU: ids in, keys and values kept, logits out.
 *
 * For one row a step is bound by reading the weights once, and by how often threads wait for one
 * another. All is computed in fp32; weights may be narrower, and what meets them then has 16 bits
 * (fours.h, pairs.h); keys and values are in bytes beside these (inbytes.h). Python calls
 * `midigen_step` through ctypes (native.py), which has the same structures.
 *
 * Rows of a step: B samples of T ids each, R = B T. Shapes are those of the model: W width, H heads
 * in G groups, D dimensions a head, F the inner width, V ids. */

#include <stdlib.h>

#include "inbytes.h"
#include "pool.h"
#include "tiles.h"

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
    int64_t rows;           /* C: rows that there is memory for, the first B of them in use */
    void *kept;             /* (L / PLACES, layers, 2, C, G, PLACES, D): keys, then values; in bytes
                             * (inbytes.h) beside weights narrower than fp32 */
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
    float *chances;     /* (threads, L), L the places of all pieces up to the last new place */
    uint8_t *halves;    /* (threads, 2, L) */
};

struct job {
    const struct model *model;
    const struct step *step;
    struct room room;
    struct worker *me; /* every thread has a job of its own, with this */
};

#define EACH(unit, units)                                                                          \
    for (int64_t unit = first(job->me, units); unit >= 0; unit = next(job->me))

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

static struct shelf shelf(const struct model *m, const struct step *s, int64_t layer, int64_t b,
                          int64_t group) {
    const int64_t one = PLACES * bytes_kept(m->precision, m->head);
    const int64_t side = s->rows * m->groups * one;
    return (struct shelf){(char *)s->kept + 2 * layer * side + (b * m->groups + group) * one, side,
                          2 * m->layers * side};
}

/* x / (1 + e^-x), the SiLU of SwiGLU (Shazeer 2020). */
INLINE floats silu(floats x) { return x / (1.0f + exponential(-x)); }

static void open_gates(const floats *y, float *to) { store(to, silu(y[0]) * y[1]); }

enum end { WRITE, ADD, OPEN };

/* Lay groups of more than TILE rows out side by side, where that is how they are multiplied. */
static void set_all_side_by_side(const struct job *job, const struct rows *rows, int64_t K) {
    const int64_t R = job->step->batch * job->step->count, units = K / LANES;
    if (R <= TILE || is_narrowed(job->model->precision))
        return;
    EACH(unit, (R - TILE + GROUP - 1) / GROUP * units) {
        const int64_t row = unit / units * GROUP;
        const int count = R - row < GROUP ? (int)(R - row) : GROUP;
        set_side_by_side(rows, row, count, K, unit % units * LANES);
    }
    together();
}

/* Multiply all rows by a matrix, a block for each unit; write (R, to), add, or open the gates. */
static void multiply(const struct job *job, const struct matrix *m, const struct rows *rows,
                     enum end end, float *to, int64_t width) {
    const int64_t R = job->step->batch * job->step->count;
    product *product = product_of(job->model->precision, R);
    set_all_side_by_side(job, rows, m->inputs);
    EACH(block, blocks(m)) {
        const int64_t at = block * (end == OPEN ? LANES : BLOCK);
        const int64_t left = width - at < BLOCK ? width - at : BLOCK;
        for (int64_t row = 0; row < R; row += GROUP) {
            const int count = R - row < GROUP ? (int)(R - row) : GROUP;
            floats y[GROUP][2];
            product(m, block, rows, row, count, y);
            for (int r = 0; r < count; r++) {
                float *here = to + (row + r) * width + at;
                if (end == OPEN)
                    open_gates(y[r], here);
                else if (left == BLOCK)
                    for (int half = 0; half < 2; half++) {
                        float *there = here + half * LANES;
                        store(there, end == ADD ? load(there) + y[r][half] : y[r][half]);
                    }
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
    const int64_t W = m->width, R = job->step->batch * job->step->count;
    EACH(row, R) {
        norm(job->room.x + row * W, job->room.normed.x + row * W, W, m->eps);
        if (is_narrowed(m->precision))
            narrow(m->precision, &job->room.normed, row, W);
    }
    together();
}

/* Keep the new keys, turned, and values of a group, unit (b, G). (In bytes places share words, so
 * one thread keeps them all.) */
static void keep(const struct job *job, int64_t layer, int64_t unit) {
    const struct model *m = job->model;
    const struct step *s = job->step;
    const int64_t D = m->head, G = m->groups, H = m->heads, b = unit / G, group = unit % G;
    const struct shelf own = shelf(m, s, layer, b, group);
    for (int64_t t = 0; t < s->count; t++) {
        const int64_t place = s->length + t;
        float *key = job->room.qkv + ((b * s->count + t) * (H + 2 * G) + H + group) * D;
        char *keys = own.keys + place / PLACES * own.to_next, *values = keys + own.to_values;
        turn(key, s->turns + t * D, key, D);
        if (m->precision == FP32) {
            keep_row(keys, place % PLACES, key, D);
            keep_row(values, place % PLACES, key + G * D, D);
        } else {
            keep_key(keys, place % PLACES, key, D);
            keep_value(values, place % PLACES, key + G * D, D);
        }
    }
}

/* Look back with the queries of a group, unit (row, G). */
static void look(const struct job *job, int64_t layer, int64_t unit) {
    const struct model *m = job->model;
    const struct step *s = job->step;
    const int64_t D = m->head, G = m->groups, H = m->heads;
    attention *attend = m->precision == FP32 ? attend_fp32 : attend_bytes;
    const int64_t L = up_to(s->length + s->count, PLACES), thread = job->me->thread;
    uint8_t *halves = job->room.halves + thread * 2 * L;
    const struct chances chances = {job->room.chances + thread * L, halves, halves + L};
    const int64_t row = unit / G, group = unit % G, b = row / s->count, t = row % s->count;
    const struct shelf own = shelf(m, s, layer, b, group);
    /* A place of padding sees itself. */
    const int64_t here = s->length + t;
    const int64_t from = s->starts[b] < here ? s->starts[b] : here;
    for (int64_t head = group * (H / G); head < (group + 1) * (H / G); head++) {
        float *q = job->room.qkv + (row * (H + 2 * G) + head) * D;
        turn(q, s->turns + t * D, q, D);
        attend(q, &own, from, here + 1, D, &chances, job->room.mixed.x + (row * H + head) * D);
    }
}

/* Keep keys and values of all rows, and look back. One new place needs no other row's. */
static void attend_all(const struct job *job, int64_t layer) {
    const int64_t units = job->step->batch * job->model->groups, T = job->step->count;
    const int is_one = T == 1;
    if (!is_one) {
        EACH(unit, units) { keep(job, layer, unit); }
        together();
    }
    EACH(unit, units * T) {
        if (is_one)
            keep(job, layer, unit);
        look(job, layer, unit);
    }
    together();
}

/* Narrow all rows (R, K), where that is how they are multiplied. */
static void narrow_all(const struct job *job, const struct rows *rows, int64_t K) {
    const int64_t R = job->step->batch * job->step->count;
    if (!is_narrowed(job->model->precision))
        return;
    EACH(row, R) { narrow(job->model->precision, rows, row, K); }
    together();
}

static void run(void *what, struct worker *me) {
    struct job mine = *(const struct job *)what;
    mine.me = me;
    const struct job *job = &mine;
    const struct model *m = job->model;
    const struct step *s = job->step;
    const struct room *room = &job->room;
    const int64_t W = m->width, D = m->head, R = s->batch * s->count;
    struct tiles before;
    tiles_begin(&before, OF_ROWS, R < GROUP ? (int)R : GROUP);
    EACH(row, R) {
        memcpy(room->x + row * W, m->table + s->ids[row] * W, sizeof(float) * (size_t)W);
    }
    together();
    for (int64_t layer = 0; layer < m->layers; layer++) {
        const struct layer *l = &m->layer[layer];
        norm_all(job);
        multiply(job, &l->qkv, &room->normed, WRITE, room->qkv, (m->heads + 2 * m->groups) * D);
        attend_all(job, layer);
        narrow_all(job, &room->mixed, m->heads * D);
        multiply(job, &l->out, &room->mixed, ADD, room->x, W);
        norm_all(job);
        multiply(job, &l->gate_up, &room->normed, OPEN, room->inner.x, m->inner);
        narrow_all(job, &room->inner, m->inner);
        multiply(job, &l->down, &room->inner, ADD, room->x, W);
    }
    norm_all(job);
    multiply(job, &m->logits, &room->normed, WRITE, s->result, m->vocab);
    tiles_end(&before);
}

/* Return the most inputs that a matrix has. */
static int64_t most_inputs(const struct model *m) {
    const int64_t most = m->width > m->inner ? m->width : m->inner;
    return most > m->heads * m->head ? most : m->heads * m->head;
}

/* Lay parts of a room out behind one another; with no memory, only count it. */
static size_t lay_out(struct room *room, const struct model *m, const struct step *s, int threads,
                      char *memory) {
    const size_t R = (size_t)(s->batch * s->count), W = (size_t)m->width, F = (size_t)m->inner;
    const size_t HD = (size_t)(m->heads * m->head);
    const size_t QKV = (size_t)((m->heads + 2 * m->groups) * m->head);
    const size_t whole = (size_t)padded((int64_t)R, GROUP), size = bytes_narrowed(m->precision);
    const int has_lower = m->precision == INT8_IN_FOURS;
    size_t used = 0;
#define PART(part, size)                                                                          \
    do {                                                                                          \
        part = memory ? (void *)(memory + used) : 0;                                              \
        used += ((size) + 63) / 64 * 64;                                                          \
    } while (0)
#define ROWS(rows, K)                                                                             \
    do {                                                                                          \
        PART((rows).x, 4 * R * (K));                                                              \
        (rows).side = side;                                                                       \
        PART((rows).upper, size * whole * (size_t)padded((int64_t)(K), DEPTH));                   \
        PART((rows).lower, has_lower ? whole * (size_t)padded((int64_t)(K), DEPTH) : 0);          \
        PART((rows).scale, 4 * R);                                                                \
    } while (0)
    float *side;
    PART(side, is_narrowed(m->precision) ? 0 : 4 * whole * (size_t)most_inputs(m));
    PART(room->x, 4 * R * W);
    ROWS(room->normed, W);
    PART(room->qkv, 4 * R * QKV);
    ROWS(room->mixed, HD);
    ROWS(room->inner, F);
    const size_t L = (size_t)threads * (size_t)up_to(s->length + s->count, PLACES);
    PART(room->chances, 4 * L);
    PART(room->halves, m->precision == FP32 ? 0 : 2 * L);
    return used;
}

/* What weights of a precision must look like here, and what inputs are padded to there. */
int midigen_kind(int precision) { return kind_of(precision); }
int midigen_depth(void) { return DEPTH; }

/* What step.c and native.py agree on, in one number. */
#define VERSION 5
int midigen_layout(void) {
    const size_t numbers[] = {VERSION, PLACES, sizeof(struct model), sizeof(struct layer),
                              sizeof(struct step)};
    int mixed = 0;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        mixed = (mixed * 1009 + (int)numbers[i]) % 1000003;
    return mixed;
}

/* Whether this processor has the instructions that this library was built with. */
int midigen_runs(void) {
    if (!tiles_run())
        return 0;
#if defined(__AVX512VNNI__)
    if (!__builtin_cpu_supports("avx512vnni"))
        return 0;
#endif
#if HAS_PAIRS
    if (!__builtin_cpu_supports("avx512bf16"))
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
