//! What holds when Redis dies, forgets, or is shared by several processes.

use crate::columns::{Process, redis_column};
use crate::redis_server::RedisServer;
use queue::Queue;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::time::timeout;

#[tokio::test]
async fn without_redis_a_wake_up_fails_soon_and_clearly() {
    let Some(column) = redis_column() else { return };
    column.queue.wake().await.unwrap();
    column.redis.unwrap().kill();
    for _ in 0..3 {
        let asked = Instant::now();
        assert!(column.queue.wake().await.is_err());
        assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
    }
    assert!(column.queue.ready().await.is_err());
}

#[tokio::test]
async fn a_killed_redis_comes_back() {
    let Some(mut column) = redis_column() else { return };
    let process = Process::listening_to(&column.queue);
    for _ in 0..3 {
        woken_again(&column.queue, &process).await;
        let redis = column.redis.as_mut().unwrap();
        redis.kill();
        called_in_vain(redis).await;
        redis.start_again();
        woken_again(&column.queue, &process).await;
    }
    process.stop().await;
}

#[tokio::test]
async fn a_flushed_redis_works_again() {
    let Some(column) = redis_column() else { return };
    let process = Process::listening_to(&column.queue);
    for _ in 0..3 {
        woken_again(&column.queue, &process).await;
        let () = column.redis.as_ref().unwrap().ask(&["FLUSHALL"]).await;
        woken_again(&column.queue, &process).await;
    }
    process.stop().await;
}

#[tokio::test]
async fn a_busy_process_takes_nothing_from_an_idle_one() {
    let Some(column) = redis_column() else { return };
    let busy = Process::listening_to(&column.queue);
    column.queue.wake().await.unwrap();
    busy.woken().await;
    // From here on it works and does not wait. What its last fetch may still bring is passed on.
    let idle = Process::listening_to(&column.queue);
    for _ in 0..5 {
        column.queue.wake().await.unwrap();
        idle.woken().await;
    }
    busy.stop().await;
    idle.stop().await;
}

#[tokio::test]
async fn a_clean_shutdown_leaves_nothing_in_flight() {
    let Some(column) = redis_column() else { return };
    let redis = column.redis.unwrap();
    let process = Process::listening_to(&column.queue);
    column.queue.wake().await.unwrap();
    process.woken().await;
    process.stop().await;
    let in_flight: Vec<String> = redis.ask(&["KEYS", "rushes-wakeups:inflight:*"]).await;
    assert!(in_flight.is_empty(), "{in_flight:?}");
}

#[tokio::test]
async fn an_idle_process_asks_redis_about_ten_times_a_second() {
    let Some(column) = redis_column() else { return };
    let redis = column.redis.unwrap();
    let process = Process::listening_to(&column.queue);
    column.queue.wake().await.unwrap();
    process.woken().await;
    let before = commands(&redis).await;
    assert!(!process.woken_within(Duration::from_secs(2)).await);
    // A fetch is one script of three to five commands.
    let asked = commands(&redis).await - before;
    println!("{asked} commands in two idle seconds");
    assert!((20..160).contains(&asked), "{asked} commands in two idle seconds");
    process.stop().await;
}

#[tokio::test]
async fn a_redis_that_hangs_up_is_not_stormed() {
    let hung_up = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("redis://{}/", hung_up.local_addr().unwrap());
    let process = Process::listening_to(&Queue::redis(&url).unwrap());
    let mut calls = 0;
    let counting = async {
        while hung_up.accept().await.is_ok() {
            calls += 1;
        }
    };
    let listening = async { tokio::join!(counting, process.wakeups.woken()) };
    assert!(timeout(Duration::from_secs(3), listening).await.is_err());
    println!("{calls} connections in three seconds");
    assert!((2..40).contains(&calls), "{calls} connections in three seconds");
    process.stop().await;
}

#[tokio::test]
async fn shutdown_without_redis_still_ends() {
    let Some(mut column) = redis_column() else { return };
    let process = Process::listening_to(&column.queue);
    column.queue.wake().await.unwrap();
    process.woken().await;
    let redis = column.redis.as_mut().unwrap();
    redis.kill();
    called_in_vain(redis).await;
    let asked = Instant::now();
    process.stop().await;
    assert!(asked.elapsed() < Duration::from_secs(4), "{:?}", asked.elapsed());
}

#[tokio::test]
async fn listening_may_begin_before_redis_does() {
    let Some(mut column) = redis_column() else { return };
    let redis = column.redis.as_mut().unwrap();
    redis.kill();
    let process = Process::listening_to(&column.queue);
    called_in_vain(redis).await;
    redis.start_again();
    woken_again(&column.queue, &process).await;
    process.stop().await;
}

/// A wake-up may be lost in the confusion; workers would look by themselves, and this asks again.
async fn woken_again(queue: &Queue, process: &Process) {
    let began = Instant::now();
    loop {
        let _ = queue.wake().await;
        if process.woken_within(Duration::from_millis(300)).await {
            println!("woken again after {:?}", began.elapsed());
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(10), "never woken again");
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
