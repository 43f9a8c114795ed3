//! A device under test: supervisor and worker over a directory of their own, driven through cwmpctl.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::binaries::program;
use crate::settings::Settings;

/// Longer than any step of a healthy device takes on a slow machine.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Chooses the settings of a device before it starts.
#[derive(Default)]
pub struct Builder {
    settings: Settings,
    environment: Vec<(String, String)>,
    directory: Option<PathBuf>,
    own_group: bool,
    through: Vec<String>,
}

impl Builder {
    /// Milliseconds in one second of CWMP time: retry waits, periodic informs, the ACS's time to answer.
    pub fn second_ms(mut self, milliseconds: u32) -> Self {
        self.settings.second_ms = milliseconds;
        self
    }

    /// Heartbeat between the daemons and the worker's wait for a reply, in milliseconds.
    pub fn ipc_clocks(mut self, heartbeat_ms: u32, reply_ms: u32) -> Self {
        (self.settings.heartbeat_ms, self.settings.reply_ms) = (heartbeat_ms, reply_ms);
        self
    }

    /// The longest a session may last, in seconds.
    pub fn session_max_s(mut self, seconds: u32) -> Self {
        self.settings.session_max_s = seconds;
        self
    }

    /// How long a client of a socket may take over its Hello or a message, in milliseconds.
    pub fn send_ms(mut self, milliseconds: u32) -> Self {
        self.settings.send_ms = milliseconds;
        self
    }

    /// The address that connection requests come in by, and the host of their URL; empty: found by the device.
    pub fn connection_requests(mut self, address: &str, host: &str) -> Self {
        (self.settings.listen, self.settings.host) = (address.to_owned(), host.to_owned());
        self
    }

