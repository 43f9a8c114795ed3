//! The oracle for messages: the official CWMP schemas, run over what the device sent.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::acs::Session;

/// Panics unless every envelope that the device sent in these sessions is valid; says so when it cannot check.
pub fn assert_valid(sessions: &[Session]) {
    let texts: Vec<&str> = sessions
        .iter()
        .flat_map(Session::from_cpe)
        .filter(|m| m.is_cpe_envelope())
        .map(|m| m.body.as_str())
        .collect();
    if let Some(Err(report)) = verdict(&texts) {
        panic!("the schemas refuse what the device sent:\n{report}");
    }
}

/// `None` when the oracle is not here, else its verdict over all these envelopes, with its own words on a refusal.
pub fn verdict(envelopes: &[&str]) -> Option<Result<(), String>> {
    let oracle = oracle()?;
    if envelopes.is_empty() {
        return Some(Ok(()));
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    let files: Vec<PathBuf> = envelopes
        .iter()
        .enumerate()
        .map(|(n, text)| {
            let file = directory.path().join(format!("{n:03}.xml"));
            std::fs::write(&file, text).expect("the temporary directory takes a message");
            file
        })
        .collect();
    let output = Command::new(oracle).arg("-s").args(&files).output().expect("validate.sh runs");
    if output.status.success() {
        return Some(Ok(()));
    }
    let mut report = String::from_utf8_lossy(&output.stderr).into_owned();
    for (n, text) in envelopes.iter().enumerate() {
        if report.contains(&format!("{n:03}.xml fails")) {
            report.push_str(&format!("--- {n:03}.xml\n{text}\n"));
        }
    }
    Some(Err(report))
}

/// The path of the validating script, looked for once.
fn oracle() -> Option<&'static Path> {
    static ORACLE: OnceLock<Option<PathBuf>> = OnceLock::new();
    ORACLE
        .get_or_init(|| {
            let script = crate::spec_directory().join("validate.sh");
            let has_xmllint = Command::new("xmllint").arg("--version").output().is_ok();
            if !script.is_file() {
                crate::skipped(&format!("schema validation: no {}", script.display()));
                None
            } else if !has_xmllint {
                crate::skipped("schema validation: no xmllint (Debian: libxml2-utils)");
                None
            } else {
                Some(script)
            }
        })
        .as_deref()
}
