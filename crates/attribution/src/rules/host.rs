//! The escape hatch: a rule that is a closure on the host.

use std::marker::PhantomData;
use std::sync::Arc;
use voxplain_autodiff::{Cotangent, HostCall, Relevance, Rule, Signal, Site};
use voxplain_graph::Node;
use voxplain_tensor::{Error, Result, Shape};

/// A signal that is one value.
pub trait Single: Signal {}
impl Single for Cotangent {}
impl Single for Relevance {}

/// A value as a closure sees it: row-major, all examples of the run one after the other.
#[derive(Clone, Copy, Debug)]
pub struct HostValue<'a> {
    /// The shape.
    pub shape: Shape,
    /// The elements.
    pub data: &'a [f64],
}

/// A node as a closure sees it.
#[derive(Debug)]
pub struct HostNode<'a> {
    /// Name, operator and attributes.
    pub node: &'a Node,
    /// The number of examples in every value that depends on an input.
    pub examples: usize,
    /// The signal at the node's result.
    pub upper: HostValue<'a>,
    /// The operands: data first, then weights.
    pub inputs: Vec<HostValue<'a>>,
    /// The node's result.
    pub output: HostValue<'a>,
    /// For every operand whether its signal is wanted.
    pub wanted: &'a [bool],
}

/// What a closure gives: for every operand a signal in the operand's shape, or nothing where none is wanted.
pub type HostSignals = Vec<Option<Vec<f64>>>;

type Backward = dyn Fn(&HostNode<'_>) -> Result<HostSignals> + Send + Sync;

/// A rule whose every class is one closure, computed on the host in double precision wherever the network runs: the run
/// stops at the node, its values come to the host, and the signal goes back. Slow, and without any kernel to write.
pub struct HostRule<S: Single> {
    name: String,
    backward: Arc<Backward>,
    signal: PhantomData<fn() -> S>,
}

impl<S: Single> HostRule<S> {
    /// A rule called `name`, which is recorded with every map.
    pub fn new(
        name: &str,
        backward: impl Fn(&HostNode<'_>) -> Result<HostSignals> + Send + Sync + 'static,
    ) -> Self {
        Self { name: String::from(name), backward: Arc::new(backward), signal: PhantomData }
    }

    fn run(&self, site: &mut Site<'_>, upper: &S) -> Result<Vec<Option<S>>> {
        let count = site.node().inputs.len();
        let mut reads = vec![upper.result(site.emitter()), site.output()];
        reads.extend((0..count).map(|i| site.input(i)));
        let wanted: Vec<bool> = (0..count).map(|i| site.wants(i)).collect();
        let shapes: Vec<Shape> = reads.iter().map(|&r| site.shape(r)).collect();
        let results: Vec<Shape> = (0..count).filter(|&i| wanted[i]).map(|i| shapes[2 + i]).collect();
        let closure = Closure {
            backward: self.backward.clone(),
            node: site.node().clone(),
            examples: site.examples(),
            shapes,
            wanted: wanted.clone(),
        };
        let call = HostCall::new(&self.name, move |operands| closure.call(operands));
        let mut made = site.on_host(call, &reads, &results).into_iter();
        Ok(wanted.iter().map(|w| if *w { made.next().map(S::seed) } else { None }).collect())
    }
}

/// The closure with what it has to know of its node.
struct Closure {
    backward: Arc<Backward>,
    node: Node,
    examples: usize,
    shapes: Vec<Shape>,
    wanted: Vec<bool>,
}

impl Closure {
    fn call(&self, operands: &[&[f64]]) -> Result<Vec<Vec<f64>>> {
        let value = |i: usize| HostValue { shape: self.shapes[i], data: operands[i] };
        let given = (self.backward)(&HostNode {
            node: &self.node,
            examples: self.examples,
            upper: value(0),
            output: value(1),
            inputs: (2..operands.len()).map(value).collect(),
            wanted: &self.wanted,
        })?;
        self.check(&given)?;
        Ok(given
            .into_iter()
            .zip(&self.wanted)
            .filter(|(_, wanted)| **wanted)
            .filter_map(|(s, _)| s)
            .collect())
    }

    fn check(&self, given: &HostSignals) -> Result<()> {
        let fits = |i: usize| match given.get(i) {
            Some(Some(signal)) => signal.len() == self.shapes[2 + i].elements(),
            _ => false,
        };
        match (0..self.wanted.len()).find(|&i| self.wanted[i] && !fits(i)) {
            None => Ok(()),
            Some(i) => Err(Error::invalid(format!(
                "node {:?}: the closure must give operand {i} a signal of shape {}",
                self.node.name,
                self.shapes[2 + i]
            ))),
        }
    }
}

impl<S: Single> Rule for HostRule<S> {
    type Signal = S;

    fn name(&self) -> String {
        self.name.clone()
    }

    fn affine(&self, site: &mut Site<'_>, upper: &S) -> Result<Vec<Option<S>>> {
        self.run(site, upper)
    }

    fn pointwise(&self, site: &mut Site<'_>, upper: &S) -> Result<Vec<Option<S>>> {
        self.run(site, upper)
    }

    fn select(&self, site: &mut Site<'_>, upper: &S) -> Result<Vec<Option<S>>> {
        self.run(site, upper)
    }

    fn bilinear(&self, site: &mut Site<'_>, upper: &S) -> Result<Vec<Option<S>>> {
        self.run(site, upper)
    }

    fn normalise(&self, site: &mut Site<'_>, upper: &S) -> Result<Vec<Option<S>>> {
        self.run(site, upper)
    }

    fn opaque(&self, site: &mut Site<'_>, upper: &S) -> Result<Vec<Option<S>>> {
        self.run(site, upper)
    }
}
