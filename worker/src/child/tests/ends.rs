//! How a child begins and ends, and that nothing of it stays behind.

use super::*;
use domain::plan::{AudioTrack, Content, PlannedOutput};
use domain::recipe::{AudioCodec, AudioFormat};

#[tokio::test]
async fn whoever_ignores_the_request_to_end_is_killed() {
    let began = Instant::now();
    let failure = failure_after(SHORT, "trap '' TERM; while :; do sleep 0.1; done").await;
    assert_eq!(failure.code, Code::MediaStalled);
    assert!(began.elapsed() < PATIENCE);
}

#[tokio::test]
async fn the_wall_clock_counts_although_there_is_progress() {
    let mut child = child(&format!("while :; do echo '{PROGRESS}'; sleep 0.05; done")).await;
    let group = child.group.id();
    let failure = child
        .call(Request::Probe(0), Duration::from_millis(700), |_| ())
        .await
        .unwrap_err();
    assert_eq!(
        (failure.kind, failure.code),
        (FailureKind::ResourceLimit, Code::MediaTimeout)
    );
    assert!(is_gone(group).await);
}

#[tokio::test]
async fn a_grandchild_does_not_outlive_the_child() {
    let clinging = "(trap '' TERM HUP; exec sleep 60) & echo $! >&2;";
    let mut finished = child(&format!("{clinging} echo '{PROBED}'; read -r end")).await;
    let group = finished.group.id();
    finished.probe(0).await.unwrap();
    finished.finish().await;
    assert!(is_gone(group).await);
    // It also holds the pipe, so that there is no end of input.
    assert_eq!(
        failure_after(SHORT, &format!("{clinging} kill -SEGV $$")).await.code,
        Code::MediaStalled
    );
}

#[tokio::test]
async fn a_child_dropped_in_the_middle_of_a_call_is_gone() {
    let mut child = child("trap '' TERM; sleep 60 & wait").await;
    let group = child.group.id();
    let call = child.probe(0);
    assert!(timeout(Duration::from_millis(100), call).await.is_err());
    drop(child);
    assert!(is_gone(group).await);
}

#[tokio::test]
async fn a_task_that_is_aborted_takes_its_child_along() {
    let (tell, told) = tokio::sync::oneshot::channel();
    let task = tokio::spawn(async move {
        let mut child = child("sleep 60").await;
        tell.send(child.group.id()).unwrap();
        child.probe(0).await
    });
    let group = told.await.unwrap();
    task.abort();
    assert!(is_gone(group).await);
}

#[tokio::test]
async fn a_spawn_that_is_given_up_leaves_nothing() {
    let script = "echo $$ >&2; read -r session; sleep 60 & wait";
    let marker = format!("{script} # {}", std::process::id());
    let settings = settings(&marker);
    assert!(
        timeout(Duration::from_millis(200), Child::spawn(&settings, session()))
            .await
            .is_err()
    );
    let until = Instant::now() + PATIENCE;
    while processes_with(&marker) > 0 {
        assert!(Instant::now() < until, "still there");
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
async fn after_an_abandoned_call_there_is_no_other() {
    let mut child = child(&format!("sleep 2; echo '{PROBED}'; sleep 60")).await;
    assert!(timeout(Duration::from_millis(50), child.probe(0)).await.is_err());
    assert_eq!(
        child.probe(0).await.unwrap_err(),
        crash("the media child sent an answer to an abandoned call")
    );
    assert_eq!(child.probe(0).await.unwrap_err().kind, FailureKind::MediaCrash);
}

#[tokio::test]
async fn a_child_that_does_not_get_ready_is_no_fault_of_the_file() {
    let kind_and_code = |failure: Failure| (failure.kind, failure.code);
    let ours = (FailureKind::Infrastructure, Code::Internal);
    for script in [
        "exit 3",
        "kill -SEGV $$",
        "read -r session; echo nonsense; sleep 60",
        "read -r session; exit 0",
    ] {
        let failure = Child::spawn(&settings(script), session()).await.unwrap_err();
        assert_eq!(kind_and_code(failure), ours, "{script}");
    }
    let missing = ChildSettings::new("/nowhere/rushes".into());
    assert_eq!(
        kind_and_code(Child::spawn(&missing, session()).await.unwrap_err()),
        ours
    );
    let slow = ChildSettings {
        start: Duration::from_millis(200),
        ..settings("sleep 60")
    };
    assert_eq!(kind_and_code(Child::spawn(&slow, session()).await.unwrap_err()), ours);
}

#[tokio::test]
async fn a_child_that_is_not_locked_in_is_refused_where_that_is_required() {
    let open = r#"read -r session; echo '{"ready":{"landlock":true,"seccomp":false}}'; read -r end"#;
    let failure = Child::spawn(&settings(open), session()).await.unwrap_err();
    assert_eq!(
        (failure.kind, failure.code),
        (FailureKind::Infrastructure, Code::SandboxUnavailable)
    );
    let content = Session {
        sandbox: SandboxMode::BestEffort,
        ..session()
    };
    let child = Child::spawn(&settings(open), content).await.unwrap();
    assert!(!child.status().is_full());
}

#[tokio::test]
async fn a_request_that_fits_no_line_is_not_sent() {
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
        .verify(vec![(planned, Made::default())], Duration::from_secs(9))
        .await
        .unwrap_err();
    assert_eq!(
        (failure.kind, failure.code),
        (FailureKind::Infrastructure, Code::Internal)
    );
}

#[tokio::test]
async fn the_environment_of_the_worker_stays_with_the_worker() {
    let script = format!("env >&2; echo '{PROBED}'; read -r end");
    let mut child = child(&script).await;
    child.probe(0).await.unwrap();
    child.input = None;
    child.stderr.rest().await;
    let said = child.stderr_tail();
    assert!(!said.contains("CARGO") && !said.contains("HOME="), "{said}");
}

/// The kernel ties the parent-death signal to the thread that started a child; ours must outlive the one that asked.
#[test]
fn a_child_survives_the_thread_that_asked_for_it() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_keep_alive(Duration::from_millis(1))
        .build()
        .unwrap();
    let script = format!("{READY} read -r request; echo '{PROBED}'; read -r end");
    let bash = ["--pdeathsig", "KILL", "/bin/bash", "-c", &script];
    let settings = ChildSettings {
        program: "/usr/bin/setpriv".into(),
        args: bash.map(String::from).to_vec(),
        ..settings("")
    };
    let handle = runtime.handle().clone();
    let asked = move || {
        let child = handle.block_on(Child::spawn(&settings, session())).unwrap();
        (child, format!("/proc/self/task/{}", nix::unistd::gettid()))
    };
    runtime.block_on(async {
        let (mut child, thread) = tokio::task::spawn_blocking(asked).await.unwrap();
        let until = Instant::now() + PATIENCE;
        while std::path::Path::new(&thread).exists() {
            assert!(Instant::now() < until, "the thread stays");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        child.probe(0).await.unwrap();
        child.finish().await;
    });
}
