//! Which file of a chain holds which part of the disk.

use crate::open::Image;
use cv_disk::{Differencing, Extent, ExtentKind, ReadAt, ReadError};
use std::path::Path;

/// A part of the disk that one file of the chain decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece<'a> {
    /// The part, and what it holds.
    pub extent: Extent,
    /// How far down the chain that file is; 0 is the image itself. For a hole, the end of the chain.
    pub depth: usize,
    /// That file; none for a hole.
    pub file: Option<&'a Path>,
}

impl Image {
    /// The pieces of the disk in ascending order, neighbours of one kind from one file joined. Ends after an error.
    pub fn map(&self) -> impl Iterator<Item = Result<Piece<'_>, ReadError>> {
        let mut position = 0;
        let mut pending: Option<Piece<'_>> = None;
        let mut failure = None;
        std::iter::from_fn(move || {
            while position < self.len() && failure.is_none() {
                let piece = match self.piece_at(position) {
                    Ok(piece) => piece,
                    Err(error) => {
                        failure = Some(error);
                        break;
                    }
                };
                position = piece.extent.end();
                match &mut pending {
                    Some(pending) if pending.extent.kind == piece.extent.kind && pending.depth == piece.depth => {
                        pending.extent.length += piece.extent.length;
                    }
                    _ => {
                        if let Some(done) = pending.replace(piece) {
                            return Some(Ok(done));
                        }
                    }
                }
            }
            if let Some(piece) = pending.take() {
                return Some(Ok(piece));
            }
            position = self.len();
            failure.take().map(Err)
        })
    }

    fn piece_at(&self, offset: u64) -> Result<Piece<'_>, ReadError> {
        let (mut image, mut depth) = (self, 0);
        let mut end = self.len();
        loop {
            let extent = image.own_extent_at(offset)?.clipped(end);
            if extent.kind != ExtentKind::Hole {
                return Ok(Piece {
                    extent,
                    depth,
                    file: Some(image.path()),
                });
            }
            end = extent.end();
            match image.parent() {
                // A parent may be smaller than its child; beyond its end there is nothing.
                Some(parent) if offset < parent.len() => {
                    end = end.min(parent.len());
                    image = parent;
                    depth += 1;
                }
                _ => {
                    return Ok(Piece {
                        extent,
                        depth,
                        file: None,
                    });
                }
            }
        }
    }
}
