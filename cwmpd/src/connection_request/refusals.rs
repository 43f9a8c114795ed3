//! What the client log is told of refused connection requests: each source and reason once, then counted; pure.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv6Addr},
    time::Duration,
};

use super::{
    budget::Budget,
    judge::{NO_LOGIN, STALE},
};

/// How long the same refusals are counted before they are told together; it doubles while they go on.
const FIRST_WAIT: Duration = Duration::from_secs(10);
/// The longest.
const LONGEST_WAIT: Duration = Duration::from_secs(600);
/// Sources and reasons that are told apart at the most.
const MAX_KINDS: usize = 64;
/// Lines about single kinds: twenty at once, then one in 20 s. What comes beyond is told as one.
const LINES: Budget = Budget::new(20, Duration::from_secs(20));

/// Who was refused, and why.
type Kind = (Option<IpAddr>, &'static str);

/// Refusals on their way to the client log. Times are on CLOCK_BOOTTIME.
#[derive(Debug)]
pub struct Refusals {
    kinds: BTreeMap<Kind, Counted>,
    /// Of kinds that there was no room for.
    others: Option<Counted>,
    lines: Budget,
}

/// Refusals of one kind that were not told yet.
#[derive(Clone, Copy, Debug)]
struct Counted {
    count: u64,
    since: Duration,
    wait: Duration,
}

impl Counted {
    fn new(now: Duration, count: u64) -> Self {
        Self { count, since: now, wait: FIRST_WAIT }
    }

    fn due(&self) -> Duration {
        self.since + self.wait
    }

    /// Told at `now`: counts on, for longer.
    fn told(&mut self, now: Duration) {
        *self = Self { count: 0, since: now, wait: LONGEST_WAIT.min(self.wait * 2) };
    }
}

impl Refusals {
    /// None so far.
    pub fn new() -> Self {
        Self { kinds: BTreeMap::new(), others: None, lines: LINES }
    }

    /// A request was refused. The answer is the line to tell at once, for the first of its kind.
    pub fn refused(&mut self, now: Duration, from: Option<IpAddr>, why: &'static str) -> Option<String> {
        let kind = (from.map(as_limited), why);
        if let Some(known) = self.kinds.get_mut(&kind) {
            known.count += 1;
            return None;
        }
        // Every login begins with such a refusal: it counts for itself only if no right login follows.
        let later = why == NO_LOGIN || why == STALE;
        if self.kinds.len() >= MAX_KINDS || !later && !self.lines.take(now) {
            self.others.get_or_insert(Counted::new(now, 0)).count += 1;
            return None;
        }
        self.kinds.insert(kind, Counted::new(now, later.into()));
        (!later).then(|| match from {
            Some(from) => format!("from {}: {why}", from.to_canonical()),
            None => why.to_owned(),
        })
    }

    /// A right login of that source: the challenge before it was no refusal.
    pub fn accepted(&mut self, from: IpAddr) {
        for why in [NO_LOGIN, STALE] {
            if let Some(known) = self.kinds.get_mut(&(Some(as_limited(from)), why)) {
                known.count = known.count.saturating_sub(1);
            }
        }
    }

    /// When [`Self::report`] has something to do.
    pub fn due(&self) -> Option<Duration> {
        self.kinds.values().chain(&self.others).map(Counted::due).min()
    }

    /// The lines whose time has come. A kind that was quiet all the while is forgotten.
    pub fn report(&mut self, now: Duration) -> Vec<String> {
        let mut told = Vec::new();
        let (mut others, mut also) = (self.others, 0);
        let lines = &mut self.lines;
        self.kinds.retain(|(from, why), known| {
            if known.due() > now {
                return true;
            }
            if known.count == 0 {
                return false;
            }
            if !lines.take(now) {
                also += known.count;
                return false;
            }
            let from = from.map_or_else(String::new, |from| format!(" from {}", shown(from)));
            told.push(format!("{}{from} in {}: {why}", grouped(known.count), span(now, known.since)));
            known.told(now);
            true
        });
        if also > 0 {
            others.get_or_insert(Counted::new(now, 0)).count += also;
        }
        if let Some(counted) = others.as_mut().filter(|counted| counted.due() <= now) {
            if counted.count == 0 {
                others = None;
            } else {
                let count = grouped(counted.count);
                told.push(format!(
                    "{count} more in {}, from too many sources to list",
                    span(now, counted.since)
                ));
                counted.told(now);
            }
        }
        self.others = others;
        told
    }
}

/// A source as limits see it: an IPv4 address, or the network of an IPv6 one, of which anyone has many addresses.
pub fn as_limited(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) if !ip.is_loopback() => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64)),
        ip => ip,
    }
}

