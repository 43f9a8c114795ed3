//! The shell of cwmpctl on a terminal of its own: words, completion, and what stays out of it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // all of it is test code

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};

use tests::Device;
use tests::binaries::program;
use tests::process::wait_until;

/// cwmpctl on a pseudo-terminal, which script (util-linux) makes.
struct Terminal {
    script: Child,
    keys: ChildStdin,
    shown: Arc<Mutex<String>>,
}

impl Terminal {
    fn open(device: &Device, columns: u32) -> Self {
        let ctl = program("cwmpctl");
        let line = format!("stty cols {columns}; {} --socket {}", ctl.display(), device.socket().display());
        let mut command = Command::new("script");
        command
            .args(["--quiet", "--command", &line, "/dev/null"])
            .env("TERM", "xterm")
            .env("XDG_STATE_HOME", device.directory().join("home"))
            .env_remove("NO_COLOR");
        let mut script = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("script runs");
        let (keys, mut out) = (script.stdin.take().unwrap(), script.stdout.take().unwrap());
        let shown = Arc::new(Mutex::new(String::new()));
        let seen = Arc::clone(&shown);
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(count @ 1..) = out.read(&mut piece) {
                seen.lock().unwrap().push_str(&String::from_utf8_lossy(&piece[..count]));
            }
        });
        let terminal = Self { script, keys, shown };
        terminal.sees("admin>");
        terminal
    }

    fn types(&mut self, keys: &str) {
        self.shown.lock().unwrap().clear();
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    fn sees(&self, text: &str) -> String {
        wait_until(&format!("{text:?} on the terminal"), || self.shown.lock().unwrap().contains(text));
        self.shown.lock().unwrap().clone()
    }
}

fn history_file(device: &Device) -> PathBuf {
    device.directory().join("home/cwmpctl/history")
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.script.kill();
        let _ = self.script.wait();
    }
}

#[test]
fn the_words_work_line_after_line() {
    let device = Device::builder().start();
    let mut terminal = Terminal::open(&device, 80);
    terminal.types("set cwmp.provisioning_code=a b\r");
    terminal.sees("waits for `apply`");
    terminal.types("cwmp show config\r");
    terminal.sees("pending: a b");
    terminal.types("apply\r");
    terminal.sees("not saved");
    terminal.types("cwmp show log\r");
    terminal.sees("a b");
    terminal.types("nonsense\r");
    terminal.sees("unrecognized");
    terminal.types("help\r");
    terminal.sees("revert");
    terminal.types("exit\r");
    wait_until("the shell to end", || terminal.script.try_wait().unwrap().is_some());
}

#[test]
fn tab_completes_words_and_names() {
    let device = Device::builder().start();
    let mut terminal = Terminal::open(&device, 80);
    terminal.types("get cwmp.acs_ur\t\r");
    terminal.sees("get cwmp.acs_url");
    terminal.sees("admin>");
    // Seen before it is taken back: a line that changes at once is drawn once.
    terminal.types("cw\tsho\tcli\tl\t");
    terminal.sees("client log");
    terminal.types("\u{15}\u{15}");
}

#[test]
fn ctrl_c_ends_what_is_followed_and_not_the_shell() {
    let device = Device::builder().start();
    let mut terminal = Terminal::open(&device, 20);
    device.ctl_ok(&["set", "cwmp.provisioning_code=first"]);
    device.ctl_ok(&["apply"]);
    terminal.types("cwmp show log --follow\r");
    terminal.sees("first");
    terminal.types("\u{3}");
    terminal.sees("admin>");
    terminal.types("show changes\r");
    terminal.sees("no changes");
}

