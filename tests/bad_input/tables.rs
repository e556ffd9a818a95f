//! The page's tables: input, quoted texts, tests.

use std::fs;
use std::path::Path;

use super::root;

/// The texts and the tests of one row.
#[derive(Debug, PartialEq)]
struct Row<'a> {
    /// Without what varies.
    texts: Vec<&'a str>,
    tests: Vec<&'a str>,
}

/// The rows of every table with the columns input, text, test.
fn rows(page: &str) -> Vec<Row<'_>> {
    let lines = page.lines().filter(|line| line.starts_with('|'));
    lines
        .filter(|line| !line.starts_with("|-") && !line.ends_with("| test |"))
        .map(|line| {
            let [_, _, text, tests, _] = line.split('|').collect::<Vec<_>>()[..] else {
                panic!("not three columns: {line}");
            };
            let parts = quoted(text).flat_map(|text| text.split('…'));
            Row {
                texts: parts.filter(|part| !part.is_empty()).collect(),
                tests: quoted(tests).collect(),
            }
        })
        .collect()
}

/// The parts of a cell between backticks.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

#[test]
fn rows_are_split_into_texts_and_tests() {
    let page = "text\n\n| input | text | test |\n|---|---|---|\n\
                | `x` and | `one … two` `three` | `a` `b` |\n| y | (ignored) | `c` |\n";
    let first = Row {
        texts: vec!["one ", " two", "three"],
        tests: vec!["a", "b"],
    };
    let second = Row {
        texts: vec![],
        tests: vec!["c"],
    };
    assert_eq!(rows(page), [first, second]);
}

fn sources(folder: &Path, into: &mut Vec<String>) {
    let entries = fs::read_dir(folder).expect("a source folder");
    for path in entries.map(|entry| entry.expect("a readable entry").path()) {
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
            sources(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(fs::read_to_string(path).expect("a source file"));
        }
    }
}

#[test]
fn every_row_names_an_existing_test_and_text() {
    let page = fs::read_to_string(root().join("BAD_INPUT.md")).expect("the page");
    let mut all = Vec::new();
    for folder in ["crates", "examples", "tests"] {
        sources(&root().join(folder), &mut all);
    }
    let rows = rows(&page);
    assert!(rows.len() > 40, "only {} rows", rows.len());
    for row in &rows {
        assert!(!row.tests.is_empty(), "no test: {row:?}");
        for test in &row.tests {
            let name = format!("fn {test}(");
            let exists = |text: &String| {
                text.find(&name)
                    .is_some_and(|at| text[..at].contains("test"))
            };
            assert!(all.iter().any(exists), "no test {test}: {row:?}");
        }
        for text in &row.texts {
            let escaped = text.replace('"', "\\\"");
            let exists = |source: &String| source.contains(text) || source.contains(&escaped);
            assert!(
                all.iter().any(exists),
                "not in the code: {text:?} of {row:?}"
            );
        }
    }
}
