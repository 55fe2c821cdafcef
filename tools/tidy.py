#!/usr/bin/env python3
"""Check the rules of the house that a compiler does not: tidy.py [ROOT].

Prints `file:line: rule: message` for each breach and exits with 1 if there was one. A line that must break
a rule says so where a reviewer sees it, on the same line or the one above: `tidy: allow RULE, because ...`.

A rule is a function with the decorator @rule: it gets the tree, yields (source, line, message). What varies
(who may include whom, what is banned where) is in the tables at the top, so a change of policy is a change
of a table. Comments and the contents of strings are blanked out before rules look at code.
"""
import fnmatch
import os
import re
import sys

# ---- tables ------------------------------------------------------------------------------------

# folder: the folders it may include besides itself and include/weir; lowest first.
LAYERS = {"include/weir": [], "base": [], "net": ["base"], "types": ["base"]}
LAYERS["runtime/graph"] = LAYERS["runtime/exchange"] = LAYERS["state"] = ["base", "types"]
LAYERS["checkpoint"] = ["base", "types", "runtime/graph", "runtime/exchange", "state"]
LAYERS["runtime/task"] = LAYERS["checkpoint"] + ["checkpoint"]
LAYERS["runtime/manager"] = LAYERS["runtime/task"] + ["runtime/task"]
LAYERS["runtime"] = LAYERS["runtime/manager"] + ["runtime/manager"]
LAYERS["runtime/cluster"] = LAYERS["runtime"] + ["net"]
LAYERS["runtime/program"] = LAYERS["runtime/cluster"] + ["runtime/cluster"]
LAYERS["web"] = LAYERS["runtime/cluster"] + ["runtime", "runtime/cluster"]
LAYERS["cli"] = LAYERS["daemon"] = LAYERS["web"] + ["web"]
LAYERS.update({"operators": ["base"], "connectors": ["base"], "formats": ["base", "types"], "jobs": [],
               "examples": []})
EVERYTHING = ["test", "bench"]  # folders that may include whatever they like
LIBRARY = [folder for folder in LAYERS if folder not in ("jobs", "examples", "cli", "daemon")]

# headers of a library: the only files that may include them (tests and benchmarks always may)
LIBRARIES = {
    "librdkafka/*": ["connectors/*"],
    "rocksdb/*": ["state/rocksdb*"],
    "msgpack*": ["types/msgpack*"],
    "jansson.h": ["web/json_read*", "cli/document.c"],
    "xxhash.h": ["base/*"],
    "lz4*.h": ["base/*", "connectors/*"],
    "zlib.h": ["base/*", "connectors/*"],
    "zookeeper/*": ["runtime/cluster/election_zookeeper*"],
    "yaml.h": ["runtime/cluster/conf_yaml.c"],
    "event2/*": ["net/*"],
    "openssl/*": ["net/*"],
    "curl/*": ["net/*"],
}
SYSTEM_FOLDERS = ["sys", "arpa", "net", "netinet", "linux", "sanitizer"]

# (calls, where they are allowed, what to do instead)
BANNED = [
    ("strcpy strcat strncpy sprintf vsprintf strtok gets", [], "unbounded or surprising: use base/str"),
    ("atoi atol atoll", [], "cannot report an error: use strtoll and look at its end"),
    ("rand srand random", [], "not reproducible: take randomness from base/os"),
    ("system sleep usleep alloca", ["test/e2e/*"], "nothing blocks, nothing grows the stack"),
    ("localtime gmtime", [], "not thread-safe: use the _r form"),
    ("malloc calloc realloc free strdup strndup",
     ["base/memory.c", "test/*", "bench/*", "jobs/*", "examples/*"], "memory comes from base/memory"),
    ("clock_gettime gettimeofday time nanosleep getrandom open openat creat fopen close read write pread "
     "pwrite fsync fdatasync rename unlink mkdir rmdir opendir stat fstat socket accept connect bind "
     "listen send recv poll epoll_wait fork execv execvp posix_spawn waitpid kill pthread_create",
     ["base/os*.c", "test/*", "bench/*", "jobs/*", "examples/*"],
     "time, disk, network, threads and processes go through base/os, or the simulator cannot see them"),
    ("mmap munmap madvise", ["base/memory.c", "base/os*.c", "test/*", "bench/*", "jobs/*", "examples/*"],
     "memory comes from base/memory"),
    ("printf puts putchar exit _exit", ["base/os*.c", "cli/*", "test/*", "bench/*", "jobs/*", "examples/*"],
     "the library never prints or exits: log, or return an error"),
]

