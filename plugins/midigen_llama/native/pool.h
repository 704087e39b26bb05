/* Threads that work on one thing together, and wait for one another between its parts.
 *
 * A step of a small model takes less than a millisecond and has dozens of parts: so threads spin
 * while they wait, and sleep only when no step has come for a while. */

#ifndef MIDIGEN_POOL_H
#define MIDIGEN_POOL_H

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <time.h>

#define MOST_THREADS 64
/* How long a thread waits awake for the next step: sampling between two takes about 0.1 ms. */
#define AWAKE_NS 400000
/* Above the number of threads in what tells of a job. */
#define JOB (2 * MOST_THREADS)
/* Tries after which a waiting thread lets others run. */
#define PATIENCE 512

/* A thread's place in a job: which part of it is being done, and whose lot it takes from. */
struct worker {
    int thread, whose;
    uint32_t part;
    int64_t units, begin, count; /* of the part; and the lot that it takes from */
};

typedef void work(void *what, struct worker *me);

/* The units of a part lie in one lot a thread; who is done with its own takes from the others'. So
 * what a thread reads stands together, and the number that it counts in is mostly its own. */
struct lot {
    _Alignas(64) atomic_ullong taken; /* the part, and below its 32 bits the units taken of it */
};

static struct {
    pthread_mutex_t lock, call; /* call: one caller at a time */
    pthread_cond_t wake;
    int started, size; /* threads there are, and threads that work, the caller's with them */
    int asleep;
    work *work;
    void *what;
    atomic_uint job;        /* counts jobs, in steps of JOB; below that, the threads that do it */
    atomic_int left;        /* threads that are not done with it */
    atomic_uint turn;       /* counts what `together` has parted */
    atomic_int arrived;     /* threads that wait in `together` */
    uint32_t part;          /* counts parts, job after job */
    struct lot lots[MOST_THREADS];
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER,
          .call = PTHREAD_MUTEX_INITIALIZER,
          .wake = PTHREAD_COND_INITIALIZER,
          .size = 1};

static inline void relax(int tries) {
    if (tries % PATIENCE == PATIENCE - 1)
        sched_yield();
#if defined(__x86_64__)
    else
        __builtin_ia32_pause();
#endif
}

static inline void look_at(struct worker *me, int whose) {
    me->whose = whose;
    me->begin = me->units * whose / pool.size;
    me->count = me->units * (whose + 1) / pool.size - me->begin;
}

/* Take a unit of the part; -1 when all are taken. */
static inline int64_t next(struct worker *me) {
    for (int lots = 0; lots < pool.size; lots++) {
        atomic_ullong *taken = &pool.lots[me->whose].taken;
        unsigned long long seen = atomic_load_explicit(taken, memory_order_relaxed);
        /* Who has not begun with this part sees to its own. */
        while (seen >> 32 == me->part && (int64_t)(uint32_t)seen < me->count)
            if (atomic_compare_exchange_weak_explicit(taken, &seen, seen + 1, memory_order_relaxed,
                                                      memory_order_relaxed))
                return me->begin + (int64_t)(uint32_t)seen;
        look_at(me, (me->whose + 1) % pool.size);
    }
    return -1;
}

/* Begin a part of so many units; every thread does, in the same order. Take the first unit. */
static inline int64_t first(struct worker *me, int64_t units) {
    me->units = units;
    me->part++;
    look_at(me, me->thread);
    atomic_store_explicit(&pool.lots[me->thread].taken, (unsigned long long)me->part << 32,
                          memory_order_relaxed);
    return next(me);
}

/* Wait for all threads. */
static inline void together(void) {
    unsigned turn = atomic_load_explicit(&pool.turn, memory_order_relaxed);
    if (atomic_fetch_add_explicit(&pool.arrived, 1, memory_order_acq_rel) == pool.size - 1) {
        atomic_store_explicit(&pool.arrived, 0, memory_order_relaxed);
        atomic_store_explicit(&pool.turn, turn + 1, memory_order_release);
        return;
    }
    for (int i = 0; atomic_load_explicit(&pool.turn, memory_order_acquire) == turn; i++)
        relax(i);
}

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

/* Wait for a job behind `seen`: awake for a while, then asleep. */
static unsigned next_job(unsigned seen) {
    int64_t end = now_ns() + AWAKE_NS;
    unsigned job;
    for (int i = 0; (job = atomic_load_explicit(&pool.job, memory_order_acquire)) == seen; i++) {
        relax(i);
        if (i % 64 == 63 && now_ns() > end) {
            pthread_mutex_lock(&pool.lock);
            pool.asleep++;
            while ((job = atomic_load(&pool.job)) == seen)
                pthread_cond_wait(&pool.wake, &pool.lock);
            pool.asleep--;
            pthread_mutex_unlock(&pool.lock);
            return job;
        }
    }
    return job;
}

struct helper {
    int thread;
    unsigned seen;
};

static void *help(void *argument) {
    struct helper me = *(struct helper *)argument;
    for (;;) {
        me.seen = next_job(me.seen);
        /* Nobody waits for a thread that has no part in a job: all it may look at is this number. */
        if (me.thread < (int)(me.seen % JOB)) {
            pool.work(pool.what, &(struct worker){.thread = me.thread, .part = pool.part});
            atomic_fetch_sub_explicit(&pool.left, 1, memory_order_release);
        }
    }
    return 0;
}

/* Behind a fork only the thread that forked is there. */
static void forked(void) {
    pthread_mutex_init(&pool.lock, 0);
    pthread_mutex_init(&pool.call, 0);
    pthread_cond_init(&pool.wake, 0);
    pool.started = 0;
    pool.asleep = 0;
}

/* Start what is missing of `size` threads; return how many there are, the caller's with them. */
static int start(int size) {
    static struct helper helpers[MOST_THREADS];
    static int is_told;
    if (!is_told)
        is_told = !pthread_atfork(0, 0, forked);
    if (!pool.started)
        pool.started = 1;
    while (pool.started < size && pool.started < MOST_THREADS) {
        struct helper *me = &helpers[pool.started];
        *me = (struct helper){pool.started, atomic_load(&pool.job)};
        pthread_t thread;
        if (pthread_create(&thread, 0, help, me))
            break;
        pthread_detach(thread);
        pool.started++;
    }
    return size < pool.started ? size : pool.started;
}

/* Let `size` threads do `work(what, me)`, and wait for all of them. */
static void work_together(int size, work *work, void *what) {
    pthread_mutex_lock(&pool.call);
    size = size < 1 ? 1 : start(size);
    pthread_mutex_lock(&pool.lock);
    pool.size = size;
    pool.work = work;
    pool.what = what;
    atomic_store(&pool.left, size - 1);
    atomic_store(&pool.arrived, 0);
    atomic_store(&pool.job, (atomic_load(&pool.job) / JOB + 1) * JOB + (unsigned)size);
    if (pool.asleep)
        pthread_cond_broadcast(&pool.wake);
    pthread_mutex_unlock(&pool.lock);
    struct worker me = {.part = pool.part};
    work(what, &me);
    for (int i = 0; atomic_load_explicit(&pool.left, memory_order_acquire); i++)
        relax(i);
    pool.part = me.part;
    pthread_mutex_unlock(&pool.call);
}

#endif
