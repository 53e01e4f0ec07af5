// SPDX-License-Identifier: BSD-2-Clause

// What every Rust workload shares: the protocol of workloads/go/truth.go (ready, act, TRUTH, obey).
use std::io::{stdin, stdout, Write};

fn next_line() -> Option<String> {
    let mut line = String::with_capacity(64);

    match stdin().read_line(&mut line) {
        Ok(bytes) if bytes > 0 => Some(line.trim_end().to_string()),
        _ => None,
    }
}

fn say(word: &str) {
    println!("{}", word);
    stdout().flush().unwrap();
}

// Says that the program is up and waits for the start.
pub fn ready() {
    say("ready");
    next_line();
}

pub fn truth(facts: &[(&str, u64)]) {
    print!("TRUTH");
    for (key, value) in facts {
        print!(" {}={}", key, value);
    }
    say("");
}

// Obeys lines until "end"; "gc" is how the driver says "go on": act() is called and "ok" answered.
pub fn obey(mut act: impl FnMut()) {
    while let Some(line) = next_line() {
        match line.as_str() {
            "end" => break,
            "gc" => {
                act();
                say("ok");
            }
            _ => {}
        }
    }
}
