//! The entries of rows of windows, listed by where in their windows they lie.

use super::collected::{Collected, NOWHERE};

/// The most lists: one for each place in a window, and one for entries that are 0.
const LISTS: usize = NOWHERE + 1;

/// An entry, and where its weights begin.
#[derive(Clone, Copy, Default)]
pub struct Entry {
    pub value: f32,
    pub weights: u32,
}

/// Lists of the entries of a row of windows `[list][window][channel]`, without those that are 0.
#[derive(Default)]
pub struct Lists {
    entries: Vec<Entry>,
    /// Where the entries of every window begin, and where those of the last end, `[list][window]`.
    starts: Vec<u32>,
    /// Numbers between lists in `starts`.
    pitch: usize,
}

impl Lists {
    /// Lists a row of windows. `of(channel, place)` is the list of an entry, and where its weights begin.
    pub fn fill(&mut self, collected: &Collected, of: impl Fn(usize, usize) -> (usize, usize)) {
        self.pitch = collected.windows().len() + 1;
        self.entries.resize(LISTS * collected.len(), Entry::default());
        self.starts.resize(LISTS * self.pitch, 0);
        let mut next: [usize; LISTS] = core::array::from_fn(|list| list * collected.len());
        self.begin(0, &next);
        for (t, (values, places)) in collected.windows().enumerate() {
            for (channel, (&value, &place)) in values.iter().zip(places).enumerate() {
                let (list, weights) = of(channel, usize::from(place));
                let at = &mut next[list];
                let entry = Entry { value, weights: weights as u32 };
                // SAFETY: every list has room for all entries, and the list is one of them, or the line above had ended here.
                unsafe { *self.entries.as_mut_ptr().add(*at) = entry };
                *at += 1;
            }
            self.begin(t + 1, &next);
        }
    }

    /// Notes where window `t` begins in every list.
    fn begin(&mut self, t: usize, next: &[usize; LISTS]) {
        for (list, &next) in next.iter().enumerate() {
            self.starts[list * self.pitch + t] = next as u32;
        }
    }

    /// The entries of every window in a list.
    pub fn windows(&self, list: usize) -> impl Iterator<Item = &[Entry]> {
        let starts = &self.starts[list * self.pitch..][..self.pitch];
        starts.windows(2).map(|ends| &self.entries[ends[0] as usize..ends[1] as usize])
    }
}
