//! Adaptive pooling names the size of its result; the windows are PyTorch's, and both doors that meet them need the same.

/// Window `i` of `to` over `from` entries: its first entry and the one after its last.
pub(crate) fn window(i: i64, from: i64, to: i64) -> (i64, i64) {
    (i * from / to, ((i + 1) * from + to - 1) / to)
}

/// Size and step of the windows, where all have the same.
pub(crate) fn regular(from: i64, to: i64) -> Option<(i64, i64)> {
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
