//! The rules of the house, held over the source tree; each rule is also shown catching a bad sample.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // all of it is test code

use std::path::Path;

use tests::workspace_root;

/// The files that may look into a secret; a new one is a decision, so it is added here by hand.
const MAY_EXPOSE_SECRETS: &[&str] = &[
    "ipc-proto/src/secret.rs",
    // Checks the login of a connection request.
    "cwmpd/src/connection_request/judge.rs",
    // The login to the ACS.
    "cwmpd/src/http/auth.rs",
    // The key of the device's own certificate.
    "cwmpd/src/http/tls.rs",
    // The words of a `set`, in its tests.
    "supervisor/src/cli/args.rs",
    // Takes what a person set into the candidate.
    "supervisor/src/hub/people.rs",
];

const SOURCE_ROOTS: [&str; 5] = ["ipc-proto", "supervisor", "cwmpd", "tests", "fuzz"];
const LONGEST_FILE: usize = 450;
const LONGEST_TESTS: usize = 800;

/// A crate and where alone it may be named.
const CONFINED: [(&str, &str); 4] = [
    ("quick_xml", "cwmpd/src/soap"),
    ("bincode", "ipc-proto/src/codec.rs"),
    ("interprocess", "ipc-proto/src/channel.rs"),
    ("rusqlite", "supervisor/src/store"),
];

const PURE: [&str; 7] = [
    "cwmpd/src/agenda",
    "cwmpd/src/session",
    "cwmpd/src/rpc",
    "cwmpd/src/soap",
    "cwmpd/src/connection_request/budget",
    "cwmpd/src/connection_request/digest",
    "cwmpd/src/connection_request/judge",
];
const IMPURE_WORDS: [&str; 8] =
    ["tokio", "hyper", "interprocess", "std::net", "std::fs", "Instant", "SystemTime", "getrandom"];

/// A file of the tree: its path from the top, with slashes, and its text.
struct Source {
    path: String,
    text: String,
}

impl Source {
    fn sample(path: &str, text: &str) -> Self {
        Self { path: path.into(), text: text.into() }
    }

    /// Every line that `wrong` objects to, as file:line: what.
    fn objections(&self, wrong: impl Fn(&str) -> Option<String>) -> Vec<String> {
        let lines = self.text.lines().enumerate();
        lines.filter_map(|(n, l)| wrong(l).map(|what| format!("{}:{}: {what}", self.path, n + 1))).collect()
    }

    fn is_under(&self, place: &str) -> bool {
        let inside = self.path.strip_prefix(place);
        inside.is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || rest == ".rs")
    }
}

fn confined_crates(source: &Source) -> Vec<String> {
    CONFINED
        .iter()
        .filter(|(_, home)| !source.is_under(home))
        .flat_map(|(name, home)| {
            source.objections(|line| {
                names_word(code(line), name).then(|| format!("{name} belongs in {home} alone"))
            })
        })
        .collect()
}

fn purity(source: &Source) -> Vec<String> {
    if !PURE.iter().any(|place| source.is_under(place)) {
        return Vec::new();
    }
    source.objections(|line| {
        let found = IMPURE_WORDS.iter().find(|word| names_word(code(line), word))?;
        Some(format!("{found} in a pure module: time, chance and bytes come in as arguments"))
    })
}

fn opening_sentence(source: &Source) -> Vec<String> {
    let mut lines = source.text.lines();
    let first = lines.next().unwrap_or_default();
    let stands_alone = !lines.next().is_some_and(|l| l.starts_with("//! "));
    if first.starts_with("//! ") && first.trim_end().ends_with('.') && stands_alone {
        return Vec::new();
    }
    vec![format!(
        "{}:1: opens with one `//!` sentence on a line of its own that ends in a full stop",
        source.path
    )]
}

fn length(source: &Source) -> Vec<String> {
    let name = source.path.rsplit('/').next().unwrap_or_default();
    let is_tests = name == "tests.rs" || source.path.contains("/tests/");
    let (longest, lines) = (if is_tests { LONGEST_TESTS } else { LONGEST_FILE }, source.text.lines().count());
    if lines <= longest {
        return Vec::new();
    }
    vec![format!("{}:{lines}: longer than {longest} lines: two ideas, two files", source.path)]
}

fn module_name(source: &Source) -> Vec<String> {
    let banned = ["util", "utils", "helper", "helpers", "manager", "common", "misc"];
    let in_path =
        source.path.split('/').map(|part| part.trim_end_matches(".rs")).find(|part| banned.contains(part));
    let mut wrong: Vec<String> =
        in_path.into_iter().map(|name| format!("{}:1: `{name}` says nothing", source.path)).collect();
    wrong.extend(source.objections(|line| {
        let (_, rest) = code(line).split_once("mod ")?;
        let name = rest.split(|c: char| !c.is_alphanumeric() && c != '_').next()?;
        banned.contains(&name).then(|| format!("a module named `{name}` says nothing"))
    }));
    wrong
}

