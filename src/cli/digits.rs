//! Numbers with a fixed count of decimals, as `{:.N}` writes them but faster: a trace has millions.

use std::io::Write as _;

/// Appends `value` with `DECIMALS` digits after the point.
pub fn fixed<const DECIMALS: u32>(out: &mut Vec<u8>, value: f64) {
    let unit = 10_u64.pow(DECIMALS);
    let scaled = value.abs() * unit as f64;
    let below = scaled as u64;
    let rest = scaled - below as f64;
    // Below 2^40 a product of floats is off by less than a thousandth, so that this far from a half it rounds to where the
    // exact one does.
    let clear = (rest - 0.5).abs() > 1e-3 && scaled < (1_u64 << 40) as f64;
    if !clear {
        // Writing to a Vec cannot fail.
        let _ = write!(out, "{value:.0$}", DECIMALS as usize);
        return;
    }
    if value.is_sign_negative() {
        out.push(b'-');
    }
    let whole = below + u64::from(rest > 0.5);
    digits(out, whole / unit, 1);
    if DECIMALS > 0 {
        out.push(b'.');
        digits(out, whole % unit, DECIMALS as usize);
    }
}

/// Appends a whole number with at least so many digits.
fn digits(out: &mut Vec<u8>, mut number: u64, least: usize) {
    let mut text = [b'0'; 20];
    let mut begin = text.len();
    while number > 0 || text.len() - begin < least {
        begin -= 1;
        text[begin] = b'0' + (number % 10) as u8;
        number /= 10;
    }
    out.extend_from_slice(&text[begin..]);
}

#[cfg(test)]
mod tests {
    use super::fixed;

    fn check(value: f64) {
        let (mut none, mut six) = (Vec::new(), Vec::new());
        fixed::<0>(&mut none, value);
        fixed::<6>(&mut six, value);
        assert_eq!(String::from_utf8(none).unwrap(), format!("{value:.0}"));
        assert_eq!(String::from_utf8(six).unwrap(), format!("{value:.6}"));
    }

    #[test]
    fn it_is_what_the_formatter_writes() {
        let ends =
            [0.0, 0.5, 1.5, 2.5, 0.4999995, 0.5000005, 0.9999995, 1e-7, 5e-7, 999_999.999_999_5, 1e12, 1e300];
        let odd = [f64::NAN, f64::INFINITY, f64::MIN_POSITIVE, (1_u64 << 40) as f64, 1_099_511.627_775_5];
        for value in ends.into_iter().chain(odd) {
            [value, -value].into_iter().for_each(check);
        }
        let mut seed = 1_u64;
        for _ in 0..200_000 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let share = (seed >> 11) as f64 / (1_u64 << 53) as f64;
            let size = [1e-6, 1.0, 1e3, 1e6, 1e9, 1e13][(seed >> 8) as usize % 6];
            [share * size, -share * size, (share * size * 2.0).round() / 2.0].into_iter().for_each(check);
            // Halves of the last digit, and the floats beside them.
            let half = ((share * 1e9).round() + 0.5) / 1e6;
            [half, half.next_up(), half.next_down()].into_iter().for_each(check);
        }
    }
}
