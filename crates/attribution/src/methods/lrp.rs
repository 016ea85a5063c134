//! Layer-wise relevance propagation with a composite of rules.

use super::{Method, input_maps, signals};
use crate::composites::{Line, Values, preset, table};
use crate::rules::lrp::Number;
use crate::{Attribution, Entry, Ledger, Network, PassSpec, Rules, Target};
use voxplain_autodiff::{Cause, Relevance};
use voxplain_graph::Graph;
use voxplain_tensor::{Error, Result, Scalar, Tensor};

/// Where relevance starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// With the explained value itself, so that maps share it out.
    Output,
    /// With 1.
    One,
}

/// Relevance by a composite: one of [`crate::composites::PRESETS`], or lines of one's own. Stored normalisation should be
/// merged into the layers before it first (`fold_batch_normalization`): rules see what a layer computes, and a
/// normalisation by itself is none. The maps and the ledger together add up to what relevance started with.
#[derive(Clone, Debug, PartialEq)]
pub struct Lrp {
    /// The method's name.
    pub name: &'static str,
    /// Which rule speaks where.
    pub lines: Vec<Line>,
    /// Where relevance starts.
    pub start: Start,
}

impl Lrp {
    /// The composite of that name with these parameters; the others have their defaults.
    ///
    /// # Errors
    /// There is no such composite or parameter, or a value is missing or out of range.
    pub fn preset(name: &str, parameters: &[(&str, f64)], start: Start) -> Result<Self> {
        let preset = preset(name).ok_or_else(|| Error::invalid(format!("no composite {name:?}")))?;
        let known = |key: &str| key == "stabilizer" || preset.parameters.contains(&key);
        if let Some((key, _)) = parameters.iter().find(|(key, _)| !known(key)) {
            return Err(Error::invalid(format!("composite {name:?} has no parameter {key:?}")));
        }
        let find = |key: &str| parameters.iter().find(|(known, _)| *known == key);
        let lookup = |key: &str| Ok(find(key).map(|(_, value)| Number::One(*value)));
        let lines = (preset.lines)(&Values::new(&lookup, false))?;
        Ok(Self { name: preset.name, lines, start })
    }

    /// One line per node of `graph`: which rule speaks there.
    ///
    /// # Errors
    /// The composite does not fit the graph.
    pub fn explain(&self, graph: &Graph) -> Result<Vec<String>> {
        Ok(table(&self.lines)?.resolve(graph)?.explain(graph))
    }
}

impl<S: Scalar> Method<S> for Lrp {
    fn name(&self) -> &'static str {
        self.name
    }

    fn passes(&self) -> (u64, u64) {
        (2, 1)
    }

    fn attribute(
        &self,
        network: &mut dyn Network<S>,
        inputs: &[Tensor<S>],
        target: &Target,
    ) -> Result<Attribution<S>> {
        let rules = Rules { name: format!("{:?}", self.lines), composite: table(&self.lines)? };
        Propagation { name: self.name, rules, start: self.start }.attribute(network, inputs, target)
    }
}

/// Relevance by a composite of any rules, one's own too; with a ledger if the composite keeps books.
pub struct Propagation {
    /// The method's name.
    pub name: &'static str,
    /// The rules, under a name that tells them from others.
    pub rules: Rules<Relevance>,
    /// Where relevance starts.
    pub start: Start,
}

impl<S: Scalar> Method<S> for Propagation {
    fn name(&self) -> &'static str {
        self.name
    }

    fn passes(&self) -> (u64, u64) {
        (2, 1)
    }

    fn attribute(
        &self,
        network: &mut dyn Network<S>,
        inputs: &[Tensor<S>],
        target: &Target,
    ) -> Result<Attribution<S>> {
        let examples = network.examples(inputs)?;
        let seeds = network.seeds(target, inputs)?;
        // Relevance starts with what the output is, so the output has to be known before.
        let outputs = network.values(inputs, seeds.from)?;
        let values: Vec<f64> = outputs.iter().enumerate().map(|(n, row)| seeds.value(n, row)).collect();
        let wanted = network.graph().inputs().to_vec();
        let spec = PassSpec { table: Some(&self.rules), from: seeds.from, wanted, captures: Vec::new() };
        let started = |(seed, output): (&Vec<S>, &Vec<S>)| match self.start {
            Start::Output => seed.iter().zip(output).map(|(&s, &o)| s * o).collect(),
            Start::One => seed.clone(),
        };
        let rows: Vec<Vec<S>> = seeds.rows.iter().zip(&outputs).map(started).collect();
        let mut kept = vec![Vec::new(); examples];
        let maps = signals(network, inputs, &spec, &rows, &mut |n, row| kept[n].clone_from(&row.ledger))?;
        let graph = network.graph();
        let ledger = Ledger { entries: kept.iter().map(|nodes| Ledger::of(graph, nodes)).collect() };
        let ledger = self.rules.composite.keeps_books().then_some(ledger);
        let sums = Attribution::sums(&maps, examples);
        if let Some(n) = sums.iter().position(|sum| !sum.is_finite()) {
            return Err(not_finite(ledger.as_ref().map(|ledger| &ledger.entries[n][..])));
        }
        let whole: Vec<f64> = rows.iter().map(|row| row.iter().map(|v| v.to_f64()).sum()).collect();
        let note = (0..examples).map(|n| arrival(sums[n] / whole[n], ledger.as_ref(), n, whole[n]));
        let notes = vec![note.collect::<Vec<_>>().join("; ")];
        Ok(Attribution {
            maps: input_maps(graph, maps),
            values,
            residuals: None,
            differences: None,
            forward_passes: 2 * examples as u64,
            backward_passes: examples as u64,
            notes,
            ledger,
            scores: None,
        })
    }
}

/// What is said about relevance that is no number: the first node, from the output down, whose sums are none either.
fn not_finite(entries: Option<&[Entry]>) -> Error {
    let first = entries.into_iter().flatten().find(|e| !e.amount.is_finite());
    let from = first.map_or_else(|| String::from("somewhere"), |e| format!("from node {:?}", e.node));
    Error::invalid(format!(
        "the relevance is no finite number {from} on; a rule divides by 0 or grows beyond the range of the device there"
    ))
}

/// How much arrived and who kept the rest, in words.
fn arrival(part: f64, ledger: Option<&Ledger>, n: usize, whole: f64) -> String {
    let arrived = format!("part of the relevance that reached the input: {part:.4}");
    let Some(ledger) = ledger else { return arrived };
    let kept = ledger.by_cause(n);
    let share = |cause: &Cause| format!("{} {:.4}", cause.name(), kept[cause] / whole);
    let kept = kept.keys().map(share).collect::<Vec<_>>().join(", ");
    let kept = if kept.is_empty() { String::from("nothing was kept") } else { format!("kept by {kept}") };
    format!("{arrived}; {kept}{}", most(&ledger.entries[n]))
}

/// The node that kept most.
fn most(entries: &[Entry]) -> String {
    let largest = entries.iter().max_by(|a, b| a.amount.abs().total_cmp(&b.amount.abs()));
    largest.map_or_else(String::new, |e| format!(" (most by {:?})", e.node))
}
