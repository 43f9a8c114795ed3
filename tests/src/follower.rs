//! A cwmpctl that goes on by itself, as `--follow` and `--watch` do: its lines as they come.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError, mpsc};

use serde_json::Value as Json;

use crate::binaries::program;
use crate::device::{Device, PATIENCE};
use crate::process::wait_until;

/// Killed when it is dropped.
pub struct Follower {
    /// The process.
    pub child: Child,
    lines: mpsc::Receiver<String>,
    said: Arc<Mutex<String>>,
}

impl Follower {
    /// Starts it with these words.
    pub fn start(device: &Device, words: &[&str]) -> Self {
        let mut command = Command::new(program("cwmpctl"));
        command.arg("--socket").arg(device.socket()).args(words).stdin(Stdio::null());
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("cwmpctl starts");
        let (send, lines) = mpsc::channel();
        let out = BufReader::new(child.stdout.take().expect("stdout is piped"));
        std::thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| send.send(line)));
        let said = Arc::new(Mutex::new(String::new()));
        let mut err = child.stderr.take().expect("stderr is piped");
        let heard = Arc::clone(&said);
        std::thread::spawn(move || {
            let mut piece = [0; 1024];
            while let Ok(count @ 1..) = err.read(&mut piece) {
                let text = String::from_utf8_lossy(&piece[..count]).into_owned();
                heard.lock().unwrap_or_else(PoisonError::into_inner).push_str(&text);
            }
        });
        Self { child, lines, said }
    }

    /// The next line.
    pub fn line(&self) -> String {
        self.lines
            .recv_timeout(PATIENCE)
            .unwrap_or_else(|_| panic!("no line in time; it said: {}", self.said()))
    }

    /// The next line as JSON.
    pub fn json(&self) -> Json {
        let line = self.line();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }

    /// What it said on stderr so far.
    pub fn said(&self) -> String {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Closes the pipe at its next line.
    pub fn close_pipe(&mut self) {
        self.lines = mpsc::channel().1;
    }

    /// Waits until it has ended.
    pub fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        wait_until("cwmpctl to end", || {
            status = self.child.try_wait().expect("a child can be waited for");
            status.is_some()
        });
        status.expect("it has ended")
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
