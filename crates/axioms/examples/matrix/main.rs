//! Writes `docs/AXIOMS.md`, the table of methods and axioms, and the smallest counterexamples behind it, which a test runs
//! again. Run by `cargo xtask axioms` in the repository's root; fails where the table differs from what is known without a
//! reason that the page can give.

mod contrast;
mod fills;
mod known;
mod page;

use std::process::ExitCode;
use voxplain_axioms::{Axiom, Cell, Effort, methods, search};
use voxplain_oracle::Oracle;

/// One method's cells.
pub struct Row {
    /// The method.
    pub method: String,
    /// One per axiom.
    pub cells: Vec<Cell>,
}

fn rows(only: &[String]) -> Vec<Row> {
    let wanted = |name: &String| only.is_empty() || only.contains(name);
    let one = |subject: voxplain_axioms::Subject<f64>| {
        let cells: Vec<Cell> =
            Axiom::ALL.into_iter().map(|axiom| search(&Oracle, &subject, axiom, Effort::default())).collect();
        let signs: String = cells.iter().map(page::sign).collect();
        println!("{signs}  {}", subject.name);
        Row { method: subject.name, cells }
    };
    methods::all().into_iter().filter(|s| wanted(&s.name)).map(one).collect()
}

fn main() -> ExitCode {
    let only: Vec<String> = std::env::args().skip(1).collect();
    let rows = rows(&only);
    if !only.is_empty() {
        rows.iter()
            .flat_map(|r| &r.cells)
            .flat_map(|c| &c.broken)
            .for_each(|(e, v)| println!("{e}\n    {v}"));
        return ExitCode::SUCCESS;
    }
    let fills = fills::rows();
    let examples = rows.iter().chain(&fills).flat_map(|r| &r.cells).flat_map(|c| &c.broken);
    let list: String = examples.map(|(example, _)| format!("{example}\n")).collect();
    let (differences, unexplained) = known::differences(&rows);
    let text = page::page(&rows, &differences, &[&fills::table(&fills), &contrast::table()]);
    let written = std::fs::write("docs/AXIOMS.md", text)
        .and_then(|()| std::fs::write("crates/axioms/tests/methods.counterexamples", list));
    if let Err(error) = written {
        eprintln!("axioms: {error}; run this in the repository's root");
        return ExitCode::FAILURE;
    }
    unexplained.iter().for_each(|u| eprintln!("not explained: {u}"));
    if unexplained.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
