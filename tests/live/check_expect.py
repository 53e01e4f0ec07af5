#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Compares a JSON report with what a workload said about itself.

    check_expect.py EXPECT SOURCE VARIANT REPORT [TRUTH-LINE]

Prints one TAP line for each statement of EXPECT ("ok - ..." or "not ok - ...", unnumbered; the driver
numbers them) and for what must hold of every report: nothing lost, complete. Exits 1 if one failed.

A statement is one line; words as in a shell, '#' begins a comment:

    [CONDITION] VERB [KIND] KEY=VALUE ...

    mark NAME TEXT           from here on @NAME is the line of SOURCE that contains TEXT; without a
                             mark @NAME is the line that ends in the comment "// NAME"
    run KEY=VALUE ...        for the driver, see scenario.sh
    finding KIND ...         at least one finding of that kind for which all conditions hold
    candidate KIND ...       the same among the candidates
    no-finding [KIND] ...    none
    no-finding-above SEVERITY
    site, container, target, spike, cause, skipped, allocation, array ...  at least one such object; what made RSS
                             rise is summed up over all spikes, arrays are the large_arrays of all targets
    no-site, no-container ... none
    events, overhead, host, report ...    that one object ("report" is the whole)

CONDITION: classic, swiss, go>=1.22, go<1.22, symbols, stripped, several separated by commas; of a variant that
is not Go's: lines, stripped, and each of its words (O2, static), with ! before it for "not". A KEY is a field of the object, of its
evidence, of its site, or a dotted path; "_bytes" may be left out. place=FUNCTION@NAME stands for function,
file and line together. Operators: = != < <= > >= and ~N%= (within N percent). A VALUE is a word (for = also several, A|B), null,
@NAME, or sums and products of numbers and $KEY of the TRUTH line.
"""
import ast
import json
import os
import re
import shlex
import sys

SEVERITIES = ["INFO", "LOW", "MEDIUM", "HIGH", "CRITICAL"]
LISTS = {"finding": "findings", "candidate": "candidates", "site": "sites", "container": "containers",
         "target": "targets", "spike": "spikes", "skipped": "skipped",
         "allocation": "allocations", "cause": "causes", "array": "arrays"}
SINGLES = ["events", "overhead", "host", "report"]
TERM = re.compile(r"([\w.-]+?)(~[\d.]+%=|!=|<=|>=|=|<|>)(.*)", re.S)


class Mistake(Exception):
    """EXPECT itself is wrong, or it asks for a truth that was not told."""


class Source:
    """Lines of the workload that statements may refer to."""

    def __init__(self, path):
        self.name = os.path.basename(path)
        with open(path, encoding="utf-8") as file:
            self.lines = file.read().splitlines()
        self.marks = {}

    def mark(self, name, text):
        hits = [number for number, line in enumerate(self.lines, 1) if text in line]
        if len(hits) != 1:
            raise Mistake(f"{len(hits)} lines of {self.name} contain '{text}', not one")
        self.marks[name] = hits[0]

    def line(self, name):
        if name not in self.marks:
            self.mark(name, f"// {name}")
        return self.marks[name]


def arithmetic(text, truth):
    """The value of sums and products of numbers and $KEYs."""
    def number(match):
        if match.group(1) not in truth:
            raise Mistake(f"the workload told no '{match.group(1)}'")
        return truth[match.group(1)]

    def value(node):
        if isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
            return node.value
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            return -value(node.operand)
        if isinstance(node, ast.BinOp):
            left, right = value(node.left), value(node.right)
            if isinstance(node.op, ast.Add):
                return left + right
            if isinstance(node.op, ast.Sub):
                return left - right
            if isinstance(node.op, ast.Mult):
                return left * right
            if isinstance(node.op, ast.Div):
                return left / right
        raise Mistake(f"'{text}' is no sum or product")

    return value(ast.parse(re.sub(r"\$(\w+)", number, text), mode="eval").body)


def expected_value(text, truth, source):
    if text.startswith("@"):
        return source.line(text[1:])
    if text == "null":
        return None
    if text in ("true", "false"):
        return text == "true"
    if "$" in text or re.fullmatch(r"-?[\d.]+([*+/-][\d.]+)*", text):
        return arithmetic(text, truth)
    return text


class Reader:
    """Looks keys up in an object of the report."""

    def __init__(self, report):
        self.sites = {site.get("id"): site for site in report.get("sites", [])}

    def get(self, thing, key):
        """(found, value): the field itself, of the evidence, of the site, or along the dots."""
        if not isinstance(thing, dict):
            return False, None
        for name in (key, key + "_bytes"):
            if name in thing:
                return True, thing[name]
            if name in (thing.get("evidence") or {}):
                return True, thing["evidence"][name]
        if key in ("function", "file", "line", "stack") and thing.get("site") in self.sites:
            return True, self.sites[thing["site"]].get(key)
        if "." in key:
            first, rest = key.split(".", 1)
            return self.get(thing.get(first), rest)
        return False, None


def compare(key, operator, actual, wanted):
    if key == "severity" and operator not in ("=", "!="):
        actual, wanted = SEVERITIES.index(actual), SEVERITIES.index(wanted)
    if key == "file" and isinstance(actual, str):
        actual = os.path.basename(actual)
    if operator == "=":
        return actual in wanted.split("|") if isinstance(wanted, str) else actual == wanted
    if operator == "!=":
        return actual != wanted
    if isinstance(actual, bool) or not isinstance(actual, (int, float)):
        return False
    if operator.startswith("~"):
        return abs(actual - wanted) <= abs(wanted) * float(operator[1:-2]) / 100
    return {"<": actual < wanted, "<=": actual <= wanted, ">": actual > wanted, ">=": actual >= wanted}[operator]


class Check:
    def __init__(self, report, truth, source, version):
        self.report, self.truth, self.source, self.version = report, truth, source, version
        self.reader = Reader(report)
        self.failed = 0

    def tap(self, good, name, notes=()):
        print(("ok" if good else "not ok") + " - " + name.replace("#", "\\#"))
        for note in notes if not good else ():
            print("# " + note)
        self.failed += not good

    def terms(self, words):
        """[(key, operator, wanted)] of the words of a statement."""
        result = []
        for word in words:
            match = TERM.fullmatch(word)
            if not match:
                raise Mistake(f"'{word}' is no condition")
            key, operator, text = match.groups()
            if key == "place":
                function, _, mark = text.partition("@")
                result += [("function", "=", function), ("file", "=", self.source.name),
                           ("line", "=", self.source.line(mark))]
            else:
                result.append((key, operator, expected_value(text, self.truth, self.source)))
        return result

    def misses(self, thing, terms):
        """What does not hold of a thing, in words."""
        notes = []
        for key, operator, wanted in terms:
            found, actual = self.reader.get(thing, key)
            if not found and wanted is not None:
                notes.append(f"{key} is absent, wanted {operator} {wanted}")
            elif not compare(key, operator, actual, wanted):
                notes.append(f"{key} is {actual}, wanted {operator} {wanted}")
        return notes

    def candidates_of(self, verb, words):
        """The objects a statement speaks of, and the rest of its words."""
        things = self.report.get(LISTS[verb]) or []
        if verb in ("finding", "candidate") and words and not TERM.fullmatch(words[0]):
            return [thing for thing in things if thing.get("kind") == words[0]], words[1:]
        return things, words

    def some(self, name, verb, words):
        things, words = self.candidates_of(verb, words)
        terms = self.terms(words)
        misses = [self.misses(thing, terms) for thing in things]
        good = any(not miss for miss in misses)
        notes = [f"there are {len(things)} to choose from"]
        if misses:
            notes += ["the nearest: " + note for note in min(misses, key=len)]
        self.tap(good, name, notes)

    def none(self, name, verb, words):
        things, words = self.candidates_of(verb, words)
        terms = self.terms(words)
        hits = [thing for thing in things if not self.misses(thing, terms)]
        self.tap(not hits, name, ["but there is " + json.dumps(hit)[:600] for hit in hits])

    def none_above(self, name, severity):
        bar = SEVERITIES.index(severity)
        hits = [f for f in self.report.get("findings") or [] if SEVERITIES.index(f["severity"]) > bar]
        self.tap(not hits, name, ["but there is " + json.dumps(hit)[:600] for hit in hits])

    def single(self, name, verb, words):
        thing = self.report if verb == "report" else self.report.get(verb) or {}
        notes = self.misses(thing, self.terms(words))
        self.tap(not notes, name, notes)

    def applies(self, condition):
        version, _, mode = self.version.partition("-")
        if not version[:1].isdigit():
            return self.applies_native(condition, mode.split("-"))
        minor = int(version.split(".")[1])
        for word in condition.split(","):
            bound = re.fullmatch(r"go(>=|<)1\.(\d+)", word)
            if word in ("classic", "swiss"):
                holds = (minor >= 24) == (word == "swiss")
            elif word in ("symbols", "stripped"):
                holds = (mode == "stripped") == (word == "stripped")
            elif bound:
                holds = (minor >= int(bound.group(2))) == (bound.group(1) == ">=")
            else:
                raise Mistake(f"'{word}' is no condition that a statement can have")
            if not holds:
                return False
        return True

    @staticmethod
    def applies_native(condition, words):
        for word in condition.split(","):
            if word == "lines":
                holds = "stripped" not in words and "nodebug" not in words
            else:
                holds = (word.lstrip("!") in words) != word.startswith("!")
            if not holds:
                return False
        return True

    def statement(self, line):
        words = shlex.split(line, comments=True)
        if words and words[0].startswith("["):
            if not self.applies(words[0].strip("[]")):
                return
            words = words[1:]
        if not words or words[0] == "run":
            return
        verb, rest = words[0], words[1:]
        name = " ".join(words)
        if verb == "mark":
            self.source.mark(rest[0], " ".join(rest[1:]))
        elif verb == "no-finding-above":
            self.none_above(name, rest[0])
        elif verb in LISTS:
            self.some(name, verb, rest)
        elif verb.startswith("no-") and verb[3:] in LISTS:
            self.none(name, verb[3:], rest)
        elif verb in SINGLES:
            self.single(name, verb, rest)
        else:
            raise Mistake(f"'{verb}' is no verb")

    def always(self):
        """What must hold of every report."""
        events = self.report.get("events") or {}
        targets = self.report.get("targets") or [{}]
        self.tap(self.report.get("schema_version") == 1, "schema_version 1")
        first = self.version.partition("-")[0]
        runtime = "go" if first[:1].isdigit() else first
        names = [known.get("name") for known in targets[0].get("runtimes") or []]
        self.tap(runtime in names or runtime == "c", f"the target is known as {runtime}", [json.dumps(targets[0])[:300]])
        self.tap(events.get("produced") == events.get("delivered", 0) + events.get("lost", 0)
                 and events.get("lost") == 0, "every event was delivered, none lost", [json.dumps(events)])
        # What has ended could not be measured at its end, only on its way there
        rest = [(t["waterfall"]["unexplained"], t["rss_bytes"]) for t in targets if t.get("waterfall") and not t.get("exit")]
        # What still runs moves while it is measured; BUSY is set where only the test knows that it does
        runs = os.environ.get("BUSY") or any("runUntilStop()" in line for line in self.source.lines)
        self.tap(runs or all(abs(part) <= rss / 50 for part, rss in rest),
                 "at most 2 % of RSS is not explained", [json.dumps(rest)])
        self.tap(self.report.get("complete") is True, "complete",
                 [json.dumps(self.report.get("incomplete", self.report.get("skipped")))])


def sum_causes(report):
    """The causes of all spikes, those of one place and kind as one."""
    causes = {}
    for spike in report.get("spikes") or []:
        for cause in spike["causes"]:
            key = (cause["what"], cause["site"])
            bytes_before = causes[key]["bytes"] if key in causes else 0
            causes[key] = {**cause, "bytes": bytes_before + cause["bytes"]}
            del causes[key]["file"]  # that was mapped: "file" is here where the code is
    return list(causes.values())


def read_truth(line):
    truth = {}
    for word in line.split()[1:]:
        key, _, value = word.partition("=")
        truth[key] = {"true": "1", "false": "0"}.get(value, value)
    return truth


def main(argv):
    if len(argv) not in (5, 6):
        print(__doc__, file=sys.stderr)
        return 2
    expect, source, version, report = argv[1:5]
    try:
        with open(report, encoding="utf-8") as file:
            data = json.load(file)
    except (OSError, ValueError) as error:
        print(f"not ok - a JSON report\n# {error}")
        return 1
    data["causes"] = sum_causes(data)
    data["arrays"] = [array for target in data.get("targets", []) for array in target.get("large_arrays", [])]
    check = Check(data, read_truth(argv[5] if len(argv) > 5 else "TRUTH"), Source(source), version)
    check.always()
    with open(expect, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            try:
                check.statement(line)
            except (Mistake, ValueError, IndexError, KeyError, SyntaxError, TypeError) as error:
                check.tap(False, f"{os.path.basename(expect)}:{number}", [f"{line.strip()}: {error}"])
    return 1 if check.failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
