//! Other devices: plain sums in place of Winograd's filtering, and a GPU where there is one.

use super::Measured;
use super::trial::{Trial, distance};
use crate::device::{Device, Machine};
use crate::explain::Settings;
use voxplain_cpu::Filtering;
use voxplain_cuda::Cuda;
use voxplain_tensor::Result;

/// The map on the other devices of this machine, against what rounding may do to it.
pub fn devices(trial: &Trial<'_>) -> Result<Measured> {
    let (mut worst, mut names) = (0.0f64, Vec::new());
    for machine in others(&trial.explainer.settings)? {
        worst = worst.max(distance(&trial.maps_on(&machine)?, &trial.base));
        names.push(machine.bits().to_owned());
    }
    let own = trial.explainer.device_isa();
    let detail =
        format!("of the sum, by {own} and by {} (exact: tap by tap, without Winograd)", names.join(", "));
    Ok(Measured::Deviation(worst, trial.control()?, detail))
}

fn others(own: &Settings) -> Result<Vec<Machine>> {
    let cpu = |filtering: Filtering| Device::Cpu.open(&Settings { filtering, ..own.clone() });
    if own.device != Device::Cpu {
        return Ok(vec![cpu(Filtering::Accurate)?, cpu(Filtering::Direct)?]);
    }
    let other = if own.filtering == Filtering::Direct { Filtering::Accurate } else { Filtering::Direct };
    let mut list = vec![cpu(other)?];
    if Cuda::count() > 0 {
        list.push(Device::Cuda(0).open(own)?);
    }
    Ok(list)
}
