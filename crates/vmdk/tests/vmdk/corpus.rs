//! Images that VMware and others made.

use crate::tools::{folder_of, open, output, sha256, sum_of_data};
use cv_disk::{RawFile, ReadAt};
use cv_vmdk::{OpenError, Vmdk, probe};
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn corpus() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus/containers");
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("skipped: there is no corpus at {}", folder.display());
    None
}

/// Unpacks the file `name` of the corpus into `target`.
pub fn unpack(name: &str, target: &Path) -> Option<PathBuf> {
    let folder = corpus()?;
    let path = target.join(name);
    if folder.join(name).is_file() {
        std::fs::copy(folder.join(name), &path).unwrap();
    } else {
        let packed = folder.join(format!("{name}.xz"));
        let unpacked = output("xz", &["-dc", packed.to_str().unwrap()]);
        assert!(unpacked.status.success(), "{}", packed.display());
        std::fs::write(&path, unpacked.stdout).unwrap();
    }
    Some(path)
}

#[test]
fn every_image_of_the_corpus_reads_as_listed() {
    let folder = tempfile::tempdir().unwrap();
    let images = [
        (
            "monolithicSparse.vmdk",
            "a3bcf05f07a1c06a3380eeca8571f0efb2b85afafa1e21662b8cad436d1f7727",
        ),
        (
            "streamOptimized.vmdk",
            "a3bcf05f07a1c06a3380eeca8571f0efb2b85afafa1e21662b8cad436d1f7727",
        ),
        (
            "vmfs_thick.vmdk",
            "8d43c795d24bce01b49f92744f934c1072210dcac170bb1c83a5aa56df46ab7d",
        ),
    ];
    if unpack("vmfs_thick-flat.vmdk", folder.path()).is_none() {
        return;
    }
    for (name, hash) in images {
        let image = open(&unpack(name, folder.path()).unwrap());
        assert_eq!(sha256(&image), hash, "{name}");
    }
}

#[test]
fn a_large_stream_of_esx_reads_as_listed() {
    let folder = tempfile::tempdir().unwrap();
    let Some(path) = unpack("iotest-version3.vmdk", folder.path()) else {
        return;
    };
    let image = open(&path);
    assert_eq!(image.len(), 16 << 30);
    assert_eq!(
        sum_of_data(&image),
        "2dec003dd04b5e315f958640a0e9a472d7ffc3ce64861fa6694112795d6bc1e6"
    );
    // Hashing all of it takes minutes.
    if std::env::var_os("WHOLE_DISKS").is_none() {
        return;
    }
    assert_eq!(
        sha256(&image),
        "0859bb3397bc1d30fa979c80a289ce98bfd6c1141a64594d6f3cc8cd68218faf"
    );
}

#[test]
fn what_a_fuzzer_made_is_refused_with_its_cause() {
    let folder = tempfile::tempdir().unwrap();
    let Some(path) = unpack("afl9.vmdk", folder.path()) else {
        return;
    };
    let file = Arc::new(RawFile::open(&path).unwrap());
    assert!(probe(&*file).unwrap());
    let refused = Vmdk::open(file, &folder_of(&path)).unwrap_err();
    assert!(
        matches!(&refused, OpenError::Damaged(damage) if damage.offset > 0),
        "{refused}"
    );
}

#[test]
fn information_is_what_vmware_wrote() {
    let folder = tempfile::tempdir().unwrap();
    let Some(path) = unpack("streamOptimized.vmdk", folder.path()) else {
        return;
    };
    let info = open(&path).info();
    assert_eq!(info.create_type.as_deref(), Some("streamOptimized"));
    assert_eq!(info.geometry, Some((301, 4, 17)));
    assert_eq!(info.adapter_type.as_deref(), Some("buslogic"));
    assert_eq!(info.identity.cid, 0);
    assert!(info.is_descriptor_embedded);
    let sparse = info.extents[0].sparse.unwrap();
    assert!(sparse.is_compressed && !sparse.has_redundant_tables);
    assert_eq!((sparse.version, sparse.grain_size), (3, 65_536));
}