FORBIDDEN_TEXT = [  # the product is built anywhere by anyone
    (r"repo1?\.maven\.(org|apache)|\bpypi\.org|deb\.debian\.org|registry\.npmjs|proxy\.golang",
     "a registry host"),
    (r"(?<![\w.$}*)])/(work|root)/", "an absolute path of one machine"),
]

FUNCTION_LINES = 70
FILE_LINES_WARN, FILE_LINES = 700, 1000
# clang-format holds C code to 100 columns; this is for what it leaves alone: comments and scripts
COLUMNS = {".c": 130, ".h": 130, ".py": 140, ".sh": 120}
ESSAY_LINES = 3

C_FILES = (".c", ".h")
WIDTH_FILES = tuple(COLUMNS)
TEXT_FILES = WIDTH_FILES + (".md", ".mk", "Makefile")
SKIPPED_FOLDERS = {"build", "corpus", "__pycache__", "node_modules"}

# ---- sources -----------------------------------------------------------------------------------

TOKEN = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)
KEYWORDS = {"if", "for", "while", "switch", "__attribute__"}


def blank(match):
    """Spaces for a comment, quotes with spaces for a literal; newlines stay."""
    text = match.group()
    spaces = re.sub(r"[^\n]", " ", text)
    return spaces if text[0] == "/" else text[0] + spaces[1:-1] + text[-1]


class Function:
    def __init__(self, name, static, first, last):
        self.name, self.static, self.first, self.last = name, static, first, last


class Source:
    """One text file; what the rules ask about C is computed once."""

    def __init__(self, root, path):
        self.path = path
        self.folder = folder_of(path)
        with open(os.path.join(root, path), encoding="utf-8", errors="replace") as file:
            self.text = file.read()
        self.lines = self.text.split("\n")
        self.is_c = path.endswith(C_FILES)
        if self.is_c:
            self.code = TOKEN.sub(blank, self.text)
            # preprocessor lines too, so that braces in macros do not confuse
            self.plain = re.sub(r"^[ \t]*#(?:\\\n|[^\n])*", blank_line, self.code, flags=re.MULTILINE)
            self.includes = [(self.line(m.start()), m.group(1)) for m in
                             re.finditer(r'^[ \t]*#[ \t]*include[ \t]*(["<][^">\n]+)[">]', self.text, re.M)
                             if self.code[m.start():m.end()].strip()]
            self.functions = list(self.find_functions())

    def line(self, offset):
        return self.text.count("\n", 0, offset) + 1

    def blocks(self):
        """(offset of head, head, offset of {, offset of }) of each outermost pair of braces."""
        depth, head, start = 0, 0, 0
        for match in re.finditer(r"[{};]", self.plain):
            sign, at = match.group(), match.start()
            if sign == "{":
                if depth == 0:
                    start = at
                depth += 1
            elif sign == "}":
                depth = max(depth - 1, 0)
                if depth == 0:
                    yield head, self.plain[head:start], start, at
                    head = at + 1
            elif depth == 0:
                head = at + 1

    def find_functions(self):
        for offset, head, _, end in self.blocks():
            name = function_name(head.rstrip())
            if name and name not in KEYWORDS and "=" not in head:
                first = self.line(offset + len(head) - len(head.lstrip()))
                static = bool(re.search(r"\bstatic\b", head))
                yield Function(name, static, first, self.line(end))

    def structs(self):
        """(line, name, body) of each struct defined at the outermost level."""
        for offset, head, start, end in self.blocks():
            found = re.search(r"\bstruct\s+(?:__attribute__\s*\(\(.*?\)\)\s*)?(\w+)\s*$", head.rstrip())
            if found:
                first = offset + len(head) - len(head.lstrip())
                yield self.line(first), found.group(1), self.plain[start + 1:end]

    def comments(self):
        """(first line, last line, text) of each comment; // lines that follow each other are one."""
        result = []
        for match in TOKEN.finditer(self.text):
            if match.group()[0] == "/":
                first, last = self.line(match.start()), self.line(match.end() - 1)
                before = result[-1] if result else (0, 0, "")
                if match.group()[1] == "/" and before[1] == first - 1 and before[2][:2] == "//":
                    result[-1] = (before[0], last, before[2] + "\n" + match.group())
                else:
                    result.append((first, last, match.group()))
        return result


