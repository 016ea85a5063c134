//! Which device computes: the choice that a user makes, and the device that it leads to.

use crate::explain::Settings;
use std::ops::Range;
use std::str::FromStr;
use std::sync::Arc;
use voxplain_autodiff::{Batching, Device as Kernels, Joining, Plan, Slot};
use voxplain_cpu::{Cpu, CpuMemory};
use voxplain_cuda::{Cuda, Driver, GpuMemory, Products};
use voxplain_tensor::{Error, Result};

/// The device that computes. Results are the same bits on the same device, and agree between devices within the rounding
/// of their sums.
///
/// ```
/// use voxplain::Device;
/// assert_eq!("cuda:1".parse::<Device>()?, Device::Cuda(1));
/// assert!("gpu".parse::<Device>().is_err());
/// # Ok::<(), voxplain::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Device {
    /// The first CUDA GPU that can be used, else the CPU.
    Auto,
    /// The CPU. The default: the CUDA kernels have been tested on the CPU only, no GPU has been measured yet.
    #[default]
    Cpu,
    /// The CUDA GPU of this number.
    Cuda(usize),
}

impl FromStr for Device {
    type Err = Error;

    /// Reads `auto`, `cpu`, `cuda` (the first GPU) or `cuda:N`.
    fn from_str(text: &str) -> Result<Self> {
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            _ => {
                let number = text.strip_prefix("cuda:").and_then(|n| n.parse().ok());
                number.map(Self::Cuda).ok_or_else(|| {
                    Error::invalid(format!("device {text:?} is not known; auto, cpu or cuda:N is expected"))
                })
            }
        }
    }
}

impl Device {
    /// Opens the device as the settings want it.
    pub(crate) fn open(self, settings: &Settings) -> Result<Machine> {
        let products = Products { factors: settings.factors, ..Products::default() };
        let cuda = |number| -> Result<Machine> {
            let gpu = Cuda::open(number)?.with_products(products);
            let rounded = settings.factors.name().map_or(String::new(), |name| format!(", {name}"));
            let name = format!("{}{rounded}", gpu.name());
            Ok(Machine::Cuda(Box::new(gpu), name))
        };
        match self {
            Self::Cuda(number) => cuda(number),
            Self::Auto if Cuda::count() > 0 => cuda(0).or_else(|_| Self::Cpu.open(settings)),
            Self::Auto | Self::Cpu => {
                let cpu = Cpu::best().with_threads(settings.threads)?;
                Ok(Machine::Cpu(cpu.with_filtering(settings.filtering)))
            }
        }
    }
}

/// An open device, whichever it is.
pub(crate) enum Machine {
    Cpu(Cpu),
    /// With the name in words, its products included.
    Cuda(Box<Cuda>, String),
}

/// The memory of a session on it.
pub(crate) enum MachineMemory {
    Cpu(CpuMemory),
    Cuda(GpuMemory<Driver>),
}

/// Of the free memory of a GPU, the part that is left for the driver and for others.
const SPARE: usize = 16;

impl Machine {
    /// The part of the device that decides bits: the instruction set and the mode, or the GPU's model.
    pub fn bits(&self) -> &str {
        match self {
            Self::Cpu(cpu) => cpu.bits(),
            Self::Cuda(_, name) => name,
        }
    }

    /// The bytes above weights of `weights` bytes that a run may use: the user's limit, and what a GPU has.
    pub fn limit(&self, memory: Option<usize>, weights: usize) -> Option<usize> {
        match self {
            Self::Cpu(_) => memory,
            Self::Cuda(gpu, _) => {
                // A GPU that cannot say what is free will say so when the memory is taken.
                let free = gpu.free_memory().ok().map(|n| (n - n / SPARE).saturating_sub(weights));
                memory.into_iter().chain(free).min()
            }
        }
    }
}

fn mixed() -> Error {
    Error::internal("a session of another device")
}

fn cpu_base(base: Option<&MachineMemory>) -> Result<Option<&CpuMemory>> {
    match base {
        Some(MachineMemory::Cpu(base)) => Ok(Some(base)),
        Some(MachineMemory::Cuda(_)) => Err(mixed()),
        None => Ok(None),
    }
}

fn cuda_base(base: Option<&MachineMemory>) -> Result<Option<&GpuMemory<Driver>>> {
    match base {
        Some(MachineMemory::Cuda(base)) => Ok(Some(base)),
        Some(MachineMemory::Cpu(_)) => Err(mixed()),
        None => Ok(None),
    }
}

impl Kernels for Machine {
    type Scalar = f32;
    type Memory = MachineMemory;

    fn prepare(&self, plan: Arc<Plan>) -> Result<MachineMemory> {
        match self {
            Self::Cpu(cpu) => cpu.prepare(plan).map(MachineMemory::Cpu),
            Self::Cuda(gpu, _) => gpu.prepare(plan).map(MachineMemory::Cuda),
        }
    }

