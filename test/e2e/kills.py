"""How often tests kill and freeze what they test: each says so here, and tools/run_tests.py sums it up.

count(kind) is one SIGKILL or SIGSTOP that the system had to survive: sent from outside, or by the process to itself at
a named point (base/fault.h). What only ends a test is not counted. The file is named by $WEIR_KILLS; without it, as
when a test is run by hand, nothing is written down.
"""

import os


def count(kind):
    path = os.environ.get("WEIR_KILLS")
    if path:
        with open(path, "a", encoding="ascii") as file:
            file.write(f"{kind}\n")
