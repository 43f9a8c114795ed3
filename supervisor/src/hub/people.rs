//! What people ask: answered at once, or queued as a job in its turn.

use ipc_proto::{
    HttpUrl, Secret, UtcTime, Value,
    control::{Request, Response},
    worker::{Failure, Push, Stage},
};

use super::{
    Hub, MAX_WAITING, access,
    command::{Answer, Client, Wait},
    job::Job,
    status, trust,
};
use crate::{
    config::{
        layers::Candidate,
        table::{self, Access, Author, Effect, name},
    },
    launch::Connected,
    store::CommitError,
};

impl Hub {
    pub(super) fn control(&mut self, request: Request, client: Client) {
        if let Some(reason) = access::refusal(client.role, &client.who, &request) {
            tracing::warn!("refused {}: {reason}", client.who);
            return client.answer(Response::Refused(reason));
        }
        let response = match request {
            Request::Set { name, value } => self.set(&name, value, &client),
            Request::Get { name } => self.get(&name),
            Request::ShowParameters => {
                Response::Parameters(status::rows(&self.state.layers, self.state.tree.schema().root()))
            }
            Request::ShowChanges => Response::Changes(status::changes(&self.state.layers)),
            Request::Status => Response::Status(Box::new(self.status())),
            Request::Revert => {
                let count = self.state.layers.candidate.len();
                self.state.layers.candidate.clear();
                Response::Done(vec![match count {
                    1 => "dropped 1 change".to_owned(),
                    n => format!("dropped {n} changes"),
                }])
            }
            Request::ShowConfig => {
                Response::Config(status::config(&self.state.layers, self.state.tree.schema().root()))
            }
            Request::WatchStatus => Response::StatusNow(Box::new(self.status())),
            // The front end reads it by itself, from the store.
            Request::ShowLog { .. } => Response::Log { lines: Vec::new(), more: false },
            Request::Inform => {
                self.inform();
                Response::Done(vec![])
            }
            Request::Restart => return self.restart(&client),
            Request::Apply { force, now, confirm } => {
                return self.queue(Job::Apply { force, confirm, client }, now);
            }
            Request::Save => return self.queue(Job::Save { client }, false),
            Request::Confirm => return self.queue(Job::Confirm { client }, false),
            Request::Reboot { now } => match self.reboot_refusal() {
                Some(refusal) => Response::Refused(refusal),
                None => return self.queue(Job::Reboot { client }, now),
            },
            Request::FactoryReset { now } => return self.queue(Job::FactoryReset { client }, now),
        };
        client.answer(response);
    }

    pub(super) fn queue(&mut self, job: Job, now: bool) {
        let (Some(client), words) = (job.client(), job.words()) else { return };
        if self.jobs_of_people.len() >= MAX_WAITING {
            return client
                .answer(Response::Refused("busy: too many changes wait, try again later".to_owned()));
        }
        if let Some(session) = &self.session {
            if now {
                let reason = format!("ended by `{words} --now`");
                self.end_session(session.id, Failure { stage: Stage::Worker, reason });
            } else {
                let how = if job.takes_now() { format!(" (`{words} --now` ends it)") } else { String::new() };
                let why = format!("a session with the ACS is open; waiting for its end{how}");
                client.answer(Response::Waiting(why));
            }
        }
        self.jobs_of_people.push_back(job);
    }

    pub(super) fn inform(&mut self) {
        if self.link.is_some() {
            self.push(Push::InformNow);
        } else {
            self.asked = true;
        }
    }

    pub(super) fn restart(&mut self, client: &Client) {
        let workers = self.progress.borrow().workers;
        self.asked = true;
        self.read_trust_again();
        self.push(Push::Stop);
        let connected =
            self.link.as_ref().map(|link| Connected { pid: link.pid, link: link.messages.downgrade() });
        self.launcher.restart(connected);
        let response = Response::Done(vec![]);
        client.send(Answer { response, wait: Wait::NewWorker(workers) });
    }

    pub(super) fn set(&mut self, name: &str, value: Secret, client: &Client) -> Response {
        let row = match table::row(name) {
            Ok(row) => row,
            Err(error) => return Response::Refused(error.to_string()),
        };
        if row.access == Access::Stack {
            return Response::Refused(format!("{name} is read-only: the device sets it by itself"));
        }
        let text = match row.parse(value.expose(), Author::Person) {
            Ok(text) => text,
            Err(error) => return Response::Refused(error.to_string()),
        };
        if let Some(refusal) = trust::refusal(row.name, &text) {
            return Response::Refused(refusal);
        }
        if let Some(refusal) = self.reserved(row, client.role).or_else(|| self.forbidden(row.name, &text)) {
            return Response::Refused(refusal);
        }
        self.state.layers.propose(row, text, client.who.clone(), UtcTime::now());
        let mut notes = Vec::new();
        if self.state.layers.dhcp_value(row).is_some() {
            notes.push("stored, but not in force while cwmp.use_dhcp=1".to_owned());
        }
        match self.state.layers.pending(row) {
            Some(_) if row.effect == Effect::NextSession => {
                notes.push("waits for `apply`; counts from the next session on".to_owned());
            }
            Some(_) => notes.push("waits for `apply`".to_owned()),
            None => notes.push("that is the running value: nothing to apply".to_owned()),
        }
        Response::Done(notes)
    }

    /// Why the settings forbid this value.
    pub(super) fn forbidden(&self, name: &str, text: &str) -> Option<String> {
        let url = HttpUrl::parse(text).ok().filter(|_| name == name::ACS_URL)?;
        self.settings.acs.refusal(&url)
    }

    pub(super) fn get(&self, name: &str) -> Response {
        let value = match table::row(name) {
            Ok(row) => {
                let text = self.state.layers.in_force(row).text;
                if row.secret {
                    Value::String(Secret::new(text).masked().to_owned())
                } else {
                    row.value(text)
                }
            }
            Err(error) => match self.sources().value(name) {
                Some(value) => value,
                None => return Response::Refused(error.to_string()),
            },
        };
        Response::Value { name: name.to_owned(), value }
    }

    pub(super) fn applied(
        &mut self,
        client: &Client,
        changes: &[Candidate],
        guarded: bool,
        result: Result<(), CommitError>,
    ) {
        if let Err(error) = result {
            return client.answer(Response::Refused(error.to_string()));
        }
        // What was set while this was written to disk waits for the next `apply`.
        self.state.layers.candidate.retain(|change| !changes.contains(change));
        let mut notes = Vec::new();
        if !self.state.layers.unsaved.is_empty() {
            notes.push("running, not saved: `save` keeps it over a reboot".to_owned());
        }
        if guarded {
            notes.push(
                "undone when the time is over and three sessions have failed with it, unless one succeeds or \
                 you say `confirm`"
                    .to_owned(),
            );
            self.session_at_once();
        }
        let wait = if self.link.is_some() { Wait::InUse(self.revision()) } else { Wait::No };
        if self.link.is_none() {
            notes
                .push("warning: the worker is not running; it will use the change when it starts".to_owned());
        }
        client.send(Answer { response: Response::Done(notes), wait });
    }
}

impl Client {
    /// Answers without waiting for anything.
    pub(super) fn answer(&self, response: Response) {
        self.send(Answer { response, wait: Wait::No });
    }

    fn send(&self, answer: Answer) {
        // A client that left does not wait for its answer.
        let _ = self.answers.try_send(answer);
    }
}
