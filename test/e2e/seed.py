"""SEED: what the end-to-end tests draw their random choices from. WEIR_SEED=n repeats a run.

again() is the command that repeats one test, for whoever reads that it has failed.
"""

import os
import shlex
import sys

MAX = 2**63 - 1


def read(text):
    """The number, or SystemExit with a sentence: a run from another seed than was asked for would repeat nothing."""
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= MAX):
        sys.exit(f"WEIR_SEED is '{text}'; it is a whole number from 1 to {MAX}")
    return int(text)


SEED = read(os.environ.get("WEIR_SEED", "20261121"))


def again(test, **environment):
    """Of the test of this name, in the environment that it has now, and what is given."""
    if os.environ.get("WEIR_TEST_LONG"):
        environment["WEIR_TEST_LONG"] = os.environ["WEIR_TEST_LONG"]
    words = [f"{name}={shlex.quote(str(value))}" for name, value in {"WEIR_SEED": SEED, **environment}.items()]
    return f"cd test/e2e && {' '.join(words)} python3 -m unittest {test}"
