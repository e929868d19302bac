//! Redis that is killed, flushed, away or shared by several processes.

use crate::queues::{Process, redis_queue};
use crate::redis_server::RedisServer;
use queue::Queue;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::time::timeout;

#[tokio::test]
async fn without_redis_a_wake_up_fails_within_its_timeout() {
    let Some(test) = redis_queue() else { return };
    test.queue.wake().await.unwrap();
    test.redis.unwrap().kill();
    for _ in 0..3 {
        let called = Instant::now();
        assert!(test.queue.wake().await.is_err());
        assert!(called.elapsed() < Duration::from_secs(10), "{:?}", called.elapsed());
    }
    assert!(test.queue.ready().await.is_err());
}

#[tokio::test]
async fn wake_ups_continue_after_redis_was_killed() {
    let Some(mut test) = redis_queue() else { return };
    let process = Process::listening_to(&test.queue);
    for _ in 0..3 {
        woken_after_retries(&test.queue, &process).await;
        let redis = test.redis.as_mut().unwrap();
        redis.kill();
        connection_attempt(redis).await;
        redis.restart();
        woken_after_retries(&test.queue, &process).await;
    }
    process.stop().await;
}

#[tokio::test]
async fn wake_ups_continue_after_redis_was_flushed() {
    let Some(test) = redis_queue() else { return };
    let process = Process::listening_to(&test.queue);
    for _ in 0..3 {
        woken_after_retries(&test.queue, &process).await;
        let () = test.redis.as_ref().unwrap().command(&["FLUSHALL"]).await;
        woken_after_retries(&test.queue, &process).await;
    }
    process.stop().await;
}

#[tokio::test]
async fn a_busy_process_takes_nothing_from_an_idle_one() {
    let Some(test) = redis_queue() else { return };
    let busy = Process::listening_to(&test.queue);
    test.queue.wake().await.unwrap();
    busy.woken().await;
    // From here on the process is busy. A job that its last fetch still returns is passed on.
    let idle = Process::listening_to(&test.queue);
    for _ in 0..5 {
        test.queue.wake().await.unwrap();
        idle.woken().await;
    }
    busy.stop().await;
    idle.stop().await;
}

#[tokio::test]
async fn a_clean_shutdown_leaves_nothing_in_flight() {
    let Some(test) = redis_queue() else { return };
    let redis = test.redis.unwrap();
    let process = Process::listening_to(&test.queue);
    test.queue.wake().await.unwrap();
    process.woken().await;
    process.stop().await;
    let in_flight: Vec<String> = redis.command(&["KEYS", "rushes-wakeups:inflight:*"]).await;
    assert!(in_flight.is_empty(), "{in_flight:?}");
}

#[tokio::test]
async fn an_idle_process_fetches_about_ten_times_a_second() {
    let Some(test) = redis_queue() else { return };
    let redis = test.redis.unwrap();
    let process = Process::listening_to(&test.queue);
    test.queue.wake().await.unwrap();
    process.woken().await;
    let before = commands(&redis).await;
    assert!(!process.woken_within(Duration::from_secs(2)).await);
    // A fetch is one script of three to five commands.
    let sent = commands(&redis).await - before;
    println!("{sent} commands in two idle seconds");
    assert!((20..160).contains(&sent), "{sent} commands in two idle seconds");
    process.stop().await;
}

#[tokio::test]
async fn connections_to_a_redis_that_closes_them_are_throttled() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("redis://{}/", listener.local_addr().unwrap());
    let process = Process::listening_to(&Queue::redis(&url).unwrap());
    let mut connections = 0;
    let counting = async {
        while listener.accept().await.is_ok() {
            connections += 1;
        }
    };
    let receiving = async { tokio::join!(counting, process.wakeups.woken()) };
    assert!(timeout(Duration::from_secs(3), receiving).await.is_err());
    println!("{connections} connections in three seconds");
    assert!(
        (2..40).contains(&connections),
        "{connections} connections in three seconds"
    );
    process.stop().await;
}

#[tokio::test]
async fn shutdown_ends_without_redis() {
    let Some(mut test) = redis_queue() else { return };
    let process = Process::listening_to(&test.queue);
    test.queue.wake().await.unwrap();
    process.woken().await;
    let redis = test.redis.as_mut().unwrap();
    redis.kill();
    connection_attempt(redis).await;
    let called = Instant::now();
    process.stop().await;
    assert!(called.elapsed() < Duration::from_secs(4), "{:?}", called.elapsed());
}

#[tokio::test]
async fn a_process_may_start_before_redis() {
    let Some(mut test) = redis_queue() else { return };
    let redis = test.redis.as_mut().unwrap();
    redis.kill();
    let process = Process::listening_to(&test.queue);
    connection_attempt(redis).await;
    redis.restart();
    woken_after_retries(&test.queue, &process).await;
    process.stop().await;
}

/// Sends wake-ups until one arrives. One may be lost while Redis starts or stops; real workers also poll the database.
async fn woken_after_retries(queue: &Queue, process: &Process) {
    let started = Instant::now();
    loop {
        let _ = queue.wake().await;
        if process.woken_within(Duration::from_millis(300)).await {
            println!("woken after {:?}", started.elapsed());
            return;
        }
        assert!(started.elapsed() < Duration::from_secs(10), "not woken");
    }
}

/// Waits until a client connects to the port of a Redis that is not running.
async fn connection_attempt(redis: &RedisServer) {
    let url = redis.url();
    let address = url.trim_start_matches("redis://").trim_end_matches('/');
    TcpListener::bind(address).await.unwrap().accept().await.unwrap();
}

/// Number of commands that Redis has processed.
async fn commands(redis: &RedisServer) -> u64 {
    let stats: String = redis.command(&["INFO", "stats"]).await;
    let line = stats
        .lines()
        .find_map(|line| line.strip_prefix("total_commands_processed:"));
    line.unwrap().trim().parse().unwrap()
}
