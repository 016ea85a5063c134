//! Where a phantom's lesion lies and how far it reaches, apart from the brain around it: a lesion that reached out of
//! the brain would be cut flat there, and the cut would tell the classes apart.

use crate::phantom::{BRAIN, Lesion, norm};
use crate::random::Random;

/// The lesion's place and shape.
pub(crate) struct Tumour {
    pub centre: [f64; 3],
    radius: f64,
    /// Directions and depths of the lobes.
    lobes: Vec<([f64; 3], f64)>,
}

/// A place inside one hemisphere, off the midline, all of the lesion inside the brain.
pub(crate) fn tumour(seed: u64) -> Tumour {
    let r = Random::new(seed, 1);
    let radius = r.between(0, 0.19, 0.27);
    let side = if r.uniform(1) < 0.5 { -1.0 } else { 1.0 };
    let mut centre = [0.33 * side, 0.0, 0.05];
    for attempt in 0..64 {
        let at = 10 + 3 * attempt;
        let trial = [
            side * r.between(at, 0.24, 0.42),
            r.between(at + 1, -0.45, 0.45),
            r.between(at + 2, -0.25, 0.35),
        ];
        let room = BRAIN.map(|b| b - 1.45 * radius);
        if norm(trial, room) < 1.0 {
            centre = trial;
            break;
        }
    }
    let lobe = |i: u64| {
        let (z, angle) =
            (r.between(300 + 2 * i, -1.0, 1.0), r.between(301 + 2 * i, 0.0, core::f64::consts::TAU));
        let flat = (1.0 - z * z).sqrt();
        ([flat * angle.cos(), flat * angle.sin(), z], r.between(400 + i, 0.75, 1.0))
    };
    let drawn = Tumour { centre, radius, lobes: (0..7).map(lobe).collect() };
    pulled_in(drawn, side)
}

/// A lesion that would reach out of the brain moves towards a place where the largest one fits, as little as is needed.
/// Most lesions stay where they were drawn.
fn pulled_in(drawn: Tumour, side: f64) -> Tumour {
    // A ball of 1.45 times the largest radius around this centre lies inside the brain.
    let safe = [0.24 * side, 0.0, 0.0];
    let steps = 20;
    let towards = |k: u32| {
        let t = f64::from(k) / f64::from(steps);
        [0, 1, 2].map(|a| drawn.centre[a] + t * (safe[a] - drawn.centre[a]))
    };
    let fits = |k: &u32| drawn.fits_at(towards(*k));
    let centre = if drawn.fits_at(drawn.centre) {
        drawn.centre
    } else {
        towards((1..steps).find(fits).unwrap_or(steps))
    };
    Tumour { centre, ..drawn }
}

impl Tumour {
    /// 3 core, 4 rim, 5 oedema; `None` outside.
    pub fn zone(&self, p: [f64; 3], shape: Lesion) -> Option<usize> {
        let d = [0, 1, 2].map(|a| p[a] - self.centre[a]);
        let distance = d.iter().map(|v| v * v).sum::<f64>().sqrt();
        if distance > 1.5 * self.radius {
            return None;
        }
        let radius = match shape {
            Lesion::Round => self.radius,
            Lesion::Lobed => self.lobed_radius(d, distance),
        };
        match distance / radius {
            t if t < 0.5 => Some(3),
            t if t < 0.78 => Some(4),
            t if t < 1.0 => Some(5),
            _ => None,
        }
    }

    /// How far the lobed body reaches in the direction of `d`, whose length is `distance`: narrow bumps around a body
    /// smaller than the ball, so that the volume stays about that of the ball.
    fn lobed_radius(&self, d: [f64; 3], distance: f64) -> f64 {
        let bump = |(axis, height): &([f64; 3], f64)| {
            let cosine =
                if distance > 0.0 { (0..3).map(|a| d[a] * axis[a]).sum::<f64>() / distance } else { 1.0 };
            height * (9.0 * (cosine - 1.0)).exp()
        };
        self.radius * (0.62 + 0.75 * self.lobes.iter().map(bump).sum::<f64>()).min(1.45)
    }

    /// Whether both shapes, moved to `centre`, lie inside the brain: looked at along the lobes, and in directions about
    /// 4 degrees apart on a golden spiral, with a margin for what lies between.
    fn fits_at(&self, centre: [f64; 3]) -> bool {
        const DIRECTIONS: u32 = 2000;
        let spiral = (0..DIRECTIONS).map(|i| {
            let z = 1.0 - (2.0 * f64::from(i) + 1.0) / f64::from(DIRECTIONS);
            let (flat, angle) = ((1.0 - z * z).sqrt(), f64::from(i) * 2.399_963_229_728_653);
            [flat * angle.cos(), flat * angle.sin(), z]
        });
        let inside =
            |d: [f64; 3], reach: f64| norm([0, 1, 2].map(|a| centre[a] + reach * d[a]), BRAIN) < 0.985;
        // No lobe reaches further than 1.45 radii, and the brain is convex: most directions need no lobes.
        self.lobes
            .iter()
            .map(|lobe| lobe.0)
            .chain(spiral)
            .all(|d| inside(d, 1.45 * self.radius) || inside(d, self.radius.max(self.lobed_radius(d, 1.0))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phantom::position;

    /// Both shapes at once, in fine steps: where the lesion reaches and how far the brain does.
    #[test]
    fn lesions_lie_inside_the_brain() {
        for seed in 0..200 {
            let lesion = tumour(seed);
            for i in 0..48usize.pow(3) {
                let p = position([48; 3], [i % 48, i / 48 % 48, i / 48 / 48]);
                let inside = [Lesion::Round, Lesion::Lobed].map(|s| lesion.zone(p, s).is_some());
                assert!(!inside.contains(&true) || norm(p, BRAIN) <= 1.0, "seed {seed}: {p:?}");
            }
        }
    }
}
