//! Layers signed while they are written, and in place.

use crate::support::{FORMATS, everything, open, options, write};
use cv_image::{Format, Gate, OpenOptions};
use layerfmt::sign::{ManifestSigner, SecretKey, Signature, StoreError, TrustFile, store};
use std::sync::Arc;

#[test]
fn a_finished_layer_is_signed_in_place() {
    let folder = tempfile::tempdir().unwrap();
    let key = SecretKey::generate().unwrap();
    let trust = TrustFile::of(key.public_key(), "test");
    for (format, extension) in FORMATS {
        let path = folder.path().join(format!("layer.{extension}"));
        write(&everything(), &path, &options(format));
        let layer = open(&path);
        assert_eq!(layer.signature_bytes().unwrap(), None);
        let manifest = layer.manifest_bytes().to_vec();
        drop(layer);

        // Twice, as a key may be replaced by another.
        for comment in ["first", "second"] {
            let gate = OpenOptions::new(Gate::beside(&path).unwrap());
            let sign = |manifest: &[u8]| -> Result<Signature, StoreError> { Ok(key.sign(manifest, comment)?) };
            store(&path, &gate, &key.public_key(), sign).unwrap();
            let layer = open(&path);
            assert_eq!(layer.manifest_bytes(), manifest);
            let bytes = layer.signature_bytes().unwrap().unwrap();
            let signature = Signature::from_file_bytes(&bytes).unwrap().unwrap();
            assert_eq!(signature.trusted_comment(), comment);
            trust.verify(&signature, &manifest).unwrap();
            assert!(layer.index().is_ok());
        }
    }
}

#[test]
fn a_layer_signed_while_it_is_written_is_the_same_as_one_signed_later() {
    let folder = tempfile::tempdir().unwrap();
    let key = Arc::new(SecretKey::generate().unwrap());
    let text = key.to_text("", None).unwrap();
    let again = layerfmt::sign::SecretKeyFile::parse(&text)
        .unwrap()
        .unlock(None)
        .unwrap();
    let (early, late) = (folder.path().join("early.img"), folder.path().join("late.img"));
    let mut signing = options(Format::Raw);
    signing.signer = Some(Arc::new(ManifestSigner {
        key: again,
        comment: "c".to_owned(),
    }));
    write(&everything(), &early, &signing);
    write(&everything(), &late, &options(Format::Raw));
    let gate = OpenOptions::new(Gate::beside(&late).unwrap());
    let sign = |manifest: &[u8]| -> Result<Signature, StoreError> { Ok(key.sign(manifest, "c")?) };
    store(&late, &gate, &key.public_key(), sign).unwrap();
    assert!(std::fs::read(&early).unwrap() == std::fs::read(&late).unwrap());
}

#[test]
fn what_has_no_room_for_a_signature_is_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("none.img");
    std::fs::write(&path, vec![0; 1 << 20]).unwrap();
    let key = SecretKey::generate().unwrap();
    let gate = OpenOptions::new(Gate::beside(&path).unwrap());
    let sign = |_: &[u8]| -> Result<Signature, StoreError> { unreachable!() };
    let refused = store(&path, &gate, &key.public_key(), sign);
    assert!(matches!(refused, Err(StoreError::Find(_))), "{refused:?}");
}
