//! The hub with a real store, scripted clients and a scripted worker: what is answered, pushed and kept.

use std::path::Path;

use ipc_proto::{
    Secret,
    control::{AcsState, ParameterRow, Request, Response, Status, Waiting, WorkerState},
    text::ParameterKey,
    worker::{
        DeclaredType, Event, EventCode, Failure, Outcome, Query, Read, Reply, Report, SessionId,
        SessionOpened, SetValue, Stage, ToSupervisor, ToWorker, Why,
    },
};
use tempfile::TempDir;

use super::{
    access::Role,
    boot::Start,
    command::{Answer, Client, LinkId},
    *,
};
use crate::model::tree::Tree;

mod actions;
mod attributes;
mod device_rpcs;
mod guard;
mod retries;

struct Bench {
    choice: Choice,
    commands: mpsc::Sender<Command>,
    hub: tokio::task::JoinHandle<()>,
    dir: TempDir,
}

struct Worker {
    commands: mpsc::Sender<Command>,
    messages: mpsc::Receiver<ToWorker>,
    link: LinkId,
    queries: u32,
}

/// What a test may choose.
#[derive(Clone, Copy)]
struct Choice {
    boot_id: &'static str,
    settings: fn(&Path, &mut Settings),
}

impl Default for Choice {
    fn default() -> Self {
        Self { boot_id: "boot-1", settings: |_, _| {} }
    }
}

fn hub(dir: &Path, choice: Choice, commands: mpsc::Receiver<Command>) -> impl Future<Output = ()> + 'static {
    let mut settings =
        Settings { state_dir: dir.to_owned(), runtime_dir: dir.to_owned(), ..Settings::default() };
    (choice.settings)(dir, &mut settings);
    let (store, contents, warnings) = Store::open(dir, dir, dir).unwrap();
    let device = DeviceId { oui: "00AABB".to_owned(), serial_number: "S1".to_owned(), ..DeviceId::default() };
    let mut state = State::new(contents, Tree::default());
    let factory = Default::default();
    let start = Start { device: &device, boot_id: choice.boot_id, factory: &factory, random: [7; 40] };
    let writes = start.run(&mut state);
    let started = store.commit(writes);
    let (launcher, news) = Launcher::none();
    let (progress, _) = watch::channel(Progress::default());
    let status = watch::Sender::new(None);
    let parts = Parts { settings, device, state, store, launcher, news, warnings, progress, status };
    async move {
        started.await.unwrap().unwrap();
        Hub::new(parts).run(commands).await;
    }
}

impl Bench {
    fn new() -> Self {
        Self::over(tempfile::tempdir().unwrap(), Choice::default())
    }

    fn with(settings: fn(&Path, &mut Settings)) -> Self {
        Self::over(tempfile::tempdir().unwrap(), Choice { settings, ..Choice::default() })
    }

    fn over(dir: TempDir, choice: Choice) -> Self {
        let (commands, queue) = mpsc::channel(16);
        let hub = tokio::task::spawn_local(hub(dir.path(), choice, queue));
        Self { choice, commands, hub, dir }
    }

    /// Stops the hub as a restart of the supervisor would and starts another one over the same files.
    async fn restarted(self) -> Self {
        let boot_id = self.choice.boot_id;
        self.booted(boot_id).await
    }

    /// The same in the boot of that id.
    async fn booted(self, boot_id: &'static str) -> Self {
        self.commands.send(Command::Shutdown).await.unwrap();
        self.hub.await.unwrap();
        Self::over(self.dir, Choice { boot_id, ..self.choice })
    }

