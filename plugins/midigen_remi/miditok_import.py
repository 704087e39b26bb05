"""`miditok` without torch, which it imports for data sets that no tokenizer needs.

Importing torch takes 1.4 s here, the rest of MidiTok 0.35 s.
"""

import sys
from types import ModuleType
from typing import Any

_DATASETS = "miditok.pytorch_data"
"""MidiTok imports it if it can, and goes without if that raises ImportError."""


def import_miditok() -> Any:
    """Return the module `miditok`.

    Its part that needs torch is not loaded by this; ``import miditok.pytorch_data`` still does.
    """
    if "miditok" in sys.modules:
        return sys.modules["miditok"]
    modules: dict[str, ModuleType | None] = sys.modules  # type: ignore[assignment]
    # None is Python's own mark for a module whose import fails (the import system, 5.3.1).
    modules[_DATASETS] = None
    try:
        import miditok
    finally:
        del modules[_DATASETS]
    return miditok
