//! What the host's side of the kernels needs of a device: memory, copies and launches.

use voxplain_tensor::Result;

/// One launch of a kernel.
#[derive(Clone, Copy, Debug)]
pub struct Launch<'a> {
    /// The stem of the file in `kernels/`.
    pub family: &'static str,
    /// The kernel's name.
    pub kernel: &'static str,
    /// Blocks, in one dimension.
    pub blocks: u32,
    /// Threads of a block.
    pub threads: u32,
    /// The kernel's pointers, in order; 0 for a result that nobody wants.
    pub pointers: &'a [u64],
    /// The bytes of the structure that follows them.
    pub geometry: &'a [u8],
    /// Where the kernel may write: addresses and numbers of bytes.
    pub writes: &'a [(u64, usize)],
}

/// A device's memory, copies and launches. All work of a backend happens in the order in which it was asked for.
pub trait Backend {
    /// A block of device memory, given back when dropped.
    type Buffer;
    /// Launches that were recorded to be done again at once.
    type Recording;

    /// The name, for manifests.
    fn name(&self) -> &str;

    /// A block of `bytes` bytes (at least one), aligned to 256; what is in it is undefined.
    ///
    /// # Errors
    /// The memory cannot be had.
    fn allocate(&self, bytes: usize) -> Result<Self::Buffer>;

    /// The address of a block's first byte, as kernels see it.
    fn address(&self, buffer: &Self::Buffer) -> u64;

    /// Copies bytes into a block, `offset` bytes from its beginning.
    ///
    /// # Errors
    /// The bytes do not lie inside the block, or the device failed.
    fn upload(&self, buffer: &mut Self::Buffer, offset: usize, bytes: &[u8]) -> Result<()>;

    /// Copies bytes out of a block, once all launches so far are done.
    ///
    /// # Errors
    /// The bytes do not lie inside the block, or the device failed, now or in an earlier launch.
    fn download(&self, buffer: &Self::Buffer, offset: usize, bytes: &mut [u8]) -> Result<()>;

    /// Starts a kernel.
    ///
    /// # Safety
    /// Pointers and geometry are what the kernel declares, and the memory that it reads and writes with this geometry
    /// lies in live blocks of this backend.
    ///
    /// # Errors
    /// There is no such kernel or the launch failed.
    unsafe fn launch(&self, launch: &Launch) -> Result<()>;

    /// Begins recording launches instead of doing them; false if this backend cannot.
    ///
    /// # Errors
    /// The device failed.
    fn begin_recording(&self) -> Result<bool>;

    /// Ends a recording that was begun; none if nothing was launched or it cannot be kept.
    ///
    /// # Errors
    /// The device failed.
    fn end_recording(&self) -> Result<Option<Self::Recording>>;

    /// Does what was recorded. The blocks that it uses must be alive.
    ///
    /// # Safety
    /// As for the launches that were recorded.
    ///
    /// # Errors
    /// The device failed.
    unsafe fn replay(&self, recording: &Self::Recording) -> Result<()>;
}

/// A structure of numbers as a kernel declares it.
///
/// # Safety
/// Implementors are `repr(C)` without padding, and every field is a number.
pub(crate) unsafe trait Geometry: Copy {}

/// The bytes of a structure.
pub(crate) fn bytes_of<G: Geometry>(geometry: &G) -> &[u8] {
    // SAFETY: the implementor promises that there is no padding, so all bytes are initialised.
    unsafe { std::slice::from_raw_parts(std::ptr::from_ref(geometry).cast(), size_of::<G>()) }
}

/// The bytes of numbers.
pub(crate) fn bytes_of_slice<T: Number>(values: &[T]) -> &[u8] {
    // SAFETY: numbers have no padding; the length is that of the same memory in bytes.
    unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), size_of_val(values)) }
}

/// The bytes of numbers, to be written.
pub(crate) fn bytes_of_slice_mut<T: Number>(values: &mut [T]) -> &mut [u8] {
    // SAFETY: as above, and every bit pattern is a number.
    unsafe { std::slice::from_raw_parts_mut(values.as_mut_ptr().cast(), size_of_val(values)) }
}

/// Numbers of which every bit pattern is one.
///
/// # Safety
/// Implementors have no padding and no invalid bit patterns.
pub(crate) unsafe trait Number: Copy {}
// SAFETY: every bit pattern is an f32.
unsafe impl Number for f32 {}
// SAFETY: every bit pattern is an i32.
unsafe impl Number for i32 {}
