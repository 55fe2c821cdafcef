"""tools/cover.py on a small program whose branches are known."""
import contextlib
import io
import os
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tools"))
import cover  # noqa: E402

SOURCE = """\
#include <stdlib.h>
#define ASSERT(expression_) ((expression_) ? (void)0 : abort())
#define DEBUG_ASSERT(expression_) ASSERT(expression_)
int main(int count, char **words)
{
    ASSERT(count > 0 &&
           words != 0);
    DEBUG_ASSERT(count < 9);
    if (count > 1)
        return 3;
    for (int i = 0; i < 2; i++)
        count += i;
    return count == 7 || count == 2 ? 0 : 4;
}
"""


class Report(unittest.TestCase):
    def setUp(self):
        self.addCleanup(setattr, cover, "CORE", cover.CORE)
        cover.CORE = {"types": ["types/"]}
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(self.directory.name)
        os.makedirs("build/types")
        os.makedirs("types")
        with open("types/a.c", "w", encoding="utf-8") as file:
            file.write(SOURCE)
        subprocess.run("gcc -O0 --coverage -c -o build/types/a.o types/a.c && gcc --coverage -o a build/types/a.o",
                       shell=True, check=True)

    def report(self, *paths):
        """(exit code, what was printed)"""
        with contextlib.redirect_stdout(io.StringIO()) as out:
            code = cover.report("build", list(paths))
        return code, out.getvalue()

    def test_counts_are_those_of_the_runs_without_the_assertions(self):
        subprocess.run(["./a"], check=True)
        code, text = self.report()
        # if: 2, for: 2, ||: 4; taken: 1, 2, and of the || all but the two that differ
        self.assertRegex(text, r"types/a\.c +8 +7 +87\.5 +8 +5 +62\.5")
        self.assertIn("types/a.c:9: 1 of 2: if (count > 1)", text)
        self.assertIn("types/a.c:13: 2 of 4: return count == 7", text)
        self.assertNotIn("ASSERT", text)
        self.assertEqual(code, 1)
        self.assertIn("SHORT types: 62.5 % of the branches", text)

    def test_runs_are_summed_and_enough_is_enough(self):
        for words, status in (([], 0), (["x"], 3)):
            self.assertEqual(subprocess.run(["./a", *words], check=False).returncode, status)
        code, text = self.report()
        self.assertRegex(text, r"types/a\.c .* 8 +6 +75\.0")
        self.addCleanup(setattr, cover, "GOAL", cover.GOAL)
        cover.GOAL = 75.0
        code, text = self.report()
        self.assertEqual(code, 0)
        self.assertIn("every group has 75 % of its branches", text)

    def test_what_never_ran_has_no_branch_and_a_reset_forgets(self):
        for is_reset in (False, True):
            if is_reset:
                subprocess.run(["./a"], check=True)
                cover.reset("build")
            self.assertRegex(self.report()[1], r"types/a\.c +8 +0 +0\.0 +8 +0 +0\.0")

    def test_paths_choose_what_is_listed_not_what_is_judged(self):
        subprocess.run(["./a"], check=True)
        code, text = self.report("state/")
        self.assertNotIn("types/a.c:9", text)
        self.assertIn("SHORT types", text)
        self.assertEqual(code, 1)

    def test_a_group_without_a_file_is_no_success(self):
        subprocess.run(["./a"], check=True)
        cover.CORE["state"] = ["state/"]
        self.assertIn("SHORT state: no file of it was built", self.report()[1])

    def test_a_tree_that_was_not_built_for_it_is_told_how(self):
        with self.assertRaisesRegex(SystemExit, "no .gcno file under types: build the variant cover first"):
            cover.collect("types")


if __name__ == "__main__":
    unittest.main()