    fn write(&self, memory: &mut MachineMemory, slot: Slot, data: &[f32]) -> Result<()> {
        match (self, memory) {
            (Self::Cpu(cpu), MachineMemory::Cpu(memory)) => cpu.write(memory, slot, data),
            (Self::Cuda(gpu, _), MachineMemory::Cuda(memory)) => gpu.write(memory, slot, data),
            _ => Err(mixed()),
        }
    }

    fn read(&self, memory: &MachineMemory, slot: Slot, data: &mut [f32]) -> Result<()> {
        match (self, memory) {
            (Self::Cpu(cpu), MachineMemory::Cpu(memory)) => cpu.read(memory, slot, data),
            (Self::Cuda(gpu, _), MachineMemory::Cuda(memory)) => gpu.read(memory, slot, data),
            _ => Err(mixed()),
        }
    }

    fn view<'m>(&self, memory: &'m MachineMemory, slot: Slot) -> Result<Option<&'m [f32]>> {
        match (self, memory) {
            (Self::Cpu(cpu), MachineMemory::Cpu(memory)) => cpu.view(memory, slot),
            (Self::Cuda(gpu, _), MachineMemory::Cuda(memory)) => gpu.view(memory, slot),
            _ => Err(mixed()),
        }
    }

    fn set_parameter(&self, memory: &mut MachineMemory, parameter: usize, data: &[f32]) -> Result<()> {
        match (self, memory) {
            (Self::Cpu(cpu), MachineMemory::Cpu(memory)) => cpu.set_parameter(memory, parameter, data),
            (Self::Cuda(gpu, _), MachineMemory::Cuda(memory)) => gpu.set_parameter(memory, parameter, data),
            _ => Err(mixed()),
        }
    }

    fn run(&self, memory: &mut MachineMemory, base: Option<&MachineMemory>, step: usize) -> Result<()> {
        match (self, memory) {
            (Self::Cpu(cpu), MachineMemory::Cpu(memory)) => cpu.run(memory, cpu_base(base)?, step),
            (Self::Cuda(gpu, _), MachineMemory::Cuda(memory)) => gpu.run(memory, cuda_base(base)?, step),
            _ => Err(mixed()),
        }
    }

    fn run_steps(
        &self,
        memory: &mut MachineMemory,
        base: Option<&MachineMemory>,
        plan: &Plan,
        steps: Range<usize>,
    ) -> Result<()> {
        match (self, memory) {
            (Self::Cpu(cpu), MachineMemory::Cpu(memory)) => {
                cpu.run_steps(memory, cpu_base(base)?, plan, steps)
            }
            (Self::Cuda(gpu, _), MachineMemory::Cuda(memory)) => {
                gpu.run_steps(memory, cuda_base(base)?, plan, steps)
            }
            _ => Err(mixed()),
        }
    }

    fn paste(
        &self,
        base: &mut MachineMemory,
        into: Slot,
        memory: &MachineMemory,
        part: Slot,
        place: &[isize],
    ) -> Result<()> {
        match (self, base, memory) {
            (Self::Cpu(cpu), MachineMemory::Cpu(base), MachineMemory::Cpu(memory)) => {
                cpu.paste(base, into, memory, part, place)
            }
            (Self::Cuda(gpu, _), MachineMemory::Cuda(base), MachineMemory::Cuda(memory)) => {
                gpu.paste(base, into, memory, part, place)
            }
            _ => Err(mixed()),
        }
    }

    fn hand_over(&self, from: &mut MachineMemory, to: &mut MachineMemory) -> Result<bool> {
        match (self, from, to) {
            (Self::Cpu(cpu), MachineMemory::Cpu(from), MachineMemory::Cpu(to)) => cpu.hand_over(from, to),
            (Self::Cuda(gpu, _), MachineMemory::Cuda(from), MachineMemory::Cuda(to)) => {
                gpu.hand_over(from, to)
            }
            _ => Err(mixed()),
        }
    }

    fn batching(&self) -> Batching {
        match self {
            Self::Cpu(cpu) => cpu.batching(),
            Self::Cuda(gpu, _) => gpu.batching(),
        }
    }

    fn threads(&self) -> usize {
        match self {
            Self::Cpu(cpu) => cpu.threads(),
            Self::Cuda(gpu, _) => gpu.threads(),
        }
    }

    fn joining(&self) -> Joining {
        match self {
            Self::Cpu(cpu) => cpu.joining(),
            Self::Cuda(gpu, _) => gpu.joining(),
        }
    }

    fn mixing(&self) -> bool {
        match self {
            Self::Cpu(cpu) => cpu.mixing(),
            Self::Cuda(gpu, _) => gpu.mixing(),
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::Cpu(cpu) => cpu.name(),
            Self::Cuda(_, name) => name,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs on every machine: with a GPU the device opens, without one a sentence says so and the choice `auto` works.
    #[test]
    fn a_machine_without_a_gpu_says_so_in_one_line() {
        assert!(Device::Auto.open(&Settings::default()).is_ok());
        match Device::Cuda(Cuda::count()).open(&Settings::default()) {
            Ok(_) => unreachable!("there is no GPU of this number"),
            Err(error) => {
                let text = error.to_string();
                assert!(text.contains("--device cpu") && !text.contains('\n'), "{text}");
            }
        }
    }
}
