//! Where the network runs.

use tch::{Cuda, Device};

use super::{Checkpoint, ModelError};
use crate::config::{DeviceChoice, Precision};
use crate::progress::Processor;
use crate::sys;

/// Larger batches keep a GPU no busier.
const MOST_AT_ONCE: usize = 16;
/// The rest is for what the kernels want besides.
const USED_SHARE_OF_FREE_MEMORY: f64 = 0.6;

/// The device and the number format that a network is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placement {
    /// The device.
    pub device: Device,
    /// The number format.
    pub precision: Precision,
}

impl Placement {
    /// 32-bit floats on the CPU.
    pub const CPU: Self = Self { device: Device::Cpu, precision: Precision::F32 };

    /// The device as products name it: `cpu` or `cuda:0`.
    #[must_use]
    pub fn device_name(&self) -> String {
        match self.device {
            Device::Cuda(index) => format!("cuda:{index}"),
            _ => "cpu".into(),
        }
    }

    /// What the device is, for whoever watches the work.
    #[must_use]
    pub fn processor(&self) -> Processor {
        if self.device == Device::Cpu { Processor::Cpu } else { Processor::Gpu }
    }
}

/// Finds the placements that share the members, the first apart from the others: every CUDA device where CUDA was asked for and is there,
/// else the CPU, each with the number format that suits it.
///
/// # Errors
/// Those of [`select_placement`].
pub fn select_placements(
    choice: DeviceChoice,
    threads: usize,
    precision: Precision,
) -> Result<(Placement, Vec<Placement>), ModelError> {
    let first = select_placement(choice, threads, precision)?;
    let others = if first.device == Device::Cpu { 1..1 } else { 1..Cuda::device_count() as usize };
    Ok((first, others.map(|index| Placement { device: Device::Cuda(index), ..first }).collect()))
}

/// The first of [`select_placements`], for what is done on one device.
///
/// # Errors
/// [`ModelError::NoCuda`] when CUDA was asked for by name and is not to be had.
pub fn select_placement(
    choice: DeviceChoice,
    threads: usize,
    precision: Precision,
) -> Result<Placement, ModelError> {
    Ok(Placement::suitable(select_device(choice, threads)?, precision))
}

/// The number of CPU threads that is meant by `threads`: 0 stands for as many as the process may use.
#[must_use]
pub fn thread_count(threads: usize) -> usize {
    if threads == 0 { std::thread::available_parallelism().map_or(1, usize::from) } else { threads }
}

/// The device that [`Placement::device_name`] names so. `threads` is as for [`thread_count`].
///
/// # Errors
/// [`ModelError::NoCuda`] when it is not to be had.
pub fn open_device(name: &str, threads: usize) -> Result<Device, ModelError> {
    tch::set_num_threads(thread_count(threads) as i32);
    if name == Placement::CPU.device_name() {
        return Ok(Device::Cpu);
    }
    let missing = || ModelError::NoCuda { reason: format!("there is no {name}") };
    let index: usize = name.strip_prefix("cuda:").and_then(|index| index.parse().ok()).ok_or_else(missing)?;
    cuda().map_err(|reason| ModelError::NoCuda { reason })?;
    if (index as i64) < Cuda::device_count() { Ok(Device::Cuda(index)) } else { Err(missing()) }
}

/// Finds the device that was asked for, the first one where there are several. `threads` is as for [`thread_count`].
fn select_device(choice: DeviceChoice, threads: usize) -> Result<Device, ModelError> {
    tch::set_num_threads(thread_count(threads) as i32);
    if choice == DeviceChoice::Cpu {
        return Ok(Device::Cpu);
    }
    match (choice, cuda()) {
        (_, Ok(device)) => Ok(device),
        (DeviceChoice::Cuda, Err(reason)) => Err(ModelError::NoCuda { reason }),
        (_, Err(reason)) => {
            tracing::debug!(reason, "CUDA was looked for");
            tracing::info!("no CUDA device; the network runs on the CPU");
            Ok(Device::Cpu)
        }
    }
}

impl Placement {
    /// The placement on a device with the number format that was asked for, or with 32-bit floats where the processor has no
    /// instructions for bfloat16: there it would only be slower.
    fn suitable(device: Device, precision: Precision) -> Self {
        if device == Device::Cpu && precision == Precision::Bf16 && !has_bfloat16() {
            tracing::warn!(
                "this processor has no instructions for bfloat16; the network computes in 32-bit floats"
            );
            return Self { device, precision: Precision::F32 };
        }
        Self { device, precision }
    }
}

/// Whether the processor has instructions for bfloat16.
#[must_use]
pub fn has_bfloat16() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("avx512bf16");
    #[cfg(target_arch = "aarch64")]
    return std::arch::is_aarch64_feature_detected!("bf16");
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    return false;
}

impl Checkpoint {
    /// Where its network is.
    #[must_use]
    pub fn placement(&self) -> Placement {
        Placement { device: self.network.device(), precision: self.network.precision() }
    }

    /// Samples that the network handles at once: on a GPU as many as are wanted or, where that is 0, as its free memory holds, but not
    /// more than are of use. On a CPU one: larger batches gain nothing there, and so a member is bit-equal whatever the batch.
    #[must_use]
    pub fn batch(&self, wanted: usize, (rows, columns): (usize, usize)) -> usize {
        let Device::Cuda(index) = self.network.device() else { return 1 };
        if wanted > 0 {
            return wanted;
        }
        let Some(free) = sys::free_cuda_bytes(index) else { return 1 };
        let value_bytes = if self.network.precision() == Precision::Bf16 { 2.0 } else { 4.0 };
        let values = self.network.configuration().values_per_cell() * (rows * columns) as f64;
        let fitting = USED_SHARE_OF_FREE_MEMORY * free as f64 / (value_bytes * values);
        (fitting as usize).clamp(1, MOST_AT_ONCE)
    }
}

fn cuda() -> Result<Device, String> {
    sys::load_cuda_library()?;
    if Cuda::is_available() { Ok(Device::Cuda(0)) } else { Err("libtorch finds no CUDA device".into()) }
}
