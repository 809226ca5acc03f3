//! Walking the whole view below a directory.

use alloc::vec::Vec;
use core::fmt;

use crate::layer::Layer;
use crate::listing::{Listed, Listing};
use crate::path::NamePath;
use crate::place::Place;
use crate::stack::Stack;

/// Everything that the view shows below a directory: each directory before its entries, names in ascending order.
pub struct Walk<'s, L: Layer> {
    stack: &'s Stack<L>,
    path: NamePath,
    /// The depth of the directory where it began.
    start: usize,
    listings: Vec<Listing<'s, L>>,
    /// The directory that was given last, whose entries come next.
    enter: Option<Place<L::Entry>>,
}

impl<L: Layer> Stack<L> {
    /// Walks what is below a directory, whose path is `path`.
    pub fn walk(&self, directory: Place<L::Entry>, path: NamePath) -> Walk<'_, L> {
        Walk {
            stack: self,
            start: path.depth(),
            path,
            listings: Vec::new(),
            enter: Some(directory),
        }
    }
}

impl<L: Layer> Walk<'_, L> {
    /// What comes next, and its path as the winning members spell it; `None` at the end.
    ///
    /// The entries of a directory are asked for after it was given, so they show what was done to it meanwhile. After an
    /// error the rest of the directory where it happened is left out.
    #[expect(
        clippy::should_implement_trait,
        clippy::type_complexity,
        reason = "what it gives borrows the walk"
    )]
    pub fn next(&mut self) -> Result<Option<(&NamePath, Listed<L::Entry>)>, L::Error> {
        if let Some(directory) = self.enter.take().filter(Place::is_directory) {
            self.listings.push(self.stack.list(&directory)?);
        }
        while let Some(listing) = self.listings.last_mut() {
            let Some(listed) = listing.next() else {
                self.listings.pop();
                continue;
            };
            let listed = listed?;
            let parent = self.start.saturating_add(self.listings.len()).saturating_sub(1);
            self.path.truncate(parent);
            self.path.push(self.stack.name(&listed.place));
            if listed.place.is_directory() {
                self.enter = Some(listed.place.clone());
            }
            return Ok(Some((&self.path, listed)));
        }
        Ok(None)
    }

    /// Leaves out what is below the directory that was given last.
    pub fn skip(&mut self) {
        self.enter = None;
    }
}

impl<L: Layer> fmt::Debug for Walk<'_, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Walk").field("path", &self.path).finish_non_exhaustive()
    }
}
