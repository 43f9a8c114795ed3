//! A command of the device's maker: program and arguments, never a shell, with bounded output and a time limit.

use std::{io, process::Stdio, time::Duration};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    process::{Child, Command},
    task::JoinHandle,
    time::timeout,
};

/// Bytes of each of its outputs that are kept; the rest is read and dropped.
const MAX_OUTPUT: usize = 400;
/// How long what it left running may hold its outputs open.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// A command that was started. It outlives the supervisor.
pub struct Running {
    child: Child,
    outputs: [JoinHandle<Vec<u8>>; 2],
}

impl Running {
    /// Starts it in a process group of its own.
    pub fn start(argv: &[String]) -> Result<Self, String> {
        let Some((program, arguments)) = argv.split_first() else {
            return Err("no command is set".to_owned());
        };
        let mut command = Command::new(program);
        command.args(arguments).process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("{program} cannot be started: {error}"))?;
        let outputs =
            [tokio::spawn(beginning(child.stdout.take())), tokio::spawn(beginning(child.stderr.take()))];
        Ok(Self { child, outputs })
    }

    /// Waits for its end, and kills it with all that it started at the limit. What it said, or why it failed.
    pub async fn end(mut self, limit: Duration) -> Result<String, String> {
        let status = match timeout(limit, self.child.wait()).await {
            Ok(status) => status,
            Err(_) => {
                kill_group(&self.child);
                let waited = self.child.wait().await;
                let said = self.said().await;
                return Err(match waited {
                    Ok(_) => format!("it was not done after {} s and was killed{said}", limit.as_secs_f32()),
                    Err(error) => error.to_string(),
                });
            }
        };
        let said = self.said().await;
        match status {
            Ok(status) if status.success() => Ok(format!("done{said}")),
            Ok(status) => Err(format!("{status}{said}")),
            Err(error) => Err(error.to_string()),
        }
    }

    async fn said(self) -> String {
        let mut text = String::new();
        for mut output in self.outputs {
            match timeout(LAST_WORDS, &mut output).await {
                Ok(bytes) => text.push_str(&String::from_utf8_lossy(&bytes.unwrap_or_default())),
                Err(_) => output.abort(),
            }
        }
        if text.trim().is_empty() { String::new() } else { format!("; it said: {}", text.trim()) }
    }
}

fn kill_group(child: &Child) {
    if let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()) {
        // It may have ended by itself.
        let _ = killpg(Pid::from_raw(pid), Signal::SIGKILL);
    }
}

async fn beginning(output: Option<impl AsyncRead + Unpin>) -> Vec<u8> {
    let (mut kept, mut piece) = (Vec::new(), [0; 1024]);
    let Some(mut output) = output else { return kept };
    loop {
        match output.read(&mut piece).await {
            Ok(0) => return kept,
            Ok(n) => {
                let room = MAX_OUTPUT.saturating_sub(kept.len());
                kept.extend(piece.iter().take(n.min(room)));
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return kept,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(argv: &[&str], limit: Duration) -> Result<String, String> {
        let argv: Vec<_> = argv.iter().map(|word| (*word).to_owned()).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { Running::start(&argv)?.end(limit).await })
    }

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn what_it_says_is_kept_up_to_a_bound() {
        assert_eq!(run(&["/bin/echo", "a", "$HOME"], LONG), Ok("done; it said: a $HOME".to_owned()));
        let much = run(&["/bin/sh", "-c", "head -c 1000000 /dev/zero | tr '\\0' x"], LONG).unwrap();
        assert!(much.len() < MAX_OUTPUT + 50, "{}", much.len());
    }

    #[test]
    fn a_failure_says_why() {
        let failed = run(&["/bin/sh", "-c", "echo no >&2; exit 3"], LONG).unwrap_err();
        assert!(failed.contains("exit status: 3") && failed.contains("it said: no"), "{failed}");
        assert!(run(&["/nonexistent/x"], LONG).unwrap_err().contains("cannot be started"));
    }

    #[test]
    fn one_that_hangs_is_killed_with_what_it_started() {
        let dir = tempfile::tempdir().unwrap();
        let pid = dir.path().join("pid");
        let script = format!("sleep 1000 & echo $! > {}; wait", pid.display());
        let failed = run(&["/bin/sh", "-c", &script], Duration::from_millis(500)).unwrap_err();
        assert!(failed.contains("was killed"), "{failed}");
        let pid = std::fs::read_to_string(pid).unwrap();
        // It dies in its own time, and whoever inherited it may not have reaped it yet.
        let is_dead = || {
            let state = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
            state.is_empty() || state.contains(") Z ")
        };
        let started = std::time::Instant::now();
        while !is_dead() {
            assert!(started.elapsed() < Duration::from_secs(10), "still there");
            std::thread::yield_now();
        }
    }
}
