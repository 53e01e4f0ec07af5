// SPDX-License-Identifier: BSD-2-Clause
//! Code of many shapes for the tests of line tables: generics, closures, traits, inlined calls.
use std::collections::{BTreeMap, HashMap, VecDeque};

trait Shape {
    fn area(&self) -> u64;
    fn name(&self) -> String {
        format!("shape of {}", self.area())
    }
}

struct Square(u64);
struct Row<T> {
    cells: VecDeque<T>,
}

impl Shape for Square {
    fn area(&self) -> u64 {
        self.0 * self.0
    }
}

impl<T: Into<u64> + Copy> Shape for Row<T> {
    fn area(&self) -> u64 {
        self.cells.iter().map(|&cell| twice(cell.into())).sum()
    }
}

#[inline(always)]
fn twice(n: u64) -> u64 {
    n.wrapping_mul(2) ^ 1
}

#[inline(never)]
fn count_words(text: &str) -> HashMap<String, usize> {
    let mut counts = HashMap::new();
    for word in text.split(|c: char| !c.is_alphanumeric()) {
        *counts.entry(word.to_lowercase()).or_insert(0) += twice(1) as usize;
    }
    counts
}

fn main() {
    let rounds = std::env::args().count() as u32 * 100;
    let mut row = Row { cells: VecDeque::new() };
    let mut order: BTreeMap<u64, Vec<Box<dyn Shape>>> = BTreeMap::new();
    for i in 0..rounds {
        row.cells.push_back(i);
        order.entry(u64::from(i % 10)).or_default().push(Box::new(Square(u64::from(i))));
    }
    order.entry(3).or_default().push(Box::new(row));
    let text: Vec<String> =
        order.values().flatten().map(|shape| shape.name()).collect();
    let mut words: Vec<_> = count_words(&text.join(" ")).into_iter().collect();
    words.sort();
    println!("{} {:?}", words.len(), words.first());
}
