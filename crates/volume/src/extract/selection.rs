//! Which names take part in an extraction.

use crate::list::SystemFiles;
use cv_ntfs::{Listed, Listing, Order, Volume};

/// Which paths are asked for.
pub struct Selection {
    /// Paths in WTF-8; none means all.
    pub wanted: Vec<Vec<u8>>,
}

impl Selection {
    /// Whether `path` is asked for, or lies below what is.
    pub fn wants(&self, path: &[u8]) -> bool {
        self.wanted.is_empty() || self.wanted.iter().any(|wanted| is_at_or_below(path, wanted))
    }

    /// Whether something asked for lies below `path`.
    pub fn is_above(&self, path: &[u8]) -> bool {
        self.wanted.iter().any(|wanted| is_at_or_below(wanted, path))
    }
}

fn is_at_or_below(path: &[u8], above: &[u8]) -> bool {
    above.is_empty()
        || path
            .strip_prefix(above)
            .is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}

/// A name that takes part in an extraction.
pub struct Chosen<'a> {
    pub path: &'a [u8],
    pub listed: Listed<'a>,
    /// Asked for itself, not only on the way to what is.
    pub is_wanted: bool,
}

/// Shows the names that take part, a directory before what is in it.
pub fn selected(
    volume: &Volume,
    listing: &Listing,
    selection: &Selection,
    system_files: bool,
    visit: &mut dyn FnMut(Chosen<'_>),
) {
    let mut skip = SystemFiles::new(system_files);
    listing.walk(volume, Order::Records, |path, listed| {
        if skip.skips(path, listed.parent, listed.file.reference) {
            return;
        }
        let is_wanted = selection.wants(path);
        if is_wanted || listed.file.is_directory && selection.is_above(path) {
            visit(Chosen {
                path,
                listed,
                is_wanted,
            });
        }
    });
}
