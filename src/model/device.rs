//! Where the network runs.

use tch::{Cuda, Device};

use super::ModelError;
use crate::config::{DeviceChoice, Precision};
use crate::sys;

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
}

/// Finds the device that was asked for. `threads` is the number of CPU threads, 0 for as many as the process may use.
///
/// # Errors
/// [`ModelError::NoCuda`] when CUDA was asked for by name and is not to be had.
pub fn select_device(choice: DeviceChoice, threads: usize) -> Result<Device, ModelError> {
    let available = std::thread::available_parallelism().map_or(1, usize::from);
    tch::set_num_threads(if threads == 0 { available } else { threads } as i32);
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

fn cuda() -> Result<Device, String> {
    sys::load_cuda_library()?;
    if Cuda::is_available() { Ok(Device::Cuda(0)) } else { Err("libtorch finds no CUDA device".into()) }
}
