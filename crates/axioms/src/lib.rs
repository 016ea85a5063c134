//! What attribution methods promise, as functions that return a verdict.
//!
//! An [`Axiom`] takes a method ([`Subject`]) on a device ([`Bench`]) and a network ([`Program`]) and says by how much the
//! property is missed, how far rounding alone could miss it ([`Shadow`]), and where ([`Verdict`]). [`search`] draws networks
//! until one breaks a property and shrinks it to the smallest that still does; [`check_rule`] does so for every axiom and a
//! rule of one's own. [`methods`] lists what this workspace has, for the table of methods and axioms.
//!
//! On real networks [`running_error`] bounds completeness sharply and [`edits`] makes networks that must have the same map.
#![forbid(unsafe_code)]

mod axioms;
mod bench;
mod coalitions;
pub mod compose;
mod draw;
pub mod edits;
pub mod fills;
pub mod hand_wired;
pub mod methods;
mod path;
mod permuted;
mod problem;
mod program;
mod report;
pub mod rewrites;
mod rule_method;
pub mod running_error;
mod search;
mod shadow;
mod shrink;
mod spy;
#[cfg(feature = "proptest")]
pub mod strategies;
mod subject;
mod verdict;

pub use axioms::{Axiom, Finding};
pub use bench::{Bench, spread};
pub use draw::Draw;
pub use path::{discrepancy, quadrature_error};
pub use problem::{Problem, converted};
pub use program::{Program, Step};
pub use report::{Kept, Report, check_rule, check_subject};
pub use search::{Cell, Counterexample, Effort, search};
pub use shadow::Shadow;
pub use shrink::smallest;
pub use subject::{Arithmetic, Subject};
pub use verdict::{Verdict, difference};
