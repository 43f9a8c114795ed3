//! What strace saw: system calls in the order in which they began and ended.

use std::collections::HashMap;

/// The words before a program that write its calls to `file`: descriptors with what they are, all threads.
///
/// With `-D` the program keeps the process id that its parent knows.
pub fn words(file: &str) -> Vec<&str> {
    const CALLS: &str =
        "trace=fdatasync,fsync,pwrite64,write,writev,sendto,sendmsg,read,readv,recvfrom,recvmsg,connect";
    vec!["strace", "-D", "-f", "-yy", "-s", "1024", "-e", CALLS, "-o", file]
}

/// True when there is a strace and it may trace.
pub fn is_possible() -> bool {
    let tried = std::process::Command::new("strace").args(["-D", "-o", "/dev/null", "true"]).output();
    tried.is_ok_and(|output| output.status.success())
}

/// One call that returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Such as `fdatasync`.
    pub name: String,
    /// What its descriptor is: a path, or a socket with its own name.
    pub target: String,
    /// Arguments and result as strace writes them.
    pub text: String,
    /// What it returned.
    pub result: i64,
    /// The line on which it began.
    pub begun: usize,
    /// The line on which it returned; the same when nothing came between.
    pub ended: usize,
}

impl Call {
    /// True for bytes that came.
    pub fn is_read(&self) -> bool {
        matches!(self.name.as_str(), "read" | "readv" | "recvfrom" | "recvmsg") && self.result > 0
    }

    /// True for bytes that left.
    pub fn is_write(&self) -> bool {
        matches!(self.name.as_str(), "write" | "writev" | "sendto" | "sendmsg" | "pwrite64")
    }

    /// True for a sync that succeeded, of one of the store's own files and not of a backup.
    pub fn is_sync(&self) -> bool {
        let name = self.target.rsplit('/').next().unwrap_or_default();
        let of_store = name.starts_with("state.db") || name.starts_with("log.db");
        matches!(self.name.as_str(), "fsync" | "fdatasync")
            && self.result == 0
            && of_store
            && !name.contains("backup")
    }
}

/// All calls of one run.
#[derive(Clone, Debug)]
pub struct Trace {
    /// In the order in which they began.
    pub calls: Vec<Call>,
}

impl Trace {
    /// Reads what strace wrote with the options of [`words`]; what never returned is left out.
    pub fn parse(text: &str) -> Self {
        let mut unfinished: HashMap<&str, (usize, String)> = HashMap::new();
        let mut calls = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let Some((pid, rest)) = line.split_once(' ') else { continue };
            let rest = rest.trim_start();
            if let Some(start) = rest.strip_suffix("<unfinished ...>") {
                unfinished.insert(pid, (number, start.trim_end().to_owned()));
            } else if let Some((_, end)) = rest.strip_prefix("<... ").and_then(|r| r.split_once(" resumed>"))
            {
                if let Some((begun, start)) = unfinished.remove(pid) {
                    calls.extend(call(&format!("{start}{end}"), begun, number));
                }
            } else {
                calls.extend(call(rest, number, number));
            }
        }
        calls.sort_by_key(|call: &Call| call.begun);
        Self { calls }
    }

    /// The calls on each connection of the socket at this path, one list for each connection.
    pub fn connections(&self, path: &str) -> Vec<Vec<&Call>> {
        let mut found: Vec<Vec<&Call>> = Vec::new();
        for call in self.calls.iter().filter(|call| call.target.contains(path)) {
            match found.iter_mut().find(|calls| calls[0].target == call.target) {
                Some(calls) => calls.push(call),
                None => found.push(vec![call]),
            }
        }
        found
    }

    /// The syncs of the store that began after `from` had returned and had returned before `to` began.
    pub fn syncs_between(&self, from: &Call, to: &Call) -> usize {
        let inside = |call: &&Call| call.begun > from.ended && call.ended < to.begun;
        self.calls.iter().filter(|call| call.is_sync()).filter(inside).count()
    }
}

fn call(text: &str, begun: usize, ended: usize) -> Option<Call> {
    let (name, arguments) = text.split_once('(')?;
    let (_, result) = text.rsplit_once(" = ")?;
    let result = result.split(' ').next()?.parse().ok()?;
    let (_, target) = arguments.split_once('<')?;
    // The name of a socket holds `->`.
    let end = [">,", ">)"].iter().filter_map(|mark| target.find(mark)).min()?;
    let target = target[..end].to_owned();
    Some(Call { name: name.to_owned(), target, text: arguments.to_owned(), result, begun, ended })
}
