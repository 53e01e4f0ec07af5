#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Tests the checker itself: each statement must be able to fail."""
import json
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = "package main\n\nfunc fill() {\n\tm[i] = i // SITE\n\tother()\n}\n"
REPORT = {
    "schema_version": 1, "complete": True, "events": {"produced": 5, "delivered": 5, "lost": 0},
    "targets": [{"id": 0, "runtimes": [{"name": "go", "version": "go1.23"}], "gc": {"cycles": 4}}],
    "sites": [{"id": 7, "family": "map", "type": "map[int]int", "function": "main.fill", "file": "/src/prog.go",
               "line": 4, "growths": 18, "open_share": 1.0}],
    "containers": [{"id": 1, "site": 7, "family": "map", "length": 10, "length_at_growth": None, "held_bytes": 1000}],
    "findings": [{"kind": "retained-buckets", "severity": "HIGH", "function": "main.fill", "file": "prog.go", "line": 4,
                  "bytes": 1000, "evidence": {"length": 10, "slots": 64}},
                 {"kind": "resize-storm", "severity": "INFO"}],
    "candidates": [], "overhead": {"target_pct": 0.5},
}
# statement, True where it holds, False where not, None where it says nothing
CASES = [
    ("finding retained-buckets place=main.fill@SITE length=$length", True),
    ("finding retained-buckets place=main.other@SITE", False),
    ("finding retained-buckets severity>=MEDIUM bytes~1%=$held", True),
    ("finding retained-buckets bytes~1%=1020", False),
    ("finding retained-buckets bytes~2%=1020", True),
    ("finding retained-buckets severity<HIGH", False),
    ("finding over-hint", False),
    ("site family=slice|map function=main.other|main.fill", True),
    ("site family=slice|channel", False),
    ("finding resize-storm severity=INFO", True),
    ("no-finding retained-buckets", False),
    ("no-finding retained-buckets severity=LOW", True),
    ("no-finding over-hint", True),
    ("no-finding", False),
    ("no-finding-above INFO", False),
    ("no-finding-above HIGH", True),
    ("no-finding-above LOUD", False),
    ("site family=map type=map[int]int line=@SITE file=prog.go growths=$growths", True),
    ("site family=map growths=$growths+1", False),
    ("site family=map growths=$length*2-2", True),
    ("site family=slice", False),
    ("no-site growths>0", False),
    ("no-site growths>18", True),
    ("container length=10 held=$held place=main.fill@SITE", True),
    ("container length_at_growth=null", True),
    ("container length=null", False),
    ("container owner=main.x", False),
    ("target gc.cycles>=4", True),
    ("target gc.cycles>4", False),
    ("events lost=0", True),
    ("overhead target_pct<=0.4", False),
    ("candidate retained-buckets", False),
    ("site growths=$untold", False),
    ("site line=@NOWHERE", False),
    ("mark OTHER other()\nsite line=@OTHER", False),
    ("site growths", False),
    ("sing", False),
    ("[swiss] no-finding-above INFO", None),
    ("[classic] no-finding-above INFO", False),
    ("[go>=1.22] no-finding", False),
    ("[go<1.22] no-finding", None),
    ("[classic,go<1.22] no-finding", None),
    ("[odd] no-finding", False),
    ("# nothing", None),
    ("run gc=2", None),
]


def run(statement, report, directory):
    for name, text in (("prog.go", SOURCE), ("prog.expect", statement + "\n"), ("report.json", report)):
        with open(os.path.join(directory, name), "w", encoding="utf-8") as file:
            file.write(text)
    paths = [os.path.join(directory, name) for name in ("prog.expect", "prog.go")]
    result = subprocess.run([sys.executable, os.path.join(HERE, "check_expect.py"), *paths, "1.23",
                             os.path.join(directory, "report.json"), "TRUTH growths=18 length=10 held=1000 done=true"],
                            stdout=subprocess.PIPE, text=True, check=False)
    lines = [line for line in result.stdout.splitlines() if not line.startswith("#")]
    return lines, result.returncode


def main():
    cases = [(statement, json.dumps(REPORT), holds) for statement, holds in CASES]
    for change, holds in (({"complete": False}, False), ({"schema_version": 2}, False), ({"targets": []}, False),
                          ({"targets": [{**REPORT["targets"][0], "rss_bytes": 150 << 20,
                                         "waterfall": {"unexplained": -(4 << 20)}}]}, False),
                          ({"events": {"produced": 5, "delivered": 4, "lost": 0}}, False),
                          ({"events": {"produced": 5, "delivered": 4, "lost": 1}}, False)):
        cases.append(("", json.dumps({**REPORT, **change}), holds))
    cases.append(("", "{", False))

    print(f"1..{len(cases)}")
    with tempfile.TemporaryDirectory() as directory:
        for number, (statement, report, holds) in enumerate(cases, 1):
            lines, code = run(statement, report, directory)
            failed = [line for line in lines if line.startswith("not ok")]
            said = len(lines) - 5
            good = (code == 1) == bool(failed) == (holds is False) and (holds is not None or said == 0)
            print("ok" if good else "not ok", number, "-", repr(statement or report[:60]).replace("#", "\\#"))
            if not good:
                print("\n".join("# " + line for line in lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
