//! The start-up spread: devices that power up together do not all inform at once.

use std::time::Duration;

use ipc_proto::{
    UtcTime,
    worker::{EventCode, NextSession, Why},
};
use tokio::time::Instant;

use super::state::State;
use crate::settings::Settings;

/// The wait of the first session after a boot; none when there is none, or it is over.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spread(Option<(Instant, UtcTime)>);

impl Spread {
    /// Drawn within `[timing] start_spread_s` while the ACS was not yet asked to take this boot's 1 BOOT.
    pub fn of(state: &State, settings: &Settings) -> Self {
        let second = u64::from(settings.timing.second_ms);
        let widest = u64::from(settings.timing.start_spread_s).saturating_mul(second);
        let boot = state.events.iter().any(|event| event.code == EventCode::Boot);
        if widest == 0 || !boot || state.retry().since_boot > 0 {
            return Self(None);
        }
        // Without chance the fleet would come at once: the widest wait is as good as none.
        let random = getrandom::u32().unwrap_or(u32::MAX);
        let wait = u64::try_from((u128::from(widest) * u128::from(random)) >> 32).unwrap_or(widest);
        tracing::info!("the first session after this boot waits {} s", wait / second.max(1));
        let at = UtcTime::now().plus_millis(i64::try_from(wait).unwrap_or(i64::MAX));
        Self(Some((Instant::now() + Duration::from_millis(wait), at)))
    }

    /// Its end, while it lasts.
    pub fn until(&self) -> Option<Instant> {
        self.0.map(|(until, _)| until)
    }

    /// The session that comes then.
    pub fn next_session(&self) -> Option<NextSession> {
        self.0.map(|(_, at)| NextSession { at, why: Why::Events })
    }

    /// True once, when it is over.
    pub fn ends(&mut self) -> bool {
        self.0.take_if(|(until, _)| *until <= Instant::now()).is_some()
    }

    /// A session is opened: all that waits goes with it.
    pub fn end(&mut self) {
        self.0 = None;
    }
}
