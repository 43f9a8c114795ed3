//! A fake supervisor: the event table, the counts of failures, the session that is open; what is on disk lasts.

use std::collections::BTreeMap;

use ipc_proto::{
    Fault, FaultCode,
    listing::Listing,
    text::CommandKey,
    worker::{
        CpeRequest, DeviceId, Due, Event, EventCode, EventId, Query, ReadId, Reply, RetryState, SessionId,
        SessionOpened, SetStatus, Why,
    },
};

use super::choice::Choices;

/// What became of an event, from its birth on.
#[derive(Debug)]
pub struct Fate {
    pub code: EventCode,
    /// On disk now or before: it must arrive.
    pub promised: bool,
    /// Informs with it that the ACS answered.
    pub delivered: u32,
    /// How often its answer was lost before the commit.
    pub excused: u32,
}

#[derive(Debug)]
struct Open {
    id: SessionId,
    events: Vec<(EventId, EventCode)>,
    unstored: Option<EventId>,
    /// The ACS has answered the Inform, and that is not on disk.
    uncommitted: bool,
    /// The store did not take that.
    refused: bool,
}

#[derive(Debug, Default)]
pub struct Supervisor {
    /// On disk.
    stored: BTreeMap<EventId, EventCode>,
    pub retry: RetryState,
    /// In memory.
    attempted: u64,
    open: Option<Open>,
    /// What the proof knows of every event that there ever was.
    pub fates: BTreeMap<EventId, Fate>,
    sessions: u32,
}

impl Supervisor {
    pub fn raise(&mut self, code: EventCode) {
        let id = self.new_event(code, true);
        self.stored.insert(id, code);
    }

    fn new_event(&mut self, code: EventCode, promised: bool) -> EventId {
        let id = EventId(self.fates.len() as u64 + 1);
        self.fates.insert(id, Fate { code, promised, delivered: 0, excused: 0 });
        id
    }

    fn newest(&self) -> u64 {
        self.stored.keys().last().map_or(0, |id| id.0)
    }

    pub fn due(&self) -> Due {
        Due { events: !self.stored.is_empty(), fresh: self.newest() > self.attempted, retry: self.retry }
    }

    pub fn has_session(&self) -> bool {
        self.open.is_some()
    }

    pub fn open(&mut self, why: Why, choices: &mut Choices) -> SessionOpened {
        assert!(self.open.is_none(), "a second session is opened while one is open");
        let mut events: Vec<_> = self.stored.iter().map(|(id, code)| (*id, *code)).collect();
        let periodic = events.iter().any(|(_, code)| *code == EventCode::Periodic);
        let unstored = (matches!(why, Why::Periodic | Why::Asked) && !periodic)
            .then(|| self.new_event(EventCode::Periodic, false));
        events.extend(unstored.map(|id| (id, EventCode::Periodic)));
        if why == Why::ConnectionRequest {
            let code = EventCode::ConnectionRequest;
            events.push((self.new_event(code, false), code));
        }
        self.attempted = self.fates.len() as u64;
        self.sessions += 1;
        let id = SessionId(self.sessions);
        let named = |(id, code): &(EventId, EventCode)| Event {
            id: *id,
            code: *code,
            command_key: CommandKey::default(),
        };
        let opened = SessionOpened {
            session: id,
            retry_count: self.retry.count,
            device: DeviceId::default(),
            events: events.iter().map(named).collect(),
            parameters: Listing::default(),
            requests: if choices.chance(200) { vec![CpeRequest::GetRpcMethods] } else { Vec::new() },
        };
        self.open = Some(Open { id, events, unstored, uncommitted: false, refused: false });
        opened
    }

    /// The ACS has answered the Inform of the open session.
    pub fn heard_by_acs(&mut self) {
        let open = self.open.as_mut().expect("an Inform belongs to a session");
        open.uncommitted = true;
        for (id, _) in &open.events {
            let fate = self.fates.get_mut(id).expect("every event has a fate");
            fate.delivered += 1;
            assert!(fate.delivered <= 1 + fate.excused, "{:?} {id:?} came twice", fate.code);
        }
    }

    pub fn answer(&mut self, query: &Query, choices: &mut Choices) -> Reply {
        let (Query::InformAcknowledged { session, .. }
        | Query::Prepare { session, .. }
        | Query::Set { session, .. }) = query
        else {
            panic!("the session asks {query:?}")
        };
        let open = self.open.as_mut().expect("a query belongs to a session");
        assert_eq!(open.id, *session, "a query of another session");
        if choices.chance(30) {
            open.refused = true;
            return Reply::Fault(Fault::new(FaultCode::InternalError, "planned"));
        }
        match query {
            Query::InformAcknowledged { events, .. } => {
                assert!(open.uncommitted, "events are acknowledged that the ACS did not acknowledge");
                let ids: Vec<_> = open.events.iter().map(|(id, _)| *id).collect();
                assert_eq!(*events, ids, "others are acknowledged than the Inform carried");
                open.uncommitted = false;
                open.unstored = None;
                self.stored.retain(|id, _| !ids.contains(id));
                Reply::Done
            }
            Query::Prepare { .. } => Reply::Prepared { read: ReadId(1), count: choices.pick(4).into() },
            _ => Reply::Set(SetStatus::Applied),
        }
    }

    /// The session is over; `excuse` is true when something from outside ended it.
    pub fn close(&mut self, good: bool, excuse: bool) {
        let open = self.open.take().expect("a session ends once");
        self.settle(&open, excuse);
        if good {
            assert!(open.unstored.is_none(), "a session is good whose Inform nobody took");
            self.retry = RetryState::default();
            return;
        }
        self.retry.count += 1;
        self.retry.since_boot += 1;
        if let Some(id) = open.unstored {
            self.stored.insert(id, EventCode::Periodic);
            self.fates.get_mut(&id).expect("every event has a fate").promised = true;
        }
    }

    fn settle(&mut self, open: &Open, excuse: bool) {
        if open.uncommitted {
            assert!(excuse || open.refused, "the ACS answered the Inform, and nothing was committed");
            for (id, _) in &open.events {
                self.fates.get_mut(id).expect("every event has a fate").excused += 1;
            }
        }
    }

    /// Killed and started again in the same boot: what is in memory only is gone.
    pub fn killed(&mut self) {
        if let Some(open) = self.open.take() {
            self.settle(&open, true);
        }
        self.attempted = if self.retry.count > 0 { self.newest() } else { 0 };
    }

    /// The device starts again: the ranges of waits begin at the first (RETRY-05).
    pub fn rebooted(&mut self) {
        self.killed();
        self.retry.since_boot = 0;
        self.raise(EventCode::Boot);
    }

    /// Every promise is kept, and nothing came twice.
    pub fn judge(&self) {
        assert!(self.stored.is_empty() && self.open.is_none(), "not all is delivered: {:?}", self.stored);
        for (id, fate) in &self.fates {
            assert!(!fate.promised || fate.delivered > 0, "{:?} {id:?} is lost", fate.code);
            assert!(fate.delivered <= 1 + fate.excused, "{:?} {id:?} came twice", fate.code);
            if fate.code == EventCode::ConnectionRequest {
                assert!(!fate.promised && fate.delivered <= 1, "6 CONNECTION REQUEST is never retried");
            }
        }
    }
}
