//! Rules that the API server checks before it takes an object (CEL), with what it tells the person who wrote it.
//!
//! A rule is a message and an expression. Patterns of the schema would do for many of them, but their message is the
//! pattern; these say what to write instead. Every message is listed in `docs/kinds.md`, and a test breaks each rule.

pub mod decision;
pub mod metric;
pub mod model_rollout;
pub mod model_version;

use kube::core::Rule;

/// Longest name of the user's Deployment and Service: `-candidate` is appended to it, and a Service's name ends at 63.
pub const NAME_LIMIT: usize = 53;

/// A rule with its message.
fn rule(expression: &str, message: &str) -> Rule {
    Rule::new(expression).message(message)
}

/// A lower-case name such as Kubernetes uses for labels.
pub fn label(what: &str) -> Rule {
    rule(
        "self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
        &format!(
            "{what} must be lower-case letters, digits and '-', starting and ending with a letter or digit"
        ),
    )
}

/// The name of an object: a lower-case name, dots allowed.
pub fn subdomain(what: &str) -> Rule {
    rule(
        "self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",
        &format!("{what} must be the name of an object: lower-case letters, digits, '-' and '.'"),
    )
}

/// A name that leaves room for what the operator appends.
pub fn room_for_suffix(what: &str) -> Rule {
    rule(
        &format!("size(self) <= {NAME_LIMIT}"),
        &format!(
            "{what} must be at most {NAME_LIMIT} characters: the operator appends up to ten to it for objects of its own \
             ('-candidate'), and Kubernetes ends such names at 63"
        ),
    )
}

/// A value that is chosen once.
pub fn immutable(what: &str) -> Rule {
    rule("self == oldSelf", &format!("{what} cannot change: create another ModelRollout for it"))
}

/// A number of a version. It ends at nine digits, so that every accepted version can be compared.
const NUMBER: &str = "(0|[1-9][0-9]{0,8})";
/// What follows the hyphen in a version, in lower case.
const PRE_RELEASE: &str =
    "(0|[1-9][0-9]*|[0-9]*[a-z-][0-9a-z-]*)([.](0|[1-9][0-9]*|[0-9]*[a-z-][0-9a-z-]*))*";

/// SemVer 2.0 without build metadata, in lower case.
pub fn semver() -> Rule {
    rule(
        &format!("self.matches('^{NUMBER}[.]{NUMBER}[.]{NUMBER}(-{PRE_RELEASE})?$')"),
        "version must be SemVer 2.0 without build metadata, in lower case, such as 1.4.0 or 2.0.0-rc.1 (no leading 'v', no '+build')",
    )
}

/// A SHA-256 digest.
pub fn digest() -> Rule {
    rule(
        "self.matches('^sha256:[0-9a-f]{64}$')",
        "digest must be 'sha256:' and 64 hexadecimal digits in lower case",
    )
}

/// A reference that does not move: no `latest` or branch name in it. Directories of a file are just names.
pub fn pinned() -> Rule {
    rule(
        "self.startsWith('file://') || !self.matches('(?i)[^:/][/:@=](latest|main|master|head|nightly)([/?#&@]|$)')",
        "the reference must not contain a moving name (latest, main, master, head, nightly): name a release, a commit or a digest",
    )
}

/// An OCI reference carries its digest.
pub fn oci_by_digest() -> Rule {
    rule(
        "!self.matches('^(oci|docker)://') || self.matches('@sha256:[0-9a-f]{64}$')",
        "an OCI reference must end with its digest (...@sha256:<64 digits>): a tag can be moved",
    )
}

/// A reference has a scheme, so that a reader knows how to fetch it.
pub fn has_scheme() -> Rule {
    rule(
        "self.matches('^[a-z][a-z0-9+.-]*://.')",
        "the reference must be an address with a scheme, such as oci://, s3://, gs://, https:// or file://",
    )
}

/// An image by digest.
pub fn image() -> Rule {
    rule(
        "self.matches('^[^ ]+@sha256:[0-9a-f]{64}$')",
        "image must be pinned by digest (repository@sha256:<64 digits>): a tag can be moved",
    )
}

/// A provider's model by its dated name.
pub fn dated_model() -> Rule {
    rule(
        "self.matches('(20[0-9]{2}-[0-9]{2}-[0-9]{2}|20[0-9]{6}|-[0-9]{3,4}$)') && !self.matches('(?i)latest')",
        "model must be the provider's dated name, such as gpt-4o-2024-08-06: a floating name changes without notice",
    )
}

/// The name of an environment variable.
pub fn env_name() -> Rule {
    rule(
        "self.matches('^[-._a-zA-Z][-._a-zA-Z0-9]*$')",
        "the name of an environment variable is letters, digits, '_', '-' and '.', not starting with a digit",
    )
}

/// What a length of time looks like; at most eleven years for each unit, so that sums hold. No days: CEL has none.
const SPAN: &str = "^([0-9]{1,5}h)?([0-9]{1,6}m)?([0-9]{1,6}s)?([0-9]{1,6}ms)?$";

/// A length of time that both the API server's rules and we can read.
pub fn span() -> Rule {
    rule(
        &readable("self"),
        "a length of time is whole numbers with units, largest first: 500ms, 30s, 10m, 1h30m (two days are 48h)",
    )
}

/// An amount that we can read, above 0.
pub fn amount() -> Rule {
    rule(
        "self.matches('^[0-9]{1,9}([.][0-9]{1,6})?$') && self.matches('[1-9]')",
        "an amount is a decimal number above 0 in quotes, such as '0.40', with at most six digits after the point: no sign, no unit",
    )
}

/// Whether a field is a length of time. Rules that compute with one ask this first: what cannot be read has its own
/// message, and an error from the computation would only hide it.
fn readable(field: &str) -> String {
    format!("{field}.matches('{SPAN}')")
}

/// A range of versions: comparators of SemVer, separated by commas.
pub fn range() -> Rule {
    let comparator = format!("(=|>|>=|<|<=|[~^])? *{NUMBER}([.]{NUMBER}([.]{NUMBER}(-{PRE_RELEASE})?)?)?");
    rule(
        &format!("self.matches('^{comparator}( *, *{comparator})*$')"),
        "a dependency's version must be a range such as '>=2.1, <3' or '^1.4'",
    )
}

/// A moment that we can read. The second half refuses days that no month has.
pub fn moment() -> Rule {
    rule(
        &format!("self.matches('{MOMENT}') && timestamp(self) > timestamp('0001-01-01T00:00:00Z')"),
        "a moment is written as RFC 3339 has it: 2026-11-21T14:00:00Z or 2026-11-21T15:00:00+01:00",
    )
}

/// What a moment looks like. Years end at 8999: the libraries that read it end at different places of the year 9999.
pub const MOMENT: &str = "^[0-8][0-9]{3}-[0-9]{2}-[0-9]{2}T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]([.][0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$";