    /// Asks for the status until it waits for just this.
    async fn waits(&self, wanted: impl Fn(&[Waiting]) -> bool) -> Vec<Waiting> {
        let started = Instant::now();
        loop {
            let waiting = self.status().await.waiting;
            if wanted(&waiting) {
                return waiting;
            }
            assert!(started.elapsed() < Duration::from_secs(20), "{waiting:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn send(&self, role: Role, request: Request) -> mpsc::Receiver<Answer> {
        let (answers, queue) = mpsc::channel(4);
        let client = Client { who: "joe".to_owned(), role, answers };
        self.commands.send(Command::Control(request, client)).await.unwrap();
        queue
    }

    async fn ask(&self, request: Request) -> Response {
        self.send(Role::Admin, request).await.recv().await.unwrap().response
    }

    async fn set(&self, name: &str, value: &str) -> Response {
        self.ask(Request::Set { name: name.to_owned(), value: Secret::new(value) }).await
    }

    async fn apply(&self) -> Response {
        self.ask(Request::Apply { force: false, now: false, confirm: None }).await
    }

    async fn row(&self, name: &str) -> ParameterRow {
        let Response::Parameters(rows) = self.ask(Request::ShowParameters).await else { panic!() };
        rows.into_iter().find(|row| row.name == name).unwrap()
    }

    async fn status(&self) -> Status {
        let Response::Status(status) = self.ask(Request::Status).await else { panic!() };
        *status
    }

    async fn worker(&self, link: LinkId) -> Worker {
        let (messages, queue) = mpsc::channel(64);
        self.commands.send(Command::WorkerConnected(Link { id: link, pid: 42, messages })).await.unwrap();
        Worker { commands: self.commands.clone(), messages: queue, link, queries: 0 }
    }
}

impl Worker {
    async fn push(&mut self) -> Push {
        loop {
            if let ToWorker::Push(push) = self.messages.recv().await.unwrap() {
                return push;
            }
        }
    }

    async fn due(&mut self) -> Due {
        loop {
            if let Push::Due(due) = self.push().await {
                return due;
            }
        }
    }

    async fn send(&self, message: ToSupervisor) {
        self.commands.send(Command::FromWorker(self.link, message)).await.unwrap();
    }

    async fn query(&mut self, query: Query) -> Reply {
        self.queries += 1;
        self.send(ToSupervisor::Query { id: self.queries, query }).await;
        loop {
            if let ToWorker::Reply { id, reply } = self.messages.recv().await.unwrap() {
                assert_eq!(id, self.queries);
                return reply;
            }
        }
    }

    async fn open(&mut self, why: Why) -> SessionOpened {
        let Reply::SessionOpened(opened) = self.query(opening(why, u64::MAX)).await else { panic!() };
        *opened
    }

    async fn close(&self, session: SessionId, outcome: Outcome) {
        self.send(ToSupervisor::Report(Report::SessionClosed { session, outcome })).await;
    }
}

/// A worker's query that is connected with that revision of its configuration.
fn opening(why: Why, revision: u64) -> Query {
    Query::OpenSession { why, local: None, peer: None, revision }
}

fn codes(events: &[Event]) -> Vec<EventCode> {
    events.iter().map(|event| event.code).collect()
}

fn tcp_failure() -> Outcome {
    Outcome::Failed(Failure { stage: Stage::Tcp, reason: "refused".to_owned() })
}

fn run<F: Future<Output = ()>>(test: F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, test);
}

#[test]
fn a_worker_gets_its_configuration_and_what_is_due() {
    run(async {
        let bench = Bench::new();
        bench.set("cwmp.acs_url", "http://a/").await;
        bench.apply().await;
        let mut worker = bench.worker(1).await;
        let Push::Config(config) = worker.push().await else { panic!() };
        assert_eq!(config.acs.unwrap().url.as_str(), "http://a/");
        let Push::Due(due) = worker.push().await else { panic!() };
        assert!(due.events && due.fresh && due.retry.count == 0);
        assert_eq!(bench.status().await.worker.state, WorkerState::Running);
    });
}

#[test]
fn apply_waits_for_the_open_session_and_then_goes_on() {
    run(async {
        let bench = Bench::new();
        let mut worker = bench.worker(1).await;
        let session = worker.open(Why::Events).await.session;
        bench.set("cwmp.provisioning_code", "A").await;
        let mut answers =
            bench.send(Role::Admin, Request::Apply { force: false, now: false, confirm: None }).await;
        let Response::Waiting(why) = answers.recv().await.unwrap().response else { panic!() };
        assert!(why.contains("session"), "{why}");
        assert_eq!(bench.row("cwmp.provisioning_code").await.value, "", "the session is the write lock");
        worker.close(session, Outcome::Succeeded).await;
        assert!(matches!(answers.recv().await.unwrap().response, Response::Done(_)));
        assert_eq!(bench.row("cwmp.provisioning_code").await.value, "A");
    });
}

#[test]
fn a_change_that_is_set_while_apply_is_written_to_disk_still_waits_after_it() {
    run(async {
        let bench = Bench::new();
        bench.set("cwmp.provisioning_code", "A").await;
        let mut applied =
            bench.send(Role::Admin, Request::Apply { force: false, now: false, confirm: None }).await;
        bench.set("cwmp.manage_upgrade", "0").await;
        assert!(matches!(applied.recv().await.unwrap().response, Response::Done(_)));
        let Response::Changes(changes) = bench.ask(Request::ShowChanges).await else { panic!() };
        let waiting: Vec<_> = changes.iter().map(|change| change.name.as_str()).collect();
        assert_eq!(waiting, ["cwmp.manage_upgrade"]);
    });
}

#[test]
fn apply_now_ends_the_session_as_failed() {
    run(async {
        let bench = Bench::new();
        let mut worker = bench.worker(1).await;
        let session = worker.open(Why::Events).await.session;
        bench.set("cwmp.provisioning_code", "A").await;
        assert!(matches!(
            bench.ask(Request::Apply { force: false, now: true, confirm: None }).await,
            Response::Done(_)
        ));
        assert_eq!(bench.status().await.retry_count, 1);
        while worker.push().await != Push::EndSession(session) {}
        let acknowledged = Query::InformAcknowledged { session, events: Vec::new() };
        assert_eq!(worker.query(acknowledged).await, Reply::NoSession);
    });
}

#[test]
fn apply_refuses_what_the_acs_changed_in_between_unless_forced() {
    run(async {
        let bench = Bench::new();
        bench.set("cwmp.provisioning_code", "mine").await;
        let mut worker = bench.worker(1).await;
        let session = worker.open(Why::Events).await.session;
        let value = SetValue {
            name: "Device.DeviceInfo.ProvisioningCode".to_owned(),
            declared: DeclaredType::Absent,
            text: "theirs".to_owned(),
        };
        let set = Query::Set { session, values: vec![value], parameter_key: ParameterKey::new("k").unwrap() };
        assert_eq!(worker.query(set).await, Reply::Set(ipc_proto::worker::SetStatus::Applied));
        worker.close(session, Outcome::Succeeded).await;
        let Response::Refused(reason) = bench.apply().await else { panic!() };
        assert!(reason.contains("cwmp.provisioning_code") && reason.contains("apply force"), "{reason}");
        assert_eq!(bench.row("cwmp.provisioning_code").await.value, "theirs");
        bench.ask(Request::Apply { force: true, now: false, confirm: None }).await;
        assert_eq!(bench.row("cwmp.provisioning_code").await.value, "mine");
    });
}

#[test]
fn what_the_acs_set_is_saved_and_nothing_else_is() {
    run(async {
        let bench = Bench::new();
        bench.set("cwmp.manage_upgrade", "0").await;
        bench.apply().await;
        let mut worker = bench.worker(1).await;
        let session = worker.open(Why::Events).await.session;
        let value = SetValue {
            name: "Device.ManagementServer.PeriodicInformInterval".to_owned(),
            declared: DeclaredType::Absent,
            text: "600".to_owned(),
        };
        worker
            .query(Query::Set { session, values: vec![value], parameter_key: ParameterKey::default() })
            .await;
        let interval = bench.row("cwmp.periodicinforminterval").await;
        assert!(interval.saved && interval.value == "600");
        assert!(!bench.row("cwmp.manage_upgrade").await.saved);
    });
}

#[test]
fn unsaved_values_survive_a_restart_of_the_supervisor() {
    run(async {
        let bench = Bench::new();
        bench.set("cwmp.provisioning_code", "A").await;
        bench.apply().await;
        let bench = bench.restarted().await;
        let row = bench.row("cwmp.provisioning_code").await;
        assert!(row.value == "A" && !row.saved);
    });
}

#[test]
fn the_newest_worker_wins() {
    run(async {
        let bench = Bench::new();
        let mut old = bench.worker(1).await;
        let mut new = bench.worker(2).await;
        while old.messages.recv().await.is_some() {}
        old.send(ToSupervisor::Query { id: 1, query: opening(Why::Asked, u64::MAX) }).await;
        assert_eq!(new.open(Why::Asked).await.session, SessionId(1), "the old one opened nothing");
    });
}

#[test]
fn a_read_is_prepared_and_paged_only_in_its_session() {
    run(async {
        let bench = Bench::new();
        let mut worker = bench.worker(1).await;
        let session = worker.open(Why::Events).await.session;
        let read = Read::Values(vec!["Device.DeviceInfo.SerialNumber".to_owned()]);
        let Reply::Prepared { read, count: 1 } = worker.query(Query::Prepare { session, read }).await else {
            panic!()
        };
        let page = Query::Page { session, read, page: 0 };
        let Reply::Page(first) = worker.query(page.clone()).await else { panic!() };
        assert_eq!(worker.query(page.clone()).await, Reply::Page(first), "may be asked again");
        worker.close(session, Outcome::Succeeded).await;
        while worker.due().await.retry.count != 0 {}
        assert_eq!(worker.query(page).await, Reply::NoSession);
    });
}

#[test]
fn a_viewer_may_look_and_nobody_may_do_nothing() {
    run(async {
        let bench = Bench::new();
        for (role, request, allowed) in [
            (Role::Viewer, Request::Status, true),
            (Role::Viewer, Request::Revert, false),
            (Role::Nobody, Request::Status, false),
        ] {
            let response = bench.send(role, request).await.recv().await.unwrap().response;
            assert_eq!(!matches!(response, Response::Refused(_)), allowed, "{role:?}");
        }
    });
}

#[test]
fn the_state_of_the_acs_in_one_word() {
    run(async {
        let bench = Bench::new();
        assert_eq!(bench.status().await.acs.state, AcsState::NoUrl);
        bench.set("cwmp.acs_url", "http://a/").await;
        bench.apply().await;
        assert_eq!(bench.status().await.acs.state, AcsState::Never);
        let mut worker = bench.worker(1).await;
        let session = worker.open(Why::Events).await.session;
        worker.close(session, tcp_failure()).await;
        while worker.due().await.retry.count != 1 {}
        let acs = bench.status().await.acs;
        assert_eq!(
            (acs.state, acs.stage, acs.reason.as_deref()),
            (AcsState::Disconnected, Some(Stage::Tcp), Some("refused"))
        );
        bench.set("cwmp.enable", "0").await;
        bench.apply().await;
        assert_eq!(bench.status().await.acs.state, AcsState::Disabled);
    });
}

fn set_by_acs(session: SessionId, values: &[(&str, &str)], key: &str) -> Query {
    let value = |&(name, text): &(&str, &str)| SetValue {
        name: name.to_owned(),
        declared: DeclaredType::Absent,
        text: text.to_owned(),
    };
    let values = values.iter().map(value).collect();
    Query::Set { session, values, parameter_key: ParameterKey::new(key).unwrap() }
}

#[test]
fn a_url_that_the_acs_sets_is_a_bootstrap_for_the_next_session() {
    run(async {
        let bench = Bench::new();
        bench.set("cwmp.acs_url", "http://a/").await;
        bench.apply().await;
        let mut worker = bench.worker(1).await;
        let opened = worker.open(Why::Events).await;
        let (session, events) = (opened.session, opened.events.iter().map(|event| event.id).collect());
        worker.query(Query::InformAcknowledged { session, events }).await;
        worker.query(set_by_acs(session, &[("Device.ManagementServer.URL", "http://b/")], "")).await;
        worker.close(session, Outcome::Succeeded).await;
        let due = worker.due().await;
        assert!(due.events && due.fresh, "{due:?}");
        assert_eq!(codes(&worker.open(Why::Events).await.events), [EventCode::Bootstrap]);
    });
}

#[test]
fn an_empty_set_and_the_same_value_again_are_good_and_set_the_parameter_key() {
    run(async {
        let bench = Bench::new();
        let mut worker = bench.worker(1).await;
        let session = worker.open(Why::Events).await.session;
        let code = ("Device.DeviceInfo.ProvisioningCode", "A");
        for (key, values) in [("k1", vec![code]), ("k2", vec![code]), ("k3", vec![])] {
            let reply = worker.query(set_by_acs(session, &values, key)).await;
            assert_eq!(reply, Reply::Set(ipc_proto::worker::SetStatus::Applied));
            let name = "Device.ManagementServer.ParameterKey".to_owned();
            let Response::Value { value, .. } = bench.ask(Request::Get { name }).await else { panic!() };
            assert_eq!(value.to_string(), key);
        }
    });
}

#[test]
fn the_worker_has_no_acs_while_cwmp_is_off() {
    run(async {
        let bench = Bench::new();
        bench.set("cwmp.acs_url", "http://a/").await;
        bench.set("cwmp.enable", "0").await;
        bench.apply().await;
        let mut worker = bench.worker(1).await;
        let Push::Config(config) = worker.push().await else { panic!() };
        assert_eq!(config.acs, None);
        bench.set("cwmp.enable", "1").await;
        bench.apply().await;
        loop {
            let Push::Config(config) = worker.push().await else { continue };
            break assert!(config.acs.is_some());
        }
    });
}

#[test]
fn the_connection_request_url_is_of_the_port_and_of_our_address_on_the_session() {
    run(async {
        let bench = Bench::new();
        let problem = async || bench.status().await.connection_request_problem.unwrap_or_default();
        assert!(problem().await.contains("cwmp.acs_url"));
        bench.set("cwmp.acs_url", "http://a/").await;
        bench.apply().await;
        assert!(problem().await.contains("the worker is not running"));
        let mut worker = bench.worker(1).await;
        worker.send(ToSupervisor::Report(Report::Listening(Ok(7547)))).await;
        assert!(problem().await.contains("[connection_request] host"));
        let local = Some("2001:db8::1".parse().unwrap());
        let open = Query::OpenSession { why: Why::ConnectionRequest, local, peer: None, revision: u64::MAX };
        let Reply::SessionOpened(opened) = worker.query(open).await else { panic!() };
        let url = format!("http://[2001:db8::1]:7547/{}", "07".repeat(16));
        assert!(opened.parameters.iter().any(|p| p.1 == url), "in the Inform");
        assert!(codes(&opened.events).contains(&EventCode::ConnectionRequest));
        let row = bench.row("cwmp.con_req_url").await;
        assert_eq!((row.value, row.source), (url.clone(), ipc_proto::control::Source::Stack));
        assert_eq!((bench.status().await.connection_request_url, problem().await), (url, String::new()));

        worker.send(ToSupervisor::Report(Report::Listening(Err("in use".to_owned())))).await;
        assert_eq!((bench.status().await.connection_request_url.as_str(), &*problem().await), ("", "in use"));
    });
}
