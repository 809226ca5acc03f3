//! Manifests, indexes, tars and signatures with random damage: read or refused, never a panic; and what is too large.

#[path = "../../fuzz/bodies/layer.rs"]
mod bodies;

use crate::support::{everything, open, options, write};
use cv_disk::Quiet;
use cv_image::Format;
use layerfmt::index::{Index, IndexError, Limits};
use layerfmt::oci::{Contents, write_tar};
use layerfmt::{Manifest, ManifestError};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

/// Sets bytes, and cuts.
fn damaged(bytes: &[u8], changes: &[(usize, u8)], cut: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for (place, byte) in changes {
        let length = bytes.len();
        bytes[place % length] = *byte;
    }
    bytes.truncate(cut % (bytes.len() * 4) + 1);
    bytes
}

#[test]
fn parts_of_layers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("layer.img");
    write(&everything(), &path, &options(Format::Raw));
    let layer = open(&path);
    let index = zstd::decode_all(&layer.index_bytes().unwrap()[..]).unwrap();
    let mut tar = Vec::new();
    let mut content = layer.content().unwrap();
    // Small, so that changes meet headers and records.
    content
        .files
        .remove(content.files.find(&crate::support::units("Windows")).unwrap());
    content.files.remove(
        content
            .files
            .find(&crate::support::units("Program Files/App/large.dat"))
            .unwrap(),
    );
    write_tar(&content, Contents::All, &mut tar, &Quiet).unwrap();
    let signature =
        "untrusted comment: minisign public key 0\nRWQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n";

    let byte = prop_oneof![any::<u8>(), Just(0), Just(0xFF), Just(b'"'), Just(b'/'), Just(b':')];
    let changes = prop::collection::vec((any::<usize>(), byte), 0..8);
    let mut runner = TestRunner::new(ProptestConfig {
        cases: 300,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    runner
        .run(&(changes, any::<usize>()), |(changes, cut)| {
            bodies::manifest(&damaged(layer.manifest_bytes(), &changes, cut));
            bodies::index(&damaged(&index, &changes, cut));
            bodies::tar(&damaged(&tar, &changes, cut));
            bodies::signature(&damaged(signature.as_bytes(), &changes, cut));
            Ok(())
        })
        .unwrap();
}

#[test]
fn what_unpacks_to_too_much_is_refused_with_the_limit() {
    // A few KiB that become one endless line.
    let bomb = zstd::encode_all(&vec![b' '; 64 << 20][..], 1).unwrap();
    assert!(bomb.len() < 64 << 10);
    let error = Index::parse(&bomb, &Limits::default()).unwrap_err();
    assert!(
        matches!(error, IndexError::TooLarge { limit: 0x100_0000, .. }),
        "{error}"
    );
    let limits = Limits {
        size: 1 << 20,
        ..Limits::default()
    };
    let error = Index::parse(&bomb, &limits).unwrap_err();
    assert!(
        matches!(error, IndexError::TooLarge { limit: 0x10_0000, .. }),
        "{error}"
    );

    let size = layerfmt::manifest::MAX_SIZE as usize + 1;
    let error = Manifest::parse(&vec![b' '; size]).unwrap_err();
    assert!(matches!(error, ManifestError::TooLarge { .. }), "{error}");
}
