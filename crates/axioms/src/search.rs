//! Looks for networks on which a method breaks an axiom, and makes them small.

use crate::axioms::Axiom;
use crate::bench::Bench;
use crate::draw::Draw;
use crate::program::Program;
use crate::shrink::smallest;
use crate::subject::{Arithmetic, Subject};
use crate::verdict::Verdict;
use std::fmt;
use std::str::FromStr;
use voxplain_autodiff::Device;
use voxplain_tensor::{Error, Result};

/// How much is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effort {
    /// Networks per axiom and variant; a third of them for methods that ask for values.
    pub networks: usize,
    /// The seed that they are drawn from.
    pub seed: u64,
}

impl Default for Effort {
    /// 150 networks: the axioms that random networks break at all are broken by one in ten or more.
    fn default() -> Self {
        Self { networks: 150, seed: 0 }
    }
}

/// A network on which a method breaks an axiom.
#[derive(Clone, Debug, PartialEq)]
pub struct Counterexample {
    /// The method's name.
    pub method: String,
    /// The axiom.
    pub axiom: Axiom,
    /// Which variant of the axiom's check.
    pub variant: usize,
    /// The network.
    pub program: Program,
}

/// What was found about one method and one axiom.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    /// The axiom.
    pub axiom: Axiom,
    /// Networks on which the axiom says something and holds.
    pub kept: usize,
    /// Whether both sides were equal, bit for bit, on all of them.
    pub exact: bool,
    /// The smallest counterexample of every variant that has one, with its verdict.
    pub broken: Vec<(Counterexample, Verdict)>,
}

impl Cell {
    /// Whether the axiom held wherever it says something, and said something somewhere.
    pub fn holds(&self) -> bool {
        self.broken.is_empty() && self.kept > 0
    }

    /// Whether the axiom says nothing about this method.
    pub fn is_silent(&self) -> bool {
        self.broken.is_empty() && self.kept == 0
    }
}

/// Tries one axiom on drawn networks, variant by variant, and shrinks what breaks it.
pub fn search<D: Device>(device: &D, subject: &Subject<D::Scalar>, axiom: Axiom, effort: Effort) -> Cell {
    let bench = Bench { device, subject };
    let mut cell = Cell { axiom, kept: 0, exact: true, broken: Vec::new() };
    for variant in 0..axiom.variants().len() {
        let mut draw = Draw::new(effort.seed);
        // Estimators ask the network for hundreds of values, and a check of continuity asks for the map some sixty times.
        let values = subject.arithmetic == Arithmetic::Values;
        let share = if values { 3 } else { 1 } * if values && axiom == Axiom::Continuity { 4 } else { 1 };
        let networks = effort.networks.div_ceil(share);
        for _ in 0..networks {
            let program = draw.program();
            // A network that the method cannot explain says nothing about the axiom.
            let Ok(Some(verdict)) = axiom.check(&bench, &program, variant) else { continue };
            if !verdict.holds() {
                cell.broken.push(shrunk(&bench, axiom, variant, program));
                break;
            }
            cell.kept += 1;
            cell.exact &= verdict.is_exact();
        }
    }
    cell
}

/// The smallest network that greedy steps find which still breaks the axiom.
fn shrunk<D: Device>(
    bench: &Bench<'_, D>,
    axiom: Axiom,
    variant: usize,
    program: Program,
) -> (Counterexample, Verdict) {
    let broken = |p: &Program| axiom.check(bench, p, variant).ok().flatten().filter(|v| !v.holds());
    let program = smallest(program, &mut |p| broken(p).is_some());
    let verdict = broken(&program).unwrap_or_else(|| Verdict::new(f64::INFINITY, 0.0, "not reproduced"));
    let method = bench.subject.name.clone();
    (Counterexample { method, axiom, variant, program }, verdict)
}

/// One line: `METHOD ; AXIOM ; VARIANT ; NETWORK`.
impl fmt::Display for Counterexample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let variant = self.axiom.variants()[self.variant];
        write!(f, "{} ; {} ; {variant} ; {}", self.method, self.axiom.name(), self.program)
    }
}

impl FromStr for Counterexample {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let parts: Vec<&str> = text.split(';').map(str::trim).collect();
        let [method, axiom, variant, program] = parts.as_slice() else {
            return Err(Error::invalid(format!("{text:?}: METHOD ; AXIOM ; VARIANT ; NETWORK expected")));
        };
        let axiom = Axiom::named(axiom)?;
        let at = axiom.variants().iter().position(|v| v == variant);
        let variant = at.ok_or_else(|| Error::invalid(format!("{text:?}: no variant {variant:?}")))?;
        Ok(Self { method: String::from(*method), axiom, variant, program: program.parse()? })
    }
}
