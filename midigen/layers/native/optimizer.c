/* A step of AdamW and the norm of gradients, each in one pass over memory. */

#include <math.h>

#include "kernels.h"

/* Numbers that one thread takes at a time. */
#define SHARE 32768

static struct memory memory;

INLINE __m512 gradient(const struct gradient *g, int64_t at, __mmask16 lanes) {
    if (g->is_half)
        return load_bf16((const bf16 *)g->at + at, lanes);
    return _mm512_maskz_loadu_ps(lanes, (const float *)g->at + at);
}

static void step_share(const void *what, int64_t unit, int thread) {
    const struct adamw *w = ((const struct adamw_steps *)what)->each;
    (void)thread;
    for (; unit >= divide_up(w->gradient.count, SHARE); w++)
        unit -= divide_up(w->gradient.count, SHARE);
    const __m512 scale = _mm512_set1_ps(w->scale), kept = _mm512_set1_ps(w->kept);
    const __m512 b1 = _mm512_set1_ps(w->beta1), b2 = _mm512_set1_ps(w->beta2);
    const __m512 new1 = _mm512_set1_ps(1 - w->beta1), new2 = _mm512_set1_ps(1 - w->beta2);
    const __m512 rate = _mm512_set1_ps(-w->rate), root = _mm512_set1_ps(w->root);
    const __m512 eps = _mm512_set1_ps(w->eps);
    int64_t end = smaller((unit + 1) * SHARE, w->gradient.count);
    for (int64_t i = unit * SHARE; i < end; i += 16) {
        __mmask16 lanes = first16(end - i);
        __m512 g = _mm512_mul_ps(gradient(&w->gradient, i, lanes), scale);
        __m512 m = _mm512_mul_ps(_mm512_maskz_loadu_ps(lanes, w->mean + i), b1);
        __m512 v = _mm512_mul_ps(_mm512_maskz_loadu_ps(lanes, w->square + i), b2);
        m = _mm512_fmadd_ps(g, new1, m);
        v = _mm512_fmadd_ps(_mm512_mul_ps(g, g), new2, v);
        __m512 x = _mm512_mul_ps(_mm512_maskz_loadu_ps(lanes, w->weight + i), kept);
        __m512 under = _mm512_fmadd_ps(_mm512_sqrt_ps(v), root, eps);
        x = _mm512_fmadd_ps(_mm512_div_ps(m, under), rate, x);
        _mm512_mask_storeu_ps(w->mean + i, lanes, m);
        _mm512_mask_storeu_ps(w->square + i, lanes, v);
        _mm512_mask_storeu_ps(w->weight + i, lanes, x);
        store_bf16(w->copy + i, lanes, x);
    }
}

int midigen_adamw(const struct adamw_steps *s, int threads) {
    int64_t units = 0;
    for (int64_t i = 0; i < s->count; i++)
        units += divide_up(s->each[i].gradient.count, SHARE);
    midigen_lock();
    midigen_share(threads, units, step_share, s);
    midigen_unlock();
    return 0;
}

static void square_share(const void *what, int64_t unit, int thread) {
    const struct gradient *g = ((const struct squares *)what)->each;
    double *to = (double *)memory.at + unit;
    (void)thread;
    for (; unit >= divide_up(g->count, SHARE); g++)
        unit -= divide_up(g->count, SHARE);
    __m512 sum = _mm512_setzero_ps();
    int64_t end = smaller((unit + 1) * SHARE, g->count);
    for (int64_t i = unit * SHARE; i < end; i += 16) {
        __m512 x = gradient(g, i, first16(end - i));
        sum = _mm512_fmadd_ps(x, x, sum);
    }
    *to = _mm512_reduce_add_ps(sum);
}

/* `sum`. Returns 0, or 1 where there is no memory. */
int midigen_squares(const struct squares *s, int threads) {
    int64_t units = 0;
    for (int64_t i = 0; i < s->count; i++)
        units += divide_up(s->each[i].count, SHARE);
    midigen_lock();
    double *sums = midigen_memory(&memory, units * 8 + 8);
    if (sums) {
        midigen_share(threads, units, square_share, s);
        *s->sum = 0;
        for (int64_t unit = 0; unit < units; unit++)
            *s->sum += sums[unit];
    }
    midigen_unlock();
    return !sums;
}
