//! An upload on its way from the client to storage: read as it comes, hashed and counted, never held in memory.

mod body;
mod choice;
mod form;
mod name;
mod sniff;
mod stored;

pub(crate) use body::linger;

pub(crate) use form::{Form, Upload};
