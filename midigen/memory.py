"""What becomes of freed memory, and in what pages it comes.

Only glibc has knobs for the first, and Linux for the second; elsewhere nothing is done.
"""

import ctypes
import gc
import mmap
import os
from ctypes import c_int, c_size_t, c_void_p

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_MOST = 2**31 - 1
HUGE_PAGE = 2 << 20
_MOST_MMAP = 32 << 20
"""What older versions of glibc take at most."""


def keep_memory(most: int = _MOST) -> None:
    """Let malloc keep up to `most` freed bytes of its heap: what comes next needs as much again.

    Pages that are given back come as page faults, of 4 KiB each: a tenth of the time of `midi2tok`,
    and of a training step of `llama` at 34 million parameters.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        mapped = min(most, 1 << 30)
        libc.mallopt(_M_MMAP_THRESHOLD, mapped) or libc.mallopt(_M_MMAP_THRESHOLD, _MOST_MMAP)
        libc.mallopt(_M_TRIM_THRESHOLD, most)


def settle() -> None:
    """Make memory ready for a long run on the CPU, whose steps take and free the same again."""
    keep_memory()
    take_huge_pages()
    # What is there by now stays: collections need not walk it.
    gc.collect()
    gc.freeze()


def take_huge_pages(size: int = 2 << 30) -> None:
    """Let the next `size` bytes of malloc's heap be huge pages, of 2 MiB, where Linux has them.

    At most a quarter of the machine's memory.

    Reading and writing a gigabyte a step through 4 KiB pages waits for their addresses: a twelfth
    of a training step. Room for it is taken from the heap, marked, and given back to it untouched.
    To be called behind `keep_memory`.
    """
    libc = ctypes.CDLL(None)
    if not (hasattr(libc, "mallopt") and hasattr(mmap, "MADV_HUGEPAGE")):
        return
    libc.malloc.restype, libc.malloc.argtypes = c_void_p, (c_size_t,)
    libc.free.argtypes = (c_void_p,)
    size = min(size, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 4)
    block = _MOST_MMAP // 2
    held = [found for _ in range(size // block) if (found := libc.malloc(block))]
    # Only what the heap grows by lies in one piece.
    if held and max(held) - min(held) < (block + mmap.PAGESIZE) * len(held):
        ask_for_huge_pages(min(held), max(held) + block)
    for start in held:
        libc.free(start)


def ask_for_huge_pages(start: int, end: int) -> None:
    """Ask that whole huge pages within addresses `start` to `end` be such, on Linux.

    What has been touched before stays as it is.
    """
    libc = ctypes.CDLL(None)
    if not (hasattr(libc, "madvise") and hasattr(mmap, "MADV_HUGEPAGE")):
        return
    libc.madvise.argtypes = (c_void_p, c_size_t, c_int)
    first, last = -(-start // HUGE_PAGE) * HUGE_PAGE, end // HUGE_PAGE * HUGE_PAGE
    if last > first:
        libc.madvise(first, last - first, mmap.MADV_HUGEPAGE)
