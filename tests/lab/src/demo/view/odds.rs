//! Evidence as the operator writes it (`12 : 1 of 143 : 1`), read for a gauge.

/// Evidence against its bar.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Evidence {
    /// Logarithm of the odds.
    log: f64,
    /// Logarithm of the odds at which something happens.
    bar: f64,
}

impl Evidence {
    /// From the text in status; none when it is something else.
    pub(super) fn read(text: &str) -> Option<Self> {
        let (odds, bar) = text.split_once(" of ")?;
        Some(Self { log: log_odds(odds)?, bar: log_odds(bar)? })
    }

    /// How much of the way to the bar is covered, 0 to 1. Evidence for the opposite covers nothing.
    pub(super) fn covered(self) -> f64 {
        if self.bar <= 0.0 || self.bar.is_infinite() { 0.0 } else { (self.log / self.bar).clamp(0.0, 1.0) }
    }
}

/// The logarithm behind `37 : 1`, `1 : 3.0`, `12,345 : 1`, `10^43 : 1` or `never`.
fn log_odds(text: &str) -> Option<f64> {
    if text.trim() == "never" {
        return Some(f64::INFINITY);
    }
    let (one, other) = text.split_once(" : ")?;
    Some(log(one)? - log(other)?)
}

fn log(number: &str) -> Option<f64> {
    let plain = number.trim().replace(',', "");
    match plain.strip_prefix("10^") {
        Some(power) => Some(power.parse::<f64>().ok()? * std::f64::consts::LN_10),
        None => Some(plain.parse::<f64>().ok()?.ln()),
    }
}

/// `12 : 1 of 143 : 1` as `12:1`, the part before the bar without blanks.
pub(super) fn short(text: &str) -> String {
    text.split(" of ").next().unwrap_or_default().replace(' ', "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use understudy::analysis::verdict::odds;

    #[test]
    fn what_the_operator_writes_is_read_back() {
        for log in [-60.0, -3.0, -0.4, 0.5, 2.0, 9.0, 100.0] {
            let read = log_odds(&odds(log)).expect("odds");
            assert!((read - log).abs() < 0.05 * log.abs() + 0.1, "{log} was read as {read}");
        }
        assert_eq!(log_odds(&odds(f64::INFINITY)), Some(f64::INFINITY));
    }

    #[test]
    fn a_gauge_covers_the_way_to_the_bar() {
        let covered = |text: &str| Evidence::read(text).expect("evidence").covered();
        assert!((covered("12 : 1 of 144 : 1") - 0.5).abs() < 0.01);
        assert_eq!(covered("1 : 3.0 of 143 : 1"), 0.0);
        assert_eq!(covered("10^20 : 1 of 143 : 1"), 1.0);
        assert_eq!(Evidence::read("no bar"), None);
        assert_eq!(short("12 : 1 of 143 : 1"), "12:1");
    }
}
