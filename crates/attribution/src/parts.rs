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

/// As [`in_parts`] for two arrays of one length, the same part of both at a time.
pub(crate) fn in_parts_of_both<T: Send>(
    threads: usize,
    (a, b): (&mut [T], &mut [T]),
    work: impl Fn(usize, &mut [T], &mut [T]) + Sync,
) {
    let size = a.len().div_ceil(threads.max(1)).next_multiple_of(4);
    if threads < 2 || a.len() < SMALL {
        return work(0, a, b);
    }
    std::thread::scope(|scope| {
        for (i, (a, b)) in a.chunks_mut(size).zip(b.chunks_mut(size)).enumerate() {
            let work = &work;
            scope.spawn(move || work(i * size, a, b));
        }
    });
}

/// Elements of the blocks of [`sum_of_blocks`].
pub(crate) const BLOCK: usize = 1024;

/// Calls `work(first, block)` for every block of at most [`BLOCK`] elements of `data`, on up to `threads` threads, and adds up what it
/// gives: always in the same order.
pub(crate) fn sum_of_blocks<T: Send>(
    threads: usize,
    data: &mut [T],
    work: impl Fn(usize, &mut [T]) -> f64 + Sync,
) -> f64 {
    let mut sums = vec![0.0; data.len().div_ceil(BLOCK)];
    let each = |first: usize, data: &mut [T], sums: &mut [f64]| {
        for (i, (block, sum)) in data.chunks_mut(BLOCK).zip(sums).enumerate() {
            *sum = work(first + i * BLOCK, block);
        }
    };
    if threads < 2 || data.len() < SMALL {
        each(0, data, &mut sums);
    } else {
        let share = sums.len().div_ceil(threads);
        std::thread::scope(|scope| {
            for (i, (part, sums)) in data.chunks_mut(share * BLOCK).zip(sums.chunks_mut(share)).enumerate() {
                let each = &each;
                scope.spawn(move || each(i * share * BLOCK, part, sums));
            }
        });
    }
    sums.iter().sum()
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
    fn sums_of_blocks_do_not_depend_on_threads() {
        let sum = |threads: usize, length: usize| {
            let mut data: Vec<f64> = (0..length).map(|i| 1.0 / (i + 1) as f64).collect();
            let sum = sum_of_blocks(threads, &mut data, |first, block| {
                let before = block.to_vec();
                block.iter_mut().enumerate().for_each(|(i, v)| *v = (first + i) as f64);
                before.iter().sum()
            });
            assert!(data.iter().enumerate().all(|(i, &v)| v == i as f64));
            sum
        };
        for length in [0, 1, BLOCK + 3, 2 * SMALL, 3 * SMALL + 5] {
            let alone = sum(1, length);
            assert!((alone - (1..=length).map(|i| 1.0 / i as f64).sum::<f64>()).abs() < 1e-12);
            for threads in [2, 3, 7] {
                assert_eq!(sum(threads, length).to_bits(), alone.to_bits());
            }
        }
    }

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