fn loose_ends(source: &Source) -> Vec<String> {
    let marks =
        [concat!("to", "do!"), concat!("un", "implemented!"), concat!("TO", "DO"), concat!("FIX", "ME")];
    source.objections(|line| {
        marks.iter().find(|mark| line.contains(*mark)).map(|mark| format!("{mark}: finish it, or file it"))
    })
}

fn secrets(source: &Source, may: &[&str]) -> Vec<String> {
    if may.contains(&source.path.as_str()) {
        return Vec::new();
    }
    let call = concat!(".expo", "se()");
    source.objections(|line| {
        code(line).contains(call).then(|| "looks into a secret, and is not on the list in tidy.rs".to_owned())
    })
}

fn foreign_places(source: &Source) -> Vec<String> {
    let places = [
        concat!("/wor", "k/"),
        concat!("index.crates", ".io"),
        concat!("static.crates", ".io"),
        concat!("crates", ".io-index"),
        concat!("py", "pi."),
        concat!("registry.", "npmjs"),
        concat!("proxy.", "golang"),
        concat!("/ho", "me/"),
        concat!("/ro", "ot/"),
    ];
    source.objections(|line| {
        let found = places.iter().find(|place| line.contains(*place))?;
        Some(format!("{found} is a place of one machine or of one registry"))
    })
}

/// The text of a line without its comment.
fn code(line: &str) -> &str {
    line.split("//").next().unwrap_or_default()
}

/// True when `word` stands in `text` with no letter, digit or underscore beside it.
fn names_word(text: &str, word: &str) -> bool {
    let part_of_name = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back().is_some_and(part_of_name);
        let after = text[at + word.len()..].chars().next().is_some_and(part_of_name);
        !before && !after
    })
}

/// The names below `[section]` of a Cargo.toml.
fn dependencies(manifest: &str, section: &str) -> Vec<String> {
    let head = format!("[{section}]");
    let inside = manifest.lines().skip_while(|l| l.trim() != head).skip(1);
    inside
        .take_while(|l| !l.starts_with('['))
        .filter(|l| !l.trim_start().starts_with('#'))
        .filter_map(|l| l.split(['=', '.', ' ']).next())
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

fn forbidden_dependencies(manifest: &str, forbidden: &[&str]) -> Vec<String> {
    ["dependencies", "dev-dependencies", "build-dependencies"]
        .iter()
        .flat_map(|section| dependencies(manifest, section))
        .filter(|name| forbidden.contains(&name.as_str()))
        .collect()
}

fn dependencies_without_reason(manifest: &str) -> Vec<String> {
    let inside =
        manifest.lines().enumerate().skip_while(|(_, l)| l.trim() != "[workspace.dependencies]").skip(1);
    inside
        .take_while(|(_, l)| !l.starts_with('['))
        .filter(|(_, l)| l.contains('=') && !l.starts_with('#') && !l.contains("path ="))
        .filter(|(_, l)| l.split_once(" # ").is_none_or(|(_, reason)| reason.trim().is_empty()))
        .map(|(n, l)| format!("Cargo.toml:{}: no reason beside {l}", n + 1))
        .collect()
}

fn rust_sources() -> Vec<Source> {
    let mut found = Vec::new();
    for root in SOURCE_ROOTS {
        collect(&workspace_root().join(root), &|path| path.ends_with(".rs"), &mut found);
    }
    assert!(found.len() >= 10, "only {} source files: is this the source tree?", found.len());
    found
}

/// Every text file that belongs to the project.
fn all_files() -> Vec<Source> {
    let mut found = Vec::new();
    // Cargo writes the lock file, and names its registry in it.
    collect(workspace_root(), &|path| !path.ends_with("Cargo.lock"), &mut found);
    found
}

fn collect(directory: &Path, wanted: &impl Fn(&str) -> bool, found: &mut Vec<Source>) {
    let mut entries: Vec<_> = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap()).collect();
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        // In a worktree `.git` is a file.
        if name == "target" || name == ".git" {
            continue;
        }
        if entry.file_type().unwrap().is_dir() {
            collect(&path, wanted, found);
        } else {
            let shown = path.strip_prefix(workspace_root()).unwrap().display().to_string();
            if wanted(&shown)
                && let Ok(text) = std::fs::read_to_string(&path)
            {
                found.push(Source { path: shown, text });
            }
        }
    }
}

