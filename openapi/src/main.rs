//! `cargo run -p openapi`, from anywhere in the workspace.

use std::path::Path;

fn main() -> std::io::Result<()> {
    openapi::write(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../schemas/json"))
}
