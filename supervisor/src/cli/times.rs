//! Times as people give and read them: local, with their zone, and relative to now.

use ipc_proto::UtcTime;
use jiff::{Span, Timestamp, Zoned, civil, tz::TimeZone};

/// A point in time, or how long ago.
pub fn since(text: &str) -> Result<UtcTime, String> {
    let text = text.trim();
    let at = |at: Timestamp| UtcTime::from_millis(at.as_millisecond());
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(at(time));
    }
    if let Ok(ago) = text.parse::<Span>() {
        let then = Zoned::now().checked_sub(ago.abs()).map_err(|error| error.to_string())?;
        return Ok(at(then.timestamp()));
    }
    let local = text.parse::<civil::DateTime>().ok().and_then(|time| time.to_zoned(TimeZone::system()).ok());
    local.map(|time| at(time.timestamp())).ok_or_else(|| {
        "is neither a time such as 2026-03-01T12:00 nor how long ago, such as 10min or 2h".to_owned()
    })
}

/// Local time with its zone.
pub fn local(at: UtcTime) -> String {
    match Timestamp::from_millisecond(at.millis()) {
        Ok(time) => time.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S %Z").to_string(),
        Err(_) => "out of range".to_owned(),
    }
}

/// Local time with its zone, and how far from `now` that is.
pub fn relative(at: UtcTime, now: UtcTime) -> String {
    let seconds = now.millis().saturating_sub(at.millis()) / 1000;
    let size = seconds.unsigned_abs();
    let amount = match size {
        0..60 => format!("{size} s"),
        60..3600 => format!("{} min", size / 60),
        3600..86_400 => format!("{} h", size / 3600),
        _ => format!("{} d", size / 86_400),
    };
    let how = if seconds < 0 { format!("in {amount}") } else { format!("{amount} ago") };
    format!("{} ({how})", local(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_or_how_long_ago() {
        let now = UtcTime::now().millis();
        let ago = |text: &str| now - since(text).unwrap().millis();
        for (text, seconds) in [("10min", 600), ("2h", 7200), ("2h30m", 9000), ("3 hours ago", 10_800)] {
            assert!((ago(text) - seconds * 1000).abs() < 5000, "{text}: {}", ago(text));
        }
        assert_eq!(since("2025-06-15T15:06:40Z"), Ok(UtcTime::from_millis(1_750_000_000_000)));
        assert!(since("2026-03-01T12:00").is_ok() && since("2026-03-01").is_ok());
        assert!(since("yesterday").is_err());
    }

    #[test]
    fn far_times_do_not_panic() {
        for at in [i64::MIN, -1, 0, i64::MAX] {
            assert!(!relative(UtcTime::from_millis(at), UtcTime::now()).is_empty());
        }
        let now = UtcTime::from_millis(1_000_000);
        assert!(relative(now.plus_millis(-180_000), now).ends_with("(3 min ago)"));
        assert!(relative(now.plus_millis(5000), now).ends_with("(in 5 s)"));
    }
}
