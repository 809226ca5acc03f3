//! Layers as the tars and images that Windows containers use: the transport twin of the format.
//!
//! A tar has `Files/…` and `Hives/…`, whiteouts as empty files `.wh.NAME`, and what POSIX does not know in PAX records
//! ([`pax`]). [`write_tar`] makes one of a layer's content and [`read_tar`] takes one apart; [`write_image`] and
//! [`read_image`] do so with an OCI image layout, a folder with one such tar as its only layer. `docs/oci.md` describes all
//! of it.
//!
//! ```
//! use layerfmt::content::{Content, Metadata, NodeKind, Stream};
//! use layerfmt::oci::{Contents, read_tar, write_tar};
//! use layerfmt::{Kind, Manifest};
//!
//! let mut content = Content::new(Manifest::new("Hello", "1.0", Kind::App));
//! let folder = content.files.directories(&"Program Files/Hello".encode_utf16().collect::<Vec<_>>())?;
//! let mut metadata = Metadata::default();
//! metadata.streams.push(Stream::of(*b"hello"));
//! content.files.add(folder, "hello.txt", NodeKind::File, metadata)?;
//!
//! let mut tar = tempfile::NamedTempFile::new()?;
//! write_tar(&content, Contents::All, &mut tar, &cv_disk::Quiet)?;
//! let again = read_tar(tar.path(), None, &cv_disk::Quiet)?;
//! assert_eq!(again.manifest.name, "Hello");
//! assert!(again.files.find(&"Program Files/Hello/hello.txt".encode_utf16().collect::<Vec<_>>()).is_some());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod folder;
mod hives;
mod image_read;
mod image_write;
mod links;
pub mod pax;
mod tar_read;
mod tar_write;

#[cfg(any(target_os = "linux", windows))]
pub use folder::read_folder;
pub use folder::{FolderError, write_folder};
pub use image_read::{ImageError, read_image};
pub use image_write::{Compression, write_image};
pub use tar_read::read_tar;
pub use tar_write::{Contents, ExportError, write_tar};

/// The front of a whiteout's name.
pub(crate) const WHITEOUT: &str = ".wh.";

/// The whiteout of everything below a directory.
pub(crate) const OPAQUE: &str = ".wh..wh..opq";
