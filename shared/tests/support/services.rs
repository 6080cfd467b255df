//! Where the services are that tests may harm.

/// The value of a `MOIM_TEST_*` variable.
pub fn service(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| {
        panic!("{variable} is not set: run the tests through `deploy/services run`, or set it")
    })
}
