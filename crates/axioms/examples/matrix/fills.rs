//! What takes the place of what is taken away, and whether its masks are idempotent.

use crate::Row;
use voxplain_axioms::{Axiom, Effort, fills, search};
use voxplain_oracle::Oracle;

/// The only column's axiom, a row per fill.
pub fn rows() -> Vec<Row> {
    let one = |subject: voxplain_axioms::Subject<f64>| {
        let cells = vec![search(&Oracle, &subject, Axiom::MaskIdempotence, Effort::default())];
        Row { method: subject.name, cells }
    };
    fills::all().into_iter().map(one).collect()
}

const HEAD: &str = "\
Masks of feature ablation with every fill. *Within a run* every entry that is taken away has one value, whatever else is
missing: fills are made once from the input. *Explained again*: an image in which something is missing already is explained
as if it were an input. There a fill that looks at the image is another one, so curves that take away step by step must
keep the first image's fill, as the methods here do.
";

/// The table.
pub fn table(rows: &[Row]) -> String {
    let names = Axiom::MaskIdempotence.variants();
    let mut out = format!("{HEAD}\n| fill | {} |\n|---|{}\n", names.join(" | "), "---|".repeat(names.len()));
    for row in rows {
        let broken = |v: usize| row.cells.iter().flat_map(|c| &c.broken).any(|(e, _)| e.variant == v);
        let signs: Vec<&str> = (0..names.len()).map(|v| if broken(v) { "✗" } else { "≡" }).collect();
        let name = row.method.trim_start_matches("fill ");
        out += &format!("| {name} | {} |\n", signs.join(" | "));
    }
    out
}
