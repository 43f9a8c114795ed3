//! What changes something: planned against the state, committed, then answered.

use ipc_proto::{
    Fault, FaultCode, UtcTime,
    control::Response,
    worker::{EventId, Outcome, Query, Reply, RowChange, SessionId, SetStatus},
};

use super::{
    Hub, OpenSession,
    command::{Client, LinkId},
    state, trust,
};
use crate::{
    config::{layers::Candidate, table::name},
    model::{objects, transaction},
    store::{Fact, SessionRecord, Write},
};

/// A thing to do, in its turn.
pub enum Job {
    /// Make the candidate running.
    Apply {
        /// Over conflicts too.
        force: bool,
        /// Undone after so many minutes unless it proves good.
        confirm: Option<u32>,
        /// Gets the answer.
        client: Client,
    },
    /// Make running the startup configuration.
    Save {
        /// Gets the answer.
        client: Client,
    },
    /// A query of the worker that needs its turn.
    Query {
        /// The connection it came by.
        link: LinkId,
        /// Its id.
        id: u32,
        /// The query.
        query: Query,
    },
    /// The session has ended.
    Close(SessionId, Outcome),
    /// Restart the device.
    Reboot {
        /// Gets the answer.
        client: Client,
    },
    /// Bring the factory values back.
    FactoryReset {
        /// Gets the answer.
        client: Client,
    },
    /// Run the command of the recorded action.
    Act(Option<Client>),
    /// Store this, whatever follows.
    Note(Write),
    /// What `apply confirm` made running stays.
    Confirm {
        /// Gets the answer.
        client: Client,
    },
    /// What `apply confirm` made running is undone.
    RollBack,
    /// Give a new worker what it needs.
    Greet(LinkId),
    /// The time of a ScheduleInform has come.
    Scheduled,
}

/// What follows a commit.
pub enum Then {
    /// Answer `apply` of these changes, which are undone unless they prove good if this is true.
    Applied(Client, Vec<Candidate>, bool),
    /// Answer `save` of so many values.
    Saved(Client, usize),
    /// Answer the worker.
    Reply {
        /// The connection it came by.
        link: LinkId,
        /// The query's id.
        id: u32,
        /// The answer if all went well.
        reply: Reply,
    },
    /// Show how the session ended, and tell the worker what is due.
    SessionEnded(SessionRecord),
    /// Send the configuration to the new worker.
    Greeted,
    /// An action is recorded: run it.
    Recorded(Client),
    /// It is recorded that the action runs: start its command.
    Act(Option<Client>),
    /// The factory values are in force, as this person asked for, or else the ACS.
    Reset(Option<Client>),
    /// A change was undone, in these words.
    RolledBack(String),
    /// Answer `confirm` with this.
    Confirmed(Client, String),
    /// Nothing.
    Noted,
}

impl Job {
    /// Who waits for it.
    pub fn client(&self) -> Option<&Client> {
        match self {
            Self::Apply { client, .. }
            | Self::Save { client }
            | Self::Reboot { client }
            | Self::FactoryReset { client }
            | Self::Confirm { client } => Some(client),
            Self::Act(_) | Self::Note(_) | Self::RollBack | Self::Scheduled => None,
            Self::Query { .. } | Self::Close(..) | Self::Greet(_) => None,
        }
    }

    /// As a person asked for it.
    pub fn words(&self) -> &'static str {
        match self {
            Self::Save { .. } => "save",
            Self::Reboot { .. } => "reboot",
            Self::FactoryReset { .. } => "factory reset",
            Self::Confirm { .. } => "confirm",
            _ => "apply",
        }
    }

    /// A person may say `--now`.
    pub fn takes_now(&self) -> bool {
        matches!(self, Self::Apply { .. } | Self::Reboot { .. } | Self::FactoryReset { .. })
    }

    /// True for a query: void when its link is gone.
    pub fn is_query(&self) -> bool {
        matches!(self, Self::Query { .. })
    }
}

/// The fault of a store that cannot be written.
pub fn store_fault() -> Reply {
    Reply::Fault(Fault::new(FaultCode::InternalError, "the device cannot store it now"))
}

