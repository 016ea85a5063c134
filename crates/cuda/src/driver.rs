//! CUDA's driver as a backend. It is loaded when a GPU is asked for, never before, and each of its calls can fail:
//! `cudarc` panics where the library is missing, so nothing here touches it before [`present`] said that it is there.

use crate::backend::{Backend, Launch};
use crate::device::Gpu;
use crate::images::{IMAGES, Image};
use cudarc::driver::{CudaContext, CudaGraph, CudaStream, DriverError, result, sys};
use std::collections::HashMap;
use std::ffi::{CString, c_void};
use std::sync::Arc;
use voxplain_tensor::{Error, Result};

/// A CUDA GPU.
pub type Cuda = Gpu<Driver>;

/// Whether CUDA's driver library can be loaded.
fn present() -> bool {
    // SAFETY: loading the driver's library runs its constructors, which is what asking for a GPU means.
    unsafe { sys::is_culib_present() }
}

fn failed(what: &str) -> impl FnOnce(DriverError) -> Error + '_ {
    move |error| Error::new(voxplain_tensor::ErrorKind::Io, format!("CUDA, {what}: {error}"))
}

impl Cuda {
    /// The number of CUDA GPUs that can be used, 0 without a driver.
    pub fn count() -> usize {
        if !present() || result::init().is_err() {
            return 0;
        }
        result::device::get_count().map_or(0, |n| n.max(0) as usize)
    }

    /// GPU number `ordinal`.
    ///
    /// # Errors
    /// There is no driver, no such GPU, or it is older than compute capability 8.0; one sentence says which.
    pub fn open(ordinal: usize) -> Result<Self> {
        if !present() {
            let text = format!(
                "cuda:{ordinal}: no CUDA driver on this machine (libcuda is not found); use --device cpu"
            );
            return Err(Error::unsupported(text));
        }
        result::init().map_err(failed("start of the driver"))?;
        let count = Self::count();
        if ordinal >= count {
            let text = format!(
                "cuda:{ordinal}: this machine has {count} CUDA GPUs, numbered from 0; use --device cpu"
            );
            return Err(Error::unsupported(text));
        }
        Driver::open(ordinal).map(Gpu::new)
    }

    /// Bytes of GPU memory that are free now.
    ///
    /// # Errors
    /// The device failed.
    pub fn free_memory(&self) -> Result<usize> {
        Ok(self.backend().context.mem_get_info().map_err(failed("free memory"))?.0)
    }
}

/// The driver with one GPU: a context, a stream, and the kernels.
pub struct Driver {
    context: Arc<CudaContext>,
    stream: Arc<CudaStream>,
    modules: Vec<sys::CUmodule>,
    functions: HashMap<(&'static str, &'static str), sys::CUfunction>,
    name: String,
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.context.bind_to_thread().and_then(|()| self.stream.synchronize());
        for &module in &self.modules {
            // SAFETY: the module was loaded by this driver, and all launches are over.
            let _ = unsafe { result::module::unload(module) };
        }
    }
}

/// The binary for this GPU where there is one, else PTX, which the driver compiles.
fn image(image: &Image, capability: (i32, i32)) -> &'static [u8] {
    if capability.0 == 9 { image.sm_90 } else { image.ptx.as_bytes() }
}

impl Driver {
    fn open(ordinal: usize) -> Result<Self> {
        let context = CudaContext::new(ordinal).map_err(failed("opening the GPU"))?;
        let capability = context.compute_capability().map_err(failed("compute capability"))?;
        let model = context.name().map_err(failed("name"))?;
        let (major, minor) = capability;
        if major < 8 {
            let text = format!(
                "cuda:{ordinal}: {model} has compute capability {major}.{minor}, 8.0 is needed; use --device cpu"
            );
            return Err(Error::unsupported(text));
        }
        // SAFETY: this backend uses one stream, so no event has to order its work.
        unsafe { context.disable_event_tracking() };
        let stream = context.new_stream().map_err(failed("stream"))?;
        let name = format!("cuda:{ordinal} ({model}, compute capability {major}.{minor})");
        let mut driver = Self { context, stream, modules: Vec::new(), functions: HashMap::new(), name };
        for one in IMAGES {
            driver.load(one, capability)?;
        }
        Ok(driver)
    }

