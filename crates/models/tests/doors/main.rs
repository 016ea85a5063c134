//! The doors for networks: what comes in, what it computes, and what broken files are told.

mod architectures;
mod card;
mod common;
mod external;
mod golden;
mod hostile;
mod hostile_state_dicts;
mod operators;
mod pt2;
