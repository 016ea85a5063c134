//! `voxplain inspect`.

use super::import::Architecture;
use super::{bytes, say};
use crate::Outcome;
use clap::Args;
use std::path::PathBuf;
use voxplain::autodiff::{Composite, Gradient, Planner};
use voxplain::graph::Origin;
use voxplain::{Model, Result};

/// Shows layers with shapes, parameters, operations and the exact memory of a gradient.
#[derive(Args)]
pub struct Inspect {
    /// The model: our own file, ONNX, or a state dict with --arch.
    model: PathBuf,
    #[command(flatten)]
    architecture: Architecture,
    /// Show the steps of the gradient's plan with every value's shape.
    #[arg(long)]
    plan: bool,
    /// Examples at once in the plan.
    #[arg(long, default_value_t = 1)]
    batch: usize,
    /// JSON for machines.
    #[arg(long)]
    json: bool,
}

impl Inspect {
    /// Prints.
    pub fn run(&self) -> Result<Outcome> {
        let model = self.architecture.open(&self.model)?;
        let graph = &model.graph;
        let mut planner = Planner::new(graph, self.batch)?;
        planner.reverse(&Composite::everywhere(Gradient), graph.outputs()[0], graph.inputs())?;
        let plan = planner.finish::<f32>(None)?;
        if self.json {
            say(&describe(&model, &plan).to_string());
            return Ok(Outcome::Done);
        }
        for &input in graph.inputs() {
            say(&format!("input   {:24} {}", graph.value(input).name, graph.shape(input)));
        }
        for node in graph.nodes() {
            let own = node.inputs.iter().filter(|v| matches!(graph.value(**v).origin, Origin::Parameter(_)));
            let weights: usize = own.map(|v| graph.shape(*v).elements()).sum();
            let shape = graph.shape(node.output).to_string();
            say(&format!("{:24} {:24} {shape:24} {weights:>10} weights", node.op.kind(), node.name));
        }
        graph.rewrites().iter().for_each(|r| say(&format!("rewrite {r}")));
        say(&format!("{} parameters, {}", graph.parameter_count(), bytes(graph.parameter_count() * 4)));
        say(&format!(
            "{:.3} GFLOP forward, {:.3} GFLOP backward to the input, {} above the weights for a gradient of {} example(s)",
            plan.forward_flops() as f64 / 1e9,
            plan.reverse_flops(0) as f64 / 1e9,
            bytes(plan.arena_bytes),
            self.batch
        ));
        if self.plan {
            say(&plan.dump());
        }
        Ok(Outcome::Done)
    }
}

fn describe(model: &Model, plan: &voxplain::autodiff::Plan) -> serde_json::Value {
    let graph = &model.graph;
    let nodes: Vec<serde_json::Value> = graph
        .nodes()
        .iter()
        .map(|n| serde_json::json!({"name": n.name, "op": n.op.kind(), "shape": graph.shape(n.output).to_vec()}))
        .collect();
    serde_json::json!({
        "nodes": nodes,
        "parameters": graph.parameter_count(),
        "forward_flops": plan.forward_flops(),
        "backward_flops": plan.reverse_flops(0),
        "arena_bytes": plan.arena_bytes,
        "rewrites": graph.rewrites(),
    })
}
