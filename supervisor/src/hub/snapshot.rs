//! The state as the worker needs it: its whole configuration.

use std::str::FromStr;

use ipc_proto::{
    HttpUrl, Secret, UtcTime,
    retry::RetryPolicy,
    value::DateTime,
    worker::{Acs, ConnectionRequest, DeviceId, Periodic, Timing, WorkerConfig},
};

use super::{state::State, trust};
use crate::{
    config::table::name,
    device::identity,
    settings::{Settings, TimingSettings},
    store::Fact,
};

/// The configuration of the worker. Without an ACS it opens no session.
pub fn worker_config(
    state: &State,
    device: &DeviceId,
    settings: &Settings,
    trust: &mut trust::Kept,
    clock_synchronised: bool,
    revision: u64,
) -> WorkerConfig {
    let layers = &state.layers;
    let may_talk = layers.is_on(name::ENABLE) && identity::is_usable(device);
    let url =
        HttpUrl::parse(state.acs_url()).ok().filter(|url| may_talk && settings.acs.refusal(url).is_none());
    // Without an ACS nobody may ask for a session.
    let listen = settings
        .connection_request
        .listen
        .parse()
        .ok()
        .filter(|_| url.is_some() && layers.is_on(name::CON_REQ_ENABLE));
    let connection_request = listen.map(|listen| ConnectionRequest {
        listen,
        path: state.fact(Fact::ConReqPath).to_owned(),
        username: layers.text(name::CON_REQ_USERNAME).to_owned(),
        password: Secret::new(layers.text(name::CON_REQ_PASSWORD)),
    });
    let periodic = layers.is_on(name::PERIODIC_INFORM_ENABLE).then(|| Periodic {
        interval: layers.number(name::PERIODIC_INFORM_INTERVAL).max(1),
        phase: phase(layers.text(name::PERIODIC_INFORM_TIME), state.fact(Fact::PeriodicPhase)),
    });
    let TimingSettings { second_ms, heartbeat_ms, reply_ms, session_max_s, .. } = settings.timing;
    let trust = trust.of(layers, url.is_some());
    WorkerConfig {
        revision,
        acs: url.map(|url| Acs {
            trust: trust.clone(),
            url,
            response_timeout: layers.number(name::ACS_RESPONSE_TIMEOUT),
            username: layers.text(name::ACS_USERNAME).to_owned(),
            password: Secret::new(layers.text(name::ACS_PASSWORD)),
            allow_hosts: settings.acs.allow_hosts.clone(),
            allow_basic_http: settings.acs.allow_basic_http,
            max_version: state.offered_version(),
            session_timeout: settings.acs.session_timeout_s,
            lenient: settings.acs.lenient,
        }),
        connection_request,
        periodic,
        retry: RetryPolicy {
            min_wait: layers.number(name::RETRY_MIN_WAIT),
            multiplier: layers.number(name::RETRY_MULTIPLIER),
        },
        timing: Timing { second_ms, heartbeat_ms, reply_ms, session_max_s },
        clock_synchronised,
    }
}

/// PeriodicInformTime where it is known, else this device's own choice (PER-01, PER-02).
fn phase(time: &str, own: &str) -> UtcTime {
    let set = DateTime::parse(time).and_then(|time| time.instant());
    set.unwrap_or_else(|| UtcTime::from_millis(i64::from_str(own).unwrap_or(0)))
}
