//! How well a network does on cases with labels.

/// The share of rows of probabilities whose largest is their label's; of a single probability, whether it is on the
/// label's side of the threshold (1/2 by default). None without rows.
pub(crate) fn accuracy(rows: &[Vec<f64>], labels: &[usize], threshold: Option<f64>) -> Option<f64> {
    let class = |row: &Vec<f64>| match row.as_slice() {
        [p] => usize::from(*p >= threshold.unwrap_or(0.5)),
        all => (0..all.len()).fold(0, |best, i| if all[i] > all[best] { i } else { best }),
    };
    let right = rows.iter().zip(labels).filter(|(row, label)| class(row) == **label).count();
    (!rows.is_empty()).then(|| right as f64 / rows.len() as f64)
}

/// The area under the ROC curve: the chance that a row of the class scores more than one of another, ties counting half
/// (Mann & Whitney 1947). Of more than two classes the mean over the classes that some rows have and some have not. None
/// where there is no such class.
pub(crate) fn area_under_curve(rows: &[Vec<f64>], labels: &[usize]) -> Option<f64> {
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
    let of = |own: bool| {
        let own = rows.iter().zip(labels).filter(move |(_, l)| (**l == class) == own);
        own.map(|(row, _)| score(row)).collect::<Vec<f64>>()
    };
    let (own, others) = (of(true), of(false));
    let mut wins = 0.0;
    for a in &own {
        for b in &others {
            wins += if a > b { 1.0 } else { f64::from(u8::from(a == b)) / 2.0 };
        }
    }
    let pairs = own.len() * others.len();
    (pairs > 0).then(|| wins / pairs as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measures_of_known_lists() {
        let rows: Vec<Vec<f64>> = [0.1, 0.4, 0.35, 0.8].iter().map(|&p| vec![1.0 - p, p]).collect();
        // The example of scikit-learn's roc_auc_score.
        assert_eq!(area_under_curve(&rows, &[0, 0, 1, 1]), Some(0.75));
        assert_eq!(accuracy(&rows, &[0, 0, 1, 1], None), Some(0.75));
        assert_eq!(area_under_curve(&rows, &[1, 1, 1, 1]), None);
        assert_eq!(accuracy(&[], &[], None), None);
        let single: Vec<Vec<f64>> = [0.2, 0.2].iter().map(|&p| vec![p]).collect();
        assert_eq!(area_under_curve(&single, &[0, 1]), Some(0.5));
        assert_eq!(accuracy(&single, &[0, 1], Some(0.1)), Some(0.5));
        let three = [vec![0.8, 0.1, 0.1], vec![0.1, 0.8, 0.1], vec![0.1, 0.1, 0.8]];
        assert_eq!(area_under_curve(&three, &[0, 1, 2]), Some(1.0));
    }
}
