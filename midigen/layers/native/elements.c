/* What is done to each element or row in one pass: normalisation, SwiGLU, losses, sums of columns. Sums
 * are in fp32. */

#include <math.h>
#include <string.h>

#include "kernels.h"

/* Elements that are worked on by one thread at a time. */
#define SHARE 32768
/* Rows whose share of a weight's gradient is summed together, in whatever order rows are done. */
#define SUMMED 64

static struct memory memory;

#define EACH16(at, count, lanes)                                                                   \
    for (int64_t at = 0, lanes; at < (count) && (lanes = first16((count) - at)); at += 16)

static void norm_rows(const void *what, int64_t unit, int thread) {
    const struct norm *n = what;
    int64_t W = n->width, each = divide_up(SHARE, W);
    (void)thread;
    for (int64_t r = unit * each; r < smaller((unit + 1) * each, n->rows); r++) {
        const bf16 *x = n->x + r * W;
        bf16 *out = n->out + r * W;
        __m512 squares = _mm512_setzero_ps();
        EACH16(i, W, lanes) {
            __m512 a = load_bf16(x + i, (__mmask16)lanes);
            if (n->branch) {
                a = _mm512_add_ps(a, load_bf16(n->branch + r * W + i, (__mmask16)lanes));
                store_bf16(n->sum + r * W + i, (__mmask16)lanes, a);
                a = load_bf16(n->sum + r * W + i, (__mmask16)lanes);
            }
            squares = _mm512_fmadd_ps(a, a, squares);
        }
        if (n->branch)
            x = n->sum + r * W;
        float scale = 1 / sqrtf(_mm512_reduce_add_ps(squares) / (float)W + (float)n->eps);
        n->scales[r] = scale;
        EACH16(i, W, lanes) {
            __m512 a = _mm512_mul_ps(load_bf16(x + i, (__mmask16)lanes), _mm512_set1_ps(scale));
            a = _mm512_mul_ps(a, load_bf16(n->weight + i, (__mmask16)lanes));
            store_bf16(out + i, (__mmask16)lanes, a);
        }
    }
}

static void norm_rows_back(const void *what, int64_t unit, int thread) {
    const struct norm *n = what;
    int64_t W = n->width;
    float *dweight = (float *)memory.at + unit * W;
    (void)thread;
    for (int64_t i = 0; i < W; i++)
        dweight[i] = 0;
    for (int64_t r = unit * SUMMED; r < smaller((unit + 1) * SUMMED, n->rows); r++) {
        const bf16 *x = n->x + r * W, *dout = n->dout + r * W;
        __m512 scale = _mm512_set1_ps(n->scales[r]), dot = _mm512_setzero_ps();
        EACH16(i, W, lanes) {
            __mmask16 m = (__mmask16)lanes;
            __m512 a = load_bf16(x + i, m), g = load_bf16(dout + i, m);
            __m512 both = _mm512_mul_ps(a, g);
            dot = _mm512_fmadd_ps(both, load_bf16(n->weight + i, m), dot);
            __m512 sum = _mm512_maskz_loadu_ps(m, dweight + i);
            _mm512_mask_storeu_ps(dweight + i, m, _mm512_fmadd_ps(both, scale, sum));
        }
        float s = n->scales[r];
        __m512 mean = _mm512_set1_ps(_mm512_reduce_add_ps(dot) * s * s * s / (float)W);
        EACH16(i, W, lanes) {
            __mmask16 m = (__mmask16)lanes;
            __m512 g = _mm512_mul_ps(load_bf16(dout + i, m), load_bf16(n->weight + i, m));
            __m512 d = _mm512_fnmadd_ps(load_bf16(x + i, m), mean, _mm512_mul_ps(g, scale));
            if (n->dsum)
                d = _mm512_add_ps(d, load_bf16(n->dsum + r * W + i, m));
            store_bf16(n->dx + r * W + i, m, d);
        }
    }
}

