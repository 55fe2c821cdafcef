"""What a person sees first is true: the README's example and commands, --help, explain, metrics, progress.

What   The word count in README.md is the one that is compiled, and at most forty lines. Every command of the
       READMEs that starts a program is accepted by it (explain in the place of run, so that nothing
       has to be there). Output for programs is well-formed; a terminal gets a progress line, a file plain
       lines.
How    Programs run as a person would run them, the terminal is a pseudo-terminal.
"""

import json
import os
import pty
import re
import select
import shlex
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import broker  # noqa: E402
import program  # noqa: E402
from program import ProgramTest, ROOT  # noqa: E402

EXAMPLE_LINES_MAX = 40
TASK_MEMBERS = {"task", "subtask", "parallelism", "records_in", "records_out", "busy_ms", "idle_ms",
                "backpressured_ms", "state_bytes", "state_expired"}
CHECKPOINT_MEMBERS = {"completed", "failed", "last", "duration_ms", "last_bytes"}
LOG_LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (DEBUG|INFO|WARN|ERROR) +[\w-]+: \S")
PROGRESS = re.compile(r"RUNNING +in ([\d,]+)/s +out ([\d,]+)/s +lag ([\d,]+) +checkpoint (\d+) in \d+ ms"
                      r" +back-pressure (\d+) % at '([^']*)' \(1/1\)")


def code_blocks(text):
    """The indented and the fenced blocks of a Markdown text, without their indentation or fences."""
    fenced = re.findall(r"^```\w*\n(.*?)^```$", text, re.M | re.S)
    rest = re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)
    indented = re.findall(r"(?:^(?: {4}.*)?\n)+", rest, re.M)
    return fenced + [re.sub(r"^ {4}", "", block, flags=re.M).strip("\n") + "\n" for block in indented]


def commands(text):
    """The command lines of a Markdown text that start a program of the build."""
    for block in code_blocks(text):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words and words[0].startswith("build/bin/"):
                yield words


def is_of_cluster(words):
    """A command of "A cluster in one minute"; `weir inspect` needs none."""
    return words[0] == "build/bin/weir" and words[1] != "inspect"


class Demonstration(ProgramTest):
    def test_the_main_job_is_killed_goes_on_and_is_proven_right(self):
        done = subprocess.run(["bash", ROOT / "tools" / "demo.sh"], text=True, capture_output=True, timeout=600)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertRegex(done.stdout, r"kill -9, with [1-9]\d* profile records published so far")
        self.assertRegex(done.stdout, r"starts from checkpoint \d+")
        self.assertRegex(done.stdout, r"\nequal: [1-9]\d* profiles .* 400000 events in, ")


class Cluster(ProgramTest):
    def test_the_cluster_of_the_readme_runs_as_it_is_written(self):
        lines = [words for words in commands((ROOT / "README.md").read_text()) if is_of_cluster(words)]
        self.assertEqual([words[1] for words in lines], ["cluster", "run", "list", "cluster"])
        events = self.directory / "build" / "demo" / "in"  # tools/demo.sh says so
        events.mkdir(parents=True)
        (self.directory / "build" / "bin").symlink_to(ROOT / "build" / "bin")
        self.assertIn("work=build/demo\n", (ROOT / "tools" / "demo.sh").read_text())
        self.assertIn('--out "$work/in"', (ROOT / "tools" / "demo.sh").read_text())
        subprocess.run([sys.executable, ROOT / "tools" / "generate_events.py", "--seed", "1", "--users", "20",
                        "--count", "500", "--files", "2", "--out", events], check=True, timeout=120, capture_output=True)
        environment = {**os.environ, "WEIR_HOME": str(self.directory / "home"), "PWD": str(self.directory)}

        def shell(words, **options):
            return subprocess.run(["sh", "-c", " ".join(words)], cwd=self.directory, env=environment, text=True,
                                  capture_output=True, timeout=120, **options)
        try:
            for words in lines[:-1]:
                done = shell(words)
                self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            self.assertIn(" : userprofile (", done.stdout)
            deadline = time.monotonic() + 60
            while "(FINISHED)" not in done.stdout:
                self.assertLess(time.monotonic(), deadline, done.stdout)
                done = shell(lines[2])
            parts = [path for path in (self.directory / "out").rglob("*") if path.is_file()]
            self.assertTrue(parts)
        finally:
            done = shell(lines[-1])
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


