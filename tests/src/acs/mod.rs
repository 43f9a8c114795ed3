//! A scripted ACS on loopback: it plays one plan a session, records every message, and wakes whoever waits.

mod connection;
pub mod decode;
pub mod envelope;
mod gate;
mod plan;
mod record;
pub mod rules;
mod signpost;
mod wire;

use std::collections::{HashMap, VecDeque};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub use envelope::Envelope;
pub use gate::{Gate, Scheme};
pub use plan::{Plan, Trouble};
pub use record::{Direction, Ending, Message, Session};

/// A running test ACS; dropping it closes every connection, waits for its threads and holds what the device sent
/// against the schemas.
pub struct Acs {
    shared: Arc<Shared>,
    address: SocketAddr,
    judges: bool,
    acceptor: Option<JoinHandle<()>>,
    others: Mutex<Vec<(SocketAddr, JoinHandle<()>)>>,
}

impl Acs {
    /// Starts on a free port of 127.0.0.1.
    pub fn start() -> Self {
        Self::start_on(0)
    }

    /// Starts on this port, for an ACS that comes back to its address.
    pub fn start_on(port: u16) -> Self {
        Self::start_at((Ipv4Addr::LOCALHOST, port).into())
    }

    /// Starts at this address of the machine.
    pub fn start_at(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).expect("the test ACS's port is free");
        let address = listener.local_addr().expect("a bound socket has an address");
        let shared = Arc::new(Shared {
            started: Instant::now(),
            state: Mutex::new(State::default()),
            changed: Condvar::new(),
        });
        let for_acceptor = Arc::clone(&shared);
        let acceptor = std::thread::spawn(move || accept(&listener, &for_acceptor));
        Self { shared, address, judges: true, acceptor: Some(acceptor), others: Mutex::default() }
    }

    /// Does not hold what the device sent against the schemas in the end: for a device that is wrong on purpose,
    /// and for programs that are no tests.
    pub fn unjudged(self) -> Self {
        let mut this = self;
        this.judges = false;
        this
    }

    /// The ACS URL to give to the device.
    pub fn url(&self) -> String {
        format!("http://{}/cwmp", self.address)
    }

    /// The TCP port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Time since the ACS started, the clock of every recorded message.
    pub fn clock(&self) -> Duration {
        self.shared.started.elapsed()
    }

    /// Queues a plan; each session takes the oldest one, and none left means InformResponse and 204.
    pub fn plan(&self, plan: Plan) {
        self.shared.lock().plans.push_back(plan);
    }

    /// Lets nobody in without this login from now on.
    pub fn guard(&self, gate: Gate) {
        self.shared.lock().gate = Some(gate);
    }

    /// The Authorization of every request at the gate, with its connection.
    pub fn at_the_gate(&self) -> Vec<(u32, Option<String>)> {
        self.shared.lock().gate.as_ref().map(|gate| gate.seen.clone()).unwrap_or_default()
    }

    /// Waits until `count` sessions in all have ended and returns every ended one; panics with the record after `timeout`.
    pub fn wait_sessions(&self, count: usize, timeout: Duration) -> Vec<Session> {
        self.wait(timeout, &format!("{count} sessions to end"), |state| {
            (state.ended.len() >= count).then(|| state.ended.clone())
        })
    }

    /// Waits for the Inform number `count` (from 1) to arrive and returns it decoded; its session may still run.
    pub fn wait_inform(&self, count: usize, timeout: Duration) -> decode::Inform {
        let body = self.wait(timeout, &format!("Inform number {count}"), |state| {
            state.informs.get(count - 1).map(|message| message.body.clone())
        });
        decode::inform(&body)
    }

    /// Serves the same sessions at another host of this machine too, such as 127.0.0.2; returns its URL.
    pub fn also_at(&self, host: Ipv4Addr) -> String {
        let listener = TcpListener::bind((host, 0)).expect("loopback has this address");
        let address = listener.local_addr().expect("a bound socket has an address");
        let shared = Arc::clone(&self.shared);
        let thread = std::thread::spawn(move || accept(&listener, &shared));
        self.others.lock().unwrap_or_else(PoisonError::into_inner).push((address, thread));
        format!("http://{address}/cwmp")
    }

    /// Redirects the request number `nth` (from 0, counted over all there are from now on) to `location`.
    pub fn redirect(&self, nth: usize, status: u16, location: &str) {
        self.shared.lock().signposts.add(nth, status, location);
    }

    /// The requests that were redirected: head, headers, body, and their connection.
    pub fn redirected(&self) -> Vec<Message> {
        self.shared.lock().signposts.seen.clone()
    }

    /// Calls `told` with every session that ends from now on.
    pub fn each_session(&self, told: impl Fn(&Session) + Send + 'static) {
        self.shared.lock().listener = Some(Box::new(told));
    }

    /// How many sessions have ended by now.
    pub fn sessions_so_far(&self) -> usize {
        self.shared.lock().ended.len()
    }

    /// Waits until every connection made so far is served to its end, so that whatever a device that is gone
    /// now has sent is on record.
    pub fn settle(&self, timeout: Duration) {
        // Connections are accepted in order: once this one is, all older ones are.
        let fence = TcpStream::connect(self.address).expect("the test ACS listens");
        let own = fence.local_addr().ok();
        self.wait(timeout, "a connection to be accepted", |state| {
            state.live.values().any(|stream| stream.peer_addr().ok() == own).then_some(())
        });
        drop(fence);
        self.wait(timeout, "every connection to end", |state| state.live.is_empty().then_some(()));
    }

    fn wait<T>(&self, timeout: Duration, what: &str, ready: impl Fn(&State) -> Option<T>) -> T {
        let deadline = Instant::now() + timeout;
        let mut state = self.shared.lock();
        loop {
            if let Some(found) = ready(&state) {
                return found;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "waited {timeout:?} for {what}; so far {}", state.summary());
            state = self.shared.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Drop for Acs {
    fn drop(&mut self) {
        {
            let mut state = self.shared.lock();
            state.closing = true;
            for stream in state.live.values() {
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
        // Wakes the acceptor, which then sees `closing`.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.acceptor.take() {
            let _ = thread.join();
        }
        for (address, thread) in self.others.get_mut().unwrap_or_else(PoisonError::into_inner).drain(..) {
            let _ = TcpStream::connect(address);
            let _ = thread.join();
        }
        // Every message that a test sees is valid, whatever the test is about.
        if self.judges && !std::thread::panicking() {
            crate::schema::assert_valid(&self.shared.lock().ended);
        }
    }
}

/// A listener that never completes a handshake: its queue is full, so a connect hangs as at a dead address.
pub struct BlackHole {
    address: SocketAddr,
    _listener: TcpListener,
    _fillers: Vec<TcpStream>,
}

impl BlackHole {
    /// Fills the queue of a listener that nobody accepts from.
    pub fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let shortest = nix::sys::socket::Backlog::new(0).expect("0 is a backlog");
        nix::sys::socket::listen(&listener, shortest).expect("a listener may change its backlog");
        let mut fillers = Vec::new();
        while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
            fillers.push(stream);
            assert!(fillers.len() < 64, "the queue of the black hole does not fill");
        }
        Self { address, _listener: listener, _fillers: fillers }
    }

    /// The ACS URL that leads nowhere.
    pub fn url(&self) -> String {
        format!("http://{}/cwmp", self.address)
    }
}

/// A port of loopback on which nobody listens.
pub fn unused_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("a bound socket has an address").port()
}

