//! Aligned working memory of a thread: grows to what the largest step needs and is then only reused.

use crate::arena::Line;

/// Numbers on a cache line's boundary.
#[derive(Default)]
pub(crate) struct Buffer {
    lines: Vec<Line>,
}

const PER_LINE: usize = size_of::<Line>() / size_of::<f32>();

impl Buffer {
    /// The first `count` numbers, with whatever is in them; 0 where the buffer had to grow.
    pub fn room(&mut self, count: usize) -> &mut [f32] {
        let lines = count.div_ceil(PER_LINE);
        if self.lines.len() < lines {
            self.lines.resize(lines, Line::ZERO);
        }
        // SAFETY: the lines are at least `count` numbers, aligned for them, and every bit pattern is a number.
        unsafe { core::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), count) }
    }
}
