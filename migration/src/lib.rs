//! Portable migrations, one change each.
