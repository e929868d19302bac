//! The bodies of requests that create tasks and images: multipart forms, and JSON that names a resumable upload. A
//! video is streamed from the request to the storage while it is hashed and counted; it is never held in memory.

mod file_name;
mod form;
mod image;
mod limited_body;
mod manifest;
mod multipart;
mod task_body;
mod webhook_url;

pub(crate) use image::ImageForm;
pub(crate) use manifest::ManifestForm;
pub(crate) use task_body::{FileBody, SourceUrl, TaskBody, choice};
pub(crate) use webhook_url::webhook_url;
