//! The conformance page holds what it says: every requirement once, every test that it names in the source tree.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // all of it is test code

use std::collections::BTreeSet;

use tests::workspace_root;

/// Every group of requirements and how many it has.
const GROUPS: [(&str, u32); 29] = [
    ("DISC", 22),
    ("CONN", 18),
    ("RETRY", 11),
    ("CR", 23),
    ("UDP", 16),
    ("XMPP", 10),
    ("TLS", 9),
    ("AUTH", 9),
    ("HTTP", 26),
    ("SOAP", 25),
    ("VER", 6),
    ("SESS", 19),
    ("EVT", 17),
    ("INF", 12),
    ("TYPE", 10),
    ("RPC", 14),
    ("SPV", 17),
    ("GPV", 9),
    ("GPN", 9),
    ("ATTR", 17),
    ("OBJ", 9),
    ("DL", 32),
    ("MISC", 12),
    ("FLT", 3),
    ("PER", 9),
    ("ALIAS", 6),
    ("DIAG", 13),
    ("BULK", 7),
    ("GW", 2),
];

/// A crate as tests name it, and its directory.
const CRATES: [(&str, &str); 3] =
    [("cwmpd", "cwmpd"), ("supervisor", "supervisor"), ("ipc_proto", "ipc-proto")];

const TEST_ATTRIBUTES: [&str; 2] = ["#[test]", "#[tokio::test]"];

/// A row of the page's tables.
#[derive(Debug)]
struct Row {
    line: usize,
    ids: String,
    what: String,
    state: String,
    tests: String,
}

/// A requirement: its group and its number.
type Id = (String, u32);

/// The rows of every table, or which line is none.
fn rows(page: &str) -> Result<Vec<Row>, String> {
    let mut rows = Vec::new();
    for (n, line) in page.lines().enumerate().filter(|(_, line)| line.starts_with('|')) {
        let line_number = n + 1;
        let inside = line.strip_prefix('|').and_then(|l| l.strip_suffix('|'));
        let cells: Vec<&str> = inside.unwrap_or_default().split('|').map(str::trim).collect();
        let &[ids, what, state, tests] = cells.as_slice() else {
            return Err(format!("line {line_number}: {} cells, a row has 4", cells.len()));
        };
        let is_head = ids == "id" || !ids.is_empty() && ids.bytes().all(|b| b == b'-');
        if !is_head {
            let [ids, what, state, tests] = [ids, what, state, tests].map(str::to_owned);
            rows.push(Row { line: line_number, ids, what, state, tests });
        }
    }
    Ok(rows)
}

impl Row {
    /// The requirements that it is about: one, or a range.
    fn ids(&self) -> Result<Vec<Id>, String> {
        let wrong = |why: &str| format!("line {}: {:?} {why}", self.line, self.ids);
        let id = |text: &str| id(text).ok_or_else(|| wrong("is no id such as DISC-01"));
        let Some((first, last)) = self.ids.split_once(" to ") else { return Ok(vec![id(&self.ids)?]) };
        let ((group, from), (same, to)) = (id(first)?, id(last)?);
        if group != same || from >= to {
            return Err(wrong("is no range from a lower number to a higher one of one group"));
        }
        Ok((from..=to).map(|number| (group.clone(), number)).collect())
    }

    /// The tests that it names.
    fn tests(&self) -> Result<Vec<&str>, String> {
        let names = self.tests.split(", ").filter(|name| !name.is_empty());
        let quoted = |name: &str| format!("line {}: {name} does not stand in `...`", self.line);
        let bare = |name: &'_ str| name.len() > 2 && name.starts_with('`') && name.ends_with('`');
        names.map(|name| if bare(name) { Ok(name.trim_matches('`')) } else { Err(quoted(name)) }).collect()
    }
}

/// `GROUP-nn`, two digits.
fn id(text: &str) -> Option<Id> {
    let (group, number) = text.split_once('-')?;
    let digits = number.len() == 2 && number.bytes().all(|b| b.is_ascii_digit());
    let group_fits = !group.is_empty() && group.bytes().all(|b| b.is_ascii_uppercase());
    let number = number.parse().ok().filter(|n| *n > 0)?;
    (digits && group_fits).then(|| (group.to_owned(), number))
}

