//! What Prometheus answers, read strictly. Pure.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::native::{self, Histogram};
use super::source::{ErrorClass, Series, SourceError};

/// Characters of a server's own error text that are shown.
const SHOWN: usize = 200;

#[derive(Deserialize)]
struct Reply<T> {
    status: String,
    data: Option<Data<T>>,
    #[serde(default)]
    error: String,
    #[serde(default, rename = "errorType")]
    error_type: String,
    #[serde(default)]
    warnings: Vec<String>,
}

#[derive(Deserialize)]
struct Data<T> {
    #[serde(rename = "resultType")]
    result_type: String,
    result: T,
}

/// Borrows from the body: an answer may hold a hundred thousand samples.
#[derive(Deserialize)]
struct RawSeries<'a> {
    metric: BTreeMap<String, String>,
    #[serde(default, borrow)]
    values: Vec<(f64, &'a str)>,
    #[serde(default)]
    histograms: Vec<(f64, Histogram)>,
}

fn bad(message: impl Into<String>) -> SourceError {
    SourceError { class: ErrorClass::BadReply, message: message.into() }
}

/// A server's text, in one line of bounded length.
fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(SHOWN).collect()
}

/// The series of a successful answer.
///
/// # Errors
/// [`ErrorClass::BadReply`] for anything but a matrix; [`ErrorClass::Partial`] when the server warns that data are missing.
pub fn samples(body: &[u8]) -> Result<Vec<Series>, SourceError> {
    let reply: Reply<Vec<RawSeries<'_>>> = match serde_json::from_slice(body) {
        Ok(reply) => reply,
        Err(_) => return Err(unread(body)),
    };
    if reply.status != "success" {
        return Err(refused(&reply));
    }
    if let Some(warning) = reply.warnings.first() {
        let message = format!("the answer is incomplete: {}", shown(warning));
        return Err(SourceError { class: ErrorClass::Partial, message });
    }
    let data = reply.data.ok_or_else(|| bad("the answer has no data"))?;
    if data.result_type != "matrix" {
        return Err(not_a_matrix(&data.result_type));
    }
    let read: Result<Vec<Vec<Series>>, SourceError> = data.result.into_iter().map(series).collect();
    Ok(read?.into_iter().flatten().collect())
}

/// Why an answer is not a matrix: it may still be Prometheus that says something else.
fn unread(body: &[u8]) -> SourceError {
    match serde_json::from_slice::<Reply<IgnoredAny>>(body) {
        Ok(reply) if reply.status != "success" => refused(&reply),
        Ok(Reply { data: Some(data), .. }) if data.result_type != "matrix" => not_a_matrix(&data.result_type),
        Ok(_) => bad("the samples of the answer cannot be read"),
        Err(_) => bad("the answer is not Prometheus JSON: check the configured address"),
    }
}

fn not_a_matrix(found: &str) -> SourceError {
    bad(format!("the answer is a {}, not raw samples", shown(found)))
}

/// One series; of a native histogram one for each bound.
fn series(raw: RawSeries<'_>) -> Result<Vec<Series>, SourceError> {
    if raw.histograms.is_empty() {
        let samples: Result<Vec<(i64, f64)>, SourceError> = raw.values.into_iter().map(sample).collect();
        return Ok(vec![Series { labels: raw.metric, samples: samples? }]);
    }
    if !raw.values.is_empty() {
        return Err(bad("a series of the answer has both numbers and histograms"));
    }
    let samples: Result<Vec<(i64, Histogram)>, SourceError> =
        raw.histograms.into_iter().map(|(at, histogram)| Ok((time(at)?, histogram))).collect();
    native::buckets(&raw.metric, &samples?)
        .ok_or_else(|| bad("a histogram of the answer has something else than numbers"))
}

fn sample((at, value): (f64, &str)) -> Result<(i64, f64), SourceError> {
    let value = value.parse().map_err(|_| bad("a sample of the answer is not a number"))?;
    Ok((time(at)?, value))
}

/// Milliseconds of a time in seconds.
fn time(at: f64) -> Result<i64, SourceError> {
    if !at.is_finite() || at.abs() > 1e11 {
        return Err(bad("a sample of the answer has no valid time"));
    }
    Ok((at * 1000.0).round() as i64)
}

/// The meaning of an HTTP status that is not 200.
pub fn refusal(status: u16, body: &[u8]) -> SourceError {
    let reply: Option<Reply<IgnoredAny>> = serde_json::from_slice(body).ok();
    let own = reply.as_ref().map_or(String::new(), |reply| format!(": {}", shown(&reply.error)));
    let (class, message) = match status {
        300..400 => {
            (ErrorClass::BadReply, format!("answers with a redirect ({status}), which is not followed"))
        }
        400 | 422 => match reply {
            Some(reply) => return refused(&reply),
            None => (ErrorClass::BadReply, format!("answers {status}, and not as Prometheus does")),
        },
        401 | 403 => (ErrorClass::Denied, format!("denies access ({status}): check the token")),
        404 | 405 => (ErrorClass::BadReply, format!("has no query API at this address ({status})")),
        429 | 500.. => (ErrorClass::Unreachable, format!("cannot answer now ({status}){own}")),
        _ => (ErrorClass::BadReply, format!("answers {status}")),
    };
    SourceError { class, message }
}

fn refused<T>(reply: &Reply<T>) -> SourceError {
    let class = match reply.error_type.as_str() {
        "timeout" | "canceled" => ErrorClass::Timeout,
        "unavailable" | "internal" | "too_many_requests" => ErrorClass::Unreachable,
        _ => ErrorClass::BadQuery,
    };
    SourceError { class, message: format!("refuses the query: {}", shown(&reply.error)) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_native_histogram_is_read_as_buckets_and_a_mixed_series_is_refused() {
        let sample = |count: &str, fast: &str| json!({"count": count, "sum": "1", "buckets": [[0, "0.25", "0.5", fast], [0, "1", "2", "1"]]});
        let histograms = json!([[1, sample("10", "9")], [2, sample("30", "29")]]);
        let reply = |series: serde_json::Value| {
            let data = json!({"resultType": "matrix", "result": [series]});
            samples(json!({"status": "success", "data": data}).to_string().as_bytes())
        };
        let labels = json!({"__name__": "h", "pod": "m-a-1"});
        let found = reply(json!({"metric": labels, "histograms": histograms})).unwrap();
        let up_to = |le: &str| found.iter().find(|one| one.labels["le"] == le).unwrap().samples.clone();
        assert_eq!(up_to("0.5"), [(1000, 9.0), (2000, 29.0)]);
        assert_eq!(up_to("2"), [(1000, 10.0), (2000, 30.0)]);
        assert_eq!(up_to("+Inf"), [(1000, 10.0), (2000, 30.0)]);
        assert!(found.iter().all(|one| one.labels["pod"] == "m-a-1"));
        let mixed = json!({"metric": labels, "values": [[1, "1"]], "histograms": histograms});
        assert_eq!(reply(mixed).unwrap_err().class, ErrorClass::BadReply);
    }
}
