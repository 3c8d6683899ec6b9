//! What the kernel knows of a running process. Linux only.

use std::fs;
use std::io;
use std::time::Duration;

/// CPU time (user and system, all threads, those that ended too) that process `pid` has used, in nanoseconds'
/// resolution.
///
/// The process clock is read because `/proc/<pid>/stat` counts in ticks of 10 ms and `/proc/<pid>/schedstat` leaves
/// out ended threads and is empty on kernels built without scheduler statistics.
///
/// # Errors
/// When there is no such process, or it has ended and been reaped.
pub fn cpu_time(pid: u32) -> io::Result<Duration> {
    let pid = libc::pid_t::try_from(pid).map_err(io::Error::other)?;
    let mut clock: libc::clockid_t = 0;
    #[expect(unsafe_code, reason = "the standard library has no process clocks")]
    // SAFETY: `clock` is a valid place to write one clock id to.
    let code = unsafe { libc::clock_getcpuclockid(pid, &raw mut clock) };
    if code != 0 {
        return Err(io::Error::from_raw_os_error(code));
    }
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    #[expect(unsafe_code, reason = "the standard library has no process clocks")]
    // SAFETY: `time` is a valid place to write one timespec to.
    let code = unsafe { libc::clock_gettime(clock, &raw mut time) };
    if code != 0 {
        return Err(io::Error::last_os_error());
    }
    let seconds = u64::try_from(time.tv_sec).map_err(io::Error::other)?;
    let nanoseconds = u32::try_from(time.tv_nsec).map_err(io::Error::other)?;
    Ok(Duration::new(seconds, nanoseconds))
}

/// The most resident memory that process `pid` has had at one time (`VmHWM`), in bytes.
///
/// # Errors
/// When there is no such process, or it has ended (a zombie has no memory to report).
pub fn peak_memory(pid: u32) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let kibibytes =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse().ok());
    kibibytes
        .map(|k: u64| k * 1024)
        .ok_or_else(|| io::Error::other(format!("process {pid} reports no VmHWM")))
}
