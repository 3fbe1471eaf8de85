//! A production that computes nothing: it publishes a folder with a manifest and nothing else.

use std::fs;

use chrono::{DateTime, Utc};
use nilas::config::{Consistency, SamplerKind};
use nilas::produce::{AcceptedFile, Order, Produced};
use nilas::publish::{Figures, InputRecord, Lineage, Manifest, Published, Status};
use nilas::source::{Role, recognise};
use nilas::sys;
use nilas::time::Window;

/// Publishes what is ordered, from the names of its files alone.
///
/// # Panics
/// Where the revision is there already.
pub(crate) fn publish(order: &Order, now: DateTime<Utc>) -> Produced {
    let (day, revision) = (order.day(), order.revision);
    let gathered = &order.gathered;
    let record = |role: Role, file: &AcceptedFile| {
        let known = recognise(&file.name()).unwrap();
        let window = Window { start: known.start.noon(), end: known.end.noon() };
        InputRecord {
            role: role.name().into(),
            name: file.name(),
            product: known.word().into(),
            sha256: file.sha256.clone(),
            window,
            age_days: window.age_days(day),
        }
    };
    let inputs = vec![
        record(Role::Concentration, &gathered.concentration),
        record(Role::Thickness, &gathered.thickness),
        record(Role::Drift, &gathered.drift),
    ];
    let is_final = inputs.iter().all(|input| !input.is_aged());
    let status = if is_final { Status::Final } else { Status::Provisional };
    let figures = Figures {
        ice_cells: 1,
        ice_area_km2: 1.0,
        ice_area_without_estimate_km2: 0.0,
        ice_volume_km3: 1.0,
        mean_thickness_m: 1.0,
        mean_spread_m: 1.0,
    };
    let mut manifest = Manifest {
        manifest_sha256: String::new(),
        day,
        revision,
        status,
        created: now,
        grid: "stand-in".into(),
        members: 2,
        members_in_file: true,
        figures,
        lineage: Lineage {
            inputs: inputs.clone(),
            declared_gaps: gathered.declared_gaps.iter().map(ToString::to_string).collect(),
            checkpoint: "stand-in".into(),
            checkpoint_sha256: "0".repeat(64),
            training_data: "none".into(),
            sampler: SamplerKind::Ddim,
            steps: 1,
            time_grid: None,
            lowest_noise_rate: None,
            calibration: None,
            input_perturbed: false,
            consistency: Consistency::Seen,
            seed: 1,
            device: format!("{:?}", order.config.model.device).to_lowercase(),
            precision: "f32".into(),
            config_hash: "0".repeat(64),
            code_version: "0".into(),
            degradation: order.degradation.clone(),
        },
        timings: Vec::new(),
        files: Vec::new(),
    };
    let text = |manifest: &Manifest| serde_json::to_string_pretty(manifest).unwrap();
    manifest.manifest_sha256 = sys::sha256(text(&manifest));
    let root = &order.config.folders.products;
    let folder = root.join(day.date().format("%Y/%m/%d").to_string()).join(format!("r{revision:02}"));
    assert!(!folder.exists(), "{} is published twice", folder.display());
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("manifest.json"), text(&manifest)).unwrap();
    Produced {
        day,
        status,
        members: 2,
        clamped_fraction: 0.0,
        inputs,
        device: "cpu".into(),
        published: Published { folder, revision, files: Vec::new(), figures },
        peak_memory_bytes: None,
        timings: Vec::new(),
    }
}