def function_name(head):
    """The word before the parentheses that end a head, or None: that head is no function's."""
    depth = 0
    for at in range(len(head) - 1, -1, -1):
        depth += {")": 1, "(": -1}.get(head[at], 0)
        if depth == 0:
            word = re.search(r"(\w+)\s*$", head[:at]) if head[at] == "(" else None
            return word and word.group(1)
    return None


def blank_line(match):
    return re.sub(r"[^\n]", " ", match.group())


def folder_of(path):
    """The layer of a path; of a folder without one, the folder itself."""
    folder = os.path.dirname(path)
    while folder and folder not in LAYERS and folder not in EVERYTHING:
        folder = os.path.dirname(folder)
    return folder or path.split("/")[0]


def matches(path, patterns):
    return any(fnmatch.fnmatch(path, pattern) for pattern in patterns)


class Tree:
    def __init__(self, root):
        self.root = root
        paths = []
        for folder, folders, files in os.walk(root):
            folders[:] = sorted(f for f in folders if f not in SKIPPED_FOLDERS and not f.startswith("."))
            paths += [os.path.relpath(os.path.join(folder, file), root) for file in sorted(files)]
        self.paths = set(paths)
        self.sources = [Source(root, path) for path in paths if path.endswith(TEXT_FILES)]
        self.c = [source for source in self.sources if source.is_c]
        self.by_path = {source.path: source for source in self.sources}

    def resolve(self, include):
        """The path in the tree that an include means, or None for a system header."""
        name = include[1:]
        for path in ("include/" + name, name):
            if path in self.paths:
                return path
        return name if include[0] == '"' else None


# ---- rules -------------------------------------------------------------------------------------

RULES = {}


def rule(name):
    return lambda function: RULES.setdefault(name, function)


@rule("include-direction")
def include_direction(tree):
    for source in tree.c:
        if source.folder in EVERYTHING:
            continue
        if source.folder not in LAYERS:
            yield source, 1, f"folder '{source.folder}' has no place in the table of who may include whom"
            continue
        allowed = LAYERS[source.folder] + [source.folder, "include/weir"]
        for line, include in source.includes:
            target = tree.resolve(include)
            if target is None and not include.startswith("<weir/"):
                continue
            if target not in tree.paths:
                yield source, line, f"no file {include[1:]}: write the path from the root of the tree"
            elif folder_of(target) not in allowed or other_job(source.path, target):
                yield source, line, f"{source.folder} may not see {folder_of(target)}"


def other_job(path, target):
    return target.startswith("jobs/") and os.path.dirname(target) != os.path.dirname(path)


@rule("library-header")
def library_header(tree):
    for source in tree.c:
        if source.folder in EVERYTHING:
            continue
        for line, include in source.includes:
            name = include[1:]
            if tree.resolve(include) in tree.paths or include.startswith("<weir/"):
                continue
            places = [place for pattern, place in LIBRARIES.items() if fnmatch.fnmatch(name, pattern)]
            if places and not matches(source.path, places[0]):
                yield source, line, f"<{name}> only in {' '.join(places[0]) or 'no file'}"
            elif not places and "/" in name and include[0] == "<" and source.folder != "connectors" \
                    and name.split("/")[0] not in SYSTEM_FOLDERS:
                yield source, line, f"<{name}> is of a library that no table entry allows"


@rule("own-header-first")
def own_header_first(tree):
    for source in tree.c:
        own = source.path[:-2] + ".h"
        if source.path.endswith(".c") and own in tree.paths:
            if not source.includes or tree.resolve(source.includes[0][1]) != own:
                yield source, 1, f"the first include must be {own}: it proves that the header stands alone"


@rule("include-cycle")
def include_cycle(tree):
    finished, path = set(), []

    def visit(source):
        path.append(source.path)
        for line, include in source.includes:
            target = tree.resolve(include)
            if target in path:
                yield source, line, "cycle: " + " -> ".join(path[path.index(target):] + [target])
            elif target in tree.by_path and target not in finished:
                yield from visit(tree.by_path[target])
        finished.add(path.pop())

    for source in tree.c:
        if source.path not in finished:
            yield from visit(source)


