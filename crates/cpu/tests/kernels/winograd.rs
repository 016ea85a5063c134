//! Winograd's filtering against direct sums in double precision: within its bound, and no worse than the plain sum.
#![allow(clippy::unwrap_used, missing_docs)]

use super::common::{self, cpus, numbers, run};
use proptest::prelude::*;
use voxplain_autodiff::{ConvGeometry, Kernel};
use voxplain_cpu::Filtering;

fn volume(sizes: [usize; 3]) -> usize {
    sizes.iter().product()
}

/// The convolution in double precision.
fn reference(g: &ConvGeometry, x: &[f32], w: &[f32]) -> Vec<f64> {
    let (ci, co) = (g.in_channels / g.groups, g.out_channels / g.groups);
    let mut y = vec![0.0; g.batch * g.out_channels * volume(g.output)];
    for (i, y) in y.iter_mut().enumerate() {
        let (plane, p) = (i / volume(g.output), i % volume(g.output));
        let p = [p / (g.output[1] * g.output[2]), p / g.output[2] % g.output[1], p % g.output[2]];
        let (n, o) = (plane / g.out_channels, plane % g.out_channels);
        for c in 0..ci {
            for k in 0..volume(g.kernel) {
                let tap = [k / (g.kernel[1] * g.kernel[2]), k / g.kernel[2] % g.kernel[1], k % g.kernel[2]];
                let at = [0, 1, 2].map(|a| (p[a] * g.stride[a] + tap[a]).wrapping_sub(g.pad[a]));
                if (0..3).any(|a| at[a] >= g.input[a]) {
                    continue;
                }
                let plane = n * g.in_channels + o / co * ci + c;
                let from = (plane * g.input[0] + at[0]) * g.input[1] + at[1];
                *y += f64::from(w[(o * ci + c) * volume(g.kernel) + k])
                    * f64::from(x[from * g.input[2] + at[2]]);
            }
        }
    }
    y
}

fn root_mean_square(got: &[f32], expected: &[f64]) -> f64 {
    let sum: f64 = got.iter().zip(expected).map(|(a, b)| (f64::from(*a) - b).powi(2)).sum();
    (sum / expected.len() as f64).sqrt()
}

/// `sum |w|` of the heaviest output channel.
fn heaviest(w: &[f32], channels: usize) -> f64 {
    w.chunks(w.len() / channels).map(|w| w.iter().map(|v| f64::from(v.abs())).sum()).fold(0.0, f64::max)
}

/// Kernels wide enough to be taken apart, with steps and without, and channels enough to pay for it.
fn wide() -> impl Strategy<Value = ConvGeometry> {
    let axis = (1usize..3, prop_oneof![3 => 4usize..9, 1 => Just(11)], 0usize..5, 0usize..10);
    let width = (1usize..5, prop_oneof![3 => 4usize..9, 1 => Just(11)], 0usize..5, 0usize..60);
    let depth = (1usize..3, 1usize..4, 0usize..2, 0usize..4);
    (depth, axis, width, [1usize..3, 1usize..3, 1usize..4, 16usize..21]).prop_map(|(z, y, x, n)| {
        let [batch, groups, ci, co] = n;
        let axes = [z, y, x];
        let (stride, kernel) = (axes.map(|a| a.0), axes.map(|a| a.1));
        let pad = axes.map(|a| a.2.min(a.1 - 1));
        let input = [0, 1, 2].map(|a| (kernel[a] + axes[a].3).saturating_sub(pad[a]).max(1));
        let output = [0, 1, 2].map(|a| (input[a] + 2 * pad[a]).saturating_sub(kernel[a]) / stride[a] + 1);
        let (in_channels, out_channels, dilation) = (ci * groups, co * groups, [1; 3]);
        ConvGeometry {
            batch,
            groups,
            in_channels,
            out_channels,
            input,
            output,
            kernel,
            stride,
            pad,
            dilation,
        }
    })
}

/// A convolution without steps, of images at least as large as the kernel.
fn plain(
    (batch, groups): (usize, usize),
    [ci, co]: [usize; 2],
    input: [usize; 3],
    kernel: [usize; 3],
    pad: [usize; 3],
) -> ConvGeometry {
    let input = [0, 1, 2].map(|a| input[a].max(kernel[a]));
    ConvGeometry {
        batch,
        groups,
        in_channels: ci * groups,
        out_channels: co * groups,
        input,
        output: [0, 1, 2].map(|a| input[a] + 2 * pad[a] + 1 - kernel[a]),
        kernel,
        stride: [1; 3],
        pad,
        dilation: [1; 3],
    }
}

