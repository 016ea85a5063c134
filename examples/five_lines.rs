//! Five lines: open a network, open a patient, explain, print, write.
//!
//! Usage: `cargo run --release -p voxplain-examples --example five_lines -- MODEL FOLDER OUT`

use voxplain::{Case, Explainer, Model, Result};

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [model, folder, out] = &words[..] else {
        return Err(voxplain::Error::invalid("three words expected: MODEL FOLDER OUT"));
    };
    let model = Model::open(model.as_ref())?;
    let case = Case::open(&model, std::slice::from_ref(folder))?;
    let explainer = Explainer::new(&model, &case);
    let map = explainer.explain("integrated_gradients", "pred")?;
    println!("{}", map.summary());
    map.write_nifti(out.as_ref())
}