impl Hub {
    /// The writes of a job and what follows them; none when it was refused and answered.
    pub(super) fn plan(&mut self, job: Job) -> Option<(Vec<Write>, Then)> {
        match job {
            Job::Apply { force, confirm, client } => self.plan_apply(force, confirm, client),
            Job::Reboot { client } => self.plan_reboot(client),
            Job::FactoryReset { client } => self.plan_factory_reset(Some(client)),
            Job::Act(client) => self.plan_act(client),
            Job::Note(write) => Some((vec![write], Then::Noted)),
            Job::Confirm { client } => self.plan_confirm(client),
            Job::RollBack => self.plan_roll_back(),
            Job::Save { client } => {
                if let Some(refusal) = self.save_refusal() {
                    client.answer(Response::Refused(refusal));
                    return None;
                }
                let writes = state::save(&self.state.layers);
                let count = writes.len() / 2;
                Some((writes, Then::Saved(client, count)))
            }
            Job::Query { link, id, query } => {
                let (writes, reply) = self.plan_query(query);
                Some((writes, Then::Reply { link, id, reply }))
            }
            Job::Close(id, outcome) => self.plan_close(id, outcome),
            Job::Greet(link) if self.is_current(link) => Some((Vec::new(), Then::Greeted)),
            Job::Greet(_) => None,
            Job::Scheduled => self.plan_scheduled(),
        }
    }

    fn plan_apply(
        &mut self,
        force: bool,
        confirm: Option<u32>,
        client: Client,
    ) -> Option<(Vec<Write>, Then)> {
        let layers = &self.state.layers;
        if layers.candidate.is_empty() {
            client.answer(Response::Done(vec!["nothing to apply".to_owned()]));
            return None;
        }
        let to_be = |name: &str| {
            let new = layers.candidate.iter().find(|change| change.row.name == name);
            new.map_or_else(|| layers.text(name), |change| change.text.as_str())
        };
        if let Some(refusal) = trust::half_a_pair(to_be(name::CLIENT_CERT), to_be(name::CLIENT_KEY)) {
            client.answer(Response::Refused(refusal.to_owned()));
            return None;
        }
        let conflicts: Vec<_> = layers.conflicts().map(|change| change.row.name).collect();
        if !force && !conflicts.is_empty() {
            client.answer(Response::Refused(format!(
                "changed since it was set: {}. Look at `show changes`, then `apply force` or `revert`",
                conflicts.join(", ")
            )));
            return None;
        }
        let changes = layers.candidate.clone();
        let mut writes = state::apply(layers, UtcTime::now());
        let guard = confirm.map_or(Ok(None), |minutes| self.guarded(&writes, minutes, &client.who));
        let guarded = match guard {
            Ok(guard) => {
                writes.extend(guard.clone());
                guard.is_some()
            }
            Err(refusal) => {
                client.answer(Response::Refused(refusal));
                return None;
            }
        };
        Some((writes, Then::Applied(client, changes, guarded)))
    }

