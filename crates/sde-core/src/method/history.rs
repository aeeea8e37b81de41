//! What a multistep method remembers.

use std::collections::VecDeque;

use numeric::ndarray::{Array2, ArrayRef2};
use numeric::{Real, Time};

use crate::sde::coefficients::slice_mut;
use crate::sum::{Sum, Target};

/// The predictions of earlier steps of one run of a block of rows, newest first.
///
/// A run starts with an empty one, and its rows stay the same until it ends. One type serves all multistep
/// methods, so that methods of every kind fit into one list.
///
/// ```
/// use numeric::{Time, ndarray::array};
/// use sde_core::History;
/// let mut history = History::default();
/// for t in [3.0, 2.0, 1.0] {
///     history.push(Time::of(t), &array![[t]], 2);                  // keeps the last two
/// }
/// assert_eq!(history.len(), 2);
/// let (time, prediction) = history.get(0).unwrap();
/// assert_eq!((time.t, prediction[(0, 0)]), (1.0, 1.0));
/// assert!(history.get(2).is_none());
/// ```
#[derive(Clone, Debug, Default)]
pub struct History<F> {
    entries: VecDeque<(Time, Array2<F>)>,
    /// Whether a step may leave its last term to the next one.
    deferring: bool,
    /// The factor of the newest prediction that the state still lacks.
    deferred: Option<f64>,
}

impl<F: Real> History<F> {
    /// Number of predictions that are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether this is the first step of the run.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The prediction of `back` evaluations ago, 0 for the last one, with its time.
    #[must_use]
    pub fn get(&self, back: usize) -> Option<(Time, &Array2<F>)> {
        self.entries.get(back).map(|(time, prediction)| (*time, prediction))
    }

    /// The history of a run that calls [`settle`](Self::settle) before anybody looks at its state.
    pub(crate) fn deferring() -> History<F> {
        History { entries: VecDeque::new(), deferring: true, deferred: None }
    }

    /// Adds `factor · m` to the state `x`, where m is the newest prediction: at once, or in a deferring history when the
    /// next step takes the factor for its own pass over x or the run looks at x. The state has the same bits in each case.
    pub(super) fn defer(&mut self, factor: f64, x: &mut ArrayRef2<F>) {
        debug_assert!(self.deferred.is_none(), "a step begins with what the last one left");
        self.deferred = Some(factor);
        if !self.deferring {
            self.settle(x);
        }
    }

    /// The factor of the newest prediction that the state still lacks; it is the caller's to add.
    pub(super) fn take_deferred(&mut self) -> Option<f64> {
        self.deferred.take()
    }

    /// Adds to the state `x` what it lacks.
    pub(crate) fn settle(&mut self, x: &mut ArrayRef2<F>) {
        if let Some(factor) = self.take_deferred() {
            let newest = &self.entries[0].1;
            Sum::of_x(1.0).and(factor, newest).write(Target::InPlace(slice_mut(x)));
        }
    }

    /// Remembers a prediction `(n, d)` made at `time`, and of the older ones as many as make `keep` in all.
    pub fn push(&mut self, time: Time, prediction: &ArrayRef2<F>, keep: usize) {
        // The oldest array is written over: after the first steps nothing is allocated.
        let oldest = if self.entries.len() >= keep { self.entries.pop_back() } else { None };
        let values = match oldest {
            Some((_, mut values)) if values.dim() == prediction.dim() => {
                values.assign(prediction);
                values
            }
            _ => prediction.to_owned(),
        };
        self.push_array(time, values, keep);
    }

    /// Forgets all but the newest `keep`.
    ///
    /// What was predicted in noise without signal, σ/α = ∞, is infinitely far from all other nodes in σ/α and in its
    /// logarithm: in the limit it has no weight there.
    pub(super) fn truncate(&mut self, keep: usize) {
        self.entries.truncate(keep);
    }

    /// Takes the oldest prediction out, to be written over.
    pub(super) fn take_oldest(&mut self) -> Option<Array2<F>> {
        self.entries.pop_back().map(|(_, prediction)| prediction)
    }

    /// [`push`](Self::push) without a copy; returns the array that was forgotten, for the next prediction.
    pub(super) fn push_array(&mut self, time: Time, prediction: Array2<F>, keep: usize) -> Option<Array2<F>> {
        debug_assert!(
            self.deferred.is_none(),
            "the state lacks a term of the prediction that was the newest"
        );
        let oldest = if self.entries.len() >= keep { self.entries.pop_back() } else { None };
        self.entries.truncate(keep.saturating_sub(1));
        self.entries.push_front((time, prediction));
        oldest.map(|(_, prediction)| prediction)
    }
}
