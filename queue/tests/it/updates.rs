//! Updates of tasks between processes, also while Redis is away.

use crate::queues::{all_queues, redis_queue};
use crate::redis_server::RedisServer;
use background::Background;
use domain::{TaskId, UserId};
use queue::{Queue, Subscription};
use std::time::{Duration, Instant};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

const ACCOUNT: UserId = UserId(1);
const TASK: TaskId = TaskId(7);

/// A process that receives updates until it is dropped.
struct Receiver {
    queue: Queue,
    shutdown: CancellationToken,
}

impl Receiver {
    fn start(queue: Queue) -> Self {
        let shutdown = CancellationToken::new();
        queue.receive_updates(shutdown.clone(), Background::default());
        Self { queue, shutdown }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// A process with its own connection; the same queue in memory.
fn another_process(queue: &Queue, redis: Option<&RedisServer>) -> Queue {
    redis.map_or_else(|| queue.clone(), |redis| Queue::redis(&redis.url()).unwrap())
}

async fn is_updated(subscription: &mut Subscription) -> bool {
    timeout(Duration::from_millis(200), subscription.updated())
        .await
        .is_ok()
}

/// Publishes until an update arrives: updates are lost while the receiver is not connected.
async fn updated_after_retries(publisher: &Queue, subscription: &mut Subscription) {
    let begun = Instant::now();
    loop {
        publisher.publish_update(ACCOUNT, TASK);
        if is_updated(subscription).await {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "no update arrives");
    }
}

#[tokio::test]
async fn an_update_reaches_the_subscriptions_to_its_task_in_other_processes() {
    for test in all_queues() {
        let first = Receiver::start(test.queue.clone());
        let second = Receiver::start(another_process(&test.queue, test.redis.as_ref()));
        let publisher = another_process(&test.queue, test.redis.as_ref());
        let (mut one, mut two) = (
            first.queue.subscribe(ACCOUNT, TASK),
            second.queue.subscribe(ACCOUNT, TASK),
        );
        updated_after_retries(&publisher, &mut one).await;
        updated_after_retries(&publisher, &mut two).await;
        let mut other = first.queue.subscribe(ACCOUNT, TaskId(8));
        updated_after_retries(&publisher, &mut one).await;
        assert!(!is_updated(&mut other).await, "{}", test.name);
    }
}

#[tokio::test]
async fn one_connection_receives_the_updates_for_all_subscriptions_of_a_process() {
    let Some(test) = redis_queue() else { return };
    let redis = test.redis.as_ref().unwrap();
    let receiver = Receiver::start(test.queue.clone());
    let mut first = receiver.queue.subscribe(ACCOUNT, TASK);
    updated_after_retries(&test.queue, &mut first).await;
    let more: Vec<_> = (0..100)
        .map(|task| receiver.queue.subscribe(ACCOUNT, TaskId(task)))
        .collect();
    let subscribers: (String, usize) = redis.command(&["PUBSUB", "NUMSUB", "rushes-updates-0"]).await;
    assert_eq!(subscribers.1, 1);
    drop(more);
    drop(receiver);
    let begun = Instant::now();
    while redis
        .command::<(String, usize)>(&["PUBSUB", "NUMSUB", "rushes-updates-0"])
        .await
        .1
        > 0
    {
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "the shutdown leaves the connection"
        );
    }
}

#[tokio::test]
async fn updates_continue_after_redis_was_killed_or_flushed() {
    let Some(mut test) = redis_queue() else { return };
    let receiver = Receiver::start(test.queue.clone());
    let mut subscription = receiver.queue.subscribe(ACCOUNT, TASK);
    updated_after_retries(&test.queue, &mut subscription).await;
    let redis = test.redis.as_mut().unwrap();
    let () = redis.command(&["FLUSHALL"]).await;
    updated_after_retries(&test.queue, &mut subscription).await;
    redis.kill();
    redis.restart();
    updated_after_retries(&test.queue, &mut subscription).await;
}

#[tokio::test]
async fn publishing_does_not_wait_for_a_redis_that_does_not_answer() {
    let Some(mut test) = redis_queue() else { return };
    test.queue.ready().await.unwrap();
    let redis = test.redis.as_mut().unwrap();
    redis.stop_answering();
    let begun = Instant::now();
    for task in 0..10_000 {
        test.queue.publish_update(ACCOUNT, TaskId(task));
        tokio::task::yield_now().await;
    }
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    redis.kill();
    redis.restart();
    let receiver = Receiver::start(test.queue.clone());
    updated_after_retries(&test.queue, &mut receiver.queue.subscribe(ACCOUNT, TASK)).await;
}
