//! Writes `docs/AXIOMS.md`, the table of methods and axioms, and the smallest counterexamples behind it, which a test runs
//! again. Run by `cargo xtask axioms` in the repository's root; fails where the table differs from what is known without a
//! reason that the page can give.

mod contrast;
mod dependence;
mod fills;
mod known;
mod page;

use std::num::NonZero;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use voxplain_axioms::{Axiom, Cell, Effort, Subject, methods, search};
use voxplain_oracle::Oracle;

/// One method's cells.
pub struct Row {
    /// The method.
    pub method: String,
    /// One per axiom.
    pub cells: Vec<Cell>,
}

/// One row per method, in the order of the list, as many at a time as the machine has cores.
fn rows(only: &[String]) -> Vec<Row> {
    let wanted = |name: &String| only.is_empty() || only.contains(name);
    let subjects: Vec<Subject<f64>> = methods::all().into_iter().filter(|s| wanted(&s.name)).collect();
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        loop {
            let k = next.fetch_add(1, Ordering::Relaxed);
            let Some(subject) = subjects.get(k) else { return };
            let row = row(subject);
            done.lock().unwrap_or_else(PoisonError::into_inner).push((k, row));
        }
    };
    std::thread::scope(|scope| {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        (0..cores).for_each(|_| drop(scope.spawn(work)));
    });
    let mut rows = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    rows.sort_by_key(|(k, _)| *k);
    rows.into_iter().map(|(_, row)| row).collect()
}

fn row(subject: &Subject<f64>) -> Row {
    let cells: Vec<Cell> =
        Axiom::ALL.into_iter().map(|axiom| search(&Oracle, subject, axiom, Effort::default())).collect();
    println!("{}  {}", cells.iter().map(page::sign).collect::<String>(), subject.name);
    Row { method: subject.name.clone(), cells }
}

fn main() -> ExitCode {
    let only: Vec<String> = std::env::args().skip(1).collect();
    let rows = rows(&only);
    if !only.is_empty() {
        // As the page and the list have them.
        for row in &rows {
            print!("{}{}", page::line(row), page::section(row));
            row.cells.iter().flat_map(|c| &c.broken).for_each(|(example, _)| println!("{example}"));
        }
        return ExitCode::SUCCESS;
    }
    let fills = fills::rows();
    let examples = rows.iter().chain(&fills).flat_map(|r| &r.cells).flat_map(|c| &c.broken);
    let list: String = examples.map(|(example, _)| format!("{example}\n")).collect();
    let (differences, unexplained) = known::differences(&rows);
    let text =
        page::page(&rows, &differences, &[&fills::table(&fills), &contrast::table(), &dependence::table()]);
    let written = std::fs::write("docs/AXIOMS.md", text)
        .and_then(|()| std::fs::write("crates/axioms/tests/methods.counterexamples", list));
    if let Err(error) = written {
        eprintln!("axioms: {error}; run this in the repository's root");
        return ExitCode::FAILURE;
    }
    unexplained.iter().for_each(|u| eprintln!("not explained: {u}"));
    if unexplained.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