fn hold(rule: impl Fn(&Source) -> Vec<String>, sources: &[Source]) {
    let broken: Vec<String> = sources.iter().flat_map(rule).collect();
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

fn manifest(of: &str) -> String {
    std::fs::read_to_string(workspace_root().join(of).join("Cargo.toml")).unwrap()
}

#[test]
fn the_daemons_know_only_the_protocol_between_them() {
    let rules: [(&str, &[&str]); 4] = [
        ("supervisor", &["cwmpd", "tests"]),
        ("cwmpd", &["supervisor", "tests"]),
        ("ipc-proto", &["supervisor", "cwmpd", "tests"]),
        ("tests", &["supervisor", "cwmpd"]),
    ];
    for (of, forbidden) in rules {
        let wrong = forbidden_dependencies(&manifest(of), forbidden);
        assert!(wrong.is_empty(), "{of}/Cargo.toml depends on {wrong:?}");
    }
    let sample = "[dependencies]\nipc-proto.workspace = true\ncwmpd = { path = \"../cwmpd\" }\n";
    assert_eq!(forbidden_dependencies(sample, &["cwmpd"]), ["cwmpd"]);
    let dev = "[dev-dependencies]\nsupervisor.workspace = true\n";
    assert_eq!(forbidden_dependencies(dev, &["supervisor"]), ["supervisor"]);
}

#[test]
fn confined_crates_stay_in_their_place() {
    hold(confined_crates, &non_tests());
    let bad = Source::sample("supervisor/src/hub/mod.rs", "//! A.\nuse rusqlite::Connection;\n");
    assert_eq!(
        confined_crates(&bad),
        ["supervisor/src/hub/mod.rs:2: rusqlite belongs in supervisor/src/store alone"]
    );
    assert!(confined_crates(&Source::sample("supervisor/src/store/mod.rs", &bad.text)).is_empty());
    assert_eq!(confined_crates(&Source::sample("cwmpd/src/soapbox.rs", "use quick_xml::X;")).len(), 1);
}

#[test]
fn pure_modules_are_pure() {
    hold(purity, &rust_sources());
    for line in
        ["use tokio::time;", "let now = Instant::now();", "std::fs::read(x)", "fn f(t: SystemTime) {}"]
    {
        assert_eq!(purity(&Source::sample("cwmpd/src/session/mod.rs", line)).len(), 1, "{line}");
        assert!(purity(&Source::sample("cwmpd/src/driver.rs", line)).is_empty(), "{line}");
    }
    let fine = "// An Instant would be a clock.\nstruct InstantReply;";
    assert!(purity(&Source::sample("cwmpd/src/agenda.rs", fine)).is_empty());
}

#[test]
fn every_file_opens_with_one_sentence() {
    hold(opening_sentence, &rust_sources());
    assert!(opening_sentence(&Source::sample("a.rs", "//! One.\n//!\n//! More below.\n")).is_empty());
    for bad in ["use x;\n", "//! No full stop\n", "//! One.\n//! Two.\n", "", "//! x\n"] {
        assert_eq!(opening_sentence(&Source::sample("a.rs", bad)).len(), 1, "{bad:?}");
    }
}

#[test]
fn files_stay_short() {
    hold(length, &rust_sources());
    let long = "x\n".repeat(LONGEST_FILE + 1);
    assert_eq!(length(&Source::sample("supervisor/src/a.rs", &long)).len(), 1);
    assert!(length(&Source::sample("supervisor/src/hub/tests.rs", &long)).is_empty());
}

#[test]
fn no_module_has_a_name_that_says_nothing() {
    hold(module_name, &rust_sources());
    assert_eq!(module_name(&Source::sample("cwmpd/src/util.rs", "//! A.")).len(), 1);
    assert_eq!(
        module_name(&Source::sample("cwmpd/src/main.rs", concat!("pub(crate) mod hel", "pers;"))).len(),
        1
    );
    assert!(module_name(&Source::sample("cwmpd/src/main.rs", "mod utility_bill;")).is_empty());
}

#[test]
fn there_are_no_loose_ends() {
    hold(loose_ends, &rust_sources());
    assert_eq!(
        loose_ends(&Source::sample("a.rs", concat!("x\n// TO", "DO later"))),
        [concat!("a.rs:2: TO", "DO: finish it, or file it")]
    );
}

#[test]
fn secrets_are_looked_into_only_where_listed() {
    hold(|source| secrets(source, MAY_EXPOSE_SECRETS), &rust_sources());
    let bad = Source::sample("cwmpd/src/driver.rs", concat!("let p = password.expo", "se();"));
    assert_eq!(secrets(&bad, &[]).len(), 1);
    assert!(secrets(&bad, &["cwmpd/src/driver.rs"]).is_empty());
}

#[test]
fn nothing_names_a_place_of_one_machine() {
    hold(foreign_places, &all_files());
    assert_eq!(foreign_places(&Source::sample("demo", concat!("cd /wor", "k/main"))).len(), 1);
    assert_eq!(foreign_places(&Source::sample("x.toml", concat!("https://index.crates", ".io/"))).len(), 1);
}

#[test]
fn every_dependency_has_its_reason() {
    let wrong =
        dependencies_without_reason(&std::fs::read_to_string(workspace_root().join("Cargo.toml")).unwrap());
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    let sample = "[workspace.dependencies]\nfoo = \"1\"\nbar = \"2\" # draws bars\n[profile.dev]\n";
    assert_eq!(dependencies_without_reason(sample), ["Cargo.toml:2: no reason beside foo = \"1\""]);
}

/// The sources of the daemons and their protocol: what tests name is not the product.
fn non_tests() -> Vec<Source> {
    rust_sources().into_iter().filter(|s| !s.path.starts_with("tests/")).collect()
}
