//! The handlers, one file per resource. A handler receives checked input from its extractors, calls a use case of
//! `app` or a finder of `entity`, and builds the reply.

pub(crate) mod analytics;
pub(crate) mod auth;
pub(crate) mod codes;
pub(crate) mod credentials;
pub(crate) mod datasets;
pub(crate) mod deliveries;
pub(crate) mod embed;
pub(crate) mod events;
pub(crate) mod guest_links;
pub(crate) mod guests;
pub(crate) mod health;
pub(crate) mod images;
pub(crate) mod imports;
pub(crate) mod landing;
pub(crate) mod library;
pub(crate) mod metrics;
pub(crate) mod parameters;
pub(crate) mod plan;
pub(crate) mod presets;
pub(crate) mod presigned_uploads;
pub(crate) mod raw_uploads;
pub(crate) mod report;
pub(crate) mod searches;
pub(crate) mod tasks;
pub(crate) mod tus;
pub(crate) mod uploads;
pub(crate) mod video;
pub(crate) mod videos;
pub(crate) mod webhooks;
