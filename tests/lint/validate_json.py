#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Checks reports against tests/schema.json.

  validate_json.py SCHEMA REPORT.json...               one line a problem, exit 1 where there is any
  validate_json.py --jsonl SCHEMA REPORT.jsonl [REPORT.json]
                                                       each line; with REPORT.json also that both say
                                                       the same
  validate_json.py --self-test SCHEMA                  the schema is sound, strict, describes every
                                                       key, and rejects broken reports

Beyond the schema: references between lists lead somewhere, sums are sums, integers survive.
"""

import copy
import json
import os
import re
import sys

SYSTEM_PYTHON = "/usr/bin/python3"

try:
    import jsonschema
except ImportError:
    # A python3 that is first in the path need not be the one that the distribution's packages are for
    if os.path.realpath(sys.executable) != os.path.realpath(SYSTEM_PYTHON) and os.path.exists(SYSTEM_PYTHON):
        os.execv(SYSTEM_PYTHON, [SYSTEM_PYTHON, *sys.argv])
    sys.exit("python3-jsonschema is not installed: apt-get install python3-jsonschema")

LISTS = {
    "target": "targets", "cgroup": "cgroups", "site": "sites", "container": "containers", "finding": "findings",
    "candidate": "candidates", "spike": "spikes", "allocation": "allocations", "skipped": "skipped",
}


def no_constant(name):
    raise ValueError(f"{name} is no JSON")


def no_duplicates(pairs):
    keys = [key for key, _ in pairs]
    if len(keys) != len(set(keys)):
        raise ValueError(f"a key comes twice: {sorted(keys)}")
    return dict(pairs)


def parse(text):
    return json.loads(text, parse_constant=no_constant, object_pairs_hook=no_duplicates)


def read(path):
    with open(path, "rb") as file:
        return file.read().decode("utf-8")  # strict: invalid UTF-8 is a problem


def load_schema(path):
    schema = parse(read(path))
    jsonschema.Draft202012Validator.check_schema(schema)
    return schema


def line_schema(schema):
    return {"$schema": schema["$schema"], "$defs": schema["$defs"], "$ref": "#/$defs/line"}


def schema_problems(schema, document):
    for error in jsonschema.Draft202012Validator(schema).iter_errors(document):
        place = "/".join(str(part) for part in error.absolute_path)
        yield f"{place or '(top)'}: {error.message[:200]}"


def reference_problems(document):
    targets = {t["id"] for t in document["targets"]}
    sites = {s["id"] for s in document["sites"]} | {None}
    containers = {c["id"] for c in document["containers"]}
    for name in ("sites", "containers", "findings", "candidates", "spikes", "allocations"):
        for element in document[name]:
            if element["target"] not in targets:
                yield f"{name}: no target {element['target']}"
            if element.get("site") not in sites:
                yield f"{name}: no site {element['site']}"
            if "container" in element and element["container"] not in containers:
                yield f"{name}: no container {element['container']}"
    for spike in document["spikes"]:
        for cause in spike["causes"]:
            if cause["site"] not in sites:
                yield f"spikes: no site {cause['site']}"


def sum_problems(document):
    for target in document["targets"]:
        parts = target["waterfall"]
        if parts and sum(parts.values()) != target["rss_bytes"]:
            yield f"target {target['id']}: its waterfall sums to {sum(parts.values())}"
    events = document["events"]
    for key in ("produced", "delivered", "lost"):
        total = sum(source[key] for source in events["by_source"].values())
        if total != events[key]:
            yield f"events: {key} is {events[key]}, its sources sum to {total}"
    whole = not document["incomplete"] and not events["lost"] and \
        events["produced"] == events["delivered"]
    if document["complete"] != whole:
        yield f"complete is {document['complete']}"


def document_problems(schema, document):
    problems = list(schema_problems(schema, document))
    return problems or list(reference_problems(document)) + list(sum_problems(document))


def parse_lines(schema, text):
    """The document that the lines of a jsonl report amount to, and the problems of the lines."""
    document = {name: [] for name in LISTS.values()}
    problems = []
    if text and not text.endswith("\n"):
        problems.append("the last line does not end")
    for number, line in enumerate(text.splitlines(), 1):
        element = parse(line)
        problems += [f"line {number}: {p}" for p in schema_problems(line_schema(schema), element)]
        kind = element.get("type")
        if (number == 1) != (kind == "session"):
            problems.append(f"line {number}: the session is the first line, and only there")
        if kind == "session":
            document.update(element["session"])
        elif kind in LISTS and kind in element:
            document[LISTS[kind]].append(element[kind])
    return document, problems


def check_json(schema, path):
    return document_problems(schema, parse(read(path)))


def check_jsonl(schema, path, json_path):
    document, problems = parse_lines(schema, read(path))
    problems += document_problems(schema, document)
    if json_path and document != parse(read(json_path)):
        problems.append(f"says something else than {json_path}")
    return problems


# ---- self-test ----

MINIMAL = {
    "schema_version": 1,
    "tool": {"name": "memtrace", "version": "1"},
    "host": {"name": None, "kernel": None, "cpus": 2, "attach_mode": None},
    "clock": {"mono_ns": 1, "real_ns": 18446744073709551615},
    "duration_s": 1.5, "complete": True, "incomplete": [],
    "cgroups": [{"cgroup": "/a", "pids": [1], "rss_bytes": 1, "usage_bytes": None, "working_set_bytes": None,
                 "working_set_peak_bytes": None, "limit_bytes": None, "high_bytes": None, "oom_kills": None,
                 "pressure": None,
                 "clusters": [{"start_ns": 1, "end_ns": 2, "processes": 2, "delta_bytes": 3}]}],
    "targets": [{
        "id": 0, "pid": 1, "start_time": 1, "comm": "a", "exe": None, "build_id": None,
        "runtimes": [{"name": "go", "version": None}], "cgroup": None, "rss_bytes": 10,
        "rss_peak_bytes": None, "limit_bytes": None, "exit": {"status": None, "signal": 9, "oom": False},
        "execs": 0, "growths": 0, "faults": 0, "faults_open_share": 0.5,
        "containers_seen": {"map": 1, "slice": 0, "channel": 0, "buffer": 0, "vector": 0, "sync.Map": 0, "dropped": 0},
        "waterfall": {"kept_by_findings": 4, "entries_in_use": 0, "native_heap": 0, "allocator_retained": 0, "other_anonymous": 0,
                      "shared": 0, "other_live_heap": 0, "garbage": 0, "free_heap": 8,
                      "stacks": 0, "files": 0, "runtime": 0, "unexplained": -2},
        "gc": None, "heap": None, "census": None,
    }],
    "sites": [{
        "id": 1, "target": 0, "pid": 1, "runtime": "go", "family": "map", "type": "map[int]int",
        "function": "main.f", "file": "/a.go", "line": 3,
        "stack": [{"function": "main.f", "file": "/a.go", "line": 3, "internal": False,
                   "inlined": False}],
        "growths": 1, "same_size": 0, "containers": 1, "allocated_bytes": 1, "garbage_bytes": 1,
        "uncollected_bytes": None, "held_bytes": 1, "faults": 0, "fault_bytes": 0, "open_share": 0.5,
    }],
    "containers": [{
        "id": 0, "target": 0, "pid": 1, "site": 1, "address": "0xc000000000", "runtime": "go",
        "family": "map", "type": "map[int]int", "owner": None, "length": 1, "length_peak": 1,
        "capacity": 8, "held_bytes": 1, "retained_bytes": 0, "resident_bytes": None, "scannable_bytes": 1,
        "tombstones": 0, "growths": 1, "before_attach": False, "alive": "proven",
    }],
    "findings": [{
        "id": "0123456789abcdef", "kind": "retained-buckets", "class": "held", "severity": "HIGH",
        "confidence": "exact", "target": 0, "pid": 1, "pids": [1], "comm": "a", "runtime": "go",
        "family": "map", "type": "map[int]int", "owner": None, "function": "main.f",
        "file": "/a.go", "line": 3, "site": 1, "container": 0, "bytes": 1, "saves_bytes": 1,
        "saves_rss_bytes": 1, "message": "m", "since": "", "in_code": "c", "right_now": "r",
        "evidence": {
            "length": 1, "length_peak": 2, "slots": 8, "load_pct": 12.5, "slots_per_entry": None, "held_bytes": 1,
            "resident_bytes": None, "need_bytes": 0, "retained_bytes": 1, "since_ns": 1,
            "gc_cycles": 2, "looks": 3, "seen_once": 0,
        },
    }],
    "candidates": [],
    "spikes": [{
        "target": 0, "pid": 1, "start_ns": 1, "end_ns": 2, "delta_bytes": 3, "explained_bytes": 1,
        "returned_bytes": 0, "sampled_bytes": 1, "estimated": False, "avoidable_bytes": 0, "start_up": False,
        "causes": [{"what": "w", "site": 1, "family": None, "bytes": 1, "mapping": None,
                    "file": None, "mapped_site": None}],
    }],
    "allocations": [{
        "target": 0, "pid": 1, "function": "main.f", "file": "/f.go", "line": 2, "in_use_bytes": 8,
        "in_use_objects": 1, "recent_bytes": 0, "recent_objects": 0, "allocated_bytes": 16,
        "allocated_objects": 2, "stack": [],
    }],
    "events": {"produced": 2, "delivered": 2, "lost": 0,
               "by_source": {"map": {"hits": 2, "produced": 2, "delivered": 2, "lost": 0}}},
    "skipped": [{"what": "w", "reason": "r"}],
    "overhead": {"probe_hits": 2, "ns_per_hit": None, "probe_cpu_s": 0, "target_cpu_s": 1,
                 "target_pct": None, "budget_pct": 1, "tracer_cpu_s": 0, "tracer_rss_bytes": None,
                 "parser_rss_bytes": None, "attach_ns": 0, "detach_ns": 0},
}

# Path into MINIMAL, and a value that must not be there.
BROKEN = [
    (["schema_version"], 2), (["schema_version"], "1"), (["complete"], 1), (["complete"], False),
    (["incomplete"], ["a"]), (["incomplete"], ["a\nb"]), (["duration_s"], -1),
    (["tool", "name"], "x"), (["clock", "mono_ns"], 1.5), (["clock", "real_ns"], 2 ** 64),
    (["targets", 0, "id"], 7), (["targets", 0, "pid"], None), (["targets", 0, "comm"], ""),
    (["targets", 0, "rss_bytes"], "10"), (["targets", 0, "rss_bytes"], 11),
    (["targets", 0, "exit", "signal"], 0), (["targets", 0, "waterfall", "files"], -1),
    (["sites", 0, "open_share"], 1.01), (["sites", 0, "family"], "rope"),
    (["sites", 0, "line"], 4294967296), (["sites", 0, "target"], 1),
    (["containers", 0, "address"], 824633720832), (["containers", 0, "address"], "c000"),
    (["containers", 0, "alive"], "maybe"), (["containers", 0, "site"], 9),
    (["containers", 0, "held_bytes"], -1), (["findings", 0, "id"], 81985529216486895),
    (["findings", 0, "kind"], "leak"), (["findings", 0, "kind"], "over-hint"), (["findings", 0, "severity"], "high"),
    (["findings", 0, "confidence"], "EXACT"), (["findings", 0, "pids"], []),
    (["findings", 0, "container"], 3), (["findings", 0, "evidence", "length"], "1"),
    (["findings", 0, "evidence", "slotz"], 1), (["findings", 0, "message"], "a\x1b[0m"),
    (["allocations", 0, "in_use_bytes"], -1), (["allocations", 0, "target"], 1),
    (["spikes", 0, "causes", 0, "site"], 4), (["events", "produced"], 3),
    (["events", "by_source", "map", "lost"], 1), (["skipped", 0, "reason"], "a\x7fb"),
    (["overhead", "ns_per_hit"], "600"), (["overhead", "probe_cpu_s"], None),
]
BROKEN_TEXT = ['{"a": NaN}', '{"a": 1, "a": 2}', '{"a": 1,}', '{"a": Infinity}', '["\n"]', ""]


def broken_document(path, value):
    document = copy.deepcopy(MINIMAL)
    holder = document
    for part in path[:-1]:
        holder = holder[part]
    holder[path[-1]] = value
    return document


def objects_of(node, place=""):
    if isinstance(node, dict):
        yield place, node
        for key, child in node.items():
            yield from objects_of(child, f"{place}/{key}")
    elif isinstance(node, list):
        for i, child in enumerate(node):
            yield from objects_of(child, f"{place}/{i}")


def resolved_has_description(schema, value):
    if "description" in value or "const" in value:
        return True
    name = value.get("$ref", "").rsplit("/", 1)[-1]
    return "description" in schema["$defs"].get(name, {})


def strictness_problems(schema):
    for place, node in objects_of(schema):
        if not isinstance(node.get("properties"), dict) or re.search("/(if|then)$", place):
            continue
        if node.get("additionalProperties") is not False:
            yield f"{place}: additionalProperties is not false"
        for key in node.get("required", []):
            if key not in node["properties"]:
                yield f"{place}: requires '{key}', which it does not have"
        for key, value in node["properties"].items():
            if not resolved_has_description(schema, value):
                yield f"{place}/properties/{key}: no description"


def missing_key_problems(schema):
    """Leaving out any key of the report must be noticed, but for those that may be absent."""
    optional = {"exit", "owner", "container", "length_at_growth", "tombstones", "other", "by_source",
                "bytes_per_second", "limit_ns"}
    for place, node in objects_of(MINIMAL):
        path = [int(part) if part.isdigit() else part for part in place.split("/")[1:]]
        for key in node:
            if key in optional or path[-1:] == ["by_source"]:
                continue
            document = copy.deepcopy(MINIMAL)
            holder = document
            for part in path:
                holder = holder[part]
            del holder[key]
            if not document_problems(schema, document):
                yield f"{place}/{key} may be left out"
            document = copy.deepcopy(MINIMAL)
            holder = document
            for part in path:
                holder = holder[part]
            holder["surprise"] = 1
            if not document_problems(schema, document):
                yield f"{place} may hold unknown keys"


def self_test(schema):
    yield from strictness_problems(schema)
    yield from (f"the minimal report: {p}" for p in document_problems(schema, MINIMAL))
    for path, value in BROKEN:
        if not document_problems(schema, broken_document(path, value)):
            yield f"accepts {value!r} at {'/'.join(map(str, path))}"
    yield from missing_key_problems(schema)
    for text in BROKEN_TEXT:
        try:
            parse(text)
            yield f"accepts {text!r}"
        except ValueError:
            pass
    session = {k: v for k, v in MINIMAL.items() if k not in LISTS.values()}
    lines = [{"type": "session", "session": session}]
    lines += [{"type": kind, kind: e} for kind, name in LISTS.items() for e in MINIMAL[name]]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    document, problems = parse_lines(schema, text)
    if problems or document != MINIMAL:
        yield f"the minimal report as lines: {problems}"
    for broken in ("\n".join(reversed(text.split("\n")[:-1])) + "\n", text[:-1],
                   text + '{"type":"site","target":{}}\n'):
        if not parse_lines(schema, broken)[1]:
            yield "accepts broken lines"


def main():
    arguments = sys.argv[1:]
    mode = arguments.pop(0) if arguments and arguments[0].startswith("--") else ""
    if not arguments:
        sys.exit(__doc__)
    schema = load_schema(arguments.pop(0))
    try:
        if mode == "--self-test":
            problems = list(self_test(schema))
        elif mode == "--jsonl":
            problems = check_jsonl(schema, arguments[0], arguments[1] if arguments[1:] else None)
        else:
            problems = [f"{p}: {e}" for p in arguments for e in check_json(schema, p)]
    except (ValueError, OSError) as error:
        problems = [str(error)]
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