/* `sum`, `out` and `scales`. */
int midigen_norm(const struct norm *n, int threads) {
    midigen_lock();
    midigen_share(threads, divide_up(n->rows, divide_up(SHARE, n->width)), norm_rows, n);
    midigen_unlock();
    return 0;
}

/* Add up what units left in memory, W numbers each. */
static void add_up(bf16 *to, const float *shares, int64_t units, int64_t W) {
    EACH16(i, W, lanes) {
        __m512 sum = _mm512_setzero_ps();
        for (int64_t unit = 0; unit < units; unit++)
            sum = _mm512_add_ps(sum, _mm512_maskz_loadu_ps((__mmask16)lanes, shares + unit * W + i));
        store_bf16(to + i, (__mmask16)lanes, sum);
    }
}

/* `dx` and `dweight`; x is the sum here. Returns 0, or 1 where there is no memory. */
int midigen_norm_back(const struct norm *n, int threads) {
    int64_t units = divide_up(n->rows, SUMMED), W = n->width;
    midigen_lock();
    float *shares = midigen_memory(&memory, units * W * 4);
    if (shares) {
        midigen_share(threads, units, norm_rows_back, n);
        add_up(n->dweight, shares, units, W);
    }
    midigen_unlock();
    return !shares;
}

static void sum_rows(const void *what, int64_t unit, int thread) {
    const struct sums *s = what;
    int64_t M = s->columns, end = smaller((unit + 1) * SUMMED, s->rows);
    float *to = (float *)memory.at + unit * M;
    (void)thread;
    EACH16(i, M, lanes) {
        __m512 sum = _mm512_setzero_ps();
        for (int64_t r = unit * SUMMED; r < end; r++)
            sum = _mm512_add_ps(sum, load_bf16(s->from + r * M + i, (__mmask16)lanes));
        _mm512_mask_storeu_ps(to + i, (__mmask16)lanes, sum);
    }
}

/* `to`. Returns 0, or 1 where there is no memory. */
int midigen_sums(const struct sums *s, int threads) {
    int64_t units = divide_up(s->rows, SUMMED);
    midigen_lock();
    float *shares = midigen_memory(&memory, units * s->columns * 4);
    if (shares) {
        midigen_share(threads, units, sum_rows, s);
        add_up(s->to, shares, units, s->columns);
    }
    midigen_unlock();
    return !shares;
}

/* Rows of cross-entropy, SUMMED at a time; what a row needs in fp32 lies behind the losses. */
static void lose(const void *what, int64_t unit, int thread) {
    const struct cross_entropy *c = what;
    int64_t N = c->rows, V = c->columns, end = smaller((unit + 1) * SUMMED, N);
    double *losses = memory.at;
    float *row = (float *)(losses + N) + thread * V;
    const __m512 spread = _mm512_set1_ps((float)(c->smoothing / (c->divisor * (double)V)));
    for (int64_t r = unit * SUMMED; r < end; r++) {
        const bf16 *x = c->logits + r * V;
        bf16 *to = c->gradient + r * V;
        int64_t target = c->targets[r];
        losses[r] = 0;
        if (target < 0) {
            EACH16(i, V, lanes)
                store_bf16(to + i, (__mmask16)lanes, _mm512_setzero_ps());
            continue;
        }
        __m512 most = _mm512_set1_ps(-INFINITY), sum = _mm512_setzero_ps(), all = sum;
        EACH16(i, V, lanes) {
            __m512 a = load_bf16(x + i, (__mmask16)lanes);
            most = _mm512_mask_max_ps(most, (__mmask16)lanes, most, a);
            all = _mm512_add_ps(all, a);
        }
        float top = _mm512_reduce_max_ps(most);
        EACH16(i, V, lanes) {
            __m512 a = _mm512_sub_ps(load_bf16(x + i, (__mmask16)lanes), _mm512_set1_ps(top));
            a = _mm512_maskz_mov_ps((__mmask16)lanes, exponential(a));
            sum = _mm512_add_ps(sum, a);
            _mm512_mask_storeu_ps(row + i, (__mmask16)lanes, a);
        }
        float total = _mm512_reduce_add_ps(sum), chosen = 0;
        uint32_t bits = (uint32_t)x[target] << 16;
        memcpy(&chosen, &bits, 4);
        double mean = _mm512_reduce_add_ps(all) / (double)V;
        losses[r] = log(total) + top - chosen - c->smoothing * (mean - chosen);
        row[target] -= (float)((1 - c->smoothing) * total);
        __m512 scale = _mm512_set1_ps((float)(1 / (total * c->divisor)));
        EACH16(i, V, lanes) {
            __m512 a = _mm512_maskz_loadu_ps((__mmask16)lanes, row + i);
            store_bf16(to + i, (__mmask16)lanes, _mm512_fmsub_ps(a, scale, spread));
        }
    }
}

