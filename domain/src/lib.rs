//! The customer's language as types, and the pure function that turns a wish and facts into a plan.
//! No I/O and no async in here.

pub mod account;
pub mod claim;
pub mod code;
pub mod failure;
pub mod language;
pub mod limits;
pub mod plan;
pub mod preset;
pub mod probe;
pub mod protocol;
pub mod recipe;
pub mod recipe_reader;
pub mod signature;
pub mod task;
pub mod time;
pub mod transport;

pub use claim::ClaimPolicy;
pub use code::Code;
pub use failure::{Failure, FailureKind, is_exhaustion};
pub use language::Language;
pub use limits::Limits;
pub use plan::{Plan, plan};
pub use probe::Probe;
pub use recipe::Recipe;
pub use task::{Status, TaskId, UserId, WorkerId};
pub use time::{Rational, Span, Timecode};
