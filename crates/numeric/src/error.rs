//! The one error type of the shared layer.

use std::fmt;

/// What went wrong, with the parameter's name and the value that was found.
///
/// Every constructor of girsanov checks its arguments and returns one of these; a value that has been
/// constructed cannot be out of its domain. NaN is out of every domain.
///
/// ```
/// use numeric::{Error, TimeGrid};
/// let refused = TimeGrid::from_nodes(vec![0.0, 1.0, 0.5]).unwrap_err();
/// assert_eq!(
///     refused.to_string(),
///     "`nodes[2]` is 0.5; expected strictly monotone nodes, in the direction of the first step"
/// );
/// # let _: Error = refused;
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
pub enum Error {
    /// A number outside its domain.
    Domain {
        /// The parameter's name.
        parameter: &'static str,
        /// The value found.
        value: f64,
        /// What was expected, as a phrase.
        expected: &'static str,
    },
    /// An entry of an array outside its domain.
    Entry {
        /// The array's name.
        parameter: &'static str,
        /// Position of the entry, counted in row-major order.
        index: usize,
        /// The value found.
        value: f64,
        /// What was expected, as a phrase.
        expected: &'static str,
    },
    /// An array of the wrong length or shape.
    Shape {
        /// The array's name.
        parameter: &'static str,
        /// The shape expected.
        expected: Vec<usize>,
        /// The shape found.
        found: Vec<usize>,
    },
    /// A matrix that must be symmetric positive definite and is not.
    NotPositiveDefinite {
        /// The matrix's name.
        parameter: &'static str,
        /// Which one of a list of matrices; 0 where there is only one.
        index: usize,
    },
    /// A model or a step returned NaN or an infinity.
    NotFinite {
        /// What was not finite.
        what: &'static str,
        /// Absolute number of the row.
        row: u64,
        /// Step of the run, from 0.
        step: u64,
        /// Time at which it was evaluated.
        time: f64,
    },
    /// A user's model reported a failure of its own.
    Model {
        /// The lowest absolute row number of the batch that failed.
        row: u64,
        /// The model's own words.
        message: String,
    },
    /// An iterative routine that did not reach its tolerance.
    NotConverged {
        /// Name of the routine.
        routine: &'static str,
        /// Iterations made.
        iterations: usize,
        /// What was left of the residual.
        residual: f64,
    },
    /// An adaptive solver that does not get on: its steps have become too short or too many.
    Stalled {
        /// Absolute number of the row.
        row: u64,
        /// Time that it has reached.
        time: f64,
        /// Length of the step that it would try next.
        step: f64,
        /// Steps accepted so far.
        steps: u64,
        /// What the limit was, as a phrase.
        reason: &'static str,
    },
    /// A reaction of a network that is not well defined, or cannot happen where its rate says that it does.
    Reaction {
        /// The reaction's name.
        reaction: String,
        /// The species concerned, if it is one.
        species: Option<String>,
        /// The parameter's name.
        parameter: &'static str,
        /// The value found.
        value: f64,
        /// What was expected, as a phrase.
        expected: &'static str,
    },
    /// A text that does not follow its grammar, or says what cannot be.
    Syntax {
        /// The line, from 1.
        line: usize,
        /// The column, in characters from 1.
        column: usize,
        /// What is wrong there.
        message: String,
    },
    /// A method that was asked for what it cannot do: the wrong reading of an equation, a class of noise, a start.
    Unsupported {
        /// The method's name.
        method: &'static str,
        /// What was asked for and what it can do, as a phrase.
        reason: &'static str,
    },
    /// The run was cancelled by its caller.
    Cancelled,
    /// A file that could not be read or written, or does not hold what it should.
    File {
        /// The file.
        path: std::path::PathBuf,
        /// What happened, as a phrase.
        message: String,
    },
}

