//! Shares by counts: without a gateway a Service deals its connections out evenly over its ready endpoints, so the
//! candidate's share is its part of them. Percent are of 100; counts are pods.

use crate::api::Step;

/// Percent of the traffic that `candidate` of the pods get beside `stable` others, rounded up; 0 without any.
pub fn percent(candidate: i32, stable: i32) -> i32 {
    exact(candidate.max(0), stable).ceil() as i32
}

/// The most pods whose share beside `stable` others is not above `weight` percent; weights from 100 on ask for no count.
pub fn at_most(stable: i32, weight: i32) -> i32 {
    let (stable, weight) = (i64::from(stable.max(0)), i64::from(weight.clamp(0, 99)));
    i32::try_from(weight * stable / (100 - weight)).unwrap_or(i32::MAX)
}

/// Pods that give a step its share beside `stable` others: the most that are not above its weight; where those are further
/// from it than half the distance to the nearest other step, one more, should that be nearer than this. Nothing when no count
/// is.
pub fn count(stable: i32, steps: &[Step], index: usize) -> Option<i32> {
    let weight = steps.get(index)?.weight;
    let below = at_most(stable, weight);
    // Twice the distances: half a step need not be a whole percent.
    let near = |count: i32| {
        let off = f64::from(weight) - exact(count, stable);
        2.0 * off.abs() <= f64::from(gap(steps, index))
    };
    [below, below.saturating_add(1)].into_iter().find(|count| *count > 0 && near(*count))
}

/// The smallest share that one pod can have beside `stable` others, in percent, rounded up: a weight that can be asked for.
pub fn smallest(stable: i32) -> i32 {
    percent(1, stable)
}

/// Pods of the stable version with which a share of `weight` percent needs one pod of the candidate.
pub fn stable_for(weight: i32) -> i32 {
    let weight = weight.clamp(1, 99);
    (100 - weight + weight - 1) / weight
}

fn exact(candidate: i32, stable: i32) -> f64 {
    let all = f64::from(candidate) + f64::from(stable.max(0));
    if all <= 0.0 { 0.0 } else { 100.0 * f64::from(candidate) / all }
}

/// Distance to the nearest other step; the first one has 0 before it, the last one 100 after it.
fn gap(steps: &[Step], index: usize) -> i32 {
    let weight = steps[index].weight;
    let before = index.checked_sub(1).and_then(|i| steps.get(i)).map_or(0, |s| s.weight);
    let after = steps.get(index + 1).map_or(100, |s| s.weight);
    (weight - before).min(after - weight)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(weights: &[i32]) -> Vec<Step> {
        weights.iter().map(|w| Step { weight: *w, hold: "1m".into(), ab_test: None }).collect()
    }

    fn counts(stable: i32, weights: &[i32]) -> Vec<Option<i32>> {
        (0..weights.len()).map(|i| count(stable, &steps(weights), i)).collect()
    }

    #[test]
    fn a_step_gets_the_most_pods_that_are_not_above_it() {
        assert_eq!(counts(4, &[20, 50]), [Some(1), Some(4)]);
        assert_eq!(counts(4, &[25, 45]), [Some(1), Some(3)], "20 and 42 %");
        assert_eq!(counts(99, &[1, 5, 25, 50]), [Some(1), Some(5), Some(33), Some(99)]);
    }

    #[test]
    fn a_share_that_counts_cannot_express_within_half_a_step_is_none() {
        assert_eq!(counts(4, &[1, 5, 25, 50]), [None, None, Some(1), Some(4)]);
        assert_eq!(counts(4, &[15, 50])[0], Some(1), "20 % is 5 from 15, half of its step is 7.5");
        assert_eq!(counts(2, &[30, 31, 50]), [None, None, Some(2)], "33 % is further than half a percent");
        assert_eq!(counts(0, &[50]), [None], "beside nobody a pod has everything");
    }

    #[test]
    fn a_share_of_so_many_pods_is_what_the_service_deals_out() {
        assert_eq!([percent(1, 4), percent(1, 3), percent(4, 4), percent(3, 0)], [20, 25, 50, 100]);
        assert_eq!([percent(0, 4), percent(1, 500)], [0, 1]);
        assert_eq!([at_most(4, 19), at_most(4, 20), at_most(3, 25), at_most(3, 24)], [0, 1, 1, 0]);
        assert_eq!([smallest(4), smallest(2), smallest(99)], [20, 34, 1]);
        assert_eq!([stable_for(20), stable_for(1), stable_for(33), stable_for(50)], [4, 99, 3, 1]);
        for weight in 1..=99 {
            assert!(at_most(stable_for(weight), weight) >= 1, "{weight} %");
        }
    }
}
