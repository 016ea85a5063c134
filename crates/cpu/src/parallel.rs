//! Dividing work over output elements. Without the `threads` feature everything runs on the caller's thread.

use core::sync::atomic::AtomicU8;
use std::marker::PhantomData;
use voxplain_tensor::{Error, Result};

/// A fixed number of threads.
pub(crate) struct Pool {
    #[cfg(feature = "threads")]
    pool: Option<rayon::ThreadPool>,
}

/// Work smaller than this many operations is not worth waking threads for.
#[cfg(feature = "threads")]
const SMALL: usize = 1 << 14;

impl Pool {
    /// `threads` threads, 0 for as many as the machine has.
    #[cfg(feature = "threads")]
    pub fn new(threads: usize) -> Result<Self> {
        if threads == 1 {
            return Ok(Self { pool: None });
        }
        let built = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        let pool = built.map_err(|e| Error::io(format!("{threads} threads cannot be started: {e}")))?;
        Ok(Self { pool: Some(pool).filter(|p| p.current_num_threads() > 1) })
    }

    /// The caller's thread; asking for more is an error without the `threads` feature.
    #[cfg(not(feature = "threads"))]
    pub fn new(threads: usize) -> Result<Self> {
        match threads {
            0 | 1 => Ok(Self {}),
            _ => Err(Error::unsupported("this build has no threads; rebuild with the feature `threads`")),
        }
    }

    /// The caller's thread alone.
    pub fn single() -> Self {
        Self {
            #[cfg(feature = "threads")]
            pool: None,
        }
    }

    /// The number of threads.
    pub fn threads(&self) -> usize {
        #[cfg(feature = "threads")]
        if let Some(pool) = &self.pool {
            return pool.current_num_threads();
        }
        1
    }

    /// Calls `work` for `0..items`, in parallel where `cost` (elements read or operations in all) is worth it.
    pub fn each(&self, items: usize, cost: usize, work: impl Fn(usize) + Sync + Send) {
        #[cfg(feature = "threads")]
        if let Some(pool) = self.pool.as_ref().filter(|_| items > 1 && cost >= SMALL) {
            use rayon::prelude::*;
            let least = items.div_ceil(8 * pool.current_num_threads());
            pool.install(|| (0..items).into_par_iter().with_min_len(least).for_each(work));
            return;
        }
        let _ = cost;
        (0..items).for_each(work);
    }

    /// Calls `work(i, chunk)` for the chunks of `size` elements of `out`, in parallel.
    pub fn chunks<T: Send>(&self, out: &mut [T], size: usize, work: impl Fn(usize, &mut [T]) + Sync + Send) {
        self.costly_chunks(out, size, 1, work);
    }

    /// As [`Pool::chunks`] where an element costs `cost` operations.
    pub fn costly_chunks<T: Send>(
        &self,
        out: &mut [T],
        size: usize,
        cost: usize,
        work: impl Fn(usize, &mut [T]) + Sync + Send,
    ) {
        let (size, elements) = (size.max(1), out.len());
        let shared = Shared::new(out);
        self.each(elements.div_ceil(size), elements.saturating_mul(cost), |i| {
            // SAFETY: chunks with different numbers do not overlap, and every number is visited once.
            let chunk = unsafe { shared.slice(i * size, size.min(elements - i * size)) };
            work(i, chunk);
        });
    }
}

/// An output that several threads write in disjoint parts.
pub(crate) struct Shared<'a, T> {
    base: *mut T,
    length: usize,
    life: PhantomData<&'a mut [T]>,
}

// SAFETY: threads only get disjoint parts, as `slice` demands, so sharing is sending exclusive parts.
unsafe impl<T: Send> Sync for Shared<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Send> Send for Shared<'_, T> {}

impl<'a, T> Shared<'a, T> {
    /// Shares `out`.
    pub fn new(out: &'a mut [T]) -> Self {
        Self { base: out.as_mut_ptr(), length: out.len(), life: PhantomData }
    }

    /// The part of `count` elements from `offset`.
    ///
    /// # Safety
    /// No two parts that overlap are alive at a time.
    #[allow(clippy::mut_from_ref)]
    pub unsafe fn slice(&self, offset: usize, count: usize) -> &mut [T] {
        assert!(offset + count <= self.length, "a part lies outside the output");
        // SAFETY: the range was just checked, the caller rules out overlap, the borrow of the output outlives `self`.
        unsafe { std::slice::from_raw_parts_mut(self.base.add(offset), count) }
    }
}

impl Shared<'_, u8> {
    /// A byte whose bits belong to different threads, none of which has it in a part of its own meanwhile.
    pub fn byte(&self, offset: usize) -> &AtomicU8 {
        assert!(offset < self.length, "a byte lies outside the output");
        // SAFETY: the place was just checked, and who shares a byte only reaches it here.
        unsafe { AtomicU8::from_ptr(self.base.add(offset)) }
    }
}
