//! Floats as text. Kubernetes objects avoid floating point fields, and a ledger must come back from the
//! API server bit for bit, so every float of the saved state is written as its shortest exact decimal.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serializer};

/// Serde adapter of one float: `"-0.25"`, `"-inf"`.
pub mod float {
    use super::*;

    /// Writes the shortest text that reads back as the same float.
    pub fn serialize<S: Serializer>(value: &f64, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(&value.to_string())
    }

    /// Reads what [`serialize`] wrote.
    pub fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<f64, D::Error> {
        let text = String::deserialize(input)?;
        text.parse().map_err(|_| D::Error::custom(format!("{text:?} is not a number")))
    }
}

/// Whether a field says what it says when it is left out.
pub fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Serde adapter of a list of floats as one text with blanks between: compact, because it lives in a status.
pub mod floats {
    use super::*;

    /// Writes the numbers with one blank between them.
    pub fn serialize<S: Serializer>(values: &[f64], out: S) -> Result<S::Ok, S::Error> {
        let words: Vec<String> = values.iter().map(f64::to_string).collect();
        out.serialize_str(&words.join(" "))
    }

    /// Reads what [`serialize`] wrote, into a list or an array.
    pub fn deserialize<'de, D: Deserializer<'de>, T: TryFrom<Vec<f64>>>(input: D) -> Result<T, D::Error> {
        let text = String::deserialize(input)?;
        let words = text.split_whitespace();
        let numbers: Result<Vec<f64>, D::Error> = words
            .map(|word| word.parse().map_err(|_| D::Error::custom(format!("{word:?} is not a number"))))
            .collect();
        numbers?
            .try_into()
            .map_err(|_| D::Error::custom(format!("{text:?} has not the right count of numbers")))
    }
}

/// e to a power of at most 0, in a sum that has a part of 1: from here on nothing is left of it, and reckoning it would only
/// be slow.
pub fn exp_beside_one(power: f64) -> f64 {
    if power < -40.0 { 0.0 } else { power.exp() }
}

/// Logarithm of the sum of two exponentials, without overflow.
pub fn log_sum_of_two(a: f64, b: f64) -> f64 {
    let (less, more) = if a < b { (a, b) } else { (b, a) };
    if less == f64::NEG_INFINITY { more } else { more + exp_beside_one(less - more).ln_1p() }
}

/// Logarithm of a sum of exponentials, without overflow. An empty list gives minus infinity.
pub fn log_sum_exp(values: &[f64]) -> f64 {
    let max = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if max == f64::NEG_INFINITY {
        return max;
    }
    max + values.iter().map(|value| exp_beside_one(value - max)).sum::<f64>().ln()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Serialize;

    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    struct Saved {
        #[serde(with = "float")]
        one: f64,
        #[serde(with = "floats")]
        many: Vec<f64>,
    }

    #[test]
    fn floats_come_back_bit_for_bit() {
        let saved = Saved { one: 0.1 + 0.2, many: vec![f64::NEG_INFINITY, 1e-300, -std::f64::consts::PI] };
        let text = serde_json::to_string(&saved).unwrap();
        assert!(text.contains("\"0.30000000000000004\""), "{text}");
        assert_eq!(serde_json::from_str::<Saved>(&text).unwrap(), saved);
    }

    #[test]
    fn a_sum_of_tiny_numbers_does_not_underflow() {
        assert!((log_sum_exp(&[-2000.0, -2000.0]) - (-2000.0 + 2f64.ln())).abs() < 1e-12);
        assert_eq!(log_sum_exp(&[]), f64::NEG_INFINITY);
    }
}
