//! A scripted child (a few lines of bash) that dies, hangs, lies, or clings to life.

use super::*;
use nix::errno::Errno;
use nix::sys::signal::killpg;
use nix::unistd::Pid;

const READY: &str = r#"read -r session; echo '{"ready":{"landlock":true,"seccomp":true}}';"#;
const PROGRESS: &str =
    r#"{"progress":{"phase":"transcode","percent":7,"frames":1,"fps":1.0,"speed":1.0,"eta_s":null}}"#;
const PROBED: &str = r#"{"probed":{"container":"scripted","bytes":1,"duration_us":2,"start_us":0,"streams":[]}}"#;
/// Long enough for a few lines of bash on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a child may be silent in the stories about that.
const SHORT: Duration = Duration::from_millis(300);

fn settings(script: &str) -> ChildSettings {
    ChildSettings {
        args: vec!["-c".into(), script.into()],
        silence: PATIENCE,
        kill_grace: Duration::from_millis(300),
        ..ChildSettings::new("/bin/bash".into())
    }
}

fn session() -> Session {
    Session {
        source: None,
        scratch: "/".into(),
        sandbox: SandboxMode::Require,
        max_memory_bytes: 1 << 30,
        max_cpu_s: 60,
        max_file_bytes: 1 << 30,
        threads: 1,
    }
}

/// A child that is ready, reads one request, and then does as the script says.
async fn child(script: &str) -> Child {
    let script = format!("{READY} read -r request; {script}");
    Child::spawn(&settings(&script), session()).await.unwrap()
}

/// How a probe by such a child fails; nothing of it may be left.
async fn failure(script: &str) -> Failure {
    failure_after(PATIENCE, script).await
}

async fn failure_after(silence: Duration, script: &str) -> Failure {
    let mut child = child(script).await;
    child.settings.silence = silence;
    let group = child.group.id();
    let failure = child.probe().await.unwrap_err();
    assert!(is_gone(group).await, "{failure}");
    failure
}