/// Images of so many channels that positions along height are added up one by one, and kernels that are taken apart.
fn in_parts() -> impl Strategy<Value = ConvGeometry> {
    let channels = [128usize..134, 4usize..20];
    let (inputs, pads) = ([1usize..3, 1usize..9, 1usize..20], [0usize..2, 0usize..3, 0usize..3]);
    let many = (1usize..3, channels, inputs, pads)
        .prop_map(|(batch, channels, input, pad)| plain((batch, 1), channels, input, [1, 3, 3], pad));
    prop_oneof![3 => wide(), 1 => many]
}

/// What the properties of wide kernels are about: their sums are not those of taps one by one.
#[test]
fn wide_kernels_are_taken_apart() {
    let kernels = [(5, 1, 2), (7, 2, 3), (11, 4, 2)];
    for (width, stride, pad) in kernels {
        let output = (32 + 2 * pad - width) / stride + 1;
        let g = ConvGeometry {
            batch: 1,
            groups: 1,
            in_channels: 3,
            out_channels: 16,
            input: [1, 32, 32],
            output: [1, output, output],
            kernel: [1, width, width],
            stride: [1, stride, stride],
            pad: [0, pad, pad],
            dilation: [1; 3],
        };
        let (x, w) = (numbers(1, 3 * volume(g.input)), numbers(2, 48 * volume(g.kernel)));
        for mut cpu in cpus() {
            let made = run(&cpu, Kernel::Conv(g), &[&x, &w], 16 * output * output);
            cpu = cpu.exact();
            assert_ne!(made, run(&cpu, Kernel::Conv(g), &[&x, &w], 16 * output * output), "width {width}");
        }
    }
}

