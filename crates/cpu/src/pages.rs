//! Large pages for large blocks of memory. Convolutions walk through many rows of many channels at once, each on a page of
//! its own; the processor's table of pages is soon exhausted by pages of 4 KiB, above all in a virtual machine.

/// What the table has large entries for on x86-64 and on most aarch64.
#[cfg(target_os = "linux")]
const LARGE: usize = 2 << 20;

/// Asks the system to use large pages for the whole ones among `bytes` bytes from `base`, before they are touched. Nothing
/// else changes, and nothing happens where the system has none to give.
#[cfg(target_os = "linux")]
pub(crate) fn prefer_large(base: *mut u8, bytes: usize) {
    use core::ffi::{c_int, c_void};
    /// `MADV_HUGEPAGE` of Linux, the same number on every architecture that has it but parisc.
    const HUGE: c_int = 14;
    unsafe extern "C" {
        fn madvise(address: *mut c_void, length: usize, advice: c_int) -> c_int;
    }
    let skip = base.align_offset(LARGE);
    let whole = bytes.saturating_sub(skip) / LARGE * LARGE;
    if whole > 0 {
        // SAFETY: the range lies inside the caller's block, and the advice changes neither contents nor access. Whether it is
        // taken does not matter.
        let _ = unsafe { madvise(base.wrapping_add(skip).cast(), whole, HUGE) };
    }
}

/// Nothing to ask for here.
#[cfg(not(target_os = "linux"))]
pub(crate) fn prefer_large(_base: *mut u8, _bytes: usize) {}
