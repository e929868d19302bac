//! What holds for every bell.

use crate::listener::{Listener, columns, job};
use domain::TaskId;
use queue::{Doorbell, WAITING_MAX};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

#[tokio::test]
async fn a_ring_is_handled() {
    for column in columns().await {
        column.bell.ready().await.unwrap();
        column.bell.ring(job(1)).await.unwrap();
        let mut listener = Listener::start(&column.bell, 1, |_| async {});
        assert_eq!(listener.next().await, TaskId(1), "{}", column.name);
        column.bell.ring(job(2)).await.unwrap();
        assert_eq!(listener.next().await, TaskId(2), "{}", column.name);
        // The same id again: its handler has ended, else there had been no place for the other one.
        column.bell.ring(job(1)).await.unwrap();
        assert_eq!(listener.next().await, TaskId(1), "{}", column.name);
        listener.stop().await;
    }
}

#[tokio::test]
async fn only_redis_is_shared() {
    assert!(!Doorbell::in_memory().is_shared());
    assert!(Doorbell::redis("redis://127.0.0.1:1/").await.unwrap().is_shared());
    assert!(Doorbell::redis("http://127.0.0.1/").await.is_err());
}

#[tokio::test]
async fn no_more_handlers_run_than_are_allowed() {
    for column in columns().await {
        let gate = Arc::new(Semaphore::new(0));
        let mut listener = Listener::behind(&gate, &column.bell, 3);
        for id in 0..20 {
            column.bell.ring(job(id)).await.unwrap();
        }
        let mut heard = collect(&mut listener, 3).await;
        for _ in 3..6 {
            let beyond = listener.within(Duration::from_millis(150)).await;
            assert_eq!(beyond, None, "{}", column.name);
            gate.add_permits(1);
            heard.insert(listener.next().await);
        }
        gate.add_permits(17);
        heard.append(&mut collect(&mut listener, 14).await);
        assert_eq!(heard, (0..20).map(TaskId).collect(), "{}", column.name);
        listener.stop().await;
    }
}

#[tokio::test]
async fn a_panic_costs_nothing_else() {
    for column in columns().await {
        let mut listener = Listener::start(&column.bell, 1, |job| {
            assert!(job.task != TaskId(2), "made to fail before its first await");
            async move { assert!(job.task != TaskId(1), "made to fail") }
        });
        for id in 1..=3 {
            column.bell.ring(job(id)).await.unwrap();
        }
        assert_eq!(
            collect(&mut listener, 3).await,
            (1..=3).map(TaskId).collect(),
            "{}",
            column.name
        );
        // Not even the id is lost, once another one has had the only place.
        for id in [4, 1] {
            column.bell.ring(job(id)).await.unwrap();
            assert_eq!(listener.next().await, TaskId(id), "{}", column.name);
        }
        listener.stop().await;
    }
}

#[tokio::test]
async fn a_second_ring_of_a_running_id_is_ignored() {
    for column in columns().await {
        let gate = Arc::new(Semaphore::new(0));
        let mut listener = Listener::behind(&gate, &column.bell, 4);
        column.bell.ring(job(7)).await.unwrap();
        assert_eq!(listener.next().await, TaskId(7));
        for _ in 0..3 {
            column.bell.ring(job(7)).await.unwrap();
            assert_eq!(
                listener.within(Duration::from_millis(250)).await,
                None,
                "{}",
                column.name
            );
        }
        column.bell.ring(job(8)).await.unwrap();
        assert_eq!(listener.next().await, TaskId(8), "{}", column.name);
        gate.add_permits(2);
        listener.stop().await;
    }
}

#[tokio::test]
async fn two_that_listen_share_the_rings() {
    for column in columns().await {
        let gate = Arc::new(Semaphore::new(0));
        let mut one = Listener::behind(&gate, &column.bell, 1);
        let mut other = Listener::behind(&gate, &column.bell, 1);
        column.bell.ring(job(1)).await.unwrap();
        column.bell.ring(job(2)).await.unwrap();
        assert_eq!(
            BTreeSet::from([one.next().await, other.next().await]).len(),
            2,
            "{}",
            column.name
        );
        gate.add_permits(2);
        one.stop().await;
        other.stop().await;
    }
}

