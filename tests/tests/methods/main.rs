//! Attribution methods and rules: against the values of others, against closed forms, and the laws that they obey.

mod completeness;
mod dense_rules;
mod equivariance;
mod first_layers;
mod golden;
mod known_answers;
mod laws;
mod layer_values;
mod measures;
mod paths;
mod pt2;
mod reference;
mod relevance;
mod rules;
