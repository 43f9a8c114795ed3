//! How much is allowed per time, counted in tokens over a clock that is an argument.

use std::{collections::HashMap, net::IpAddr, time::Duration};

/// Sources that are remembered at the most.
const MAX_SOURCES: usize = 256;

/// A bucket of tokens that fills by one every `refill`, up to `burst`.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    refill: Duration,
    burst: u32,
    tokens: u32,
    since: Duration,
}

impl Budget {
    /// A full one.
    pub const fn new(burst: u32, refill: Duration) -> Self {
        Self { refill, burst, tokens: burst, since: Duration::ZERO }
    }

    /// Takes a token, if there is one.
    pub fn take(&mut self, now: Duration) -> bool {
        let gone = now.saturating_sub(self.since);
        let fresh = gone.as_nanos().checked_div(self.refill.as_nanos()).unwrap_or(u128::MAX);
        if fresh >= u128::from(self.burst - self.tokens) {
            (self.tokens, self.since) = (self.burst, now);
        } else if let Ok(fresh) = u32::try_from(fresh) {
            self.tokens += fresh;
            self.since += self.refill * fresh;
        }
        let may = self.tokens > 0;
        self.tokens = self.tokens.saturating_sub(1);
        may
    }

    /// True when nothing has been taken for so long that it is as new.
    fn is_full(&self, now: Duration) -> bool {
        now.saturating_sub(self.since) >= self.refill * (self.burst - self.tokens)
    }
}

/// One budget for each source, in a table of limited size.
#[derive(Debug)]
pub struct Budgets {
    each: Budget,
    sources: HashMap<IpAddr, Budget>,
}

impl Budgets {
    /// Each source begins with this one.
    pub fn new(each: Budget) -> Self {
        Self { each, sources: HashMap::new() }
    }

    /// Takes a token of that source. A source for which the table has no room counts as spent.
    pub fn take(&mut self, now: Duration, source: IpAddr) -> bool {
        if !self.sources.contains_key(&source) && self.sources.len() >= MAX_SOURCES {
            self.sources.retain(|_, budget| !budget.is_full(now));
            if self.sources.len() >= MAX_SOURCES {
                return false;
            }
        }
        self.sources.entry(source).or_insert(self.each).take(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn ip(n: u32) -> IpAddr {
        IpAddr::from(n.to_be_bytes())
    }

    #[test]
    fn a_burst_and_then_one_a_second() {
        let mut budget = Budget::new(5, SECOND);
        let taken = |budget: &mut Budget, at: Duration| (0..20).filter(|_| budget.take(at)).count();
        assert_eq!(taken(&mut budget, SECOND * 100), 5);
        assert_eq!(taken(&mut budget, SECOND * 101), 1);
        assert_eq!(taken(&mut budget, SECOND * 101 + SECOND / 2), 0);
        assert_eq!(taken(&mut budget, SECOND * 102), 1, "half a second is not lost");
        assert_eq!(taken(&mut budget, SECOND * 104), 2);
        assert_eq!(taken(&mut budget, SECOND * 1000), 5);
    }

    #[test]
    fn one_source_does_not_use_up_another_ones_and_the_table_is_limited() {
        let mut budgets = Budgets::new(Budget::new(2, SECOND));
        let now = SECOND * 10;
        assert_eq!([(); 3].map(|()| budgets.take(now, ip(1))), [true, true, false]);
        assert!(budgets.take(now, ip(2)));
        for source in 0..10_000 {
            budgets.take(now, ip(source));
        }
        assert_eq!(budgets.sources.len(), MAX_SOURCES);
        assert!(!budgets.take(now, ip(20_000)));
        assert!(budgets.take(now + SECOND * 10, ip(20_000)), "who was quiet is forgotten");
    }
}
