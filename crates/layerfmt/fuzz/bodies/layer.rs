//! What the fuzz targets and the mutation tests do with the parts of a layer, which anyone may have made.

use layerfmt::index::Limits;
use layerfmt::sign::{PublicKey, Signature, TrustFile};
use layerfmt::{Index, Manifest};

/// Reads `bytes` as a manifest. What is read is written and reads the same again.
pub fn manifest(bytes: &[u8]) {
    let Ok(manifest) = Manifest::parse(bytes) else { return };
    let again = Manifest::parse(&manifest.to_bytes()).expect("what was written");
    assert_eq!(again, manifest);
}

/// Reads `bytes` as the lines of an index; packed here, so that changes reach what is inside.
pub fn index(bytes: &[u8]) {
    let limits = Limits {
        size: 1 << 20,
        line: 1 << 16,
        entries: 1 << 12,
    };
    // As it is, too: the packing is an attacker's as well.
    let _ = Index::parse(bytes, &limits);
    let packed = zstd::encode_all(bytes, 1).expect("memory");
    let Ok(index) = Index::parse(&packed, &limits) else {
        return;
    };
    for entry in &index.entries {
        assert!(index.entry(&entry.path).is_some());
    }
}

/// Reads `bytes` as a tar of a layer.
pub fn tar(bytes: &[u8]) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("layer.tar");
    std::fs::write(&path, bytes).expect("a file");
    let Ok(content) = layerfmt::oci::read_tar(&path, None, &cv_disk::Quiet) else {
        return;
    };
    let files = &content.files;
    for node in files.walk(layerfmt::content::FileTree::ROOT) {
        let path = files.path(node);
        assert!(!path.split(|byte| *byte == b'/').any(|name| name == b".."));
    }
}

/// Reads `bytes` as a signature, a public key and a trust file.
pub fn signature(bytes: &[u8]) {
    let _ = Signature::from_file_bytes(bytes);
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = (Signature::parse(text), PublicKey::parse(text), TrustFile::parse(text));
    }
}