struct Shared {
    started: Instant,
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A test that panicked while it held the lock has failed already.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Listener = Box<dyn Fn(&Session) + Send>;

#[derive(Default)]
struct State {
    plans: VecDeque<Plan>,
    gate: Option<Gate>,
    signposts: signpost::Signposts,
    open: Option<connection::OpenSession>,
    ended: Vec<Session>,
    listener: Option<Listener>,
    informs: Vec<Message>,
    sessions_begun: u32,
    live: HashMap<u32, TcpStream>,
    connections: u32,
    closing: bool,
}

impl State {
    fn summary(&self) -> String {
        let ended: Vec<String> =
            self.ended.iter().map(|s| format!("{:?} {:?}", s.cpe_kinds(), s.ending)).collect();
        let open = self.open.as_ref().map(|open| {
            open.messages.iter().map(|m| format!("{:?} {}", m.direction, m.kind())).collect::<Vec<_>>()
        });
        format!("ended: {ended:#?}, open: {open:?}, connections: {}", self.connections)
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut threads = Vec::new();
    while let Ok((stream, _)) = listener.accept() {
        let number = {
            let mut state = shared.lock();
            if state.closing {
                break;
            }
            state.connections += 1;
            let number = state.connections;
            if let Ok(twin) = stream.try_clone() {
                state.live.insert(number, twin);
            }
            number
        };
        shared.changed.notify_all();
        let shared = Arc::clone(shared);
        threads.push(std::thread::spawn(move || connection::serve(&shared, stream, number)));
    }
    for thread in threads {
        let _ = thread.join();
    }
}
