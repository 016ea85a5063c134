//! The program `voxplain`: arguments in, exit codes out. Everything else is in the library.
#![forbid(unsafe_code)]

mod commands;

use clap::{Parser, Subcommand};
use std::process::ExitCode;
use voxplain::ErrorKind;

/// Explains what a convolutional network saw in a multi-modal medical image. Research use; not for diagnosis.
#[derive(Parser)]
#[command(name = "voxplain", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Makes a phantom patient, explains a small network on it with every method, writes maps and figures.
    Demo(commands::demo::Demo),
    /// Makes phantom patients: four modalities as NIfTI, segmentation and label.
    Phantom(commands::phantom::PhantomCommand),
    /// Turns a PyTorch program (.pt2), an ONNX model or a PyTorch state dict into a model file.
    Import(commands::import::Import),
    /// Shows a network: layers, shapes, parameters, operations, memory.
    Inspect(commands::inspect::Inspect),
    /// Prints a network's outputs on a case, to compare with its origin before believing a map.
    Predict(commands::predict::Predict),
    /// Explains a network's output on a case.
    Explain(Box<commands::explain::Explain>),
    /// Says how much each modality matters, for one case or a data set.
    Modalities(commands::modalities::Modalities),
    /// Checks what methods promise on a network and a case.
    Verify(Box<commands::verify::Verify>),
}

/// What a command that ran has to say to a scheduler.
pub enum Outcome {
    /// Everything was done.
    Done,
    /// Finished, but some units failed.
    Partial,
    /// No unit worked; what went wrong has been said.
    Failed(ErrorKind),
}

/// The exit code of an error.
fn code(kind: ErrorKind) -> ExitCode {
    ExitCode::from(match kind {
        ErrorKind::InvalidInput | ErrorKind::Unsupported | ErrorKind::Limit => 2,
        ErrorKind::Violation => 4,
        _ => 1,
    })
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Demo(c) => c.run(),
        Command::Phantom(c) => c.run(),
        Command::Import(c) => c.run(),
        Command::Inspect(c) => c.run(),
        Command::Predict(c) => c.run(),
        Command::Explain(c) => c.run(),
        Command::Modalities(c) => c.run(),
        Command::Verify(c) => c.run(),
    };
    match result {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Partial) => ExitCode::from(3),
        Ok(Outcome::Failed(kind)) => code(kind),
        Err(error) => {
            eprintln!("voxplain: {error}");
            code(error.kind())
        }
    }
}
