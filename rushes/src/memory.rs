//! The memory that is available to this process and its children.

use std::path::{Path, PathBuf};

/// Available memory in bytes: the smallest of the memory limits of the control groups of this process and of the memory
/// that is free now (`MemAvailable`, proc(5)). `None` when neither can be read.
pub(crate) fn available() -> Option<u64> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let limits = limit_files(Path::new("/sys/fs/cgroup"), &groups)
        .into_iter()
        .filter_map(|file| std::fs::read_to_string(file).ok()?.trim().parse::<u64>().ok());
    let machine = std::fs::read_to_string("/proc/meminfo").ok();
    limits.chain(machine.and_then(|machine| mem_available(&machine))).min()
}

/// Files that may contain a limit (cgroups(7)), for the group of this process and all groups above it: `memory.max` of
/// version 2 (`max` without a limit) and `memory.limit_in_bytes` of version 1 (a very large number without a limit).
///
/// In a container, `mount` itself is the group of the container, although `/proc` may show the path on the host. Files
/// that do not exist are skipped by the caller; `mount` is always the last of the groups.
fn limit_files(mount: &Path, groups: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else {
            continue;
        };
        let (root, name) = if controllers.is_empty() {
            (mount.to_owned(), "memory.max")
        } else if controllers.split(',').any(|controller| controller == "memory") {
            (mount.join("memory"), "memory.limit_in_bytes")
        } else {
            continue;
        };
        let own = Path::new(path.trim_start_matches('/'));
        files.extend(own.ancestors().map(|group| root.join(group).join(name)));
    }
    files
}

/// `MemAvailable` of `/proc/meminfo` in bytes: memory that can be allocated without swapping.
fn mem_available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_from_all_control_groups_above_the_process() {
        let files = |groups| {
            let files = limit_files(Path::new("/g"), groups);
            files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(
            files("0::/system.slice/rushes.service\n"),
            [
                "/g/system.slice/rushes.service/memory.max",
                "/g/system.slice/memory.max",
                "/g/memory.max"
            ]
        );
        assert_eq!(
            files("5:cpu,cpuacct:/a\n4:memory:/docker/x\n"),
            [
                "/g/memory/docker/x/memory.limit_in_bytes",
                "/g/memory/docker/memory.limit_in_bytes",
                "/g/memory/memory.limit_in_bytes"
            ]
        );
        assert_eq!(files("nonsense\n1:name=systemd:/\n"), Vec::<String>::new());
    }

    #[test]
    fn available_memory_is_read_from_meminfo() {
        let meminfo = "MemTotal:       24683656 kB\nMemFree: 1 kB\nMemAvailable:   22298420 kB\n";
        assert_eq!(mem_available(meminfo), Some(22_298_420 * 1_024));
        assert_eq!(mem_available(""), None);
        assert!(available().is_some_and(|bytes| bytes > 1 << 20));
    }
}
