//! Regions by the attribution that they hold.

use crate::features::{Features, NO_FEATURE};
use voxplain_attribution::{Attribution, Grid, Map, Method, Network, Target};
use voxplain_graph::Graph;
use voxplain_tensor::{Error, Result, Scalar, Tensor};

/// Regions in the order of their density of attribution, as XRAI has them (Kapishnikov et al., "XRAI: better attributions
/// through regions", ICCV 2019, algorithm 1): of all regions of all partitions, which may overlap, the one whose entries
/// that are not taken yet have the largest mean takes them, and every entry gets that mean. The paper's base is the mean of
/// Integrated Gradients from black and from white, its partitions are segmentations of several scales; here both are
/// given. Means keep sums, so the maps add up to what the bases' maps do, but for entries that no region has.
pub struct Xrai<S> {
    /// The methods whose mean map is gathered.
    pub bases: Vec<Box<dyn Method<S>>>,
    /// The partitions.
    pub partitions: Vec<Features>,
}

/// The regions of one example: for every entry of all inputs its attribution and its region in every partition.
struct Regions<'a> {
    attribution: &'a [f64],
    /// By partition, by entry.
    labels: Vec<Vec<u32>>,
    /// By partition, by region: sum and number of entries that are not taken.
    open: Vec<Vec<(f64, usize)>>,
    /// By partition, by region: its entries.
    entries: Vec<Vec<Vec<u32>>>,
}

impl<'a> Regions<'a> {
    fn new(attribution: &'a [f64], partitions: &[Features], inputs: usize, n: usize) -> Self {
        let labels: Vec<Vec<u32>> =
            partitions.iter().map(|p| (0..inputs).flat_map(|i| p.of(i, n)).copied().collect()).collect();
        let mut open: Vec<Vec<(f64, usize)>> = partitions.iter().map(|p| vec![(0.0, 0); p.count()]).collect();
        let mut entries: Vec<Vec<Vec<u32>>> =
            partitions.iter().map(|p| vec![Vec::new(); p.count()]).collect();
        for (p, labels) in labels.iter().enumerate() {
            for (at, &label) in labels.iter().enumerate().filter(|(_, l)| **l != NO_FEATURE) {
                let region = &mut open[p][label as usize];
                *region = (region.0 + attribution[at], region.1 + 1);
                entries[p][label as usize].push(at as u32);
            }
        }
        Self { attribution, labels, open, entries }
    }

    /// The densest region with entries left: partition, region and mean.
    fn densest(&self) -> Option<(usize, usize, f64)> {
        let all = self.open.iter().enumerate().flat_map(|(p, regions)| {
            let left = regions.iter().enumerate().filter(|(_, (_, count))| *count > 0);
            left.map(move |(r, (sum, count))| (p, r, sum / *count as f64))
        });
        // Of equals the first.
        all.reduce(|best, next| if next.2 > best.2 { next } else { best })
    }

    /// The map: every entry's mean at the time when it was taken.
    fn paint(mut self) -> Vec<f64> {
        let mut map = vec![0.0; self.attribution.len()];
        let mut taken = vec![false; self.attribution.len()];
        while let Some((p, r, mean)) = self.densest() {
            for at in std::mem::take(&mut self.entries[p][r]) {
                let at = at as usize;
                if !std::mem::replace(&mut taken[at], true) {
                    map[at] = mean;
                    self.take(at);
                }
            }
            self.open[p][r] = (0.0, 0);
        }
        map
    }

    /// Removes an entry from the regions that it lies in.
    fn take(&mut self, at: usize) {
        for (labels, open) in self.labels.iter().zip(&mut self.open) {
            if labels[at] != NO_FEATURE {
                let region = &mut open[labels[at] as usize];
                *region = (region.0 - self.attribution[at], region.1.saturating_sub(1));
            }
        }
    }
}

