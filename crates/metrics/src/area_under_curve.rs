//! The area under the ROC curve.

use crate::ranks::ranks;

/// The area under the ROC curve: the chance that a row of the class scores more than one of another, ties counting half
/// (Mann & Whitney 1947: from the sum of the class's ranks). Of more than two classes the mean over the classes that some rows
/// have and some have not. `None` where there is no such class.
///
/// ```
/// use voxplain_metrics::area_under_curve;
/// // The example of scikit-learn's roc_auc_score.
/// let rows: Vec<Vec<f64>> = [0.1, 0.4, 0.35, 0.8].iter().map(|&p| vec![1.0 - p, p]).collect();
/// assert_eq!(area_under_curve(&rows, &[0, 0, 1, 1]), Some(0.75));
/// assert_eq!(area_under_curve(&rows, &[1, 1, 1, 1]), None);
/// assert_eq!(area_under_curve(&[vec![0.2], vec![0.2]], &[0, 1]), Some(0.5));
/// let three = [vec![0.8, 0.1, 0.1], vec![0.1, 0.8, 0.1], vec![0.1, 0.1, 0.8]];
/// assert_eq!(area_under_curve(&three, &[0, 1, 2]), Some(1.0));
/// ```
pub fn area_under_curve(rows: &[Vec<f64>], labels: &[usize]) -> Option<f64> {
    let classes = match rows.first().map_or(0, Vec::len) {
        // One probability, or two that add up to 1: that of class 1.
        1 | 2 => 1..2,
        n => 0..n,
    };
    let areas: Vec<f64> = classes.filter_map(|class| against_rest(rows, labels, class)).collect();
    (!areas.is_empty()).then(|| areas.iter().sum::<f64>() / areas.len() as f64)
}

fn against_rest(rows: &[Vec<f64>], labels: &[usize], class: usize) -> Option<f64> {
    let score = |row: &Vec<f64>| if row.len() == 1 { row[0] } else { row[class] };
    let ranks = ranks(&rows.iter().map(score).collect::<Vec<f64>>());
    let own: Vec<f64> =
        ranks.iter().zip(labels).filter(|(_, label)| **label == class).map(|(r, _)| *r).collect();
    let (n, others) = (own.len() as f64, (rows.len() - own.len()) as f64);
    let wins = own.iter().sum::<f64>() - n * (n - 1.0) / 2.0;
    (n * others > 0.0).then(|| wins / (n * others))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// By the definition, pair by pair; scores of few values, so that there are ties.
        #[test]
        fn the_share_of_pairs(list in prop::collection::vec((0u8..5, 0usize..2), 1..30)) {
            let (rows, labels): (Vec<Vec<f64>>, Vec<usize>) =
                list.iter().map(|&(v, l)| (vec![f64::from(v)], l)).unzip();
            let of = |own| list.iter().filter(move |p| p.1 == own).map(|p| p.0);
            let win = |a: u8, b: u8| if a == b { 0.5 } else { f64::from(u8::from(a > b)) };
            let wins: f64 = of(1).flat_map(|a| of(0).map(move |b| win(a, b))).sum();
            let pairs = of(1).count() * of(0).count();
            let found = area_under_curve(&rows, &labels);
            prop_assert_eq!(found.is_some(), pairs > 0);
            prop_assert!((found.unwrap_or(0.0) - wins / pairs.max(1) as f64).abs() < 1e-12);
        }
    }
}