/// What is wrong with the ids: malformed, twice, missing, or of no known requirement.
fn wrong_ids(rows: &[Row], groups: &[(&str, u32)]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut seen = BTreeSet::new();
    for row in rows {
        match row.ids() {
            Err(why) => wrong.push(why),
            Ok(ids) => {
                for (group, number) in ids {
                    if !seen.insert((group.clone(), number)) {
                        wrong.push(format!("line {}: {group}-{number:02} a second time", row.line));
                    }
                }
            }
        }
    }
    let wanted: BTreeSet<Id> = groups
        .iter()
        .flat_map(|(group, count)| (1..=*count).map(|number| ((*group).to_owned(), number)))
        .collect();
    wrong.extend(wanted.difference(&seen).map(|(group, number)| format!("no row for {group}-{number:02}")));
    wrong.extend(seen.difference(&wanted).map(|(group, number)| format!("there is no {group}-{number:02}")));
    wrong
}

/// What is wrong with the states: an unknown one, no words, a claim without a test, a test without a claim.
fn wrong_states(rows: &[Row]) -> Vec<String> {
    let complaint = |row: &Row| {
        let names_a_test = !row.tests.is_empty();
        let why = match row.state.as_str() {
            _ if row.what.is_empty() => "says nothing",
            "done" | "part" if !names_a_test => "names no test",
            "not built" if names_a_test => "names a test of what is not built",
            "done" | "part" | "not built" => return None,
            _ => "is neither done, nor part, nor not built",
        };
        Some(format!("line {}: {} {why}", row.line, row.ids))
    };
    rows.iter().filter_map(complaint).collect()
}

/// The tests that are named and not there.
fn missing_tests(rows: &[Row], source: &impl Fn(&str) -> Option<String>) -> Vec<String> {
    let mut wrong = Vec::new();
    for row in rows {
        match row.tests() {
            Err(why) => wrong.push(why),
            Ok(names) => {
                let missing = names.iter().filter(|name| !is_there(name, source));
                wrong.extend(missing.map(|name| format!("line {}: there is no test {name}", row.line)));
            }
        }
    }
    wrong
}

/// True when one of the files that may hold the test holds it, under the attribute of a test.
fn is_there(name: &str, source: &impl Fn(&str) -> Option<String>) -> bool {
    let Some((module, test)) = name.rsplit_once("::") else { return false };
    files(module).iter().filter_map(|file| source(file)).any(|text| has_test(&text, test))
}

/// Where a module of that name may be: `tests` is a file of its own, has parts, or stands at the end of the file it
/// tests.
fn files(module: &str) -> Vec<String> {
    let parts: Vec<&str> = module.split("::").collect();
    match parts.as_slice() {
        [file] => vec![format!("tests/tests/{file}.rs")],
        [name, middle @ .., "tests"] => {
            let known = CRATES.iter().find(|(known, _)| known == name);
            let path = middle.join("/");
            let of = |(_, directory): &(&str, &str)| {
                ["tests.rs", "mod.rs"]
                    .map(|file| format!("{directory}/src/{path}/{file}"))
                    .into_iter()
                    .chain([format!("{directory}/src/{path}.rs")])
                    .collect()
            };
            known.map(of).unwrap_or_default()
        }
        [name, middle @ .., "tests", file] => {
            let known = CRATES.iter().find(|(known, _)| known == name);
            let of = |(_, directory): &(&str, &str)| {
                format!("{directory}/src/{}/tests/{file}.rs", middle.join("/"))
            };
            known.map(of).into_iter().collect()
        }
        _ => Vec::new(),
    }
}

/// True when the text has a function of that name whose attributes make it a test that is run.
fn has_test(text: &str, name: &str) -> bool {
    let is_it = |line: &str| {
        let line = line.strip_prefix("async ").unwrap_or(line);
        line.strip_prefix("fn ").and_then(|l| l.strip_prefix(name)).is_some_and(|l| l.starts_with("()"))
    };
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let attributes = |at: usize| lines[..at].iter().rev().take_while(|line| line.starts_with("#["));
    (0..lines.len())
        .filter(|at| is_it(lines[*at]))
        .any(|at| attributes(at).any(|line| TEST_ATTRIBUTES.contains(line)))
}

fn read(file: &str) -> Option<String> {
    std::fs::read_to_string(workspace_root().join(file)).ok()
}

fn page() -> Vec<Row> {
    let found = rows(&read("docs/conformance.md").expect("docs/conformance.md")).unwrap();
    assert!(found.len() >= GROUPS.len(), "only {} rows: is this the page?", found.len());
    found
}

fn assert_none(wrong: &[String]) {
    assert!(wrong.is_empty(), "docs/conformance.md:\n{}", wrong.join("\n"));
}

/// Rows as the page writes them, without the table's head.
fn sample(lines: &[&str]) -> Vec<Row> {
    rows(&lines.join("\n")).unwrap()
}

