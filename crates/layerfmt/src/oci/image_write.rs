//! Writing an OCI image layout: a folder of blobs named by their SHA-256 (OCI image specification 1.0).

use super::tar_write::{Contents, ExportError, write_tar};
use crate::content::Content;
use crate::manifest::Architecture;
use cv_disk::Progress;
use data_encoding::{BASE64, HEXLOWER};
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// The label of the layer's manifest in the image's configuration.
pub(super) const MANIFEST_LABEL: &str = "cvlayer.manifest";

/// In front of a script's name, in labels; its bytes in base64.
pub(super) const SCRIPT_LABEL: &str = "cvlayer.script.";

/// How tars are packed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// By gzip, which everything reads.
    #[default]
    Gzip,
    /// By zstd.
    Zstd,
}

impl Compression {
    fn media_type(self) -> &'static str {
        match self {
            Self::None => "application/vnd.oci.image.layer.v1.tar",
            Self::Gzip => "application/vnd.oci.image.layer.v1.tar+gzip",
            Self::Zstd => "application/vnd.oci.image.layer.v1.tar+zstd",
        }
    }

    /// Has `write` fill a packed output.
    pub fn pack<W: Write>(
        self,
        out: W,
        write: impl FnOnce(&mut dyn Write) -> Result<(), ExportError>,
    ) -> Result<W, ExportError> {
        match self {
            Self::None => {
                let mut out = out;
                write(&mut out)?;
                Ok(out)
            }
            Self::Gzip => {
                // No name and no time: the same content gives the same bytes.
                let mut packer = flate2::GzBuilder::new().write(out, flate2::Compression::default());
                write(&mut packer)?;
                Ok(packer.finish()?)
            }
            Self::Zstd => {
                let mut packer = zstd::stream::write::Encoder::new(out, 3)?;
                write(&mut packer)?;
                Ok(packer.finish()?)
            }
        }
    }
}

/// Counts and hashes what passes.
struct Hashing<W> {
    inner: W,
    hash: Sha256,
    size: u64,
}

impl<W> Hashing<W> {
    fn new(inner: W) -> Self {
        Self {
            inner,
            hash: Sha256::new(),
            size: 0,
        }
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.hash.update(&bytes[..count]);
        self.size += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Writes `content` as an image of one layer to `folder`, which must not be there yet and appears complete. The manifest and the
/// scripts are labels of the image's configuration, so that importing it gives the same layer again.
pub fn write_image(
    content: &Content,
    folder: &Path,
    compression: Compression,
    progress: &dyn Progress,
) -> Result<(), ExportError> {
    if folder.symlink_metadata().is_ok() {
        return Err(ExportError::Exists);
    }
    let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    let made = tempfile::Builder::new().prefix(".cvtool-").tempdir_in(parent)?;
    let blobs = made.path().join("blobs/sha256");
    std::fs::create_dir_all(&blobs)?;

    let partial = blobs.join("partial");
    let mut plain = None;
    let file = Hashing::new(BufWriter::new(File::create_new(&partial)?));
    let packed = compression.pack(file, |out| {
        let mut hashing = Hashing::new(out);
        write_tar(content, Contents::FilesAndHives, &mut hashing, progress)?;
        plain = Some(hashing.hash.finalize());
        Ok(())
    })?;
    let (hash, size) = (packed.hash.finalize(), packed.size);
    let file = packed.inner.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_all()?;
    let layer = descriptor(compression.media_type(), &hash, size);
    std::fs::rename(&partial, blobs.join(HEXLOWER.encode(&hash)))?;

    let diff_id = digest(&plain.unwrap_or_default());
    let configuration = blob(&blobs, &configuration(content, &diff_id))?;
    let configuration = descriptor(
        "application/vnd.oci.image.config.v1+json",
        &configuration.0,
        configuration.1,
    );
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": configuration,
        "layers": [layer],
        "annotations": annotations(content),
    });
    let (hash, size) = blob(&blobs, &manifest)?;
    let mut manifest = descriptor("application/vnd.oci.image.manifest.v1+json", &hash, size);
    manifest["platform"] = json!({ "architecture": architecture(content), "os": "windows" });
    if !content.manifest.version.is_empty() {
        manifest["annotations"] = json!({ "org.opencontainers.image.ref.name": content.manifest.version });
    }
    let index = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [manifest],
    });
    whole(&made.path().join("index.json"), &text(&index))?;
    whole(&made.path().join("oci-layout"), br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    sync_folder(&blobs)?;
    sync_folder(made.path())?;
    #[cfg(unix)]
    readable(made.path())?;
    std::fs::rename(made.path(), folder)?;
    // It has another name now.
    let _ = made.keep();
    Ok(sync_folder(parent)?)
}

/// Makes what a folder lists durable; Windows has no such call and needs none.
fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

/// Temporary folders are their owner's alone; the image is as readable as any new folder. On Windows both inherit from the
/// folder that they are in.
#[cfg(unix)]
fn readable(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755))
}

fn digest(hash: &[u8]) -> String {
    format!("sha256:{}", HEXLOWER.encode(hash))
}

fn descriptor(media_type: &str, hash: &[u8], size: u64) -> Json {
    json!({ "mediaType": media_type, "digest": digest(hash), "size": size })
}

fn text(value: &Json) -> Vec<u8> {
    // Members stand in the order of their names, the same every time.
    value.to_string().into_bytes()
}

fn blob(blobs: &Path, value: &Json) -> io::Result<(Vec<u8>, u64)> {
    let bytes = text(value);
    let hash = Sha256::digest(&bytes).to_vec();
    whole(&blobs.join(HEXLOWER.encode(&hash)), &bytes)?;
    Ok((hash, bytes.len() as u64))
}

fn whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// The processor in the words of Go, as images have it.
fn architecture(content: &Content) -> &'static str {
    match content.manifest.architecture {
        Architecture::X86 => "386",
        Architecture::Arm64 => "arm64",
        Architecture::X64 | Architecture::Neutral => "amd64",
    }
}

fn annotations(content: &Content) -> Json {
    let manifest = &content.manifest;
    let known = [
        ("org.opencontainers.image.title", &manifest.name),
        ("org.opencontainers.image.version", &manifest.version),
        ("org.opencontainers.image.vendor", &manifest.publisher),
        ("org.opencontainers.image.description", &manifest.description),
        ("org.opencontainers.image.created", &manifest.created),
    ];
    let known = known.into_iter().filter(|(_, value)| !value.is_empty());
    known
        .map(|(name, value)| (name.to_owned(), json!(value)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

fn configuration(content: &Content, diff_id: &str) -> Json {
    let manifest = &content.manifest;
    let mut labels = annotations(content);
    labels[MANIFEST_LABEL] = json!(String::from_utf8_lossy(&manifest.to_bytes()));
    for (name, bytes) in &content.scripts {
        labels[format!("{SCRIPT_LABEL}{name}")] = json!(BASE64.encode(bytes));
    }
    let mut history = json!({ "created_by": manifest.creator });
    let mut configuration = json!({
        "architecture": architecture(content),
        "os": "windows",
        "config": { "Labels": labels },
        "rootfs": { "type": "layers", "diff_ids": [diff_id] },
    });
    if !manifest.created.is_empty() {
        configuration["created"] = json!(manifest.created);
        history["created"] = json!(manifest.created);
    }
    if let Some(version) = &manifest.os.minimum {
        configuration["os.version"] = json!(version);
    }
    configuration["history"] = json!([history]);
    configuration
}
