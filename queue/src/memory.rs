//! The bell inside one process: a bounded list of distinct ids.

use crate::crew::Crew;
use crate::{Job, WAITING_MAX};
use domain::TaskId;
use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

#[derive(Debug, Default)]
pub(crate) struct Waiting {
    ids: Mutex<Ids>,
    bell: Notify,
}

#[derive(Debug, Default)]
struct Ids {
    in_order: VecDeque<TaskId>,
    distinct: HashSet<TaskId>,
}

impl Waiting {
    pub(crate) fn push(&self, job: Job) {
        let mut ids = self.lock();
        if ids.in_order.len() < WAITING_MAX && ids.distinct.insert(job.task) {
            ids.in_order.push_back(job.task);
            self.bell.notify_one();
        }
    }

    pub(crate) fn room(&self) -> usize {
        WAITING_MAX - self.lock().in_order.len()
    }

    pub(crate) async fn answer<H, F>(&self, crew: &Crew<H>, shutdown: &CancellationToken)
    where
        H: Fn(Job) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let slots = crew.slots();
        let next = async || {
            let slot = slots.clone().acquire_owned().await.expect("the slots are never closed");
            (self.next().await, slot)
        };
        while let Some((job, slot)) = shutdown.run_until_cancelled(next()).await {
            crew.start(job, slot);
        }
    }

    async fn next(&self) -> Job {
        loop {
            let rung = self.bell.notified();
            if let Some(job) = self.pop() {
                return job;
            }
            rung.await;
        }
    }

    fn pop(&self) -> Option<Job> {
        let mut ids = self.lock();
        let task = ids.in_order.pop_front()?;
        ids.distinct.remove(&task);
        if !ids.in_order.is_empty() {
            // Rings melt into one while nobody listens, so whoever hears one passes it on.
            self.bell.notify_one();
        }
        Some(Job { task })
    }

    fn lock(&self) -> MutexGuard<'_, Ids> {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
