//! `voxplain demo`.

use super::requests::ALL;
use super::{progress, say};
use crate::Outcome;
use clap::Args;
use serde_json::{Value, json};
use std::path::PathBuf;
use voxplain::imaging::{Lesion, Phantom, PhantomOptions};
use voxplain::request::Request;
use voxplain::{Case, Explainer, Format, Model, Result};

/// The network that `examples/train_demo.rs` trained.
const NETWORK: &[u8] = include_bytes!("../../../../assets/demo.safetensors");

/// A phantom patient, a small network trained by this workspace, every method.
#[derive(Args)]
pub struct Demo {
    /// The folder for everything.
    #[arg(short, long, default_value = "voxplain-demo")]
    out: PathBuf,
    /// The phantom's seed.
    #[arg(long, default_value_t = 2026)]
    seed: u64,
}

impl Demo {
    /// Makes, explains, writes, and says where to look.
    pub fn run(&self) -> Result<Outcome> {
        let options = PhantomOptions {
            seed: self.seed,
            orientation: "LPS".into(),
            class: Some(Lesion::Lobed),
            ..PhantomOptions::default()
        };
        let phantom = Phantom::generate(&options)?;
        phantom.write(&self.out, "patient")?;
        let model_path = self.out.join("demo.safetensors");
        voxplain::imaging::atomic_write(&model_path, |out| Ok(out.write_all(NETWORK)?))?;
        let model = Model::from_bytes(NETWORK)?;
        let case = Case::open(&model, &[self.out.join("patient").display().to_string()])?;
        let case = case.with_mask(phantom.segmentation.clone())?;
        let explainer = Explainer::new(&model, &case);
        let bar = progress(ALL.len() as u64);
        for name in ALL {
            bar.set_message(name);
            let explained = explainer.run(&request(name))?;
            explained.write(&self.out.join("maps"), &[Format::Nifti, Format::Png])?;
            bar.suspend(|| say(&format!("{name}: {}", explained.summary())));
            bar.inc(1);
        }
        bar.finish_and_clear();
        say(&format!(
            "\nmade a {} lesion; t1ce always shows it, flair in 7 of 10 cases, t1 and t2 never",
            phantom.class
        ));
        say(&format!("images   {}", self.out.join("patient").display()));
        say(&format!("figures  {}", self.out.join("maps/*/montage.png").display()));
        say(&format!(
            "maps     {} (NIfTI, overlay them on the images)",
            self.out.join("maps/*/t1ce.nii.gz").display()
        ));
        say(&format!(
            "again    voxplain explain {} {} -m all -o OUT",
            model_path.display(),
            self.out.join("patient").display()
        ));
        Ok(Outcome::Done)
    }
}

/// Each method with settings that suit the demo.
fn request(name: &str) -> Request {
    let params = match name {
        "integrated_gradients" => json!({"tolerance": 1e-3}),
        "gradient_shap" => json!({"draws": 20}),
        "smoothgrad" | "smoothgrad_sq" | "vargrad" => json!({"draws": 20, "sigma": 0.15}),
        _ => json!({}),
    };
    let params = params.as_object().cloned().unwrap_or_default();
    let target = Value::from("pred");
    Request {
        id: String::from(name),
        method: String::from(name),
        params,
        target,
        expected: Default::default(),
    }
}
