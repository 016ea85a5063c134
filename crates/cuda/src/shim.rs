//! The kernels on the CPU, for tests: the same `.cu` files, compiled as C++ with `kernels/shim/cuda_shim.h`, which runs the
//! threads of a block as fibers in an order that a test chooses.
//!
//! What it shows: that every kernel computes what the oracle computes, that every launch covers its result, that nothing
//! depends on the order of threads, and that barriers stand where they are needed. Memory that was never written is NaN,
//! and bytes that a launch must not touch are compared before and after. What it cannot show: speed, and the arithmetic
//! of the GPU's own functions.

use crate::backend::{Backend, Launch};
use crate::device::Gpu;
use libloading::Library;
use std::cell::{Cell, RefCell, UnsafeCell};
use std::collections::HashMap;
use std::ffi::{CStr, c_char, c_void};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::{Rc, Weak};
use std::sync::{Arc, Mutex, PoisonError};
use voxplain_tensor::{Error, Result};

type Entry = unsafe extern "C" fn(*const c_char, u32, u32, u32, *mut *mut c_void) -> *const c_char;

/// The compiled kernels of one file.
struct Family {
    /// Keeps the code in memory; fibers and shared memory are the library's own, so one launch at a time.
    library: Mutex<Library>,
}

/// The compiled kernels of all files, or of some.
pub struct Kernels {
    families: HashMap<String, Family>,
    // Last, so that the libraries are closed before their files go.
    _folder: Folder,
}

/// A folder that is removed with everything in it.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The folder `kernels` of the repository.
pub fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../kernels")
}

/// Whether the system has a C++ compiler.
pub fn has_compiler() -> bool {
    Command::new("c++").arg("--version").output().is_ok_and(|made| made.status.success())
}

/// The names of the kernels of a source text.
pub fn kernel_names(text: &str) -> Vec<String> {
    let name = |line: &str| {
        let rest = line.strip_prefix("KERNEL ")?;
        Some(rest[..rest.find('(')?].trim().to_string())
    };
    text.lines().filter_map(name).collect()
}

/// The unit that the C++ compiler sees: the shim, the kernels, and a table of them.
fn unit(family: &str, text: &str) -> String {
    let mut unit = format!("#include \"shim/cuda_shim.h\"\n#line 1 \"{family}.cu\"\n{text}\n");
    unit += "extern \"C\" __attribute__((visibility(\"default\")))\n";
    unit += "const char* shim_launch(const char* name, unsigned blocks, unsigned threads, unsigned order, void** args) {\n";
    for name in kernel_names(text) {
        let call =
            format!("shim::launch([](void** a) {{ shim::call({name}, a); }}, blocks, threads, order, args)");
        unit += &format!("    if (!strcmp(name, \"{name}\")) return {call};\n");
    }
    unit + "    return \"there is no such kernel\";\n}\n"
}

/// A source with our headers in place, each once, so that tests can change them too.
fn inlined(text: &str, seen: &mut Vec<String>) -> Result<String> {
    let mut whole = String::new();
    for line in text.lines().filter(|line| *line != "#pragma once") {
        let header = line.strip_prefix("#include \"").and_then(|rest| rest.strip_suffix('"'));
        match header {
            Some(name) if seen.iter().any(|s| s == name) => {}
            Some(name) => {
                seen.push(name.to_string());
                whole += &inlined(&std::fs::read_to_string(sources().join(name))?, seen)?;
            }
            None => whole += line,
        }
        whole += "\n";
    }
    Ok(whole)
}

fn compile(folder: &Path, family: &str, text: &str) -> Result<Family> {
    let (source, library) = (folder.join(format!("{family}.cpp")), folder.join(format!("lib{family}.so")));
    std::fs::write(&source, unit(family, text))?;
    let made = Command::new("c++")
        .args([
            "-std=c++17",
            "-O1",
            "-ffp-contract=off",
            "-fPIC",
            "-shared",
            "-fvisibility=hidden",
            "-U_FORTIFY_SOURCE",
            "-w",
            "-I",
        ])
        .args([sources().as_os_str(), "-o".as_ref(), library.as_os_str(), source.as_os_str()])
        .output()?;
    if !made.status.success() {
        return Err(Error::internal(format!("{family}.cu: {}", String::from_utf8_lossy(&made.stderr))));
    }
    // SAFETY: the library was just compiled from the shim, whose loading runs constructors of vectors only.
    let library = unsafe { Library::new(&library) };
    let library = library.map_err(|e| Error::internal(format!("{family}: {e}")))?;
    Ok(Family { library: Mutex::new(library) })
}

