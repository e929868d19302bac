//! What holds for every queue.

use crate::columns::{Process, columns};
use queue::Queue;
use std::time::{Duration, Instant};
use tokio::time::sleep;

#[tokio::test]
async fn a_wake_up_reaches_an_idle_process() {
    for column in columns() {
        column.queue.ready().await.unwrap();
        let process = Process::listening_to(&column.queue);
        for _ in 0..3 {
            column.queue.wake().await.unwrap();
            process.woken().await;
        }
        process.stop().await;
    }
}

#[tokio::test]
async fn a_wake_up_waits_for_a_process_that_begins_later() {
    for column in columns() {
        column.queue.wake().await.unwrap();
        let process = Process::listening_to(&column.queue);
        process.woken().await;
        process.stop().await;
    }
}

#[tokio::test]
async fn many_wake_ups_without_a_listener_are_one() {
    for column in columns() {
        for _ in 0..50 {
            column.queue.wake().await.unwrap();
        }
        let process = Process::listening_to(&column.queue);
        process.woken().await;
        let again = process.woken_within(Duration::from_millis(500)).await;
        assert!(!again, "{}: one job stands for all tasks", column.name);
        process.stop().await;
    }
}

#[tokio::test]
async fn each_wake_up_wakes_one_of_two_processes() {
    for column in columns() {
        let (one, other) = (
            Process::listening_to(&column.queue),
            Process::listening_to(&column.queue),
        );
        column.queue.wake().await.unwrap();
        tokio::select! {
            () = one.woken() => (),
            () = other.woken() => (),
        }
        let both = async { tokio::join!(one.wakeups.woken(), other.wakeups.woken()) };
        let again = tokio::time::timeout(Duration::from_millis(500), both).await;
        assert!(again.is_err(), "{}", column.name);
        one.stop().await;
        other.stop().await;
    }
}

#[tokio::test]
async fn only_redis_urls_are_taken() {
    assert!(Queue::redis("redis://127.0.0.1:1/").is_ok());
    assert!(Queue::redis("http://127.0.0.1/").is_err());
}

#[tokio::test]
async fn an_idle_process_is_woken_soon() {
    for column in columns() {
        let process = Process::listening_to(&column.queue);
        column.queue.wake().await.unwrap();
        process.woken().await;
        let mut latencies = Vec::new();
        for round in 1..=50_u64 {
            sleep(Duration::from_millis(round * 37 % 113)).await;
            let begun = Instant::now();
            column.queue.wake().await.unwrap();
            process.woken().await;
            latencies.push(begun.elapsed());
        }
        latencies.sort();
        let (middle, last) = (latencies.get(25).unwrap(), latencies.last().unwrap());
        println!("{}: wake-up to wake p50 {middle:?} max {last:?}", column.name);
        assert!(*last < Duration::from_secs(10), "{}: {last:?}", column.name);
        process.stop().await;
    }
}
