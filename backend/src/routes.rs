//! The handlers: extract, one domain call, one entity call, answer.

pub(crate) mod auth;
pub(crate) mod codes;
pub(crate) mod health;
pub(crate) mod images;
pub(crate) mod landing;
pub(crate) mod metrics;
pub(crate) mod plan;
pub(crate) mod presets;
pub(crate) mod report;
pub(crate) mod tasks;
pub(crate) mod uploads;
pub(crate) mod video;
