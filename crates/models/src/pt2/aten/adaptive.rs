//! Adaptive pooling names the size of the result; which windows these are is decided at lowering.

use super::call::Call;
use super::ints;
use voxplain_tensor::{Error, Result};

pub(super) fn pool(call: &mut Call<'_>, max: bool) -> Result<()> {
    let x = call.sizes("self")?;
    let to = call.optional_ints("output_size")?.unwrap_or_default();
    if x.len() != to.len() + 2 || to.iter().any(|&s| s < 1) {
        return Err(Error::invalid(format!(
            "data of sizes {x:?} pooled to {to:?}; export with a batch axis"
        )));
    }
    let input = call.tensor("self")?;
    let op = if max { "AdaptiveMaxPool" } else { "AdaptiveAveragePool" };
    call.emit(op, vec![input], vec![("output_size", ints(&to))]);
    Ok(())
}
