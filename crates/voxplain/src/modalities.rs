//! How much each modality matters: exact Shapley values over all `2^M` coalitions of modalities, of one case or of a data
//! set, for an output or for a measure of how well the network does.
//!
//! Absent modalities have the values of a fill. The worth of a coalition is the mean logit or probability of a class, or the
//! accuracy or area under the ROC curve over the cases; importances add up to the worth of all modalities less that of
//! none. Intervals are those of the cases, resampled with replacement (Efron's percentile bootstrap): they say how the values
//! would differ for other patients of the same kind.

use crate::explain::Explainer;
use crate::prediction::probabilities;
use crate::request::Request;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use voxplain_attribution::Generator;
use voxplain_metrics::{accuracy, area_under_curve};
use voxplain_models::{Card, Model};
use voxplain_perturbation::{Frame, coalition_outputs, shapley};
use voxplain_tensor::{Error, Result};

/// What a coalition of modalities is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Worth {
    /// The mean output of a class.
    Logit,
    /// The mean probability of a class.
    Probability,
    /// The share of cases whose largest output is their label's.
    Accuracy,
    /// The area under the ROC curve; of more than two classes the mean over those against the rest.
    Auc,
}

impl Worth {
    /// The worth of that name.
    ///
    /// # Errors
    /// There is none.
    pub fn parse(name: &str) -> Result<Self> {
        match name {
            "logit" => Ok(Self::Logit),
            "probability" => Ok(Self::Probability),
            "accuracy" => Ok(Self::Accuracy),
            "auc" => Ok(Self::Auc),
            _ => Err(Error::invalid(format!(
                "no measure {name:?}; logit, probability, accuracy or auc expected"
            ))),
        }
    }

    fn needs_labels(self) -> bool {
        matches!(self, Self::Accuracy | Self::Auc)
    }
}

/// The outputs of one case for every coalition of its modalities.
#[derive(Clone, Debug, PartialEq)]
pub struct ModalityOutputs {
    /// The case's name.
    pub id: String,
    /// The modalities; modality m is bit m of a coalition's number.
    pub names: Vec<String>,
    /// `[coalition][class]`.
    pub outputs: Vec<Vec<f64>>,
}

/// Importances of modalities.
#[derive(Clone, Debug, PartialEq)]
pub struct ModalityImportance {
    /// The modalities.
    pub names: Vec<String>,
    /// Shapley values, in units of the worth.
    pub values: Vec<f64>,
    /// Standard errors over cases; `None` for a single case, whose values are exact.
    pub errors: Option<Vec<f64>>,
    /// 95 % intervals over cases.
    pub intervals: Option<Vec<[f64; 2]>>,
    /// The worth of no modality and of all.
    pub ends: [f64; 2],
    /// Shapley values of every single case, for worths that single cases have.
    pub cases: Vec<(String, Vec<f64>)>,
}

/// Resamplings of the cases.
const RESAMPLINGS: usize = 2000;

impl Explainer<'_> {
    /// The network's outputs for every coalition of modalities of the case: channels of the input, or named inputs where there
    /// are several (`params` may say otherwise: `mask`, and `baseline` and `inside` for what absent modalities become).
    ///
    /// # Errors
    /// The output is no vector of classes, the case has several examples, or a parameter does not fit.
    pub fn modality_outputs(&self, params: &Map<String, Value>) -> Result<ModalityOutputs> {
        let graph = &self.model.graph;
        let default = if graph.inputs().len() > 1 { "input" } else { "modality" };
        let mut params = params.clone();
        params.entry("mask").or_insert_with(|| Value::from(default));
        let request = Request { params, ..Request::named("shapley_values") };
        self.context().method::<f32>(&request)?;
        let features = self.context().features_of(&request)?;
        let baseline = self.context().baseline_of::<f32>(&request)?;
        let shape = graph.shape(graph.outputs()[0]);
        if shape.rank() != 2 || shape[0] != 1 || self.case.windows.is_some() {
            return Err(Error::unsupported(format!(
                "the importance of modalities needs one output per class, and the output has shape {shape}"
            )));
        }
        let outputs = coalition_outputs(&mut self.engine(), &self.case.inputs, &baseline, &features)?;
        let names =
            features.regions(graph, 0).iter().map(|r| self.modality_name(r.input, r.channel)).collect();
        let [outputs] = <[_; 1]>::try_from(outputs).map_err(|all| {
            Error::invalid(format!("{} examples in one case; give each by itself", all.len()))
        })?;
        Ok(ModalityOutputs { id: self.case.id.clone(), names, outputs })
    }

    fn channels(&self, input: usize) -> usize {
        let graph = &self.model.graph;
        Frame::of(graph, graph.inputs()[input]).channels
    }

    /// What a channel of an input, or an input, is called.
    pub(crate) fn modality_name(&self, input: Option<usize>, channel: Option<usize>) -> String {
        let graph = &self.model.graph;
        let Some(input) = input else { return String::from("several inputs") };
        let name = &graph.value(graph.inputs()[input]).name;
        let card = self.model.card.inputs.iter().find(|c| c.name == *name);
        match (channel, card) {
            // Of several inputs, those with a single channel go by their own names.
            (Some(_), _) if graph.inputs().len() > 1 && self.channels(input) == 1 => name.clone(),
            (Some(channel), Some(card)) if channel < card.channels.len() => card.channels[channel].clone(),
            (Some(channel), _) => format!("{name}[{channel}]"),
            (None, _) => name.clone(),
        }
    }
}

