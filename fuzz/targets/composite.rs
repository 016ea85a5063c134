//! Composites in files, and which rule they mean at the nodes of a small network.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;
use voxplain::Model;
use voxplain::request::{Request, parse_composite};

static MODEL: LazyLock<Option<Model>> =
    LazyLock::new(|| Model::from_bytes(include_bytes!("../corpus/model_file/convzoo2d")).ok());

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (Ok(params), Some(model)) = (parse_composite(text), MODEL.as_ref()) else { return };
    let _ = voxplain::rules(model, &Request { params, ..Request::named("composite") });
});
