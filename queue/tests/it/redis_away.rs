//! What holds when Redis dies, forgets, or is shared by several workers.

use crate::listener::{Listener, job, redis_column};
use crate::redis_server::RedisServer;
use domain::TaskId;
use queue::{Doorbell, Job};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::timeout;

#[tokio::test]
async fn without_redis_a_ring_fails_soon_and_clearly() {
    let Some(column) = redis_column().await else { return };
    column.bell.ring(job(1)).await.unwrap();
    column.redis.unwrap().kill();
    for id in 2..5 {
        let asked = Instant::now();
        assert!(column.bell.ring(job(id)).await.is_err());
        assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
    }
    assert_eq!(column.bell.room().await, 0);
    assert!(column.bell.ready().await.is_err());
}

#[tokio::test]
async fn a_killed_redis_comes_back() {
    let Some(mut column) = redis_column().await else { return };
    let mut listener = Listener::quick(&column.bell);
    for round in 1..=3 {
        column.bell.ring(job(round)).await.unwrap();
        assert_eq!(listener.next().await, TaskId(round));
        let redis = column.redis.as_mut().unwrap();
        redis.kill();
        called_in_vain(redis).await;
        redis.start_again();
        heard_again(&column.bell, &mut listener, 100 + round).await;
    }
    listener.stop().await;
}

#[tokio::test]
async fn a_flushed_redis_works_again() {
    let Some(column) = redis_column().await else { return };
    let mut listener = Listener::quick(&column.bell);
    for round in 1..=3 {
        column.bell.ring(job(round)).await.unwrap();
        assert_eq!(listener.next().await, TaskId(round));
        let () = column.redis.as_ref().unwrap().ask(&["FLUSHALL"]).await;
        heard_again(&column.bell, &mut listener, 100 + round).await;
    }
    listener.stop().await;
}

