//! The spare child.

use super::*;

fn spare_child() -> SpareChild {
    SpareChild::new(settings(&format!(
        "{READY} read -r request; echo '{PROBED}'; read -r end"
    )))
}

fn put_back(spare: &SpareChild, started: StartedChild) {
    let (reply, pending) = tokio::sync::oneshot::channel();
    assert!(reply.send(Ok(started)).is_ok());
    *spare.lock() = Some(pending);
}

/// Process group of the spare child, once it is started.
async fn spare_group(spare: &SpareChild) -> Pid {
    let started = spare.take().await.unwrap();
    let id = started.group.id();
    put_back(spare, started);
    id
}

#[tokio::test]
async fn the_next_child_is_started_before_it_is_requested() {
    let spare = spare_child();
    let first = spare.start(session()).await.unwrap();
    let next = spare_group(&spare).await;
    assert_ne!(first.group.id(), next);
    let mut second = spare.start(session()).await.unwrap();
    assert_eq!(second.group.id(), next);
    second.probe(0).await.unwrap();
}

#[tokio::test]
async fn a_spare_child_that_has_ended_is_not_used() {
    let spare = spare_child();
    spare.start(session()).await.unwrap().finish().await;
    let mut started = spare.take().await.unwrap();
    let killed = started.group.id();
    started.group.kill().await;
    put_back(&spare, started);
    let mut child = spare.start(session()).await.unwrap();
    assert_ne!(child.group.id(), killed);
    child.probe(0).await.unwrap();
}

#[tokio::test]
async fn the_spare_child_is_killed_on_drop() {
    let spare = spare_child();
    spare.start(session()).await.unwrap().finish().await;
    let group = spare_group(&spare).await;
    drop(spare);
    assert!(is_gone(group).await);
}

#[tokio::test]
async fn without_restock_the_next_child_is_started_on_demand() {
    let spare = spare_child();
    let mut child = spare.start_without_restock(session()).await.unwrap();
    child.probe(0).await.unwrap();
    assert!(spare.take().await.is_none());
    spare.restock();
    let next = spare_group(&spare).await;
    spare.restock();
    assert_eq!(spare_group(&spare).await, next);
}
