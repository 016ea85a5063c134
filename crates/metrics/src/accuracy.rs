//! The share of cases that a network gets right.

/// The share of rows of probabilities whose largest is their label's; of a single probability, whether it is on the
/// label's side of the threshold (1/2 by default). `None` without rows.
///
/// ```
/// use voxplain_metrics::accuracy;
/// let rows = [vec![0.9, 0.1], vec![0.6, 0.4], vec![0.65, 0.35], vec![0.2, 0.8]];
/// assert_eq!(accuracy(&rows, &[0, 0, 1, 1], None), Some(0.75));
/// assert_eq!(accuracy(&[vec![0.2], vec![0.2]], &[0, 1], Some(0.1)), Some(0.5));
/// assert_eq!(accuracy(&[], &[], None), None);
/// ```
pub fn accuracy(rows: &[Vec<f64>], labels: &[usize], threshold: Option<f64>) -> Option<f64> {
    let class = |row: &Vec<f64>| match row.as_slice() {
        [p] => usize::from(*p >= threshold.unwrap_or(0.5)),
        all => (0..all.len()).fold(0, |best, i| if all[i] > all[best] { i } else { best }),
    };
    let right = rows.iter().zip(labels).filter(|(row, label)| class(row) == **label).count();
    (!rows.is_empty()).then(|| right as f64 / rows.len() as f64)
}
