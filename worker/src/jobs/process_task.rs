//! The job that processes tasks.
//!
//! ```text
//!  claims ──► attempt ──► inputs ──► render ──► destination ──► store ──► settle
//!                │           │         │
//!                │           └► reuse  └► child (probe, transcode, verify)
//!                └► lease (renewal)
//! ```

mod attempt;
mod claims;
mod destination;
#[cfg(test)]
mod fixture;
mod inputs;
mod lease;
mod outcome;
mod render;
mod report;
mod reuse;
mod settle;
mod store;

pub(crate) use attempt::running_tasks;
pub(crate) use claims::run;