impl Kernels {
    /// Compiles files of `kernels/`, named by their stems; `edit` may change a text before.
    ///
    /// # Errors
    /// There is no C++ compiler or it refuses a file.
    pub fn compile(families: &[&str], edit: impl Fn(&str, String) -> String + Sync) -> Result<Self> {
        static NEXT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("voxplain-shim-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let folder = Folder(folder);
        let one = |family: &str| -> Result<(String, Family)> {
            let text = std::fs::read_to_string(sources().join(format!("{family}.cu")))?;
            let text = edit(family, inlined(&text, &mut Vec::new())?);
            Ok((family.to_string(), compile(&folder.0, family, &text)?))
        };
        // Two at a time: the compiler takes a second or two for each.
        let (left, right) = families.split_at(families.len() / 2);
        let all = |part: &[&str]| part.iter().map(|f| one(f)).collect::<Result<Vec<_>>>();
        let made = std::thread::scope(|scope| {
            let other = scope.spawn(|| all(right));
            let mut made = all(left)?;
            made.extend(other.join().map_err(|_| Error::internal("compiling kernels failed"))??);
            Ok::<_, Error>(made)
        })?;
        Ok(Self { families: made.into_iter().collect(), _folder: folder })
    }

    /// The stems of all files of kernels.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn families() -> Result<Vec<String>> {
        let mut stems = Vec::new();
        for entry in std::fs::read_dir(sources())? {
            let path = entry?.path();
            if path.extension().is_some_and(|e| e == "cu") {
                stems.extend(path.file_stem().and_then(|s| s.to_str()).map(String::from));
            }
        }
        stems.sort();
        Ok(stems)
    }

    /// Compiles all files.
    ///
    /// # Errors
    /// As [`Kernels::compile`].
    pub fn all() -> Result<Self> {
        let families = Self::families()?;
        Self::compile(&families.iter().map(String::as_str).collect::<Vec<_>>(), |_, text| text)
    }
}

/// A launch that is kept.
pub struct Recorded {
    family: &'static str,
    kernel: &'static str,
    blocks: u32,
    threads: u32,
    pointers: Vec<u64>,
    geometry: Vec<u8>,
    writes: Vec<(u64, usize)>,
}

impl Recorded {
    fn new(launch: &Launch) -> Self {
        let Launch { family, kernel, blocks, threads, .. } = *launch;
        let (pointers, geometry) = (launch.pointers.to_vec(), launch.geometry.to_vec());
        Self { family, kernel, blocks, threads, pointers, geometry, writes: launch.writes.to_vec() }
    }

    fn launch(&self) -> Launch<'_> {
        let Self { family, kernel, blocks, threads, .. } = *self;
        let (pointers, geometry, writes) = (&self.pointers, &self.geometry, &self.writes);
        Launch { family, kernel, blocks, threads, pointers, geometry, writes }
    }
}

/// The CPU in the place of a GPU.
pub struct Shim {
    kernels: Arc<Kernels>,
    /// The order of threads; see the header.
    order: u32,
    name: String,
    /// Launches so far.
    launches: Cell<usize>,
    /// Bytes copied to the device so far.
    uploaded: Cell<usize>,
    /// Recordings done again so far.
    replays: Cell<usize>,
    /// The most bytes of all blocks at once.
    most_bytes: Cell<usize>,
    /// What is being recorded.
    recording: RefCell<Option<Vec<Recorded>>>,
    /// All blocks, to see what a launch changes.
    blocks: RefCell<Vec<Weak<Memory>>>,
}

