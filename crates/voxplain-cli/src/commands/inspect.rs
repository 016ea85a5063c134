//! `voxplain inspect`.

use super::source::Source;
use super::{bytes, say};
use crate::Outcome;
use clap::Args;
use std::path::PathBuf;
use voxplain::autodiff::{Composite, Gradient, Planner};
use voxplain::graph::Origin;
use voxplain::request::Request;
use voxplain::{Error, Model, Result, rules};

/// Shows layers with shapes, parameters, operations and the exact memory of a gradient.
#[derive(Args)]
pub struct Inspect {
    #[command(flatten)]
    source: Source,
    /// Show the steps of the gradient's plan with every value's shape.
    #[arg(long)]
    plan: bool,
    /// Examples at once in the plan.
    #[arg(long, default_value_t = 1)]
    batch: usize,
    /// Show which rule of a relevance method speaks at which node.
    #[arg(long, value_name = "METHOD", conflicts_with = "composite")]
    rules: Option<String>,
    /// The same for a composite in a file.
    #[arg(long, value_name = "FILE")]
    composite: Option<PathBuf>,
    /// JSON for machines.
    #[arg(long)]
    json: bool,
}

impl Inspect {
    /// Prints.
    pub fn run(&self) -> Result<Outcome> {
        self.source.without_case()?;
        let model = self.source.open()?;
        let graph = &model.graph;
        let rules = self.table(&model)?;
        let mut planner = Planner::new(graph, self.batch)?;
        planner.reverse(&Composite::everywhere(Gradient), graph.outputs()[0], graph.inputs())?;
        let plan = planner.finish::<f32>(None)?;
        if self.json {
            let mut all = describe(&model, &plan);
            all["rules"] = rules.into();
            say(&all.to_string());
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
        rules.iter().for_each(|line| say(&format!("rule    {line}")));
        if self.plan {
            say(&plan.dump());
        }
        Ok(Outcome::Done)
    }

    /// The resolved table of the method or composite that is asked for.
    fn table(&self, model: &Model) -> Result<Vec<String>> {
        let (method, params) = match (&self.rules, &self.composite) {
            (Some(method), _) => (method.as_str(), Default::default()),
            (None, Some(path)) => ("composite", super::explain::read_composite(path)?),
            (None, None) => return Ok(Vec::new()),
        };
        let request = Request {
            id: String::from(method),
            method: String::from(method),
            params,
            target: Default::default(),
            expected: Default::default(),
        };
        let table = rules(model, &request)?;
        if table.is_empty() {
            return Err(Error::invalid(format!(
                "{method} propagates no relevance, so it has no table of rules"
            )));
        }
        Ok(table)
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
