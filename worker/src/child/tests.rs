//! Tests with scripted children: a few lines of bash that crash, hang, violate the protocol or ignore signals.

mod ends;
mod server;

use super::*;
use domain::protocol::VerifyDepth;
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process_group};
use std::path::Path;

const READY: &str = r#"read -r session; echo '{"ready":{"landlock":true,"seccomp":true}}';"#;
const PROGRESS: &str =
    r#"{"progress":{"phase":"transcode","percent":7,"frames":1,"fps":1.0,"speed":1.0,"eta_s":null}}"#;
const PROBED: &str = r#"{"probed":{"container":"scripted","bytes":1,"duration_us":2,"start_us":0,"streams":[]}}"#;
/// Timeout of a few lines of bash on a busy machine.
const LONG: Duration = Duration::from_secs(20);
/// Stall timeout in the tests that wait for it.
const SHORT: Duration = Duration::from_millis(300);

/// Settings of a fork server whose children run a script.
fn settings(script: &str) -> ChildSettings {
    let server = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/child/tests/fork_server.py");
    ChildSettings {
        args: vec![server.to_str().unwrap().into(), script.into()],
        stall_timeout: LONG,
        kill_grace: Duration::from_millis(300),
        ..ChildSettings::new("/usr/bin/python3".into())
    }
}

/// Starts a child of a fork server of its own.
async fn start(settings: &ChildSettings, session: Session) -> Result<Child, Failure> {
    ChildStarter::new(settings.clone())
        .unwrap()
        .start(session, Unconfirmed::Postpone)
        .await
}

fn session() -> Session {
    Session {
        sources: Vec::new(),
        images: Vec::new(),
        scratch: "/".into(),
        sandbox: SandboxMode::Require,
        max_memory_bytes: 1 << 30,
        max_cpu_s: 60,
        max_file_bytes: 1 << 30,
        threads: 1,
        depth: VerifyDepth::Fast,
    }
}

/// A child that gets ready, reads one request, and then runs the script.
async fn child(script: &str) -> Child {
    let script = format!("{READY} read -r request; {script}");
    start(&settings(&script), session()).await.unwrap()
}

/// The failure of a probe by such a child. Checks that no process of it is left.
async fn failure(script: &str) -> Failure {
    failure_after(LONG, script).await
}

async fn failure_after(stall_timeout: Duration, script: &str) -> Failure {
    let mut child = child(script).await;
    child.settings.stall_timeout = stall_timeout;
    let group = child.group.id();
    let failure = child.probe(0).await.unwrap_err();
    assert!(is_gone(group).await, "{failure}");
    failure
}

