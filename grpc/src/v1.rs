//! The messages and services of `proto/rushes/v1`, generated.

#![allow(
    missing_docs,
    clippy::all,
    clippy::pedantic,
    clippy::nursery,
    clippy::allow_attributes_without_reason,
    reason = "generated code"
)]

tonic::include_proto!("rushes.v1");

/// The compiled proto files, for reflection.
pub const DESCRIPTORS: &[u8] = tonic::include_file_descriptor_set!("rushes.v1");
