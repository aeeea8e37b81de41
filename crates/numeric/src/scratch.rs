//! Buffers that are used again.

use std::any::Any;

/// A worker's reusable buffers: typed workspaces that are taken out, used, and put back.
///
/// Whoever takes a workspace owns it until it is put back, so that adapters nested in each other never share
/// one by accident.
///
/// ```
/// let mut scratch = numeric::Scratch::new();
/// let mut buffer: Vec<f64> = scratch.take();
/// buffer.resize(1000, 0.0);
/// scratch.put(buffer);
/// assert_eq!(scratch.take::<Vec<f64>>().capacity(), 1000);     // the same allocation
/// ```
#[derive(Debug, Default)]
pub struct Scratch {
    /// Each an `Option<T>`: what is taken leaves its place behind, so that putting it back allocates nothing.
    /// Of one type, the full places come before the empty ones.
    places: Vec<Box<dyn Any + Send>>,
}

impl Scratch {
    /// An empty arena.
    #[must_use]
    pub fn new() -> Scratch {
        Scratch::default()
    }

    /// The workspace of this type that was put back last, or a fresh one.
    pub fn take<T: Default + Send + 'static>(&mut self) -> T {
        let places = self.places.iter_mut().filter_map(|place| place.downcast_mut::<Option<T>>());
        places.rev().find_map(Option::take).unwrap_or_default()
    }

    /// Puts a workspace back for later use.
    pub fn put<T: Send + 'static>(&mut self, workspace: T) {
        let mut places = self.places.iter_mut().filter_map(|place| place.downcast_mut::<Option<T>>());
        match places.find(|place| place.is_none()) {
            Some(place) => *place = Some(workspace),
            None => self.places.push(Box::new(Some(workspace))),
        }
    }
}