fn shown(from: IpAddr) -> String {
    match from {
        IpAddr::V6(network) if !network.is_loopback() => format!("{network}/64"),
        ip => ip.to_string(),
    }
}

fn span(now: Duration, since: Duration) -> String {
    format!("{} s", now.saturating_sub(since).as_secs().max(1))
}

/// A number with its thousands apart.
fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const NOW: Duration = Duration::from_secs(1000);
    const WRONG: &str = "wrong user name or password";

    fn ip(last: u32) -> IpAddr {
        IpAddr::from((0x0a00_0000 + last).to_be_bytes())
    }

    #[test]
    fn the_first_is_told_at_once_and_a_flood_once_in_a_while() {
        let mut refusals = Refusals::new();
        let first = refusals.refused(NOW, Some(ip(7)), WRONG);
        assert_eq!(first.as_deref(), Some("from 10.0.0.7: wrong user name or password"));
        let mut lines = Vec::new();
        // A day of it, looked at each second.
        for second in 0..86_400 {
            let now = NOW + SECOND * second;
            for _ in 0..if second <= 10 { 1000 } else { 10 } {
                assert_eq!(refusals.refused(now, Some(ip(7)), WRONG), None);
            }
            lines.extend(refusals.report(now));
        }
        assert_eq!(lines[0], "11,000 from 10.0.0.7 in 10 s: wrong user name or password");
        assert_eq!(lines[1], "200 from 10.0.0.7 in 20 s: wrong user name or password");
        assert!(lines.len() < 160, "{}", lines.len());
    }

    #[test]
    fn another_source_and_another_reason_are_told_at_once_in_a_flood() {
        let mut refusals = Refusals::new();
        refusals.refused(NOW, Some(ip(1)), WRONG);
        assert!(refusals.refused(NOW, Some(ip(2)), WRONG).is_some());
        assert!(refusals.refused(NOW, Some(ip(1)), "another path").is_some());
        assert!(refusals.refused(NOW, None, "cannot take a connection").is_some());
    }

    #[test]
    fn a_quiet_time_ends_the_counting_and_wakes_nobody() {
        let mut refusals = Refusals::new();
        refusals.refused(NOW, Some(ip(1)), WRONG);
        assert_eq!(refusals.due(), Some(NOW + FIRST_WAIT));
        assert!(refusals.report(NOW + FIRST_WAIT).is_empty());
        assert_eq!(refusals.due(), None);
        assert!(refusals.refused(NOW + FIRST_WAIT, Some(ip(1)), WRONG).is_some());
    }

    #[test]
    fn a_challenge_that_was_answered_is_no_refusal() {
        let mut refusals = Refusals::new();
        for why in [NO_LOGIN, NO_LOGIN, STALE] {
            assert_eq!(refusals.refused(NOW, Some(ip(1)), why), None);
        }
        refusals.accepted(ip(1));
        assert_eq!(refusals.report(NOW + FIRST_WAIT), ["1 from 10.0.0.1 in 10 s: no login"]);
    }

    #[test]
    fn ever_new_sources_cannot_fill_the_log() {
        let mut refusals = Refusals::new();
        let mut lines = Vec::new();
        for second in 0..3600 {
            let now = NOW + SECOND * second;
            lines.extend((0..100).filter_map(|n| refusals.refused(now, Some(ip(second * 100 + n)), WRONG)));
            lines.extend(refusals.report(now));
            assert!(refusals.kinds.len() <= MAX_KINDS);
        }
        assert!(lines.len() < 250, "{}", lines.len());
        assert!(lines.iter().any(|line| line.ends_with("too many sources to list")), "{lines:?}");
        // One network of IPv6 is one source.
        let mut refusals = Refusals::new();
        let v6 = |n: u128| IpAddr::V6(Ipv6Addr::from_bits((0x2001_0db8 << 96) + n));
        assert!(refusals.refused(NOW, Some(v6(1)), WRONG).is_some());
        assert!(refusals.refused(NOW, Some(v6(2)), WRONG).is_none());
        assert_eq!(
            refusals.report(NOW + FIRST_WAIT),
            ["1 from 2001:db8::/64 in 10 s: wrong user name or password"]
        );
    }
}
