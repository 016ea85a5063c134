//! Code that a page quotes is code that is compiled: every Rust block of the tutorial stands in one of its examples as it is.
#![allow(clippy::unwrap_used)]

use std::path::Path;

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)).unwrap()
}

#[test]
fn the_tutorial_quotes_its_examples() {
    let page = read("docs/writing-a-rule.md");
    let example = read("examples/custom_rule.rs") + &read("examples/check_rule.rs");
    let blocks: Vec<&str> =
        page.split("```rust\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(blocks.len() >= 4);
    for block in blocks {
        assert!(example.contains(block), "not in the examples:\n{block}");
        // A rule of one's own is short.
        assert!(block.lines().count() <= 20, "{} lines:\n{block}", block.lines().count());
    }
}

/// The composite that the page shows is one.
#[test]
fn the_composite_of_the_tutorial_parses() {
    let page = read("docs/writing-a-rule.md");
    let text = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let params = voxplain::request::parse_composite(text).unwrap();
    assert_eq!(params["rule"].as_array().unwrap().len(), 4);
}

/// The table of axioms has a row for every method that requests can name; some stand there under the name of what they are.
#[test]
fn every_method_has_a_row_in_the_table_of_axioms() {
    let page = read("docs/AXIOMS.md");
    let same = |name: &str| {
        match name {
            "saliency" => "gradient",
            "expected_gradients" => "gradient_shap",
            "lrp_zero" => "lrp_0",
            "lrp_alpha_beta" => "lrp_alpha2_beta1",
            other => other,
        }
        .to_owned()
    };
    // A composite is whatever its file says.
    for method in voxplain::request::METHODS.iter().filter(|m| **m != "composite") {
        let row = format!("\n| {} | ", same(method));
        assert!(
            page.contains(&row),
            "{method} has no row; add it to crates/axioms/src/methods.rs and run cargo xtask axioms"
        );
    }
}
