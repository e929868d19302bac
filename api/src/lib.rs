//! Wire types of the HTTP API: the JSON bodies of requests, replies and errors, shared by the server and its clients.
//!
//! One file per resource, with the name of its routes in `backend/src/routes`. The server reads requests leniently, to
//! name every wrong field: what a request must have may be absent in its type, and the OpenAPI document says what is
//! required. Multipart forms and query parameters are described in `backend`, where they are parsed.
//!
//! *Names.* Keys are `snake_case`, and a list is `{"data": […], "next_cursor": …}`. Some keys are older than these
//! rules. They stay, because they are the contract with existing clients:
//!
//! - `Task`, `file` and `message` in the reply to the removal of a task, and `message` in other replies;
//! - `task_id` and `timestamp` of a task, the same as `id` and `created_at`; `download`, the links of its `outputs`;
//! - `password1` and `password2` in a sign-up; `msg` in token errors, the same as `message`;
//! - `done`, `picture` and `overlay` in plans and reports, for an action, a layout and a watermark (`domain::plan`).
//!
//! *Types that `domain` has* (recipe, plan steps, warnings, statuses, the report) are used as they are.

pub mod analytics;
pub mod auth;
pub mod credentials;
pub mod datasets;
pub mod events;
pub mod guest_links;
pub mod health;
pub mod images;
pub mod imports;
pub mod library;
pub mod plan;
pub mod presets;
pub mod problem;
pub mod reply;
pub mod report;
pub mod searches;
pub mod tasks;
pub mod uploads;
pub mod videos;
pub mod webhooks;
