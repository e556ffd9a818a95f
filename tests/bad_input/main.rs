//! `BAD_INPUT.md`: its commands are run, its tables name existing tests and texts. And answers of
//! the service that cannot be used.

mod answers;
mod commands;
mod tables;

use std::path::Path;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests are in the workspace")
}
