//! The main job in one command: a person sets the ACS, the device informs it, and the session is printed as it happened.
// A demo that cannot go on says why and stops, like a test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::io::ErrorKind;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc;

use tests::acs::Session;
use tests::acs::envelope::{
    get_parameter_names, get_parameter_values, get_rpc_methods, set_parameter_values,
};
use tests::{Acs, Device, Plan, binaries, device, transcript};

const INTERVAL: &str = "Device.ManagementServer.PeriodicInformInterval";

/// What the demo waits for once everything runs.
enum Next {
    Show(Session),
    Stop,
}

fn main() {
    let (tell, next) = mpsc::channel();
    stop_on_signals(tell.clone());

    let directory = directory();
    make_empty(&directory);

    let acs = Acs::start().unjudged();
    println!("Test ACS on {}", acs.url());
    acs.plan(
        Plan::new()
            .send(get_rpc_methods())
            .send(get_parameter_names("Device.", true))
            .send(get_parameter_values(&["Device.DeviceInfo.", INTERVAL]))
            .send(set_parameter_values(&[(INTERVAL, "xsd:unsignedInt", "600")], "demo-1"))
            .send(get_parameter_values(&[INTERVAL, "Device.ManagementServer.ParameterKey"])),
    );

    let device = Device::builder().second_ms(1000).in_directory(&directory).in_own_group().start();
    println!("Supervisor and worker run, all their files are in {}\n", directory.display());

    for words in [&["set", &format!("cwmp.acs_url={}", acs.url())][..], &["apply"], &["save"]] {
        println!("$ cwmpctl {}", words.join(" "));
        print!("{}", indented(&device.ctl_ok(words)));
    }
    let sessions = acs.wait_sessions(1, device::PATIENCE);
    println!("\nThe session that followed:");
    print_session(&sessions[0]);

    let url = acs.url();
    device.wait_status("connected", |status| status["acs"]["state"] == "connected");
    println!("\n$ cwmpctl cwmp show status");
    print!("{}", indented(&device.ctl_ok(&["cwmp", "show", "status"])));

    let ctl = binaries::program("cwmpctl");
    let call = format!("{} --socket {}", shell(&ctl), shell(&device.socket()));
    println!("\nEverything keeps running, with the ACS on {url}.");
    println!("  Look and change:      {call} show cwmp");
    println!("  Start a session now:  {call} cwmp inform");
    println!("  Stop all of it:       Ctrl-C here, or: kill {}", std::process::id());

    acs.each_session(move |session| {
        let _ = tell.send(Next::Show(session.clone()));
    });
    while let Ok(Next::Show(session)) = next.recv() {
        println!("\nAnother session:");
        print_session(&session);
    }
    drop(device);
    println!("Stopped. What the device stored is in {}", directory.display());
}

fn print_session(session: &Session) {
    for line in transcript::lines(session) {
        println!("{line}");
    }
}

/// Removes what an earlier demo left, and nothing else: the directory may be anyone's.
fn make_empty(directory: &Path) {
    if UnixStream::connect(directory.join("run/supervisor.sock")).is_ok() {
        eprintln!("demo: one runs already in {}; stop it, or set CWMP_DEMO_DIR", directory.display());
        std::process::exit(1);
    }
    for name in ["state", "run", "boot-id", "supervisor.toml", "daemons.log"] {
        let path = directory.join(name);
        let removed =
            if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
        if let Err(error) = removed
            && error.kind() != ErrorKind::NotFound
        {
            eprintln!("demo: cannot remove {}: {error}", path.display());
            std::process::exit(1);
        }
    }
}

/// `CWMP_DEMO_DIR`, else a directory of the demo's own under the user's state directory.
fn directory() -> PathBuf {
    let from = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    from("CWMP_DEMO_DIR")
        .or_else(|| from("XDG_STATE_HOME").map(|state| state.join("cwmp-demo")))
        .or_else(|| from("HOME").map(|home| home.join(".local/state/cwmp-demo")))
        .expect("one of CWMP_DEMO_DIR, XDG_STATE_HOME and HOME is set")
}

/// Ctrl-C, `kill` and a closed terminal all stop the demo in order.
fn stop_on_signals(tell: mpsc::Sender<Next>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (installed, ready) = mpsc::channel();
    std::thread::spawn(move || {
        runtime.block_on(async {
            use tokio::signal::unix::{SignalKind, signal};
            let mut interrupt = signal(SignalKind::interrupt()).expect("SIGINT can be caught");
            let mut terminate = signal(SignalKind::terminate()).expect("SIGTERM can be caught");
            let mut hangup = signal(SignalKind::hangup()).expect("SIGHUP can be caught");
            let _ = installed.send(());
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = hangup.recv() => {}
            }
        });
        let _ = tell.send(Next::Stop);
    });
    let _ = ready.recv();
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}

/// A path as a shell takes it.
fn shell(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
    if plain { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
}
