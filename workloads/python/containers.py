# SPDX-License-Identifier: BSD-2-Clause
"""A dict that is filled and then nearly emptied, one that stays full, a set and a list: grown by the line each.

Growths are told by sys.getsizeof(), which is exact; those to fewer than 256 slots, or a list below 4 KiB, are not
counted.
"""
import sys

DICT = 64  # bytes of the object itself, with what the collector needs
SET = 216
LIST = 56
ENTRIES = 700000
LEFT = 7000


class Tally:
    def __init__(self, thing, own, floor):
        self.thing, self.own, self.floor = thing, own, floor
        self.size, self.growths = sys.getsizeof(thing), 0

    def count(self):
        size = sys.getsizeof(self.thing)
        if size != self.size:
            self.growths += size - self.own >= self.floor
            self.size = size


def hear():
    return sys.stdin.readline().strip()


emptied, full, members, numbers = {}, {}, set(), []
need = sys.getsizeof(dict(dict.fromkeys(range(LEFT)))) - DICT  # of a copy
tallies = {
    "emptied": Tally(emptied, DICT, 256 * 17),
    "full": Tally(full, DICT, 256 * 17),
    "set": Tally(members, SET, 256 * 16),
    "list": Tally(numbers, LIST, 4096),
}
print("ready", flush=True)
hear()
for i in range(ENTRIES):
    emptied[i] = full[i] = i
    members.add(i)
    numbers.append(i)
    for tally in tallies.values():
        tally.count()
for i in range(LEFT, ENTRIES):
    del emptied[i]
print("TRUTH", *(f"{name}={tally.growths}" for name, tally in tallies.items()),
      f"length={len(emptied)} held={sys.getsizeof(emptied) - DICT} members={len(members)} entries={len(full)}",
      f"set_held={sys.getsizeof(members) - SET} need={need}", flush=True)
while hear() == "gc":
    # A dict that its program writes to is alive
    del emptied[0]
    emptied[0] = 0
    print("ok", flush=True)
