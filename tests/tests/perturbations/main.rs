//! Perturbation methods: known answers, the axioms that estimators promise, and features of stacks of slices.

mod estimators;
mod known_perturbations;
mod perturbation;
mod stacks;
