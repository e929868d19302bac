//! TestApp and every test that crosses crates.