    fn load(&mut self, one: &Image, capability: (i32, i32)) -> Result<()> {
        // PTX is text and ends with 0.
        let mut bytes = image(one, capability).to_vec();
        bytes.push(0);
        // SAFETY: the image is what the compiler made, PTX with a 0 behind it or a whole cubin.
        let module = unsafe { result::module::load_data(bytes.as_ptr().cast()) };
        let module = module.map_err(failed(one.family))?;
        self.modules.push(module);
        for kernel in one.kernels() {
            let name = CString::new(kernel).map_err(|_| Error::internal("a kernel's name holds a 0"))?;
            // SAFETY: the module is loaded and stays so as long as this driver.
            let function = unsafe { result::module::get_function(module, name) };
            self.functions.insert((one.family, kernel), function.map_err(failed(kernel))?);
        }
        Ok(())
    }

    fn bind(&self) -> Result<()> {
        self.context.bind_to_thread().map_err(failed("context"))
    }
}

/// A block of GPU memory.
pub struct Block {
    address: sys::CUdeviceptr,
    bytes: usize,
    stream: Arc<CudaStream>,
}

impl Drop for Block {
    fn drop(&mut self) {
        // A failed launch has been reported where its result was read.
        let _ = self.stream.context().bind_to_thread().and_then(|()| self.stream.synchronize());
        // SAFETY: the block was allocated by `malloc_sync`, is freed once, and no work that uses it is left.
        let _ = unsafe { result::free_sync(self.address) };
    }
}

impl Block {
    fn place(&self, offset: usize, bytes: usize) -> Result<sys::CUdeviceptr> {
        if offset.checked_add(bytes).is_some_and(|end| end <= self.bytes) {
            return Ok(self.address + offset as u64);
        }
        Err(Error::internal("a copy that leaves its block"))
    }
}

impl Backend for Driver {
    type Buffer = Block;
    type Recording = CudaGraph;

    fn name(&self) -> &str {
        &self.name
    }

    fn allocate(&self, bytes: usize) -> Result<Block> {
        self.bind()?;
        // SAFETY: the block is owned by what is returned; nothing reads it before it is written.
        let address = unsafe { result::malloc_sync(bytes.max(1)) };
        let address = address.map_err(|error| {
            Error::limit(format!(
                "{bytes} bytes of GPU memory cannot be had ({error}); use --memory with less"
            ))
        })?;
        Ok(Block { address, bytes, stream: self.stream.clone() })
    }

    fn address(&self, buffer: &Block) -> u64 {
        buffer.address
    }

    fn upload(&self, buffer: &mut Block, offset: usize, bytes: &[u8]) -> Result<()> {
        let to = buffer.place(offset, bytes.len())?;
        self.bind()?;
        // SAFETY: the range was checked; the copy is over before `bytes` can go, see below.
        let copied = unsafe { result::memcpy_htod_async(to, bytes, self.stream.cu_stream()) };
        copied.and_then(|()| self.stream.synchronize()).map_err(failed("copy to the GPU"))
    }

    fn download(&self, buffer: &Block, offset: usize, bytes: &mut [u8]) -> Result<()> {
        let from = buffer.place(offset, bytes.len())?;
        self.bind()?;
        // SAFETY: the range was checked; the copy is over before `bytes` can go, see below.
        let copied = unsafe { result::memcpy_dtoh_async(bytes, from, self.stream.cu_stream()) };
        copied.and_then(|()| self.stream.synchronize()).map_err(failed("copy from the GPU"))
    }

    unsafe fn launch(&self, launch: &Launch) -> Result<()> {
        let function = self.functions.get(&(launch.family, launch.kernel));
        let &function = function.ok_or_else(|| Error::internal(format!("no kernel {}", launch.kernel)))?;
        self.bind()?;
        let mut arguments: Vec<*mut c_void> =
            launch.pointers.iter().map(|p| std::ptr::from_ref(p).cast_mut().cast()).collect();
        arguments.push(launch.geometry.as_ptr().cast_mut().cast());
        let (grid, block) = ((launch.blocks, 1, 1), (launch.threads, 1, 1));
        let stream = self.stream.cu_stream();
        // SAFETY: the driver copies the arguments before it returns; the caller promises that they are what the kernel
        // declares and that its memory is there.
        let started = unsafe { result::launch_kernel(function, grid, block, 0, stream, &mut arguments) };
        started.map_err(failed(launch.kernel))
    }

    /// A driver that does not record launches them one by one.
    fn begin_recording(&self) -> Result<bool> {
        self.bind()?;
        let mode = sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
        Ok(self.stream.begin_capture(mode).is_ok())
    }

    /// Nothing has run yet, so what cannot be made a graph is launched one by one, which says what is wrong.
    fn end_recording(&self) -> Result<Option<CudaGraph>> {
        Ok(self.stream.end_capture(sys::CUgraphInstantiate_flags(0)).unwrap_or_default())
    }

    unsafe fn replay(&self, recording: &CudaGraph) -> Result<()> {
        recording.launch().map_err(failed("replay"))
    }
}
