//! The examples of the workspace.
fn main() {}
