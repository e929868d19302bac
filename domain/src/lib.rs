//! The types of the product and its pure decisions. No I/O, no async.
//!
//! - [`recipe`], [`recipe_reader`], [`preset`]: what a user requests, parsed from JSON.
//! - [`probe`]: the properties of a source file.
//! - [`plan()`]: recipe, probe, limits and copy policy become a plan for the media child; finished outputs are compared
//!   with it.
//! - [`protocol`]: the messages between worker and media child.
//! - [`report`]: what an attempt did, as users see it.
//! - [`code`], [`failure_class`], [`claim`]: error codes, retries, and the order in which tasks are claimed.
//! - [`library`], [`search`], [`folding`], [`ranking`], [`vocabulary`]: lists and searches of videos, the words of a
//!   text, the order of hits, and the correction of typing errors.
//! - [`event`], [`mod@upload`], [`webhook`]: the types of events, the status of an upload, and when a delivery is
//!   tried again.
//! - [`media_type`]: the media types of the files of a set.
//! - [`video`]: what the owner of a video writes into it.
//! - [`manifest`]: the columns and rows of the files of bulk imports.
//! - [`lookup`]: what a service of the operator tells about points.
//! - [`dataset`], [`analytics`]: tables of facts and regions; the units of time and boxes by which they are queried.
//! - [`account`], [`scope`]: names and passwords, and what the holder of a credential may do.

pub mod account;
pub mod analytics;
pub mod cidr;
pub mod claim;
pub mod code;
pub mod dataset;
pub mod event;
pub mod failure;
pub mod failure_class;
pub mod file_signature;
pub mod folding;
pub mod language;
pub mod library;
pub mod limits;
pub mod lookup;
pub mod manifest;
pub mod media_type;
pub mod mpeg_ts;
mod nul;
pub mod plan;
pub mod preset;
pub mod probe;
pub mod protocol;
pub mod ranking;
pub mod recipe;
pub mod recipe_reader;
pub mod report;
pub mod scope;
pub mod search;
pub mod task;
pub mod time;
pub mod upload;
pub mod video;
pub mod vocabulary;
pub mod webhook;

pub use cidr::{Cidr, InvalidCidr};
pub use claim::ClaimPolicy;
pub use code::Code;
pub use event::EventType;
pub use failure::{Failure, is_exhaustion, is_failed_allocation};
pub use failure_class::FailureClass;
pub use language::Language;
pub use library::Visibility;
pub use limits::Limits;
pub use media_type::media_type_of_file;
pub use nul::{has_nul, has_nul_field};
pub use plan::{Plan, plan};
pub use probe::Probe;
pub use recipe::Recipe;
pub use report::TaskReport;
pub use scope::Scopes;
pub use task::{Status, TaskId, UserId, WorkerId};
pub use time::{Rational, Span, Timecode};
pub use upload::{UploadPurpose, UploadStatus};
pub use video::VideoId;
pub use webhook::DeliveryStatus;