/// Nobody is left in the group, not even a zombie.
async fn is_gone(group: Pid) -> bool {
    let until = Instant::now() + PATIENCE;
    while killpg(group, None) != Err(Errno::ESRCH) {
        if Instant::now() > until {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    true
}

fn crash(detail: &str) -> Failure {
    Failure::new(FailureKind::MediaCrash, Code::MediaCrash, detail)
}

#[tokio::test]
async fn an_answer_comes_back_typed_and_the_child_ends_in_good_order() {
    let mut child = child(&format!("echo '{PROGRESS}'; echo '{PROBED}'; read -r end")).await;
    assert!(child.status().is_full());
    let group = child.group.id();
    let mut seen = Vec::new();
    let event = child
        .call(Request::Probe, PATIENCE, |progress| seen.push(progress.percent))
        .await
        .unwrap();
    assert!(matches!(event, Event::Probed(probe) if probe.container == "scripted"));
    assert_eq!(seen, [7]);
    child.finish().await;
    assert_eq!(killpg(group, None), Err(Errno::ESRCH));
}

#[tokio::test]
async fn a_crash_tells_the_signal_and_an_exit_tells_the_status() {
    assert_eq!(failure("kill -SEGV $$").await, crash("the media child died of SIGSEGV"));
    assert_eq!(failure("exit 7").await, crash("the media child ended with status 7"));
    assert_eq!(failure("exit 0").await, crash("the media child ended with status 0"));
}

#[tokio::test]
async fn a_kill_by_the_kernel_is_a_limit_and_no_crash() {
    let kind_and_code = |failure: Failure| (failure.kind, failure.code);
    let limit = FailureKind::ResourceLimit;
    assert_eq!(
        kind_and_code(failure("kill -KILL $$").await),
        (limit, Code::MediaMemory)
    );
    assert_eq!(
        kind_and_code(failure("kill -XCPU $$").await),
        (limit, Code::MediaTimeout)
    );
    assert_eq!(
        kind_and_code(failure("kill -XFSZ $$").await),
        (limit, Code::OutputTooLarge)
    );
    let words = "echo 'memory allocation of 8 bytes failed' >&2; kill -ABRT $$";
    assert_eq!(kind_and_code(failure(words).await), (limit, Code::MediaMemory));
}

#[tokio::test]
async fn a_silent_child_is_stalled() {
    let began = Instant::now();
    let failure = failure_after(SHORT, "sleep 60").await;
    assert_eq!(
        (failure.kind, failure.code),
        (FailureKind::ResourceLimit, Code::MediaStalled)
    );
    assert!(began.elapsed() < PATIENCE);
}

#[tokio::test]
async fn noise_on_standard_error_is_no_sign_of_life() {
    let failure = failure_after(SHORT, "while :; do echo noise >&2; done").await;
    assert_eq!(failure.code, Code::MediaStalled);
}

#[tokio::test]
async fn garbage_is_a_crash() {
    assert_eq!(
        failure("echo '{\"probed\":'; sleep 60").await,
        crash("the media child sent a line that is no event")
    );
    let endless = "while :; do printf xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done";
    assert_eq!(failure(endless).await, crash("the media child sent a line over 64 KiB"));
    let other = "echo '{\"verified\":[]}'; sleep 60";
    assert_eq!(
        failure(other).await,
        crash("the media child sent an answer to another question")
    );
    let flood = format!("while :; do echo '{PROGRESS}'; done");
    assert_eq!(failure(&flood).await, crash("the media child sent far too many events"));
}

#[tokio::test]
async fn a_half_answer_is_no_answer() {
    let failure = failure(&format!("printf '%s' '{PROBED}'; exit 0")).await;
    assert_eq!(failure, crash("the media child ended with status 0"));
}

#[tokio::test]
async fn of_a_flood_on_standard_error_the_end_is_kept() {
    let flood = "head -c 3000000 /dev/zero | tr '\\0' n >&2; printf end >&2;";
    let mut child = child(&format!("{flood} echo '{PROBED}'; read -r end")).await;
    child.probe().await.unwrap();
    child.stderr.rest().await;
    let tail = child.stderr_tail();
    assert!(
        tail.len() <= 8 * 1024 && tail.ends_with("nnend"),
        "{} bytes",
        tail.len()
    );
}

#[tokio::test]
async fn a_failure_in_the_words_of_the_child_leaves_it_alive() {
    let failed = r#"{"failed":{"kind":"input","code":"not_media","detail":"what\nis\u001bthis"}}"#;
    let mut child = child(&format!(
        "echo '{failed}'; read -r request; echo '{PROBED}'; read -r end"
    ))
    .await;
    let failure = child.probe().await.unwrap_err();
    assert_eq!(failure, Failure::input(Code::NotMedia, "whatisthis"));
    child.probe().await.unwrap();
}

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
        .call(Request::Probe, Duration::from_millis(700), |_| ())
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
    finished.probe().await.unwrap();
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
    let call = child.probe();
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
        child.probe().await
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
    let mut child = child(&format!("sleep 0.2; echo '{PROBED}'; sleep 60")).await;
    assert!(timeout(Duration::from_millis(50), child.probe()).await.is_err());
    assert_eq!(
        child.probe().await.unwrap_err(),
        crash("the media child sent an answer to an abandoned call")
    );
    assert_eq!(child.probe().await.unwrap_err().kind, FailureKind::MediaCrash);
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
    let failure = child.verify(vec!["x".repeat(MAX_LINE_BYTES)]).await.unwrap_err();
    assert_eq!(
        (failure.kind, failure.code),
        (FailureKind::Infrastructure, Code::Internal)
    );
}

#[tokio::test]
async fn the_environment_of_the_worker_stays_with_the_worker() {
    let script = format!("env >&2; echo '{PROBED}'; read -r end");
    let mut child = child(&script).await;
    child.probe().await.unwrap();
    child.end().await;
    child.stderr.rest().await;
    let said = child.stderr_tail();
    assert!(!said.contains("CARGO") && !said.contains("HOME="), "{said}");
}
