//! Places in an order.

/// Ranks from 0, ties averaged.
pub(crate) fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut start = 0;
    while start < order.len() {
        let tied = order[start..].iter().take_while(|&&i| values[i] == values[order[start]]).count();
        let mean = start as f64 + (tied - 1) as f64 / 2.0;
        order[start..start + tied].iter().for_each(|&i| ranks[i] = mean);
        start += tied;
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_share_their_ranks() {
        assert_eq!(ranks(&[5.0, 1.0, 5.0, 7.0, -0.0, 0.0]), [3.5, 2.0, 3.5, 5.0, 0.5, 0.5]);
    }
}
