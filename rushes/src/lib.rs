//! The executable `rushes`: command line, settings, telemetry, and the start and shutdown of backend and worker.

pub mod api;
pub mod settings;

mod backup;
mod command;
mod components;
mod data_dir;
mod fd_limit;
mod import;
mod log;
mod memory;
mod permissions;
mod serve;
mod telemetry;

pub use command::main;
