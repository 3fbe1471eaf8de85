//! Fields on their way between the machine and a device.

use ndarray::{Array2, ArrayView2};
use tch::kind::Element;
use tch::{Cuda, Device, Kind, TchError, Tensor};

use crate::model::ModelError;

/// The way to a device and back, for fields of one shape.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lane {
    pub(super) device: Device,
    /// Rows and columns.
    pub(super) shape: (usize, usize),
    /// Whether fields go to and from a GPU through memory that it reaches by itself, while the machine does something else. False on a CPU,
    /// and where it is measured what that is worth.
    pub(super) is_pinned: bool,
}

impl Lane {
    pub(super) fn new(device: Device, shape: (usize, usize)) -> Self {
        Self { device, shape, is_pinned: device != Device::Cpu }
    }

    /// Fields, each row by row, as `[n, 1, row, column]` on the device.
    pub(super) fn to_device<'a>(self, fields: impl Iterator<Item = &'a [f32]>) -> Result<Tensor, ModelError> {
        let (rows, columns) = self.shape;
        let fields: Vec<_> = fields
            .map(|field| Tensor::from_slice(field).reshape([1, 1, rows as i64, columns as i64]))
            .collect();
        let together = Tensor::cat(&fields, 0);
        if !self.is_pinned {
            return together.f_to_device(self.device).map_err(in_transfer);
        }
        // The public function warns, at each call, of the argument that its binding always gives.
        let pinned = together.f_internal_pin_memory(self.device);
        pinned
            .and_then(|pinned| pinned.f_to_device_(self.device, Kind::Float, true, false))
            .map_err(in_transfer)
    }

    /// A field `[1, 1, row, column]` of nothing.
    pub(super) fn zeros(self, kind: Kind) -> Tensor {
        let (rows, columns) = self.shape;
        Tensor::zeros([1, 1, rows as i64, columns as i64], (kind, self.device))
    }

    /// Waits until the device has done what it was told.
    pub(super) fn wait(self) {
        if let Device::Cuda(index) = self.device {
            Cuda::synchronize(index as i64);
        }
    }

    /// The same fields on the host, where the numbers are once the device has done all that it was told.
    pub(super) fn to_host(self, fields: &Tensor) -> Result<Tensor, ModelError> {
        let fields = fields.f_contiguous();
        fields
            .and_then(|fields| fields.f_to_device_(Device::Cpu, fields.kind(), self.is_pinned, false))
            .map_err(in_transfer)
    }
}

pub(super) fn in_transfer(source: TchError) -> ModelError {
    ModelError::Torch { task: "moving fields between the machine and the device", source }
}

/// A field as `[1, 1, row, column]`.
pub(super) fn tensor<T: Element + Copy>(field: ArrayView2<'_, T>) -> Tensor {
    let (rows, columns) = field.dim();
    let values: Vec<T> = field.iter().copied().collect();
    Tensor::from_slice(&values).reshape([1, 1, rows as i64, columns as i64])
}

/// Arrays of the fields `[n, 1, row, column]` on the host.
pub(super) fn arrays(fields: &Tensor) -> impl Iterator<Item = Array2<f32>> {
    fields.unbind(0).into_iter().map(|field| array(&field))
}

/// The array that a field is, whose last dimensions are row and column and whose others are 1.
pub(super) fn array<T: Element + Copy + Default>(field: &Tensor) -> Array2<T> {
    let size = field.size();
    let [.., rows, columns] = size[..] else { return Array2::default((0, 0)) };
    let (rows, columns) = (rows as usize, columns as usize);
    let mut values = vec![T::default(); rows * columns];
    field.contiguous().to_device(Device::Cpu).copy_data(&mut values, rows * columns);
    // It has so many.
    Array2::from_shape_vec((rows, columns), values).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_come_back_as_they_went() {
        let lane = Lane::new(Device::Cpu, (2, 3));
        let fields = [[1.0, 2.0, f32::NAN, 4.0, 5.0, 6.0], [7.0; 6]];
        let there = lane.to_device(fields.iter().map(<[f32; 6]>::as_slice)).unwrap();
        assert_eq!(there.size(), [2, 1, 2, 3]);
        let back: Vec<_> = arrays(&lane.to_host(&there).unwrap()).collect();
        for (back, field) in back.iter().zip(fields) {
            assert!(back.iter().zip(field).all(|(back, value)| back.to_bits() == value.to_bits()));
        }
        assert_eq!(
            array::<f32>(&tensor(back[0].slice(ndarray::s![.., ..1])))[[1, 0]].to_bits(),
            4.0_f32.to_bits()
        );
    }
}
