/* Tiles of AMX: whether this process may use them, and how a thread sets them up. Training and
 * sampling (plugins/midigen_llama/native/tiles.h) have the same: eight of 16 rows of 64 bytes. */

#ifndef MIDIGEN_SETUP_H
#define MIDIGEN_SETUP_H

#include <immintrin.h>
#include <stdint.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

#define TILES 8
#define TILE_ROWS 16
#define TILE_BYTES 64

struct tiles {
    uint8_t palette, first, reserved[14];
    uint16_t bytes[16];
    uint8_t rows[16];
};

/* Ask the system, which grants tiles to a process once and for all; return whether it does. */
static inline int tiles_granted(void) {
#if defined(__linux__)
    const int request = 0x1023, tile_data = 18; /* ARCH_REQ_XCOMP_PERM */
    return !syscall(SYS_arch_prctl, request, tile_data);
#else
    return 0;
#endif
}

/* (GCC 12's _tile_loadconfig does not say that it reads more than eight bytes.) */
static inline void tiles_load(const struct tiles *tiles) {
    __asm__ volatile("ldtilecfg %0" ::"m"(*tiles));
}

/* Set tiles up for this thread. oneDNN has tiles of its own, and sets them up once for several
 * products: `before` is what it goes on with. The first `many` tiles have `rows` rows. */
static inline void tiles_begin(struct tiles *before, int many, int rows) {
    struct tiles mine = {.palette = 1};
    for (int i = 0; i < TILES; i++) {
        mine.bytes[i] = TILE_BYTES;
        mine.rows[i] = (uint8_t)(i < many && rows < TILE_ROWS ? rows : TILE_ROWS);
    }
    __asm__ volatile("sttilecfg %0" : "=m"(*before));
    tiles_load(&mine);
}

static inline void tiles_end(const struct tiles *before) {
    if (before->palette)
        tiles_load(before);
    else
        _tile_release();
}

#endif
