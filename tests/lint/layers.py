#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""What the tree must look like: who includes whom, who may print, what may lie where.

  layers.py [ROOT]       one line a problem, exit 1 where there is any
  layers.py --self-test  plants every violation in a tree of its own and checks that it is caught
"""

import os
import re
import sys
import tempfile

# A layer may include itself and these. The wire header (memtrace.h) lies beside base.
LAYERS = {
    "base": set(),
    "target": {"base"},
    "model": {"base"},
    "runtime": {"base", "target", "model"},
    "trace": {"base", "target", "model", "runtime"},
    "rules": {"base", "model"},
    "recording": {"base", "model"},
    "sink": {"base", "model"},
    "cli": {"base", "target", "model", "runtime", "trace", "rules", "recording", "sink"},
}
# Layers with folders: each runtime has its own, and what they share of malloc and of executables.
FOLDERS = {"runtime": {"allocator", "binary", "c", "cxx", "glib", "go", "python", "redis", "rust"}}
TOP_LEVEL = {
    ".ci", ".clang-format", ".clang-tidy", ".git", ".gitignore", "LICENSE", "Makefile", "README.md",
    "bpf", "build", "deploy", "docs", "tests", "user", "vmlinux", "workloads",
}
ONLY_IN = {  # system headers that one layer alone may include
    "bpf/": {"trace"},
    "sqlite3.h": {"recording"},
    "json-c/": {"sink", "cli"},
    "protobuf-c/": {"sink"},
    "getopt.h": {"cli"},
}
GENERATED = {  # below build/gen: the layer that includes it
    ".skel.h": ("trace", "the skeleton"),
    "schema.sql.h": ("recording", "the schema"),
    "profile.pb-c.h": ("sink", "the profile"),
}
LICENCE = {
    "user": "SPDX-License-Identifier: BSD-2-Clause",
    "tests": "SPDX-License-Identifier: BSD-2-Clause",
    "bpf": "SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause",
}
# Out of memory ends the program and says so, and with -v libbpf's own log goes to stderr: the places
# below cli/ that may write there.
MAY_PRINT = {"user/base/mem.c", "user/trace/bpf.c"}

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.M)
PRINTS = re.compile(r"\b((printf|vprintf|puts|putchar|perror|psignal)(?=\s*\()|(stdout|stderr)\b)")
OPTIONS = re.compile(r"\b(getopt\w*|optarg|optind)\b")
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX)\b")
OUTSIDE = re.compile(r"(?<![\w}.%\])])/(work|root|home)/|\.\./shared\b")


def files_of(root):
    for folder, folders, names in os.walk(root):
        relative = os.path.relpath(folder, root)
        if relative == ".":
            folders[:] = [f for f in folders if f not in (".git", "build")]
        folders[:] = sorted(f for f in folders if f != "__pycache__")
        for name in sorted(names):
            yield os.path.normpath(os.path.join(relative, name))


def blank(match):
    return re.sub(r"[^\n]", " ", match.group(0))


def without_comments(text):
    """Comments and strings become blanks; lines keep their numbers."""
    pattern = r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\''
    return re.sub(pattern, blank, text, flags=re.S)


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


def generated_by(name):
    return next((owner for suffix, owner in GENERATED.items() if name.endswith(suffix)), None)


def check_includes(path, text):
    parts = path.split("/")
    layer = parts[1] if parts[0] == "user" else None
    for match in INCLUDE.finditer(text):
        where = f"{path}:{line_of(text, match.start(2))}"
        quoted, name = match.group(1) == '"', match.group(2)
        if layer is None:
            continue
        if quoted and "/" in name:
            other = name.split("/")[0]
            if other not in LAYERS:
                yield f"{where}: includes \"{name}\", which is in no layer"
            elif other != layer and other not in LAYERS[layer]:
                yield f"{where}: {layer}/ must not include {other}/"
        elif quoted and (generated := generated_by(name)):
            if generated[0] != layer:
                yield f"{where}: only {generated[0]}/ includes {generated[1]}"
        elif quoted and name != "memtrace.h":
            yield f"{where}: includes \"{name}\" without its layer"
        for prefix, layers in ONLY_IN.items():
            if not quoted and name.startswith(prefix) and layer not in layers:
                yield f"{where}: <{name}> belongs to {' and '.join(sorted(layers))}/"


def check_words(path, text):
    parts = path.split("/")
    if parts[0] == "user" and parts[1] != "cli":
        code = without_comments(text)
        for match in PRINTS.finditer(code):
            if path not in MAY_PRINT:
                yield f"{path}:{line_of(code, match.start())}: {match.group(0)} below cli/"
        for match in OPTIONS.finditer(code):
            yield f"{path}:{line_of(code, match.start())}: reads options below cli/"
    for match in UNFINISHED.finditer(text):
        yield f"{path}:{line_of(text, match.start())}: {match.group(0)}"


def check_c_file(path, text):
    parts = path.split("/")
    if parts[0] in LICENCE and LICENCE[parts[0]] not in text[:200]:
        yield f"{path}:1: no line '{LICENCE[parts[0]]}'"
    if parts[0] == "user" and (parts[1] not in LAYERS or len(parts) > 4 or
                               (len(parts) == 4 and parts[2] not in FOLDERS.get(parts[1], ()))):
        yield f"{path}:1: no such layer"
        return
    yield from check_includes(path, text)
    yield from check_words(path, text)


def check_outside(path, text):
    for match in OUTSIDE.finditer(text):
        where = f"{path}:{line_of(text, match.start())}"
        yield f"{where}: names a path outside the tree: {match.group(0)}"


def check_tree(root):
    for name in sorted(os.listdir(root)):
        if name not in TOP_LEVEL:
            yield f"{name}: not allowed at the top level"
    for path in files_of(root):
        full = os.path.join(root, path)
        if os.path.islink(full) or not os.path.isfile(full):
            continue
        with open(full, "rb") as file:
            text = file.read().decode("utf-8", "replace")
        if path != "tests/lint/layers.py":
            yield from check_outside(path, text)
        if path.endswith((".c", ".h")):
            yield from check_c_file(path, text)


GOOD = "/* SPDX-License-Identifier: BSD-2-Clause */\n"
PLANTED = [
    ("user/base/a.c", GOOD + '#include "target/mem.h"\n', "base/ must not include target/"),
    ("user/rules/a.c", GOOD + '#include "runtime/runtime.h"\n', "rules/ must not include runtime/"),
    ("user/sink/a.h", GOOD + '#include "rules/rules.h"\n', "sink/ must not include rules/"),
    ("user/model/a.c", GOOD + '# include "sink/sink.h"\n', "model/ must not include sink/"),
    ("user/trace/a.c", GOOD + '#include "cli/cli.h"\n', "trace/ must not include cli/"),
    ("user/runtime/a.c", GOOD + "#include <bpf/libbpf.h>\n", "belongs to trace/"),
    ("user/runtime/b.c", GOOD + '#include "memtrace.skel.h"\n', "only trace/ includes the skeleton"),
    ("user/sink/c.c", GOOD + '#include "schema.sql.h"\n', "only recording/ includes the schema"),
    ("user/target/a.c", GOOD + '#include "mem.h"\n', "without its layer"),
    ("user/sink/b.c", GOOD + "int f(void)\n{\n\tprintf (x);\n}\n", "b.c:4: printf below cli/"),
    ("user/trace/b.c", GOOD + "int f(void)\n{\n\tfputs(x, stderr);\n}\n", "stderr below cli/"),
    ("user/base/b.c", GOOD + "int i = optind;\n", "reads options below cli/"),
    ("user/extra/a.c", GOOD, "no such layer"),
    ("user/runtime/extra/a.c", GOOD, "no such layer"),
    ("user/runtime/go/a.c", GOOD + '#include "trace/reader.h"\n', "runtime/ must not include trace/"),
    ("user/base/c.c", "int i;\n", "no line 'SPDX"),
    ("bpf/a.bpf.c", GOOD, "no line 'SPDX"),
    ("user/base/d.c", GOOD + "/* TO" + "DO: later */\n", "TO" + "DO"),
    ("tests/live/a.sh", "cat /wo" + "rk/x\n", "outside the tree"),
    ("docs/b.txt", "see ../sha" + "red/x\n", "outside the tree"),
    ("notes.txt", "", "not allowed at the top level"),
]
INNOCENT = [
    ("user/cli/main.c", GOOD + '#include "trace/session.h"\nint f(void)\n{\n\tprintf("x");\n}\n'),
    ("user/sink/ok.c", GOOD + '#include "model/model.h"\n/* not to stdout, no printf() */\n'
     'const char *s = "stderr";\nint f(void)\n{\n\tsnprintf(b, 1, s);\n\tfprintf(out, s);\n}\n'),
    ("user/trace/ok.c", GOOD + '#include <bpf/libbpf.h>\n#include "memtrace.skel.h"\n'
     '#include "memtrace.h"\n'),
    ("user/sink/page.h", GOOD + "void f(const char *, ...) __attribute__((format(printf, 1, 2)));\n"),
    ("user/runtime/go/ok.c", GOOD + '#include "runtime/binary/elf_file.h"\n'),
    ("user/base/mem.c", GOOD + "int f(void)\n{\n\tfputs(x, stderr);\n}\n"),
    ("bpf/ok.bpf.c", "/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */\n#include <bpf/x.h>\n"),
    ("user/target/ok.c", GOOD + 'const char *s = "/proc/%d/root/x";\n'),
]


def plant(root, path, text):
    full = os.path.join(root, path)
    os.makedirs(os.path.dirname(full), exist_ok=True)
    with open(full, "w", encoding="utf-8") as file:
        file.write(text)


def self_test():
    failures = 0
    for path, text, expected in PLANTED:
        with tempfile.TemporaryDirectory() as root:
            plant(root, path, text)
            found = list(check_tree(root))
        if len(found) != 1 or expected not in found[0]:
            print(f"self-test: {path}: wanted one problem '{expected}', got {found}")
            failures += 1
    with tempfile.TemporaryDirectory() as root:
        for path, text in INNOCENT:
            plant(root, path, text)
        for problem in check_tree(root):
            print(f"self-test: wrongly reported: {problem}")
            failures += 1
    return failures


def main():
    if sys.argv[1:] == ["--self-test"]:
        return 1 if self_test() else 0
    here = os.path.dirname(os.path.abspath(__file__))
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.join(here, "..", "..")
    problems = list(check_tree(root))
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
