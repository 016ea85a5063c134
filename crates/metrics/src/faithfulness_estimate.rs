//! Faithfulness estimate: the correlation of a map with the effect of its entries, block by block from the largest down.

use crate::pearson::pearson;
use crate::removal::{Evaluate, Removal};
use voxplain_tensor::{Error, Result, Scalar};

/// Pearson's correlation of `sum_(i in block) a_i` with `F(x) - F(x with the block as in the baseline)` over blocks of `size`
/// entries in falling order of the map (Alvarez-Melis & Jaakkola, "Towards robust interpretability with self-explaining neural
/// networks", NeurIPS 2018, section 5.2, where blocks are single entries). Each block is taken away from the image itself; equal
/// values stay in the order of their entries. `None` where either side does not vary or the map has a value that is not
/// finite.
///
/// # Errors
/// Lengths do not fit, `size` is 0, or as `value`.
pub fn faithfulness_estimate<S: Scalar>(
    removal: Removal<'_, S>,
    map: &[f64],
    size: usize,
    value: Evaluate<'_, S>,
) -> Result<Option<f64>> {
    removal.check(map)?;
    if size == 0 {
        return Err(Error::invalid("blocks of 0 entries; at least 1 expected"));
    }
    let mut order: Vec<usize> = (0..map.len()).collect();
    order.sort_by(|&a, &b| map[b].total_cmp(&map[a]));
    let whole = value(removal.inputs)?;
    let (mut said, mut done) = (Vec::new(), Vec::new());
    for block in order.chunks(size) {
        said.push(block.iter().map(|&i| map[i]).sum());
        done.push(whole - value(&removal.without(block))?);
    }
    Ok(pearson(&said, &done))
}
