//! The house rules that no lint knows. They hold for every member of the workspace, so a new crate is under them from
//! its first line.
//!
//! - [`dependencies`]: crates depend on each other in one direction, and each external technology has one crate.
//! - [`documents`]: `.env.sample` and `docs/ERRORS.md` agree with the code.
//! - [`files`]: names, headers and lengths of files.
//! - [`sources`]: the rules about what is inside a Rust file. Every file is parsed once, into plain facts; [`words`],
//!   [`comments`], [`syntax`] and [`circles`] judge these facts and find violations.
//!
//! A rule that the code does not keep yet has an allow-list with a number of violations per crate ([`rule`]). The
//! number must be exact: the test fails when there are more, and when there are fewer, so that the number is lowered.

mod circles;
mod comments;
mod dependencies;
mod documents;
mod files;
mod repository;
mod rule;
mod sources;
mod syntax;
mod words;
