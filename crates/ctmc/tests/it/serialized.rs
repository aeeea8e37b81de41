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

#[test]
fn a_mixture_survives_a_round_trip_and_a_wrong_one_is_refused() {
    let laws = numeric::ndarray::array![[[0.25, 0.75], [0.5, 0.5]], [[1.0, 0.0], [0.125, 0.875]]];
    let mixture = ctmc::denoise::exact::ProductMixture::new(&[0.25, 0.75], &laws).unwrap();
    let text = serde_json::to_string(&mixture).unwrap();
    assert_eq!(serde_json::from_str::<ctmc::denoise::exact::ProductMixture>(&text).unwrap(), mixture);
    let read = |text: &str| serde_json::from_str::<ctmc::denoise::exact::ProductMixture>(text);
    assert!(read(&text.replace("0.125", "0.5")).is_err());
    assert!(read(r#"{"weights":[1.0],"laws":[[[0.5,0.5],[1.0]]]}"#).is_err());
    assert!(read(r#"{"weights":[],"laws":[]}"#).is_err());
}
