//! Tests that cross crates. The name of a test is a sentence, a file is a subject. [`tests::TestApp`] gives each test a
//! service.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic fails the test")]
#![allow(
    clippy::disallowed_methods,
    reason = "./test passes the addresses of servers in the environment, and tests start command-line tools"
)]
#![allow(clippy::print_stdout, reason = "tests print what they measured")]
#![allow(
    clippy::too_many_lines,
    reason = "the steps of a test are easier to follow in one function"
)]

mod ambiguous_requests;
mod analytics;
mod background_tasks;
mod backup;
mod bad_input;
mod catalog_faults;
mod clients;
mod compat;
mod connection_exhaustion;
mod connections;
mod consistency;
mod contract;
mod contract_accounts;
mod data_directory;
mod datasets;
mod degraded;
mod degraded_bounds;
mod degraded_first;
mod degraded_grpc;
mod destination;
mod embed;
mod event_streams;
mod events;
mod every_operation;
mod failures;
mod fetched;
mod file_permissions;
mod files_by_nginx;
mod first_use;
mod full_bucket;
mod full_disk;
mod grpc;
mod grpc_attacks;
mod grpc_fields;
mod grpc_message;
mod grpc_tonic;
mod guests;
mod http_accounts;
mod http_basics;
mod http_caching;
mod http_download;
mod http_idempotency;
mod http_images;
mod http_plan;
mod http_play;
mod http_presets;
mod http_upload;
mod http_wait;
mod import_removal;
mod import_streams;
mod import_visibility;
mod imports;
mod journey;
mod kill;
mod killed_verifier;
mod killed_workers;
mod kubernetes;
mod landing;
mod library;
mod library_attacks;
mod library_races;
mod lookups;
mod manifest_uploads;
mod metrics;
mod move_in;
mod mutants;
mod nginx;
mod nginx_errors;
mod observability;
mod observability_stack;
mod outages;
mod presets;
mod presigned;
mod process_limits;
mod processes;
mod recipes_page;
mod redirected_files;
mod redis_faults;
#[path = "../../queue/tests/it/redis_server.rs"]
mod redis_server;
mod resource_shortage;
mod reuse;
mod rolling_restart;
mod schemas;
mod search_oracle;
mod searches;
mod settings;
mod silent_connections;
mod skipped_tests;
mod stack;
mod storm;
mod task_size;
mod tidy;
mod tus;
mod tus_bucket;
mod tus_clients;
mod tus_creation;
mod tus_errors;
mod tus_expiry;
mod tus_takeover;
mod upload_memory;
mod watch;
mod webhooks;

// `redis_server` is shared with another crate and takes it from the root.
use tests::{port, skip};
