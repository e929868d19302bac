//! The life of one task: claim, run the media child under a lease, verify, store, settle.
