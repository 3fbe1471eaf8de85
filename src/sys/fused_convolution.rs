//! Convolutions on the CPU that finish their result before it goes to memory; see `fused_convolution.cpp`.

use std::ffi::{CStr, c_char};
use std::ptr;

use tch::{TchError, Tensor};
use torch_sys::C_tensor;

#[expect(unsafe_code, reason = "functions of the C++ file beside this one")]
unsafe extern "C" {
    fn nilas_convolve(
        input: *const C_tensor,
        weight: *const C_tensor,
        bias: *const C_tensor,
        padding: *const i64,
        activation: *const c_char,
        out: *mut *mut C_tensor,
    ) -> *mut c_char;
    fn nilas_add_convolution(
        sum: *const C_tensor,
        input: *const C_tensor,
        weight: *const C_tensor,
        bias: *const C_tensor,
        padding: *const i64,
    ) -> *mut c_char;
    fn nilas_free_text(text: *mut c_char);
}

/// A convolution's weight, `[out, in, height, width]`, and bias, with the zeros around rows and columns.
#[derive(Debug, Clone, Copy)]
pub struct Kernel<'a> {
    /// The weight.
    pub weight: &'a Tensor,
    /// The bias, `[out]`.
    pub bias: Option<&'a Tensor>,
    /// Rows of zeros above and below, columns of zeros on the left and on the right.
    pub padding: [i64; 2],
}

/// The convolution of `input` on the CPU, through the activation `SiLU` where `silu`.
///
/// # Errors
/// What libtorch says.
#[expect(unsafe_code, reason = "libtorch offers this to its dispatcher only")]
pub fn convolve(input: &Tensor, kernel: Kernel<'_>, silu: bool) -> Result<Tensor, TchError> {
    let activation = if silu { c"swish" } else { c"none" };
    let mut out = ptr::null_mut();
    // SAFETY: the tensors outlive the call, which only reads them; `out` is written when nothing went wrong.
    let fault = unsafe {
        nilas_convolve(
            input.as_ptr(),
            kernel.weight.as_ptr(),
            kernel.bias.map_or(ptr::null(), Tensor::as_ptr),
            kernel.padding.as_ptr(),
            activation.as_ptr(),
            &raw mut out,
        )
    };
    none_or_error(fault)?;
    // SAFETY: it is a new tensor that nobody else has.
    Ok(unsafe { Tensor::from_ptr(out) })
}

/// Adds the convolution of `input` to `sum` on the CPU, in place.
///
/// # Errors
/// What libtorch says.
#[expect(unsafe_code, reason = "libtorch offers this to its dispatcher only")]
pub fn add_convolution(sum: &mut Tensor, input: &Tensor, kernel: Kernel<'_>) -> Result<(), TchError> {
    // SAFETY: the tensors outlive the call, and libtorch does its own bookkeeping of what is written to.
    let fault = unsafe {
        nilas_add_convolution(
            sum.as_ptr(),
            input.as_ptr(),
            kernel.weight.as_ptr(),
            kernel.bias.map_or(ptr::null(), Tensor::as_ptr),
            kernel.padding.as_ptr(),
        )
    };
    none_or_error(fault)
}

#[expect(unsafe_code, reason = "a text of C is read and freed")]
fn none_or_error(fault: *mut c_char) -> Result<(), TchError> {
    if fault.is_null() {
        return Ok(());
    }
    // SAFETY: it is a text that ends with 0, allocated by the function that gave it, and freed once.
    let text = unsafe {
        let text = CStr::from_ptr(fault).to_string_lossy().into_owned();
        nilas_free_text(fault);
        text
    };
    Err(TchError::Torch(text))
}
