//! Progress over requests of different kinds, whose end is known from the passes that they will run, or from the seconds
//! that a budget allows.

use super::progress;
use indicatif::ProgressBar;
use std::cell::Cell;
use std::time::Instant;

/// A progress bar over passes; the time that is left follows from the measured speed.
pub struct Meter {
    pub bar: ProgressBar,
    /// Passes of the requests before this one, and of this one.
    before: Cell<u64>,
    own: Cell<u64>,
    /// Passes of the requests behind this one.
    behind: Cell<u64>,
    /// The seconds that this request may take, and when it began.
    allowed: Cell<Option<f64>>,
    begun: Cell<Instant>,
    done: Cell<u64>,
}

impl Meter {
    /// A meter over so many passes in all.
    pub fn new(passes: u64) -> Self {
        Self {
            bar: progress(passes),
            before: Cell::new(0),
            own: Cell::new(0),
            behind: Cell::new(passes),
            allowed: Cell::new(None),
            begun: Cell::new(Instant::now()),
            done: Cell::new(0),
        }
    }

    /// The next request, with its passes, those that are known from a run before, and the seconds it may take.
    pub fn begin(&self, name: &str, passes: u64, known: u64, allowed: Option<f64>) {
        self.before.set(self.before.get() + self.own.get());
        self.own.set(passes);
        self.behind.set(self.behind.get().saturating_sub(passes));
        self.allowed.set(allowed);
        self.begun.set(Instant::now());
        self.done.set(0);
        self.bar.set_message(String::from(name));
        self.bar.set_position(self.before.get() + known.min(passes));
        if known > 0 {
            // What is known took no time.
            self.bar.reset_eta();
        }
    }

    /// Some passes of this request have run.
    pub fn advance(&self, rows: usize) {
        self.done.set(self.done.get() + rows as u64);
        if let Some(allowed) = self.allowed.get() {
            let speed = self.done.get() as f64 / self.begun.get().elapsed().as_secs_f64().max(1e-3);
            let expected = ((allowed * speed) as u64).max(self.done.get());
            let own = self.own.get().min(expected);
            self.bar.set_length(self.before.get() + own + self.behind.get());
        }
        self.bar.inc(rows as u64);
    }
}