proptest! {
    #![proptest_config(common::cases(48))]

    #[test]
    fn filtering_agrees_with_the_plain_sum(
        deep: bool, batch in 1usize..3, groups in 1usize..3, ci in 1usize..20, co in 4usize..36,
        input in [1usize..7, 1usize..9, 1usize..70], pad in [0usize..3, 0usize..3, 0usize..3], seed: u64,
    ) {
        let g = plain((batch, groups), [ci, co], input, [if deep { 3 } else { 1 }, 3, 3], pad);
        let x = numbers(seed, batch * g.in_channels * volume(g.input));
        let w = numbers(seed ^ 1, g.out_channels * ci * volume(g.kernel));
        let expected = reference(&g, &x, &w);
        let largest = x.iter().fold(0f32, |m, v| m.max(v.abs()));
        let axes = if deep { 3 } else { 2 };
        let unit = f64::from(f32::EPSILON) / 2.0;
        let terms = if ci < 8 { 2 * ci } else { ci };
        let scale = unit * f64::from(largest) * heaviest(&w, g.out_channels);
        // A few terms add up almost without rounding, which nothing is measured against.
        let least = 1.5e-7 * root_mean_square(&vec![0.0; expected.len()], &expected);
        for mut cpu in cpus() {
            cpu = cpu.exact();
            let plain = root_mean_square(&run(&cpu, Kernel::Conv(g), &[&x, &w], expected.len()), &expected);
            for (filtering, fours, times) in [(Filtering::Accurate, 0, 2.0), (Filtering::Fast, 2, 6.0)] {
                cpu = cpu.with_filtering(filtering);
                let roundings = f64::from(terms as i32 + 14 + 6 * fours);
                let bound = scale * roundings * 4f64.powi(axes - fours) * 40f64.powi(fours);
                let filtered = run(&cpu, Kernel::Conv(g), &[&x, &w], expected.len());
                for (a, b) in filtered.iter().zip(&expected) {
                    prop_assert!((f64::from(*a) - b).abs() <= bound, "{}: {a} for {b}, bound {bound}", cpu.bits());
                }
                let filtered = root_mean_square(&filtered, &expected);
                prop_assert!(filtered <= times * plain.max(least), "{}: {filtered} against {plain}", cpu.bits());
            }
        }
    }

    /// `<conv(x), g> = <x, adjoint(g)>`, both filtered, either way.
    #[test]
    fn filtered_adjoints_belong_to_their_convolutions(
        deep: bool, channels in prop_oneof![4 => [8usize..16, 8usize..16], 1 => [8usize..16, 128usize..132]],
        image in [1usize..6, 3usize..9, 3usize..40], seed: u64,
    ) {
        let image = if deep { [image[0] + 2, image[1], image[2]] } else { image };
        let kernel = [if deep { 3 } else { 1 }, 3, 3];
        let pad = kernel.map(|k| k / 2);
        let g = ConvGeometry {
            batch: 2, groups: 1, in_channels: channels[0], out_channels: channels[1], input: image, output: image, kernel,
            stride: [1; 3], pad, dilation: [1; 3],
        };
        let (nx, ny) = (2 * channels[0] * volume(image), 2 * channels[1] * volume(image));
        let (x, upper) = (numbers(seed, nx), numbers(seed ^ 1, ny));
        let w = numbers(seed ^ 2, channels[0] * channels[1] * volume(kernel));
        let ways = [Filtering::Accurate, Filtering::Fast];
        for cpu in ways.into_iter().flat_map(|way| cpus().into_iter().map(move |cpu| cpu.with_filtering(way))) {
            let y = run(&cpu, Kernel::Conv(g), &[&x, &w], ny);
            let dx = run(&cpu, Kernel::ConvAdjoint(g), &[&upper, &w], nx);
            let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
            let size = |a: &[f32]| a.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
            let scale = size(&y) * size(&upper) + size(&x) * size(&dx);
            let adjoint = (dot(&y, &upper) - dot(&x, &dx)).abs();
            prop_assert!(adjoint <= 1e-6 * scale, "{}: {adjoint} of {scale}", cpu.bits());
        }
    }

    #[test]
    fn parts_agree_with_the_plain_sum(g in in_parts(), seed: u64) {
        let nw = g.out_channels * g.in_channels / g.groups * volume(g.kernel);
        let x = numbers(seed, g.batch * g.in_channels * volume(g.input));
        let w = numbers(seed ^ 1, nw);
        let expected = reference(&g, &x, &w);
        let unit = f64::from(f32::EPSILON) / 2.0;
        let largest = x.iter().fold(0f32, |m, v| m.max(v.abs()));
        let terms = nw / g.out_channels;
        let bound = 16.0 * unit * f64::from(largest) * heaviest(&w, g.out_channels) * f64::from(terms as u32 + 14);
        let least = 1.5e-7 * root_mean_square(&vec![0.0; expected.len()], &expected);
        for mut cpu in cpus() {
            let made = run(&cpu, Kernel::Conv(g), &[&x, &w], expected.len());
            cpu = cpu.exact();
            let plain = root_mean_square(&run(&cpu, Kernel::Conv(g), &[&x, &w], expected.len()), &expected);
            for (a, b) in made.iter().zip(&expected) {
                prop_assert!((f64::from(*a) - b).abs() <= bound, "{}: {a} for {b}, bound {bound}", cpu.bits());
            }
            let made = root_mean_square(&made, &expected);
            prop_assert!(made <= 2.0 * plain.max(least), "{}: {made} against {plain}", cpu.bits());
        }
    }

    /// Of data that are not under its kernel an output does not change a bit.
    #[test]
    fn outputs_are_made_of_what_is_under_their_kernel(g in in_parts(), at: usize, seed: u64) {
        let g = ConvGeometry { batch: 1, groups: 1, in_channels: g.in_channels / g.groups, out_channels: g.out_channels / g.groups, ..g };
        let x = numbers(seed, g.in_channels * volume(g.input));
        let w = numbers(seed ^ 1, g.out_channels * g.in_channels * volume(g.kernel));
        let at = at % volume(g.input);
        let mut changed = x.clone();
        (0..g.in_channels).for_each(|c| changed[c * volume(g.input) + at] += 1000.0);
        let place = [at / (g.input[1] * g.input[2]), at / g.input[2] % g.input[1], at % g.input[2]];
        let n = g.out_channels * volume(g.output);
        for cpu in cpus() {
            let (a, b) = (run(&cpu, Kernel::Conv(g), &[&x, &w], n), run(&cpu, Kernel::Conv(g), &[&changed, &w], n));
            for i in 0..n {
                let p = i % volume(g.output);
                let p = [p / (g.output[1] * g.output[2]), p / g.output[2] % g.output[1], p % g.output[2]];
                let under = (0..3).all(|a| (0..g.kernel[a]).contains(&(place[a] + g.pad[a]).wrapping_sub(p[a] * g.stride[a])));
                prop_assert!(under || a[i].to_bits() == b[i].to_bits(), "{}: {p:?} for {place:?}", cpu.bits());
            }
        }
    }
}
