//! Other shapes of the same elements, and axes in another order.
//!
//! A view becomes a reshape to the sizes that PyTorch found for one example, so a literal batch such as `view([1, -1])`
//! means the same as a free one.

use super::call::{Call, axis};
use super::unsupported;
use crate::raw::Attribute;
use voxplain_tensor::{Error, Result};

pub(super) fn translate(call: &mut Call<'_>) -> Result<bool> {
    match call.operator() {
        "view" | "reshape" | "_unsafe_view" | "flatten" | "unflatten" | "squeeze" | "unsqueeze" => {
            if call.overload() == "dtype" {
                return Err(unsupported("bits read as another type are not supported"));
            }
            // The sizes of the result say it all.
            let _ = ["size", "shape", "start_dim", "end_dim", "dim", "sizes"].map(|key| call.has(key));
            let x = call.tensor("self")?;
            reshape(call, x)?;
        }
        "view_as" | "reshape_as" => {
            let _ = call.has("other");
            let x = call.tensor("self")?;
            reshape(call, x)?;
        }
        "permute" => {
            let order = call.optional_ints("dims")?.unwrap_or_default();
            transpose(call, order)?;
        }
        "transpose" | "swapaxes" | "swapdims" => {
            let keys = if call.operator() == "transpose" { ["dim0", "dim1"] } else { ["axis0", "axis1"] };
            let rank = call.sizes("self")?.len();
            let (a, b) = (call.axis(keys[0], 0, rank)?, call.axis(keys[1], 1, rank)?);
            let mut order: Vec<i64> = (0..rank as i64).collect();
            order.swap(a.min(rank.saturating_sub(1)), b.min(rank.saturating_sub(1)));
            transpose(call, order)?;
        }
        "t" | "numpy_T" => {
            let rank = call.sizes("self")?.len() as i64;
            transpose(call, (0..rank).rev().collect())?;
        }
        "movedim" => moved(call)?,
        "expand" | "expand_as" => {
            let _ = ["size", "implicit", "other"].map(|key| call.has(key));
            let x = call.tensor("self")?;
            let sizes = call.output_sizes(0)?;
            let sizes = call.whole("sizes", sizes);
            call.emit("Expand", vec![x, sizes], vec![]);
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// `x` in the shape of the first result.
pub(super) fn reshape(call: &mut Call<'_>, x: String) -> Result<()> {
    let sizes = call.output_sizes(0)?;
    let sizes = call.whole("sizes", sizes);
    call.emit("Reshape", vec![x, sizes], vec![]);
    Ok(())
}

fn transpose(call: &mut Call<'_>, order: Vec<i64>) -> Result<()> {
    let x = call.tensor("self")?;
    call.emit("Transpose", vec![x], vec![("perm", Attribute::Ints(order))]);
    Ok(())
}

/// Axes taken out and put in elsewhere.
fn moved(call: &mut Call<'_>) -> Result<()> {
    let rank = call.sizes("self")?.len();
    let list = |key: &'static str| -> Result<Vec<usize>> {
        call.optional_ints(key)?.unwrap_or_default().iter().map(|&a| axis(a, rank)).collect()
    };
    let (from, to) = (list("source")?, list("destination")?);
    let mut order: Vec<i64> = (0..rank as i64).filter(|&a| !from.contains(&(a as usize))).collect();
    let mut pairs: Vec<(usize, usize)> = to.into_iter().zip(from).collect();
    pairs.sort_unstable();
    for (to, from) in pairs {
        if to > order.len() {
            return Err(Error::invalid("movedim names an axis twice; export again"));
        }
        order.insert(to, from as i64);
    }
    transpose(call, order)
}