/// What is asked of cases.
pub struct ModalityQuestion<'a> {
    /// The worth of a coalition.
    pub worth: Worth,
    /// The class whose logit or probability counts, or `A-B` for the difference of two logits; `pred` for the class that
    /// the network predicts for each case with all modalities.
    pub target: &'a str,
    /// The class of every case, for accuracy and area under the curve.
    pub labels: &'a BTreeMap<String, usize>,
    /// The seed of the resampling.
    pub seed: u64,
}

/// One case with what it is asked for.
struct Asked<'a> {
    outputs: &'a [Vec<f64>],
    class: usize,
    against: Option<usize>,
    label: usize,
}

impl ModalityQuestion<'_> {
    /// The importance of modalities over cases of one network.
    ///
    /// # Errors
    /// There are no cases, they differ in their modalities, a label or class is missing, or the measure is not defined.
    pub fn answer(&self, model: &Model, cases: &[ModalityOutputs]) -> Result<ModalityImportance> {
        let first = cases.first().ok_or_else(|| Error::invalid("no case was given"))?;
        if let Some(other) = cases.iter().find(|c| c.names != first.names) {
            return Err(Error::invalid(format!(
                "case {} has modalities {:?} and case {} has {:?}; the same for all expected",
                first.id, first.names, other.id, other.names
            )));
        }
        let asked: Vec<Asked<'_>> = cases.iter().map(|c| self.ask(&model.card, c)).collect::<Result<_>>()?;
        let all: Vec<&Asked<'_>> = asked.iter().collect();
        let undefined = || {
            Error::invalid(
                "the area under the ROC curve is not defined: all cases have the same label; add cases of another",
            )
        };
        let worths = self.worths(&model.card, &all).ok_or_else(undefined)?;
        let ends = [worths[0], worths[worths.len() - 1]];
        let resampled = if cases.len() > 1 { self.resampled(&model.card, &asked) } else { Vec::new() };
        let single = |(c, a): (&ModalityOutputs, &Asked<'_>)| {
            (c.id.clone(), shapley(&self.worths(&model.card, &[a]).unwrap_or_default()))
        };
        let own = !self.worth.needs_labels();
        Ok(ModalityImportance {
            names: first.names.clone(),
            values: shapley(&worths),
            errors: (!resampled.is_empty()).then(|| columns(&resampled, deviation)),
            intervals: (!resampled.is_empty()).then(|| columns(&resampled, interval)),
            ends,
            cases: match own {
                true => cases.iter().zip(&asked).map(single).collect(),
                false => Vec::new(),
            },
        })
    }

    fn ask<'c>(&self, card: &Card, case: &'c ModalityOutputs) -> Result<Asked<'c>> {
        let whole = case.outputs.last().map_or(&[][..], Vec::as_slice);
        let best = (0..whole.len()).fold(0, |best, i| if whole[i] > whole[best] { i } else { best });
        let known = |class: usize| match class < whole.len().max(2) {
            true => Ok(class),
            false => Err(Error::invalid(format!("no class {class}: the network has {}", whole.len()))),
        };
        let (class, against) = match self.target.split_once('-') {
            _ if self.target == "pred" => (best, None),
            Some((a, b)) if !card.classes.iter().any(|c| c == self.target) => {
                (known(card.class(a)?)?, Some(known(card.class(b)?)?))
            }
            _ => (known(card.class(self.target)?)?, None),
        };
        if against.is_some() && self.worth != Worth::Logit {
            return Err(Error::invalid("a difference of two classes has a logit only; name one class"));
        }
        let label = match self.worth.needs_labels() {
            false => 0,
            true => *self.labels.get(&case.id).ok_or_else(|| {
                Error::invalid(format!(
                    "case {} has no label; add a line {},CLASS to the labels",
                    case.id, case.id
                ))
            })?,
        };
        Ok(Asked { outputs: &case.outputs, class, against, label: known(label)? })
    }

    /// The worth of every coalition over some cases; none where it is not defined.
    fn worths(&self, card: &Card, cases: &[&Asked<'_>]) -> Option<Vec<f64>> {
        let coalitions = cases.first().map_or(0, |c| c.outputs.len());
        let one = |coalition: usize| match self.worth {
            Worth::Logit => mean(cases.iter().map(|c| c.logit(coalition))),
            Worth::Probability => mean(cases.iter().map(|c| c.probability(coalition, card))),
            Worth::Accuracy => {
                accuracy(&probabilities_of(cases, coalition, card), &labels_of(cases), card.threshold)
            }
            Worth::Auc => area_under_curve(&probabilities_of(cases, coalition, card), &labels_of(cases)),
        };
        (0..coalitions).map(one).collect()
    }

    /// Shapley values over resampled cases.
    fn resampled(&self, card: &Card, cases: &[Asked<'_>]) -> Vec<Vec<f64>> {
        let generator = Generator::new(self.seed, 0x4d4f_4441);
        let mut all = Vec::new();
        for draw in 0..RESAMPLINGS as u32 {
            let pick = |i: usize| &cases[generator.below(cases.len(), draw, i as u64)];
            let drawn: Vec<&Asked<'_>> = (0..cases.len()).map(pick).collect();
            all.extend(self.worths(card, &drawn).map(|worths| shapley(&worths)));
        }
        all
    }
}

impl Asked<'_> {
    fn logit(&self, coalition: usize) -> f64 {
        let row = &self.outputs[coalition];
        let at = |class: usize| row.get(class).copied().unwrap_or(0.0);
        at(self.class) - self.against.map_or(0.0, at)
    }

    fn probability(&self, coalition: usize, card: &Card) -> f64 {
        let row = all_probabilities(&self.outputs[coalition], card);
        // A single output is that of class 1; the rest is class 0.
        match (row.as_slice(), self.class) {
            ([p], 1) => *p,
            ([p], _) if card.classes.len() == 2 => 1.0 - p,
            (all, class) => all.get(class).copied().unwrap_or(0.0),
        }
    }
}

