//! `cwmp show status`: a picture of the chain to the ACS with the link that failed, and what is behind it.

use ipc_proto::{
    UtcTime,
    control::{AcsState, AcsStatus, Status, Waiting, WorkerState},
    worker::{Stage, Why},
};

use super::{
    page::{Page, Tint},
    times,
};

/// The links of the chain, in their order.
const CHAIN: [&str; 8] = ["network", "DNS", "TCP", "TLS", "HTTP", "login", "SOAP", "session"];
const TLS: usize = 3;

/// The status for a person, as of `now`.
pub fn status(status: &Status, now: UtcTime, page: Page) -> String {
    let Status { acs, last_session, open_session, next_session, worker, .. } = status;
    let mut text = String::new();
    let mut line = |label: &str, rest: String| {
        text.push_str(&page.hang(&format!("{label:<20}"), &rest));
    };
    let state = match acs.state {
        AcsState::Disabled => "disabled",
        AcsState::NoUrl => "no URL",
        AcsState::Never => "not contacted yet",
        AcsState::Connected => "connected",
        AcsState::Disconnected => "disconnected",
    };
    line("ACS", state.to_owned());
    if !acs.url.is_empty() {
        line("ACS URL", format!("{} (from {})", acs.url, acs.url_source));
    }
    if let Some(stage) = acs.stage {
        line("Failed at", stage.to_string());
    }
    if let Some(reason) = &acs.reason {
        line("Reason", reason.clone());
    }
    if let Some(since) = open_session {
        line("Session open", format!("since {}", times::relative(*since, now)));
    }
    if let Some(last) = last_session {
        let events = if last.events.is_empty() { "no events".to_owned() } else { last.events.join(", ") };
        let millis = last.ended.millis().saturating_sub(last.started.millis());
        line("Last session", format!("{}, {events}", times::relative(last.started, now)));
        line("", format!("ended {} after {millis} ms", if acs.stage.is_some() { "badly" } else { "well" }));
    }
    match next_session {
        Some(next) => line("Next session", format!("{}, {}", times::relative(next.at, now), why(next.why))),
        None => line("Next session", "none is due".to_owned()),
    }
    if status.retry_count > 0 {
        line("Failed sessions", format!("{} since the last good one", status.retry_count));
    }
    let process = match (worker.state, worker.pid) {
        (WorkerState::Running, Some(pid)) => format!("running, pid {pid}"),
        (WorkerState::Running, None) => "running".to_owned(),
        (WorkerState::Starting, _) => "not connected yet".to_owned(),
        (WorkerState::Waiting, _) => "ended, started again soon".to_owned(),
        (WorkerState::Incompatible, _) => "of another version".to_owned(),
    };
    line("Worker", format!("{process}, restarts {}", worker.restarts));
    if worker.state == WorkerState::Running {
        let late = if worker.revision == worker.revision_wanted {
            String::new()
        } else {
            format!(", revision {} is wanted", worker.revision_wanted)
        };
        line("Configuration", format!("revision {} in use{late}", worker.revision));
    }
    if let Some(reason) = &worker.reason {
        line("", reason.clone());
    }
    let url = &status.connection_request_url;
    let open = |url: &str| format!("{url} (its port is open)");
    line("Connection request", if url.is_empty() { "cannot come in".to_owned() } else { open(url) });
    if let Some(problem) = &status.connection_request_problem {
        line("", problem.clone());
    }
    for Waiting { what, why, until, failed } in &status.waiting {
        let until = until.map(|until| format!(" until {},", times::relative(until, now))).unwrap_or_default();
        let colon = if until.is_empty() { ":" } else { "" };
        line(if *failed { "Failed" } else { "Waiting" }, format!("{what}{colon}{until} {why}"));
    }
    for warning in &status.warnings {
        line("Warning", warning.clone());
    }
    if let Some(picture) = picture(acs, page) {
        text = format!("{picture}\n{text}");
    }
    text
}

