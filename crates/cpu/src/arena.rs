//! The memory of a session: one aligned block, seen through typed views of the places that the planner gave to values.

use crate::pages::prefer_large;
use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ptr::NonNull;
use voxplain_autodiff::{DType, Plan, Slot, Storage};
use voxplain_tensor::{Error, Result};

/// A cache line.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct Line([u8; 64]);

impl Line {
    /// All zeros.
    pub const ZERO: Self = Self([0; 64]);
}

/// A 64-byte aligned block of memory.
pub(crate) struct Arena {
    /// The block as the system gave it, a cache line longer than what is used of it.
    block: NonNull<u8>,
    layout: Layout,
    /// Where the used part begins, and how long it is.
    skip: usize,
    bytes: usize,
}

// SAFETY: the block belongs to the arena alone, and is read through `&self` and written through `&mut self` only.
unsafe impl Send for Arena {}
// SAFETY: as above.
unsafe impl Sync for Arena {}

impl Arena {
    /// `bytes` bytes of zeros. The system gives them when they are first touched, so that the threads that compute values also
    /// are those that wait for their pages.
    pub fn new(bytes: usize) -> Result<Self> {
        let refusal = || Error::limit(format!("{bytes} bytes of memory for the plan cannot be had"));
        let whole = bytes.checked_next_multiple_of(size_of::<Line>());
        let size = whole.and_then(|n| n.checked_add(align_of::<Line>())).ok_or_else(refusal)?;
        // An alignment that every allocation has: more, and the zeros would be written here.
        let layout = Layout::from_size_align(size, align_of::<u64>()).map_err(|_| refusal())?;
        // SAFETY: the size is not 0.
        let block = NonNull::new(unsafe { alloc_zeroed(layout) }).ok_or_else(refusal)?;
        prefer_large(block.as_ptr(), size);
        let skip = block.as_ptr().align_offset(align_of::<Line>());
        Ok(Self { block, layout, skip, bytes: size - align_of::<Line>() })
    }

    /// How long it is.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    fn base(&self) -> *mut u8 {
        // SAFETY: the block is longer than what is used of it by at least what is skipped.
        unsafe { self.block.as_ptr().add(self.skip) }
    }

    /// A view for running steps. Exclusive access to the arena is what makes the views below sound.
    pub fn view(&mut self) -> View {
        View { base: self.base(), bytes: self.bytes }
    }

    /// Elements of a value of reals.
    pub fn reals(&self, offset: usize, count: usize) -> &[f32] {
        assert!(offset % 4 == 0 && offset + count * 4 <= self.bytes, "a value lies outside the arena");
        // SAFETY: the range was just checked to lie inside the allocation, the base is 64-byte aligned and the offset a
        // multiple of 4, every bit pattern is a valid f32, and `&self` rules out writers.
        unsafe { std::slice::from_raw_parts(self.base().add(offset).cast(), count) }
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        // SAFETY: the block was allocated with this layout, and views do not outlive the step that they were made for.
        unsafe { dealloc(self.block.as_ptr(), self.layout) };
    }
}

/// Access to the places of an arena while a step runs.
#[derive(Clone, Copy)]
pub(crate) struct View {
    base: *mut u8,
    bytes: usize,
}

impl View {
    fn place<T>(&self, offset: usize, count: usize) -> *mut T {
        let fits = offset % align_of::<T>() == 0
            && count
                .checked_mul(size_of::<T>())
                .and_then(|n| n.checked_add(offset))
                .is_some_and(|n| n <= self.bytes);
        assert!(fits, "a value lies outside the arena");
        // SAFETY: the offset was just checked to lie inside the allocation.
        unsafe { self.base.add(offset).cast() }
    }

    /// A place to read.
    ///
    /// # Safety
    /// No exclusive view of an overlapping place is alive.
    pub unsafe fn read<'a, T: Plain>(&self, offset: usize, count: usize) -> &'a [T] {
        // SAFETY: `place` checks range and alignment, `Plain` types have no invalid bit patterns, the caller rules out
        // writers; the arena outlives the step.
        unsafe { std::slice::from_raw_parts(self.place(offset, count), count) }
    }

    /// A place to write.
    ///
    /// # Safety
    /// No other view of an overlapping place is alive.
    pub unsafe fn write<'a, T: Plain>(&self, offset: usize, count: usize) -> &'a mut [T] {
        // SAFETY: as for `read`, and the caller rules out every other view.
        unsafe { std::slice::from_raw_parts_mut(self.place(offset, count), count) }
    }
}

/// Types for which every bit pattern is a value.
///
/// # Safety
/// Implementors have no padding and no invalid bit patterns.
pub(crate) unsafe trait Plain: Copy {
    /// The planned type.
    const DTYPES: &'static [DType];
}

// SAFETY: every bit pattern is an f32.
unsafe impl Plain for f32 {
    const DTYPES: &'static [DType] = &[DType::Real];
}
// SAFETY: every bit pattern is a u8.
unsafe impl Plain for u8 {
    const DTYPES: &'static [DType] = &[DType::Byte, DType::Bits];
}
// SAFETY: every bit pattern is a u32.
unsafe impl Plain for u32 {
    const DTYPES: &'static [DType] = &[DType::Index];
}

/// Offset and number of elements of type `T` of a value in the arena.
pub(crate) fn place<T: Plain>(plan: &Plan, slot: Slot) -> Result<(usize, usize)> {
    let info = plan.slot(slot);
    let Storage::Arena(offset) = info.storage else {
        return Err(Error::internal(format!("value {} has no place in the arena", info.label)));
    };
    if !T::DTYPES.contains(&info.dtype) {
        return Err(Error::internal(format!(
            "value {} has another element type than its kernel expects",
            info.label
        )));
    }
    let bits = info.dtype == DType::Bits;
    let count = if bits { info.dtype.bytes(info.shape, 0) } else { info.shape.elements() };
    Ok((offset, count))
}
