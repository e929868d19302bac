//! Tests that every queue passes.

use crate::queues::{Process, all_queues};
use queue::Queue;
use std::time::{Duration, Instant};
use tokio::time::sleep;

#[tokio::test]
async fn a_wake_up_reaches_an_idle_process() {
    for test in all_queues() {
        test.queue.ready().await.unwrap();
        let process = Process::listening_to(&test.queue);
        for _ in 0..3 {
            test.queue.wake().await.unwrap();
            process.woken().await;
        }
        process.stop().await;
    }
}

#[tokio::test]
async fn a_wake_up_waits_for_a_process_that_starts_later() {
    for test in all_queues() {
        test.queue.wake().await.unwrap();
        let process = Process::listening_to(&test.queue);
        process.woken().await;
        process.stop().await;
    }
}

#[tokio::test]
async fn many_wake_ups_without_a_listener_are_one() {
    for test in all_queues() {
        for _ in 0..50 {
            test.queue.wake().await.unwrap();
        }
        let process = Process::listening_to(&test.queue);
        process.woken().await;
        let again = process.woken_within(Duration::from_millis(500)).await;
        assert!(!again, "{}: one job stands for any number of tasks", test.name);
        process.stop().await;
    }
}

#[tokio::test]
async fn each_wake_up_wakes_one_of_two_processes() {
    for test in all_queues() {
        let first = Process::listening_to(&test.queue);
        let second = Process::listening_to(&test.queue);
        test.queue.wake().await.unwrap();
        tokio::select! {
            () = first.woken() => (),
            () = second.woken() => (),
        }
        let both = async { tokio::join!(first.wakeups.woken(), second.wakeups.woken()) };
        let again = tokio::time::timeout(Duration::from_millis(500), both).await;
        assert!(again.is_err(), "{}", test.name);
        first.stop().await;
        second.stop().await;
    }
}

#[tokio::test]
async fn only_redis_urls_are_accepted() {
    assert!(Queue::redis("redis://127.0.0.1:1/").is_ok());
    assert!(Queue::redis("http://127.0.0.1/").is_err());
}

#[tokio::test]
async fn an_idle_process_is_woken_soon() {
    for test in all_queues() {
        let process = Process::listening_to(&test.queue);
        test.queue.wake().await.unwrap();
        process.woken().await;
        let mut latencies = Vec::new();
        for round in 1..=50_u64 {
            sleep(Duration::from_millis(round * 37 % 113)).await;
            let started = Instant::now();
            test.queue.wake().await.unwrap();
            process.woken().await;
            latencies.push(started.elapsed());
        }
        latencies.sort();
        let (median, longest) = (latencies.get(25).unwrap(), latencies.last().unwrap());
        println!("{}: wake-up to wake p50 {median:?} max {longest:?}", test.name);
        assert!(*longest < Duration::from_secs(10), "{}: {longest:?}", test.name);
        process.stop().await;
    }
}
