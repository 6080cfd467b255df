//! The `moim-server` command.
fn main() {}
