#!/usr/bin/env python3
"""Plant defects in the engine, one at a time, and see whether the tests notice.

    run.py [--keyed] [TEXT]
        runs the mutants of table.py whose name, file or test contains TEXT; --keyed: those of keyed state.

Every test that is named runs once as it is: it must be green, or its being red would prove nothing. Then each
mutant is applied to a copy of the tree in build/mutants/, where only what includes the changed file and the one
test program are built again, and that test must fail. It is stopped at its first failure. Ends with
"N killed, N survived" and the line that run_tests.py counts; the exit code is 1 unless all were killed.
"""
import argparse
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "tools"))
import run_tests  # noqa: E402
import table  # noqa: E402

LANES = os.path.join("build", "mutants")
VARIANTS = {"unit": "asan", "sim": "faults", "unit-tsan": "tsan"}
LIMIT_SECONDS = 600  # of a test as it is
HANG_SECONDS = 60    # of a mutant at least, and
HANG_FACTOR = 4      # as many times what the test takes as it is

# What says that a test has failed, as soon as it is printed: the group is the test's name, or the message.
NAMED = re.compile(r"^\[  FAILED  \] (?!\d+ test)(\S.*)|^not ok (.*)")
TOLD = re.compile(r"(ERROR: \w+Sanitizer: .*|WARNING: ThreadSanitizer: .*|\S+: runtime error: .*|.*assertion failed.*)", re.I)
MESSAGE = "[  ERROR   ] --- "
RUNNING = "[ RUN      ] "


class Broken(Exception):
    """The mutant says nothing about the test: it does not apply, or does not compile."""


def program(test):
    """'unit state/model_test' -> ('asan', 'build/asan/unit/state/model_test')"""
    suite, name = test.partition(": ")[0].split()
    variant = VARIANTS[suite]
    return variant, f"build/{variant}/{suite.removesuffix('-tsan')}/{name}"


def build(directory, test):
    variant, path = program(test)
    command = ["make", "--no-print-directory", "-f", "tools/build.mk", f"VARIANT={variant}", path]
    env = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    done = subprocess.run(command, cwd=directory, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, check=False)
    if done.returncode != 0:
        errors = [line for line in done.stdout.splitlines() if "error:" in line]
        raise Broken("it does not compile: " + (errors or done.stdout.splitlines()[-1:] or ["?"])[0])


# ---- one test -----------------------------------------------------------------------------------


class Outcome:
    """Of one run of a test: why is '' when it is green."""

    def __init__(self, why, seconds):
        self.why, self.seconds = why, seconds


def first_red(lines):
    """What has failed first: '' when nothing has."""
    running, message = "", ""
    for line in (line.rstrip() for line in lines):
        named, told = NAMED.search(line), TOLD.search(line)
        if line.startswith(RUNNING):
            running, message = line[len(RUNNING):], ""
        elif line.startswith(MESSAGE):
            message = message or line[len(MESSAGE):]
        elif named:
            return ": ".join(part for part in (named.group(1) or named.group(2), message) if part)
        elif told:
            return ": ".join(part for part in (running, told.group(1)) if part)
    return ""


def last_running(lines):
    """', in <test>' when the log tells."""
    running = [line[len(RUNNING):].strip() for line in lines if line.startswith(RUNNING)]
    return f", in {running[-1]}" if running else ""


def describe(lines, code):
    """Why it is red; '' when it is not."""
    red = first_red(lines)
    if code == 0 or red:
        return red
    return (f"ends with {signal.Signals(-code).name}" if code < 0 else f"exit code {code}") + last_running(lines)


def watch(process, log, deadline):
    """Waits for the end, for the first failure in the log (a little longer, for its message) or for the deadline."""
    while process.poll() is None:
        if time.monotonic() > deadline:
            return "hangs"
        with open(log, encoding="utf-8", errors="replace") as file:
            if first_red(file.readlines()):
                try:
                    process.wait(0.5)
                except subprocess.TimeoutExpired:
                    pass
                return "red"
        time.sleep(0.1)
    return "ended"


def run_test(directory, test, seconds):
    scratch = tempfile.mkdtemp(prefix="weir-")
    env = run_tests.environment(scratch)
    env.pop("WEIR_TEST_LONG", None)
    if ": " in test:
        env["WEIR_TEST_ONLY"] = test.partition(": ")[2]
    log = os.path.join(directory, "build", "mutant.log")
    start = time.monotonic()
    try:
        with open(log, "wb") as output:
            process = subprocess.Popen([os.path.join(directory, program(test)[1])], cwd=directory, env=env,
                                       stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                                       start_new_session=True)
        end = watch(process, log, start + seconds)
        run_tests.end_group(process)
        code = process.wait()
        with open(log, encoding="utf-8", errors="replace") as file:
            lines = file.readlines()
        took = time.monotonic() - start
        if end == "hangs":
            return Outcome(f"hangs, stopped after {seconds:.0f} s" + last_running(lines), took)
        return Outcome(describe(lines, code), took)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


# ---- lanes: copies of the tree ------------------------------------------------------------------


def sources():
    done = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT,
                          stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        sys.exit("mutants: 'git ls-files' failed, and says which files are the tree's: run this in a checkout")
    return [path for path in done.stdout.split("\0") if path and os.path.isfile(os.path.join(ROOT, path))]


