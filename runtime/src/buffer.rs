//! Memory for tensors: aligned to a cache line, zeroed, in large pages where it is large.
//!
//! Fresh pages of 4 KiB arrive an order of magnitude slower than memory can be written, and each of them takes an
//! entry of the TLB. So memory is taken once, when a program is made ready, and the system is asked for large pages.

#![allow(unsafe_code, reason = "this is where memory is taken from the system and handed out as bytes")]

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ptr::NonNull;

use ir::Plan;

use crate::{RunError, memory};

/// Every buffer starts at a multiple of this many bytes, as places in the arena do.
const ALIGNMENT: usize = Plan::ALIGNMENT;
/// The size of a large page, and the size from which on a buffer is made of them.
const LARGE_PAGE_BYTES: usize = 2 << 20;

/// Zeroed bytes, aligned to [`Plan::ALIGNMENT`]. A buffer does not move when its owner does.
#[derive(Debug)]
pub struct Buffer {
    start: NonNull<u8>,
    len: usize,
    source: Source,
}

/// Where the memory of a buffer came from, and so how it goes back.
#[derive(Clone, Copy, Debug)]
enum Source {
    /// There is none: the buffer is empty.
    Empty,
    /// The global allocator.
    Heap(Layout),
    /// A mapping of this address and size.
    #[cfg(target_os = "linux")]
    Mapping { address: NonNull<u8>, bytes: usize },
}

// SAFETY: a buffer owns its memory and has no interior mutability, as a `Vec<u8>`.
unsafe impl Send for Buffer {}
// SAFETY: as above; a shared buffer can only be read.
unsafe impl Sync for Buffer {}

impl Buffer {
    /// A buffer of `len` zero bytes.
    ///
    /// ```
    /// let mut buffer = runtime::Buffer::zeroed(100).unwrap();
    /// assert_eq!(buffer.as_slice(), [0; 100]);
    /// assert_eq!(buffer.as_slice().as_ptr() as usize % 64, 0);
    /// buffer.as_mut_slice()[7] = 1;
    /// ```
    ///
    /// # Errors
    /// Where the system has no such memory.
    pub fn zeroed(len: usize) -> Result<Buffer, RunError> {
        memory::check(len)?;
        let none = RunError::OutOfMemory { bytes: len, available: None };
        if len == 0 {
            return Ok(Buffer { start: aligned_dangling(), len, source: Source::Empty });
        }
        #[cfg(target_os = "linux")]
        if len >= LARGE_PAGE_BYTES {
            return map_large_pages(len).ok_or(none);
        }
        let layout = Layout::from_size_align(len, ALIGNMENT).map_err(|_| none.clone())?;
        // SAFETY: the size of the layout is `len`, which is not 0.
        let start = NonNull::new(unsafe { alloc_zeroed(layout) }).ok_or(none)?;
        Ok(Buffer { start, len, source: Source::Heap(layout) })
    }

    /// The number of bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The address of the first byte. Kernels read and write through it while the buffer is borrowed by a run.
    pub fn as_ptr(&self) -> *mut u8 {
        self.start.as_ptr()
    }

    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        // SAFETY: `start` is the address of `len` initialised bytes that this buffer owns.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }

    /// The bytes, to write to.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: as in `as_slice`, and the buffer is borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

impl Clone for Buffer {
    /// A copy; the process ends, as with a `Vec`, where there is no memory for it.
    fn clone(&self) -> Buffer {
        let layout =
            Layout::from_size_align(self.len, ALIGNMENT).expect("memory of this size was had before");
        let mut copy = Buffer::zeroed(self.len).unwrap_or_else(|_| handle_alloc_error(layout));
        copy.as_mut_slice().copy_from_slice(self.as_slice());
        copy
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        match self.source {
            Source::Empty => {}
            // SAFETY: `start` came from `alloc_zeroed` with this layout, and nothing borrows the buffer any more.
            Source::Heap(layout) => unsafe { dealloc(self.start.as_ptr(), layout) },
            #[cfg(target_os = "linux")]
            Source::Mapping { address, bytes } => {
                // SAFETY: this mapping was made by `map_large_pages` for this buffer alone.
                let status = unsafe { libc::munmap(address.as_ptr().cast(), bytes) };
                debug_assert_eq!(status, 0, "a mapping of our own can be unmapped");
            }
        }
    }
}

/// An address for empty buffers: aligned, never read.
fn aligned_dangling() -> NonNull<u8> {
    #[repr(align(64))]
    struct Line;
    const { assert!(align_of::<Line>() == ALIGNMENT) };
    NonNull::<Line>::dangling().cast()
}

/// A mapping of `len` zero bytes that starts on a large page.
#[cfg(target_os = "linux")]
fn map_large_pages(len: usize) -> Option<Buffer> {
    let bytes = len.checked_add(LARGE_PAGE_BYTES)?;
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a new anonymous mapping at an address of the system's choice touches no memory in use.
    let address = unsafe { libc::mmap(std::ptr::null_mut(), bytes, protection, flags, -1, 0) };
    if address == libc::MAP_FAILED {
        return None;
    }
    let address = NonNull::new(address.cast::<u8>())?;
    // SAFETY: the mapping is a large page longer than `len`, so what is skipped leaves `len` bytes.
    let start = unsafe { address.add(address.align_offset(LARGE_PAGE_BYTES)) };
    // SAFETY: the range lies within the mapping. This is advice: where it fails, pages are small.
    unsafe { libc::madvise(start.as_ptr().cast(), len, libc::MADV_HUGEPAGE) };
    Some(Buffer { start, len, source: Source::Mapping { address, bytes } })
}

/// Asks the system for large pages under memory that another owns, such as a large tensor that has not been written
/// yet. Nothing happens where the memory is small, or where the system has no such pages.
pub fn advise_large_pages(bytes: *const u8, len: usize) {
    #[cfg(target_os = "linux")]
    {
        let first = (bytes as usize).next_multiple_of(LARGE_PAGE_BYTES);
        let end = (bytes as usize + len) & !(LARGE_PAGE_BYTES - 1);
        if first < end {
            // SAFETY: the advice changes neither contents nor protection of the pages, which lie within the memory.
            unsafe { libc::madvise(first as *mut libc::c_void, end - first, libc::MADV_HUGEPAGE) };
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (bytes, len);
}

/// A tensor of zeros, in large pages where it is large, which the system translates addresses of in less time: programs read and write it
/// faster than one in small pages.
///
/// ```
/// let zeros = runtime::buffer::zeroed_tensor(&ir::Type::new(ir::DType::F32, [1000, 1000]))?;
/// assert_eq!(zeros, ir::Tensor::zeros(&zeros.ty()));
/// # Ok::<(), runtime::RunError>(())
/// ```
///
/// # Errors
/// Where there is no memory for it.
pub fn zeroed_tensor(ty: &ir::Type) -> Result<ir::Tensor, RunError> {
    fn zeroed<T: ir::Element + Default>(ty: &ir::Type) -> Result<ir::Tensor, RunError> {
        let count = ty.shape.elements();
        let mut probe: Vec<T> = Vec::new();
        let bytes = ty.size_bytes();
        memory::check(bytes)?;
        probe.try_reserve_exact(count).map_err(|_| RunError::OutOfMemory { bytes, available: None })?;
        advise_large_pages(probe.as_ptr().cast(), ty.size_bytes());
        probe.resize(count, T::default());
        Ok(ir::Tensor::new(ty.shape.clone(), probe).expect("as many elements as the shape has"))
    }
    match ty.dtype {
        ir::DType::F32 => zeroed::<f32>(ty),
        ir::DType::F64 => zeroed::<f64>(ty),
        ir::DType::I32 => zeroed::<i32>(ty),
        ir::DType::I64 => zeroed::<i64>(ty),
        ir::DType::Bool => zeroed::<bool>(ty),
    }
}

/// The memory in which the intermediate values of a plan live.
#[derive(Debug)]
pub struct Arena {
    buffer: Buffer,
}

impl Arena {
    /// An arena of `bytes` zero bytes.
    pub fn new(bytes: usize) -> Result<Arena, RunError> {
        Ok(Arena { buffer: Buffer::zeroed(bytes)? })
    }

    /// The size.
    pub fn bytes(&self) -> usize {
        self.buffer.len()
    }

    /// The address of the place of `bytes` bytes at `offset`.
    ///
    /// # Panics
    /// Where the place is not within the arena or not aligned: the plan is malformed.
    pub fn place(&self, offset: usize, bytes: usize) -> *mut u8 {
        assert!(offset.is_multiple_of(ALIGNMENT), "arena offset {offset} is not a multiple of {ALIGNMENT}");
        let fits = offset.checked_add(bytes).is_some_and(|end| end <= self.bytes());
        assert!(fits, "{bytes} bytes at {offset} do not fit into an arena of {}", self.bytes());
        // SAFETY: `offset` is at most the size of the buffer, checked above.
        unsafe { self.buffer.as_ptr().add(offset) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_zeroed_and_aligned() {
        for len in [0, 1, 63, 64, 4097, LARGE_PAGE_BYTES, LARGE_PAGE_BYTES + 17] {
            let mut buffer = Buffer::zeroed(len).unwrap();
            assert_eq!(buffer.as_ptr() as usize % ALIGNMENT, 0, "{len}");
            assert!(buffer.as_slice().iter().all(|&byte| byte == 0), "{len}");
            buffer.as_mut_slice().fill(7);
            assert_eq!(buffer.as_slice().len(), len);
        }
    }

    #[test]
    fn memory_that_cannot_be_had_is_an_error() {
        for bytes in [usize::MAX, isize::MAX as usize - 4096] {
            let error = Buffer::zeroed(bytes).unwrap_err();
            assert!(
                matches!(error, RunError::OutOfMemory { bytes: wanted, .. } if wanted == bytes),
                "{error}"
            );
        }
    }

    #[test]
    #[should_panic(expected = "do not fit")]
    fn a_place_outside_of_the_arena_is_refused() {
        Arena::new(128).unwrap().place(64, 65);
    }

    #[test]
    fn an_empty_place_at_the_end_is_within() {
        let arena = Arena::new(128).unwrap();
        assert_eq!(arena.place(128, 0) as usize - arena.place(0, 1) as usize, 128);
    }
}
