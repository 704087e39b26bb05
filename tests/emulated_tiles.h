/* AMX's tiles in plain C, for processors that have none: eight of sixteen rows of 64 bytes for each
 * thread, and the instructions that are in use ("Architecture Instruction Set Extensions", chapter
 * 3). */

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

struct emulated {
    uint8_t rows[8];
    union {
        uint8_t bytes[64];
        float floats[16];
        int32_t ints[16];
        uint16_t halves[32];
    } of[8][16];
};
/* The same in all files of a library. */
__attribute__((weak)) __thread struct emulated emulated;

static inline void emulated_load(int tile, const void *from, int64_t stride) {
    for (int r = 0; r < emulated.rows[tile]; r++)
        memcpy(&emulated.of[tile][r], (const char *)from + r * stride, 64);
}

static inline void emulated_store(int tile, void *to, int64_t stride) {
    for (int r = 0; r < emulated.rows[tile]; r++)
        memcpy((char *)to + r * stride, &emulated.of[tile][r], 64);
}

static inline float emulated_bf16(uint16_t x) {
    uint32_t bits = (uint32_t)x << 16;
    float wide;
    memcpy(&wide, &bits, sizeof wide);
    return wide;
}

static inline void emulated_bf16s(int to, int rows, int columns) {
    for (int r = 0; r < emulated.rows[to]; r++)
        for (int k = 0; k < 32; k++)
            for (int n = 0; n < 16; n++)
                emulated.of[to][r].floats[n] +=
                    emulated_bf16(emulated.of[rows][r].halves[k]) *
                    emulated_bf16(emulated.of[columns][k / 2].halves[2 * n + k % 2]);
}

static inline void emulated_bytes(int to, int rows, int columns) {
    for (int r = 0; r < emulated.rows[to]; r++)
        for (int k = 0; k < 64; k++)
            for (int n = 0; n < 16; n++)
                emulated.of[to][r].ints[n] +=
                    emulated.of[rows][r].bytes[k] *
                    (int8_t)emulated.of[columns][k / 4].bytes[4 * n + k % 4];
}

#undef _tile_zero
#undef _tile_loadd
#undef _tile_stored
#undef _tile_stream_loadd
#undef _tile_dpbf16ps
#undef _tile_dpbusd
#undef _tile_release
#define _tile_zero(tile) memset(emulated.of[tile], 0, sizeof emulated.of[tile])
#define _tile_loadd emulated_load
#define _tile_stored emulated_store
#define _tile_stream_loadd emulated_load
#define _tile_dpbf16ps emulated_bf16s
#define _tile_dpbusd emulated_bytes
#define _tile_release() ((void)0)
