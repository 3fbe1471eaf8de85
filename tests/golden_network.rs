//! The network, the sampler and the members' noise against an independent implementation
//! (`tests/tools/reference_network.py`, which describes the pseudo-weights used here).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "common/say.rs"]
mod say;

use std::collections::BTreeMap;
use std::path::Path;

use nilas::config::{Precision, SamplerChoice};
use nilas::model::{
    Network, NetworkConfiguration, NoisePredictor, Sampler, Schedule, Unconstrained, has_bfloat16,
    read_tensors,
};
use say::say;
use tch::{Device, Kind, Tensor};

fn golden() -> BTreeMap<String, Tensor> {
    read_tensors(Path::new("tests/data/golden/network.safetensors")).unwrap()
}

fn fnv1a(name: &str) -> u64 {
    name.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Value `index` of the pseudo-random sequence of a name, in 0..1.
fn uniform(hash: u64, index: u64) -> f64 {
    let mut z = hash.wrapping_add((index + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}

fn pseudo_tensor(name: &str, size: &[i64], map: impl Fn(f64) -> f64) -> Tensor {
    let hash = fnv1a(name);
    let count: i64 = size.iter().product();
    let values: Vec<f32> = (0..count as u64).map(|index| map(uniform(hash, index)) as f32).collect();
    Tensor::from_slice(&values).reshape(size)
}

fn pseudo_weights(name: &str, size: &[i64]) -> Tensor {
    let fan_in: i64 = size.iter().skip(1).product();
    let damping = if name.ends_with("conv2.weight") { 0.2 } else { 1.0 };
    pseudo_tensor(name, size, |u| match name {
        _ if size.len() == 4 => (u - 0.5) * 2.0 * (3.0 / fan_in as f64).sqrt() * damping,
        _ if name.ends_with("running_var") => 0.5 + u,
        _ => (u - 0.5) * 0.2,
    })
}

fn network(configuration: &NetworkConfiguration) -> Network {
    let mut network = Network::new(configuration, Device::Cpu);
    let sizes: BTreeMap<String, Vec<i64>> =
        network.tensors().into_iter().map(|(name, tensor)| (name, tensor.size())).collect();
    network.assign(|name| Some(pseudo_weights(name, &sizes[name]))).unwrap();
    network
}

fn largest_difference(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!(a.size(), b.size());
    (a - b).abs().max().double_value(&[])
}

#[test]
fn inputs_follow_the_formula() {
    let golden = golden();
    for (name, size) in [("golden.z", [1, 1, 64, 64]), ("golden.context", [1, 4, 64, 64])] {
        let formula = pseudo_tensor(name, &size, |u| (u - 0.5) * 4.0);
        assert!(largest_difference(&formula, &golden[name]) < 1e-12, "{name}");
    }
}

#[test]
fn the_network_is_that_of_the_reference() {
    let golden = golden();
    let (z, context) = (&golden["golden.z"], &golden["golden.context"]);
    let (odd_z, odd_context) = (&golden["golden.odd.z"], &golden["golden.odd.context"]);
    let cases = [
        ("reference.noise_0p37", NetworkConfiguration::reference(), z, context, 0.37),
        ("reference.noise_0p05", NetworkConfiguration::reference(), z, context, 0.05),
        ("reference.odd", NetworkConfiguration::reference(), odd_z, odd_context, 0.37),
        ("small.noise_0p37", NetworkConfiguration::small(), z, context, 0.37),
    ];
    for (name, configuration, z, context, variance) in cases {
        let mut network = network(&configuration);
        let plain = tch::no_grad(|| network.predict(z, context, variance)).unwrap();
        network.use_channels_last();
        let channels_last = tch::no_grad(|| network.predict(z, context, variance)).unwrap();
        let ready = network.for_inference(Precision::F32).predict(z, context, variance).unwrap();
        for (layout, noise) in [("plain", plain), ("channels-last", channels_last), ("inference", ready)] {
            let difference = largest_difference(&noise, &golden[name]);
            assert!(
                difference < 5e-5 * golden[name].std(true).double_value(&[]),
                "{name}, {layout}: {difference}"
            );
        }
    }
}

#[test]
fn bfloat16_stays_near_the_reference() {
    if !has_bfloat16() {
        return say("skipped: this processor has no instructions for bfloat16");
    }
    let golden = golden();
    let network = network(&NetworkConfiguration::small()).for_inference(Precision::Bf16);
    let noise = network.predict(&golden["golden.z"], &golden["golden.context"], 0.37).unwrap();
    assert_eq!(noise.kind(), Kind::Float);
    let expected = &golden["small.noise_0p37"];
    let error = (noise - expected).std(true).double_value(&[]) / expected.std(true).double_value(&[]);
    assert!(error > 0.0 && error < 0.02, "relative error {error}");
}

#[test]
fn the_sampler_is_that_of_the_reference() {
    let golden = golden();
    let network = network(&NetworkConfiguration::small()).for_inference(Precision::F32);
    let (z, context) = (&golden["golden.z"], &golden["golden.context"]);
    let schedule = Schedule::default();
    let wanted = SamplerChoice { steps: Some(8), ..SamplerChoice::default() };
    let sampler = Sampler::resolve(wanted, SamplerChoice::default(), schedule).unwrap();
    let sample =
        tch::no_grad(|| sampler.sample(&network, schedule, &Unconstrained, z, context, || {})).unwrap();
    let expected = &golden["small.sample_8_steps"];
    let difference = largest_difference(&sample, expected);
    assert!(difference < 1e-4 * expected.std(true).double_value(&[]), "{difference}");
}

#[test]
fn the_reference_network_has_as_many_parameters_as_the_method_says() {
    assert_eq!(Network::new(&NetworkConfiguration::reference(), Device::Cpu).parameter_count(), 3_890_465);
}
