#!/usr/bin/env python3
"""Write compile_commands.json for editors and clang-tidy: compile_commands.py OUT CC FLAGS SOURCE..."""
import json
import os
import shlex
import sys


def main():
    out, compiler, flags, *sources = sys.argv[1:]
    command = shlex.split(compiler) + shlex.split(flags)
    entries = [{"directory": os.getcwd(), "file": source, "arguments": command + ["-c", source]}
               for source in sources]
    with open(out, "w", encoding="utf-8") as file:
        json.dump(entries, file, indent=1)
        file.write("\n")


if __name__ == "__main__":
    main()
