//! A form on its way from the client to storage. A video is read as it comes, hashed and counted, never held in memory.

mod body;
mod form;
mod image;
mod name;
mod parts;
mod sniff;
mod stored;

pub(crate) use body::linger;
pub(crate) use form::{Form, Upload};
pub(crate) use image::{ImageForm, MAX_BYTES as MAX_IMAGE_BYTES, NewImage};
pub(crate) use stored::NewFile;
