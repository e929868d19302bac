//! Multipart uploads. A video is streamed from the request to the storage while it is hashed and counted; it is never
//! held in memory.

mod file_name;
mod form;
mod image;
mod limited_body;
mod multipart;

pub(crate) use form::Form;
pub(crate) use image::ImageForm;
