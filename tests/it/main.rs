//! Every test that crosses crates. A test name is a sentence; a file is a topic.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "tests are told their servers by ./test, and start tools"
)]
#![allow(clippy::print_stdout, reason = "tests say what they skip")]
#![allow(clippy::too_many_lines, reason = "a story is told in one piece")]

mod background_tasks;
mod backup;
mod bad_input;
mod clients;
mod connections;
mod contract;
mod contract_accounts;
mod data_directory;
mod database_crowded;
mod every_operation;
mod failures;
mod front_door;
mod front_door_edges;
mod full_disk;
mod hard_times;
mod http_accounts;
mod http_caching;
mod http_download;
mod http_edge;
mod http_images;
mod http_once;
mod http_plan;
mod http_play;
mod http_presets;
mod http_upload;
mod journey;
mod kill;
mod landing;
mod ledger;
mod metrics;
mod mutants;
mod parts_away;
mod presets;
mod private_files;
mod processes;
mod recipes_page;
mod reuse;
mod rolling;
mod schemas;
mod settings;
mod shortages;
mod stack;
mod storm;
mod stranger;
mod task_size;
mod tidy;
mod upload_memory;
