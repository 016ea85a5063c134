//! Every entry by itself.

use super::{Features, sizes};
use voxplain_graph::Graph;

impl Features {
    /// Every entry by itself.
    pub fn each(graph: &Graph) -> Self {
        let mut next = 0u32;
        let one = |n: usize| {
            let row = (0..n as u32).map(|i| next + i).collect();
            next += n as u32;
            vec![row]
        };
        Self::counted(sizes(graph).into_iter().map(one).collect())
    }
}
