//! Which axioms a rule of one's own keeps, and the smallest network for each that it does not.

use crate::axioms::Axiom;
use crate::rule_method::subject;
use crate::search::{Cell, Effort, search};
use crate::subject::Subject;
use std::fmt;
use voxplain_autodiff::{Device, Rule};

/// What became of one axiom.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept {
    /// Whether the rule claims it.
    pub claimed: bool,
    /// What was found.
    pub cell: Cell,
}

impl Kept {
    /// Whether a claim was broken, or says nothing because no network could be explained.
    pub fn is_broken_claim(&self) -> bool {
        self.claimed && !self.cell.holds()
    }
}

/// Every axiom, tried on a rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// The method's name.
    pub name: String,
    /// One entry per axiom.
    pub axioms: Vec<Kept>,
}

impl Report {
    /// Whether every claimed axiom held.
    pub fn holds(&self) -> bool {
        !self.axioms.iter().any(Kept::is_broken_claim)
    }

    /// The smallest networks that break an axiom, if any was found.
    pub fn cell(&self, axiom: Axiom) -> Option<&Cell> {
        self.axioms.iter().map(|k| &k.cell).find(|c| c.axiom == axiom)
    }
}

/// Tries every axiom on a rule that speaks everywhere and that `make` makes: claimed ones must hold on every drawn network; for
/// each that does not hold the smallest counterexample is looked for.
pub fn check_rule<D: Device, R: Rule + 'static>(
    device: &D,
    make: impl Fn() -> R + Send + Sync + 'static,
    claims: &[Axiom],
) -> Report {
    check_subject(device, &subject(make), claims)
}

/// As [`check_rule`], of any method.
pub fn check_subject<D: Device>(device: &D, subject: &Subject<D::Scalar>, claims: &[Axiom]) -> Report {
    let one = |axiom: Axiom| Kept {
        claimed: claims.contains(&axiom),
        cell: search(device, subject, axiom, Effort::default()),
    };
    Report { name: subject.name.clone(), axioms: Axiom::ALL.into_iter().map(one).collect() }
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (claim, cell) = (if self.claimed { "claimed" } else { "" }, &self.cell);
        let found = match (cell.is_silent(), cell.broken.is_empty(), cell.exact) {
            (true, ..) => "says nothing here",
            (_, true, true) => "holds, bit for bit",
            (_, true, false) => "holds to rounding",
            _ if self.claimed => "BROKEN",
            _ => "does not hold",
        };
        write!(f, "{:20} {claim:8} {found:18} {:4} networks", cell.axiom.name(), cell.kept)?;
        for (example, verdict) in &cell.broken {
            let variant = cell.axiom.variants()[example.variant];
            let colon = if variant.is_empty() { "" } else { ": " };
            write!(f, "\n    {variant}{colon}{}\n      {verdict}", example.program)?;
        }
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.name)?;
        self.axioms.iter().try_for_each(|kept| writeln!(f, "{kept}"))
    }
}
