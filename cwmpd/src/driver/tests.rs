//! The whole worker between a fake supervisor and a fake ACS.

use std::sync::atomic::{AtomicU32, Ordering};

use ipc_proto::{
    HttpUrl, ParamType, Secret,
    channel::{Listener, Receiver, Sender},
    listing::Listing,
    retry::RetryPolicy,
    version::{Hello, Protocol},
    worker::{
        Acs as AcsConfig, ClientLine, ConnectionRequest, DeviceId, Due, Event, EventCode, EventId, Failure,
        Page, Query, ReadId, Reply, RetryState, SessionOpened, Stage, Timing, ToSupervisor, ToWorker, Trust,
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    task::JoinHandle,
    time::timeout,
};

use super::*;

mod large_answers;
const SOON: Duration = Duration::from_secs(10);
const NO_CONTENT: &str = "HTTP/1.1 204 No Content\r\n\r\n";
const NOTHING_DUE: Due = Due { events: false, fresh: false, retry: RetryState { count: 0, since_boot: 0 } };

struct Supervisor {
    listener: Listener,
    to: Sender<ToWorker>,
    from: Receiver<ToSupervisor>,
    worker: JoinHandle<Exit>,
    lines: Vec<ClientLine>,
    directory: PathBuf,
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.worker.abort();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn socket() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    let directory = std::env::temp_dir().join(format!("cwmpd-{}-{n}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    directory.join("worker.sock")
}

impl Supervisor {
    async fn start(child: bool) -> Self {
        let path = socket();
        let listener = Listener::bind(&path, 0o600).await.unwrap();
        let worker = tokio::spawn(run(path.clone(), child));
        let (to, from) = greet(&listener).await;
        Self { listener, to, from, worker, lines: Vec::new(), directory: path.parent().unwrap().to_owned() }
    }

    async fn send(&mut self, message: ToWorker) {
        self.to.send(&message, SOON).await.unwrap();
    }

    async fn push(&mut self, push: Push) {
        self.send(ToWorker::Push(push)).await;
    }

    /// The configuration, and what is due.
    async fn configure(&mut self, config: WorkerConfig, due: Due) {
        let revision = config.revision;
        self.push(Push::Config(Box::new(config))).await;
        self.push(Push::Due(due)).await;
        while self.report().await != Report::InUse(revision) {}
    }

    /// The next message that is no heartbeat, no Next and no line of the log.
    async fn receive(&mut self) -> ToSupervisor {
        loop {
            match self.message().await {
                ToSupervisor::Heartbeat | ToSupervisor::Report(Report::Next(_)) => {}
                ToSupervisor::Report(Report::Log(lines)) => self.lines.extend(lines),
                message => return message,
            }
        }
    }

    async fn message(&mut self) -> ToSupervisor {
        timeout(SOON, self.from.receive()).await.unwrap().unwrap()
    }

    /// The next line of the client log that begins so; lines come behind all else.
    async fn line(&mut self, what: &str) -> ClientLine {
        loop {
            if let Some(line) = self.lines.iter().find(|line| line.what.starts_with(what)) {
                return line.clone();
            }
            if let ToSupervisor::Report(Report::Log(lines)) = self.message().await {
                self.lines.extend(lines);
            }
        }
    }

    async fn report(&mut self) -> Report {
        match self.receive().await {
            ToSupervisor::Report(report) => report,
            other => panic!("{other:?}"),
        }
    }

    /// The next query, answered.
    async fn answer(&mut self, reply: impl FnOnce(&Query) -> Reply) -> Query {
        let ToSupervisor::Query { id, query } = self.receive().await else { panic!("no query") };
        let reply = reply(&query);
        self.send(ToWorker::Reply { id, reply }).await;
        query
    }

    async fn open_session(&mut self, id: u32) -> Why {
        match self.answer(|_| Reply::SessionOpened(Box::new(opened(id)))).await {
            Query::OpenSession { why, .. } => why,
            other => panic!("{other:?}"),
        }
    }

    async fn outcome(&mut self) -> Outcome {
        match self.report().await {
            Report::SessionClosed { outcome, .. } => outcome,
            other => panic!("{other:?}"),
        }
    }

    async fn failure(&mut self) -> Failure {
        match self.outcome().await {
            Outcome::Failed(failure) => failure,
            Outcome::Succeeded => panic!("it succeeded"),
        }
    }

    async fn exit(&mut self) -> Exit {
        timeout(SOON, &mut self.worker).await.unwrap().unwrap()
    }
}

async fn greet(listener: &Listener) -> (Sender<ToWorker>, Receiver<ToSupervisor>) {
    let (connection, _) = timeout(SOON, listener.accept()).await.unwrap().unwrap();
    let (to, from, _) = connection.hello(Protocol::Worker, SOON).await.unwrap();
    (to, from)
}

fn opened(id: u32) -> SessionOpened {
    let event = Event { id: EventId(u64::from(id)), code: EventCode::Boot, command_key: Default::default() };
    SessionOpened {
        session: SessionId(id),
        retry_count: 0,
        device: DeviceId::default(),
        events: vec![event],
        parameters: Listing::default(),
        requests: Vec::new(),
    }
}

fn config(url: &str) -> WorkerConfig {
    WorkerConfig {
        revision: 5,
        acs: Some(AcsConfig {
            url: HttpUrl::parse(url).unwrap(),
            response_timeout: 30,
            username: "device".to_owned(),
            password: Secret::new("secret"),
            allow_hosts: Vec::new(),
            allow_basic_http: true,
            trust: Trust::default(),
            max_version: ipc_proto::CwmpVersion::default(),
            session_timeout: 60,
            lenient: true,
        }),
        connection_request: None,
        periodic: None,
        retry: RetryPolicy { min_wait: 5, multiplier: 2000 },
        timing: Timing { second_ms: 20, heartbeat_ms: 10_000, reply_ms: 2000, session_max_s: 5 },
        clock_synchronised: true,
    }
}

/// With heartbeats often enough to miss three within a test.
fn beating(mut config: WorkerConfig) -> WorkerConfig {
    config.timing.heartbeat_ms = 200;
    config
}

fn envelope(body: &str) -> String {
    let text = format!(
        "<s:Envelope xmlns:s='http://schemas.xmlsoap.org/soap/envelope/' xmlns:c='urn:dslforum-org:cwmp-1-2'>\
         <s:Header><c:ID>9</c:ID></s:Header><s:Body>{body}</s:Body></s:Envelope>"
    );
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len())
}

/// An ACS that takes one connection at a time.
struct FakeAcs(TcpListener);

impl FakeAcs {
    async fn start() -> (Self, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        (Self(listener), url)
    }

    async fn accept(&self) -> TcpStream {
        timeout(SOON, self.0.accept()).await.unwrap().unwrap().0
    }
}

/// Reads a request that ends with `end`.
async fn request(stream: &mut TcpStream, end: &str) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(end.as_bytes()) {
        let mut piece = [0; 65536];
        let read = timeout(SOON, stream.read(&mut piece)).await.unwrap().unwrap();
        assert!(read > 0, "the worker hung up after {}", String::from_utf8_lossy(&bytes));
        bytes.extend(&piece[..read]);
    }
    String::from_utf8(bytes).unwrap()
}

async fn exchange(stream: &mut TcpStream, end: &str, answer: &str) -> String {
    let request = request(stream, end).await;
    stream.write_all(answer.as_bytes()).await.unwrap();
    request
}

const ENVELOPE_END: &str = "</soap:Envelope>\n";

async fn inform(stream: &mut TcpStream) {
    let request = exchange(stream, ENVELOPE_END, &envelope("<c:InformResponse/>")).await;
    assert!(request.contains("<EventCode>1 BOOT</EventCode>"), "{request}");
}

async fn hung_up(stream: &mut TcpStream) -> bool {
    let mut piece = [0; 1024];
    matches!(timeout(SOON, stream.read(&mut piece)).await.unwrap(), Ok(0) | Err(_))
}

fn due(events: bool) -> Due {
    Due { events, fresh: events, ..NOTHING_DUE }
}

#[tokio::test]
async fn a_session_goes_from_due_to_closed() {
    let (acs, url) = FakeAcs::start().await;
    let mut supervisor = Supervisor::start(false).await;
    supervisor.configure(config(&url), due(true)).await;
    assert_eq!(supervisor.open_session(1).await, Why::Events);
    let mut stream = acs.accept().await;
    inform(&mut stream).await;
    let acknowledged = supervisor.answer(|_| Reply::Done).await;
    assert_eq!(acknowledged, Query::InformAcknowledged { session: SessionId(1), events: vec![EventId(1)] });
    let empty = exchange(&mut stream, "\r\n\r\n", &envelope("<c:GetRPCMethods/>")).await;
    assert!(empty.contains("content-length: 0\r\n"), "{empty}");
    let methods = exchange(&mut stream, ENVELOPE_END, NO_CONTENT).await;
    assert!(methods.contains(">9</cwmp:ID>") && methods.contains("GetRPCMethodsResponse"), "{methods}");
    assert_eq!(supervisor.outcome().await, Outcome::Succeeded);
    assert!(hung_up(&mut stream).await);
    // Another follows on request, and only once the supervisor has said what is due.
    supervisor.push(Push::InformNow).await;
    supervisor.push(Push::Due(NOTHING_DUE)).await;
    assert_eq!(supervisor.open_session(2).await, Why::Asked);
}

#[tokio::test]
async fn a_new_url_in_mid_session_counts_from_the_next_on() {
    let ((first, first_url), (second, second_url)) = (FakeAcs::start().await, FakeAcs::start().await);
    let mut supervisor = Supervisor::start(false).await;
    supervisor.configure(config(&first_url), due(true)).await;
    supervisor.open_session(1).await;
    let mut stream = first.accept().await;
    supervisor.push(Push::Config(Box::new(WorkerConfig { revision: 6, ..config(&second_url) }))).await;
    while supervisor.report().await != Report::InUse(6) {}
    // The rest of the session, on a new connection, goes where the session began.
    let closing = envelope("<c:InformResponse/>").replace("200 OK\r\n", "200 OK\r\nConnection: close\r\n");
    exchange(&mut stream, ENVELOPE_END, &closing).await;
    supervisor.answer(|_| Reply::Done).await;
    exchange(&mut first.accept().await, "\r\n\r\n", NO_CONTENT).await;
    assert_eq!(supervisor.outcome().await, Outcome::Succeeded);
    supervisor.push(Push::Due(due(true))).await;
    supervisor.open_session(2).await;
    inform(&mut second.accept().await).await;
}

#[tokio::test]
async fn a_refusal_as_outdated_is_followed_by_a_connection_to_the_new_acs() {
    let ((first, first_url), (second, second_url)) = (FakeAcs::start().await, FakeAcs::start().await);
    let mut supervisor = Supervisor::start(false).await;
    // At once: a failure would wait for longer than this test.
    let patient = |url: &str| {
        let retry = RetryPolicy { min_wait: 65_535, multiplier: 2000 };
        WorkerConfig { retry, ..config(url) }
    };
    supervisor.configure(patient(&first_url), due(true)).await;
    let asked = supervisor.answer(|_| Reply::Outdated).await;
    assert!(matches!(asked, Query::OpenSession { revision: 5, .. }), "{asked:?}");
    // It hangs up, and asks for nothing before it has the newer configuration.
    assert!(hung_up(&mut first.accept().await).await);
    supervisor.push(Push::Config(Box::new(WorkerConfig { revision: 6, ..patient(&second_url) }))).await;
    while supervisor.report().await != Report::InUse(6) {}
    let asked = supervisor.answer(|_| Reply::SessionOpened(Box::new(opened(1)))).await;
    assert!(matches!(asked, Query::OpenSession { revision: 6, why: Why::Events, .. }), "{asked:?}");
    inform(&mut second.accept().await).await;
}

#[tokio::test]
async fn the_inform_carries_local_time_with_its_offset() {
    let (acs, url) = FakeAcs::start().await;
    let mut supervisor = Supervisor::start(false).await;
    supervisor.configure(config(&url), due(true)).await;
    supervisor.open_session(1).await;
    let text = request(&mut acs.accept().await, ENVELOPE_END).await;
    let (_, rest) = text.split_once("<CurrentTime>").unwrap();
    let time = rest.split('<').next().unwrap();
    let at: jiff::Timestamp = time.parse().unwrap();
    assert!(at.duration_until(jiff::Timestamp::now()).abs().as_secs() < 60, "{time}");
    let local = jiff::tz::TimeZone::system().to_offset(at).to_string();
    let offset = time.get(19..).unwrap();
    assert!(offset.len() == 6 && offset.starts_with(&local), "{time}, here it is {local}");
}

#[tokio::test]
async fn a_failure_is_reported_and_the_retry_is_announced() {
    let mut supervisor = Supervisor::start(false).await;
    supervisor.configure(config("http://127.0.0.1:1/"), due(true)).await;
    supervisor.open_session(1).await;
    assert_eq!(supervisor.failure().await.stage, Stage::Tcp);
    let retry = RetryState { count: 1, since_boot: 1 };
    supervisor.push(Push::Due(Due { events: true, fresh: false, retry })).await;
    let next = loop {
        match timeout(SOON, supervisor.from.receive()).await.unwrap().unwrap() {
            ToSupervisor::Report(Report::Next(Some(next))) => break next,
            ToSupervisor::Query { .. } => panic!("no wait"),
            _ => {}
        }
    };
    assert_eq!(next.why, Why::Retry);
    assert_eq!(supervisor.open_session(2).await, Why::Retry);
}

#[tokio::test]
async fn a_session_has_its_longest_time() {
    let (acs, url) = FakeAcs::start().await;
    let mut supervisor = Supervisor::start(false).await;
    let mut config = config(&url);
    config.timing.session_max_s = 1;
    config.timing.second_ms = 1000;
    supervisor.configure(config, due(true)).await;
    supervisor.open_session(1).await;
    let mut stream = acs.accept().await;
    request(&mut stream, ENVELOPE_END).await;
    let failure = supervisor.failure().await;
    assert!(failure.stage == Stage::Timeout && failure.reason.contains("longest"), "{failure}");
    assert!(hung_up(&mut stream).await);
}

#[tokio::test]
async fn the_supervisor_can_end_a_session() {
    let (acs, url) = FakeAcs::start().await;
    let mut supervisor = Supervisor::start(false).await;
    supervisor.configure(config(&url), due(true)).await;
    supervisor.open_session(1).await;
    let mut stream = acs.accept().await;
    supervisor.push(Push::EndSession(SessionId(8))).await;
    inform(&mut stream).await;
    supervisor.answer(|_| Reply::Done).await;
    request(&mut stream, "\r\n\r\n").await;
    supervisor.push(Push::EndSession(SessionId(1))).await;
    assert!(hung_up(&mut stream).await);
    supervisor.push(Push::Due(due(true))).await;
    assert_eq!(supervisor.open_session(2).await, Why::Events);
}

#[tokio::test]
async fn a_lost_link_drops_the_session_and_the_worker_comes_back() {
    let (acs, url) = FakeAcs::start().await;
    let mut supervisor = Supervisor::start(false).await;
    supervisor.configure(beating(config(&url)), due(true)).await;
    supervisor.open_session(1).await;
    let mut stream = acs.accept().await;
    request(&mut stream, ENVELOPE_END).await;
    // Silence is a loss too: the old connection stays open, without heartbeats.
    let (to, from) = greet(&supervisor.listener).await;
    assert!(hung_up(&mut stream).await);
    (supervisor.to, supervisor.from) = (to, from);
    supervisor.configure(config(&url), due(true)).await;
    assert_eq!(supervisor.open_session(2).await, Why::Events);
}

#[tokio::test]
async fn a_reply_that_never_comes_means_that_the_link_is_lost() {
    let (_acs, url) = FakeAcs::start().await;
    let mut supervisor = Supervisor::start(true).await;
    let mut config = config(&url);
    config.timing.reply_ms = 100;
    supervisor.configure(config, due(true)).await;
    assert!(matches!(supervisor.receive().await, ToSupervisor::Query { .. }));
    assert_eq!(supervisor.exit().await, Exit::LinkLost);
}

#[tokio::test]
async fn told_to_stop_it_stops_even_in_mid_session() {
    let (acs, url) = FakeAcs::start().await;
    let mut supervisor = Supervisor::start(false).await;
    supervisor.configure(config(&url), due(true)).await;
    supervisor.open_session(1).await;
    let _stream = acs.accept().await;
    supervisor.push(Push::Stop).await;
    assert_eq!(supervisor.exit().await, Exit::Stopped);
}

#[tokio::test]
async fn a_child_leaves_with_its_supervisor_and_heartbeats_meanwhile() {
    let mut supervisor = Supervisor::start(true).await;
    supervisor.configure(beating(config("http://127.0.0.1:1/")), NOTHING_DUE).await;
    for _ in 0..3 {
        supervisor.send(ToWorker::Heartbeat).await;
        while timeout(SOON, supervisor.from.receive()).await.unwrap().unwrap() != ToSupervisor::Heartbeat {}
    }
    assert_eq!(supervisor.exit().await, Exit::LinkLost);
}

fn listening_on(url: &str, revision: u64, listen: std::net::SocketAddr) -> WorkerConfig {
    let wanted = ConnectionRequest {
        listen,
        path: "/x".to_owned(),
        username: "acs".to_owned(),
        password: Secret::new("secret"),
    };
    WorkerConfig { revision, connection_request: Some(wanted), ..config(url) }
}

impl Supervisor {
    async fn listening(&mut self) -> Result<u16, String> {
        loop {
            if let Report::Listening(listening) = self.report().await {
                return listening;
            }
        }
    }
}

#[tokio::test]
async fn the_connection_to_the_acs_comes_before_the_session() {
    let (acs, url) = FakeAcs::start().await;
    let mut supervisor = Supervisor::start(false).await;
    supervisor.configure(config(&url), due(true)).await;
    // Connected, and nothing is asked of the ACS before the supervisor has opened the session.
    let mut stream = acs.accept().await;
    let query = supervisor.answer(|_| Reply::SessionOpened(Box::new(opened(1)))).await;
    assert_eq!(
        query,
        Query::OpenSession {
            why: Why::Events,
            local: Some([127, 0, 0, 1].into()),
            peer: Some([127, 0, 0, 1].into()),
            revision: 5,
        }
    );
    inform(&mut stream).await;
}

#[tokio::test]
async fn the_port_is_told_before_the_first_session_and_follows_the_configuration() {
    let (acs, url) = FakeAcs::start().await;
    let mut supervisor = Supervisor::start(false).await;
    let any = "127.0.0.1:0".parse().unwrap();
    supervisor.push(Push::Config(Box::new(listening_on(&url, 5, any)))).await;
    supervisor.push(Push::Due(due(true))).await;
    let port = supervisor.listening().await.unwrap();
    assert_eq!(supervisor.report().await, Report::InUse(5));
    supervisor.open_session(1).await;
    let _session = acs.accept().await;
    TcpStream::connect(("127.0.0.1", port)).await.unwrap();

    // Taken by another: told, and tried again.
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap();
    supervisor.push(Push::Config(Box::new(listening_on(&url, 6, address)))).await;
    let why = supervisor.listening().await.unwrap_err();
    assert!(why.contains(&address.to_string()), "{why}");
    assert!(TcpStream::connect(("127.0.0.1", port)).await.is_err(), "the former port is closed");
    drop(taken);
    assert_eq!(supervisor.listening().await, Ok(address.port()));
    supervisor.push(Push::Config(Box::new(WorkerConfig { revision: 7, ..config(&url) }))).await;
    assert!(supervisor.listening().await.is_err());
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn both_families_reach_the_port() {
    let mut supervisor = Supervisor::start(false).await;
    let any = "[::]:0".parse().unwrap();
    supervisor.push(Push::Config(Box::new(listening_on("http://127.0.0.1:1/", 5, any)))).await;
    let port = supervisor.listening().await.unwrap();
    TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    if std::net::TcpListener::bind("[::1]:0").is_ok() {
        TcpStream::connect(("::1", port)).await.unwrap();
    }
}

#[tokio::test]
async fn an_acs_that_changes_while_we_connect_is_the_one_that_is_informed() {
    let (acs, url) = FakeAcs::start().await;
    let mut supervisor = Supervisor::start(false).await;
    // A port whose queue is full, so that nobody answers there.
    let full = TcpSocket::new_v4().unwrap();
    full.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let full = full.listen(0).unwrap();
    let address = full.local_addr().unwrap();
    let _in_it = TcpStream::connect(address).await.unwrap();
    let mut nowhere = config(&format!("http://{address}/"));
    nowhere.timing.second_ms = 1000;
    supervisor.configure(nowhere, due(true)).await;
    supervisor.push(Push::Config(Box::new(WorkerConfig { revision: 6, ..config(&url) }))).await;
    let informed = async {
        let mut stream = acs.accept().await;
        inform(&mut stream).await;
    };
    let opening = async {
        loop {
            if let ToSupervisor::Query { id, query: Query::OpenSession { .. } } = supervisor.receive().await {
                let reply = Reply::SessionOpened(Box::new(opened(1)));
                supervisor.send(ToWorker::Reply { id, reply }).await;
            }
        }
    };
    tokio::select! {
        () = informed => {}
        () = opening => {}
    }
}

#[tokio::test]
async fn another_protocol_number_is_incompatible() {
    let path = socket();
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let worker = tokio::spawn(run(path.clone(), false));
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut hello = Hello::ours(Protocol::Worker);
    hello.number += 1;
    let bytes = hello.to_bytes();
    stream.write_all(&u32::try_from(bytes.len()).unwrap().to_le_bytes()).await.unwrap();
    stream.write_all(&bytes).await.unwrap();
    assert_eq!(timeout(SOON, worker).await.unwrap().unwrap(), Exit::Incompatible);
    std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
}
