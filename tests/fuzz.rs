//! The bodies of the fuzz targets in every `cargo test`: with their seeds, damaged seeds, and random
//! bytes. `tests/fuzz.sh` searches further.

#[path = "fuzz/src/lib.rs"]
pub mod fuzz;

use fuzz::Target;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

/// Inputs of one target.
const CASES: u32 = 1000;
/// Longest input without a seed, in bytes.
const LONGEST: usize = 2000;

fn target(name: &str) -> &'static Target {
    let found = fuzz::TARGETS.iter().find(|target| target.name == name);
    found.expect("a target of that name")
}

/// Damage to a seed: the place, and what happens there.
type Damage = (prop::sample::Index, u8, u8);

fn damaged(seed: &[u8], damages: &[Damage]) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for (at, kind, value) in damages {
        if bytes.is_empty() {
            bytes.push(*value);
        }
        let at = at.index(bytes.len());
        match kind % 5 {
            0 => bytes[at] = *value,
            1 => bytes[at] ^= 1 << (value % 8),
            2 => bytes.insert(at, *value),
            3 => bytes.truncate(at),
            _ => {
                bytes.remove(at);
            }
        }
    }
    bytes
}

/// A failing input is printed in its shortest form.
fn search(name: &str) {
    let target = target(name);
    let seeds = (target.seeds)();
    assert!(!seeds.is_empty());
    for seed in &seeds {
        (target.run)(seed);
    }
    let damage = (any::<prop::sample::Index>(), any::<u8>(), any::<u8>());
    let input = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..LONGEST),
        (
            prop::sample::select(seeds),
            prop::collection::vec(damage, 1..8)
        )
            .prop_map(|(seed, damages)| damaged(&seed, &damages)),
    ];
    let config = Config {
        failure_persistence: None,
        ..Config::with_cases(CASES)
    };
    let outcome = TestRunner::new(config).run(&input, |bytes| {
        (target.run)(&bytes);
        Ok::<(), TestCaseError>(())
    });
    if let Err(error) = outcome {
        panic!("{name}: {error}");
    }
}

#[test]
fn any_bytes_as_a_message_parse_or_fail_cleanly() {
    search("frame");
}

#[test]
fn any_bytes_as_a_body_parse_or_fail_cleanly() {
    search("payload");
}

#[test]
fn a_session_keeps_its_promises_with_any_peer() {
    search("session");
}

#[test]
fn two_sessions_lose_nothing_over_any_network() {
    search("session_pair");
}

#[test]
fn smux_bytes_mean_the_same_however_they_are_split() {
    search("smux_frames");
}

#[test]
fn a_multiplexer_keeps_its_promises_with_any_peer() {
    search("smux_peer");
}

#[test]
fn two_multiplexers_lose_nothing_whatever_each_side_does() {
    search("smux_pair");
}

#[test]
fn urls_serials_and_codes_accept_only_valid_text() {
    search("texts");
}

#[test]
fn every_fuzz_target_runs_here_and_in_the_fuzzer() {
    let here = include_str!("fuzz.rs");
    let manifest = include_str!("fuzz/Cargo.toml");
    for target in fuzz::TARGETS {
        let name = target.name;
        assert!(here.contains(&format!("search(\"{name}\")")), "{name}");
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
    }
}
