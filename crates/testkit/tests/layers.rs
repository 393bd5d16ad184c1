//! Which crate may depend on which: the arrows of `docs/architecture.md`, and no other.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// What each crate may be built from, of ours.
const ARROWS: &[(&str, &[&str])] = &[
    ("varve-node", &["varve-log", "varve-wal", "varve-io"]),
    ("varve-log", &["varve-wal", "varve-segment", "varve-codec", "varve-io", "varve-format"]),
    ("varve-wal", &["varve-segment", "varve-codec", "varve-io", "varve-format"]),
    ("varve-segment", &["varve-codec", "varve-io", "varve-format"]),
    ("varve-codec", &["varve-format"]),
    ("varve-io", &[]),
    ("varve-format", &[]),
    ("varve-testkit", &["varve-wal", "varve-segment", "varve-io", "varve-format"]),
];

/// The one crate that knows Node.
const NODE: &str = "varve-node";

/// The one crate that only tests may use.
const TESTKIT: &str = "varve-testkit";

struct Arrow {
    from: String,
    to: String,
    dev: bool,
}

fn arrows() -> Vec<Arrow> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut arrows = Vec::new();
    for package in metadata["packages"].as_array().unwrap() {
        for dependency in package["dependencies"].as_array().unwrap() {
            arrows.push(Arrow {
                from: package["name"].as_str().unwrap().to_owned(),
                to: dependency["name"].as_str().unwrap().to_owned(),
                dev: dependency["kind"] == "dev",
            });
        }
    }
    arrows
}

#[test]
fn dependencies_point_one_way() {
    let allowed: BTreeMap<_, BTreeSet<_>> =
        ARROWS.iter().map(|(from, to)| (*from, to.iter().copied().collect())).collect();
    let arrows = arrows();
    let crates: BTreeSet<_> = arrows.iter().map(|arrow| arrow.from.as_str()).collect();
    assert_eq!(crates, allowed.keys().copied().collect(), "a crate has no row in this table, or a row no crate");
    for Arrow { from, to, dev } in arrows.iter().filter(|arrow| allowed.contains_key(arrow.to.as_str())) {
        let tests_only = *dev && to == TESTKIT;
        assert!(tests_only || allowed[from.as_str()].contains(to.as_str()), "{from} must not depend on {to}");
    }
}

#[test]
fn the_test_kit_is_for_tests_alone() {
    for Arrow { from, to, dev } in arrows() {
        assert!(to != TESTKIT || dev, "{from} depends on the test kit outside of its tests");
    }
}

#[test]
fn only_one_crate_knows_node() {
    for Arrow { from, to, .. } in arrows() {
        assert!(from == NODE || !to.starts_with("napi"), "{from} depends on {to}; only {NODE} may");
    }
}
