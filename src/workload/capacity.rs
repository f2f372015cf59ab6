//! How many pods a candidate needs for a share of the traffic.

/// Ready pods that the candidate needs before it may get `weight` percent of the traffic and `mirror` percent as a
/// copy: the same part of `capacity` (the stable arm's largest ready count), rounded up, and at least one.
pub fn need(capacity: i32, weight: i32, mirror: i32) -> i32 {
    let percent = i64::from(weight.max(mirror).clamp(0, 100));
    let pods = (i64::from(capacity.max(0)) * percent + 99) / 100;
    i32::try_from(pods).unwrap_or(i32::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::need;

    #[test]
    fn need_is_rounded_up_and_never_nothing() {
        assert_eq!(need(6, 5, 0), 1);
        assert_eq!(need(6, 17, 0), 2);
        assert_eq!(need(6, 99, 0), 6);
        assert_eq!(need(6, 50, 0), 3);
        assert_eq!(need(0, 50, 0), 1);
        assert_eq!(need(10, 0, 0), 1);
    }

    #[test]
    fn a_mirror_needs_as_many_pods_as_the_same_share() {
        assert_eq!(need(6, 0, 100), 6);
        assert_eq!(need(6, 5, 34), 3);
        assert_eq!(need(i32::MAX, 100, 100), i32::MAX);
    }
}
