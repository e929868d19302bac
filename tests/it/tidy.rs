//! Project rules that no lint checks. They hold for every member of the workspace, so a new crate is under them from
//! its first line.
//!
//! - [`dependencies`]: crates depend on each other in one direction, and each external technology has one crate.
//! - [`documents`]: `.env.sample` and `docs/ERRORS.md` agree with the code.
//! - [`files`]: names, headers and lengths of files.
//! - [`skips`]: tests that are skipped.
//! - [`rules`]: the content of Rust files. [`parse`] reads every file once into plain facts ([`source`]), and
//!   [`words`], [`comments`], [`items`] and [`circles`] find violations in them.
//!
//! A rule that the code does not follow yet has an allow-list with a number of violations per crate ([`rule`]). The
//! number must be exact: the test fails when there are more, and when there are fewer, so that the number is lowered.

mod circles;
mod comments;
mod dependencies;
mod documents;
mod files;
mod items;
mod parse;
mod repository;
mod rule;
mod rules;
mod scripts;
mod skips;
mod source;
mod words;
