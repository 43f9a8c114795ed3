//! A command of the device's maker: program and arguments, never a shell, with bounded output and a time limit.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt as _,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use nix::{
    fcntl::{FcntlArg, OFlag, fcntl},
    sys::{
        memfd::{MFdFlags, memfd_create},
        signal::{Signal, killpg},
    },
    unistd::Pid,
};
use tokio::{
    process::{Child, Command},
    time::{interval, timeout},
};

/// Bytes of what it says that are kept: the first ones.
const MAX_OUTPUT: usize = 400;
/// How often the rest is dropped.
const DROPPED_EVERY: Duration = Duration::from_secs(1);

/// A command that was started. It outlives the supervisor: what it says goes to memory that is its own too, and
/// no end of a pipe goes with us.
pub struct Running {
    child: Child,
    said: File,
}

impl Running {
    /// Starts it in a process group of its own.
    pub fn start(argv: &[String]) -> Result<Self, String> {
        let Some((program, arguments)) = argv.split_first() else {
            return Err("no command is set".to_owned());
        };
        let cannot = |error: io::Error| format!("{program} cannot be started: {error}");
        let said = memory().map_err(cannot)?;
        let output = || said.try_clone().map(Stdio::from).map_err(cannot);
        let mut command = Command::new(program);
        command.args(arguments).process_group(0);
        command.stdin(Stdio::null()).stdout(output()?).stderr(output()?);
        let child = command.spawn().map_err(cannot)?;
        Ok(Self { child, said })
    }

    /// Waits for its end, and kills it with all that it started at the limit. What it said, or why it failed.
    pub async fn end(mut self, limit: Duration) -> Result<String, String> {
        let status = match timeout(limit, self.ended()).await {
            Ok(status) => status,
            Err(_) => {
                kill_group(&self.child);
                let waited = self.child.wait().await;
                let said = self.said();
                return Err(match waited {
                    Ok(_) => format!("it was not done after {} s and was killed{said}", limit.as_secs_f32()),
                    Err(error) => error.to_string(),
                });
            }
        };
        let said = self.said();
        match status {
            Ok(status) if status.success() => Ok(format!("done{said}")),
            Ok(status) => Err(format!("{status}{said}")),
            Err(error) => Err(error.to_string()),
        }
    }

    async fn ended(&mut self) -> io::Result<ExitStatus> {
        let mut drops = interval(DROPPED_EVERY);
        loop {
            tokio::select! {
                status = self.child.wait() => return status,
                // What cannot be dropped now is tried again.
                _ = drops.tick() => drop(drop_rest(&self.said)),
            }
        }
    }

    fn said(&self) -> String {
        let mut bytes = [0; MAX_OUTPUT];
        let count = self.said.read_at(&mut bytes, 0).unwrap_or(0);
        let text = String::from_utf8_lossy(bytes.get(..count).unwrap_or_default());
        if text.trim().is_empty() { String::new() } else { format!("; it said: {}", text.trim()) }
    }
}

/// A file without a name, in memory; written to at its end, wherever that is.
fn memory() -> io::Result<File> {
    let file = File::from(memfd_create(c"output", MFdFlags::MFD_CLOEXEC)?);
    fcntl(&file, FcntlArg::F_SETFL(OFlag::O_APPEND))?;
    Ok(file)
}

fn drop_rest(said: &File) -> io::Result<()> {
    let kept = MAX_OUTPUT as u64;
    if said.metadata()?.len() > kept { said.set_len(kept) } else { Ok(()) }
}

fn kill_group(child: &Child) {
    if let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()) {
        // It may have ended by itself.
        let _ = killpg(Pid::from_raw(pid), Signal::SIGKILL);
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
    fn the_rest_of_what_it_says_is_dropped_while_it_runs() {
        let said = memory().unwrap();
        let mut writer = said.try_clone().unwrap();
        std::io::Write::write_all(&mut writer, &[b'x'; 1 << 20]).unwrap();
        drop_rest(&said).unwrap();
        std::io::Write::write_all(&mut writer, b"more").unwrap();
        assert_eq!(said.metadata().unwrap().len(), MAX_OUTPUT as u64 + 4);
    }

    #[test]
    fn one_that_speaks_after_the_supervisors_end_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let (go, done) = (dir.path().join("go"), dir.path().join("done"));
        let wait = format!("while [ ! -e {} ]; do sleep 0.01; done", go.display());
        let script = format!("{wait}; echo stopping; echo no >&2; touch {}", done.display());
        let argv = ["/bin/sh", "-c", &script].map(str::to_owned);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        drop(runtime.block_on(async { Running::start(&argv) }).unwrap());
        drop(runtime);
        std::fs::write(go, "").unwrap();
        let started = std::time::Instant::now();
        while !done.exists() {
            assert!(started.elapsed() < Duration::from_secs(10), "it died of its words");
            std::thread::yield_now();
        }
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
