//! A test that runs itself again in another environment.

use std::path::Path;
use std::process::Command;

/// The variable that tells a test that it runs again.
const RERUN: &str = "OUTBOUND_RERUN";

/// Returns true in the process that [`again`] or [`in_own_network`] has started.
pub(crate) fn is_rerun() -> bool {
    std::env::var(RERUN).is_ok()
}

/// Runs a test again with variables.
pub(crate) fn again(test: &str, variables: &[(&str, &str)]) {
    let executable = std::env::current_exe().unwrap();
    run(Command::new(executable)
        .args(["--exact", test, "--nocapture"])
        .envs(variables.iter().copied()));
}

/// Runs a test again in a network namespace in which every address is one of this machine. Returns false if the
/// machine has none.
pub(crate) fn in_own_network(test: &str) -> bool {
    let all_local = "ip link set lo up && ip route add local 0.0.0.0/0 dev lo && ip -6 route add local ::/0 dev lo \
                     && ip addr add 2606:4700::1/128 dev lo";
    let is_possible = Command::new("unshare").args(["-rn", "sh", "-c", all_local]).output();
    if !is_possible.is_ok_and(|output| output.status.success()) {
        return false;
    }
    let script = format!("{all_local} && exec \"$0\" --exact {test} --nocapture");
    let executable = std::env::current_exe().unwrap();
    run(Command::new("unshare").args([
        Path::new("-rn"),
        Path::new("sh"),
        Path::new("-c"),
        Path::new(&script),
        &executable,
    ]));
    true
}

fn run(command: &mut Command) {
    let output = command.env(RERUN, "1").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let is_passed = output.status.success() && text.contains("1 passed");
    assert!(is_passed, "{text}\n{}", String::from_utf8_lossy(&output.stderr));
}
