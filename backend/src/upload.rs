//! Multipart uploads. A video is streamed from the request to the storage while it is hashed and counted; it is never
//! held in memory.

mod form;
mod image;
mod limited_body;
mod multipart;
mod name;
mod new_file;
mod sniff;

pub(crate) use form::{Form, Upload};
pub(crate) use image::{ImageForm, NewImage};
pub(crate) use new_file::NewFile;
