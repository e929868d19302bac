//! `deploy/k8s`: the resources of both overlays are valid, complete, restricted, and name only what exists.

mod kustomization;
mod network;
mod pods;
mod scaling;
mod schema;
