//! Rules that are closures on the host.

use super::*;

/// LRP-epsilon of linear layers and the gradient of ReLU as closures on the host.
fn host_epsilon(epsilon: f64) -> HostRule<Relevance> {
    HostRule::new("host_epsilon", move |n| {
        let (x, y) = (n.inputs[0].data, n.output.data);
        if n.node.op.kind() == "Relu" {
            return Ok(vec![Some(n.upper.data.to_vec())]);
        }
        let (w, outputs) = (n.inputs[1], n.inputs[1].shape[0]);
        let features = w.shape[1];
        let mut lower = vec![0.0; x.len()];
        for example in 0..n.examples {
            for j in 0..outputs {
                let at = example * outputs + j;
                let s = n.upper.data[at] / (y[at] + if y[at] >= 0.0 { epsilon } else { -epsilon });
                for i in 0..features {
                    lower[example * features + i] += x[example * features + i] * w.data[j * features + i] * s;
                }
            }
        }
        let mut signals: HostSignals = vec![None; n.inputs.len()];
        signals[0] = Some(lower);
        Ok(signals)
    })
}

/// Signals of every device with a rule on the host, beside the same rule by kernels.
fn host_agrees<D: Device>(device: &D, tolerance: f64) {
    let graph = two_ways(true);
    let x = Tensor::new(&[3, 2], vec![3.0, 1.0, 2.5, 0.25, 4.0, -1.0]).unwrap();
    let method = |table: Composite<Relevance>, name: &str| {
        Backward::with_table("lrp", Arc::new(Rules { name: name.into(), composite: table }), Scaling::None)
    };
    let host = method(Composite::everywhere(host_epsilon(0.1)), "host");
    let lines = [("everything", "unweighted", 0.1), ("kind Gemm", "epsilon", 0.1)];
    let lines = lines.map(|(on, rule, v)| {
        let key = if rule == "epsilon" { "epsilon" } else { "stabilizer" };
        Line::new(Matcher::parse(on).unwrap(), rule, &[(key, v)])
    });
    let kernels = method(table(&lines).unwrap(), "kernels");
    let (a, b) =
        (run_on(&graph, device, &host, std::slice::from_ref(&x)), run_on(&graph, device, &kernels, &[x]));
    let (a, b) = (map(&a), map(&b));
    assert!(relative_error(&a, &b) <= tolerance, "{a:?} {b:?}");
    assert!(b.iter().any(|v| *v != 0.0));
}

#[test]
fn a_rule_on_the_host_works_on_every_device() {
    host_agrees(&Oracle, 1e-12);
    host_agrees(&Cpu::best(), 1e-5);
    if let Some(device) = shim(0) {
        host_agrees(&device, 1e-5);
    }
}

/// A closure that answers in a wrong shape is an error that names the node; so is one that fails by itself.
#[test]
fn a_wrong_closure_is_an_error() {
    let x = Tensor::new(&[1, 2], vec![3.0f32, 1.0]).unwrap();
    let cpu = Cpu::best();
    let graph = two_ways(true);
    let rule = HostRule::<Cotangent>::new("short", |_| Ok(vec![Some(vec![1.0])]));
    let method = Backward::with_rule("short", rule, Scaling::None);
    let error =
        method.attribute(&mut Engine::new(&graph, &cpu, None), &[x], &Target::Class(vec![0])).unwrap_err();
    assert!(error.message().contains("must give operand 0 a signal of shape"), "{error}");
    assert!(error.message().contains("\"relu2\"") || error.message().contains("\"b\""), "{error}");
}

/// Rules by kernels that are wrong: one that asks for weights of nodes without any, one that answers in a wrong shape, one that
/// divides by 0.
struct Wrong(&'static str);

impl Rule for Wrong {
    type Signal = Relevance;

    fn name(&self) -> String {
        self.0.into()
    }

    fn affine(&self, site: &mut Site<'_>, upper: &Relevance) -> voxplain::Result<Vec<Option<Relevance>>> {
        match self.0 {
            "greedy" => {
                let (x, second) = (site.input(0), site.input(1));
                let product = site.emitter().mul(x, second);
                Ok(site.to_first(Relevance(product)))
            }
            "misshapen" => Ok(site.to_first(*upper)),
            _ => {
                let shape = site.shape(upper.0);
                let nothing = site.emitter().fill(0.0, shape);
                let share = site.emitter().binary(BinaryFn::Div, upper.0, nothing);
                Ok(site.by_value(share)?.into_iter().map(|r| r.map(Relevance)).collect())
            }
        }
    }
}

#[test]
fn a_wrong_rule_is_an_error_that_names_the_node() {
    let mut b = GraphBuilder::new();
    let x = b.input("x", &[1, 3]).unwrap();
    let h = linear(&mut b, "layer", x, &[&[1.0, 2.0, 3.0], &[1.0, 1.0, 1.0]], &[]);
    let y = b.node("flat", Op::Reshape { sizes: vec![1, 2, 1] }, &[h]).unwrap();
    let y = b.node("back", Op::Reshape { sizes: vec![1, 2] }, &[y]).unwrap();
    let graph = b.finish(&[y]).unwrap();
    let cpu = Cpu::best();
    for (name, node, part) in [
        ("greedy", "back", "asks for operand 1 of a node that has 1"),
        ("misshapen", "back", "a signal of shape [1, 2] returned for operand 0, whose shape is [1, 2, 1]"),
        ("endless", "back", "no finite number"),
    ] {
        let rules = Rules { name: name.into(), composite: Composite::everywhere(Wrong(name)).with_books() };
        let method = Propagation { name: "wrong", rules, start: Start::Output };
        let x = Tensor::new(&[1, 3], vec![3.0f32, 1.0, 2.0]).unwrap();
        let error = method
            .attribute(&mut Engine::new(&graph, &cpu, None), &[x], &Target::Class(vec![0]))
            .unwrap_err();
        assert!(error.message().contains(part), "{error}");
        assert!(error.message().contains(&format!("{node:?}")), "{error}");
    }
}
