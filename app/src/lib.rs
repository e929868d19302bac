//! Use cases: the operations of the service, independent of the protocol that requests them. HTTP handlers call them.
//! No type of axum or apalis appears here.
//!
//! There is one file per resource. A function checks what the caller may do, writes the rows in one transaction, and
//! stores or removes the files that belong to them. Callers turn the rows into replies.
//!
//! Functions that create a task, an image or a preset take a [`idempotency::KeyGuard`] and a function that makes the
//! reply. The reply is stored in the transaction that creates the row, so a repeated request gets the first reply.

pub mod accounts;
pub mod analytics;
mod app;
mod container;
pub mod credentials;
pub mod datasets;
mod error;
pub mod events;
mod file_name;
pub mod guest_links;
pub mod idempotency;
mod image_header;
pub mod images;
pub mod imports;
pub mod library;
pub mod lookups;
mod new_file;
pub mod plans;
pub mod presets;
pub mod recipe_choice;
pub mod sealing;
pub mod searches;
pub mod tasks;
mod trash;
mod uninterrupted;
pub mod uploads;
pub mod videos;
pub mod watch;
pub mod webhooks;

pub use app::{App, Core, Settings};
pub use error::{Error, FieldReason, InvalidField, OnUnique, Refusal};
pub use new_file::{NewFile, too_large};
