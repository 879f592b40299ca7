//! How much memory there is for this process: the machine's, its cgroup's, its own limits.
//!
//! It is read once, at the start. Not how much is free: that is others' to use as well.
//! Called by `cli` when it makes the server.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::{Resource, getrlimit};

/// The most that the limits found here may be: beyond it no honest need goes.
const MOST_BYTES: u64 = 1 << 30;

/// A quarter of the memory that this process may use, in bytes, and 1 GiB at most: for
/// each of the settings that are found out.
pub fn quarter_of_memory() -> usize {
    let own = [Resource::As, Resource::Data].map(|resource| getrlimit(resource).current);
    let read = |path: &Path| fs::read_to_string(path).ok();
    let least = own.into_iter().flatten().chain(of_system(read)).min();
    let quarter = least.map_or(MOST_BYTES, |bytes| bytes / 4);
    usize::try_from(quarter.min(MOST_BYTES)).unwrap_or(usize::MAX)
}

/// What the machine and the cgroups have, of which the least counts. `read` gives the
/// text of a file of the system.
fn of_system(read: impl Fn(&Path) -> Option<String>) -> Option<u64> {
    let machine = read(Path::new("/proc/meminfo")).and_then(|text| total(&text));
    let groups = read(Path::new("/proc/self/cgroup")).unwrap_or_default();
    let limits = groups.lines().flat_map(limit_files);
    let limits = limits.filter_map(|path| bytes(&read(&path)?));
    limits.chain(machine).min()
}

/// `MemTotal` of /proc/meminfo, in bytes.
fn total(text: &str) -> Option<u64> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// The files in which a line of /proc/self/cgroup says that a limit may stand: that of the
/// group itself and of all around it. In a container the path may be one of the host's
/// that is not there; the root is then the container's own.
fn limit_files(line: &str) -> Vec<PathBuf> {
    let mut parts = line.splitn(3, ':').skip(1);
    let (Some(controllers), Some(group)) = (parts.next(), parts.next()) else {
        return Vec::new();
    };
    let (root, file) = if controllers.is_empty() {
        ("/sys/fs/cgroup", "memory.max")
    } else if controllers.split(',').any(|name| name == "memory") {
        ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
    } else {
        return Vec::new();
    };
    let groups = Path::new(group.trim_start_matches('/')).ancestors();
    groups
        .map(|group| Path::new(root).join(group).join(file))
        .collect()
}

/// The limit that a file of a cgroup gives; none for `max`. No limit is a huge number in
/// version 1, and harmless.
fn bytes(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn least(files: &[(&str, &str)]) -> Option<u64> {
        of_system(|path| {
            let found = files.iter().find(|(name, _)| Path::new(name) == path)?;
            Some(found.1.to_owned())
        })
    }

    const MEMINFO: (&str, &str) = (
        "/proc/meminfo",
        "MemTotal:        4000 kB\nMemFree:   1 kB\n",
    );

    #[test]
    fn the_least_of_machine_and_cgroups_counts() {
        assert_eq!(least(&[]), None);
        assert_eq!(least(&[MEMINFO]), Some(4_096_000));
        let two = ("/proc/self/cgroup", "0::/system.slice/chloe.service\n");
        let own = "/sys/fs/cgroup/system.slice/chloe.service/memory.max";
        assert_eq!(least(&[MEMINFO, two, (own, "max\n")]), Some(4_096_000));
        assert_eq!(least(&[MEMINFO, two, (own, "1000\n")]), Some(1_000));
        let slice = "/sys/fs/cgroup/system.slice/memory.max";
        let files = [MEMINFO, two, (own, "3000\n"), (slice, "2000\n")];
        assert_eq!(least(&files), Some(2_000));
        // A container's own root.
        let files = [two, ("/sys/fs/cgroup/memory.max", "7000\n")];
        assert_eq!(least(&files), Some(7_000));
        // A group outside of it.
        let outside = ("/proc/self/cgroup", "0::/../other\n");
        let files = [outside, ("/sys/fs/cgroup/memory.max", "7000\n")];
        assert_eq!(least(&files), Some(7_000));
    }

    #[test]
    fn version_1_is_read_as_well() {
        let one = (
            "/proc/self/cgroup",
            "5:cpu,cpuacct:/a\n4:memory:/docker/0a\n1:name=systemd:/a\n0::/a\nnoise\n",
        );
        let own = "/sys/fs/cgroup/memory/docker/0a/memory.limit_in_bytes";
        let root = "/sys/fs/cgroup/memory/memory.limit_in_bytes";
        assert_eq!(least(&[one, (own, "5000\n")]), Some(5_000));
        assert_eq!(least(&[one, (root, "6000\n")]), Some(6_000));
        let unlimited = (root, "9223372036854771712\n");
        assert_eq!(least(&[MEMINFO, one, unlimited]), Some(4_096_000));
    }

    #[test]
    fn it_is_no_more_than_a_gibibyte() {
        let found = quarter_of_memory();
        assert!(found > 0 && found as u64 <= MOST_BYTES);
    }
}
