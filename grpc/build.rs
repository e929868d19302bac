//! Compiles the protos with `protox`, so that no `protoc` needs to be installed.

use prost::Message;
use std::error::Error;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn Error>> {
    let protos = ["proto/rushes/v1/import.proto", "proto/rushes/v1/library.proto"];
    println!("cargo::rerun-if-changed=proto");
    let descriptors = protox::compile(protos, ["proto"])?;
    #[allow(clippy::disallowed_methods, reason = "Cargo passes the directory in the environment")]
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("rushes.v1.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure()
        .skip_protoc_run()
        .compile_fds(descriptors)?;
    Ok(())
}
