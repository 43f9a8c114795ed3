//! The worker's side of the hub: its connection, its queries and reports, what is sent to it.

use ipc_proto::{
    UtcTime,
    worker::{
        ClientLine, Failure, Outcome, Push, Query, Reply, Report, SessionId, Stage, ToSupervisor, ToWorker,
    },
};

use super::{
    Hub, MAX_WAITING,
    command::{Link, LinkId},
    job::Job,
    sources,
};

impl Hub {
    pub(super) fn worker_connected(&mut self, link: Link) {
        if self.link.is_some() {
            tracing::warn!("another worker connected: the older link is dropped");
            self.drop_link("another worker took its place");
        }
        tracing::info!("worker connected, pid {}", link.pid);
        self.process.connected();
        self.progress.send_modify(|p| p.workers += 1);
        let id = link.id;
        self.link = Some(link);
        self.jobs_of_worker.push_back(Job::Greet(id));
    }

    pub(super) fn worker_says(&mut self, link: LinkId, message: ToSupervisor) {
        match message {
            ToSupervisor::Heartbeat => {}
            ToSupervisor::Report(Report::InUse(revision)) => {
                self.progress.send_modify(|p| p.in_use = revision);
                self.due_may_change();
            }
            ToSupervisor::Report(Report::Next(next)) => self.next_session = next,
            ToSupervisor::Report(Report::Listening(listening)) => self.listening(Some(listening)),
            ToSupervisor::Report(Report::Log(lines)) => self.log_client(lines),
            ToSupervisor::Report(Report::SessionClosed { session, outcome }) => {
                self.jobs_of_worker.push_back(Job::Close(session, outcome));
            }
            ToSupervisor::Report(Report::VersionRefused { session, offered }) => {
                if let Some(open) = self.session.as_mut().filter(|open| open.id == session) {
                    open.version_refused(offered);
                }
            }
            ToSupervisor::Query { id, query: Query::Prepare { session, read } } => {
                let reply = match self.session.as_mut().filter(|open| open.id == session) {
                    // Built from its fields: the session is borrowed beside them.
                    Some(open) => open.prepare(sources(&self.state, &self.device, &self.settings), &read),
                    None => Reply::NoSession,
                };
                self.reply(link, id, reply);
            }
            ToSupervisor::Query { id, query: Query::Page { session, read, page } } => {
                let sources = sources(&self.state, &self.device, &self.settings);
                let open = self.session.as_mut().filter(|open| open.id == session);
                let reply = open.map_or(Reply::NoSession, |open| open.page(sources, read, page));
                self.reply(link, id, reply);
            }
            ToSupervisor::Query { id, query } => {
                self.jobs_of_worker.push_back(Job::Query { link, id, query })
            }
        }
        if self.jobs_of_worker.len() > MAX_WAITING {
            self.drop_link("it asked too much at once");
        }
    }

    pub(super) fn is_current(&self, id: LinkId) -> bool {
        self.link.as_ref().is_some_and(|link| link.id == id)
    }

    /// Forgets the worker's connection; an open session counts as failed.
    pub(super) fn drop_link(&mut self, reason: &str) {
        self.link = None;
        self.next_session = None;
        self.listening(None);
        self.progress.send_modify(|p| p.in_use = 0);
        self.jobs_of_worker.retain(|job| !job.is_query());
        if let Some(open) = &self.session {
            let reason = format!("the worker was lost in the session: {reason}");
            let what = "session closed".to_owned();
            let detail = format!("failed: {reason}");
            let (at, session) = (UtcTime::now(), Some(open.id));
            let line = ClientLine { at, session, what, detail, took_ms: None };
            let id = open.id;
            self.log_client(vec![line]);
            self.jobs_of_worker.push_back(Job::Close(id, failed(reason)));
        }
    }

    pub(super) fn end_session(&mut self, session: SessionId, failure: Failure) {
        self.push(Push::EndSession(session));
        self.jobs_of_worker.push_back(Job::Close(session, Outcome::Failed(failure)));
    }

    pub(super) fn reply(&mut self, link: LinkId, id: u32, reply: Reply) {
        if self.is_current(link) {
            self.send(ToWorker::Reply { id, reply });
        }
    }

    pub(super) fn push(&mut self, push: Push) {
        self.send(ToWorker::Push(push));
    }

    pub(super) fn send(&mut self, message: ToWorker) {
        let sent = self.link.as_ref().map(|link| link.messages.try_send(message).is_ok());
        if sent == Some(false) {
            tracing::warn!("the worker does not read its messages: disconnected");
            self.drop_link("it did not read its messages");
        }
    }
}

/// A session that did not end by itself.
pub(super) fn failed(reason: String) -> Outcome {
    Outcome::Failed(Failure { stage: Stage::Worker, reason })
}
