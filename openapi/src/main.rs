//! Binary that rewrites `schemas/json`: `cargo run -p openapi`, from any folder of the workspace.

use std::path::Path;

fn main() -> std::io::Result<()> {
    openapi::write(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../schemas/json"))
}
