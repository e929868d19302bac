//! Landlock: which files can be opened at all.

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, RulesetStatus, Scope, make_bitflags,
};
use std::path::Path;

/// Without these rights the child is not confined; kernel 5.13 has them.
const NEEDED: ABI = ABI::V1;
/// Rights that are taken where the kernel has them.
const WANTED: ABI = ABI::V7;

/// Facts of the machine that encoders read to count processors and to seed a serial number.
const READABLE: [&str; 4] = [
    "/dev/urandom",
    "/proc/cpuinfo",
    "/sys/devices/system/cpu",
    "/sys/devices/system/node",
];

/// Confines file access to `scratch`: read, write, make and remove plain files and directories, nothing else.
/// No TCP, no signals and no abstract sockets to the outside, where the kernel knows these.
///
/// # Errors
/// The kernel has no Landlock, or `scratch` cannot be opened.
pub(super) fn confine(scratch: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let in_scratch = make_bitflags!(AccessFs::{
        ReadFile | WriteFile | ReadDir | MakeReg | MakeDir | RemoveFile | RemoveDir | Truncate
    });
    let mut ruleset = handle_all()?
        .create()?
        .set_compatibility(CompatLevel::BestEffort)
        .add_rule(PathBeneath::new(PathFd::new(scratch)?, in_scratch))?;
    for path in READABLE {
        if let Ok(fd) = PathFd::new(path) {
            ruleset = ruleset.add_rule(PathBeneath::new(fd, reading(path)))?;
        }
    }
    let status = ruleset.restrict_self()?;
    if status.ruleset == RulesetStatus::NotEnforced {
        return Err("landlock is not enforced".into());
    }
    Ok(())
}

fn handle_all() -> Result<Ruleset, RulesetError> {
    Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(NEEDED))?
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(WANTED))?
        .handle_access(AccessNet::from_all(WANTED))?
        .scope(Scope::from_all(WANTED))
}

/// A right to list makes no sense on a file, and Landlock refuses it there.
fn reading(path: &str) -> BitFlags<AccessFs> {
    if Path::new(path).is_dir() {
        make_bitflags!(AccessFs::{ReadFile | ReadDir})
    } else {
        AccessFs::ReadFile.into()
    }
}
