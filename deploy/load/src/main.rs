//! The load test that Moim grew from, as a tool.
fn main() {}
