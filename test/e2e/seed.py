"""SEED: what the end-to-end tests draw their random choices from. WEIR_SEED=n repeats a run."""

import os
import sys

MAX = 2**63 - 1


def read(text):
    """The number, or SystemExit with a sentence: a run from another seed than was asked for would repeat nothing."""
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= MAX):
        sys.exit(f"WEIR_SEED is '{text}'; it is a whole number from 1 to {MAX}")
    return int(text)


SEED = read(os.environ.get("WEIR_SEED", "20261121"))
