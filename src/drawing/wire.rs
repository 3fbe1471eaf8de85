//! What processes of one machine and one version say to each other: a line of JSON, and the fields that it names behind it, row by row,
//! as numbers in the machine's own form.

use std::io::{self, BufRead, Read, Write};

use bytemuck::Pod;
use ndarray::{Array2, ArrayView2};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub(super) fn put_head(out: &mut impl Write, head: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, head)?;
    out.write_all(b"\n")
}

pub(super) fn take_head<T: DeserializeOwned>(said: &mut impl BufRead) -> io::Result<T> {
    let mut line = Vec::new();
    said.read_until(b'\n', &mut line)?;
    if line.last() != Some(&b'\n') {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    serde_json::from_slice(&line).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

pub(super) fn put_field<T: Pod>(out: &mut impl Write, field: ArrayView2<'_, T>) -> io::Result<()> {
    field.rows().into_iter().try_for_each(|row| out.write_all(bytemuck::cast_slice(&row.to_vec())))
}

pub(super) fn take_field<T: Pod>(
    said: &mut impl Read,
    (rows, columns): (usize, usize),
) -> io::Result<Array2<T>> {
    let mut values = vec![T::zeroed(); rows * columns];
    said.read_exact(bytemuck::cast_slice_mut(&mut values))?;
    Array2::from_shape_vec((rows, columns), values).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn what_is_said_is_understood_and_an_end_is_noticed() {
        let mut said = Vec::new();
        let field = array![[1.0_f32, f32::NAN, -0.0], [4.0, 5.0, 6.0]];
        put_head(&mut said, &("two rows", 3)).unwrap();
        put_field(&mut said, field.t()).unwrap();
        let mut heard = said.as_slice();
        assert_eq!(take_head::<(String, usize)>(&mut heard).unwrap(), ("two rows".to_owned(), 3));
        let found: Array2<f32> = take_field(&mut heard, (3, 2)).unwrap();
        assert_eq!(found.mapv(f32::to_bits), field.t().mapv(f32::to_bits));
        assert_eq!(take_head::<usize>(&mut heard).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        let cut = take_field::<f32>(&mut &said[16..], (3, 2)).unwrap_err();
        assert_eq!(cut.kind(), io::ErrorKind::UnexpectedEof);
        for nonsense in ["{}\n", "\n", "[\n"] {
            let error = take_head::<usize>(&mut nonsense.as_bytes()).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{nonsense:?}");
        }
    }
}
