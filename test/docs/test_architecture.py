"""The documents name functions, files, settings and tests; what they name must exist, or they teach wrong things."""
import glob
import os
import re
import sys
import unittest

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
DOCUMENTS = ("ARCHITECTURE.md", "BUGS-FOUND.md", "OPERATIONS.md", "STATE.md", "TESTING.md")
sys.path.insert(0, os.path.join(ROOT, "tools"))
import tidy  # noqa: E402


def document(name):
    with open(os.path.join(ROOT, "docs", name), encoding="utf-8") as file:
        return file.read()


class Documents(unittest.TestCase):
    def test_every_function_they_name_is_defined(self):
        tree = tidy.Tree(ROOT)
        defined = {function.name for source in tree.c for function in source.functions}
        defined |= {name for source in tree.c
                    for name in re.findall(r"^#\s*define\s+(\w+)\(", source.code, re.MULTILINE)}
        for name in DOCUMENTS:
            named = set(re.findall(r"`(\w+)\(\)`", document(name)))
            self.assertEqual(sorted(named - defined), [], name)

    def test_every_source_file_they_name_exists(self):
        for name in DOCUMENTS:
            named = set(re.findall(r"`([\w./-]+/[\w.-]+\.(?:c|h|py|sh|mk))`", document(name)))
            missing = [path for path in named if not glob.glob(os.path.join(ROOT, path))]
            self.assertEqual(sorted(missing), [], name)

    def test_every_test_that_is_to_show_a_promise_exists(self):
        listed = document("TESTING.md")
        shown = 0
        for command in re.findall(r"python3 -m unittest ([\w. ]+)`", listed):
            for name in command.split():
                module, _, case = name.partition(".")
                with open(os.path.join(ROOT, "test", "e2e", f"{module}.py"), encoding="utf-8") as file:
                    self.assertIn(f"class {case}", file.read(), name)
                shown += 1
        for name in re.findall(r"build/asan/sim/(\w+)`", listed):
            self.assertTrue(os.path.exists(os.path.join(ROOT, "test", "sim", f"{name}.c")), name)
        with open(os.path.join(ROOT, "Makefile"), encoding="utf-8") as file:
            targets = set(re.findall(r"^([a-z-]+):", file.read(), re.MULTILINE))
        self.assertEqual(set(re.findall(r"`make ([a-z-]+)", listed)) - targets, set())
        self.assertGreater(shown, 10)

    def test_every_setting_of_rocksdb_is_listed_with_its_value(self):
        with open(os.path.join(ROOT, "state", "rocksdb_options.c"), encoding="utf-8") as file:
            table = re.search(r"struct option table\[\] = \{(.*?)^\};", file.read(), re.DOTALL | re.MULTILINE).group(1)
        settings = re.findall(r'\{ "(\w+)", "([^"]+)"', table)
        self.assertGreater(len(settings), 20)
        listed = document("STATE.md")
        missing = [name for name, value in settings if f"| `{name}` | {value} |" not in listed]
        self.assertEqual(missing, [])

    def test_every_metric_is_listed(self):
        with open(os.path.join(ROOT, "web", "rest_metrics.c"), encoding="utf-8") as file:
            names = re.findall(r'X\(\s*\w+,\s*\w+,\s*"([^"]+)"', file.read())
        self.assertGreater(len(names), 40)
        listed = document("OPERATIONS.md")
        self.assertEqual([name for name in names if f"`{name}`" not in listed], [])

    def test_every_key_of_the_configuration_that_they_name_exists(self):
        with open(os.path.join(ROOT, "conf", "weir.yaml"), encoding="utf-8") as file:
            keys = set(re.findall(r"^#([a-z][\w.-]+):", file.read(), re.MULTILINE))
        self.assertGreater(len(keys), 30)
        prefixes = "jobmanager|taskmanager|rest|execution|high-availability|security|heartbeat|slot|log|web|io"
        for name in DOCUMENTS:
            named = set(re.findall(rf"`((?:{prefixes})\.[\w.-]+)`", document(name)))
            named |= {key for key in re.findall(rf"`((?:{prefixes})\.[\w.-]+): \w+`", document(name))}
            files = {key for key in named if key.endswith((".c", ".h"))}
            self.assertEqual(sorted(named - keys - files), [], name)

    def test_every_benchmark_they_name_exists(self):
        for name in DOCUMENTS:
            for bench in re.findall(r"make bench T=(\w+)", document(name)):
                self.assertTrue(glob.glob(os.path.join(ROOT, "bench", bench + "*")), bench)


if __name__ == "__main__":
    unittest.main()
