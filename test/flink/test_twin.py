#!/usr/bin/env python3
"""The Java twin of the Nexmark generator makes the same bytes as test/support/nexmark.c.

The digest of a million events is stated in the unit test of the C side, which holds that side to it; here the twin
is held to the same number. It needs a Java compiler, and nothing of Flink.
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
STATED = ROOT / "test" / "unit" / "support" / "nexmark_test.c"
JAVA = ROOT / "bench" / "flink" / "src" / "main" / "java" / "weir" / "bench"
LIMIT_S = 250


def stated(name):
    found = re.search(rf"#define {name} +(?:UINT64_C\()?(\w+)", STATED.read_text(encoding="utf-8"))
    return int(found.group(1), 0)


class TwinTest(unittest.TestCase):
    def test_the_digest_of_a_million_events_is_that_of_the_generator_in_c(self):
        missing = [name for name in ("javac", "java") if not shutil.which(name)]
        if missing:
            print(f"SKIPPED: {' and '.join(missing)} not found: install default-jdk-headless", file=sys.stderr, flush=True)
            self.assertNotEqual(os.environ.get("CI"), "true", "without Java the twin is not checked")
            self.skipTest("no Java compiler")
        with tempfile.TemporaryDirectory() as classes:
            sources = [JAVA / f"{name}.java" for name in ("Nexmark", "Event", "Digest")]
            subprocess.run(["javac", "-d", classes, *sources], check=True, timeout=LIMIT_S)
            said = subprocess.run(["java", "-cp", classes, "weir.bench.Nexmark", str(stated("SEED")), str(stated("EVENTS"))],
                                  check=True, timeout=LIMIT_S, capture_output=True, text=True).stdout
        self.assertEqual(int(said, 16), stated("DIGEST"))


if __name__ == "__main__":
    unittest.main()
