//! Frame codec.
fn main() {}