class Readme(ProgramTest):
    def test_the_example_in_the_readme_is_the_one_that_is_compiled(self):
        example = (ROOT / "examples" / "wordcount.c").read_text()
        self.assertLessEqual(example.count("\n"), EXAMPLE_LINES_MAX)
        self.assertIn(example, code_blocks((ROOT / "README.md").read_text()))

    def test_every_command_of_the_readmes_is_accepted_by_its_program(self):
        seen = set()
        for readme in (ROOT / "README.md", *ROOT.glob("examples/*.md"), *ROOT.glob("jobs/*/*.md")):
            for words in commands(readme.read_text()):
                if is_of_cluster(words):
                    continue  # Cluster runs them in their order
                name, verb, *options = [*words, "run"][:1] + (words[1:] or ["run"])
                seen.add(name)
                verb = "explain" if verb == "run" else verb
                with self.subTest(readme=readme.name, command=shlex.join(words)):
                    self.assert_well(program.run(os.path.basename(name), verb, *options, cwd=ROOT))
        self.assertLessEqual({"build/bin/wordcount", "build/bin/userprofile"}, seen)

    def test_the_word_count_counts_the_words_of_the_readme(self):
        words = self.directory / "words.txt"
        words.write_text("to be or not to be\n")
        result = program.run("wordcount", "run", "--input", words)
        self.assert_well(result)
        counts = [json.loads(line) for line in result.out.splitlines()]
        self.assertEqual(len(counts), 6)
        self.assertEqual({count["text"]: count["count"] for count in counts},
                         {"to": 2, "be": 2, "or": 1, "not": 1})


class Help(ProgramTest):
    def test_help_tells_every_option_of_the_program_and_of_the_engine(self):
        for argv in (["--help"], ["help"], ["run", "--brokers", "x", "-h"], ["explain", "--help"]):
            result = program.run("userprofile", *argv)
            self.assert_well(result)
            self.assertEqual(result.err, "")
            said = " ".join(result.out.split())
            for words in ("usage: userprofile", "explain", "--history DIR", "--id-fanout-limit N",
                          "--checkpoints DIR", "--parallelism N", "--metrics-json FILE", "(default: 10s)",
                          "SIGTERM", "Exit status"):
                self.assertIn(words, said)
            self.assertLessEqual(max(map(len, result.out.splitlines()[3:])), 100)

    def test_the_version_is_one_line(self):
        for argv in (["--version"], ["version"]):
            result = program.run("wordcount", *argv)
            self.assert_well(result)
            self.assertRegex(result.out, r"\Aweir \d+\.\d+\.\d+\n\Z")


class Explain(ProgramTest):
    FILES = ("--history", "in", "--output", "out")
    KAFKA = ("--brokers", "localhost:9092", "--fragments", "fragments", "--parallelism", "3")

    def explain(self, form, *options):
        result = program.run("userprofile", "explain", "--as", form, *options, cwd=self.directory)
        self.assert_well(result)
        self.assertEqual(result.err, "")
        self.assertEqual(list(self.directory.iterdir()), [])
        return result.out

    def test_every_form_tells_all_operators_and_starts_nothing(self):
        for options in (self.FILES, self.KAFKA):
            for form in ("text", "json", "dot"):
                said = self.explain(form, *options)
                for name in ("events", "dedupe", "split", "identity", "profile", "profiles", "dead-letters"):
                    self.assertIn(name, said)

    def test_the_json_parses_and_names_what_runs_where(self):
        for options, sinks in ((self.FILES, {"profiles", "dead-letters"}),
                               (self.KAFKA, {"profiles", "dead-letters", "fragments"})):
            plan = json.loads(self.explain("json", *options))
            self.assertEqual(plan["job"], "userprofile")
            operators = [operator for vertex in plan["vertices"] for operator in vertex["operators"]]
            self.assertEqual({op["uid"] for op in operators if op["kind"] == "sink"}, sinks)
            self.assertEqual({vertex["parallelism"] for vertex in plan["vertices"]},
                             {3 if options is self.KAFKA else 1})
            self.assertLessEqual({edge["to"] for edge in plan["edges"]},
                                 {vertex["id"] for vertex in plan["vertices"]})

    def test_the_dot_is_one_graph(self):
        said = self.explain("dot", *self.FILES)
        self.assertRegex(said, r"\Adigraph ")
        self.assertEqual(said.count("{"), said.count("}"))
        self.assertIn("->", said)

    def test_the_same_command_gives_the_same_plan(self):
        self.assertEqual(self.explain("json", *self.KAFKA), self.explain("json", *self.KAFKA))


class Metrics(ProgramTest):
    COUNT = 3000

    def metrics(self, *options, status=0):
        path = self.directory / "metrics.json"
        result = program.run("steady", "--count", self.COUNT, "--output", self.output, "--metrics-json", path,
                             *options)
        self.assert_ended(result, status)
        return json.loads(path.read_text())

    def test_the_file_has_every_promised_member_and_exact_counts(self):
        metrics = self.metrics("--parallelism", "2")
        for name, value in {"job": "steady", "state": "FINISHED", "attempts": 1, "events_in": self.COUNT,
                            "records_out": self.COUNT}.items():
            self.assertEqual(metrics[name], value, name)
        self.assertEqual(metrics["counters"]["count"]["counted"], self.COUNT)
        self.assertEqual(metrics["counters"]["ticks"]["records_in"], self.COUNT)
        self.assertNotIn("error", metrics)
        for task in metrics["tasks"]:
            self.assertEqual(set(task), TASK_MEMBERS)
        self.assertEqual(sum(task["subtask"] for task in metrics["tasks"]), len(metrics["tasks"]) / 2)
        self.assertEqual(set(metrics["checkpoints"]), CHECKPOINT_MEMBERS)
        self.assertEqual(set(metrics["checkpoints"]["duration_ms"]), {"p50", "p99", "max"})
        for name in ("elapsed_ms", "peak_rss_bytes", "cpu_seconds"):
            self.assertGreater(metrics[name], 0, name)

    def test_a_job_that_failed_says_why_there_too(self):
        self.output.write_text("in the way")
        metrics = self.metrics(status=program.EXIT["io"])
        self.assertEqual(metrics["state"], "FAILED")
        self.assertIn(str(self.output), metrics["error"])


