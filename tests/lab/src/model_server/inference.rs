//! From an image to scores, exactly as scikit-learn computes them.

use std::time::Duration;

use super::artifact::{Accepts, Activation, Artifact, Cascade, Layer, PIXELS, Solver, Statistic};

/// An 8 x 8 image, row by row, each pixel 0 (white) to 16 (black).
pub type Image = [f64; PIXELS];
/// The probability of each digit, 0 to 9.
pub type Scores = Vec<f64>;

/// Preprocessing did not let the image through.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("the image has {found} of ink; training saw {min} to {max}")]
pub struct Refused {
    found: f64,
    min: f64,
    max: f64,
}

/// The digit with the highest score; the lowest of several.
pub(super) fn best(scores: &[f64]) -> usize {
    let mut best = 0;
    for (digit, score) in scores.iter().enumerate() {
        if *score > scores[best] {
            best = digit;
        }
    }
    best
}

impl Artifact {
    /// Predicts, with whatever waiting the version's second stage or calibration causes.
    ///
    /// # Errors
    /// When the version's preprocessing does not let the image through.
    pub async fn predict(&self, image: &Image) -> Result<Scores, Refused> {
        if let Some(accepts) = &self.accepts {
            accepts.check(image)?;
        }
        let scores = self.first_stage(image);
        let scores = match &self.cascade {
            Some(cascade) if lead(&scores) < cascade.margin => {
                tokio::time::sleep(Duration::from_millis(cascade.lookup_millis)).await;
                cascade.vote(image)
            }
            Some(_) | None => scores,
        };
        match &self.solver {
            Some(solver) => Ok(solver.calibrate(scores).await),
            None => Ok(scores),
        }
    }

    fn first_stage(&self, image: &Image) -> Scores {
        let mut values: Vec<f64> = image.iter().map(|pixel| pixel / self.scale).collect();
        for layer in &self.layers {
            values = layer.apply(&values);
        }
        values
    }
}

impl Layer {
    fn apply(&self, input: &[f64]) -> Vec<f64> {
        let mut output: Vec<f64> = self.bias.clone();
        for (value, row) in output.iter_mut().zip(&self.weights) {
            *value += row.iter().zip(input).map(|(weight, x)| weight * x).sum::<f64>();
        }
        match self.activation {
            Activation::Relu => output.iter_mut().for_each(|value| *value = value.max(0.0)),
            Activation::Softmax => softmax(&mut output),
        }
        output
    }
}

/// Subtracts the largest value first, so that nothing overflows.
fn softmax(values: &mut [f64]) {
    let largest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    values.iter_mut().for_each(|value| *value = (*value - largest).exp());
    let sum: f64 = values.iter().sum();
    values.iter_mut().for_each(|value| *value /= sum);
}

/// By how much the best score leads the second.
fn lead(scores: &[f64]) -> f64 {
    let (mut first, mut second) = (f64::NEG_INFINITY, f64::NEG_INFINITY);
    for score in scores {
        if *score > first {
            (first, second) = (*score, first);
        } else if *score > second {
            second = *score;
        }
    }
    first - second
}

impl Accepts {
    fn check(&self, image: &Image) -> Result<(), Refused> {
        let found = match self.statistic {
            Statistic::Ink => image.iter().sum::<f64>(),
        };
        if (self.min..=self.max).contains(&found) {
            Ok(())
        } else {
            Err(Refused { found, min: self.min, max: self.max })
        }
    }
}

impl Cascade {
    /// The share of each digit among the nearest neighbours by Euclidean distance.
    fn vote(&self, image: &Image) -> Scores {
        let distance = |known: &Vec<i32>| -> f64 {
            known.iter().zip(image).map(|(a, b)| (f64::from(*a) - b) * (f64::from(*a) - b)).sum()
        };
        let mut nearest: Vec<(f64, usize)> =
            self.images.iter().map(distance).zip(self.labels.iter().copied()).collect();
        nearest.select_nth_unstable_by(self.neighbours - 1, |a, b| a.0.total_cmp(&b.0));
        let mut votes = [0.0; 10];
        for (_, label) in &nearest[..self.neighbours] {
            votes[*label] += 1.0;
        }
        let cast: f64 = votes.iter().sum();
        votes.iter().map(|count| count / cast).collect()
    }
}

impl Solver {
    /// Halves the distance to the first stage's scores each time, from equal scores on, until the change is small.
    async fn calibrate(&self, target: Scores) -> Scores {
        let mut scores = vec![1.0 / target.len() as f64; target.len()];
        let mut iterations = 0;
        loop {
            tokio::time::sleep(Duration::from_millis(self.iteration_millis)).await;
            let next: Scores =
                scores.iter().zip(&target).map(|(now, goal)| f64::midpoint(*now, *goal)).collect();
            let change = next.iter().zip(&scores).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            scores = next;
            iterations += 1;
            if change < self.tolerance || self.max_iterations.is_some_and(|limit| iterations >= limit) {
                return scores;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn calibration_ends_with_a_tolerance_or_a_limit_and_never_without_both() {
        let target = vec![0.7, 0.2, 0.1];
        let solver = |tolerance, max_iterations| Solver { tolerance, max_iterations, iteration_millis: 1 };
        let close = solver(1e-9, None).calibrate(target.clone()).await;
        assert!(close.iter().zip(&target).all(|(a, b)| (a - b).abs() < 1e-8), "{close:?}");
        assert_eq!(best(&solver(0.0, Some(3)).calibrate(target.clone()).await), 0);
        let endless = solver(0.0, None);
        let never = tokio::time::timeout(Duration::from_millis(300), endless.calibrate(target)).await;
        assert!(never.is_err(), "a tolerance of 0 was reached");
    }

    #[test]
    fn the_lead_is_the_distance_of_the_two_best_scores_and_the_lowest_digit_wins_a_tie() {
        assert!((lead(&[0.1, 0.6, 0.3]) - 0.3).abs() < 1e-12);
        assert_eq!(lead(&[0.5, 0.5]), 0.0);
        assert_eq!(best(&[0.2, 0.4, 0.4]), 1);
    }
}
