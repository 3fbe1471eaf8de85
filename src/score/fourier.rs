//! The fast Fourier transform of square fields whose side is a power of two.

use std::f64::consts::TAU;

/// A complex number: real and imaginary part.
pub(super) type Complex = [f64; 2];

/// A transform of one length, with its tables.
#[derive(Debug, Clone)]
pub struct Fourier {
    length: usize,
    /// exp(-2 pi i k / length) for k below half of the length.
    roots: Vec<Complex>,
    /// Where each element goes when the bits of its index are turned round.
    reversed: Vec<usize>,
}

impl Fourier {
    /// A transform of `length` elements; `None` where that is no power of two above 1.
    #[must_use]
    pub fn new(length: usize) -> Option<Self> {
        if length < 2 || !length.is_power_of_two() {
            return None;
        }
        let bits = length.trailing_zeros();
        let roots = (0..length / 2).map(|k| {
            let (sine, cosine) = (-TAU * k as f64 / length as f64).sin_cos();
            [cosine, sine]
        });
        let reversed = (0..length).map(|index| index.reverse_bits() >> (usize::BITS - bits));
        Some(Self { length, roots: roots.collect(), reversed: reversed.collect() })
    }

    /// Transforms a line in place: sum over x of f(x) exp(-2 pi i k x / length), not divided by anything.
    fn line(&self, line: &mut [Complex]) {
        for (index, &other) in self.reversed.iter().enumerate() {
            if index < other {
                line.swap(index, other);
            }
        }
        let mut half = 1;
        while half < self.length {
            let stride = self.length / (2 * half);
            for block in line.chunks_exact_mut(2 * half) {
                let (even, odd) = block.split_at_mut(half);
                for ((even, odd), root) in even.iter_mut().zip(odd).zip(self.roots.iter().step_by(stride)) {
                    let turned = [odd[0] * root[0] - odd[1] * root[1], odd[0] * root[1] + odd[1] * root[0]];
                    *odd = [even[0] - turned[0], even[1] - turned[1]];
                    *even = [even[0] + turned[0], even[1] + turned[1]];
                }
            }
            half *= 2;
        }
    }

    /// Transforms a square field `[row, column]`, row-major, in place, along both axes.
    ///
    /// # Panics
    /// When the field has not length x length elements.
    pub(super) fn square(&self, field: &mut [Complex]) {
        assert_eq!(field.len(), self.length * self.length, "the field is no square of this length");
        for _ in 0..2 {
            field.chunks_exact_mut(self.length).for_each(|line| self.line(line));
            for row in 0..self.length {
                for column in 0..row {
                    field.swap(row * self.length + column, column * self.length + row);
                }
            }
        }
    }

    /// The signed wavenumber of an index, in cycles per length.
    pub(super) fn wavenumber(&self, index: usize) -> f64 {
        if index > self.length / 2 { index as f64 - self.length as f64 } else { index as f64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_powers_of_two_are_taken() {
        assert!([0, 1, 3, 12].iter().all(|&length| Fourier::new(length).is_none()));
        assert!(Fourier::new(2).is_some());
    }

    #[test]
    fn it_is_the_sum_that_defines_it() {
        let length = 8;
        let field: Vec<Complex> = (0..64).map(|k| [f64::from(k * k % 17), f64::from(k % 5) - 2.0]).collect();
        let mut fast = field.clone();
        Fourier::new(length).unwrap().square(&mut fast);
        for (row, column) in (0..length).flat_map(|row| (0..length).map(move |column| (row, column))) {
            let mut sum = [0.0; 2];
            for (y, x) in (0..length).flat_map(|y| (0..length).map(move |x| (y, x))) {
                let (sine, cosine) = (-TAU * (row * y + column * x) as f64 / length as f64).sin_cos();
                let [re, im] = field[y * length + x];
                sum = [sum[0] + re * cosine - im * sine, sum[1] + re * sine + im * cosine];
            }
            let found = fast[row * length + column];
            assert!((found[0] - sum[0]).abs() < 1e-9 && (found[1] - sum[1]).abs() < 1e-9);
        }
    }

    #[test]
    fn wavenumbers_beyond_the_middle_are_negative() {
        let fourier = Fourier::new(8).unwrap();
        assert_eq!([0, 3, 4, 5, 7].map(|index| fourier.wavenumber(index) as i64), [0, 3, 4, -3, -1]);
    }
}
