"""Disks that fail or are slow, of a process that runs: its system calls are injected with strace.

injected(pid, fate, log): while the block runs, each fsync and fdatasync of the process, with all of its threads, fails or
takes its time. NotPermitted says why it cannot be done here; a process that ends meanwhile ends the injection.
"""

import contextlib
import pathlib
import shutil
import subprocess

import broker
import cluster

LIMIT_S = 10


class NotPermitted(Exception):
    """There is no strace, or it may not trace."""


@contextlib.contextmanager
def injected(pid, fate, log):
    """`fate` as strace says it: error=EIO, delay_exit=<us>. `log`: where strace writes each call down."""
    if shutil.which("strace") is None:
        raise NotPermitted("strace not found")
    argv = ["strace", "-f", "-qq", "-o", log, "-e", "trace=fsync,fdatasync", "-e", f"inject=fsync,fdatasync:{fate}", "-p", str(pid)]
    tracer = broker.spawn(argv, stderr=subprocess.PIPE)
    try:
        cluster.wait_until("it is traced", lambda: tracer.poll() is not None or _is_traced(pid), LIMIT_S)
        if tracer.poll() is not None:
            raise NotPermitted(f"strace is not permitted: {tracer.stderr.read().decode().strip()}")
        yield log
    finally:
        tracer.terminate()
        tracer.wait(LIMIT_S)
        tracer.stderr.close()


def _is_traced(pid):
    try:
        return "TracerPid:\t0\n" not in pathlib.Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False  # it has ended, and strace will say so
