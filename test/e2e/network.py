"""A network of the test's own, where packets of one connection are lost in one direction.

What   inside(test, file) runs a test once more in a name space of its own and says how it ended; is_inside() is true
       there. cut(a, b) loses what goes from port a to port b, heal(a, b) ends that. Nobody is told, as behind a
       broken switch: the kernel sends again and again, and its acknowledgements are lost as well.
How    Rules of routing, by port, in front of the table of local addresses; both ends are on this machine's loopback.
"""

import os
import shlex
import subprocess
import sys
import unittest

INSIDE = "WEIR_TEST_NAMESPACE"
LIMIT_S = 600
SET_UP = "ip link set lo up && ip rule add pref 100 lookup local && ip rule del pref 0"


def is_inside():
    return INSIDE in os.environ


def is_permitted():
    return subprocess.run(["unshare", "--net", "sh", "-c", SET_UP], check=False, timeout=10,
                          stderr=subprocess.DEVNULL).returncode == 0


def argv_inside(argv):
    return ["unshare", "--net", "sh", "-c", f"{SET_UP} && exec {shlex.join(argv)}"]


def go_inside(argv):
    """The process becomes that program, inside."""
    os.environ[INSIDE] = "1"
    os.execvp("unshare", argv_inside(argv))


def inside(test, file):
    """Fails as the test does there; skips where that is not permitted."""
    if not is_permitted():
        print("SKIPPED: no network namespaces: unshare --net is not permitted", file=sys.stderr, flush=True)
        raise unittest.SkipTest("unshare --net is not permitted")
    name = test.id().partition(".")[2]
    done = subprocess.run(argv_inside([sys.executable, file, name]), check=False,
                          timeout=LIMIT_S, capture_output=True, text=True, env={**os.environ, INSIDE: "1"})
    test.assertEqual(done.returncode, 0, done.stderr)


def _rule(what, source, target):
    subprocess.run(["ip", "rule", what, "pref", "10", "ipproto", "tcp", "sport", str(source), "dport", str(target),
                    "blackhole"], check=True, timeout=10)


def cut(source, target):
    _rule("add", source, target)


def heal(source, target):
    _rule("del", source, target)


def connections(pid):
    """{(its port, the other's port)} of the established connections of a process."""
    inodes = set()
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            inodes.add(os.readlink(f"/proc/{pid}/fd/{fd}"))
        except OSError:
            continue  # it is closed by now
    found = set()
    with open(f"/proc/{pid}/net/tcp", encoding="ascii") as table:
        for line in table.readlines()[1:]:
            words = line.split()
            if words[3] == "01" and f"socket:[{words[9]}]" in inodes:
                found.add(tuple(int(words[end].rpartition(":")[2], 16) for end in (1, 2)))
    return found