/* `loss` and `gradient`. Returns 0, 1 where there is no memory, 2 where a target is no column. */
int midigen_cross_entropy(const struct cross_entropy *c, int threads) {
    for (int64_t r = 0; r < c->rows; r++)
        if (c->targets[r] >= c->columns)
            return 2;
    threads = threads < 1 ? 1 : threads > MOST_THREADS ? MOST_THREADS : threads;
    midigen_lock();
    double *losses = midigen_memory(&memory, c->rows * 8 + threads * c->columns * 4);
    if (losses) {
        midigen_share(threads, divide_up(c->rows, SUMMED), lose, c);
        *c->loss = 0;
        for (int64_t r = 0; r < c->rows; r++)
            *c->loss += losses[r];
    }
    midigen_unlock();
    return !losses;
}

/* To 2^-14: what is made of it is rounded to 2^-9. */
INLINE __m512 sigmoid(__m512 x) {
    __m512 one = _mm512_set1_ps(1), away = _mm512_sub_ps(_mm512_setzero_ps(), x);
    away = _mm512_min_ps(away, _mm512_set1_ps(87));
    return _mm512_rcp14_ps(_mm512_add_ps(one, exponential(away)));
}

static void swiglu_share(const void *what, int64_t unit, int thread) {
    const struct swiglu *s = what;
    int64_t start = unit * SHARE;
    (void)thread;
    EACH16(i, smaller(SHARE, s->count - start), lanes) {
        __mmask16 m = (__mmask16)lanes;
        __m512 gate = load_bf16(s->gate + start + i, m), up = load_bf16(s->up + start + i, m);
        __m512 open = _mm512_mul_ps(gate, sigmoid(gate));
        store_bf16(s->out + start + i, m, _mm512_mul_ps(open, up));
    }
}

static void swiglu_share_back(const void *what, int64_t unit, int thread) {
    const struct swiglu *s = what;
    int64_t start = unit * SHARE;
    (void)thread;
    EACH16(i, smaller(SHARE, s->count - start), lanes) {
        __mmask16 m = (__mmask16)lanes;
        __m512 gate = load_bf16(s->gate + start + i, m), up = load_bf16(s->up + start + i, m);
        __m512 d = load_bf16(s->dout + start + i, m), one = _mm512_set1_ps(1);
        __m512 open = sigmoid(gate), value = _mm512_mul_ps(gate, open);
        store_bf16(s->dup + start + i, m, _mm512_mul_ps(d, value));
        /* (gate sigmoid)' = sigmoid (1 + gate (1 - sigmoid)) */
        __m512 slope = _mm512_fmadd_ps(gate, _mm512_sub_ps(one, open), one);
        slope = _mm512_mul_ps(_mm512_mul_ps(d, up), _mm512_mul_ps(slope, open));
        store_bf16(s->dgate + start + i, m, slope);
    }
}

/* `out`. */
int midigen_swiglu(const struct swiglu *s, int threads) {
    midigen_lock();
    midigen_share(threads, divide_up(s->count, SHARE), swiglu_share, s);
    midigen_unlock();
    return 0;
}

/* `dgate` and `dup`. */
int midigen_swiglu_back(const struct swiglu *s, int threads) {
    midigen_lock();
    midigen_share(threads, divide_up(s->count, SHARE), swiglu_share_back, s);
    midigen_unlock();
    return 0;
}
