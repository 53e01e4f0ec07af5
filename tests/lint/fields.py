#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""What an event holds, a recording must hold: each field of each struct event_* of user/model/event.h
and of what else fills the model is a column in user/recording/columns.c. And whatever fills the model
tells its observer: each function of that part of user/model/model.h calls model_tell().

  fields.py [ROOT]       one line a field without a column, exit 1 where there is any
  fields.py --self-test  takes columns away and checks that it is noticed
"""
import os
import re
import sys

# Structs of user/model/model.h that are recorded as a whole, by the prefix of their columns
NOTES = {
    "model_target_info": r"INFO\(\w+, {}\)",
    "model_census": r"CENSUS\({}\)",
    "model_unwound": r"UNWOUND\({}\)",
    "model_source": r"model_source, {}\b",
    "model_overhead": r"model_overhead, {}\b",
    "model_skip": r"model_skip, {}\b",
}


def without_comments(text):
    return re.sub(r"/\*.*?\*/", "", text, flags=re.S)


def fields_of(body):
    """Names declared in a struct without inner structs: "uint64_t a, *b, c[N];" gives a, b, c."""
    for declaration in body.split(";"):
        words = declaration.strip()
        if not words:
            continue
        first, *rest = words.split(",")
        yield re.sub(r"\[.*", "", first.split()[-1]).lstrip("*")
        for word in rest:
            yield re.sub(r"\[.*", "", word.strip()).lstrip("*")


def structs_of(text):
    return {match.group(1): match.group(2)
            for match in re.finditer(r"^struct (\w+) \{\n(.*?)^\};", without_comments(text), re.S | re.M)}


def missing(events, model, columns):
    for name, body in structs_of(events).items():
        if not name.startswith("event_"):
            continue
        kind = name.removeprefix("event_")
        for field in fields_of(body):
            if not re.search(rf"\({kind}, {field}\b|\b{kind}\.{field}\b", columns):
                yield f"{name}.{field} is in no table of user/recording/columns.c"
    structs = structs_of(model)
    for name, pattern in NOTES.items():
        for field in fields_of(structs[name]):
            if not re.search(pattern.format(field), columns):
                yield f"{name}.{field} is in no table of user/recording/columns.c"


# Fill nothing, or by a call of something that does tell, or with what only several recordings have together
SILENT = {"model_string", "model_find_string", "model_runtime_name", "model_add_other_site", "model_add_host",
          "model_set_target_host"}


def untold(model, sources):
    filling = without_comments(model.split("/* ---- filling ---- */")[1].split("/* ---- reading ---- */")[0])
    for name in re.findall(r"\b(model_\w+)\(", filling):
        body = re.search(rf"^[\w* ]*\b{name}\([^;{{]*\)\n\{{\n(.*?)^\}}", sources, re.S | re.M)
        if name not in SILENT and (not body or "model_tell(" not in body.group(1)):
            yield f"{name}() fills the model and does not tell its observer"


def read(root, path):
    with open(os.path.join(root, path), encoding="utf-8") as file:
        return file.read()


def self_test(texts, sources):
    failures = 0
    for gone in ("FIELD(growth, length)", "FIELD_SITE(waiters, site)", "goroutines.counts[wait]", "CENSUS(maps)",
                 "INFO(COLUMN_TEXT, comm)"):
        events, model, columns = texts
        if gone not in columns:
            print(f"self-test: {gone} is not there to be taken away")
            failures += 1
        if len(list(missing(events, model, columns.replace(gone, "")))) != 1:
            print(f"self-test: nobody misses {gone}")
            failures += 1
    if len(list(untold(texts[1], sources.replace("model_tell(model, host", "no(")))) != 1:
        print("self-test: nobody misses what model_set_host() tells")
        failures += 1
    return failures


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    root = sys.argv[1] if len(sys.argv) > 1 and sys.argv[1] != "--self-test" else os.path.join(here, "..", "..")
    texts = [re.sub(r"\s+", " ", read(root, path)) if path.endswith(".c") else read(root, path)
             for path in ("user/model/event.h", "user/model/model.h", "user/recording/columns.c")]
    folder = os.path.join(root, "user/model")
    sources = "\n".join(read(folder, name) for name in sorted(os.listdir(folder)) if name.endswith(".c"))
    if sys.argv[1:] == ["--self-test"]:
        return 1 if self_test(texts, sources) else 0
    problems = list(missing(*texts)) + list(untold(texts[1], sources))
    print("\n".join(problems), end="\n" if problems else "")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
