//! The inputs of a day: found, read, and brought to the product grid.

use crate::config::{Config, Inspection, RemapInput};
use crate::fetch;
use crate::field::Field;
use crate::grid::{Grid, GridError, Kernel, RemapCache, Weights};
use crate::prepare::{self, Prepared, ProvidedFlags, Remaps, SatelliteFields, flag};
use crate::progress::Bar;
use crate::publish::{InputRecord, Status};
use crate::source::merged_thickness::{Basis, Thickness};
use crate::source::osisaf_concentration::Concentration;
use crate::source::osisaf_drift::Drift;
use crate::source::{Decoded, Identity, InspectionProgram, OtherRole, Role, ThicknessLayout};
use crate::time::{ProductDay, Window};

use super::ProduceError;
use super::gathered::{AcceptedFile, Gathered};

/// Steps that [`read`] tells the bar.
pub(super) const STEPS: usize = 3;

/// Ages are kept to this part of a day: the time bounds of some products end a second early.
const AGE_STEP_PER_DAY: f64 = 1000.0;

/// The decoded inputs of a day, each on its own grid.
pub(super) struct Inputs {
    concentration: Concentration,
    thickness: Thickness,
    drift: Drift,
    /// Whether these are the files that a final product is made of.
    pub status: Status,
    /// What is said about them in the product.
    pub records: Vec<InputRecord>,
}

/// Who decodes foreign files, in a process of its own for each, and what that process may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a> {
    pub program: &'a InspectionProgram,
    pub limits: &'a Inspection,
}

/// Reads the files that were gathered for a day.
pub(super) fn read(gathered: &Gathered, reader: Reader<'_>, bar: &Bar) -> Result<Inputs, ProduceError> {
    let day = gathered.day;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|source| ProduceError::Runtime { source })?;
    let (concentration, thickness, drift) = runtime.block_on(async {
        tokio::try_join!(
            reader.decode::<Concentration>(&gathered.concentration, bar),
            reader.decode::<Thickness>(&gathered.thickness, bar),
            reader.decode::<Drift>(&gathered.drift, bar)
        )
    })?;
    let records = vec![
        record(
            day,
            Role::Concentration,
            &concentration.identity,
            concentration.window,
            &gathered.concentration,
        ),
        record(day, Role::Thickness, &thickness.identity, thickness.window, &gathered.thickness),
        record(day, Role::Drift, &drift.identity, drift.window, &gathered.drift),
    ];
    let settled = [&gathered.thickness, &gathered.drift]
        .into_iter()
        .map(|file| file.known().map(|known| known.centre() == day))
        .try_fold(true, |all, own| own.map(|own| all && own))?;
    let status = if settled { Status::Final } else { Status::Provisional };
    Ok(Inputs { concentration, thickness, drift, status, records })
}

impl Reader<'_> {
    async fn decode<T>(self, file: &AcceptedFile, bar: &Bar) -> Result<T, ProduceError>
    where
        T: TryFrom<Decoded, Error = OtherRole>,
    {
        let decoded = self.program.decode(&unchanged(file)?.path, self.limits).await?;
        bar.step();
        Ok(decoded)
    }
}

/// A file that still is the one that was accepted: the sum that stands in the product must be that of the bytes that are read.
fn unchanged(file: &AcceptedFile) -> Result<&AcceptedFile, ProduceError> {
    if fetch::sha256(&file.path)? == file.sha256 {
        Ok(file)
    } else {
        Err(ProduceError::Changed { path: file.path.clone() })
    }
}

fn record(
    day: ProductDay,
    role: Role,
    identity: &Identity,
    window: Window,
    file: &AcceptedFile,
) -> InputRecord {
    InputRecord {
        role: role.to_string(),
        name: identity.name.clone(),
        product: identity.product.clone(),
        sha256: file.sha256.clone(),
        window,
        age_days: (window.age_days(day) * AGE_STEP_PER_DAY).round() / AGE_STEP_PER_DAY,
    }
}

impl Inputs {
    /// Whether the thickness file says what its values rest on in words that are not known.
    pub(super) fn has_unknown_basis(&self) -> bool {
        self.thickness.basis.iter().any(|basis| *basis == Some(Basis::Unknown))
    }

    /// Makes the network's inputs from them.
    pub(super) fn prepare(
        &self,
        config: &Config,
        grid: &Grid,
        cache: &RemapCache,
    ) -> Result<Prepared, GridError> {
        let sea = grid.sea();
        let weights = |field: &Field, input: RemapInput| -> Result<Weights, GridError> {
            let kernel = config.kernel(input);
            let kernel = Kernel::Gaussian { scale_km: kernel.scale_km, radius_km: kernel.radius_km };
            cache.weights(field.grid(), &grid.spec, &sea, kernel)
        };
        let thickness_kernel = match self.thickness.layout {
            ThicknessLayout::V206 => RemapInput::ThicknessV206,
            ThicknessLayout::V300 => RemapInput::ThicknessV300,
        };
        let (concentration, (thickness, deformation)) = rayon::join(
            || weights(&self.concentration.fraction, RemapInput::Concentration),
            || {
                rayon::join(
                    || weights(&self.thickness.thickness_m, thickness_kernel),
                    || weights(&self.drift.displacement_x_km, RemapInput::Deformation),
                )
            },
        );
        let remaps =
            Remaps { concentration: concentration?, thickness: thickness?, deformation: deformation? };
        let near_coast = self.concentration.near_coast.mapv(|near| if near { flag::NEAR_COAST } else { 0 });
        let basis = self.thickness.basis.mapv(|basis| basis.map_or(0, flag_of));
        let fields = SatelliteFields {
            concentration: &self.concentration.fraction,
            thickness_m: &self.thickness.thickness_m,
            thickness_uncertainty_m: self.thickness.uncertainty_m.as_ref(),
            displacement_x_km: &self.drift.displacement_x_km,
            displacement_y_km: &self.drift.displacement_y_km,
            drift_days: &self.drift.duration_days,
            provided: Some(ProvidedFlags { concentration: &near_coast, thickness: &basis }),
        };
        let fill_reach_km = config.prepare.fill_gaps.then_some(config.prepare.fill_reach_km);
        Ok(prepare::prepare(fields, &remaps, grid, fill_reach_km))
    }
}

/// The bit of `status_flag` for what a thickness rests on.
fn flag_of(basis: Basis) -> u32 {
    match basis {
        Basis::Combined => flag::COMBINED_THICKNESS,
        Basis::AltimetryOnly => flag::ALTIMETRY_ONLY,
        Basis::RadiometryOnly => flag::RADIOMETRY_ONLY,
        Basis::Interpolated => flag::INTERPOLATED_THICKNESS,
        Basis::Unknown => 0,
    }
}
