//! ConnectionRequestURL: made of what the worker and the last session tell, and why there is none (DECISIONS 20).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipc_proto::worker::Stage;

use super::Hub;
use crate::{
    config::table::name,
    device::{addresses, identity},
    store::Fact,
};

/// What is known of where the ACS can ask for a session.
#[derive(Debug, Default)]
pub struct Knocking {
    /// The port, or why there is none; none while no worker has said.
    listening: Option<Result<u16, String>>,
    /// Our address on the way to the ACS.
    local: Option<IpAddr>,
    /// The ACS's on the latest connection to it.
    peer: Option<IpAddr>,
    /// Our addresses on the ways out when the last session failed for want of one.
    cut_off: Option<Ways>,
}

/// Anywhere far away: addresses of documentation (RFC 5737, RFC 3849), to which nothing is sent.
const FAR: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1))];

/// Our addresses on the way to the ACS, if its address is known, and far away over both families.
type Ways = [Option<IpAddr>; 3];

impl Knocking {
    fn ways(&self) -> Ways {
        let [v4, v6] = FAR;
        [self.peer, Some(v4), Some(v6)].map(|peer| peer.and_then(addresses::source_towards))
    }

    /// A session has ended, with these ways out.
    fn ended(&mut self, stage: Option<Stage>, ways: Ways) {
        self.cut_off = matches!(stage, Some(Stage::Network | Stage::Dns)).then_some(ways);
    }

    /// With these ways out there is one that was not there at the failure; true once.
    fn is_back(&mut self, ways: Ways) -> bool {
        let new = |(was, is): (Option<IpAddr>, Option<IpAddr>)| is.is_some() && was != is;
        self.cut_off.take_if(|cut_off| cut_off.iter().copied().zip(ways).any(new)).is_some()
    }
}

impl Hub {
    /// The worker listens, or does not; none: it is gone.
    pub(super) fn listening(&mut self, listening: Option<Result<u16, String>>) {
        // A worker that was taken over cannot fill the status.
        let bounded = |why: String| why.chars().take(300).collect();
        self.knocking.listening = listening.map(|listening| listening.map_err(bounded));
        self.refresh_url();
        self.due_may_change();
    }

    /// There is a connection to the ACS: from this address of ours to that of its.
    pub(super) fn reached(&mut self, local: Option<IpAddr>, peer: Option<IpAddr>) {
        if local.is_some() {
            self.knocking.local = local;
            self.knocking.peer = peer;
            self.refresh_url();
        }
    }

    /// An address or a route of this device has changed: is ours on the way to the ACS another one?
    pub(super) fn addresses_changed(&mut self) {
        let source = self.knocking.peer.and_then(addresses::source_towards);
        if source.is_some() && source != self.knocking.local {
            self.knocking.local = source;
            self.refresh_url();
            self.due_may_change();
        }
        let ways = self.knocking.ways();
        if self.session.is_none() && self.knocking.is_back(ways) {
            tracing::info!("there is a way out again: the next attempt need not wait");
            self.nudged = true;
            self.due_may_change();
        }
    }

    /// A session has ended: was it for want of a way to the ACS (DECISIONS 13)?
    pub(super) fn watch_ways(&mut self, stage: Option<Stage>) {
        let ways = self.knocking.ways();
        self.knocking.ended(stage, ways);
    }

    /// False while it is not known what will come of the worker's latest configuration, or of our address: no
    /// session is opened to tell a URL that may be another one in a moment.
    pub(super) fn url_is_settled(&self) -> bool {
        let known = self.knocking.local.is_some() || !self.settings.connection_request.host.is_empty();
        let in_use = self.progress.borrow().in_use == self.revision();
        let asked_for = self.config.as_ref().is_some_and(|config| config.connection_request.is_some());
        // A port that could not be had is tried again soon: that opens no session, but the next one tells it.
        let tried = asked_for && !matches!(self.knocking.listening, Some(Ok(_)));
        known && in_use && !tried
    }

    pub(super) fn refresh_url(&mut self) {
        let url = self.connection_request_url().unwrap_or_default();
        self.state.layers.stack.insert(name::CON_REQ_URL, url);
    }

    /// Why no connection request can come in.
    pub(super) fn connection_request_problem(&self) -> Option<String> {
        if let Err(why) = self.connection_request_url() {
            return Some(why);
        }
        let empty = |name: &&str| self.state.layers.text(name).is_empty();
        let name = [name::CON_REQ_USERNAME, name::CON_REQ_PASSWORD].into_iter().find(empty)?;
        Some(format!("{name} is empty, so every connection request is refused: set it"))
    }

    fn connection_request_url(&self) -> Result<String, String> {
        let layers = &self.state.layers;
        if !layers.is_on(name::ENABLE) {
            return Err("cwmp.enable is 0".to_owned());
        }
        if self.state.acs_url().is_empty() {
            return Err("no ACS URL is known: set cwmp.acs_url".to_owned());
        }
        if !layers.is_on(name::CON_REQ_ENABLE) {
            return Err("cwmp.con_req_enable is 0".to_owned());
        }
        if !identity::is_usable(&self.device) {
            return Err("the device has no OUI or no serial number".to_owned());
        }
        let port = match &self.knocking.listening {
            None => return Err("the worker is not running".to_owned()),
            Some(Err(why)) => return Err(why.clone()),
            Some(Ok(port)) => *port,
        };
        let chosen = &self.settings.connection_request.host;
        let host = match self.knocking.local {
            _ if !chosen.is_empty() => match chosen.parse() {
                Ok(ip) => in_url(ip),
                Err(_) => chosen.clone(),
            },
            Some(ip) => in_url(ip),
            None => {
                return Err("the device's address is known after it has reached the ACS, or set \
                            [connection_request] host in the settings"
                    .to_owned());
            }
        };
        Ok(format!("http://{host}:{port}{}", self.state.fact(Fact::ConReqPath)))
    }
}

/// An address as it stands in a URL.
fn in_url(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_that_comes_back_after_its_want_is_noticed_once() {
        let here = Some(IpAddr::from([10, 0, 0, 7]));
        let (none, back) = ([None; 3], [here, None, None]);
        for stage in [Stage::Network, Stage::Dns] {
            let mut knocking = Knocking::default();
            knocking.ended(Some(stage), none);
            assert!(!knocking.is_back(none), "another route");
            assert!(knocking.is_back(back));
            assert!(!knocking.is_back(back), "once");
            knocking.ended(Some(stage), back);
            assert!(!knocking.is_back(back), "it was there when the attempt failed");
            assert!(!knocking.is_back(none), "gone is not back");
        }
        for stage in [Some(Stage::Tcp), None] {
            let mut knocking = Knocking::default();
            knocking.ended(stage, none);
            assert!(!knocking.is_back(back));
        }
    }
}
