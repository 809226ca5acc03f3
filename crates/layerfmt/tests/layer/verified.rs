//! What verification finds.

use crate::support::{everything, file, noise, open, options, units, write};
use cv_disk::{Quiet, RawFile, ReadAt, WriteAt};
use cv_image::{Format, Gate, OpenOptions};
use layerfmt::sign::{SecretKey, TrustFile};
use layerfmt::verify::{Item, Problem, Report, VerifyError, VerifyOptions, read_verified, verify};
use layerfmt::write::Sign;
use std::path::Path;
use std::sync::Arc;

#[derive(Debug)]
struct Key(SecretKey);

impl Sign for Key {
    fn sign(&self, manifest: &[u8]) -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>> {
        let signature = self.0.sign(manifest, "test")?;
        Ok(signature.to_file_bytes()?.to_vec())
    }
}

fn run(path: &Path, trust: Option<TrustFile>) -> Result<Report, VerifyError> {
    let options = VerifyOptions { trust, threads: 2 };
    verify(path, &OpenOptions::new(Gate::beside(path).unwrap()), &options, &Quiet)
}

#[test]
fn what_was_written_is_sound() {
    let folder = tempfile::tempdir().unwrap();
    for (format, extension) in crate::support::FORMATS {
        let path = folder.path().join(format!("layer.{extension}"));
        write(&everything(), &path, &options(format));
        let report = run(&path, None).unwrap();
        assert!(report.is_sound(), "{:?}", report.findings);
        assert!(report.signed_by.is_none() && report.bytes > 7_000_000);
        let no_signature = run(&path, Some(TrustFile::parse("").unwrap_or_else(|_| no_keys()))).unwrap();
        assert_eq!(no_signature.findings[0].item, Item::Signature);
    }
}

fn no_keys() -> TrustFile {
    TrustFile::of(SecretKey::generate().unwrap().public_key(), "other")
}

/// Any byte of a layer that its signature covers, one flipped at a time.
#[test]
fn any_flipped_byte_is_found_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("layer.img");
    let key = SecretKey::generate().unwrap();
    let trust = TrustFile::of(key.public_key(), "tests");
    let mut signed = options(Format::Raw);
    signed.signer = Some(Arc::new(Key(key)));
    write(&everything(), &path, &signed);
    let good = run(&path, Some(trust.clone())).unwrap();
    assert!(good.is_sound(), "{:?}", good.findings);
    assert_eq!(good.signed_by.unwrap().trusted.as_deref(), Some("tests"));
    assert_eq!(
        run(&path, Some(no_keys())).unwrap().findings[0].problem,
        Problem::Signature
    );

    // Where each item's bytes are in the file.
    let layer = open(&path);
    let mut places: Vec<(String, u64, u64)> = Vec::new();
    for name in [
        "layer.json",
        "layer.idx",
        "layer.blk",
        "Hives/SOFTWARE",
        "Hives/SYSTEM",
        "Files/Program Files/App/app.exe",
        "Files/Program Files/App/large.dat",
        "Files/Windows/sparse.bin",
    ] {
        let stream = layer.file(&units(name)).unwrap().content().unwrap();
        let cluster = u64::from(layer.volume().geometry().cluster_size);
        for run in &stream.clusters().unwrap().runs {
            if let Some(lcn) = run.lcn {
                let start = run.vcn * cluster;
                let length = (run.clusters * cluster).min(stream.len().saturating_sub(start));
                places.push((name.to_owned(), (1 << 20) + lcn * cluster, length));
            }
        }
    }
    drop(layer);
    let image = RawFile::open_writable(&path).unwrap();
    // A test of cvtool flips more of them, in a layer of real programs.
    let dice = noise(40 * 12, 42);
    for flip in dice.as_chunks::<12>().0 {
        let (name, start, length) = &places[usize::from(flip[0]) % places.len()];
        let at = start + u64::from_le_bytes(flip[2..10].try_into().unwrap()) % length;
        let mut byte = [0];
        image.read_at(&mut byte, at).unwrap();
        image.write_at(&[byte[0] ^ (1 << (flip[11] % 8))], at).unwrap();
        let report = run(&path, Some(trust.clone())).unwrap();
        let is_named = report.findings.iter().any(|finding| finding.item.to_string() == *name);
        assert!(is_named, "{name} at {at:#x}: {:?}", report.findings);
        image.write_at(&byte, at).unwrap();
    }
}

#[test]
fn a_changed_layer_without_a_signature_does_not_have_its_id() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("layer.img");
    write(&everything(), &path, &options(Format::Raw));
    let mut bytes = std::fs::read(&path).unwrap();
    let name = b"\"name\": \"Everything\"";
    let at = bytes.windows(name.len()).position(|window| window == name).unwrap();
    bytes[at + 9] = b'X';
    std::fs::write(&path, &bytes).unwrap();
    let report = run(&path, None).unwrap();
    assert_eq!(report.findings.len(), 1);
    assert_eq!(
        (&report.findings[0].item, report.findings[0].problem),
        (&Item::Manifest, Problem::Hash)
    );
}

#[test]
fn one_changed_input_changes_what_must_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("layer.img");
    let first = write(&everything(), &path, &options(Format::Raw));
    let mut content = everything();
    let node = content.files.find(&units("Program Files/App/app.exe")).unwrap();
    let mut other = noise(300_000, 1);
    other[1234] ^= 1;
    content.files.metadata_mut(node).streams = file(&other).streams;
    let second = write(&content, &path, &options(Format::Raw));
    let pairs = first.index.entries.iter().zip(&second.index.entries);
    let changed: Vec<_> = pairs
        .filter(|(left, right)| left != right)
        .map(|(left, _)| left.path.clone())
        .collect();
    // One file by its two names.
    assert_eq!(changed.len(), 2);
    assert_eq!(first.manifest.hives, second.manifest.hives);
    assert_eq!(first.manifest.blocks, second.manifest.blocks);
    assert_ne!(first.manifest.id, second.manifest.id);
}

#[test]
fn parts_of_large_streams_are_verified() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("layer.vhdx");
    write(&everything(), &path, &options(Format::Vhdx));
    let layer = open(&path);
    let name = "Files/Program Files/App/large.dat";
    let entry = layer.index().unwrap().entry(name.as_bytes()).unwrap();
    let stream = layer.file(&units(name)).unwrap().content().unwrap();
    let blocks = layer.blocks().unwrap().unwrap();
    let described = entry.stream(b"").unwrap();
    let expected = noise((3 << 20) + 777, 2);
    for range in [
        0..10_u64,
        65_530..65_540,
        100_000..1_000_000,
        (3 << 20)..(3 << 20) + 777,
        5..5,
    ] {
        let read = read_verified(&stream, described, &blocks, range.clone()).unwrap();
        assert!(read == expected[range.start as usize..range.end as usize]);
    }
    let mut changed = expected;
    changed[70_000] ^= 1;
    let changed = cv_disk::MemoryDisk::from(&changed[..]);
    assert!(read_verified(&changed, described, &blocks, 0..65_536).is_ok());
    assert!(read_verified(&changed, described, &blocks, 65_530..65_540).is_err());
}
