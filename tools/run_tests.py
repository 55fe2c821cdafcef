#!/usr/bin/env python3
"""Run test programs with a time limit each, keep their output, and count.

    run_tests.py run SUITE [--timeout S] [--jobs N] [--kills N] [--unittest DIR]... [COMMAND]...
        runs each command (one shell-quoted word each) and each test_*.py of each DIR in a process of its
        own, with output in build/test-logs/SUITE/. Counts come from what cmocka, unittest or a script that
        prints "ok", "not ok" and "skip" lines say; any other program counts as one test. A program that
        ends badly after its tests passed (a leak, a crash) counts as one failure more. With --kills, the tests
        count in $WEIR_KILLS how often they kill or freeze a process, a line each; fewer than N are one failure
        more, and so are fewer than ten times as many under WEIR_TEST_LONG. Under WEIR_TEST_LONG only those files of
        a DIR run that have a longer form: those that ask for it. When T is set and there is no program or test
        at all, nothing was proved, and that is a failure.
    run_tests.py suites SUITE...
        runs `make SUITE` for each, goes on after failures, and ends with a line for each, which also says how many
        seeds of the simulator ran and how many processes were killed, and the sum on a plain line.
        Under WEIR_TEST_LONG it begins with what is to come, and how long that takes.
"""
import argparse
import glob
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

LOGS = os.path.join("build", "test-logs")
TAIL_LINES = 60
VERDICT_LINES = 20
SLOW_SECONDS = 10
LONG_FACTOR = 3  # of time limits under WEIR_TEST_LONG
LONG_KILLS = 10  # times as many are wanted then
LONG = "WEIR_TEST_LONG"

# About what each suite takes under WEIR_TEST_LONG on an idle machine of two cores, built.
LONG_MINUTES = {"unit": 5, "sim": 14, "e2e": 21}


def number(pattern, text):
    return sum(int(found) for found in re.findall(pattern, text, re.MULTILINE))


def count_cmocka(text):
    if "[==========]" not in text:
        return None
    if "[ RUN      ]" in text and not re.search(r"\[  (PASSED|FAILED)  \] \d+ test", text):
        return 0, 1, 0  # left in the middle, perhaps with exit code 0
    return (number(r"^\[  PASSED  \] (\d+) test", text), number(r"^\[  FAILED  \] (\d+) test", text),
            number(r"^\[  SKIPPED \] (\d+) test", text))


def count_unittest(text):
    found = re.search(r"^Ran (\d+) tests? in .*\n\n(OK|FAILED)(.*)$", text, re.MULTILINE)
    if not found:
        return None
    failed = number(r"(?:failures|errors|unexpected successes)=(\d+)", found.group(3))
    skipped = number(r"skipped=(\d+)", found.group(3))
    return max(int(found.group(1)) - failed - skipped, 0), failed, skipped


def count_script(text):
    counts = [len(re.findall(pattern, text, re.MULTILINE)) for pattern in (r"^ok ", r"^not ok ", r"^skip ")]
    return tuple(counts) if any(counts) else None


def count(text, code):
    """(passed, failed, skipped) of one program."""
    passed, failed, skipped = (count_cmocka(text) or count_unittest(text) or count_script(text)
                               or (int(code == 0), 0, 0))
    if code != 0 and failed == 0:
        failed = 1
    return passed, failed, skipped


def environment(scratch):
    env = dict(os.environ, TMPDIR=scratch, PYTHONDONTWRITEBYTECODE="1")
    env.setdefault("ASAN_OPTIONS", "detect_stack_use_after_return=1:strict_string_checks=1")
    env.setdefault("UBSAN_OPTIONS", "print_stacktrace=1")
    env.setdefault("TSAN_OPTIONS", "halt_on_error=1:second_deadlock_stack=1:ignore_noninstrumented_modules=1")
    for option, path in (("LSAN_OPTIONS", "tools/lsan.supp"), ("TSAN_OPTIONS", "tools/tsan.supp")):
        if os.path.exists(path):
            env[option] = f"{env.get(option, '')}:suppressions={os.path.abspath(path)}".lstrip(":")
    return env


