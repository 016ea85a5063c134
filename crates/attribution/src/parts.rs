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

/// The first place in `data`, looked through by up to `threads` threads, each its own part: `find(first, part)` is the first
/// place in a part that begins with element `first`, and must not depend on what is before it.
pub(crate) fn first_in_parts<T: Sync>(
    threads: usize,
    data: &[T],
    find: impl Fn(usize, &[T]) -> Option<usize> + Sync,
) -> Option<usize> {
    let size = data.len().div_ceil(threads.max(1)).next_multiple_of(4);
    if threads < 2 || data.len() < SMALL {
        return find(0, data);
    }
    let mut found = vec![None; data.len().div_ceil(size)];
    std::thread::scope(|scope| {
        for (i, (found, part)) in found.iter_mut().zip(data.chunks(size)).enumerate() {
            let find = &find;
            scope.spawn(move || *found = find(i * size, part));
        }
    });
    found.iter().enumerate().find_map(|(i, found)| found.map(|at| i * size + at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_found_first_does_not_depend_on_threads() {
        let mut data = vec![0; 3 * SMALL + 5];
        let find = |_: usize, part: &[i32]| part.iter().position(|&v| v != 0);
        for places in [vec![], vec![3 * SMALL + 4], vec![SMALL + 1, 2 * SMALL], vec![0, 3 * SMALL]] {
            data.fill(0);
            places.iter().for_each(|&at| data[at] = 1);
            for threads in [1, 2, 3, 7] {
                assert_eq!(first_in_parts(threads, &data, find), places.first().copied());
            }
        }
    }
}
