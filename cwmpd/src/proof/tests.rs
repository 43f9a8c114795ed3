//! The runs: random tapes, and a year.

use proptest::prelude::*;

use super::{HOUR_MS, World, choice::Choices};

/// Prints what happened when the run fails.
struct Witness(World);

impl Drop for Witness {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let story = &self.0.story;
            eprintln!("the end of what happened:\n{}", story[story.len().saturating_sub(60)..].join("\n"));
        }
    }
}

fn run(choices: Choices, steps: usize) {
    let mut witness = Witness(World::new(choices, true));
    for _ in 0..steps {
        witness.0.live();
    }
    witness.0.heal();
}

/// Shown in one line.
#[derive(Clone)]
struct Tape(Vec<u16>);

impl std::fmt::Debug for Tape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

fn config(cases: u32) -> ProptestConfig {
    // No file beside the sources: the tape is printed.
    ProptestConfig { cases, failure_persistence: None, max_shrink_iters: 20_000, ..Default::default() }
}

proptest! {
    #![proptest_config(config(2000))]

    /// A failure prints the shortest tape that shows it; put it into `a_tape_is_repeated` below.
    #[test]
    fn whatever_strikes_nothing_is_lost_or_doubled(
        tape in prop::collection::vec(any::<u16>(), 0..400).prop_map(Tape)
    ) {
        run(Choices::Tape(tape.0.into_iter()), 40);
    }
}

#[test]
fn a_tape_is_repeated() {
    // Tapes that once failed go here.
    for tape in [&[][..], &[999, 999, 999, 999]] {
        run(Choices::Tape(Vec::from(tape).into_iter()), 40);
    }
}

#[test]
fn a_year_passes_in_seconds() {
    let seed = std::env::var("CWMP_SEED").ok().map(|seed| seed.parse().expect("CWMP_SEED is a number"));
    let telling = seed.is_some();
    let seed = seed.unwrap_or_else(|| std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0));
    eprintln!("repeat with CWMP_SEED={seed} cargo test -p cwmpd a_year_passes");
    let mut witness = Witness(World::new(Choices::Seed(seed), telling));
    let year = 365 * 24 * HOUR_MS;
    while witness.0.now < year {
        witness.0.live();
        let old = witness.0.story.len().saturating_sub(100);
        witness.0.story.drain(..old);
    }
    witness.0.heal();
    // Some points pass while there is no ACS, or in a wait after the supervisor refused.
    assert!(witness.0.sessions > 4000, "only {} sessions in a year", witness.0.sessions);
}