#[tokio::test]
async fn a_handler_outlives_redis_and_still_counts() {
    let Some(mut column) = redis_column().await else { return };
    let (gate, ended) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
    let (held, count) = (gate.clone(), ended.clone());
    let mut listener = Listener::start(&column.bell, 2, move |job: Job| {
        let (held, count) = (held.clone(), count.clone());
        async move {
            if job.task.0 < 3 {
                held.acquire().await.unwrap().forget();
                count.fetch_add(1, Ordering::SeqCst);
            }
        }
    });
    column.bell.ring(job(1)).await.unwrap();
    column.bell.ring(job(2)).await.unwrap();
    listener.next().await;
    listener.next().await;
    let redis = column.redis.as_mut().unwrap();
    redis.kill();
    redis.start_again();
    rung(&column.bell, 3).await;
    assert_eq!(
        listener.within(Duration::from_secs(2)).await,
        None,
        "a third handler ran beside two"
    );
    assert_eq!(ended.load(Ordering::SeqCst), 0, "a handler was dropped");
    gate.add_permits(1);
    assert_eq!(listener.next().await, TaskId(3));
    gate.add_permits(1);
    listener.stop().await;
    assert_eq!(ended.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_busy_worker_holds_nothing_back_from_an_idle_one() {
    let Some(column) = redis_column().await else { return };
    let gate = Arc::new(Semaphore::new(0));
    let mut busy = Listener::behind(&gate, &column.bell, 1);
    column.bell.ring(job(1)).await.unwrap();
    busy.next().await;
    for id in 2..10 {
        column.bell.ring(job(id)).await.unwrap();
    }
    assert_eq!(busy.within(Duration::from_millis(500)).await, None);
    let mut idle = Listener::quick(&column.bell);
    for _ in 2..10 {
        idle.within(Duration::from_secs(2)).await.expect("an id is held back");
    }
    gate.add_permits(1);
    busy.stop().await;
    idle.stop().await;
}

#[tokio::test]
async fn a_clean_shutdown_leaves_nothing_in_flight() {
    let Some(column) = redis_column().await else { return };
    let redis = column.redis.unwrap();
    let gate = Arc::new(Semaphore::new(0));
    let mut listener = Listener::behind(&gate, &column.bell, 2);
    column.bell.ring(job(1)).await.unwrap();
    column.bell.ring(job(2)).await.unwrap();
    listener.next().await;
    listener.next().await;
    let in_flight: Vec<String> = redis.ask(&["KEYS", "rushes:inflight:*"]).await;
    assert_eq!(in_flight.len(), 1);
    listener.shutdown.cancel();
    gate.add_permits(2);
    listener.stop().await;
    let in_flight: Vec<String> = redis.ask(&["KEYS", "rushes:inflight:*"]).await;
    assert!(in_flight.is_empty(), "{in_flight:?}");
}

#[tokio::test]
async fn an_idle_worker_asks_redis_about_ten_times_a_second() {
    let Some(column) = redis_column().await else { return };
    let redis = column.redis.unwrap();
    let mut listener = Listener::quick(&column.bell);
    column.bell.ring(job(1)).await.unwrap();
    listener.next().await;
    let before = commands(&redis).await;
    assert_eq!(listener.within(Duration::from_secs(2)).await, None);
    // A fetch is one script of three to five commands.
    let asked = commands(&redis).await - before;
    println!("{asked} commands in two idle seconds");
    assert!((20..160).contains(&asked), "{asked} commands in two idle seconds");
    listener.stop().await;
}

#[tokio::test]
async fn a_redis_that_hangs_up_is_not_stormed() {
    let hung_up = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("redis://{}/", hung_up.local_addr().unwrap());
    let listener = Listener::quick(&Doorbell::redis(&url).await.unwrap());
    let mut calls = 0;
    let counting = async {
        while hung_up.accept().await.is_ok() {
            calls += 1;
        }
    };
    assert!(timeout(Duration::from_secs(3), counting).await.is_err());
    println!("{calls} connections in three seconds");
    assert!((2..40).contains(&calls), "{calls} connections in three seconds");
    listener.stop().await;
}

#[tokio::test]
async fn shutdown_without_redis_still_ends() {
    let Some(mut column) = redis_column().await else { return };
    let gate = Arc::new(Semaphore::new(0));
    let mut listener = Listener::behind(&gate, &column.bell, 2);
    column.bell.ring(job(1)).await.unwrap();
    listener.next().await;
    let redis = column.redis.as_mut().unwrap();
    redis.kill();
    called_in_vain(redis).await;
    let asked = Instant::now();
    listener.shutdown.cancel();
    gate.add_permits(1);
    listener.stop().await;
    assert!(asked.elapsed() < Duration::from_secs(4), "{:?}", asked.elapsed());
}

#[tokio::test]
async fn serving_may_begin_before_redis_does() {
    let Some(mut column) = redis_column().await else { return };
    let redis = column.redis.as_mut().unwrap();
    redis.kill();
    let mut listener = Listener::quick(&column.bell);
    called_in_vain(redis).await;
    redis.start_again();
    heard_again(&column.bell, &mut listener, 1).await;
    listener.stop().await;
}

/// A ring may be lost in the confusion; the sweeper would repeat it, and so does this.
async fn heard_again(bell: &Doorbell, listener: &mut Listener, id: i64) {
    let began = Instant::now();
    loop {
        let _ = bell.ring(job(id)).await;
        if listener.within(Duration::from_millis(300)).await == Some(TaskId(id)) {
            println!("heard again after {:?}", began.elapsed());
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(10), "never heard again");
    }
}

async fn rung(bell: &Doorbell, id: i64) {
    let began = Instant::now();
    while bell.ring(job(id)).await.is_err() {
        assert!(began.elapsed() < Duration::from_secs(10), "no ring is taken");
    }
}

/// Waits until somebody calls the Redis that is not there.
async fn called_in_vain(redis: &RedisServer) {
    let url = redis.url();
    let address = url.trim_start_matches("redis://").trim_end_matches('/');
    TcpListener::bind(address).await.unwrap().accept().await.unwrap();
}

async fn commands(redis: &RedisServer) -> u64 {
    let stats: String = redis.ask(&["INFO", "stats"]).await;
    let line = stats
        .lines()
        .find_map(|line| line.strip_prefix("total_commands_processed:"));
    line.unwrap().trim().parse().unwrap()
}
