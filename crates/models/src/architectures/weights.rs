//! A state dict must fit its architecture exactly: every tensor is asked for by name and shape, and one that is missing,
//! left over or of another shape is named.

use crate::raw::Constant;
use std::collections::{BTreeMap, BTreeSet};
use voxplain_tensor::{Error, Result};

/// Wrappers that training code puts around a network.
const WRAPPERS: [&str; 4] = ["module.", "model.", "net.", "_orig_mod."];

/// The tensors of a state dict and which of them have a place.
pub(super) struct Weights {
    architecture: String,
    tensors: BTreeMap<String, Constant>,
    used: BTreeSet<String>,
    ignored: BTreeSet<String>,
}

impl Weights {
    /// The tensors that matter at inference, and the wrapper that was removed from all names. `anchors` are names of
    /// which the architecture has one: they tell a wrapper from a module of the network that is called the same.
    pub fn new(
        architecture: &str,
        mut tensors: BTreeMap<String, Constant>,
        anchors: &[&str],
    ) -> Result<(Self, String)> {
        tensors.retain(|name, _| !name.ends_with("num_batches_tracked"));
        let mut removed = String::new();
        while !anchors.iter().any(|a| tensors.contains_key(*a)) {
            let common = |w: &&&str| !tensors.is_empty() && tensors.keys().all(|name| name.starts_with(**w));
            let Some(wrapper) = WRAPPERS.iter().find(common) else {
                return Err(Error::invalid(format!(
                    "no tensor {}; the file is not a state dict of {architecture}",
                    anchors.iter().map(|a| format!("{a:?}")).collect::<Vec<_>>().join(" or ")
                )));
            };
            tensors =
                tensors.into_iter().map(|(name, c)| (String::from(&name[wrapper.len()..]), c)).collect();
            removed.push_str(wrapper);
        }
        if let Some((name, _)) = tensors.iter().find(|(_, c)| c.len() == 0 || c.shape().len() > 6) {
            return Err(Error::invalid(format!("tensor {name:?} has no elements or more than 6 axes")));
        }
        let architecture = String::from(architecture);
        Ok((Self { architecture, tensors, used: BTreeSet::new(), ignored: BTreeSet::new() }, removed))
    }

    /// Whether the state dict has this tensor.
    pub fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// Whether a tensor lies inside this module.
    pub fn has_module(&self, module: &str) -> bool {
        let start = format!("{module}.");
        self.tensors.range(start.clone()..).next().is_some_and(|(name, _)| name.starts_with(&start))
    }

    /// The names of all tensors.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// How many of the names `f(0)`, `f(1)`, ... exist before the first that does not, as tensors or modules.
    pub fn count(&self, f: impl Fn(usize) -> String) -> usize {
        (0..self.tensors.len()).take_while(|&i| self.has(&f(i)) || self.has_module(&f(i))).count()
    }

    /// The shape of a tensor that must be there.
    pub fn shape(&self, name: &str) -> Result<Vec<usize>> {
        let found = self.tensors.get(name).map(|c| c.shape().to_vec());
        found.ok_or_else(|| {
            Error::invalid(format!(
                "{} needs a tensor {name:?}, which the file does not have",
                self.architecture
            ))
        })
    }

    /// The shape of a tensor that must have `rank` axes.
    pub fn ranked(&self, name: &str, rank: usize) -> Result<Vec<usize>> {
        let shape = self.shape(name)?;
        if shape.len() == rank {
            return Ok(shape);
        }
        Err(Error::invalid(format!("tensor {name:?} has shape {shape:?}; {rank} axes are expected")))
    }

    /// Gives a tensor its place.
    pub fn take(&mut self, name: &str, expected: &[usize]) -> Result<()> {
        let shape = self.shape(name)?;
        if shape != expected {
            return Err(Error::invalid(format!(
                "tensor {name:?} has shape {shape:?}; {expected:?} expected"
            )));
        }
        self.used.insert(String::from(name));
        Ok(())
    }

    /// The same values under another shape, for operators that broadcast from the right.
    pub fn reshape(&mut self, name: &str, shape: &[usize]) -> Result<()> {
        let missing = || Error::internal(format!("tensor {name:?} is reshaped before it is there"));
        match self.tensors.get_mut(name).ok_or_else(missing)? {
            Constant::Float { shape: own, .. } | Constant::Int { shape: own, .. } => *own = shape.to_vec(),
        }
        Ok(())
    }

    /// Drops the tensors below a module that inference does not use, and says how many there were.
    pub fn ignore(&mut self, module: &str) -> usize {
        let start = format!("{module}.");
        let below = self.tensors.keys().filter(|name| name.starts_with(&start)).cloned();
        let below: Vec<String> = below.collect();
        self.ignored.extend(below.iter().cloned());
        below.len()
    }

    /// Gives tensors other names, as where a file holds one tensor under two.
    ///
    /// # Errors
    /// Two tensors get one name and differ.
    pub fn rename(&mut self, f: impl Fn(&str) -> String) -> Result<()> {
        let mut renamed: BTreeMap<String, Constant> = BTreeMap::new();
        for (old, constant) in std::mem::take(&mut self.tensors) {
            let new = f(&old);
            match renamed.get(&new) {
                Some(other) if *other != constant => {
                    return Err(Error::invalid(format!(
                        "tensors {old:?} and {new:?} are one weight in {} and hold different values",
                        self.architecture
                    )));
                }
                _ => renamed.insert(new, constant),
            };
        }
        self.tensors = renamed;
        Ok(())
    }

    /// All tensors that have a place.
    ///
    /// # Errors
    /// A tensor is left over.
    pub fn finish(mut self) -> Result<BTreeMap<String, Constant>> {
        let extra = self.tensors.keys().find(|n| !self.used.contains(*n) && !self.ignored.contains(*n));
        if let Some(extra) = extra {
            return Err(Error::invalid(format!(
                "tensor {extra:?} does not belong to {} with these settings",
                self.architecture
            )));
        }
        self.tensors.retain(|name, _| self.used.contains(name));
        Ok(self.tensors)
    }
}