class Terminal(ProgramTest):
    """A slow operator, so that the source is held back."""

    def argv(self, count):
        return ("steady", "--count", count, "--nap", "1ms", "--pad", "8KB", "--output", self.output,
                "--checkpoints", self.checkpoints, "--checkpoint-interval", "300ms")

    def on_a_terminal(self, argv):
        """Everything that it wrote there."""
        master, slave = pty.openpty()
        process = broker.spawn(program.argv_of(*argv), stdin=subprocess.DEVNULL, stdout=slave, stderr=slave)
        os.close(slave)
        said, deadline = b"", time.monotonic() + program.LIMIT_S
        while time.monotonic() < deadline and select.select([master], [], [], program.LIMIT_S)[0]:
            try:
                part = os.read(master, 65536)
            except OSError:  # the other end is closed: the program has ended
                break
            said += part
        os.close(master)
        self.assertEqual(process.wait(program.LIMIT_S), 0, said.decode(errors="replace"))
        return said.decode()

    def test_a_terminal_shows_a_line_with_rates_lag_checkpoint_and_back_pressure(self):
        said = self.on_a_terminal(self.argv(4000))
        lines = [PROGRESS.search(part) for part in re.split(r"[\r\n]", said)]
        lines = [line for line in lines if line is not None]
        self.assertGreaterEqual(len(lines), 2, said)
        self.assertTrue(all(int(line.group(2).replace(",", "")) > 0 for line in lines), said)
        lags = [int(line.group(3).replace(",", "")) for line in lines]
        self.assertEqual(lags, sorted(lags, reverse=True))
        self.assertEqual({line.group(6) for line in lines}, {"ticks"})

    def test_log_lines_do_not_end_up_inside_of_the_progress_line(self):
        said = self.on_a_terminal(self.argv(2500))
        shown = [re.sub(r".*\r(?!$)|\x1b\[[0-9;]*[A-Za-z]", "", line.rstrip("\r"))
                 for line in said.split("\n")]
        for line in filter(None, shown[:-1]):
            self.assertRegex(line, LOG_LINE)
        self.assertIn("FINISHED", shown[-2])

    def test_off_a_terminal_there_are_plain_log_lines_only(self):
        said = self.assert_well(program.run(*self.argv(2500)))
        for line in said.splitlines():
            self.assertRegex(line, LOG_LINE)
        self.assertNotRegex(said, r"[\r\x1b]")

    def test_a_job_lives_on_when_nobody_reads_its_log_any_more(self):
        reader, writer = os.pipe()
        process = broker.spawn(program.argv_of(*self.argv(300)), stdin=subprocess.DEVNULL, stderr=writer)
        os.close(writer)
        os.read(reader, 1)
        os.close(reader)
        self.assertEqual(process.wait(program.LIMIT_S), 0)
        program.check_steady(self.output, 300)

    def wordcount_whose_reader_leaves(self, stderr):
        words = self.directory / "words.txt"
        words.write_text("word\n" * 200_000)
        process = broker.spawn(program.argv_of("wordcount", "--input", words), stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=stderr)
        process.stdout.readline()
        process.stdout.close()
        return process.wait(program.LIMIT_S)

    def test_a_job_that_prints_ends_when_nobody_reads_it(self):
        with open(self.directory / "log", "w+b") as log:
            status = self.wordcount_whose_reader_leaves(log)
            log.seek(0)
            result = program.Result("wordcount", status, "", log.read().decode())
        self.assert_refused(result, program.EXIT["connector"], "standard output", "nobody reads it")

    def test_its_status_tells_so_even_when_nobody_reads_its_last_words_either(self):
        status = self.wordcount_whose_reader_leaves(subprocess.STDOUT)  # 2>&1 | head -1
        self.assertEqual(status, program.EXIT["connector"])

    def test_log_lines_can_be_json(self):
        result = program.run("steady", "--count", "100", "--output", self.output, "--log-format", "json")
        self.assert_well(result)
        for line in result.err.splitlines():
            self.assertEqual(set(json.loads(line)), {"time", "level", "component", "message"})


if __name__ == "__main__":
    unittest.main()
