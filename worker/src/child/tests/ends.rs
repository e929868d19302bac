//! Start and end of a child. No process of it may be left.

use super::*;
use domain::plan::{AudioTrack, Content, PlannedOutput};
use domain::recipe::{AudioCodec, AudioFormat};

#[tokio::test]
async fn a_child_that_ignores_sigterm_is_killed() {
    let started = Instant::now();
    let failure = failure_after(SHORT, "trap '' TERM; while :; do sleep 0.1; done").await;
    assert_eq!(failure.code, Code::MediaStalled);
    assert!(started.elapsed() < LONG);
}

#[tokio::test]
async fn the_wall_clock_limit_holds_although_there_is_progress() {
    let mut child = child(&format!("while :; do echo '{PROGRESS}'; sleep 0.05; done")).await;
    let group = child.group.id();
    let failure = child
        .call(Request::Probe(0), Duration::from_millis(700), |_| ())
        .await
        .unwrap_err();
    assert_eq!(failure.code, Code::MediaTimeout);
    assert!(is_gone(group).await);
}

#[tokio::test]
async fn a_grandchild_does_not_outlive_the_child() {
    let grandchild = "(trap '' TERM HUP; exec sleep 60) & echo $! >&2;";
    let mut finished = child(&format!("{grandchild} echo '{PROBED}'; read -r end")).await;
    let group = finished.group.id();
    finished.probe(0).await.unwrap();
    finished.finish().await;
    assert!(is_gone(group).await);
    // It also keeps the pipe open, so that there is no end of input.
    assert_eq!(
        failure_after(SHORT, &format!("{grandchild} kill -SEGV $$")).await.code,
        Code::MediaStalled
    );
}

#[tokio::test]
async fn a_child_that_is_dropped_during_a_call_is_killed() {
    let mut child = child("trap '' TERM; sleep 60 & wait").await;
    let group = child.group.id();
    let call = child.probe(0);
    assert!(timeout(Duration::from_millis(100), call).await.is_err());
    drop(child);
    assert!(is_gone(group).await);
}

#[tokio::test]
async fn a_child_is_killed_when_its_task_is_aborted() {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let task = tokio::spawn(async move {
        let mut child = child("sleep 60").await;
        sender.send(child.group.id()).unwrap();
        child.probe(0).await
    });
    let group = receiver.await.unwrap();
    task.abort();
    assert!(is_gone(group).await);
}

#[tokio::test]
async fn a_canceled_spawn_leaves_no_process() {
    let script = "echo $$ >&2; read -r session; sleep 60 & wait";
    let marker = format!("{script} # {}", std::process::id());
    let settings = settings(&marker);
    assert!(
        timeout(Duration::from_millis(200), start(&settings, session()))
            .await
            .is_err()
    );
    let deadline = Instant::now() + LONG;
    while processes_with(&marker) > 0 {
        assert!(Instant::now() < deadline, "a process is left");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn processes_with(marker: &str) -> usize {
    let lines = std::fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let entry = entry.ok()?;
        std::fs::read_to_string(entry.path().join("cmdline")).ok()
    });
    lines.filter(|line| line.contains(marker)).count()
}

#[tokio::test]
async fn after_an_abandoned_call_no_other_is_accepted() {
    let mut child = child(&format!("sleep 2; echo '{PROBED}'; sleep 60")).await;
    assert!(timeout(Duration::from_millis(50), child.probe(0)).await.is_err());
    assert_eq!(
        child.probe(0).await.unwrap_err(),
        crash("the media child sent an answer to an abandoned call")
    );
    assert_eq!(child.probe(0).await.unwrap_err().code, Code::MediaCrash);
}

#[tokio::test]
async fn a_failed_start_is_not_the_fault_of_the_file() {
    for script in [
        "exit 3",
        "kill -SEGV $$",
        "read -r session; echo nonsense; sleep 60",
        "read -r session; exit 0",
    ] {
        let failure = start(&settings(script), session()).await.unwrap_err();
        assert_eq!(failure.code, Code::Internal, "{script}");
    }
    let missing = ChildSettings::new("/nowhere/rushes".into());
    assert_eq!(start(&missing, session()).await.unwrap_err().code, Code::Internal);
    let slow = ChildSettings {
        start_timeout: Duration::from_millis(200),
        ..settings("sleep 60")
    };
    assert_eq!(start(&slow, session()).await.unwrap_err().code, Code::Internal);
}

#[tokio::test]
async fn a_child_without_the_whole_sandbox_is_refused_when_it_is_required() {
    let script = r#"read -r session; echo '{"ready":{"landlock":true,"seccomp":false}}'; read -r end"#;
    let failure = start(&settings(script), session()).await.unwrap_err();
    assert_eq!(failure.code, Code::SandboxUnavailable);
    let best_effort = Session {
        sandbox: SandboxMode::BestEffort,
        ..session()
    };
    let child = start(&settings(script), best_effort).await.unwrap();
    assert!(!child.status().is_full());
}

#[tokio::test]
async fn a_request_that_is_longer_than_a_line_is_not_sent() {
    let mut child = child("sleep 60").await;
    let planned = PlannedOutput {
        file: "x".repeat(MAX_LINE_BYTES),
        content: Content::Audio {
            format: AudioFormat::M4a,
            audio: AudioTrack::Copy { codec: AudioCodec::Aac },
        },
        steps: Vec::new(),
    };
    let failure = child
        .verify(vec![(planned, OutputReport::default())], Duration::from_secs(9))
        .await
        .unwrap_err();
    assert_eq!(failure.code, Code::Internal);
}

#[tokio::test]
async fn a_child_does_not_inherit_the_environment() {
    let script = format!("env >&2; echo '{PROBED}'; read -r end");
    let mut child = child(&script).await;
    child.probe(0).await.unwrap();
    child.input = None;
    child.stderr.read_rest().await;
    let environment = child.stderr_tail();
    assert!(
        !environment.contains("CARGO") && !environment.contains("HOME="),
        "{environment}"
    );
}

/// The kernel sends the parent-death signal when the thread that started a process ends. See `fork_server`.
#[test]
fn a_child_survives_the_thread_that_requested_it() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_keep_alive(Duration::from_millis(1))
        .build()
        .unwrap();
    let settings = settings(&format!("{READY} read -r request; echo '{PROBED}'; read -r end"));
    let handle = runtime.handle().clone();
    let spawn = move || {
        let child = handle.block_on(start(&settings, session())).unwrap();
        let thread = rustix::thread::gettid().as_raw_pid();
        (child, format!("/proc/self/task/{thread}"))
    };
    runtime.block_on(async {
        let (mut child, thread) = tokio::task::spawn_blocking(spawn).await.unwrap();
        let deadline = Instant::now() + LONG;
        while std::path::Path::new(&thread).exists() {
            assert!(Instant::now() < deadline, "the thread does not end");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        child.probe(0).await.unwrap();
        child.finish().await;
    });
}
