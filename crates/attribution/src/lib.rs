//! Attribution methods, each one either a rule table for the reverse transformation or a combinator over such tables,
//! so that every method runs on every device and in double precision on the test oracle.
//!
//! A [`Method`] is given an [`Engine`] (a network on a device), inputs and a [`Target`], and returns an [`Attribution`].
//! Nothing is clipped, scaled or made absolute unless the method's parameters ask for it.
#![forbid(unsafe_code)]

mod attribution;
mod beside;
mod blur;
pub mod composites;
mod draws;
mod engine;
mod inputs;
mod interpolate;
pub mod methods;
mod mixed;
mod noise_sums;
mod parts;
mod path_sums;
pub mod patterns;
mod prepared;
mod quadrature;
pub mod rules;
mod states;
mod survey;
mod table;
mod tallies;
mod target;

pub use attribution::{Attribution, Entry, Grid, Ledger, Map, Region, Scores};
pub use beside::Act;
pub use blur::blur;
pub use draws::{Draws, Generator};
pub use engine::{Engine, Fill, FillRow, Network, PassSpec, Row, Rules, Table, TakeRow};
pub use interpolate::{Interpolation, resize};
pub use methods::Method;
pub use mixed::{FillNumbers, Ground, Mixing, Shares};
pub use noise_sums::{NoisyDraws, NoisyRows};
pub use path_sums::Path;
pub use quadrature::Quadrature;
pub use states::{Change, FillPart, States, TakeValue};
pub use tallies::Sums;
pub use target::{Seeds, Target};
pub use voxplain_autodiff::{GridGeometry, Noise, Tally};
