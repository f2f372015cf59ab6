use super::*;
use crate::analysis::Counts;

const PRICE: Price = Price { per_thousand: 0.4, limit: 50.0 };

fn planned() -> Planned {
    Planned { per_second: 200.0, share: 1.0, seconds: 1800.0, warm_up: 60.0, min_requests: 1000.0 }
}

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(second, 0).unwrap()
}

fn interval(stable: f64, candidate: f64, discarded: Option<Discard>) -> Interval {
    let counts = |n| Counts { n, ..Counts::default() };
    Interval {
        start: at(0),
        end: at(10),
        looks: 1,
        discarded,
        stable: counts(stable),
        candidate: counts(candidate),
        candidate_scraped: true,
        stable_scraped: true,
    }
}

#[test]
fn a_stage_costs_its_time_or_the_requests_that_it_asks_for() {
    assert_eq!(planned().requests(), 360_000.0);
    assert!((PRICE.cost(360_000.0) - 144.0).abs() < 1e-9);
    let slow = Planned { per_second: 0.1, ..planned() };
    assert_eq!(slow.requests(), 1006.0, "0.1/s for half an hour are 180: it takes longer, after the warm-up");
}

#[test]
fn what_would_do_is_within_the_limit_and_one_more_is_not() {
    let paid = PRICE.requests();
    assert!((paid - 125_000.0).abs() < 1e-6);
    let fits = planned().fits(paid);
    assert_eq!((fits.percent, fits.seconds), (Some(34), Some(625)));
    assert_eq!(fits.min_requests, None, "its time alone costs too much");
    let with = |percent: f64| Planned { share: percent / 100.0, ..planned() }.requests();
    assert!(with(34.0) <= paid && with(35.0) > paid);
    let many = Planned { min_requests: 300_000.0, seconds: 60.0, ..planned() };
    assert_eq!(many.fits(paid), Fits { percent: None, seconds: None, min_requests: Some(113_000) });
    assert_eq!(planned().fits(0.5), Fits::default());
}

#[test]
fn a_percent_that_fits_is_one_of_a_percent() {
    let half = Planned { share: 0.5, ..planned() };
    assert_eq!(half.fits(100_000.0).percent, Some(27));
    assert_eq!(half.fits(180_000.0).percent, None, "nothing has to change");
}

#[test]
fn every_request_of_the_candidate_counts_once() {
    let mut m = Mirrored::default();
    m.look(&interval(100.0, 7.0, None), Some(at(10)));
    assert!(m.is_none(), "before the stage");
    m.look(&interval(100.0, 0.0, None), Some(at(5)));
    assert!(m.is_none(), "it began in the middle");
    m.look(&interval(100.0, 90.0, Some(Discard::WarmUp)), Some(at(0)));
    m.look(&interval(100.0, 10.0, Some(Discard::ForeignEdit)), Some(at(0)));
    assert_eq!(m, Mirrored { counted: 100.0, unheard: 0.0 });
    // Answers that take long: estimated until they are counted, and then not twice.
    m.look(&interval(100.0, 0.0, None), Some(at(0)));
    m.look(&interval(100.0, 0.0, Some(Discard::ForeignEdit)), Some(at(0)));
    assert_eq!(m, Mirrored { counted: 100.0, unheard: 100.0 });
    m.look(&interval(100.0, 200.0, None), Some(at(0)));
    assert_eq!(m, Mirrored { counted: 300.0, unheard: 0.0 });
    let saved = serde_json::to_string(&m).unwrap();
    assert_eq!(serde_json::from_str::<Mirrored>(&saved).unwrap(), m);
}

fn count(to: i64, counted: f64, unheard: f64, per_second: f64) -> Counted {
    Counted { at: at(to), mirrored: Mirrored { counted, unheard }, per_second }
}

#[test]
fn what_no_look_has_counted_goes_on_as_before() {
    let spent = Spent::of(vec![count(100, 1000.0, 0.0, 50.0)], 1.0, at(0)).unwrap();
    assert_eq!((spent.counted(), spent.by(at(110)), spent.by(at(90))), (1000.0, 1500.0, 1000.0));
    assert_eq!(spent.reached_at(2000.0), at(120));
    assert!(spent.by(spent.reached_at(1234.5)) >= 1234.5);
    assert_eq!(spent.reached_at(500.0), at(100), "already");
    let anew = Spent::of(vec![count(100, 1000.0, 0.0, 50.0)], 1.0, at(105)).unwrap();
    assert_eq!(anew.by(at(110)), 1250.0, "the mirror was off until then");
}

#[test]
fn one_metric_that_hears_the_candidate_is_enough_and_the_highest_count_is_nearest() {
    let deaf = count(100, 0.0, 5000.0, 50.0);
    let one = Spent::of(vec![deaf], 0.1, at(0)).unwrap();
    assert_eq!(one.counted(), 500.0, "a tenth of stable's");
    let both = Spent::of(vec![deaf, count(90, 700.0, 0.0, 60.0)], 0.1, at(0)).unwrap();
    assert_eq!((both.counted(), both.by(at(100))), (700.0, 1300.0));
    assert_eq!((both.counted_to(), both.per_second()), (at(90), 60.0));
    assert_eq!(Spent::of(Vec::new(), 1.0, at(0)), None);
}

#[test]
fn without_traffic_nothing_is_ever_reached() {
    let spent = Spent::of(vec![count(100, 0.0, 0.0, 0.0)], 1.0, at(0)).unwrap();
    assert!(spent.reached_at(1.0) > at(86_400 * 300));
}

#[test]
fn small_amounts_keep_their_digits() {
    let of = [0.0, 0.000_04, 0.0123, 0.5, 1779.839];
    assert_eq!(of.map(amount), ["0.00", "0.000040", "0.012", "0.50", "1779.84"]);
    assert_eq!([1.601, 1.6, 0.012_31].map(amount_at_least), ["1.61", "1.60", "0.013"]);
}
