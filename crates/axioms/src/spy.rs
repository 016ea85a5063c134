//! Which inputs a method asks the network about.

use voxplain_attribution::{Fill, FillRow, Network, PassSpec, TakeRow};
use voxplain_graph::Graph;
use voxplain_tensor::{Result, Scalar};

/// A network that remembers every input of its forward passes, all inputs of a row joined.
pub struct Spy<'n, S: Scalar> {
    network: &'n mut dyn Network<S>,
    /// The inputs that were asked about, in order.
    pub rows: Vec<Vec<f64>>,
    /// Whether a reverse pass was asked for.
    pub reversed: bool,
}

impl<'n, S: Scalar> Spy<'n, S> {
    /// Watches `network`.
    pub fn on(network: &'n mut dyn Network<S>) -> Self {
        Self { network, rows: Vec::new(), reversed: false }
    }
}

impl<S: Scalar> Network<S> for Spy<'_, S> {
    fn graph(&self) -> &Graph {
        self.network.graph()
    }

    fn run(
        &mut self,
        spec: &PassSpec<'_>,
        rows: usize,
        fill: FillRow<'_, S>,
        take: TakeRow<'_, S>,
    ) -> Result<()> {
        self.reversed |= spec.table.is_some();
        let mut seen = vec![vec![Vec::new(); self.network.graph().inputs().len()]; rows];
        let mut write = |row: usize, what: Fill, into: &mut [S]| {
            fill(row, what, into);
            if let Fill::Input(i) = what {
                seen[row][i] = into.iter().map(|v| v.to_f64()).collect();
            }
        };
        self.network.run(spec, rows, &mut write, take)?;
        self.rows.extend(seen.into_iter().map(|row| row.concat()));
        Ok(())
    }
}