def end_group(process):
    """What a test leaves running must not outlive it."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def execute(command, log, timeout):
    """Run to the end or the limit; returns the exit code, output is in the log."""
    scratch = tempfile.mkdtemp(prefix="weir-")
    try:
        with open(log, "wb") as output:
            process = subprocess.Popen(shlex.split(command), stdin=subprocess.DEVNULL, stdout=output,
                                       stderr=subprocess.STDOUT, env=environment(scratch),
                                       start_new_session=True)
            try:
                code = process.wait(timeout)
            except subprocess.TimeoutExpired:
                code = 124
                output.write(f"\nstopped: not done after {timeout} s\n".encode())
            end_group(process)
            process.wait()
            return code
    except OSError as error:
        with open(log, "a", encoding="utf-8") as output:
            output.write(f"cannot run: {error}\n")
        return 127
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def verdicts(text):
    """What failed and why, a line each: who reads the end of a log only may see nothing of it."""
    begin = r"(?:FAIL|ERROR): |\[  FAILED  \] \D|not ok |\w*(?:Error|Exception): |==\d+==ERROR|WARNING: ThreadS"
    return re.findall(f"^(?:{begin}).*$", text, re.MULTILINE)[:VERDICT_LINES]


def run_one(name, command, directory, timeout):
    log = os.path.join(directory, name.replace("/", "_") + ".log")
    start = time.monotonic()
    code = execute(command, log, timeout)
    seconds = time.monotonic() - start
    with open(log, encoding="utf-8", errors="replace") as file:
        text = file.read()
    result = count(text, code)
    if result[1]:
        tail = "\n".join("    " + line for line in verdicts(text) + text.splitlines()[-TAIL_LINES:])
        print(f"FAILED {name} (exit code {code}, {seconds:.1f} s), all of it in {log}\n{tail}\n    repeat: {command}",
              flush=True)
    elif seconds >= SLOW_SECONDS:
        print(f"  {name}: {result[0]} passed, {seconds:.1f} s", flush=True)
    return result


def is_long():
    return bool(os.environ.get(LONG))


def has_longer_form(path):
    with open(path, encoding="utf-8") as file:
        return LONG in file.read()


def programs(arguments):
    """[(name, command)] in order; names are unique because they name log files."""
    found = []
    for command in arguments.command:
        words = [word for word in shlex.split(command) if not word.startswith("-")]
        interpreted = words[0] in ("python3", "bash") and len(words) > 1
        found.append((words[1] if interpreted else words[0].removeprefix("build/"), command))
    for directory in arguments.unittest:
        for path in sorted(glob.glob(os.path.join(directory, "test_*.py"))):
            if is_long() and not has_longer_form(path):
                continue
            file = os.path.basename(path)
            words = [sys.executable, "-m", "unittest", "discover", "-v", "-s", directory, "-p", file]
            found.append((path, shlex.join(words)))
    return found


def count_kills(path):
    """{what: how often}; {} when nobody has counted."""
    if not os.path.exists(path):
        return {}
    with open(path, encoding="ascii") as file:
        return dict(sorted(Counter(file.read().splitlines()).items()))


def check_kills(kills, wanted):
    """Prints the sum; whether it is enough."""
    number = sum(kills.values())
    each = ", ".join(f"{count} {what}" for what, count in kills.items())
    print(f"  killed or frozen: {number} processes ({each or 'nobody counts'}), at least {wanted} are wanted", flush=True)
    return number >= wanted


def count_seeds(directory):
    """Of the simulator, green or red."""
    seeds = 0
    for log in glob.glob(os.path.join(directory, "*.log")):
        with open(log, encoding="utf-8", errors="replace") as file:
            seeds += len(re.findall(r"^(?:not )?ok seed \d+:", file.read(), re.MULTILINE))
    return seeds


def describe(directory, kills):
    """What a suite has done besides counting tests."""
    seeds, number_ = count_seeds(directory), sum(kills.values())
    return (f", {seeds} seeds" if seeds else "") + (f", {number_} processes killed or frozen" if number_ else "")


def report(suite, total, seconds, more):
    os.makedirs(LOGS, exist_ok=True)
    with open(os.path.join(LOGS, suite + ".json"), "w", encoding="utf-8") as file:
        json.dump({"total": total, "more": more}, file)
    print(f"{suite}: {total[0]} passed, {total[1]} failed, {total[2]} skipped, {seconds:.1f} s{more}", flush=True)


def text_of_t():
    return f": nothing contains T={os.environ['T']}" if os.environ.get("T") else ""


def run(arguments):
    limit = arguments.timeout * (LONG_FACTOR if is_long() else 1)
    directory = os.path.join(LOGS, arguments.suite)
    shutil.rmtree(directory, ignore_errors=True)
    os.makedirs(directory)
    kills = os.environ["WEIR_KILLS"] = os.path.abspath(os.path.join(directory, "kills"))
    start = time.monotonic()
    wanted = programs(arguments)
    with ThreadPoolExecutor(max(arguments.jobs, 1)) as pool:
        results = list(pool.map(lambda one: run_one(one[0], one[1], directory, limit), wanted))
    total = [sum(column) for column in zip(*results)] or [0, 0, 0]
    killed = count_kills(kills)
    if arguments.kills and not check_kills(killed, arguments.kills * (LONG_KILLS if is_long() else 1)):
        total[1] += 1
    more = describe(directory, killed) if wanted else f" (there are no such tests{text_of_t()})"
    report(arguments.suite, total, time.monotonic() - start, more)
    return int(total[1] > 0 or (not wanted and bool(os.environ.get("T"))))


def run_suite(suite):
    """`make SUITE`; a suite that ended without a count (it did not compile) is one failure."""
    result = os.path.join(LOGS, suite + ".json")
    if os.path.exists(result):
        os.remove(result)
    outer = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")
    env = {name: value for name, value in os.environ.items() if name not in outer}
    code = subprocess.call(["make", "--no-print-directory", suite], env=env)
    if not os.path.exists(result):
        print(f"{suite}: could not be built or started (exit code {code})", flush=True)
        return {"total": [0, 1, 0], "more": ""}
    with open(result, encoding="utf-8") as file:
        return json.load(file)


def print_plan(names):
    """What is to come, and how long each part takes."""
    total = sum(LONG_MINUTES.get(name, 0) for name in names)
    print(f"{len(names)} parts, about {total // 60} h {total % 60} min; a part that fails does not stop the next:")
    for name in names:
        print(f"  {name:14}{LONG_MINUTES.get(name, '?'):>5} min", flush=True)


def print_summary(names, results, seconds):
    print("---- summary")
    for name, result, took in zip(names, results, seconds):
        passed, failed, skipped = result["total"]
        word = "FAILED" if failed else "ok"
        print(f"  {name:14}{took / 60:6.1f} min  {word:7}{passed} passed, {failed} failed, {skipped} skipped{result['more']}")


def suites(names):
    os.makedirs(LOGS, exist_ok=True)
    if is_long():
        print_plan(names)
    results, seconds = [], []
    for suite in names:
        print(f"---- {suite}", flush=True)
        begun = time.monotonic()
        results.append(run_suite(suite))
        seconds.append(time.monotonic() - begun)
    print_summary(names, results, seconds)
    passed, failed, skipped = (sum(column) for column in zip(*(result["total"] for result in results)))
    print(f"{passed} passed, {failed} failed, {skipped} skipped", flush=True)
    return int(failed > 0 or passed == 0)


def parse(words):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("run", "suites"))
    parser.add_argument("suite")
    parser.add_argument("--timeout", type=float, default=120)
    parser.add_argument("--jobs", type=int, default=os.environ.get("JOBS") or os.cpu_count() or 1)
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--unittest", action="append", default=[])
    parser.add_argument("command", nargs="*")
    return parser.parse_intermixed_args(words)


def main():
    arguments = parse(sys.argv[1:])
    if arguments.what == "suites":
        return suites([arguments.suite] + arguments.command)
    return run(arguments)


if __name__ == "__main__":
    sys.exit(main())