#[test]
fn every_requirement_has_its_row_and_none_has_two() {
    assert_none(&wrong_ids(&page(), &GROUPS));
    let groups = [("AB", 4)];
    let good = ["| AB-01 to AB-03 | x | not built | |", "| AB-04 | x | done | `a::b` |"];
    assert_eq!(wrong_ids(&sample(&good), &groups), [""; 0]);
    let cases: [(&[&str], &str); 5] = [
        (&good[..1], "no row for AB-04"),
        (&[good[0], good[1], good[1]], "line 3: AB-04 a second time"),
        (&[good[0], good[1], "| AB-02 | x | done | `a::b` |"], "line 3: AB-02 a second time"),
        (&[good[0], good[1], "| AB-05 | x | not built | |"], "there is no AB-05"),
        (&[good[0], good[1], "| CD-01 | x | not built | |"], "there is no CD-01"),
    ];
    for (lines, complaint) in cases {
        assert_eq!(wrong_ids(&sample(lines), &groups), [complaint]);
    }
}

#[test]
fn every_id_is_well_formed_and_every_range_goes_up() {
    let wrong: Vec<String> = page().iter().filter_map(|row| row.ids().err()).collect();
    assert_none(&wrong);
    let ids = |ids: &str| sample(&[&format!("| {ids} | x | done | `a::b` |")])[0].ids();
    assert_eq!(ids("AB-09 to AB-11").unwrap().len(), 3);
    for bad in ["AB-1", "AB-001", "AB-00", "ab-01", "AB01", "-01", "AB-01 to AB-", "AB-01-03", ""] {
        assert!(ids(bad).is_err_and(|why| why.contains("is no id")), "{bad:?}");
    }
    for bad in ["AB-03 to AB-01", "AB-02 to AB-02", "AB-01 to CD-02"] {
        assert!(ids(bad).is_err_and(|why| why.contains("is no range")), "{bad:?}");
    }
}

#[test]
fn every_claim_names_a_test_and_nothing_else_does() {
    assert_none(&wrong_states(&page()));
    for (line, complaint) in [
        ("| AB-01 | x | done | |", "names no test"),
        ("| AB-01 | x | part | |", "names no test"),
        ("| AB-01 | x | not built | `a::b` |", "names a test of what is not built"),
        ("| AB-01 | x | nearly | `a::b` |", "is neither done, nor part, nor not built"),
        ("| AB-01 | | done | `a::b` |", "says nothing"),
    ] {
        assert_eq!(wrong_states(&sample(&[line])), [format!("line 1: AB-01 {complaint}")]);
    }
    assert!(rows("| AB-01 | x | done |").is_err_and(|why| why.contains("3 cells")));
    assert!(rows("| AB-01 | x | done | `a::b` | |").is_err_and(|why| why.contains("5 cells")));
}

#[test]
fn every_test_that_is_named_is_in_the_source_tree() {
    assert_none(&missing_tests(&page(), &read));
    let source = |file: &str| {
        let text = match file {
            "cwmpd/src/agenda/tests.rs" => "#[test]\nfn it_holds() {",
            "supervisor/src/hub/state.rs" => "    #[tokio::test]\n    #[ignore]\n    async fn it_holds() {",
            "supervisor/src/hub/tests/part.rs" => "#[test]\nfn it_holds_in_part() {",
            "tests/tests/first.rs" => "#[test]\nfn it_holds_more() {\n}\nfn it_holds() {",
            _ => return None,
        };
        Some(text.to_owned())
    };
    let missing =
        |tests: &str| missing_tests(&sample(&[&format!("| AB-01 | x | done | {tests} |")]), &source);
    assert_eq!(
        missing("`cwmpd::agenda::tests::it_holds`, `supervisor::hub::state::tests::it_holds`"),
        [""; 0]
    );
    assert_eq!(missing("`supervisor::hub::tests::part::it_holds_in_part`"), [""; 0]);
    for bad in [
        "supervisor::hub::tests::other::it_holds_in_part",
        "first::it_holds",
        "first::it_hold",
        "second::it_holds",
        "it_holds",
        "cwmpd::agenda::it_holds",
        "cwmpd::tests::it_holds",
        "another::agenda::tests::it_holds",
        "supervisor::hub::tests::it_holds",
    ] {
        assert_eq!(missing(&format!("`{bad}`")), [format!("line 1: there is no test {bad}")]);
    }
    assert_eq!(missing("first::it_holds_more"), ["line 1: first::it_holds_more does not stand in `...`"]);
}