#[tokio::test]
async fn an_id_waits_once_however_often_it_is_rung() {
    for column in columns().await {
        for _ in 0..5 {
            column.bell.ring(job(1)).await.unwrap();
        }
        assert_eq!(column.bell.room().await, WAITING_MAX - 1, "{}", column.name);
    }
}

#[tokio::test]
async fn at_most_a_thousand_ids_wait() {
    for column in columns().await {
        // Some at a time: a ring has two seconds, also for its turn.
        for ids in (0..1_100).collect::<Vec<_>>().chunks(50) {
            let rings = ids.iter().map(|id| column.bell.ring(job(*id)));
            for rung in futures::future::join_all(rings).await {
                rung.unwrap();
            }
        }
        assert_eq!(column.bell.room().await, 0, "{}", column.name);
        let mut listener = Listener::quick(&column.bell);
        assert_eq!(
            collect(&mut listener, WAITING_MAX).await.len(),
            WAITING_MAX,
            "{}",
            column.name
        );
        assert_eq!(
            listener.within(Duration::from_millis(300)).await,
            None,
            "{}",
            column.name
        );
        assert_eq!(column.bell.room().await, WAITING_MAX, "{}", column.name);
        listener.stop().await;
    }
}

#[tokio::test]
async fn shutdown_waits_for_handlers_and_takes_no_more() {
    for column in columns().await {
        let (gate, ended) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
        let (held, count) = (gate.clone(), ended.clone());
        let mut listener = Listener::start(&column.bell, 1, move |_| {
            let (held, count) = (held.clone(), count.clone());
            async move {
                held.acquire().await.unwrap().forget();
                count.fetch_add(1, Ordering::SeqCst);
            }
        });
        column.bell.ring(job(1)).await.unwrap();
        column.bell.ring(job(2)).await.unwrap();
        listener.next().await;
        listener.shutdown.cancel();
        let early = timeout(Duration::from_millis(700), &mut listener.serving).await;
        assert!(early.is_err(), "{}: a handler was left behind", column.name);
        let asked = Instant::now();
        gate.add_permits(1);
        listener.stop().await;
        assert_eq!(ended.load(Ordering::SeqCst), 1, "{}", column.name);
        assert!(
            asked.elapsed() < Duration::from_secs(10),
            "{}: {:?}",
            column.name,
            asked.elapsed()
        );
        assert_eq!(
            column.bell.room().await,
            WAITING_MAX - 1,
            "{}: the second id still waits",
            column.name
        );
    }
}

#[tokio::test]
async fn an_idle_worker_hears_every_ring_soon() {
    for column in columns().await {
        let mut listener = Listener::quick(&column.bell);
        column.bell.ring(job(0)).await.unwrap();
        listener.next().await;
        let mut latencies = Vec::new();
        for id in 1..=50 {
            sleep(Duration::from_millis(u64::try_from(id * 37 % 113).unwrap())).await;
            let rung = Instant::now();
            column.bell.ring(job(id)).await.unwrap();
            listener.next().await;
            latencies.push(rung.elapsed());
        }
        latencies.sort();
        println!(
            "{}: ring to start p50 {:?} p98 {:?} max {:?}",
            column.name, latencies[25], latencies[48], latencies[49]
        );
        assert!(
            latencies[49] < Duration::from_secs(10),
            "{}: {:?}",
            column.name,
            latencies[49]
        );
        listener.stop().await;
    }
}

#[tokio::test]
async fn a_long_queue_is_worked_off_without_pauses() {
    for column in columns().await {
        for id in 0..200 {
            column.bell.ring(job(id)).await.unwrap();
        }
        let began = Instant::now();
        let mut listener = Listener::start(&column.bell, 1, |_| async {});
        collect(&mut listener, 200).await;
        println!("{}: 200 ids, one by one, in {:?}", column.name, began.elapsed());
        assert!(
            began.elapsed() < Duration::from_secs(5),
            "{}: {:?}",
            column.name,
            began.elapsed()
        );
        listener.stop().await;
    }
}

async fn collect(listener: &mut Listener, count: usize) -> BTreeSet<TaskId> {
    let mut heard = BTreeSet::new();
    for _ in 0..count {
        heard.insert(listener.next().await);
    }
    heard
}
