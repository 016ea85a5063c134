//! The network this program was first asked to explain, published as a state dict without a graph: GeneNet, the 3D
//! VGG of Jin et al. (MethodsX 2023): blocks of n times convolution 3^3, batch normalisation, ReLU, then max
//! pooling 2; flatten; two linear layers with a ReLU between. Blocks, convolutions per block and widths are read
//! from the names and shapes of the state dict, so its smaller relatives load too.

use super::blueprint::{Blueprint, Flow};
use super::layers::EPSILON;
use super::windows::Conv;
use voxplain_tensor::{Error, Result};

/// How module names continue after the block.
const INFIXES: [&str; 4] = ["", ".op", ".layers", ".block"];

pub(super) const ANCHORS: &[&str] =
    &["conv1.0.weight", "conv1.op.0.weight", "conv1.layers.0.weight", "conv1.block.0.weight"];

/// Modules per convolution in a block: convolution, normalisation, activation.
const PER_CONV: usize = 3;

/// More halvings than any input has.
const MOST_BLOCKS: usize = 16;

pub(super) fn build(b: &mut Blueprint) -> Result<Vec<Flow>> {
    let at = ANCHORS.iter().position(|a| b.weights.has(a)).unwrap_or(0);
    let module = |block: usize, i: usize| format!("conv{block}{}.{i}", INFIXES[at]);
    let first = b.weights.ranked(ANCHORS[at], 5)?;
    let blocks = b.weights.count(|i| format!("{}.weight", module(i + 1, 0)));
    let convolutions =
        |b: &Blueprint, block: usize| b.weights.count(|i| format!("{}.weight", module(block, i * PER_CONV)));
    let last = format!("{}.weight", module(blocks, (convolutions(b, blocks) - 1) * PER_CONV));
    let cube = cube(b, blocks, &last);
    let size = match &cube {
        Ok(edge) => b.settings.spatial(3, Some(&[*edge; 3]))?,
        Err(e) => b.settings.spatial(3, None).map_err(|_| e.clone())?,
    };
    let mut x = b.input("x", &[&first[1..2], &size[..]].concat());
    for block in 1..=blocks {
        let count = convolutions(b, block);
        for i in 0..count {
            let at = i * PER_CONV;
            x = b.conv(&x, &module(block, at), &Conv::biased(3))?;
            x = b.batch_norm(&x, &module(block, at + 1), EPSILON)?;
            x = b.relu(&x, &module(block, at + 2));
        }
        x = b.max_pool(&x, &module(block, count * PER_CONV), (2, 2, 0))?;
    }
    x = b.flatten(&x, "flat");
    x = b.linear(&x, "dense.0").map_err(|e| e.within(format!("with an input of {size:?}")))?;
    x = b.relu(&x, "dense.1");
    Ok(vec![b.classifier(&x, "dense.3")?])
}

/// The edge of the cube whose flattened last block fits the first linear layer.
fn cube(b: &Blueprint, blocks: usize, last: &str) -> Result<usize> {
    let features = b.weights.ranked("dense.0.weight", 2)?[1];
    let channels = b.weights.ranked(last, 5)?[0];
    let volume = features / channels;
    let edge = (1..=volume).find(|e| e * e * e >= volume).unwrap_or(0);
    if blocks > MOST_BLOCKS || edge.saturating_pow(3).saturating_mul(channels) != features {
        return Err(Error::invalid(format!(
            "{features} features of {channels} channels are no cube; name the input size"
        )));
    }
    Ok(edge << blocks)
}
