#!/usr/bin/env python3
"""The Java twins of what both halves share do what the C side does: the Nexmark generator and the histogram.

The digest of a million events and the quantiles of the first squares are stated in the unit tests of the C side, which hold
that side to them; here the twins are held to the same numbers. It needs a Java compiler, and nothing of Flink.
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
STATED = ROOT / "test" / "unit" / "support"
JAVA = ROOT / "bench" / "flink" / "src" / "main" / "java" / "weir" / "bench"
LIMIT_S = 250


def stated(test, name):
    found = re.search(rf"#define {name} +(?:U?INT64_C\()?(\w+)", (STATED / f"{test}_test.c").read_text(encoding="utf-8"))
    return int(found.group(1), 0)


class TwinTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        missing = [name for name in ("javac", "java") if not shutil.which(name)]
        if missing:
            print(f"SKIPPED: {' and '.join(missing)} not found: install default-jdk-headless", file=sys.stderr, flush=True)
            if os.environ.get("CI") == "true":
                raise AssertionError("without Java the twins are not checked")
            raise unittest.SkipTest("no Java compiler")
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.classes = folder.name
        sources = [JAVA / f"{name}.java" for name in ("Nexmark", "Event", "Digest", "Histogram")]
        subprocess.run(["javac", "-d", cls.classes, *sources], check=True, timeout=LIMIT_S)

    def said(self, name, *arguments):
        return subprocess.run(["java", "-cp", self.classes, f"weir.bench.{name}", *map(str, arguments)], check=True,
                              timeout=LIMIT_S, capture_output=True, text=True).stdout

    def test_the_digest_of_a_million_events_is_that_of_the_generator_in_c(self):
        said = self.said("Nexmark", stated("nexmark", "SEED"), stated("nexmark", "EVENTS"))
        self.assertEqual(int(said, 16), stated("nexmark", "DIGEST"))

    def test_quantiles_are_those_of_the_histogram_in_c(self):
        said = self.said("Histogram", stated("histogram", "SQUARES"))
        self.assertEqual([int(it) for it in said.split()], [stated("histogram", "MEDIAN"), stated("histogram", "MOST")])


if __name__ == "__main__":
    unittest.main()
