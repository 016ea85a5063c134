//! Adaptive pooling names the size of the result. Where PyTorch's windows are regular they are an ordinary pooling;
//! where they are not, each is cut out, which is exact because a window is a product of intervals.

use super::call::Call;
use super::{ints, unsupported};
use crate::raw::Attribute;
use voxplain_tensor::{Error, Result};

/// Irregular windows cost nodes.
const MOST_WINDOWS: usize = 64;

pub(super) fn pool(call: &mut Call<'_>, max: bool) -> Result<()> {
    let x = call.sizes("self")?;
    let to = call.optional_ints("output_size")?.unwrap_or_default();
    let spatial = x.get(x.len().saturating_sub(to.len())..).unwrap_or(&[]);
    if x.len() != to.len() + 2 || spatial.iter().chain(&to).any(|&s| s < 1) {
        return Err(Error::invalid(format!(
            "data of sizes {x:?} pooled to {to:?}; export with a batch axis"
        )));
    }
    let input = call.tensor("self")?;
    if to.iter().all(|&t| t == 1) {
        call.emit(if max { "GlobalMaxPool" } else { "GlobalAveragePool" }, vec![input], vec![]);
        return Ok(());
    }
    let windows: Vec<Option<(i64, i64)>> = spatial.iter().zip(&to).map(|(&n, &t)| regular(n, t)).collect();
    let irregular: Vec<usize> = (0..to.len()).filter(|&i| windows[i].is_none()).collect();
    let kernel: Vec<i64> = windows.iter().map(|w| w.map_or(1, |w| w.0)).collect();
    let strides: Vec<i64> = windows.iter().map(|w| w.map_or(1, |w| w.1)).collect();
    let attributes = vec![("kernel_shape", Attribute::Ints(kernel)), ("strides", Attribute::Ints(strides))];
    let op = if max { "MaxPool" } else { "AveragePool" };
    if irregular.is_empty() {
        call.emit(op, vec![input], attributes);
        return Ok(());
    }
    let mut value = call.step("regular", op, vec![input], attributes);
    for (done, &i) in irregular.iter().enumerate() {
        let parts = cut(call, &value, i, spatial[i], to[i], max)?;
        let axis = vec![("axis", Attribute::Int(i as i64 + 2))];
        if done + 1 == irregular.len() {
            call.emit("Concat", parts, axis);
            return Ok(());
        }
        value = call.step(&format!("axis{i}"), "Concat", parts, axis);
    }
    Ok(())
}

/// Window `i` of `to` over `from` entries.
fn window(i: i64, from: i64, to: i64) -> (i64, i64) {
    (i * from / to, ((i + 1) * from + to - 1) / to)
}

/// Size and step of the windows, where all have the same.
fn regular(from: i64, to: i64) -> Option<(i64, i64)> {
    if from % to == 0 {
        return Some((from / to, from / to));
    }
    // No image has such an axis, and looking at every window takes time.
    if from.max(to) > 1 << 12 {
        return None;
    }
    let all: Vec<(i64, i64)> = (0..to).map(|i| window(i, from, to)).collect();
    let size = all[0].1;
    let step = all.get(1).map_or(size, |w| w.0);
    let same = all.iter().enumerate().all(|(i, w)| w.1 - w.0 == size && w.0 == i as i64 * step);
    (same && step > 0).then_some((size, step))
}

/// Every window of one axis, pooled to one entry.
fn cut(call: &mut Call<'_>, value: &str, i: usize, from: i64, to: i64, max: bool) -> Result<Vec<String>> {
    if to as usize > MOST_WINDOWS || from > 1 << 31 {
        return Err(unsupported(&format!(
            "adaptive pooling of {from} entries to {to} has irregular windows, of which at most {MOST_WINDOWS} are \
             supported; choose a size that divides {from}"
        )));
    }
    let axis = i as i64 + 2;
    let op = if max { "ReduceMax" } else { "ReduceMean" };
    let mut parts = Vec::new();
    for k in 0..to {
        let (start, end) = window(k, from, to);
        let bounds = vec![("starts", ints(&[start])), ("ends", ints(&[end])), ("axes", ints(&[axis]))];
        let part = call.step(&format!("axis{i}.window{k}"), "Slice", vec![value.into()], bounds);
        let one = vec![("axes", ints(&[axis])), ("keepdims", Attribute::Int(1))];
        parts.push(call.step(&format!("axis{i}.pooled{k}"), op, vec![part], one));
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_of_equal_size_and_step_are_an_ordinary_pooling() {
        assert_eq!(regular(12, 6), Some((2, 2)));
        assert_eq!(regular(7, 6), Some((2, 1)));
        assert_eq!(regular(5, 5), Some((1, 1)));
        assert_eq!(regular(7, 3), Some((3, 2)));
        assert_eq!(regular(8, 3), None);
        assert_eq!(regular(1, 6), None);
        assert_eq!(regular(9, 1), Some((9, 9)));
    }
}
