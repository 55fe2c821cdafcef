"""Where something was measured: what the pages of results say of machine and commit."""

import pathlib
import platform
import re
import shutil
import subprocess

HERE = pathlib.Path(__file__).resolve().parent


def machine():
    text = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8")
    model = re.search(r"^model name\s*: (.*)$", text, re.M)
    memory = re.search(r"^MemTotal:\s+(\d+)", pathlib.Path("/proc/meminfo").read_text(encoding="utf-8"), re.M)
    return (f"{text.count('processor' + chr(9))} x {model.group(1) if model else 'unknown CPU'}, "
            f"{int(memory.group(1)) >> 20} GB, Linux {platform.release().split('-')[0]}")


def first_line(*argv):
    """Of what a command says, on either stream."""
    if not shutil.which(argv[0]):
        return f"no {argv[0]}"
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    return (done.stdout or done.stderr).splitlines()[0].strip() if done.stdout or done.stderr else "unknown"


def commit():
    return first_line("git", "-C", str(HERE), "rev-parse", "--short", "HEAD")
