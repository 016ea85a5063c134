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