impl Shim {
    /// A device whose threads run in this order: 0 forwards, 1 backwards, others permuted. In even orders asynchronous
    /// copies happen as late as they may, in odd ones at once.
    pub fn device(kernels: Arc<Kernels>, order: u32) -> Gpu<Self> {
        let name = format!("cuda shim, order {order}");
        let (launches, replays, most_bytes) = (Cell::default(), Cell::default(), Cell::default());
        let uploaded = Cell::default();
        let recording = RefCell::default();
        Gpu::new(Self {
            kernels,
            order,
            name,
            launches,
            uploaded,
            replays,
            most_bytes,
            recording,
            blocks: RefCell::default(),
        })
    }

    /// The number of launches so far, those of recordings included.
    pub fn launches(&self) -> usize {
        self.launches.get()
    }

    /// Bytes copied to the device so far.
    pub fn uploaded(&self) -> usize {
        self.uploaded.get()
    }

    /// The number of recordings done again so far.
    pub fn replays(&self) -> usize {
        self.replays.get()
    }

    /// The most bytes that all blocks had at once, so far.
    pub fn most_bytes(&self) -> usize {
        self.most_bytes.get()
    }

    /// The blocks that are small enough to be compared, with what is in them.
    fn snapshot(&self) -> Vec<(Rc<Memory>, Vec<u64>)> {
        let mut blocks = self.blocks.borrow_mut();
        blocks.retain(|block| block.strong_count() > 0);
        let small = blocks.iter().filter_map(Weak::upgrade).filter(|block| block.bytes <= COMPARED);
        small.map(|block| (block.clone(), block.words().to_vec())).collect()
    }
}

/// Blocks of more bytes than this are not compared around launches.
const COMPARED: usize = 1 << 18;

/// Whether nothing outside `writes` differs from before.
fn untouched(before: &[(Rc<Memory>, Vec<u64>)], writes: &[(u64, usize)]) -> bool {
    let may = |address: u64| writes.iter().any(|&(from, n)| (from..from + n as u64).contains(&address));
    before.iter().all(|(block, words)| {
        let base = block.words().as_ptr() as u64;
        let differing = block.words().iter().zip(words).enumerate().filter(|(_, (now, then))| now != then);
        differing.into_iter().all(|(i, (now, then))| {
            let bytes = now.to_ne_bytes().into_iter().zip(then.to_ne_bytes()).enumerate();
            bytes.into_iter().all(|(k, (a, b))| a == b || may(base + (i * 8 + k) as u64))
        })
    })
}

/// A block of memory between two strips that nothing may write.
pub struct Memory {
    words: UnsafeCell<Vec<u64>>,
    bytes: usize,
}

/// Words of a strip.
const STRIP: usize = 256;
/// What unwritten memory holds: NaN in single and in double precision, and a recognisable strip.
const UNWRITTEN: u64 = u64::MAX;

impl Memory {
    fn base(&self) -> *mut u8 {
        // SAFETY: the pointer is only used while the cell lives, and no reference to its contents is handed out.
        unsafe { (*self.words.get()).as_mut_ptr().add(STRIP).cast() }
    }

    fn check(&self, offset: usize, bytes: usize) -> Result<()> {
        if offset.checked_add(bytes).is_some_and(|end| end <= self.bytes) {
            return Ok(());
        }
        Err(Error::internal("a copy that leaves its block"))
    }

    /// The block with its strips.
    fn words(&self) -> &[u64] {
        // SAFETY: callers drop the reference before the next kernel runs or byte is copied.
        unsafe { &*self.words.get() }
    }

    fn strips_are_whole(&self) -> bool {
        let words = self.words();
        let strips = words[..STRIP].iter().chain(&words[words.len() - STRIP..]);
        strips.into_iter().all(|&w| w == UNWRITTEN)
    }
}

impl Backend for Shim {
    type Buffer = Rc<Memory>;
    type Recording = Vec<Recorded>;

    fn name(&self) -> &str {
        &self.name
    }

