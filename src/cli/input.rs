//! Files that a verb reads.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use crate::api::ModelRollout;
use crate::synthetic::{self, ManifestError};

/// Why a manifest gives no rollout.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// The file.
    #[error("could not read {path}: {source}", path = .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// What stands in it.
    #[error("{path}: {source}", path = .path.display())]
    Manifest {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        source: ManifestError,
    },
}

/// The rollout of a manifest; `name` chooses where there are several.
///
/// # Errors
/// When the file cannot be read, or what stands in it cannot be used.
pub fn rollout(path: &Path, name: Option<&str>) -> Result<ModelRollout, InputError> {
    let text = read(path).map_err(|source| InputError::File { path: path.to_owned(), source })?;
    synthetic::rollout(&text, name).map_err(|source| InputError::Manifest { path: path.to_owned(), source })
}

/// The text of a file; `-` is standard input.
pub fn read(path: &Path) -> std::io::Result<String> {
    if path.as_os_str() != "-" {
        return std::fs::read_to_string(path);
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    Ok(text)
}

/// Length of a piece in bytes.
const PIECE: usize = 1 << 20;

/// Hands the text of a file over in pieces of whole lines; `-` is standard input. Ends with the first error of `each`.
///
/// # Errors
/// When the file cannot be read, or is no text.
pub fn pieces<E>(path: &Path, each: impl FnMut(&str) -> Result<(), E>) -> io::Result<Result<(), E>> {
    if path.as_os_str() == "-" { cut(io::stdin().lock(), each) } else { cut(File::open(path)?, each) }
}

fn cut<E>(mut source: impl Read, mut each: impl FnMut(&str) -> Result<(), E>) -> io::Result<Result<(), E>> {
    let (mut piece, mut held) = (vec![0; PIECE], 0);
    loop {
        if held == piece.len() {
            piece.resize(2 * held, 0);
        }
        let read = match source.read(&mut piece[held..]) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            read => read?,
        };
        let end = held + read;
        let line_end = piece[held..end].iter().rposition(|byte| *byte == b'\n').map(|at| held + at + 1);
        let whole = if read == 0 { end } else { line_end.unwrap_or(0) };
        let text = str::from_utf8(&piece[..whole]).map_err(|e| io::Error::new(ErrorKind::InvalidData, e))?;
        if let Err(error) = each(text) {
            return Ok(Err(error));
        }
        piece.copy_within(whole..end, 0);
        held = end - whole;
        if read == 0 {
            return Ok(Ok(()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    /// Gives a few bytes at a time.
    struct Drops<'a>(&'a [u8], usize);

    impl Read for Drops<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let most = self.1.min(into.len());
            (&mut self.0).take(most as u64).read(into)
        }
    }

    #[test]
    fn pieces_are_whole_lines_and_together_the_text() {
        let long = "x".repeat(PIECE + 7);
        for text in ["", "a", "a\nb\u{e9}\n\nc", "a\r\nb\r\n", &format!("a\n{long}\nb\n{long}")] {
            for drop in [1000, PIECE, 3 * PIECE].into_iter().chain((text.len() < 99).then_some(1)) {
                let mut all = Vec::new();
                let each = |piece: &str| {
                    all.push(piece.to_owned());
                    Ok::<(), Infallible>(())
                };
                let Ok(()) = cut(Drops(text.as_bytes(), drop), each).unwrap();
                assert_eq!(all.concat(), text);
                assert!(all.iter().rev().skip(1).all(|one| one.is_empty() || one.ends_with('\n')), "{all:?}");
            }
        }
        assert!(cut(Drops(b"a\n\xff\n", 9), |_| Ok::<(), Infallible>(())).is_err());
        let stopped = cut(Drops(b"a\nb\n", 2), |piece| Err::<(), _>(piece.to_owned())).unwrap();
        assert_eq!(stopped.unwrap_err(), "a\n");
    }
}