def copy(path, to):
    """With its times, so that make sees nothing new."""
    os.makedirs(os.path.dirname(to), exist_ok=True)
    shutil.copy2(path, to)


def products(variant):
    """What make may build anew for a mutant: objects and archives."""
    for folder, _, files in os.walk(os.path.join(ROOT, "build", variant, "obj")):
        yield from (os.path.relpath(os.path.join(folder, file), ROOT) for file in files)
    for file in ("flags", "libtest.list", "libweir.list", "libtest.a", "libweir.a"):
        yield os.path.join("build", variant, file)


def lane_new(number, variants):
    lane = os.path.join(ROOT, LANES, str(number))
    shutil.rmtree(lane, ignore_errors=True)
    for path in sources() + [path for variant in variants for path in products(variant)]:
        copy(os.path.join(ROOT, path), os.path.join(lane, path))
    return lane


def lane_restore(lane, mutant):
    """As it was before the mutant, times included."""
    copy(os.path.join(ROOT, mutant.file), os.path.join(lane, mutant.file))
    variant, path = program(mutant.test)
    for product in products(variant):
        ours, here = os.path.join(lane, product), os.path.join(ROOT, product)
        if not os.path.exists(ours) or os.stat(ours).st_mtime_ns != os.stat(here).st_mtime_ns:
            copy(here, ours)
    if os.path.exists(os.path.join(lane, path)):
        os.remove(os.path.join(lane, path))


def plant(lane, mutant):
    path = os.path.join(lane, mutant.file)
    if not os.path.exists(path):
        raise Broken(f"there is no file {mutant.file}")
    with open(path, encoding="utf-8") as file:
        text = file.read()
    count = text.count(mutant.old)
    if count != 1 or mutant.old == mutant.new:
        raise Broken(f"its old text is {count} times in {mutant.file}, instead of once: the table is out of date")
    with open(path, "w", encoding="utf-8") as file:
        file.write(text.replace(mutant.old, mutant.new))


# ---- all of it ----------------------------------------------------------------------------------


def try_mutant(lanes, mutant, sound):
    """(word, message)"""
    lane = lanes.get()
    try:
        plant(lane, mutant)
        build(lane, mutant.test)
        before = sound.result()
        if before.why:
            return "UNPROVEN", f"{mutant.test} is red without it: {before.why}"
        outcome = run_test(lane, mutant.test, max(HANG_SECONDS, HANG_FACTOR * before.seconds))
        if outcome.why:
            return "killed", f"by {mutant.test}: {outcome.why}"
        return "SURVIVED", f"{mutant.test} is green in {mutant.file}"
    except Broken as broken:
        return "BROKEN", str(broken)
    finally:
        lane_restore(lane, mutant)
        lanes.put(lane)


def try_sound(lanes, test):
    lane = lanes.get()
    try:
        build(lane, test)
        return run_test(lane, test, LIMIT_SECONDS)
    except Broken as broken:
        return Outcome(str(broken), 0)
    finally:
        lanes.put(lane)


def prepare(tests, jobs):
    """Everything is built in the tree itself first: lanes start with that."""
    lanes = queue.Queue()
    for test in tests:
        try:
            build(ROOT, test)
        except Broken:
            pass  # told with the mutants of this test
    for number in range(jobs):
        lanes.put(lane_new(number, sorted({program(test)[0] for test in tests})))
    return lanes


def run(mutants, jobs):
    """How many were killed; prints a line for each, in the order of the table."""
    tests = sorted({mutant.test for mutant in mutants})
    killed = 0
    lanes = prepare(tests, jobs)
    with ThreadPoolExecutor(jobs) as pool:
        sound = {test: pool.submit(try_sound, lanes, test) for test in tests}
        results = [pool.submit(try_mutant, lanes, mutant, sound[mutant.test]) for mutant in mutants]
        for mutant, result in zip(mutants, results):
            word, message = result.result()
            killed += word == "killed"
            print(f"{word:8}  {mutant.name}  {message}", flush=True)
    shutil.rmtree(os.path.join(ROOT, LANES), ignore_errors=True)
    return killed


def job_count(text):
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is no whole number from 1")
    return int(text)


def parse(words):
    """What was asked for, and the mutants that it means: at least one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keyed", action="store_true")
    parser.add_argument("--jobs", type=job_count, default=os.environ.get("JOBS") or str(os.cpu_count() or 1))
    parser.add_argument("text", nargs="?", default=os.environ.get("T", ""))
    arguments = parser.parse_args(words)
    mutants = [mutant for mutant in table.MUTANTS if (mutant.is_keyed or not arguments.keyed)
               and any(arguments.text in word for word in (mutant.name, mutant.file, mutant.test))]
    if not mutants:
        parser.error(f"no mutant has '{arguments.text}' in its name, file or test; see test/mutants/table.py")
    return arguments, mutants


def main():
    arguments, mutants = parse(sys.argv[1:])
    start = time.monotonic()
    os.chdir(ROOT)
    killed = run(mutants, arguments.jobs)
    print(f"{killed} killed, {len(mutants) - killed} survived", flush=True)
    suite = "mutants-keyed" if arguments.keyed else "mutants"
    run_tests.report(suite, [killed, len(mutants) - killed, 0], time.monotonic() - start, "")
    return int(killed < len(mutants))


if __name__ == "__main__":
    sys.exit(main())