    fn allocate(&self, bytes: usize) -> Result<Rc<Memory>> {
        let words = UnsafeCell::new(vec![UNWRITTEN; bytes.div_ceil(8) + 2 * STRIP]);
        let block = Rc::new(Memory { words, bytes });
        self.blocks.borrow_mut().push(Rc::downgrade(&block));
        let held = self.blocks.borrow().iter().filter_map(Weak::upgrade).map(|block| block.bytes).sum();
        self.most_bytes.set(self.most_bytes.get().max(held));
        Ok(block)
    }

    fn address(&self, buffer: &Rc<Memory>) -> u64 {
        buffer.base() as u64
    }

    fn upload(&self, buffer: &mut Rc<Memory>, offset: usize, bytes: &[u8]) -> Result<()> {
        buffer.check(offset, bytes.len())?;
        self.uploaded.set(self.uploaded.get() + bytes.len());
        // SAFETY: the range was checked, no kernel runs, and no reference to what is in the block is alive.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), buffer.base().add(offset), bytes.len()) };
        Ok(())
    }

    fn download(&self, buffer: &Rc<Memory>, offset: usize, bytes: &mut [u8]) -> Result<()> {
        buffer.check(offset, bytes.len())?;
        if !buffer.strips_are_whole() {
            return Err(Error::internal("a kernel wrote beside its memory"));
        }
        // SAFETY: the range was checked, and no kernel runs: launches are over when they return.
        unsafe { std::ptr::copy_nonoverlapping(buffer.base().add(offset), bytes.as_mut_ptr(), bytes.len()) };
        Ok(())
    }

    unsafe fn launch(&self, launch: &Launch) -> Result<()> {
        if let Some(recording) = self.recording.borrow_mut().as_mut() {
            recording.push(Recorded::new(launch));
            return Ok(());
        }
        let family = self.kernels.families.get(launch.family);
        let family =
            family.ok_or_else(|| Error::internal(format!("{}.cu was not compiled", launch.family)))?;
        let library = family.library.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: every library is compiled with this function; see `unit`.
        let entry = unsafe { library.get::<Entry>(b"shim_launch\0") };
        let entry = entry.map_err(|e| Error::internal(format!("{}: {e}", launch.family)))?;
        let mut pointers = launch.pointers.to_vec();
        // Kernels take the structure by value, so a copy with the alignment of its numbers.
        let mut geometry = vec![0u64; launch.geometry.len().div_ceil(8)];
        // SAFETY: the copy has room for all bytes.
        unsafe {
            let to: *mut u8 = geometry.as_mut_ptr().cast();
            std::ptr::copy_nonoverlapping(launch.geometry.as_ptr(), to, launch.geometry.len());
        }
        let mut arguments: Vec<*mut c_void> =
            pointers.iter_mut().map(|p| std::ptr::from_mut(p).cast()).collect();
        arguments.push(geometry.as_mut_ptr().cast());
        let name = format!("{}\0", launch.kernel);
        self.launches.set(self.launches.get() + 1);
        let before = self.snapshot();
        // SAFETY: the name ends with 0, and the caller promises that the arguments are what the kernel declares.
        let error = unsafe {
            let arguments = arguments.as_mut_ptr();
            entry(name.as_ptr().cast(), launch.blocks, launch.threads, self.order, arguments)
        };
        if error.is_null() {
            return match untouched(&before, launch.writes) {
                true => Ok(()),
                false => Err(Error::internal(format!("{} wrote outside its results", launch.kernel))),
            };
        }
        // SAFETY: errors are literals of the library, which is open.
        let error = unsafe { CStr::from_ptr(error) }.to_string_lossy().into_owned();
        Err(Error::internal(format!("{}: {error}", launch.kernel)))
    }

    fn begin_recording(&self) -> Result<bool> {
        *self.recording.borrow_mut() = Some(Vec::new());
        Ok(true)
    }

    fn end_recording(&self) -> Result<Option<Vec<Recorded>>> {
        Ok(self.recording.take().filter(|launches| !launches.is_empty()))
    }

    unsafe fn replay(&self, recording: &Vec<Recorded>) -> Result<()> {
        self.replays.set(self.replays.get() + 1);
        // SAFETY: the caller's promise for each of the launches.
        recording.iter().try_for_each(|launch| unsafe { self.launch(&launch.launch()) })
    }
}
