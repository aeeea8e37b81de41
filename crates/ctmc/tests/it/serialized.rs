//! What is written can be read again.

use ctmc::{ChainPath, Method, TimeChange, evolve, mixing_time};

use crate::cyclic;

#[test]
fn results_survive_a_round_trip() {
    let path = ChainPath { times: vec![0.5], states: vec![1, 2] };
    let text = serde_json::to_string(&path).unwrap();
    assert_eq!(serde_json::from_str::<ChainPath>(&text).unwrap(), path);
    let text = serde_json::to_string(&Method::Uniformization).unwrap();
    assert_eq!(serde_json::from_str::<Method>(&text).unwrap(), Method::Uniformization);
    let evolved = evolve(&cyclic(), &[1.0, 0.0, 0.0], 0.0, 1e-9).unwrap();
    let text = serde_json::to_string(&evolved).unwrap();
    assert_eq!(serde_json::from_str::<ctmc::Evolved>(&text).unwrap(), evolved);
    let mixing = mixing_time(&cyclic(), 0.25).unwrap();
    let text = serde_json::to_string(&mixing).unwrap();
    let read = serde_json::from_str::<ctmc::MixingTime>(&text).unwrap();
    assert!((read.upper - mixing.upper).abs() <= 1e-15 * mixing.upper && read.lower < read.upper);
    let beta = serde_json::to_string(&TimeChange::linear(0.5, 2.0).unwrap()).unwrap();
    assert_eq!(beta, r#"{"Linear":{"start":0.5,"slope":2.0}}"#);
}
