// SPDX-License-Identifier: BSD-2-Clause

// One of each that grows by replacing its array, filled bit by bit; then most of it is removed and all stay in use.
mod truth;

use std::collections::{HashMap, VecDeque};

struct Entry {
    key: u64,
    value: u64,
    stamp: u64,
}

#[derive(Default)]
struct Log {
    values: Vec<u64>,
    entries: Vec<Entry>,
    text: String,
    queue: VecDeque<u64>,
    sessions: HashMap<u64, u64>,
    added: u64,
}

impl Log {
    #[inline(never)]
    fn add_value(&mut self, value: u64) {
        self.values.push(value); // VALUES
    }

    #[inline(never)]
    fn add_entry(&mut self, key: u64) {
        self.entries.push(Entry { key, value: key, stamp: key }); // ENTRIES
    }

    #[inline(never)]
    fn add_text(&mut self, text: &str) {
        self.text.push_str(text); // TEXT
    }

    #[inline(never)]
    fn add_job(&mut self, job: u64) {
        self.queue.push_back(job); // QUEUE
    }

    #[inline(never)]
    fn add_session(&mut self, key: u64) {
        let before = self.sessions.insert(key, key); // SESSIONS
        self.added += before.is_none() as u64; // no tail call: its caller would be all there is to see
    }
}

// What filling one of them did, by its capacity: growths, bytes of new and of replaced arrays.
#[derive(Default)]
struct Tally {
    growths: u64,
    allocated: u64,
    garbage: u64,
}

impl Tally {
    fn grew(&mut self, before: usize, after: usize, element: usize) {
        if before == after || before == 0 {
            return;
        }
        self.growths += 1;
        self.garbage += (before * element) as u64;
        self.allocated += (after * element) as u64;
    }
}

// Bytes of the table of a map with so much room: buckets of 16 bytes, a control byte each and 16 of them twice.
fn table_bytes(room: usize) -> u64 {
    let buckets = match room {
        0 => return 0,
        3 => 4,
        7 => 8,
        _ => room / 7 * 8,
    };
    (buckets * 17 + 16) as u64
}

fn main() {
    let mut log = Log::default();
    let (mut values, mut entries, mut text, mut queue) =
        (Tally::default(), Tally::default(), Tally::default(), Tally::default());
    let (mut growths, mut allocated, mut garbage) = (0, 0, 0);

    truth::ready();
    for i in 0..1_000_000 {
        let before = log.values.capacity();
        log.add_value(i);
        values.grew(before, log.values.capacity(), 8);
        let before = log.text.capacity();
        log.add_text("a");
        text.grew(before, log.text.capacity(), 1);
        let before = log.sessions.capacity();
        log.add_session(i);
        if before != log.sessions.capacity() && before > 0 {
            growths += 1;
            allocated += table_bytes(log.sessions.capacity());
            garbage += table_bytes(before);
        }
    }
    for i in 0..100_000 {
        let before = log.entries.capacity();
        log.add_entry(i);
        entries.grew(before, log.entries.capacity(), 24);
        let before = log.queue.capacity();
        log.add_job(i);
        queue.grew(before, log.queue.capacity(), 8);
    }
    let full = log.sessions.capacity();
    log.values.truncate(1000);
    log.sessions.retain(|key, _| *key < 10_000);
    truth::truth(&[
        ("values", values.growths),
        ("allocated", values.allocated),
        ("garbage", values.garbage),
        ("held", log.values.capacity() as u64 * 8),
        ("slots", log.values.capacity() as u64),
        ("entries", entries.growths),
        ("entry_bytes", entries.allocated),
        ("text", text.growths),
        ("text_bytes", text.allocated),
        ("queue", queue.growths),
        ("queue_bytes", queue.allocated),
        ("jobs", log.queue.len() as u64),
        ("sessions", growths),
        ("session_bytes", allocated),
        ("session_garbage", garbage),
        ("length", log.sessions.len() as u64),
        ("table", table_bytes(full)),
        ("needed", table_bytes(14_336)),
        ("added", log.added),
        ("sum", log.entries.iter().map(|e| e.key ^ e.value ^ e.stamp).sum::<u64>()),
    ]);
    let mut next = 0;
    truth::obey(|| {
        log.values.pop();
        log.sessions.remove(&next);
        next += 1;
    });
}
