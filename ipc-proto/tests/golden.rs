//! The bytes of every message, held against a file whose name carries the protocol's number.
//!
//! Two programs that speak the same number must read the same bytes, so a byte that changes here needs a new
//! number in `version.rs`; the new number has no file yet, and `UPDATE_GOLDEN=1` writes it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // all of it is test code

#[path = "golden/samples.rs"]
mod samples;

use std::{fmt::Debug, fs, io::Write as _, path::PathBuf};

use data_encoding::HEXLOWER;
use ipc_proto::{
    codec::{MAX_FRAME, decode, encode},
    version::{Hello, Protocol},
};
use serde::{Serialize, de::DeserializeOwned};

/// An enum that travels, and the names of its variants.
trait Wire: Serialize + DeserializeOwned + PartialEq + Debug + 'static {
    const NAME: &'static str;
    const VARIANTS: &'static [&'static str];
    fn variant(&self) -> &'static str;
}

/// The bytes of all samples of one protocol.
struct Golden {
    protocol: Protocol,
    lines: Vec<Line>,
    enums: Vec<&'static str>,
}

struct Line {
    name: String,
    bytes: Vec<u8>,
    reads: Reads,
}

/// Whether bytes are read as the sample.
type Reads = Box<dyn Fn(&[u8]) -> bool>;

impl Golden {
    fn of(protocol: Protocol) -> Self {
        let hello = Hello { build: "golden".into(), ..Hello::ours(protocol) };
        let bytes = hello.to_bytes();
        let reads = Box::new(move |bytes: &[u8]| Hello::from_bytes(bytes).as_ref() == Ok(&hello));
        let line = Line { name: "Hello".into(), bytes, reads };
        Self { protocol, lines: vec![line], enums: Vec::new() }
    }

    /// Adds samples of an enum, at least one of each variant.
    fn add<T: Wire>(&mut self, samples: impl IntoIterator<Item = T>) {
        let mut seen: Vec<&str> = Vec::new();
        for sample in samples {
            let variant = sample.variant();
            seen.push(variant);
            let nth = seen.iter().filter(|v| **v == variant).count();
            let suffix = if nth > 1 { format!(".{nth}") } else { String::new() };
            let bytes = encode(&sample, MAX_FRAME).unwrap();
            let reads = Box::new(move |bytes: &[u8]| decode::<T>(bytes).is_ok_and(|read| read == sample));
            self.lines.push(Line { name: format!("{}::{variant}{suffix}", T::NAME), bytes, reads });
        }
        let missing = missing(T::VARIANTS, &seen);
        assert!(missing.is_empty(), "no sample of {}::{}", T::NAME, missing.join(", "));
        self.enums.push(T::NAME);
    }

    fn text(&self) -> String {
        let line = |line: &Line| format!("{} {}\n", line.name, HEXLOWER.encode(&line.bytes));
        self.lines.iter().map(line).collect()
    }

    fn path(&self) -> PathBuf {
        let name = format!("{}-{}.txt", self.protocol, self.protocol.number());
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
    }

    /// Holds the samples against the file of the present number; writes it if it is asked to and there is none.
    fn hold(&self) {
        let path = self.path();
        if std::env::var_os("UPDATE_GOLDEN").is_some_and(|v| v == "1")
            && let Ok(mut file) = fs::File::create_new(&path)
        {
            file.write_all(self.text().as_bytes()).unwrap();
        }
        let name = path.file_name().unwrap().to_string_lossy();
        let stored = fs::read_to_string(&path)
            .unwrap_or_else(|e| panic!("tests/golden/{name}: {e}: run once with UPDATE_GOLDEN=1"));
        let differing = difference(&stored, &self.text());
        assert!(
            differing.is_empty(),
            "the bytes of the {} protocol are not those of its number {} (- {name}, + now):\n{}\n\
             raise the number in version.rs, then run with UPDATE_GOLDEN=1",
            self.protocol,
            self.protocol.number(),
            differing.join("\n"),
        );
        for (line, stored) in self.lines.iter().zip(stored.lines()) {
            let (_, hex) = stored.split_once(' ').unwrap();
            let bytes = HEXLOWER.decode(hex.as_bytes()).unwrap();
            assert!((line.reads)(&bytes), "{name}: {} does not read back", line.name);
        }
    }
}

/// The names without a sample.
fn missing<'a>(all: &[&'a str], seen: &[&str]) -> Vec<&'a str> {
    all.iter().copied().filter(|name| !seen.contains(name)).collect()
}

/// What only the file has, then what only the samples have; in equal texts, nothing.
fn difference(stored: &str, now: &str) -> Vec<String> {
    let only =
        |a: &str, b: &str| a.lines().filter(|l| !b.lines().any(|o| o == *l)).map(str::to_owned).collect();
    let (gone, new): (Vec<String>, Vec<String>) = (only(stored, now), only(now, stored));
    let moved = gone.is_empty() && new.is_empty() && stored != now;
    let lines = gone.iter().map(|l| format!("- {l}")).chain(new.iter().map(|l| format!("+ {l}")));
    lines.chain(moved.then(|| "the same lines in another order".to_owned())).collect()
}

#[test]
fn the_worker_protocol_keeps_its_bytes() {
    samples::worker().hold();
}

#[test]
fn the_control_protocol_keeps_its_bytes() {
    samples::control().hold();
}

#[test]
fn every_enum_that_travels_has_samples() {
    let sampled = [samples::worker().enums, samples::control().enums].concat();
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = 0;
    for entry in fs::read_dir(directory).unwrap() {
        for name in enums_that_travel(&fs::read_to_string(entry.unwrap().path()).unwrap()) {
            assert!(
                sampled.contains(&name.as_str()),
                "enum {name} has no samples in tests/golden/samples.rs"
            );
            found += 1;
        }
    }
    assert!(found >= 20, "only {found} enums found: is this the source?");
}

/// The enums of a source text that derive Serialize.
fn enums_that_travel(source: &str) -> Vec<String> {
    let mut derived = false;
    let mut names = Vec::new();
    for line in source.lines().map(str::trim_start) {
        if line.starts_with("#[derive(") {
            derived = line.contains("Serialize");
        } else if let Some(rest) = line.strip_prefix("pub enum ") {
            names.extend(derived.then(|| rest.split([' ', '{', '<']).next().unwrap_or_default().to_owned()));
            derived = false;
        } else if !line.starts_with("#[") && !line.starts_with("///") {
            derived = false;
        }
    }
    names
}

#[test]
fn a_changed_byte_a_lost_line_and_a_new_line_are_seen() {
    let stored = "A::X 00\nA::Y 01\n";
    assert!(difference(stored, stored).is_empty());
    assert_eq!(difference(stored, "A::X 00\nA::Y 02\n"), ["- A::Y 01", "+ A::Y 02"]);
    assert_eq!(difference(stored, "A::X 00\n"), ["- A::Y 01"]);
    assert_eq!(difference(stored, "A::X 00\nA::Y 01\nA::Z 02\n"), ["+ A::Z 02"]);
    assert_eq!(difference(stored, "A::Y 01\nA::X 00\n").len(), 1);
}

#[test]
fn a_variant_without_a_sample_and_an_enum_without_samples_are_seen() {
    assert_eq!(missing(&["X", "Y"], &["Y", "Y"]), ["X"]);
    let source = "#[derive(Debug, Serialize)]\n#[serde(rename_all = \"x\")]\npub enum A {\n}\n\
                  #[derive(Debug)]\npub enum B {}\n#[derive(Serialize)]\npub struct C;\npub enum D {}\n";
    assert_eq!(enums_that_travel(source), ["A"]);
}
