"""Plant one breach per rule in a small clean tree: exactly that rule must fire."""
import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "..", "tools"))
import tidy  # noqa: E402

ESSAY = "/*\n * What it is.\n * Why it is here.\n */\n#pragma once\n"
CLEAN = {
    "README.md": "# A tree\n",
    "include/weir/README.md": "weir.h\n",
    "include/weir/weir.h": ESSAY + "struct point {\n    int x;\n};\nint weir_answer(void);\n",
    "base/README.md": "`queue.c` `queue.h` `memory.c` `os.c`\n",
    "base/queue.h": ESSAY + "#include <weir/weir.h>\n\n/* Thread: any. A row of people. */\n"
                            "struct queue {\n    int count;\n};\nint queue_push(struct queue *queue);\n",
    "base/queue.c": '#include "base/queue.h"\n#include <sys/types.h>\n\n'
                    "static int grow(int by)\n{\n    return by; /* no malloc(1) here, no strcpy( */\n}\n\n"
                    'int queue_push(struct queue *queue)\n{\n    const char *text = "sprintf(x)";\n'
                    "    return text && queue->count + grow(1);\n}\n",
    "base/memory.c": "#include <stdlib.h>\n\nvoid memory_free(void *memory)\n{\n    free(memory);\n}\n",
    "base/os.c": "#include <unistd.h>\n\nint os_sync(int file)\n{\n    return fsync(file);\n}\n",
    "types/README.md": "type\n",
    "types/type.h": ESSAY + '#include "base/queue.h"\n',
    "types/type.c": '#include "types/type.h"\n\nint type_count(void)\n{\n    return 1;\n}\n',
    "jobs/demo/README.md": "main.c\n",
    "jobs/demo/main.c": "#include <weir/weir.h>\n\nstruct click {\n    long user, *page;\n    char name[8];\n"
                        "    int (*call)(int);\n};\nWEIR_TYPE(click, WEIR_FIELD(1, click, user), "
                        "WEIR_FIELD(2, click, page),\n    WEIR_FIELD(3, click, name), "
                        "WEIR_FIELD(4, click, call));\n",
    "test/unit/base/queue_test.c": '#include "base/queue.h"\n\n'
                                   "static int a_push_adds_one(void)\n{\n    return 0;\n}\n"
                                   "int tests[] = { cmocka_unit_test(a_push_adds_one) };\n",
    "tools/README.md": "run.py\n",
    "tools/run.py": "print(1)\n",
}


def body(lines):
    return "{\n" + "    queue_push(0);\n" * lines + "}\n"


def function(name, lines, before=""):
    return f"\n{before}int {name}(void)\n" + body(lines)


# name of the case: (rule that must fire, {path: text to append, or (old, new) to replace, or None to remove})
CASES = {
    "base includes types": ("include-direction", {"base/os.c": '#include "types/type.h"\n'}),
    "a job includes base": ("include-direction", {"jobs/demo/main.c": '#include "base/queue.h"\n'}),
    "include/weir includes base": ("include-direction", {"include/weir/weir.h": '#include "base/x.h"\n'}),
    "siblings see each other": ("include-direction", {
        "state/README.md": "a\n", "state/a.h": ESSAY, "runtime/graph/README.md": "b\n",
        "runtime/graph/b.c": '#include "state/a.h"\n'}),
    "one job sees another": ("include-direction", {
        "jobs/x/README.md": "a\n", "jobs/x/a.h": ESSAY, "jobs/demo/main.c": '#include "jobs/x/a.h"\n'}),
    "a path from the folder itself": ("include-direction", {
        "base/os.c": '#include "queue.h"\n'}),
    "a folder nobody planned": ("include-direction", {"misc/a.c": "int a_x(void);\n"}),
    "kafka outside connectors": ("library-header", {"base/os.c": "#include <librdkafka/rdkafka.h>\n"}),
    "a library nobody planned": ("library-header", {"base/os.c": "#include <curl/curl.h>\n"}),
    "own header second": ("own-header-first", {
        "types/type.c": ('#include "types/type.h"', '#include "base/queue.h"\n#include "types/type.h"')}),
    "a cycle": ("include-cycle", {
        "base/a.h": ESSAY + '#include "base/b.h"\n', "base/b.h": ESSAY + '#include "base/a.h"\n',
        "base/README.md": "a b\n"}),
    "a long function": ("function-length", {"base/queue.c": function("queue_all", 80)}),
    "a long file": ("file-length", {"base/queue.c": "\n" * 1001}),
    "a name without its module": ("prefix", {"base/queue.c": function("push_all", 3)}),
    "malloc": ("banned-call", {"base/queue.c": ("grow(1)", "malloc(1)")}),
    "strcpy even in a test": ("banned-call", {
        "test/unit/base/queue_test.c": ("return 0", "return strcpy(a, b)")}),
    "the clock past base/os": ("banned-call", {"base/queue.c": ("grow(1)", "time (0)")}),
    "printing": ("banned-call", {"base/queue.c": ("grow(1)", 'printf("x")')}),
    "no README": ("readme", {"types/README.md": None}),
    "a file the README forgot": ("readme", {"base/map.c": "int map_x;\n"}),
    "a struct without a thread": ("struct-thread", {"base/queue.h": ("Thread: any", "People")}),
    "no guard": ("include-guard", {"base/queue.h": ("#pragma once\n", "")}),
    "two kinds of guard": ("include-guard", {
        "base/queue.h": ("#pragma once\n", "#ifndef QUEUE_H\n#define QUEUE_H\n")}),
    "a member without a field": ("type-table", {
        "jobs/demo/main.c": ("char name[8]", "char name[8], flags : 3")}),
    "one id for two fields": ("type-table", {"jobs/demo/main.c": ("FIELD(2", "FIELD(1")}),
    "a note to self": ("leftover", {"base/queue.c": "/* FIX" "ME later */\n"}),
    "no essay": ("header-essay", {
        "base/queue.h": (" * What it is.\n * Why it is here.\n */", " What it is. */")}),
    "an essay after the code": ("header-essay", {
        "types/type.h": (ESSAY, "#pragma once\nint type_count(void);\n/*\n *\n *\n */\n")}),
    "a space at the end": ("white-space", {"tools/README.md": "run.py \n"}),
    "a tab": ("white-space", {"base/queue.c": "\tint queue_x;\n"}),
    "a wide line": ("white-space", {"base/queue.c": "/* " + "x" * 130 + " */\n"}),
    "no newline at the end": ("white-space", {"base/queue.c": "/* x */"}),
    "a test called test": ("test-name", {
        "test/unit/base/queue_test.c": ("test(a_push_adds_one", "test(test_push_a")}),
    "a registry": ("forbidden-text", {"tools/run.py": "# https://repo1" ".maven.org/x\n"}),
    "a path of this machine": ("forbidden-text", {"README.md": "see /wo" "rk/main\n"}),
}

