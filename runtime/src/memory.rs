//! How much memory there is to be had, so that what asks for more is told so before the system ends the process.
//!
//! Linux promises memory that it does not have, and ends a process that uses what it was promised. So what is large is compared
//! with what is there: of the machine, of the control groups that the process is in, and of the limits that it was started
//! with. Memory that the process has been promised and has not used yet counts as used. On other systems nothing is known, and a
//! promise that the system refuses is the only error.

use crate::RunError;

/// What is smaller than this is not compared with what there is.
const CHECKED_FROM_BYTES: usize = 1 << 20;
/// So much is left to what is small.
const SPARED_BYTES: u64 = 32 << 20;

/// Checks that so many bytes more can be had.
///
/// ```
/// assert!(runtime::memory::check(1 << 20).is_ok());
/// assert!(cfg!(not(target_os = "linux")) || runtime::memory::check(1 << 60).is_err());
/// ```
///
/// # Errors
/// Where it is known that there is no such memory.
pub fn check(bytes: usize) -> Result<(), RunError> {
    if bytes < CHECKED_FROM_BYTES {
        return Ok(());
    }
    match available_bytes() {
        Some(available) if bytes as u64 > available => {
            Err(RunError::OutOfMemory { bytes, available: Some(available) })
        }
        _ => Ok(()),
    }
}

/// How many bytes more the process can use, as far as the system tells; `None` where it does not.
///
/// ```
/// println!("{:?} bytes are there", runtime::memory::available_bytes());
/// ```
pub fn available_bytes() -> Option<u64> {
    #[cfg(target_os = "linux")]
    return linux::available_bytes().map(|available| available.saturating_sub(SPARED_BYTES));
    #[cfg(not(target_os = "linux"))]
    None
}

/// A number of bytes in words: `1.5 GiB`.
///
/// ```
/// assert_eq!(runtime::memory::in_words(3 << 29), "1.5 GiB");
/// assert_eq!(runtime::memory::in_words(1000), "1000 bytes");
/// ```
pub fn in_words(bytes: u64) -> String {
    let units = [(1u64 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB")];
    match units.into_iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, name)) => format!("{:.1} {name}", bytes as f64 / unit as f64),
        None => format!("{bytes} bytes"),
    }
}

/// What Linux tells in `/proc` and `/sys` (`man 5 proc`; Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst).
#[cfg(target_os = "linux")]
mod linux {
    use std::fs;
    use std::path::Path;

    const KIB: u64 = 1024;

    /// The least of what is left of the machine, of the groups and of the limits.
    pub fn available_bytes() -> Option<u64> {
        let status = fs::read_to_string("/proc/self/status").ok()?;
        let of_process = |name: &str| kib(&status, name).unwrap_or(0);
        let used = of_process("RssAnon:") + of_process("VmSwap:");
        // What was promised and is not used yet will be.
        let unused = of_process("VmData:").saturating_sub(used);
        let left = left_of_machine().into_iter().chain(left_of_groups());
        let left = left.map(|left| left.saturating_sub(unused));
        let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
        let limits = [("Max address space", "VmSize:"), ("Max data size", "VmData:")]
            .into_iter()
            .filter_map(|(limit, taken)| Some(soft_limit(&limits, limit)?.saturating_sub(of_process(taken))));
        left.chain(limits).min()
    }

    fn left_of_machine() -> Option<u64> {
        let machine = fs::read_to_string("/proc/meminfo").ok()?;
        Some(kib(&machine, "MemAvailable:")? + kib(&machine, "SwapFree:").unwrap_or(0))
    }

    /// What is left of each group that the process is in: limit less usage, in which files count that are let go where memory
    /// is wanted.
    fn left_of_groups() -> Vec<u64> {
        let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let mut left = Vec::new();
        for line in groups.lines() {
            let mut fields = line.splitn(3, ':').skip(1);
            let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { continue };
            let (root, names) = match controllers {
                "" => ("/sys/fs/cgroup", ["memory.max", "memory.current", "inactive_file"]),
                _ if controllers.split(',').any(|it| it == "memory") => (
                    "/sys/fs/cgroup/memory",
                    ["memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"],
                ),
                _ => continue,
            };
            // In a container its own group is the root, whatever its path.
            let folders = Path::new(path.trim_start_matches('/')).ancestors();
            left.extend(folders.filter_map(|group| left_of_group(&Path::new(root).join(group), names)));
        }
        left
    }