    fn plan_query(&mut self, query: Query) -> (Vec<Write>, Reply) {
        match query {
            // Events of the new ACS are not for the one that the worker has connected to.
            Query::OpenSession { revision, .. } if revision < self.acs_since => (Vec::new(), Reply::Outdated),
            Query::OpenSession { why, local, peer, .. } => {
                if self.session.is_some() {
                    let detail = "a session is open already";
                    return (Vec::new(), Reply::Fault(Fault::new(FaultCode::RequestDenied, detail)));
                }
                self.reached(local, peer);
                self.sessions += 1;
                let (id, event) = (SessionId(self.sessions), EventId(self.last_event_id + 1));
                self.last_event_id += 2;
                let open = OpenSession::open(&self.state, id, why, UtcTime::now(), event, self.changes());
                // With the one that is stored only if this session fails.
                self.attempted = EventId(self.last_event_id);
                self.changes_attempted();
                self.nudged = false;
                self.spread.end();
                let opened = open.opened(self.sources(), self.state.retry());
                self.mark.set(self.state.retry(), open.unstored());
                self.session = Some(open);
                self.try_guard();
                (Vec::new(), Reply::SessionOpened(Box::new(opened)))
            }
            Query::InformAcknowledged { session, events } => {
                match self.session.as_mut().filter(|open| open.id == session) {
                    Some(open) => {
                        let before = open.unstored();
                        let writes = open.acknowledged(&self.state, &events);
                        if open.unstored() != before {
                            self.mark.set(self.state.retry(), open.unstored());
                        }
                        (writes, Reply::Done)
                    }
                    None => (Vec::new(), Reply::NoSession),
                }
            }
            Query::Set { session, values, parameter_key } => {
                if !self.release_read(session) {
                    return (Vec::new(), Reply::NoSession);
                }
                let forbidden = |name: &str, text: &str| self.forbidden(name, text);
                match transaction::set_values(&self.state.tree, &values, UtcTime::now(), forbidden) {
                    Ok(mut writes) => {
                        writes.extend(self.told_by_acs(&writes));
                        writes.push(Write::Fact(Fact::ParameterKey, parameter_key.as_str().to_owned()));
                        (writes, Reply::Set(SetStatus::Applied))
                    }
                    Err(fault) => (Vec::new(), Reply::Fault(fault)),
                }
            }
            Query::Row { session, change, name, parameter_key } => {
                if !self.release_read(session) {
                    return (Vec::new(), Reply::NoSession);
                }
                let tree = &self.state.tree;
                let planned = match change {
                    RowChange::Add => objects::add(tree, &name)
                        .map(|(write, number)| (write, Reply::Added(number, SetStatus::Applied))),
                    RowChange::Delete => {
                        objects::delete(tree, &name).map(|write| (write, Reply::Set(SetStatus::Applied)))
                    }
                };
                match planned {
                    Ok((write, reply)) => {
                        let key = Write::Fact(Fact::ParameterKey, parameter_key.as_str().to_owned());
                        let mut writes = vec![write];
                        writes.extend(self.told_by_acs(&writes));
                        writes.push(key);
                        (writes, reply)
                    }
                    Err(fault) => (Vec::new(), Reply::Fault(fault)),
                }
            }
            Query::Reboot { session, command_key } if self.is_open(session) => {
                self.plan_reboot_for_acs(command_key)
            }
            Query::FactoryReset { session } if self.is_open(session) => self.plan_reset_for_acs(),
            Query::ScheduleInform { session, delay_seconds, command_key } if self.is_open(session) => {
                self.plan_schedule(delay_seconds, command_key)
            }
            Query::Reboot { .. } | Query::FactoryReset { .. } | Query::ScheduleInform { .. } => {
                (Vec::new(), Reply::NoSession)
            }
            Query::SetAttributes { session, attributes } => {
                if !self.release_read(session) {
                    return (Vec::new(), Reply::NoSession);
                }
                match self.state.attributes.plan(self.sources(), &attributes) {
                    Ok(writes) => (writes, Reply::Done),
                    Err(fault) => (Vec::new(), Reply::Fault(fault)),
                }
            }
            // Answered before they become jobs.
            Query::Prepare { .. } | Query::Page { .. } => (Vec::new(), Reply::NoSession),
        }
    }

    /// What a prepared read is of may change now; false when that session is not open.
    fn release_read(&mut self, session: SessionId) -> bool {
        let open = self.session.as_mut().filter(|open| open.id == session);
        open.map(OpenSession::release).is_some()
    }

    fn is_open(&self, session: SessionId) -> bool {
        self.session.as_ref().is_some_and(|open| open.id == session)
    }

    fn plan_close(&mut self, id: SessionId, outcome: Outcome) -> Option<(Vec<Write>, Then)> {
        // A session that was ended here already is ended by the worker too.
        let open = self.session.take_if(|open| open.id == id)?;
        let (mut writes, record) = open.close(&self.state, outcome, UtcTime::now());
        writes.extend(self.judge_guard(&record));
        match &record.failure {
            None => {
                // At once: nothing of it is to be counted any more.
                self.mark.clear();
                tracing::info!("session {} succeeded: {}", id.0, record.events.join(", "));
            }
            Some(failure) => {
                tracing::warn!("session {} failed: {failure}", id.0);
                // Void with the failure, until the worker has drawn its wait.
                self.next_session = None;
            }
        }
        self.store.log_session(record.clone());
        Some((writes, Then::SessionEnded(record)))
    }
}
