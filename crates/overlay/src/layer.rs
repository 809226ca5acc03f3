//! What the engine asks a layer.

use alloc::vec::Vec;
use core::ops::Deref;

use crate::NamePath;

/// What an entry of a layer is, as far as merging goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A file with all its streams.
    File,
    /// A directory, merged with the directories below it.
    Directory,
    /// A directory that hides everything below it.
    OpaqueDirectory,
    /// A symbolic link. It is taken whole, like a file, whatever it points to.
    Symlink,
    /// A junction or mount point, or any other reparse point. Taken whole, like a file.
    Junction,
    /// Nothing, and hides everything below it.
    Whiteout,
}

impl Kind {
    /// Whether it has entries of its own.
    pub const fn is_directory(self) -> bool {
        matches!(self, Self::Directory | Self::OpaqueDirectory)
    }
}

/// A tree of files that can stand in a stack: a layer, a base, a writable volume.
///
/// The engine asks about one name in one directory at a time, or for the listing of one directory. What the layer calls an
/// entry is its own affair (an index, a record number, a reference); the engine keeps it and hands it back.
///
/// A layer answers by the names' order of its stack ([`Names`](crate::Names)), and its directories form a tree: a reader of
/// untrusted volumes makes sure that no directory lies in itself, or a walk would not end.
pub trait Layer {
    /// The layer's own notion of an entry, cheap to clone.
    type Entry: Clone;
    /// Why the layer could not answer.
    type Error;
    /// The entries of one directory.
    type Listing<'l>: Iterator<Item = Result<Self::Entry, Self::Error>>
    where
        Self: 'l;

    /// The root directory; `None` when the layer holds no files.
    fn root(&self) -> Result<Option<Self::Entry>, Self::Error>;

    /// The entry of this name in a directory, whiteouts included.
    fn lookup(&self, directory: &Self::Entry, name: &[u16]) -> Result<Option<Self::Entry>, Self::Error>;

    /// The entries of a directory, whiteouts included, in ascending order of [`Names::compare`](crate::Names::compare),
    /// each name once. A listing that was begun shows the directory as it was then or later, but every entry that stays
    /// exactly once.
    fn list(&self, directory: &Self::Entry) -> Result<Self::Listing<'_>, Self::Error>;

    /// What an entry is.
    fn kind(&self, entry: &Self::Entry) -> Kind;

    /// The name of an entry as spelled in this layer.
    fn name<'l>(&'l self, entry: &'l Self::Entry) -> &'l [u16];

    /// Bytes that are equal for entries of equal content (streams, link target), such as a hash; `None` when unknown.
    fn content<'l>(&'l self, entry: &'l Self::Entry) -> Option<&'l [u8]> {
        let _ = entry;
        None
    }

    /// The other paths of a file that has several hard links in this layer. By default links are not kept together: a
    /// copied-up file stands alone.
    fn other_links(&self, entry: &Self::Entry) -> Result<Vec<NamePath>, Self::Error> {
        let _ = entry;
        Ok(Vec::new())
    }
}

/// Whatever points to a layer (a reference, a box, an `Arc`) is one.
impl<P> Layer for P
where
    P: Deref,
    P::Target: Layer,
{
    type Entry = <P::Target as Layer>::Entry;
    type Error = <P::Target as Layer>::Error;
    type Listing<'l>
        = <P::Target as Layer>::Listing<'l>
    where
        Self: 'l;

    fn root(&self) -> Result<Option<Self::Entry>, Self::Error> {
        (**self).root()
    }

    fn lookup(&self, directory: &Self::Entry, name: &[u16]) -> Result<Option<Self::Entry>, Self::Error> {
        (**self).lookup(directory, name)
    }

    fn list(&self, directory: &Self::Entry) -> Result<Self::Listing<'_>, Self::Error> {
        (**self).list(directory)
    }

    fn kind(&self, entry: &Self::Entry) -> Kind {
        (**self).kind(entry)
    }

    fn name<'l>(&'l self, entry: &'l Self::Entry) -> &'l [u16] {
        (**self).name(entry)
    }

    fn content<'l>(&'l self, entry: &'l Self::Entry) -> Option<&'l [u8]> {
        (**self).content(entry)
    }

    fn other_links(&self, entry: &Self::Entry) -> Result<Vec<NamePath>, Self::Error> {
        (**self).other_links(entry)
    }
}
