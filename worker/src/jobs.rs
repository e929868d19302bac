//! The jobs of a worker, each in a file of its own.

pub(crate) mod process_task;