fn all_probabilities(row: &[f64], card: &Card) -> Vec<f64> {
    let row: Vec<f32> = row.iter().map(|&v| v as f32).collect();
    probabilities(&row, card.output.as_deref().unwrap_or("logits"))
}

fn probabilities_of(cases: &[&Asked<'_>], coalition: usize, card: &Card) -> Vec<Vec<f64>> {
    cases.iter().map(|c| all_probabilities(&c.outputs[coalition], card)).collect()
}

fn labels_of(cases: &[&Asked<'_>]) -> Vec<usize> {
    cases.iter().map(|c| c.label).collect()
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> Option<f64> {
    let count = values.len();
    (count > 0).then(|| values.sum::<f64>() / count as f64)
}

/// A statistic of every column of rows.
fn columns<T>(rows: &[Vec<f64>], of: fn(Vec<f64>) -> T) -> Vec<T> {
    (0..rows[0].len()).map(|c| of(rows.iter().map(|r| r[c]).collect())).collect()
}

fn deviation(values: Vec<f64>) -> f64 {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0)).sqrt()
}

fn interval(mut values: Vec<f64>) -> [f64; 2] {
    values.sort_by(f64::total_cmp);
    let at = |share: f64| values[((values.len() - 1) as f64 * share).round() as usize];
    [at(0.025), at(0.975)]
}

impl ModalityImportance {
    /// Everything, for machines.
    pub fn to_json(&self) -> Value {
        let row = |m: usize| {
            json!({
                "modality": self.names[m],
                "importance": self.values[m],
                "standard_error": self.errors.as_ref().map(|e| e[m]),
                "interval": self.intervals.as_ref().map(|i| i[m]),
            })
        };
        let case = |(id, values): &(String, Vec<f64>)| json!({"case": id, "importances": values});
        json!({
            "modalities": (0..self.names.len()).map(row).collect::<Vec<_>>(),
            "worth": {"none": self.ends[0], "all": self.ends[1]},
            "cases": self.cases.iter().map(case).collect::<Vec<_>>(),
        })
    }
}

/// Labels of cases from lines `case,class`, the class by name or number; an empty line or one that begins with `case,` is no
/// label.
///
/// # Errors
/// A line has another form, names no class, or a case again.
pub fn parse_labels(text: &str, card: &Card) -> Result<BTreeMap<String, usize>> {
    let mut labels = BTreeMap::new();
    for (i, line) in text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty() && !l.starts_with("case,"))
    {
        let place = |e: Error| e.within(format!("line {}", i + 1));
        let (case, class) = line.split_once(',').ok_or_else(|| {
            place(Error::invalid(format!("{line:?}; a case and its class expected, as patient_1,HGG")))
        })?;
        let class = card.class(class.trim()).map_err(place)?;
        if labels.insert(String::from(case.trim()), class).is_some() {
            return Err(place(Error::invalid(format!("case {case} has two labels"))));
        }
    }
    Ok(labels)
}
