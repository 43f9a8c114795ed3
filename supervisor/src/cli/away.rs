//! A live view outlives a restart of the supervisor: when to wait for it, for how long, and where to go on.

use std::time::Duration;

use ipc_proto::{
    channel::ChannelError,
    control::{LogLine, Request},
    version::HelloError,
};

use super::client::ClientError;

/// Before the first attempt to reach the supervisor again; the wait doubles.
const FIRST: Duration = Duration::from_millis(100);
/// The longest wait between two attempts.
const LONGEST: Duration = Duration::from_secs(2);

/// The supervisor, as the view last saw it.
#[derive(Debug, Default)]
pub struct Away {
    answered: bool,
    wait: Option<Duration>,
}

/// What to do about a supervisor that is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// Then try again.
    pub pause: Duration,
    /// The first of this absence: a person is told.
    pub first: bool,
}

impl Away {
    /// It answers.
    pub fn is_back(&mut self) {
        (self.answered, self.wait) = (true, None);
    }

    /// It is gone. None when waiting is no use: it was never there, or is one of another version now.
    pub fn gone(&mut self, error: &ClientError) -> Option<Wait> {
        let other = |error| matches!(error, &ChannelError::Hello(HelloError::Version { .. }));
        if !self.answered || matches!(error, ClientError::Channel { error, .. } if other(error)) {
            return None;
        }
        let first = self.wait.is_none();
        let pause = self.wait.map_or(FIRST, |wait| LONGEST.min(wait * 2));
        self.wait = Some(pause);
        Some(Wait { pause, first })
    }
}

/// Notes in the request what was seen, so that the same request goes on behind it and leaves nothing out.
pub fn go_on_behind(request: &mut Request, seen: &[LogLine]) {
    if let Request::ShowLog { after_id, limit, .. } = request {
        *after_id = seen.last().map_or(*after_id, |line| line.id);
        *limit = u32::MAX;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipc_proto::{
        UtcTime,
        control::{Log, LogEntry},
    };

    fn closed() -> ClientError {
        ClientError::Channel { path: "/s".into(), error: ChannelError::Closed }
    }

    #[test]
    fn the_waits_grow_to_two_seconds_and_it_is_told_once_an_absence() {
        let mut away = Away::default();
        assert_eq!(away.gone(&closed()), None);
        for _ in 0..2 {
            away.is_back();
            let waits: Vec<_> = (0..7).map(|_| away.gone(&closed()).unwrap()).collect();
            let millis: Vec<_> = waits.iter().map(|wait| wait.pause.as_millis()).collect();
            assert_eq!(millis, [100, 200, 400, 800, 1600, 2000, 2000]);
            assert_eq!(waits.iter().filter(|wait| wait.first).count(), 1);
        }
    }

    #[test]
    fn one_of_another_version_is_not_waited_for() {
        let mut away = Away::default();
        away.is_back();
        let error = ChannelError::Hello(HelloError::Version {
            protocol: ipc_proto::version::Protocol::Control,
            ours: 1,
            theirs: 2,
            build: String::new(),
        });
        assert_eq!(away.gone(&ClientError::Channel { path: "/s".into(), error }), None);
    }

    #[test]
    fn a_view_of_an_empty_log_leaves_out_nothing_that_came_meanwhile() {
        let (log, since) = (Log::Config, None);
        let mut request = Request::ShowLog { log, after_id: 0, since, limit: 5, follow: true };
        go_on_behind(&mut request, &[]);
        let all = Request::ShowLog { log, after_id: 0, since, limit: u32::MAX, follow: true };
        assert_eq!(request, all);
        let (what, detail) = (String::new(), String::new());
        let entry = LogEntry::Client { session: None, what, detail, took_ms: None };
        go_on_behind(&mut request, &[LogLine { id: 7, at: UtcTime::from_millis(0), entry }]);
        assert!(matches!(request, Request::ShowLog { after_id: 7, .. }));
        go_on_behind(&mut request, &[]);
        assert!(matches!(request, Request::ShowLog { after_id: 7, .. }));
    }
}
