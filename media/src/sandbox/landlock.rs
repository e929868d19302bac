//! The Landlock ruleset: the paths that can be opened.

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, RulesetStatus, Scope, make_bitflags,
};
use std::path::Path;

/// Access rights that must be enforced; supported since kernel 5.13.
const REQUIRED: ABI = ABI::V1;
/// Access rights that are enforced when the kernel supports them.
const BEST_EFFORT: ABI = ABI::V7;

/// Files that encoders read to count processors and to seed serial numbers of streams.
const READABLE: [&str; 4] = [
    "/dev/urandom",
    "/proc/cpuinfo",
    "/sys/devices/system/cpu",
    "/sys/devices/system/node",
];

/// Restricts file access to `scratch` and reading of [`READABLE`]. In `scratch`, regular files and directories can be
/// read, written, created and removed. TCP, signals to other processes and connections to abstract sockets are denied
/// when the kernel supports it.
///
/// # Errors
/// The kernel has no Landlock, or `scratch` cannot be opened.
pub(super) fn restrict_to(scratch: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let in_scratch = make_bitflags!(AccessFs::{
        ReadFile | WriteFile | ReadDir | MakeReg | MakeDir | RemoveFile | RemoveDir | Truncate
    });
    let mut ruleset = deny_all()?
        .create()?
        .set_compatibility(CompatLevel::BestEffort)
        .add_rule(PathBeneath::new(PathFd::new(scratch)?, in_scratch))?;
    for path in READABLE {
        if let Ok(fd) = PathFd::new(path) {
            ruleset = ruleset.add_rule(PathBeneath::new(fd, read_rights(path)))?;
        }
    }
    let status = ruleset.restrict_self()?;
    if status.ruleset == RulesetStatus::NotEnforced {
        return Err("landlock is not enforced".into());
    }
    Ok(())
}

/// A ruleset that denies all access rights that the kernel knows.
fn deny_all() -> Result<Ruleset, RulesetError> {
    Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(REQUIRED))?
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(BEST_EFFORT))?
        .handle_access(AccessNet::from_all(BEST_EFFORT))?
        .scope(Scope::from_all(BEST_EFFORT))
}

/// Rights to read a file, or to read and list a directory. Landlock rejects the right to list on a file.
fn read_rights(path: &str) -> BitFlags<AccessFs> {
    if Path::new(path).is_dir() {
        make_bitflags!(AccessFs::{ReadFile | ReadDir})
    } else {
        AccessFs::ReadFile.into()
    }
}
