//! Chance that can be repeated.

use rand::SeedableRng;
use rand::rngs::StdRng;

/// The seeds of this run: one, unless the environment asks for more.
pub fn seeds() -> impl Iterator<Item = u64> {
    let first = number("MOIM_TEST_SEED").unwrap_or_else(rand::random);
    let count = number("MOIM_TEST_SEEDS").unwrap_or(1);
    (0..count).map(move |n| first.wrapping_add(n))
}

/// Chance from a seed, which is printed.
pub fn chance(seed: u64) -> StdRng {
    println!("repeat this with MOIM_TEST_SEED={seed}");
    StdRng::seed_from_u64(seed)
}

/// A number of the environment.
pub fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}
