"""docs/ARCHITECTURE.md names functions and files; what it names must exist, or it teaches wrong things."""
import glob
import os
import re
import sys
import unittest

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
DOCUMENT = os.path.join(ROOT, "docs", "ARCHITECTURE.md")
sys.path.insert(0, os.path.join(ROOT, "tools"))
import tidy  # noqa: E402


def document():
    with open(DOCUMENT, encoding="utf-8") as file:
        return file.read()


# Conditional only until the document is there; nothing turns it off after that.
@unittest.skipUnless(os.path.exists(DOCUMENT), "docs/ARCHITECTURE.md is not written yet")
class Architecture(unittest.TestCase):
    def test_every_function_it_names_is_defined(self):
        tree = tidy.Tree(ROOT)
        defined = {function.name for source in tree.c for function in source.functions}
        defined |= {name for source in tree.c
                    for name in re.findall(r"^#\s*define\s+(\w+)\(", source.code, re.MULTILINE)}
        named = set(re.findall(r"`(\w+)\(\)`", document()))
        self.assertEqual(sorted(named - defined), [])

    def test_every_source_file_it_names_exists(self):
        named = set(re.findall(r"`([\w./-]+/[\w.-]+\.(?:c|h|py|sh|mk))`", document()))
        missing = [path for path in named if not glob.glob(os.path.join(ROOT, path))]
        self.assertEqual(sorted(missing), [])


if __name__ == "__main__":
    unittest.main()