@rule("function-length")
def function_length(tree):
    for source in tree.c:
        for function in source.functions:
            length = function.last - function.first + 1
            text = "\n".join(source.lines[max(function.first - 4, 0):function.last])
            if length > FUNCTION_LINES and "tidy: flat switch" not in text:
                yield source, function.first, f"{function.name} has {length} lines, at most {FUNCTION_LINES}"


@rule("file-length")
def file_length(tree):
    for source in tree.c:
        length = len(source.lines) - 1
        if length > FILE_LINES:
            yield source, 1, f"{length} lines, at most {FILE_LINES}"
        elif length > FILE_LINES_WARN:
            yield source, 1, f"warning: {length} lines, more than {FILE_LINES} will fail"


@rule("prefix")
def prefix(tree):
    for source in tree.c:
        if source.folder not in LIBRARY and source.folder != "cli":
            continue
        stem = os.path.basename(source.path)[:-2]
        header = tree.by_path.get(source.path[:-2] + ".h")
        declared = source.text + (header.text if header else "")
        wanted = [stem + "_", stem + "s_", stem.removesuffix("s") + "_", "weir_"]
        for names in re.findall(r"\bPrefixes: ([a-z0-9_, ]+)", declared):
            wanted += re.split(r"[, ]+", names.strip(" ,"))
        for function in source.functions:
            public = not function.static or source.path.endswith(".h")
            right = function.name in (stem, "main") or function.name.startswith(tuple(wanted))
            if public and not right:
                message = f"{function.name}() should start with {stem}_ or weir_, or be static"
                yield source, function.first, message


@rule("banned-call")
def banned_call(tree):
    for source in tree.c:
        own = {function.name for function in source.functions}
        for names, places, instead in BANNED:
            if matches(source.path, places):
                continue
            for match in re.finditer(r"(?<![\w.>])(" + "|".join(names.split()) + r")\s*\(", source.plain):
                if match.group(1) not in own:
                    yield source, source.line(match.start()), f"{match.group(1)}(): {instead}"


@rule("readme")
def readme(tree):
    folders = {}
    for path in tree.paths:
        folder = os.path.dirname(path)
        if path.endswith(C_FILES) and folder_of(path) in LAYERS or folder in ("bench", "tools"):
            folders.setdefault(folder, set()).add(os.path.basename(path))
    for folder, files in sorted(folders.items()):
        path = os.path.join(folder, "README.md")
        if path not in tree.by_path:
            yield path, 1, "every source folder has a README.md that lists its files"
            continue
        text = tree.by_path[path].text
        listed = {name.rsplit(".", 1)[0] for name in files if name.endswith(WIDTH_FILES + (".mk",))}
        for name in sorted(listed):
            if not re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text):
                yield path, 1, f"does not mention {name}"


@rule("struct-thread")
def struct_thread(tree):
    free = EVERYTHING + ["include/weir", "jobs", "examples"]
    for source in tree.c:
        if not source.path.endswith(".h") or source.folder in free:
            continue
        above = {last: text for _, last, text in source.comments()}
        essay = (source.comments() or [(1, 1, "")])[0][2]
        for line, name, _ in source.structs():
            if "Thread:" not in above.get(line - 1, "") + essay:
                yield source, line, f"no 'Thread:' above struct {name}, nor for all in the first comment"


@rule("include-guard")
def include_guard(tree):
    pragma, guards = [], {}
    for source in tree.c:
        if not source.path.endswith(".h"):
            continue
        guard = re.match(r"\s*#\s*ifndef\s+(\w+)\s*\n\s*#\s*define\s+(\w+)", source.code)
        if re.search(r"^\s*#\s*pragma\s+once", source.code, re.MULTILINE):
            pragma.append(source)
        elif not guard or guard.group(1) != guard.group(2):
            yield source, 1, "neither #pragma once nor an include guard at the top"
        elif guard.group(1) in guards:
            yield source, 1, f"the guard {guard.group(1)} is also that of {guards[guard.group(1)].path}"
        else:
            guards[guard.group(1)] = source
    for source in min(pragma, list(guards.values()), key=len) if pragma and guards else []:
        yield source, 1, "#pragma once here and include guards there: one or the other everywhere"


