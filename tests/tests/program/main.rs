//! The program as its user sees it, what goes into it, and what its pages say.

mod composites;
mod corpus;
mod docs;
mod doors;
mod program;
mod program_perturbation;
mod program_verify;
mod segmentation;