    fn left_of_group(folder: &Path, [limit, usage, files]: [&str; 3]) -> Option<u64> {
        let number = |name: &str| fs::read_to_string(folder.join(name)).ok()?.trim().parse::<u64>().ok();
        let (limit, usage) = (number(limit)?, number(usage)?);
        let stat = fs::read_to_string(folder.join("memory.stat")).unwrap_or_default();
        let is_files = |line: &&str| line.split(' ').next() == Some(files);
        let files = stat.lines().find(is_files).and_then(|line| line.split(' ').nth(1)?.parse().ok());
        Some(limit.saturating_sub(usage.saturating_sub(files.unwrap_or(0))))
    }

    /// The number behind a name in `/proc/meminfo` and `/proc/self/status`, in bytes.
    fn kib(text: &str, name: &str) -> Option<u64> {
        let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
        rest.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(KIB)
    }

    /// The soft limit of a name in `/proc/self/limits`; `None` where there is none.
    fn soft_limit(text: &str, name: &str) -> Option<u64> {
        text.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn numbers_are_found_by_name() {
            let status = "VmSize:\t    2000 kB\nVmData:\t     7 kB\nVmSwap:\n";
            assert_eq!(kib(status, "VmData:"), Some(7 * 1024));
            assert_eq!((kib(status, "VmSwap:"), kib(status, "RssAnon:")), (None, None));
            let limits = "Limit                     Soft Limit           Hard Limit           Units\n\
                          Max data size             unlimited            unlimited            bytes\n\
                          Max address space         300000               unlimited            bytes\n";
            assert_eq!(soft_limit(limits, "Max address space"), Some(300_000));
            assert_eq!(soft_limit(limits, "Max data size"), None);
        }

        #[test]
        fn a_group_has_left_what_its_limit_leaves_but_for_files() {
            let folder = std::env::temp_dir().join(format!("nnc-group-{}", std::process::id()));
            fs::create_dir_all(&folder).unwrap();
            let write = |name: &str, text: &str| fs::write(folder.join(name), text).unwrap();
            let names = ["memory.max", "memory.current", "inactive_file"];
            write("memory.max", "max\n");
            write("memory.current", "700\n");
            write("memory.stat", "anon 300\ninactive_file 150\nactive_file 5\n");
            assert_eq!(left_of_group(&folder, names), None);
            write("memory.max", "1000\n");
            assert_eq!(left_of_group(&folder, names), Some(450));
            write("memory.max", "100\n");
            assert_eq!(left_of_group(&folder, names), Some(0));
            fs::remove_dir_all(&folder).unwrap();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_told_in_the_unit_that_they_have() {
        let sizes = [0, (1 << 20) - 1, 1 << 20, 3 << 29, 1 << 40];
        let words = ["0 bytes", "1048575 bytes", "1.0 MiB", "1.5 GiB", "1.0 TiB"];
        assert_eq!(sizes.map(in_words), words);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_the_process_was_promised_and_has_not_used_counts_as_used() {
        let before = available_bytes().unwrap();
        let promised = 1 << 30;
        let memory = crate::Buffer::zeroed(promised).unwrap();
        let after = available_bytes().unwrap();
        // Others take and give back memory meanwhile.
        assert!(before.saturating_sub(after) > promised as u64 / 2, "{before} {after}");
        drop(memory);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn more_than_there_is_cannot_be_had() {
        let bytes = 1 << 50;
        let error = check(bytes).unwrap_err().to_string();
        assert!(error.starts_with("1024.0 TiB of memory cannot be had, and "), "{error}");
        assert!(error.ends_with(" are there; use a smaller batch or model"), "{error}");
        assert_eq!(check(CHECKED_FROM_BYTES - 1), Ok(()));
    }
}
