//! Versions: SemVer 2.0 without build metadata, in lower case.

use semver::{Version, VersionReq};

/// Why a text is no version of ours. The API refuses the same (`crate::api`), with one message for all.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum VersionError {
    /// Not SemVer at all.
    #[error("{0} is not a SemVer version: write it as MAJOR.MINOR.PATCH, such as 1.4.0 or 2.0.0-rc.1")]
    NotSemVer(String),
    /// Two versions that differ in build metadata only have no order.
    #[error("{0} has build metadata: leave out what follows '+'")]
    BuildMetadata(String),
    /// The version is part of object names, which are lower case.
    #[error("{0} has upper-case letters: write it in lower case")]
    UpperCase(String),
    /// A dependency that cannot be read.
    #[error("{0} is not a range of versions: write comparators separated by commas, such as '>=2.1, <3'")]
    NotARange(String),
}

/// Reads a version.
///
/// # Errors
/// When it is not SemVer 2.0, has build metadata or upper-case letters.
pub fn parse(text: &str) -> Result<Version, VersionError> {
    let version = Version::parse(text).map_err(|_| VersionError::NotSemVer(text.to_owned()))?;
    if !version.build.is_empty() {
        return Err(VersionError::BuildMetadata(text.to_owned()));
    }
    if text.chars().any(|c| c.is_ascii_uppercase()) {
        return Err(VersionError::UpperCase(text.to_owned()));
    }
    Ok(version)
}

/// Reads a range of versions, such as `>=2.1, <3`.
///
/// # Errors
/// When it is none.
pub fn parse_range(text: &str) -> Result<VersionReq, VersionError> {
    VersionReq::parse(text).map_err(|_| VersionError::NotARange(text.to_owned()))
}

/// Whether going from one version to the other may break callers: another major version, and before 1.0.0 another minor.
pub fn is_breaking(from: &Version, to: &Version) -> bool {
    if from.major == 0 && to.major == 0 { from.minor != to.minor } else { from.major != to.major }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_semver_without_build_metadata_in_lower_case() {
        assert!(parse("1.4.0").is_ok());
        assert!(parse("2.0.0-rc.1").is_ok());
        assert_eq!(parse("1.4.0+b"), Err(VersionError::BuildMetadata("1.4.0+b".into())));
        assert_eq!(parse("1.4.0-RC"), Err(VersionError::UpperCase("1.4.0-RC".into())));
        for text in ["v1.4.0", "1.4", "01.0.0", "latest", "", "1.0.0-01"] {
            assert_eq!(parse(text), Err(VersionError::NotSemVer(text.into())));
        }
    }

    #[test]
    fn a_release_comes_after_its_candidates() {
        let ordered = ["1.0.0-rc.2", "1.0.0-rc.10", "1.0.0", "1.9.0", "1.10.0"].map(|v| parse(v).unwrap());
        assert!(ordered.is_sorted());
    }

    #[test]
    fn majors_break_and_minors_before_the_first_major() {
        let breaks = |a, b| is_breaking(&parse(a).unwrap(), &parse(b).unwrap());
        assert!(breaks("1.9.0", "2.0.0"));
        assert!(breaks("2.0.0", "1.9.0"));
        assert!(!breaks("1.9.0", "1.10.0"));
        assert!(breaks("0.1.0", "0.2.0"));
        assert!(!breaks("0.1.0", "0.1.1"));
        assert!(breaks("0.9.0", "1.0.0"));
    }
}
