//! From the words of a request to what the network's output is weighed with, and on which windows.

use crate::explain::Explainer;
use crate::region::Region;
use crate::request::Request;
use serde_json::Value;
use voxplain_attribution::Target;
use voxplain_tensor::{Error, Result, Tensor};

/// A target, and the windows that it needs.
pub(crate) struct Aim {
    pub target: Target,
    /// Empty where the case has no windows.
    pub windows: Vec<usize>,
}

impl Explainer<'_> {
    /// The target of a request, with class names of the card, differences and regions understood.
    pub(crate) fn aim(&self, request: &Request) -> Result<Aim> {
        if let Value::String(words) = &request.target {
            if let Some((classes, region)) = words.split_once('@') {
                return self.regional(classes, &Region::parse(region)?);
            }
        }
        let target = self.target(&request.target)?;
        let Some(windows) = &self.case.windows else { return Ok(Aim { target, windows: Vec::new() }) };
        // Without a region the whole output counts, each voxel once.
        let Target::Class(class) = target else {
            return Err(Error::invalid(
                "a network that sees windows needs a class as target, of the whole output or of a region: CLASS, \
                 CLASS@pred, CLASS@mask, CLASS@box:X0:X1,Y0:Y1,Z0:Z1",
            ));
        };
        let everywhere = vec![1.0; windows.whole().iter().product()];
        self.weighed(class, None, everywhere)
    }

    fn target(&self, value: &Value) -> Result<Target> {
        let value = match value {
            Value::String(s) if s != "pred" => match self.classes(s)? {
                (a, Some(b)) => return Ok(Target::Difference(a, b)),
                (a, None) => Value::from(a),
            },
            other => other.clone(),
        };
        self.context().target(&value, self.reduction)
    }

    /// `A`, or `A-B` for why A rather than B.
    fn classes(&self, words: &str) -> Result<(usize, Option<usize>)> {
        let card = &self.model.card;
        match words.split_once('-').filter(|_| !card.classes.iter().any(|c| c == words)) {
            Some((a, b)) => Ok((card.class(a)?, Some(card.class(b)?))),
            None => Ok((card.class(words)?, None)),
        }
    }

    fn regional(&self, classes: &str, region: &Region) -> Result<Aim> {
        let (class, against) = self.classes(classes)?;
        let prediction = self.predict()?;
        let weights = region.weights(class, self.case, prediction, &self.model.card)?;
        self.weighed(vec![class], against, weights)
    }

    /// `sum(output[class] weights)`, divided among windows where there are any.
    fn weighed(&self, class: Vec<usize>, against: Option<usize>, weights: Vec<f64>) -> Result<Aim> {
        let (region, windows) = match &self.case.windows {
            Some(all) => {
                let (seen, shares) = all.share(&weights)?;
                (shares, seen)
            }
            None => {
                let mut sizes = self.predict()?.shape.clone();
                (sizes[0], sizes[1]) = (1, 1);
                (Tensor::new(&sizes, weights)?, Vec::new())
            }
        };
        Ok(Aim { target: Target::Region { class, against, region }, windows })
    }
}
