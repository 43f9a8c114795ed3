//! `cwmp-supervisor`: settings, store, sockets, hub, worker, in that order.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use anyhow::Context as _;
use clap::Parser;
use ipc_proto::{UtcTime, channel::Listener, control::LogEntry};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{mpsc, watch},
};

use crate::{
    control,
    device::{addresses, boot, identity},
    hub::{
        Hub,
        boot::Start,
        command::{Command, Progress},
        mark::Mark,
        parts::Parts,
        state::State,
    },
    launch,
    model::{files, schema::Schema, tree::Tree},
    settings::{Launch, Settings},
    store::{Fact, Store, log::NewLine},
    worker,
};

/// Commands that may wait for the hub.
const MAX_COMMANDS: usize = 256;
/// Changes of addresses come in swarms: so long is waited for the last of them.
const ADDRESS_DAMPING: Duration = Duration::from_secs(5);

/// Owns the device's CWMP configuration, data model and store, and runs cwmpd.
#[derive(Debug, Parser)]
#[command(name = "cwmp-supervisor", version)]
struct Arguments {
    /// The settings file.
    #[arg(long, value_name = "FILE", default_value = "/etc/cwmp/supervisor.toml")]
    settings: PathBuf,
    /// Check the settings and exit.
    #[arg(long)]
    check: bool,
}

/// Runs the program until a signal ends it.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_target(false).with_ansi(false).init();
    let result = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start")
        .and_then(|runtime| runtime.block_on(run(&arguments)));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cwmp-supervisor: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let settings = Settings::load(&arguments.settings)?;
    let user = launch::worker_user(&settings)?;
    if arguments.check {
        println!("{}: good", arguments.settings.display());
        return Ok(());
    }
    // Whatever is made from here on is private unless said otherwise.
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o077));
    let mut stop = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;

    make_runtime_dir(&settings)?;
    let (store, contents, mut warnings) =
        Store::open(&settings.state_dir, settings.log_dir(), &settings.runtime_dir)?;
    warnings.iter().for_each(|warning| tracing::error!("{warning}"));
    let boot_id = boot::boot_id(&settings.device.boot_id)?;
    let device = identity::identity(&settings.device, &contents.facts);
    let mut schema = Schema::new(settings.data_model.root);
    let troubles = files::load(&settings.data_model.dir, &mut schema);
    troubles.iter().for_each(|trouble| tracing::error!("{trouble}"));
    warnings.extend(troubles);
    let mut state = State::new(contents, Tree::new(Arc::new(schema)));
    let mut random = [0; 40];
    getrandom::fill(&mut random).context("the kernel gives no random bytes")?;
    let factory = settings.factory.values().map_err(|(_, reason)| anyhow::anyhow!(reason))?;
    let start = Start { device: &device, boot_id: &boot_id, factory: &factory, random };
    let same_boot = state.fact(Fact::BootId) == boot_id;
    let mut writes = start.run(&mut state);
    let (mark, now) = (Mark::new(&settings.runtime_dir), UtcTime::now());
    if let Some((more, record)) = mark.left_behind(&state, now).filter(|_| same_boot) {
        state.follow(&more);
        writes.extend(more);
        state.last_session = Some(record.clone());
        let detail = record.failure.as_ref().map(|failure| format!("failed: {failure}")).unwrap_or_default();
        let what = "session closed".to_owned();
        let entry = LogEntry::Client { session: None, what, detail, took_ms: None };
        store.log_line(NewLine { at: now, entry });
        store.log_session(record);
    }
    if !writes.is_empty()
        && let Err(error) = store.commit(writes).await.context("the store's thread is gone")?
    {
        // The device stays in reach: it runs from memory, and the next start writes the same again.
        tracing::error!("this start could not be stored: {error}");
        warnings.push(format!("this start could not be stored: {error}"));
    }
    mark.clear();

    let control_path = settings.runtime_dir.join("supervisor.sock");
    let worker_path = settings.runtime_dir.join("worker.sock");
    // Anyone may connect: the kernel says who it is, and strangers are told that they may do nothing.
    let control_socket = Listener::bind(&control_path, 0o666).await?;
    let worker_socket = Listener::bind(&worker_path, 0o600).await?;
    if settings.worker.user.is_empty()
        || settings.worker.launch == Launch::External && !nix::unistd::geteuid().is_root()
    {
        tracing::debug!("the worker socket is this user's own");
    } else {
        std::os::unix::fs::chown(&worker_path, Some(user.uid), None)
            .context("cannot hand worker.sock to [worker] user")?;
    }

    let (hub, commands) = mpsc::channel(MAX_COMMANDS);
    let (progress, follow) = watch::channel(Progress::default());
    let limit = Duration::from_millis(settings.timing.send_ms.into());
    let status = watch::Sender::new(None);
    let views = control::Views::new(store.log_reader(), status.clone(), follow, hub.clone());
    tokio::spawn(control::serve(control_socket, limit, hub.clone(), views));
    tokio::spawn(worker::serve(worker_socket, user.uid, settings.timing, hub.clone()));
    match addresses::Changes::open() {
        Ok(changes) => drop(tokio::spawn(follow_addresses(changes, settings.timing.second_ms, hub.clone()))),
        Err(error) => tracing::warn!("changes of this device's addresses are not noticed: {error}"),
    }
    eprintln!("ready: {}", control_path.display());
    let (launcher, news) = launch::Launcher::start(&settings, user, worker_path.clone());
    let parts = Parts { settings, device, state, store, launcher, news, warnings, progress, status };
    let end = async move {
        tokio::select! { _ = stop.recv() => {}, _ = interrupt.recv() => {} }
        // The hub is gone only when it ended by itself.
        let _ = hub.send(Command::Shutdown).await;
    };
    tokio::join!(Hub::new(parts).run(commands), end);
    for socket in [&control_path, &worker_path] {
        if let Err(error) = fs::remove_file(socket) {
            tracing::debug!("{}: {error}", socket.display());
        }
    }
    Ok(())
}

/// Tells the hub when an address or a route has changed, some CWMP seconds later.
async fn follow_addresses(mut changes: addresses::Changes, second_ms: u32, hub: mpsc::Sender<Command>) {
    let damping = ADDRESS_DAMPING * second_ms / 1000;
    let error = loop {
        match changes.next(damping).await {
            Ok(()) if hub.send(Command::AddressesChanged).await.is_err() => return,
            Ok(()) => {}
            Err(error) => break error,
        }
    };
    tracing::warn!("changes of this device's addresses are not noticed any more: {error}");
}

fn make_runtime_dir(settings: &Settings) -> anyhow::Result<()> {
    let dir = &settings.runtime_dir;
    if !dir.exists() {
        fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
        fs::set_permissions(dir, fs::Permissions::from_mode(0o755))
            .with_context(|| format!("cannot open {} to others", dir.display()))?;
    }
    Ok(())
}
