//! MONAI's `Convolution` and `ResidualUnit`, which its U-shaped networks are made of: a convolution, then normalisation
//! and activation in the module `adn`.

use super::blueprint::{Blueprint, Flow};
use super::windows::Conv;
use voxplain_tensor::{Error, Result};

/// What the blocks of a network do by default.
#[derive(Clone, Copy, Debug)]
pub(super) struct Adn {
    /// The normalisation where the file has no running statistics.
    pub norm: &'static str,
    /// The activation where the file has no learned slope.
    pub act: &'static str,
}

impl Blueprint {
    /// Normalisation and activation in the order of the setting `ordering`.
    pub fn adn(&mut self, x: &Flow, module: &str, adn: Adn) -> Result<Flow> {
        let ordering = self.settings.text("ordering", "NDA").to_uppercase();
        let mut x = x.clone();
        for letter in ordering.chars() {
            x = match letter {
                'N' => self.norm(&x, &format!("{module}.N"), adn.norm)?,
                'A' => self.activation(&x, &format!("{module}.A"), adn.act)?,
                'D' => x,
                _ => {
                    return Err(Error::invalid(format!(
                        "setting ordering={ordering}; letters N, D and A expected"
                    )));
                }
            };
        }
        Ok(x)
    }

    /// A convolution with normalisation and activation.
    pub fn convolution(&mut self, x: &Flow, module: &str, conv: &Conv, adn: Adn) -> Result<Flow> {
        let x = self.conv(x, &format!("{module}.conv"), conv)?;
        self.adn(&x, &format!("{module}.adn"), adn)
    }

    /// A transposed convolution that multiplies sizes by the strides, as MONAI pads it; no normalisation and activation
    /// if `alone`.
    pub fn convolution_up(
        &mut self,
        x: &Flow,
        module: &str,
        strides: &[usize],
        adn: Option<Adn>,
    ) -> Result<Flow> {
        let padding = strides.iter().map(|s| s - 1).collect();
        let conv = Conv::same().strides(strides).output_padding(padding);
        let x = self.conv_transpose(x, &format!("{module}.conv"), &conv)?;
        match adn {
            Some(adn) => self.adn(&x, &format!("{module}.adn"), adn),
            None => Ok(x),
        }
    }

    /// Units of convolutions with a shortcut; the last unit is a convolution alone if `last_alone`.
    pub fn residual_unit(
        &mut self,
        x: &Flow,
        module: &str,
        strides: &[usize],
        adn: Adn,
        last_alone: bool,
    ) -> Result<Flow> {
        let shortcut = format!("{module}.residual");
        let mut residual = x.clone();
        if self.weights.has_module(&shortcut) {
            residual = self.conv(x, &shortcut, &Conv::same().strides(strides))?;
        }
        let units = self.weights.count(|i| format!("{module}.conv.unit{i}"));
        if units == 0 {
            self.weights.shape(&format!("{module}.conv.unit0.conv.weight"))?;
        }
        let mut y = x.clone();
        for i in 0..units {
            let unit = format!("{module}.conv.unit{i}");
            let conv = if i == 0 { Conv::same().strides(strides) } else { Conv::same() };
            y = if last_alone && i + 1 == units {
                self.conv(&y, &format!("{unit}.conv"), &conv)?
            } else {
                self.convolution(&y, &unit, &conv, adn)?
            };
        }
        self.add(&y, &residual, &format!("{module}.add"))
    }
}