# what looks like a breach and is none
HARMLESS = {
    "a flat switch may be long": {
        "base/queue.c": function("queue_all", 80, "/* tidy: flat switch, one row per code */\n")},
    "the plural of the module": {"base/queue.c": function("queues_all", 3)},
    "one thread for all structs of a header": {
        "types/row.h": "/*\n * A row.\n * Thread: task.\n */\n#pragma once\n"
                       "/* Of data. */\nstruct row {\n    int size;\n};\n",
        "types/README.md": "row\n"},
    "a declared prefix": {"base/queue.c": "/* Prefixes: row_, line_ */\n" + function("row_all", 3)},
    "a breach with a reason": {"base/queue.c": ("grow(1)", "time(0) /* tidy: allow banned-call, because */")},
    "a member that is called like a banned call": {"base/queue.c": ("grow(1)", "queue->free(1)")},
    "a static function that is called like a system call": {
        "base/queue.c": ("static int grow", "static int open(int a)\n{\n    return a;\n}\nstatic int grow"),
        "base/queue.h": "/* open(1) */\n"},
    "a library in its place": {"connectors/README.md": "kafka_sink\n",
                               "connectors/kafka_sink.c": "#include <librdkafka/rdkafka.h>\n"},
    "a macro with a brace": {"base/queue.c": "#define BEGIN {\n" + function("queue_all", 60)},
    "a function with attributes": {
        "base/queue.c": "__attribute__((format(printf, 1, 2))) void queue_log(const char *a, ...)\n{\n}\n"},
    "a comment of slashes": {"types/type.h": (ESSAY, "// a\n// b\n// c\n#pragma once\n")},
    "a mask for temporary files": {"base/os.c": "/* os.XXXX" "XX */\n"},
}


def write(root, path, text):
    full = os.path.join(root, path)
    os.makedirs(os.path.dirname(full), exist_ok=True)
    with open(full, "w", encoding="utf-8") as file:
        file.write(text)


def plant(root, changes):
    for path, text in CLEAN.items():
        write(root, path, text)
    for path, change in changes.items():
        if change is None:
            os.remove(os.path.join(root, path))
        elif isinstance(change, tuple):
            assert change[0] in CLEAN[path], f"{path} has no {change[0]!r}"
            write(root, path, CLEAN[path].replace(*change))
        else:
            write(root, path, CLEAN.get(path, "") + change)


def findings(changes):
    with tempfile.TemporaryDirectory() as root:
        plant(root, changes)
        return tidy.check(root)


class Tidy(unittest.TestCase):
    def test_a_clean_tree_is_clean(self):
        self.assertEqual(findings({}), [])

    def test_an_empty_tree_is_clean(self):
        with tempfile.TemporaryDirectory() as root:
            self.assertEqual(tidy.check(root), [])

    def test_exactly_the_rule_that_was_broken_fires(self):
        for name, (rule, changes) in CASES.items():
            with self.subTest(name):
                found = findings(changes)
                self.assertEqual({finding[2] for finding in found}, {rule}, found)

    def test_what_only_looks_like_a_breach_passes(self):
        for name, changes in HARMLESS.items():
            with self.subTest(name):
                self.assertEqual(findings(changes), [])

    def test_every_rule_has_a_case(self):
        self.assertEqual({rule for rule, _ in CASES.values()}, set(tidy.RULES))

    def test_a_file_that_grows_is_a_warning_first(self):
        found = findings({"base/queue.c": "\n" * 800})
        self.assertEqual([finding[2] for finding in found], ["file-length"])
        self.assertTrue(found[0][3].startswith("warning: "))

    def test_the_line_of_the_breach_is_named(self):
        found = findings({"base/queue.c": ("grow(1)", "malloc(1)")})
        self.assertEqual([(path, line) for path, line, _, _ in found], [("base/queue.c", 12)])


if __name__ == "__main__":
    unittest.main()
