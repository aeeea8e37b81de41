//! noise
mod fill;
mod laws;
mod philox;
use crate::Real;
use fill::fill;
use laws::*;
use ndarray::ArrayRef2;
use philox::mix;
/// n
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Noise {
    key: u64,
}
impl Noise {
    /// new
    pub const fn new(seed: u64) -> Noise {
        Noise { key: mix(seed) }
    }
    /// normals
    pub fn normals_into<F: Real>(&self, rows: &[u64], step: u64, out: &mut ArrayRef2<F>) {
        let set = |x: &mut F, z| *x = z;
        if size_of::<F>() == 4 {
            fill::<Normal32, 4, F>(self.law_key(Normal32::TAG, step), rows, step as u32, out, set)
        } else {
            fill::<Normal64, 2, F>(self.law_key(Normal64::TAG, step), rows, step as u32, out, set)
        }
    }
    fn law_key(&self, tag: u64, step: u64) -> u64 {
        mix(mix(self.key ^ tag) ^ (step >> 32))
    }
}
