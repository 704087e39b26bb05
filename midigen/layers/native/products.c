/* The gradients of weights: of several gradients g (N, M) of outputs, and what came in, x (N, K), the
 * products g' x (M, K). What is summed are rows, and neighbours there are far apart in memory.
 *
 * A thread computes a block of a result, with sums in fp32: it cuts its share of some rows into pieces
 * (amx.h), those of one sum one behind the other, and multiplies them while they are near. This is
 * GotoBLAS' way (Goto and van de Geijn, 2008), with tiles for registers. What is cut goes to no other
 * thread: that would cost more than to cut x again for each block. */

#include "kernels.h"

/* Groups of EDGE along the edges of a block at most, and pieces that are summed at a time: sums and
 * pieces stay in L2, those of x for a group of columns in L1. */
#define BLOCK 16
#define DEPTH 16

struct plan {
    const struct products *products;
    int64_t down, over; /* groups of rows and columns of a block */
    struct room *room;  /* of each thread */
};

struct room {
    char g[BLOCK * DEPTH * PIECE], x[BLOCK * DEPTH * PIECE];
    float sums[BLOCK * BLOCK * SUMS];
};

static struct memory memory;

/* A block of result `number`. */
struct block {
    int64_t number, row, column, rows, columns;
};

typedef void cutter(char *to, const bf16 *from, int64_t stride, int64_t size, int64_t depth);

/* Cut rows of a matrix; the pieces of a group of columns lie together. */
INLINE void cut(char *to, const bf16 *from, int64_t stride, int64_t columns, int64_t rows,
                cutter *cutter) {
    int64_t pieces = divide_up(rows, EDGE);
    for (int64_t r = 0; r < rows; r += EDGE)
        for (int64_t c = 0; c < columns; c += EDGE)
            cutter(to + (c / EDGE * pieces + r / EDGE) * PIECE, from + r * stride + c, stride,
                   smaller(EDGE, columns - c), smaller(EDGE, rows - r));
}

static void multiply(struct room *room, const struct block *b, int64_t pieces, int is_first) {
    for (int64_t c = 0; c < b->columns; c += EDGE)
        for (int64_t r = 0; r < b->rows; r += EDGE) {
            float *sums = room->sums + (c / EDGE * BLOCK + r / EDGE) * SUMS;
            if (is_first)
                sums_zero();
            else
                sums_load(sums);
            sums_add(room->g + r / EDGE * pieces * PIECE, room->x + c / EDGE * pieces * PIECE,
                     pieces);
            sums_store(sums);
        }
}

/* Write a block of sums as rows of its result. */
static void finish(const struct products *p, const struct room *room, const struct block *b) {
    bf16 *to = p->results[b->number] + b->row * p->width + b->column;
    for (int64_t r = 0; r < b->rows; r++, to += p->width)
        for (int64_t c = 0; c < b->columns; c += EDGE) {
            const float *sums = room->sums + (c / EDGE * BLOCK + r / EDGE) * SUMS + r % EDGE * EDGE;
            _mm512_mask_storeu_epi16(to + c, first32(b->columns - c),
                                     narrowed(_mm512_load_ps(sums), _mm512_load_ps(sums + 16)));
        }
}

static int64_t blocks(const struct plan *plan, int64_t i) {
    const struct products *p = plan->products;
    return divide_up(p->outputs[i], plan->down * EDGE) * divide_up(p->width, plan->over * EDGE);
}

static void compute(const void *what, int64_t unit, int thread) {
    const struct plan *plan = what;
    const struct products *p = plan->products;
    struct room *room = plan->room + thread;
    struct block b = {0};
    for (; unit >= blocks(plan, b.number); b.number++)
        unit -= blocks(plan, b.number);
    int64_t N = p->rows, M = p->outputs[b.number], K = p->width;
    int64_t blocks_down = divide_up(M, plan->down * EDGE);
    b.row = unit % blocks_down * plan->down * EDGE;
    b.column = unit / blocks_down * plan->over * EDGE;
    b.rows = smaller(plan->down * EDGE, M - b.row);
    b.columns = smaller(plan->over * EDGE, K - b.column);
    for (int64_t n = 0; n < N; n += DEPTH * EDGE) {
        int64_t deep = smaller(DEPTH * EDGE, N - n);
        cut(room->g, p->gradients[b.number] + n * M + b.row, M, b.rows, deep, left_wide);
        cut(room->x, p->x + n * K + b.column, K, b.columns, deep, right_wide);
        multiply(room, &b, divide_up(deep, EDGE), !n);
    }
    finish(p, room, &b);
}

/* Choose how results are cut, with blocks for all threads; return how many. */
static int64_t choose_blocks(struct plan *plan, int threads) {
    plan->down = plan->over = BLOCK;
    for (;;) {
        int64_t units = 0;
        for (int64_t i = 0; i < plan->products->count; i++)
            units += blocks(plan, i);
        if (units >= 2 * threads || plan->over <= 4)
            return units;
        if (plan->down < plan->over)
            plan->over /= 2;
        else
            plan->down /= 2;
    }
}

/* Return 0, or 1 where there is no memory. */
int midigen_products(const struct products *p, int threads) {
    threads = threads < 1 ? 1 : threads > MOST_THREADS ? MOST_THREADS : threads;
    midigen_lock();
    struct plan plan = {.products = p};
    plan.room = midigen_memory(&memory, threads * (int64_t)sizeof *plan.room);
    if (plan.room)
        midigen_share(threads, choose_blocks(&plan, threads), compute, &plan);
    midigen_unlock();
    return !plan.room;
}