/// Waits until the group has no process left, not even a zombie.
async fn is_gone(group: Pid) -> bool {
    let deadline = Instant::now() + LONG;
    while test_kill_process_group(group) != Err(Errno::SRCH) {
        if Instant::now() > deadline {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    true
}

fn crash(detail: &str) -> Failure {
    Failure::new(Code::MediaCrash, detail)
}

#[tokio::test]
async fn an_answer_is_parsed_and_no_process_of_the_child_is_left() {
    let mut child = child(&format!("echo '{PROGRESS}'; echo '{PROBED}'; read -r end")).await;
    assert!(child.status().is_full());
    let group = child.group.id();
    let mut percents = Vec::new();
    let event = child
        .call(Request::Probe(0), LONG, |progress| percents.push(progress.percent))
        .await
        .unwrap();
    assert!(matches!(event, Event::Probed(probe) if probe.container == "scripted"));
    assert_eq!(percents, [7]);
    child.finish().await;
    assert_eq!(test_kill_process_group(group), Err(Errno::SRCH));
}

#[tokio::test]
async fn a_crash_and_an_exit_are_told_in_words_without_numbers() {
    for signal in ["SEGV", "ABRT", "BUS", "SYS", "34"] {
        let failure = failure(&format!("kill -{signal} $$")).await;
        assert_eq!(failure, crash("the media child crashed"), "{signal}");
    }
    for status in ["0", "7", "127"] {
        let failure = failure(&format!("exit {status}")).await;
        assert_eq!(failure, crash("the media child ended without a result"), "{status}");
    }
}

#[tokio::test]
async fn a_kill_by_the_kernel_is_a_limit_and_one_from_outside_is_no_fault_of_the_file() {
    for (script, code) in [
        ("kill -KILL $$", Code::MediaKilled),
        ("kill -XCPU $$", Code::MediaTimeout),
        ("kill -XFSZ $$", Code::OutputTooLarge),
        (
            "echo 'memory allocation of 8 bytes failed' >&2; kill -ABRT $$",
            Code::MediaMemory,
        ),
    ] {
        assert_eq!(failure(script).await.code, code, "{script}");
    }
}

#[tokio::test]
async fn an_answer_after_a_failed_allocation_is_an_error() {
    for message in [
        "x264 [error]: malloc of size 7088768 failed",
        "[h264 @ 0x5] Could not allocate memory",
    ] {
        let mut child = child(&format!("echo '{message}' >&2; echo '{PROBED}'; read -r end")).await;
        let failure = child.probe(0).await.unwrap_err();
        assert_eq!(failure.code, Code::MediaMemory);
    }
}

#[tokio::test]
async fn a_silent_child_is_stalled() {
    let started = Instant::now();
    let failure = failure_after(SHORT, "sleep 60").await;
    assert_eq!(failure.code, Code::MediaStalled);
    assert!(started.elapsed() < LONG);
}

#[tokio::test]
async fn words_without_movement_are_no_progress() {
    let failure = failure_after(SHORT, &format!("while :; do echo '{PROGRESS}'; sleep 0.05; done")).await;
    assert_eq!(failure.code, Code::MediaStalled);
    assert_eq!(failure.detail, "no progress for 0.3 s");
}

#[tokio::test]
async fn a_stage_that_hangs_is_noticed_although_the_others_move() {
    let step = r#"{"progress":{"phase":"transcode","percent":7,"frames":1,"fps":1.0,"speed":1.0,"eta_s":null"#;
    let script = format!(
        "n=0; while :; do n=$((n+1)); echo '{step},\"items_processed\":'$n',\"stalled_ms\":'$((n*100))'}}}}'; sleep 0.05; done"
    );
    let failure = failure_after(Duration::from_secs(5), &script).await;
    assert_eq!(failure.detail, "no progress for 5 s");
}

#[tokio::test]
async fn work_that_moves_goes_on_although_no_percent_and_no_frame_is_counted() {
    let step = r#"{"progress":{"phase":"transcode","percent":7,"frames":1,"fps":1.0,"speed":1.0,"eta_s":null"#;
    let script = format!(
        "for n in 1 2 3 4 5 6; do echo '{step},\"items_processed\":'$n'}}}}'; sleep 1; done; echo '{PROBED}'; read -r end"
    );
    let mut child = child(&script).await;
    child.settings.stall_timeout = Duration::from_secs(4);
    child.probe(0).await.unwrap();
}

#[tokio::test]
async fn output_on_standard_error_does_not_prevent_a_stall() {
    let failure = failure_after(SHORT, "while :; do echo noise >&2; done").await;
    assert_eq!(failure.code, Code::MediaStalled);
}

#[tokio::test]
async fn a_protocol_violation_is_a_crash() {
    assert_eq!(
        failure("echo '{\"probed\":'; sleep 60").await,
        crash("the media child sent a line that is no event")
    );
    let endless = "while :; do printf xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done";
    assert_eq!(
        failure(endless).await,
        crash("the media child sent a line over 256 KiB")
    );
    let other = "echo '{\"verified\":[]}'; sleep 60";
    assert_eq!(
        failure(other).await,
        crash("the media child sent an answer to another question")
    );
    let flood = format!("while :; do echo '{PROGRESS}'; done");
    assert_eq!(failure(&flood).await, crash("the media child sent far too many events"));
}

#[tokio::test]
async fn an_answer_without_line_break_is_no_answer() {
    let failure = failure(&format!("printf '%s' '{PROBED}'; exit 0")).await;
    assert_eq!(failure, crash("the media child ended without a result"));
}

#[tokio::test]
async fn the_end_of_a_long_standard_error_is_kept() {
    let flood = "head -c 3000000 /dev/zero | tr '\\0' n >&2; printf end >&2;";
    let mut child = child(&format!("{flood} echo '{PROBED}'; read -r end")).await;
    child.probe(0).await.unwrap();
    child.stderr.read_rest().await;
    let tail = child.stderr_tail();
    assert!(
        tail.len() <= 8 * 1024 && tail.ends_with("nnend"),
        "{} bytes",
        tail.len()
    );
}

#[tokio::test]
async fn a_child_that_reported_a_failure_can_be_called_again() {
    let failed = r#"{"failed":{"code":"not_media","detail":"what\nis\u001bthis"}}"#;
    let mut child = child(&format!(
        "echo '{failed}'; read -r request; echo '{PROBED}'; read -r end"
    ))
    .await;
    let failure = child.probe(0).await.unwrap_err();
    assert_eq!(failure, Failure::new(Code::NotMedia, "whatisthis"));
    child.probe(0).await.unwrap();
}

#[tokio::test]
async fn a_shortage_that_only_the_child_sees_is_believed_for_the_first_attempts_of_a_task() {
    let short = r#"{"failed":{"code":"unavailable","detail":"the machine has no memory left"}}"#;
    let script = format!("{READY} read -r request; echo '{short}'; read -r end");
    for (unconfirmed, code) in [
        (Unconfirmed::Postpone, Code::Unavailable),
        (Unconfirmed::Fail, Code::Internal),
    ] {
        let children = ChildStarter::new(settings(&script)).unwrap();
        let mut child = children.start(session(), unconfirmed).await.unwrap();
        assert_eq!(child.probe(0).await.unwrap_err().code, code, "{unconfirmed:?}");
    }
    // Its words about the failed allocation do not make it a failure of the file.
    let mut child = child(&format!("echo 'out of memory' >&2; echo '{short}'; read -r end")).await;
    assert_eq!(child.probe(0).await.unwrap_err().code, Code::Unavailable);
    // A crash after it noted a shortage is none of the file.
    let note = "printf '\\nthe machine has no memory left\\n' >&2; kill -ABRT $$";
    assert_eq!(failure(note).await.code, Code::Unavailable);
}
