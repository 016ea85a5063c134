//! Fitted patterns.

use super::*;

/// The pattern of one linear layer by its definition, from samples with known moments.
#[test]
fn patterns_by_their_definition() {
    let rows: [&[f32]; 2] = [&[3.0, -4.0, 0.5], &[0.25, 1.0, -2.0]];
    let graph = |relu: bool| {
        let mut b = GraphBuilder::new();
        let x = b.input("x", &[1, 3]).unwrap();
        let y = linear(&mut b, "layer", x, &rows, &[0.5, -0.25]);
        let y = if relu { b.relu("relu", y).unwrap() } else { y };
        b.finish(&[y]).unwrap()
    };
    let n = 17;
    let samples: Vec<f64> = (0..3 * n).map(|i| f64::from((i * 29 % 37) as i32 - 18) / 10.0).collect();
    for relu in [false, true] {
        let graph = graph(relu);
        let x = Tensor::new(&[n, 3], samples.clone()).unwrap();
        let patterns = fit(&mut Engine::new(&graph, &Oracle, None), &[x]).unwrap();
        let have = &patterns.by_node["layer"].data;
        for (j, row) in rows.iter().enumerate() {
            let bias = [0.5, -0.25][j];
            let y: Vec<f64> = samples
                .chunks(3)
                .map(|x| bias + x.iter().zip(*row).map(|(x, w)| x * f64::from(*w)).sum::<f64>())
                .collect();
            let counted: Vec<usize> = (0..n).filter(|&k| !relu || y[k] > 0.0).collect();
            let mean = y.iter().sum::<f64>() / n as f64;
            let over =
                |f: &dyn Fn(usize) -> f64| counted.iter().map(|&k| f(k)).sum::<f64>() / counted.len() as f64;
            let covariance =
                |i: usize| over(&|k| samples[3 * k + i] * y[k]) - over(&|k| samples[3 * k + i]) * mean;
            let norm: f64 = (0..3).map(|i| f64::from(row[i]) * covariance(i)).sum();
            let want: Vec<f64> = (0..3).map(|i| covariance(i) / norm).collect();
            let own: Vec<f64> = have[3 * j..3 * j + 3].iter().map(|&v| f64::from(v)).collect();
            close(&own, &want, 1e-6);
        }
        // PatternAttribution of one layer is w a, and what it gives out is all of the seed.
        let rule = Pattern::attribution(Arc::new(patterns.clone()));
        let method = Backward::with_rule("pattern_attribution", rule, Scaling::None);
        let result = map(&run(&graph, &method, &[1.0, -0.5, 0.25]));
        assert!((result.iter().sum::<f64>() - 1.0).abs() < 1e-6, "{result:?}");
    }
}

/// Patterns of a convolution add up with its weights to 1 at every output that was seen, on the CPU as on the oracle.
#[test]
fn patterns_of_convolutions() {
    let mut b = GraphBuilder::new();
    let x = b.input("x", &[1, 2, 5, 4]).unwrap();
    let weights: Vec<f32> = (0..54).map(|i| ((i * 31 % 47) as f32 - 23.0) / 20.0).collect();
    let w = b.parameter("w", &[3, 2, 3, 3], weights.clone()).unwrap();
    let y = b.conv("conv", x, w, None, ConvAttributes::padded(2, 1)).unwrap();
    let y = b.relu("relu", y).unwrap();
    let y = b.node("flat", Op::Reshape { sizes: vec![1, 60] }, &[y]).unwrap();
    let graph = b.finish(&[y]).unwrap();
    let data: Vec<f64> = (0..240).map(|i| f64::from(i * 53 % 101 - 50) / 25.0).collect();
    let x = Tensor::new(&[6, 2, 5, 4], data).unwrap();
    let exact = fit(&mut Engine::new(&graph, &Oracle, None), std::slice::from_ref(&x)).unwrap();
    let cpu = Cpu::best();
    let single = fit(&mut Engine::new(&graph, &cpu, None), &[x.convert::<f32>()]).unwrap();
    let (a, b) = (&exact.by_node["conv"].data, &single.by_node["conv"].data);
    for j in 0..3 {
        let own = 18 * j..18 * j + 18;
        let sum: f64 = a[own.clone()].iter().zip(&weights[own]).map(|(a, w)| f64::from(a * w)).sum();
        assert!((sum - 1.0).abs() < 1e-5, "{sum}");
    }
    let wide = |v: &[f32]| v.iter().map(|&v| f64::from(v)).collect::<Vec<f64>>();
    assert!(relative_error(&wide(b), &wide(a)) < 1e-3);
}
