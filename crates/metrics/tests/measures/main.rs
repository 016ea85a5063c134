//! Measures where the answer is known.

mod closed_forms;
mod faithfulness;
