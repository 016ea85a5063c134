//! One error type for the whole workspace: a kind that decides the exit code, and one clear sentence.

use alloc::string::String;
use core::fmt;

/// `Result` with the workspace's [`Error`].
pub type Result<T> = core::result::Result<T, Error>;

/// What went wrong, as far as a caller or a scheduler has to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The user gave something that cannot be used: a file, a shape, a name, a value. Never worth a retry.
    InvalidInput,
    /// The input is well-formed but asks for something this program does not do.
    Unsupported,
    /// The work does not fit the limit that was set (memory, time, evaluations).
    Limit,
    /// The operating system refused: missing file, full disk, no permission.
    Io,
    /// A property that the program promises did not hold.
    Violation,
    /// A fault of this program.
    Internal,
}

/// An error: its kind and one sentence that says what, where, what was expected and what to do.
///
/// ```
/// use voxplain_tensor::{Error, ErrorKind};
/// let error = Error::invalid("no class 5: the network has 2 classes, 0 to 1").within("--target");
/// assert_eq!(error.kind(), ErrorKind::InvalidInput);
/// assert_eq!(error.to_string(), "--target: no class 5: the network has 2 classes, 0 to 1");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    message: String,
}

impl Error {
    /// An error of `kind` with the sentence `message`.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// An [`ErrorKind::InvalidInput`] error.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidInput, message)
    }

    /// An [`ErrorKind::Unsupported`] error.
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unsupported, message)
    }

    /// An [`ErrorKind::Limit`] error.
    pub fn limit(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Limit, message)
    }

    /// An [`ErrorKind::Io`] error.
    pub fn io(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Io, message)
    }

    /// An [`ErrorKind::Internal`] error.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    /// The same error with the place where it happened put in front: `"{place}: {message}"`.
    #[must_use]
    pub fn within(self, place: impl fmt::Display) -> Self {
        Self { kind: self.kind, message: alloc::format!("{place}: {}", self.message) }
    }

    /// The kind of error.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The sentence, without the kind.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl core::error::Error for Error {}

#[cfg(feature = "std")]
impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Self::io(alloc::format!("{error}"))
    }
}
