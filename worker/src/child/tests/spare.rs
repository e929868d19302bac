//! The child that is started ahead.

use super::*;

fn spare() -> Spare {
    Spare::new(settings(&format!(
        "{READY} read -r request; echo '{PROBED}'; read -r end"
    )))
}

fn put_back(spare: &Spare, group: Group, pipes: Pipes) {
    let (answer, ordered) = tokio::sync::oneshot::channel();
    assert!(answer.send(Ok((group, pipes))).is_ok());
    *spare.lock() = Some(ordered);
}

/// The group of the child that waits, once it is there.
async fn waiting(spare: &Spare) -> Pid {
    let (group, pipes) = spare.take().await.unwrap();
    let id = group.id();
    put_back(spare, group, pipes);
    id
}

#[tokio::test]
async fn the_next_child_is_there_before_it_is_asked_for() {
    let spare = spare();
    let first = spare.child(session()).await.unwrap();
    let next = waiting(&spare).await;
    assert_ne!(first.group.id(), next);
    let mut second = spare.child(session()).await.unwrap();
    assert_eq!(second.group.id(), next);
    second.probe(0).await.unwrap();
}

#[tokio::test]
async fn a_spare_child_that_died_is_not_given_away() {
    let spare = spare();
    spare.child(session()).await.unwrap().finish().await;
    let (mut group, pipes) = spare.take().await.unwrap();
    let killed = group.id();
    group.kill().await;
    put_back(&spare, group, pipes);
    let mut child = spare.child(session()).await.unwrap();
    assert_ne!(child.group.id(), killed);
    child.probe(0).await.unwrap();
}

#[tokio::test]
async fn the_spare_child_goes_with_its_owner() {
    let spare = spare();
    spare.child(session()).await.unwrap().finish().await;
    let group = waiting(&spare).await;
    drop(spare);
    assert!(is_gone(group).await);
}

#[tokio::test]
async fn after_a_child_that_is_only_given_the_next_is_started_on_demand() {
    let spare = spare();
    let mut given = spare.give(session()).await.unwrap();
    given.probe(0).await.unwrap();
    assert!(spare.take().await.is_none());
    spare.restock();
    let next = waiting(&spare).await;
    spare.restock();
    assert_eq!(waiting(&spare).await, next);
}