    /// A factory value by its CLI name; `value` is TOML, so text stands in quotes.
    pub fn factory(mut self, name: &str, value: &str) -> Self {
        self.settings.factory.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The supervisor starts no worker.
    pub fn external_worker(mut self) -> Self {
        self.settings.launch = "external";
        self
    }

    /// Another program than the built cwmpd.
    pub fn worker_program(mut self, program: &Path) -> Self {
        self.settings.worker = Some(program.to_owned());
        self
    }

    /// The user that the worker runs as.
    pub fn worker_user(mut self, name: &str) -> Self {
        self.settings.worker_user = name.to_owned();
        self
    }

    /// Words before the supervisor's own command line, such as `unshare --mount`; they must end in an exec.
    pub fn started_through(mut self, words: &[&str]) -> Self {
        self.through = words.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    /// More text at the end of the settings file.
    pub fn extra_settings(mut self, toml: &str) -> Self {
        self.settings.extra.push_str(toml);
        self
    }

    /// An environment variable of the supervisor, which hands it to its worker.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Keeps everything in this directory, and leaves it there.
    pub fn in_directory(mut self, directory: &Path) -> Self {
        self.directory = Some(directory.to_owned());
        self
    }

    /// The daemons do not get the terminal's Ctrl-C; whoever started them stops them.
    pub fn in_own_group(mut self) -> Self {
        self.own_group = true;
        self
    }

    /// Writes the settings and starts the daemons; returns when the management socket answers.
    pub fn start(self) -> Device {
        let mut device = self.prepare();
        device.start_again();
        device
    }

    /// Writes the settings and starts nothing yet.
    pub fn prepare(self) -> Device {
        // In /tmp, whatever TMPDIR says: the path of a socket has at most 107 bytes.
        let temporary = match self.directory {
            Some(_) => None,
            None => {
                Some(tempfile::Builder::new().prefix("cwmp").tempdir_in("/tmp").expect("/tmp is writable"))
            }
        };
        let directory = match (&temporary, self.directory) {
            (Some(temporary), _) => temporary.path().to_owned(),
            (None, chosen) => chosen.expect("either a temporary directory or a chosen one"),
        };
        let longest = directory.join("run/supervisor.sock");
        assert!(longest.as_os_str().len() < 108, "{} is too long for a socket", longest.display());
        for name in ["state", "run"] {
            std::fs::create_dir_all(directory.join(name)).expect("the device's directory is writable");
        }
        std::fs::write(directory.join("boot-id"), "boot-1\n").expect("the device's directory is writable");
        let settings = self.settings.text(&directory, &program("cwmpd"));
        std::fs::write(directory.join("supervisor.toml"), settings)
            .expect("the device's directory is writable");
        Device {
            directory,
            _temporary: temporary,
            environment: self.environment,
            own_group: self.own_group,
            through: self.through,
            boots: 1,
            running: None,
        }
    }
}

/// What cwmpctl did.
#[derive(Debug)]
pub struct Output {
    /// Its exit status.
    pub status: i32,
    /// What it printed.
    pub stdout: String,
    /// What it complained about.
    pub stderr: String,
}

/// A running (or stopped) device; dropping it stops its daemons.
pub struct Device {
    directory: PathBuf,
    _temporary: Option<TempDir>,
    environment: Vec<(String, String)>,
    own_group: bool,
    through: Vec<String>,
    boots: u32,
    running: Option<Running>,
}

struct Running {
    supervisor: Child,
    stderr: Arc<Stderr>,
}

impl Device {
    /// Begins with the settings that all tests share.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The directory that holds the device's files.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The management socket.
    pub fn socket(&self) -> PathBuf {
        self.directory.join("run/supervisor.sock")
    }

    /// The worker's socket.
    pub fn worker_socket(&self) -> PathBuf {
        self.directory.join("run/worker.sock")
    }

    /// The settings file.
    pub fn settings_file(&self) -> PathBuf {
        self.directory.join("supervisor.toml")
    }

    /// Everything that the daemons wrote to stderr, over all starts.
    pub fn log(&self) -> String {
        let bytes = std::fs::read(self.directory.join("daemons.log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Waits until the daemons have said this on stderr.
    pub fn wait_log(&self, text: &str) {
        crate::process::wait_until(&format!("{text:?} in the log"), || self.log().contains(text));
    }

    /// Its worker, once there is one.
    pub fn worker_pid(&self) -> u32 {
        let status = self.wait_status("a worker", |status| status["worker"]["pid"].is_number());
        u32::try_from(status["worker"]["pid"].as_u64().unwrap_or_default()).expect("a process id fits")
    }

    /// The process id of the supervisor.
    pub fn supervisor_pid(&self) -> u32 {
        self.running.as_ref().expect("the device runs").supervisor.id()
    }

    /// Sets an environment variable for the next start.
    pub fn set_env(&mut self, name: &str, value: &str) {
        self.environment.retain(|(n, _)| n != name);
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// Removes an environment variable for the next start.
    pub fn remove_env(&mut self, name: &str) {
        self.environment.retain(|(n, _)| n != name);
    }

    /// Starts the supervisor over the same directories and waits for its `ready:` line.
    pub fn start_again(&mut self) {
        assert!(self.running.is_none(), "the device runs already");
        let supervisor = program("cwmp-supervisor");
        let mut words =
            self.through.iter().map(AsRef::<std::ffi::OsStr>::as_ref).chain([supervisor.as_ref()]);
        let mut command = Command::new(words.next().expect("the supervisor's own word is there"));
        command.args(words).arg("--settings").arg(self.settings_file());
        command.envs(self.environment.iter().map(|(n, v)| (n, v)));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        if self.own_group {
            command.process_group(0);
        }
        let mut supervisor = command.spawn().expect("the supervisor starts");
        let stderr = Stderr::follow(supervisor.stderr.take(), &self.directory.join("daemons.log"));
        let ready = stderr.wait(PATIENCE, |seen| seen.ready || seen.ended) && stderr.seen().ready;
        self.running = Some(Running { supervisor, stderr });
        assert!(ready, "no `ready:` from the supervisor:\n{}", self.log());
    }

    /// SIGKILL for the supervisor; returns when its worker has gone as well.
    pub fn kill_supervisor(&mut self) {
        self.stop_by(Signal::SIGKILL);
    }

    /// SIGTERM for the supervisor; returns when both daemons have gone.
    pub fn stop(&mut self) -> ExitStatus {
        self.stop_by(Signal::SIGTERM)
    }

    /// Waits until both daemons have gone by themselves, as at a kill point.
    pub fn wait_gone(&mut self) -> ExitStatus {
        let mut running = self.running.take().expect("the device runs");
        // Both daemons hold the pipe, so its end is the end of both.
        if !running.stderr.wait(PATIENCE, |seen| seen.ended) {
            let _ = running.supervisor.kill();
            let _ = running.supervisor.wait();
            panic!("a daemon is still there after {PATIENCE:?}:\n{}", self.log());
        }
        running.supervisor.wait().expect("a child can be waited for")
    }

    /// What a person sees as a reboot: both daemons gone, a new boot id, both started.
    pub fn reboot(&mut self) {
        if self.running.is_some() {
            self.stop();
        }
        self.boots += 1;
        std::fs::write(self.directory.join("boot-id"), format!("boot-{}\n", self.boots))
            .expect("the device's directory is writable");
        self.start_again();
    }

    /// Runs cwmpctl with these words against this device.
    pub fn ctl(&self, words: &[&str]) -> Output {
        let mut command = limited([program("cwmpctl")]);
        command.arg("--socket").arg(self.socket()).args(words);
        outcome(command)
    }

    /// Runs cwmpctl with these words, and this text as its standard input.
    pub fn ctl_reading(&self, words: &[&str], input: &str) -> Output {
        let file = self.directory.join("stdin");
        std::fs::write(&file, input).expect("the device's directory is writable");
        let mut command = limited([program("cwmpctl")]);
        command.arg("--socket").arg(self.socket()).args(words);
        command.stdin(File::open(&file).expect("it was just written"));
        outcome(command)
    }

    /// Runs the supervisor's program beside this device, with its settings and these options, for what ends by itself.
    pub fn supervisor(&self, options: &[&str]) -> Output {
        let mut command = limited(self.supervisor_words());
        command.envs(self.environment.iter().map(|(n, v)| (n, v)));
        command.arg("--settings").arg(self.settings_file()).args(options);
        outcome(command)
    }

    /// Runs cwmpctl, expects exit 0 and returns what it printed.
    pub fn ctl_ok(&self, words: &[&str]) -> String {
        let output = self.ctl(words);
        assert_eq!(output.status, 0, "cwmpctl {words:?}: {output:?}");
        output.stdout
    }

    /// The ACS URL, set, applied and saved as a person does it.
    pub fn use_acs(&self, url: &str) {
        self.ctl_ok(&["set", &format!("cwmp.acs_url={url}")]);
        self.ctl_ok(&["apply"]);
        self.ctl_ok(&["save"]);
    }

    /// `cwmp show status` as JSON.
    pub fn status(&self) -> serde_json::Value {
        let text = self.ctl_ok(&["--json", "cwmp", "show", "status"]);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("status is not JSON: {error}\n{text}"))
    }

    /// Asks for the status until `wanted` holds; panics with the last one and the log after [`PATIENCE`].
    pub fn wait_status(&self, what: &str, wanted: impl Fn(&serde_json::Value) -> bool) -> serde_json::Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status = self.status();
            if wanted(&status) {
                return status;
            }
            assert!(Instant::now() < deadline, "status never says {what}: {status:#}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn supervisor_words(&self) -> Vec<PathBuf> {
        self.through.iter().map(PathBuf::from).chain([program("cwmp-supervisor")]).collect()
    }

    fn stop_by(&mut self, signal: Signal) -> ExitStatus {
        let pid = i32::try_from(self.supervisor_pid()).expect("a process id fits");
        kill(Pid::from_raw(pid), signal).expect("the supervisor is ours to signal");
        self.wait_gone()
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        if let Some(mut running) = self.running.take() {
            let pid = i32::try_from(running.supervisor.id()).unwrap_or_default();
            if matches!(running.supervisor.try_wait(), Ok(None)) && pid > 0 {
                let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
                if !running.stderr.wait(Duration::from_secs(5), |seen| seen.ended) {
                    let _ = running.supervisor.kill();
                }
            }
            let _ = running.supervisor.wait();
        }
        if std::thread::panicking() {
            eprintln!("--- what the daemons said\n{}---", self.log());
        }
    }
}

/// A command that is killed, and so fails, when it hangs.
fn limited(words: impl IntoIterator<Item = PathBuf>) -> Command {
    let mut command = Command::new("timeout");
    command.args(["--signal=KILL", "30"]).args(words).stdin(Stdio::null());
    command
}

fn outcome(mut command: Command) -> Output {
    let output = command.output().expect("timeout (coreutils) runs");
    Output {
        status: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// The daemons' stderr: copied to a file, watched for the line that says ready and for its end.
struct Stderr {
    seen: Mutex<Seen>,
    changed: Condvar,
}

#[derive(Clone, Copy, Default)]
struct Seen {
    ready: bool,
    ended: bool,
}

impl Stderr {
    fn follow(pipe: Option<ChildStderr>, log: &Path) -> Arc<Self> {
        let this = Arc::new(Self { seen: Mutex::new(Seen::default()), changed: Condvar::new() });
        let pipe = pipe.expect("stderr is piped");
        let mut log = File::options().create(true).append(true).open(log).expect("the log file opens");
        let for_thread = Arc::clone(&this);
        std::thread::spawn(move || {
            let mut lines = BufReader::new(pipe);
            let mut line = Vec::new();
            while matches!(lines.read_until(b'\n', &mut line), Ok(n) if n > 0) {
                let _ = log.write_all(&line);
                if line.starts_with(b"ready:") {
                    for_thread.change(|seen| seen.ready = true);
                }
                line.clear();
            }
            for_thread.change(|seen| seen.ended = true);
        });
        this
    }

    fn seen(&self) -> Seen {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Seen)) {
        change(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_all();
    }

    fn wait(&self, patience: Duration, reached: impl Fn(&Seen) -> bool) -> bool {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(seen, patience, |seen| !reached(seen));
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }
}
