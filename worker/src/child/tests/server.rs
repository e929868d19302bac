//! The fork server: it is started once, again after it has ended, and not left behind.

use super::*;

/// A starter of children that answer one probe and wait.
fn children() -> ChildStarter {
    let settings = settings(&format!("{READY} read -r request; echo '{PROBED}'; read -r end"));
    ChildStarter::new(settings).unwrap()
}

/// The parent of a process, from stat in proc(5).
fn parent(process: Pid) -> Option<Pid> {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.as_raw_pid())).ok()?;
    let (_, fields) = stat.rsplit_once(") ")?;
    Pid::from_raw(fields.split(' ').nth(1)?.parse().ok()?)
}

async fn is_ended(process: Pid) -> bool {
    let deadline = Instant::now() + LONG;
    while parent(process).is_some() {
        if Instant::now() > deadline {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    true
}

#[tokio::test]
async fn all_children_have_one_server_and_their_own_groups() {
    let children = children();
    let mut first = children.start(session(), Unconfirmed::Postpone).await.unwrap();
    let mut second = children.start(session(), Unconfirmed::Postpone).await.unwrap();
    assert_ne!(first.group.id(), second.group.id());
    assert_eq!(parent(first.group.id()), parent(second.group.id()));
    let (one, other) = tokio::join!(first.probe(0), second.probe(0));
    one.unwrap();
    other.unwrap();
    let groups = [first.group.id(), second.group.id()];
    first.finish().await;
    drop(second);
    for group in groups {
        assert!(is_gone(group).await);
    }
}

#[tokio::test]
async fn the_end_of_the_server_ends_its_children_and_the_next_child_has_another_server() {
    let children = children();
    let mut child = children.start(session(), Unconfirmed::Postpone).await.unwrap();
    let (group, server) = (child.group.id(), parent(child.group.id()).unwrap());
    rustix::process::kill_process(server, rustix::process::Signal::KILL).unwrap();
    // Before the call: the child could answer it.
    assert!(is_gone(group).await);
    let failure = child.call(Request::Verify(Vec::new()), LONG, |_| ()).await.unwrap_err();
    // Not the fault of the file.
    assert_eq!(failure.code, Code::MediaKilled);
    let mut next = children.start(session(), Unconfirmed::Postpone).await.unwrap();
    assert_ne!(parent(next.group.id()), Some(server));
    next.probe(0).await.unwrap();
}

#[tokio::test]
async fn the_server_ends_with_the_last_child_and_the_last_starter() {
    let children = children();
    let mut child = children.start(session(), Unconfirmed::Postpone).await.unwrap();
    let server = parent(child.group.id()).unwrap();
    drop(children);
    child.probe(0).await.unwrap();
    child.finish().await;
    assert!(is_ended(server).await);
}

#[tokio::test]
async fn a_server_that_cannot_start_is_an_error_and_not_a_wait() {
    let settings = ChildSettings {
        args: vec![
            "-c".into(),
            "echo 'libavcodec.so.59: cannot open shared object file' >&2; exit 127".into(),
        ],
        ..ChildSettings::new("/bin/bash".into())
    };
    let failure = start(&settings, session()).await.unwrap_err();
    assert_eq!(failure.code, Code::Internal);
}

#[test]
fn a_panic_at_a_start_fails_one_request_and_not_the_thread() {
    use tokio::runtime::Builder;
    // Registering the pipes panics in a runtime without I/O driver.
    let without_driver = Builder::new_current_thread().build().unwrap();
    let complete = Builder::new_current_thread().enable_all().build().unwrap();
    let server = ServerHandle::new(&settings("sleep 60")).unwrap();
    assert!(without_driver.block_on(server.start()).is_err());
    complete.block_on(server.start()).unwrap();
}