/// The chain from here to the ACS; none when nothing was tried.
fn picture(acs: &AcsStatus, page: Page) -> Option<String> {
    let (good, failed) = match (acs.state, acs.stage) {
        (AcsState::Connected, _) => (CHAIN.len(), CHAIN.len()),
        (AcsState::Disconnected, Some(stage)) => place(stage),
        _ => return None,
    };
    let plain = acs.url.starts_with("http:");
    let link = |(at, name): (usize, &&'static str)| {
        let (mark, tint) = match at {
            _ if at == failed => ("X", Tint::Bad),
            _ if at >= good => ("?", Tint::Dim),
            TLS if plain => ("-", Tint::Dim),
            _ => ("+", Tint::Good),
        };
        let text = format!("[{mark}] {name}");
        (text.chars().count(), page.tint(tint, &text))
    };
    let links: Vec<_> = CHAIN.iter().enumerate().map(link).collect();
    let fits = |between: &&str| {
        let width = links.iter().map(|(width, _)| width + between.len()).sum::<usize>() - between.len();
        page.width.is_none_or(|room| width <= room)
    };
    let between = [" -- ", " "].into_iter().find(fits).unwrap_or("\n");
    let texts: Vec<_> = links.into_iter().map(|(_, text)| text).collect();
    Some(format!("{}\n", texts.join(between)))
}

/// How many links are known to be good, and which one failed.
fn place(stage: Stage) -> (usize, usize) {
    let failed = match stage {
        Stage::Network => 0,
        Stage::Dns => 1,
        Stage::Tcp => 2,
        Stage::Tls | Stage::Certificate => TLS,
        Stage::Http | Stage::Redirect => 4,
        Stage::Auth => 5,
        Stage::Soap | Stage::Fault => 6,
        // There was a connection: it may be the ACS or what stands before it that is silent.
        Stage::Timeout => return (TLS + 1, CHAIN.len() - 1),
        // It says nothing of the way to the ACS.
        Stage::Worker => return (0, CHAIN.len() - 1),
    };
    (failed, failed)
}

fn why(why: Why) -> &'static str {
    match why {
        Why::Events => "to deliver events",
        Why::Periodic => "periodic",
        Why::Retry => "to retry",
        Why::Asked => "asked for",
        Why::ConnectionRequest => "the ACS asked for it",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipc_proto::control::{Source, WorkerStatus};

    fn broken() -> Status {
        Status {
            acs: AcsStatus {
                state: AcsState::Disconnected,
                stage: Some(Stage::Tcp),
                reason: Some("10.0.0.5:7547 refuses the connection\u{1b}[2J".to_owned()),
                url: "http://acs.example.org/".to_owned(),
                url_source: Source::Cli,
            },
            last_session: None,
            open_session: None,
            next_session: None,
            retry_count: 2,
            worker: WorkerStatus {
                state: WorkerState::Starting,
                pid: None,
                restarts: 0,
                revision: 0,
                revision_wanted: 1,
                reason: None,
            },
            connection_request_url: String::new(),
            connection_request_problem: None,
            warnings: Vec::new(),
            waiting: Vec::new(),
        }
    }

    #[test]
    fn the_failed_link_is_marked() {
        let text = status(&broken(), UtcTime::now(), Page { width: Some(200), colours: false });
        let chain = "[+] network -- [+] DNS -- [X] TCP -- [?] TLS -- [?] HTTP -- [?] login -- [?] SOAP";
        assert!(text.starts_with(chain), "{text}");
        assert!(!text.contains('\u{1b}'));
    }

    #[test]
    fn only_links_that_are_known_to_be_good_are_marked_so() {
        let chain = |stage| {
            let mut broken = broken();
            broken.acs.stage = Some(stage);
            let text = status(&broken, UtcTime::now(), Page { width: Some(200), colours: false });
            text.lines().next().unwrap().replace(" -- ", " ")
        };
        let silent = "[+] network [+] DNS [+] TCP [-] TLS [?] HTTP [?] login [?] SOAP [X] session";
        assert_eq!(chain(Stage::Timeout), silent);
        let worker = "[?] network [?] DNS [?] TCP [?] TLS [?] HTTP [?] login [?] SOAP [X] session";
        assert_eq!(chain(Stage::Worker), worker);
    }

    #[test]
    fn it_fits_into_every_width() {
        for width in [20, 80, 200] {
            let text = status(&broken(), UtcTime::now(), Page { width: Some(width), colours: false });
            assert!(text.lines().all(|line| line.chars().count() <= width), "{width}: {text}");
        }
    }
}
