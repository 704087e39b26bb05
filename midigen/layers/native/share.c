/* Threads, memory, and whether the system grants AMX. */

#define _GNU_SOURCE
#include "kernels.h"
#include "setup.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#if defined(__linux__)
#include <sys/mman.h>
#endif

/* PyTorch's threads do the work: threads of our own would fight with them for processors, as both
 * stay awake for a while. They are those of GCC's OpenMP, which starts them with this function. */
typedef void start_threads(void (*body)(void *), void *what, unsigned threads, unsigned flags);
static start_threads *start;

struct job {
    task *task;
    const void *what;
    int64_t units;
    atomic_llong next;
    atomic_int threads;
};

static void body(void *argument) {
    struct job *job = argument;
    int thread = atomic_fetch_add(&job->threads, 1);
    struct tiles before;
    tiles_begin(&before, TILES, TILE_ROWS);
    for (int64_t unit; (unit = atomic_fetch_add(&job->next, 1)) < job->units;)
        job->task(job->what, unit, thread);
    tiles_end(&before);
}

void midigen_share(int threads, int64_t units, task *task, const void *what) {
    struct job job = {.task = task, .what = what, .units = units};
    if (threads > MOST_THREADS)
        threads = MOST_THREADS;
    if (threads > units)
        threads = (int)units;
    if (threads > 1 && start)
        start(body, &job, (unsigned)threads, 0);
    else
        body(&job);
}

#define HUGE_PAGE (1 << 21)

void *midigen_memory(struct memory *memory, int64_t bytes) {
    if (memory->bytes < bytes) {
        free(memory->at);
        memory->bytes = 0;
        bytes = divide_up(bytes, HUGE_PAGE) * HUGE_PAGE;
        memory->at = aligned_alloc(HUGE_PAGE, (size_t)bytes);
        if (!memory->at)
            return 0;
#if defined(__linux__)
        madvise(memory->at, (size_t)bytes, MADV_HUGEPAGE);
#endif
        memory->bytes = bytes;
    }
    return memory->at;
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
void midigen_lock(void) { pthread_mutex_lock(&lock); }
void midigen_unlock(void) { pthread_mutex_unlock(&lock); }

static int64_t mixed(const int64_t *numbers, int count) {
    int64_t all = 0;
    for (int i = 0; i < count; i++)
        all = (all * 1009 + numbers[i]) % 1000003;
    return all;
}

/* A number that tells whether Python has the same structures. */
int midigen_amx_layout(void) {
    int64_t numbers[] = {VERSION, sizeof(struct norm), sizeof(struct swiglu),
                         sizeof(struct attention), sizeof(struct products),
                         sizeof(struct gradient), sizeof(struct adamw),
                         sizeof(struct cross_entropy), sizeof(struct sums)};
    return (int)mixed(numbers, sizeof numbers / sizeof *numbers);
}

/* Take `threads`, the address of GOMP_parallel or 0; return whether the system lets this process use
 * AMX. Whether the processor has it is asked before (amx.py): all of this may use its instructions. */
int midigen_amx(void *threads) {
    if (!tiles_granted())
        return 0;
    memcpy(&start, &threads, sizeof start);
    return 1;
}
