//! Host arithmetic on whole images, divided over threads. Parts do not know of each other, so results do not depend on their
//! number.

/// Elements below which threads are not worth their start.
const SMALL: usize = 1 << 16;

/// Calls `work(first, part)` for up to `threads` parts of `data`, all but the last of a multiple of four
/// elements.
pub(crate) fn in_parts<T: Send>(threads: usize, data: &mut [T], work: impl Fn(usize, &mut [T]) + Sync) {
    let size = data.len().div_ceil(threads.max(1)).next_multiple_of(4);
    if threads < 2 || data.len() < SMALL {
        return work(0, data);
    }
    std::thread::scope(|scope| {
        for (i, part) in data.chunks_mut(size).enumerate() {
            let work = &work;
            scope.spawn(move || work(i * size, part));
        }
    });
}
