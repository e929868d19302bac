//! Wiring: settings from the environment, telemetry, the parts put together, shutdown.

pub mod settings;

mod backup;
mod command;
mod data_dir;
mod descriptors;
mod log;
mod memory;
mod parts;
mod private;
mod serve;
mod telemetry;

pub use command::main;
