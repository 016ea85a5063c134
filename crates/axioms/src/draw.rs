//! Programs drawn from a seed, the same on every machine, of the shapes that medical networks have.

use crate::program::{Program, Step};
use voxplain_attribution::Generator;

/// Numbers one after the other from one seed.
pub struct Draw {
    generator: Generator,
    next: u64,
}

impl Draw {
    /// The numbers of `seed`.
    pub fn new(seed: u64) -> Self {
        Self { generator: Generator::new(seed, 0x4158_494f), next: 0 }
    }

    /// A number below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        self.next += 1;
        self.generator.below(n, 0, self.next)
    }

    /// A small whole number, mostly -1, 0 or 1.
    fn weight(&mut self) -> i8 {
        [-2, -1, -1, 0, 1, 1, 2, 3][self.below(8)]
    }

    fn numbers(&mut self, count: usize) -> Vec<i8> {
        (0..count).map(|_| self.below(9) as i8 - 4).collect()
    }

    /// A network, its weights, input and reference.
    pub fn program(&mut self) -> Program {
        let steps = self.topology();
        let (three, wide) = (self.below(2) == 0, self.below(3) == 0);
        // At most 8 entries, so that all their coalitions can be asked.
        let (channels, width) = if wide { (2, 4) } else { (2 + u8::from(three), 1) };
        let (apart, biased) = (self.below(4) == 0, self.below(2) == 0);
        let entries = usize::from(channels) * usize::from(width);
        let weights = (0..96).map(|_| self.weight()).collect();
        let x = self.numbers(entries);
        let r = if self.below(2) == 0 { Vec::new() } else { self.numbers(entries) };
        Program { channels, width, apart, biased, steps, weights, x, r }
    }

    fn layer(&mut self) -> Step {
        Step::Layer(1 + self.below(3) as u8)
    }

    /// Sequential, residual, densely connected, a U, or anything.
    fn topology(&mut self) -> Vec<Step> {
        use Step::{Add, AveragePool, Join, MaxPool, Push, Relu, Upsample};
        let (a, b, c) = (self.layer(), self.layer(), self.layer());
        let pool = if self.below(2) == 0 { MaxPool(self.below(2) == 0) } else { AveragePool };
        match self.below(6) {
            0 => vec![a, Relu],
            1 => vec![a, Relu, pool, b, Relu],
            2 => vec![a, Relu, Push, a, Relu, a, Add, Relu],
            3 => vec![a, Relu, Push, b, Relu, Join, c, Relu],
            4 => vec![a, Relu, Push, MaxPool(false), b, Relu, Upsample, Join, c, Relu],
            _ => (0..1 + self.below(6)).map(|_| self.any(pool)).collect(),
        }
    }

    fn any(&mut self, pool: Step) -> Step {
        match self.below(7) {
            0 | 1 => self.layer(),
            2 | 3 => Step::Relu,
            4 => pool,
            5 => Step::Push,
            _ => [Step::Add, Step::Join][self.below(2)],
        }
    }
}
