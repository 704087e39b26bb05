/* What Python hands over (amx.py has the same structures). All but sums is in bfloat16. */

#ifndef MIDIGEN_KERNELS_H
#define MIDIGEN_KERNELS_H

#include "amx.h"

#define VERSION 2

/* RMSNorm (Zhang and Sennrich, arXiv 1910.07467) of what a residual branch adds to. N rows, width
 * W. */
struct norm {
    int64_t rows, width;
    const bf16 *x, *branch, *weight; /* (N, W), (N, W) or 0, (W,) */
    double eps;
    bf16 *sum, *out; /* (N, W): x + branch where there is one, and that normalised */
    float *scales;   /* (N,): what rows are multiplied with */
    /* Back: gradients of `sum` (or 0) and `out`; of x and branch alike; of the weight. */
    const bf16 *dsum, *dout;
    bf16 *dx, *dweight; /* (N, W), (W,) */
};

/* SwiGLU (Shazeer, arXiv 2002.05202): out = silu(gate) up, element by element. */
struct swiglu {
    int64_t count;
    const bf16 *gate, *up;
    bf16 *out;
    const bf16 *dout;
    bf16 *dgate, *dup;
};

/* Causal attention: B rows, T places, H heads in G groups, D dimensions a head, whole EDGEs. */
struct attention {
    int64_t batch, length, heads, groups, head; /* B, T, H, G, D */
    int64_t q_step, kv_step;   /* numbers from a place's to the next one's, in q and in k and v */
    const bf16 *q, *k, *v;     /* (B, T, H, D), (B, T, G, D), (B, T, G, D) */
    const bf16 *cosines, *sines; /* (T, D), by which q and k are turned; sines of the first half are
                                    negated. 0: they are taken as they are */
    const int32_t *starts;     /* (B, T): the first place that each sees; rises. 0: all see all */
    bf16 *y;                   /* (B, T, H, D) in one piece */
    float *logs;               /* (B, H, T): of what the weights are divided by */
    const bf16 *dy;            /* (B, T, H, D) in one piece */
    bf16 *dq, *dk, *dv;        /* as q, k and v, with the same steps */
    double scale;              /* of weights that dropout keeps */
    int64_t dropped, seed;     /* of 65,536 weights; and which */
};

/* Gradients of weights: results[i] (M, K) = gradients[i]' x; M are the outputs of each. */
struct products {
    int64_t rows, width, count; /* N, K, and how many */
    const int64_t *outputs;     /* M of each */
    const bf16 *x;              /* (N, K) */
    const bf16 *const *gradients; /* (N, M) */
    bf16 *const *results;       /* (M, K) */
};

/* A gradient in bfloat16 (`is_half`) or fp32. */
struct gradient {
    const void *at;
    int64_t count, is_half;
};

/* A step of AdamW (Loshchilov and Hutter, arXiv 1711.05101) of one weight. */
struct adamw {
    struct gradient gradient;
    float *weight, *mean, *square;
    bf16 *copy;        /* of the weight: the one that computes */
    float scale;       /* of the gradient */
    float beta1, beta2, eps;
    float kept;        /* 1 - rate decay */
    float rate, root;  /* the rate over 1 - beta1^t; 1 / sqrt(1 - beta2^t) */
};

struct adamw_steps {
    int64_t count;
    const struct adamw *each;
};

/* The sum of all squares. */
struct squares {
    int64_t count;
    const struct gradient *each;
    double *sum;
};

/* Cross-entropy of N rows of V logits, with its gradient. */
struct cross_entropy {
    int64_t rows, columns; /* N, V */
    const bf16 *logits;    /* (N, V) */
    const int64_t *targets; /* (N,): those below 0 do not count */
    bf16 *gradient;        /* (N, V): of the loss over `divisor` */
    double divisor, smoothing;
    double *loss;          /* summed nats */
};

/* The sums of columns of a matrix. */
struct sums {
    int64_t rows, columns; /* N, M */
    const bf16 *from;      /* (N, M) */
    bf16 *to;              /* (M,) */
};

#endif