impl Error {
    /// `Ok(())` if `holds`, else [`Error::Domain`]. Write the condition so that NaN fails it.
    ///
    /// # Errors
    /// [`Error::Domain`] if `holds` is false.
    pub fn domain(
        holds: bool,
        parameter: &'static str,
        value: f64,
        expected: &'static str,
    ) -> Result<(), Error> {
        if holds { Ok(()) } else { Err(Error::Domain { parameter, value, expected }) }
    }

    /// `Ok(())` if `value` is finite and greater than zero.
    ///
    /// # Errors
    /// [`Error::Domain`] otherwise.
    pub fn positive(parameter: &'static str, value: f64) -> Result<(), Error> {
        Error::domain(value > 0.0 && value.is_finite(), parameter, value, "a finite number greater than 0")
    }

    /// `Ok(())` if every value satisfies `holds`.
    ///
    /// # Errors
    /// [`Error::Entry`] for the first that does not.
    pub fn entries(
        parameter: &'static str,
        values: impl IntoIterator<Item = f64>,
        expected: &'static str,
        holds: impl Fn(f64) -> bool,
    ) -> Result<(), Error> {
        match values.into_iter().enumerate().find(|&(_, value)| !holds(value)) {
            None => Ok(()),
            Some((index, value)) => Err(Error::Entry { parameter, index, value, expected }),
        }
    }

    /// `Ok(())` if the two shapes are equal.
    ///
    /// # Errors
    /// [`Error::Shape`] otherwise.
    pub fn shape(parameter: &'static str, expected: &[usize], found: &[usize]) -> Result<(), Error> {
        if expected == found {
            return Ok(());
        }
        Err(Error::Shape { parameter, expected: expected.to_vec(), found: found.to_vec() })
    }

    /// The absolute number of the row that failed, for errors that know it.
    #[must_use]
    pub fn row(&self) -> Option<u64> {
        match *self {
            Error::NotFinite { row, .. } | Error::Model { row, .. } | Error::Stalled { row, .. } => Some(row),
            _ => None,
        }
    }

    /// [`Error::File`] from an input/output error.
    #[must_use]
    pub fn file(path: &std::path::Path, message: impl fmt::Display) -> Error {
        Error::File { path: path.to_path_buf(), message: message.to_string() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Domain { parameter, value, expected } => {
                write!(f, "`{parameter}` is {value}; expected {expected}")
            }
            Error::Entry { parameter, index, value, expected } => {
                write!(f, "`{parameter}[{index}]` is {value}; expected {expected}")
            }
            Error::Shape { parameter, expected, found } => {
                write!(f, "`{parameter}` has shape {found:?}; expected {expected:?}")
            }
            Error::NotPositiveDefinite { parameter, index } => {
                write!(f, "`{parameter}[{index}]` is not symmetric positive definite")
            }
            Error::NotFinite { what, row, step, time } => {
                write!(f, "{what} is not finite in row {row} at step {step}, time {time}")
            }
            Error::Model { row, message } => {
                write!(f, "the model failed in the batch of row {row}: {message}")
            }
            Error::NotConverged { routine, iterations, residual } => {
                write!(f, "{routine} did not converge: residual {residual} after {iterations} iterations")
            }
            Error::Stalled { row, time, step, steps, reason } => {
                write!(
                    f,
                    "row {row} stalled at time {time} after {steps} steps, the next {step} long: {reason}"
                )
            }
            Error::Reaction { reaction, species, parameter, value, expected } => {
                let of = species.as_ref().map_or(String::new(), |species| format!(" of species `{species}`"));
                write!(f, "reaction `{reaction}`: `{parameter}`{of} is {value}; expected {expected}")
            }
            Error::Syntax { line, column, message } => write!(f, "line {line}, column {column}: {message}"),
            Error::Unsupported { method, reason } => write!(f, "{method}: {reason}"),
            Error::Cancelled => write!(f, "cancelled"),
            Error::File { path, message } => write!(f, "{}: {message}", path.display()),
        }
    }
}

impl std::error::Error for Error {}
