"""The mean of two models' weights: ``average.py FIRST TUNED SHARE OUT``.

OUT becomes the folder TUNED with (1 - SHARE) of FIRST's weights and SHARE of its own. A model that
was tuned a little lies in the same valley as the one that it was tuned from, and between them it is
often better than at either end (Wortsman et al., arXiv 2109.01903).
"""

import argparse
import shutil
from pathlib import Path

from safetensors.torch import load_file, save_file

WEIGHTS = "model.safetensors"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("first", type=Path)
    parser.add_argument("tuned", type=Path)
    parser.add_argument("share", type=float, help="of the tuned weights, 0 to 1")
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    first, tuned = (load_file(folder / WEIGHTS) for folder in (options.first, options.tuned))
    if first.keys() != tuned.keys():
        parser.error("these are two kinds of models")
    share = options.share
    mean = {
        name: ((1 - share) * value.float() + share * tuned[name].float()).to(value.dtype)
        for name, value in first.items()
    }
    shutil.copytree(options.tuned, options.out)
    save_file(mean, options.out / WEIGHTS, metadata={"format": "pt"})


if __name__ == "__main__":
    main()
