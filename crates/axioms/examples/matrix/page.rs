//! The page.

use crate::Row;
use crate::known::Difference;
use voxplain_axioms::{Axiom, Cell};

/// One sign for a cell: equal bit for bit, to rounding, broken, or silent.
pub fn sign(cell: &Cell) -> char {
    match (cell.is_silent(), cell.holds(), cell.exact) {
        (true, ..) => '–',
        (_, true, true) => '≡',
        (_, true, false) => '✓',
        _ => '✗',
    }
}

const HEAD: &str = "\
# Methods and axioms

Made by `cargo xtask axioms`; do not edit. Every cell is the outcome of trying the axiom on 150 networks drawn at random
(50 where a method asks for values)
(sequential, residual, densely connected, U-shaped, with one input or several, with and without biases; weights are small
whole numbers, so that networks are exact) and on networks from the literature, in double precision on the test oracle.

* ≡ both sides are equal bit for bit, wherever the axiom says something;
* ✓ they agree within what rounding of that very run can explain (`crates/axioms/src/shadow.rs`; quadratures along a path
  within the variation of their integrand times the discrepancy of their nodes, `path.rs`);
* ✗ there is a counterexample: the smallest one that was found is below, and `crates/axioms/tests/matrix.rs` runs it again;
* – the axiom says nothing about such a method, or no network met what it supposes.

A ✓ means that these networks did not break the axiom, not that none does. Nothing here says that a map is right about a
patient; it says which conclusions its form allows.

The axioms are documented, with their sources, in `crates/axioms/src/axioms/`, one file each; the methods as they were made
for this table in `crates/axioms/src/methods.rs`.
";

const NOTES: &str = "\
## How to read some columns

* **conservation** and **completeness** are tried with biases and with references that are not 0. Methods that keep one of
  them only without biases (input x gradient, LRP-0, LRP-gamma) are ✗ here.
* **symmetry** treats channels. Its second network is `min(x1, x2) = relu(x1) - relu(x1 - x2)` at two equal numbers: the
  whole path from 0 runs along a kink, and the convention relu'(0) = 0 decides. **continuity** and **demand-monotonicity** use
  the same network.
* **input-scale** ✗ of methods that do not multiply by the input means that the map is per unit of the image: sums of
  |gradient| over modalities compare units, not modalities.
* **implementation** is tried with every way to write the same function in `crates/axioms/src/rewrites/`: neurons split,
  reordered and dead, layers factored, refined by one that does nothing, in two groups that are joined, as matrices, with a
  constant added and taken away, identities of two rectifiers, unfolded normalisation, sums in another order.
* **consistency**: where an entry adds at least as much to every set of the others in one network as in another, its part is
  no smaller (Young 1985; the consistency of SHAP). Averages of what an entry adds keep it: Shapley, Banzhaf and Owen values,
  ablation. Of methods that are complete besides, Shapley values alone do for every pair of networks.
* **translation** is tried on a wider image with one layer, away from borders. Windows and drawn masks and noise belong to
  the place in the image, and do not move with it.
* **positivity** is tried on all networks and on those without space by themselves: a mean over space shares by value under
  every rule here, also by what is negative.
* **missing-modality**: a channel that is as in the reference. Methods without a reference cannot know.
* **sensitivity-n** is tried on networks without rectifiers, entry by entry and for every set of entries. On others no method
  can keep it for all sets (Ancona et al., ICLR 2018, proposition 1).
* **quotient**: whether the parts of a modality's entries add up to the modality's Shapley value, so that a map and a table of
  modalities tell the same story. Maps that are complete but not made for it differ where modalities interact, such as
  `relu(x1 + x2 + x3 - 2)` with two of three entries in one modality: Owen values are (1/4, 1/4, 1/2).
* **mask-idempotence** says nothing about methods that ask for gradients. Fills that look at the image have a table of
  their own below.
* **feature_permutation** takes features from the reference, the second of two examples; a batch of one is refused.
* **guided_ig**, **blur_ig**, **idgi** take 16 steps. Completeness holds up to the error of the steps (of IDGI: but for steps
  from where there is no gradient, such as a kink at the reference), and of Blur IG towards the blurred image: ✗ here.
* **xrai** gathers Integrated Gradients in blocks of two entries and in channels; **rise** and **sobol** draw 64 masks and 16
  points; **deep_taylor** has the w^2 rule at the first layers.
* **batches** is tried with two examples.
";

/// The whole page.
pub fn page(rows: &[Row], differences: &[Difference], [fills, contrast, dependence]: &[&str; 3]) -> String {
    let mut out = String::from(HEAD);
    out += "\n## The table\n\n";
    let names: Vec<&str> = Axiom::ALL.iter().map(|a| a.name()).collect();
    out += &format!("| method | {} |\n|---|{}\n", names.join(" | "), "---|".repeat(names.len()));
    out.extend(rows.iter().map(line));
    out += &format!("\n{NOTES}\n## Where this differs from what was expected\n\n");
    out += "Expectations are those of the literature and of an earlier study of the same axioms on flat networks.\n\n";
    for d in differences {
        out += &format!(
            "* {}, {}: expected {}, found {}. {}\n",
            d.method, d.axiom, d.expected, d.found, d.reason
        );
    }
    for (title, table) in
        [("Fills", fills), ("Class contrast", contrast), ("Parameter dependence", dependence)]
    {
        out += &format!("\n## {title}\n\n{table}");
    }
    out += "\n## Smallest counterexamples\n\n";
    out += "A network is written `CHANNELSxWIDTH | steps | w weights | x input | r reference`; lists that end early go on \
            with 1, 1 and 0. The first layer, the mean over space and the last layer are always there \
            (`crates/axioms/src/program.rs`).\n";
    out.extend(rows.iter().map(section));
    out
}

/// The line of a method in the table.
pub fn line(row: &Row) -> String {
    let cells: Vec<String> = row.cells.iter().map(|c| sign(c).to_string()).collect();
    format!("| {} | {} |\n", row.method, cells.join(" | "))
}

/// The counterexamples of a method.
pub fn section(row: &Row) -> String {
    let mut out = format!("\n### {}\n\n", row.method);
    for (example, verdict) in row.cells.iter().flat_map(|c| &c.broken) {
        let variant = example.axiom.variants()[example.variant];
        let variant = if variant.is_empty() { String::new() } else { format!(" ({variant})") };
        let excess = format!("{:.3} where {:.0e} is allowed", verdict.residual, verdict.tolerance);
        out += &format!(
            "* {}{variant}: `{}`: off by {excess}; {}\n",
            example.axiom.name(),
            example.program,
            verdict.detail
        );
    }
    out
}
