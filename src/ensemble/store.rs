//! Where members go while an ensemble is drawn, so that memory does not grow with their number.

use std::io;
use std::ops::Range;

use ndarray::{Array2, ArrayView2, s};

/// A sink for members that can be read again by rows. Members are numbered from 0 in the order in which they came.
pub trait MemberStore {
    /// Takes the next member: effective thickness, m, `[row, column]`, NaN outside the mask.
    ///
    /// # Errors
    /// When the store cannot take it, or the member has another shape than those before.
    fn append(&mut self, member: ArrayView2<'_, f32>) -> io::Result<()>;

    /// Number of members taken so far.
    fn len(&self) -> usize;

    /// True while no member was taken.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads some rows of a member.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] when there is no such member or row; whatever the store meets.
    fn rows(&self, member: usize, rows: Range<usize>) -> io::Result<Array2<f32>>;
}

/// Members kept in memory: for tests and small windows.
#[derive(Debug, Default)]
pub struct InMemory(Vec<Array2<f32>>);

impl InMemory {
    /// Gives the members away.
    #[must_use]
    pub fn into_members(self) -> Vec<Array2<f32>> {
        self.0
    }
}

impl MemberStore for InMemory {
    fn append(&mut self, member: ArrayView2<'_, f32>) -> io::Result<()> {
        if self.0.first().is_some_and(|first| first.dim() != member.dim()) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the member has another shape than the first one",
            ));
        }
        self.0.push(member.to_owned());
        Ok(())
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn rows(&self, member: usize, rows: Range<usize>) -> io::Result<Array2<f32>> {
        let stored = self.0.get(member).filter(|stored| rows.start <= rows.end && rows.end <= stored.nrows());
        stored
            .map(|stored| stored.slice(s![rows, ..]).to_owned())
            .ok_or_else(|| io::ErrorKind::InvalidInput.into())
    }
}

/// What every store must do; each store's tests run it.
#[cfg(test)]
pub(crate) fn conformance(mut store: impl MemberStore) {
    let member = |k: usize| {
        Array2::from_shape_fn((4, 3), |(r, c)| if r == c { f32::NAN } else { (100 * k + 10 * r + c) as f32 })
    };
    let same =
        |a: &Array2<f32>, b: &Array2<f32>| a.iter().map(|v| v.to_bits()).eq(b.iter().map(|v| v.to_bits()));
    assert!(store.is_empty());
    for k in 0..3 {
        store.append(member(k).view()).unwrap();
        assert_eq!(store.len(), k + 1);
    }
    for k in 0..3 {
        assert!(same(&store.rows(k, 0..4).unwrap(), &member(k)), "a member is read as it came, to the bit");
        assert!(same(&store.rows(k, 1..3).unwrap(), &member(k).slice(s![1..3, ..]).to_owned()));
    }
    assert_eq!(store.rows(0, 2..2).unwrap().dim(), (0, 3));
    assert_eq!(store.rows(3, 0..1).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    assert_eq!(store.rows(0, 3..5).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    store.append(Array2::zeros((3, 4)).view()).unwrap_err();
    assert_eq!(store.len(), 3, "a refused member leaves the store as it was");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_a_member_store() {
        conformance(InMemory::default());
    }
}
