//! Faithfulness correlation: whether what a map says about sets of entries is what taking them away does.

use crate::pearson::pearson;
use crate::removal::{Evaluate, Removal, subset};
use voxplain_tensor::{Error, Result, Scalar};

/// Pearson's correlation, over `draws` random sets S of `size` entries, of `sum_(i in S) a_i` with `F(x) - F(x with S as in the
/// baseline)` (Bhatt, Weller & Moura, IJCAI 2020, definition 3.1). 1 for input times gradient of a linear network from a baseline
/// of 0. Images with entries taken away are none that the network was made for, so compare maps, not numbers. `None` where
/// either side does not vary: a constant map, a constant network, less than two draws.
///
/// # Errors
/// Lengths do not fit, `size` is 0 or more than there are entries, or as `value`.
pub fn faithfulness_correlation<S: Scalar>(
    removal: Removal<'_, S>,
    map: &[f64],
    (size, draws, seed): (usize, usize, u64),
    value: Evaluate<'_, S>,
) -> Result<Option<f64>> {
    removal.check(map)?;
    if size == 0 || size > removal.entries() {
        return Err(Error::invalid(format!(
            "sets of {size} of {} entries; between 1 and all of them expected",
            removal.entries()
        )));
    }
    let whole = value(removal.inputs)?;
    let (mut said, mut done) = (Vec::new(), Vec::new());
    for draw in 0..draws {
        let set = subset(map.len(), size, (seed, draw));
        said.push(set.iter().map(|&i| map[i]).sum());
        done.push(whole - value(&removal.without(&set))?);
    }
    Ok(pearson(&said, &done))
}