def members(body):
    """Names of the members of a struct body (blanked code, without the outer braces)."""
    while re.search(r"\{[^{}]*\}", body):
        body = re.sub(r"\{[^{}]*\}", " ", body)
    for declaration in body.split(";"):
        pointer = re.search(r"\(\s*\*\s*(\w+)\s*\)\s*\(", declaration)
        if pointer:
            yield pointer.group(1)
            continue
        for part in declaration.split(","):
            name = re.search(r"(\w+)\s*(?:(?:\[[^]]*\]\s*)+|:\s*\w+\s*)?$", part.rstrip())
            if name:
                yield name.group(1)


@rule("type-table")
def type_table(tree):
    structs = {(source.folder, name): list(members(body)) for source in tree.c
               for _, name, body in source.structs()}
    for source in tree.c:
        if source.folder in EVERYTHING:
            continue
        for match in re.finditer(r"\bWEIR_TYPE\s*\(\s*(\w+)\s*,((?:[^()]|\([^()]*\))*)\)", source.plain):
            name, table = match.groups()
            fields = re.findall(r"\(\s*(\d+)\s*,\s*(?:struct\s+)?" + name + r"\s*,\s*(\w+)", table)
            line = source.line(match.start())
            ids = [identifier for identifier, _ in fields]
            for member in structs.get((source.folder, name), []):
                if member not in [field for _, field in fields]:
                    yield source, line, f"{name}.{member} is missing from its WEIR_TYPE: it would not be kept"
            for identifier in sorted({i for i in ids if ids.count(i) > 1}):
                yield source, line, f"field id {identifier} is used twice in WEIR_TYPE({name})"


@rule("leftover")
def leftover(tree):
    for source in tree.sources:
        for number, text in enumerate(source.lines, 1):
            if re.search(r"\b(FIX" r"ME|TO" r"DO|XX" r"X)\b", text):
                yield source, number, "do it or leave it: no notes to self"


@rule("header-essay")
def header_essay(tree):
    for source in tree.c:
        if source.path.endswith(".h") and source.folder not in EVERYTHING:
            first, last, _ = (source.comments() or [(1, 0, "")])[0]
            code = re.search(r"^(?!\s*#\s*(?:pragma once|ifndef|define))\s*\S", source.code, re.MULTILINE)
            if last - first + 1 < ESSAY_LINES or code and source.line(code.end()) < first:
                yield source, 1, f"starts with no comment of {ESSAY_LINES} lines on what it is, why and how"


@rule("white-space")
def white_space(tree):
    for source in tree.sources:
        columns = COLUMNS.get(os.path.splitext(source.path)[1], sys.maxsize)
        for number, text in enumerate(source.lines, 1):
            if text != text.rstrip():
                yield source, number, "trailing white space"
            if "\t" in text and source.path.endswith(WIDTH_FILES):
                yield source, number, "tab"
            if len(text) > columns:
                yield source, number, f"{len(text)} columns, at most {columns}"
        if not source.text.endswith("\n") and source.text:
            yield source, len(source.lines), "no newline at the end"


@rule("test-name")
def test_name(tree):
    for source in tree.c:
        if source.path.startswith("test/"):
            for match in re.finditer(r"\bcmocka_unit_test\w*\(\s*(\w+)", source.plain):
                name = match.group(1)
                if name.startswith("test_") or name.count("_") < 2 or name != name.lower():
                    yield source, source.line(match.start()), f"{name}: a test's name is a sentence_of_words"


@rule("forbidden-text")
def forbidden_text(tree):
    for source in tree.sources:
        for number, text in enumerate(source.lines, 1):
            for pattern, what in FORBIDDEN_TEXT:
                if re.search(pattern, text):
                    yield source, number, f"{what} has no place in the product"


# ---- report ------------------------------------------------------------------------------------


def allowed(source, line, name):
    if isinstance(source, str):
        return False
    return any(re.search(rf"tidy: allow {name}\b", text) for text in source.lines[max(line - 2, 0):line])


def check(root):
    """[(path, line, rule, message)] in the order of the files."""
    tree = Tree(root)
    found = set()
    for name, function in RULES.items():
        for source, line, message in function(tree):
            if not allowed(source, line, name):
                found.add((source if isinstance(source, str) else source.path, line, name, message))
    return sorted(found)


def main():
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    found = check(sys.argv[1] if len(sys.argv) > 1 else here)
    for path, line, name, message in found:
        print(f"{path}:{line}: {name}: {message}")
    return int(any(not message.startswith("warning: ") for _, _, _, message in found))


if __name__ == "__main__":
    sys.exit(main())