/// The mean of several results on the inputs' own grids: by example, the entries of all inputs in one list.
fn mean<S: Scalar>(results: &[Attribution<S>], examples: usize) -> Result<Vec<Vec<f64>>> {
    let mut lists = vec![Vec::new(); examples];
    for map in results.iter().flat_map(|r| &r.maps) {
        if !matches!(map.grid, Grid::Input(_)) {
            return Err(Error::invalid("regions gather maps that lie on the inputs' own grids"));
        }
        let length = map.values.data().len() / examples;
        let rows = map.values.data().chunks(length);
        lists.iter_mut().zip(rows).for_each(|(l, row)| l.extend(row.iter().map(|v| v.to_f64())));
    }
    let count = results.len();
    let average = |list: Vec<f64>| {
        let one = list.len() / count;
        (0..one).map(|i| (0..count).map(|k| list[k * one + i]).sum::<f64>() / count as f64).collect()
    };
    Ok(lists.into_iter().map(average).collect())
}

/// Lists of entries as maps on the inputs' grids.
fn maps<S: Scalar>(graph: &Graph, lists: &[Vec<f64>]) -> Result<Vec<Map<S>>> {
    let mut start = 0;
    let mut maps = Vec::new();
    for &value in graph.inputs() {
        let length = graph.shape(value).elements();
        let part = lists.iter().flat_map(|list| &list[start..start + length]);
        let data = part.map(|&v| S::from_f64(v)).collect();
        let values = Tensor::new(&graph.batched_shape(value, lists.len())?, data)?;
        maps.push(Map { grid: Grid::Input(graph.value(value).name.clone()), values });
        start += length;
    }
    Ok(maps)
}

impl<S: Scalar> Method<S> for Xrai<S> {
    fn name(&self) -> &'static str {
        "xrai"
    }

    fn passes(&self) -> (u64, u64) {
        self.bases.iter().map(|b| b.passes()).fold((0, 0), |sum, p| (sum.0 + p.0, sum.1 + p.1))
    }

    fn seconds_beside(&self, graph: &Graph, inputs: &[Tensor<S>]) -> Result<f64> {
        self.bases.iter().map(|base| base.seconds_beside(graph, inputs)).sum()
    }

    fn attribute(
        &self,
        network: &mut dyn Network<S>,
        inputs: &[Tensor<S>],
        target: &Target,
    ) -> Result<Attribution<S>> {
        if self.bases.is_empty() || self.partitions.is_empty() {
            return Err(Error::invalid("regions need at least one method and one partition"));
        }
        let examples = network.examples(inputs)?;
        let target = network.settle(target, inputs)?;
        let results: Vec<Attribution<S>> =
            self.bases.iter().map(|b| b.attribute(network, inputs, &target)).collect::<Result<_>>()?;
        let lists = mean(&results, examples)?;
        let paint =
            |(n, list): (usize, &Vec<f64>)| Regions::new(list, &self.partitions, inputs.len(), n).paint();
        let painted: Vec<Vec<f64>> = lists.iter().enumerate().map(paint).collect();
        let differences = mean_differences(&results);
        let sums = painted.iter().map(|list| list.iter().sum::<f64>());
        let residuals =
            differences.as_ref().map(|d| sums.zip(d).map(|(sum, difference)| sum - difference).collect());
        let total = |lists: &[Vec<f64>]| lists.iter().flatten().sum::<f64>();
        let outside = total(&lists) - total(&painted);
        let regions: usize = self.partitions.iter().map(|p| p.present(0).len()).sum();
        Ok(Attribution {
            maps: maps(network.graph(), &painted)?,
            values: results[0].values.clone(),
            residuals,
            differences,
            forward_passes: results.iter().map(|r| r.forward_passes).sum(),
            backward_passes: results.iter().map(|r| r.backward_passes).sum(),
            notes: vec![format!(
                "{regions} regions over {}; entries that no region has held {outside:.6}, which the map leaves out",
                self.bases[0].name()
            )],
            ledger: None,
            scores: None,
        })
    }
}

/// The mean of what the bases' maps promise to sum to, if all of them promise it.
fn mean_differences<S: Scalar>(results: &[Attribution<S>]) -> Option<Vec<f64>> {
    let all: Vec<&Vec<f64>> = results.iter().map(|r| r.differences.as_ref()).collect::<Option<_>>()?;
    let mean = |n: usize| all.iter().map(|d| d[n]).sum::<f64>() / all.len() as f64;
    Some((0..all[0].len()).map(mean).collect())
}
