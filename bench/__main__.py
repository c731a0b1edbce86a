"""`python bench`: measure what duly can do here, each figure beside the raw limit of the same kind."""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parent.parent)

from bench.command import main  # noqa: E402 - it is a package of the folder above, which nothing else names

if __name__ == "__main__":
    sys.exit(main())