#[test]
fn the_history_is_kept_over_runs_and_holds_no_secret() {
    const CANARY: &str = "canary-9f2c";
    const UP: &str = "\u{1b}[A";
    let device = Device::builder().start();
    let mut terminal = Terminal::open(&device, 200);
    terminal.types("set cwmp.provisioning_code=kept\r");
    terminal.sees("waits for `apply`");
    terminal.sees("admin>");
    for line in [
        format!("set cwmp.acs_password={CANARY}"),
        format!("set  cwmp.acs_password = {CANARY}"),
        format!("set cwmp.acs_pasword={CANARY}"),
        format!("set cwmp.acs_password {CANARY}"),
        format!("set Device.ManagementServer.Password={CANARY}"),
        format!("show cwmp cwmp.acs_password {CANARY}"),
    ] {
        terminal.types(&format!("{line}\r"));
        terminal.sees("admin>");
    }
    terminal.types("set cwmp.acs_password\r");
    terminal.sees("cwmp.acs_password: ");
    terminal.types(&format!("{CANARY}-asked\r"));
    let echoed = terminal.sees("admin>");
    assert!(!echoed.contains(CANARY), "{echoed}");
    // The last line of the history is the newest without a secret.
    terminal.types(UP);
    let shown = terminal.sees("code=kept");
    assert!(!shown.contains(CANARY), "{shown}");
    terminal.types("\u{15}exit\r");
    wait_until("the shell to end", || terminal.script.try_wait().unwrap().is_some());

    let file = history_file(&device);
    assert_eq!(fs::read_to_string(&file).unwrap(), "set cwmp.provisioning_code=kept\n");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let mut again = Terminal::open(&device, 200);
    again.types(&format!("{UP}\r"));
    again.sees("set cwmp.provisioning_code=kept");
    again.sees("waits for `apply`");
}

#[test]
fn without_a_place_for_the_history_the_shell_works() {
    let device = Device::builder().start();
    // A file in the place of the directory.
    fs::write(device.directory().join("home"), "").unwrap();
    let mut terminal = Terminal::open(&device, 80);
    terminal.types("show changes\r");
    let shown = terminal.sees("no changes");
    assert!(!shown.contains("rror"), "{shown}");
    terminal.types("\u{1b}[A");
    terminal.sees("show changes");
}

#[test]
fn a_megabyte_as_a_line_is_refused_with_the_limit() {
    let device = Device::builder().start();
    let mut terminal = Terminal::open(&device, 80);
    let typed = format!("set cwmp.provisioning_code={}\r", "x".repeat(20_000));
    // As terminals paste.
    let pasted = format!("\u{1b}[200~set cwmp.acs_url={}\u{1b}[201~\r", "x".repeat(1024 * 1024));
    for line in [typed, pasted] {
        terminal.types(&line);
        terminal.sees("at most 8192 bytes");
        terminal.sees("admin>");
    }
    terminal.types("show changes\r");
    terminal.sees("no changes");
    assert!(
        !history_file(&device).exists() || !fs::read_to_string(history_file(&device)).unwrap().contains("xx")
    );
}

#[test]
fn ctrl_c_at_the_question_for_a_secret_ends_the_question_only() {
    let device = Device::builder().start();
    let mut terminal = Terminal::open(&device, 80);
    terminal.types("set cwmp.acs_password\r");
    terminal.sees("cwmp.acs_password: ");
    terminal.types("half\u{3}");
    terminal.sees("admin>");
    terminal.types("show changes\r");
    terminal.sees("no changes");
}

#[test]
fn ctrl_c_at_the_question_whether_to_go_on_is_a_no() {
    let device = Device::builder().start();
    device.ctl_ok(&["set", "cwmp.provisioning_code=kept"]);
    device.ctl_ok(&["apply"]);
    let mut terminal = Terminal::open(&device, 200);
    // Since then the signal is caught.
    terminal.types("show cwmp\r");
    terminal.sees("kept");
    terminal.sees("admin>");
    for answer in ["\u{3}", "y\u{3}", "n\r", "\r"] {
        terminal.types("factory reset\r");
        terminal.sees("[y/N]");
        terminal.types(answer);
        terminal.sees("nothing was done");
        terminal.sees("admin>");
    }
    assert_eq!(device.ctl_ok(&["get", "cwmp.provisioning_code"]).trim(), "kept");
    terminal.types("factory reset\r");
    terminal.sees("[y/N]");
    terminal.types("y\r");
    terminal.sees("factory values are in force");
}
