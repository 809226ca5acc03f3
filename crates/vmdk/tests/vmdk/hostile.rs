//! Damaged and made-up files: refused with a reason, never a panic.

use crate::memory_files::MemoryFiles;
use cv_disk::{MemoryDisk, ReadAt, Resize, WriteAt};
use cv_vmdk::{NoExtentFiles, ParentReference, Subformat, Vmdk, VmdkBuilder, check};
use proptest::prelude::*;
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[path = "../../fuzz/bodies/mod.rs"]
mod bodies;

fn seeds() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds")
}

/// A descriptor, and behind its sector the extent that it names.
fn with_extent(create_type: &str, kind: &str, sectors: u64, extent: &[u8]) -> Vec<u8> {
    let text = format!(
        "# Disk DescriptorFile\nversion=1\nCID=00000001\nparentCID=ffffffff\ncreateType=\"{create_type}\"\n\
         RW {sectors} {kind} \"e\"\n"
    );
    let mut bytes = text.into_bytes();
    bytes.resize(512, 0);
    bytes.extend_from_slice(extent);
    bytes
}

/// Small images of every kind.
fn small_images() -> Vec<(&'static str, Vec<u8>)> {
    let make = |builder: VmdkBuilder, writes: &[u64]| {
        let files = MemoryFiles::default();
        let mut writer = files.create_image("disk", builder.grain_size(4096));
        writer.set_parent(Arc::new(MemoryDisk::new(0)));
        for offset in writes {
            writer.write_at(&[0x77; 600], *offset).unwrap();
        }
        writer.finish().unwrap();
        files
    };
    let single = |builder: VmdkBuilder, writes: &[u64]| make(builder, writes).get("disk.vmdk").unwrap().to_vec();
    let parent = ParentReference {
        cid: 9,
        file_name_hint: Some("base.vmdk".into()),
    };
    let split = make(
        VmdkBuilder::new(30_208).subformat(Subformat::TwoGbMaxExtentSparse),
        &[5000],
    );
    let stream = VmdkBuilder::new(3 << 20).subformat(Subformat::StreamOptimized);
    let mut cowd = b"COWD".to_vec();
    cowd.extend([1_u32, 3, 16, 8, 4, 1, 40].map(u32::to_le_bytes).concat());
    cowd.resize(2048, 0);
    cowd.extend(5_u32.to_le_bytes());
    cowd.resize(2560, 0);
    cowd.extend(37_u32.to_le_bytes());
    cowd.resize(2560 + 16_384, 0);
    cowd.extend([0x11; 4096]);
    let mut sesparse = [0xcafe_babe_u64, 0x2_0000_0001, 16, 8, 64, 0, 0, 0, 0, 0]
        .map(u64::to_le_bytes)
        .concat();
    sesparse.extend(
        [1_u64, 1, 2, 0, 2, 0, 2, 1, 3, 64, 67, 0, 67, 0, 67, 8]
            .map(u64::to_le_bytes)
            .concat(),
    );
    sesparse.resize(512, 0);
    sesparse.extend(0xcafe_cafe_u64.to_le_bytes());
    sesparse.resize(1024, 0);
    sesparse.extend(0x1000_0000_0000_0000_u64.to_le_bytes());
    sesparse.resize(1536, 0);
    sesparse.extend(0x3000_0000_0000_0000_u64.to_le_bytes());
    sesparse.extend(0x2000_0000_0000_0000_u64.to_le_bytes());
    sesparse.resize(67 * 512, 0);
    sesparse.extend([0x22; 4096]);
    vec![
        ("sparse.vmdk", single(VmdkBuilder::new(30_208), &[0, 20_000])),
        (
            "differencing.vmdk",
            single(VmdkBuilder::new(30_208).parent(parent), &[0, 20_000]),
        ),
        ("stream.vmdk", single(stream, &[0, 9000, (2 << 20) + 5])),
        (
            "split.vmdk",
            with_extent(
                "twoGbMaxExtentSparse",
                "SPARSE",
                59,
                &split.get("disk-s001.vmdk").unwrap().to_vec(),
            ),
        ),
        ("flat.vmdk", with_extent("vmfs", "VMFS", 2, &[0x33; 1024])),
        ("cowd.vmdk", with_extent("vmfsSparse", "VMFSSPARSE", 16, &cowd)),
        ("sesparse.vmdk", with_extent("seSparse", "SESPARSE", 16, &sesparse)),
    ]
}

/// The saved seeds; made anew first where `WRITE_SEEDS` is set, for when the layout of new files has changed.
fn seed_files() -> Vec<Vec<u8>> {
    if std::env::var_os("WRITE_SEEDS").is_some() {
        std::fs::create_dir_all(seeds()).unwrap();
        for (name, bytes) in small_images() {
            std::fs::write(seeds().join(name), bytes).unwrap();
        }
    }
    let files: Vec<_> = std::fs::read_dir(seeds())
        .unwrap()
        .map(|entry| std::fs::read(entry.unwrap().path()).unwrap())
        .collect();
    assert!(!files.is_empty());
    files
}

fn every_body(bytes: &[u8]) {
    bodies::vmdk_image(bytes);
    bodies::vmdk_check(bytes);
    bodies::descriptor(bytes);
    bodies::descriptor(bytes.get(512..).unwrap_or_default());
}

#[test]
fn small_images_are_sound() {
    for (name, bytes) in small_images() {
        every_body(&bytes);
        let extent = Arc::new(MemoryDisk::from(&bytes[512..]));
        let files = OneFile(extent);
        let file: Arc<dyn ReadAt> = Arc::new(MemoryDisk::from(&bytes[..]));
        Vmdk::open(file.clone(), &files).unwrap();
        let faults = check(&file, &files).unwrap();
        assert!(faults.is_empty(), "{name}: {faults:?}");
    }
}

struct OneFile(Arc<MemoryDisk>);

impl cv_vmdk::ExtentFiles for OneFile {
    fn open(&self, _name: &str) -> std::io::Result<Arc<dyn ReadAt>> {
        Ok(self.0.clone())
    }

    fn open_writable(&self, _name: &str) -> std::io::Result<Arc<dyn Resize>> {
        Ok(self.0.clone())
    }

    fn create(&self, _name: &str) -> std::io::Result<Arc<dyn Resize>> {
        Ok(self.0.clone())
    }
}

#[test]
fn seeds_pass_whole_and_cut_short() {
    for seed in seed_files() {
        every_body(&seed);
        for length in (0..seed.len()).step_by(509) {
            every_body(&seed[..length]);
        }
    }
}

/// Fields that decide sizes, places and loops get the values that hurt.
#[test]
fn every_field_of_every_header_may_be_anything() {
    let values = [0, 1, 2, 3, 127, 0x7fff_ffff, 0xffff_ffff, u64::MAX, 1 << 40, 1 << 63];
    for seed in seed_files() {
        for header in [0, 512, seed.len().saturating_sub(1024)] {
            for at in (header + 4..header + 208).step_by(4) {
                for value in values {
                    let mut bytes = seed.clone();
                    if let Some(field) = bytes.get_mut(at..at + 8) {
                        field.copy_from_slice(&u64::to_le_bytes(value));
                        bodies::vmdk_image(&bytes);
                        bodies::vmdk_check(&bytes);
                    }
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mutations_never_panic(
        seed in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<[u8; 4]>(), 1_usize..5), 1..8),
        near_start in any::<bool>(),
    ) {
        let seeds = seed_files();
        let mut bytes = seeds[seed.index(seeds.len())].clone();
        for (at, new, count) in changes {
            let reach = if near_start { bytes.len().min(1536) } else { bytes.len() };
            let at = at.index(reach);
            for (old, new) in bytes[at..].iter_mut().zip(&new[..count.min(4)]) {
                *old = *new;
            }
        }
        every_body(&bytes);
    }

    #[test]
    fn descriptors_of_any_text_are_kept(text in "(# Disk DescriptorFile\r?\n)?([a-zA-Z.]{0,9} ?= ?\"?[ -~]{0,12}\"?\r?\n|RW [0-9]{1,4} (FLAT|SPARSE|ZERO|X) \"[ -~]{0,6}\"( [0-9]{1,3})?\n|[ -~é]{0,20}\n){0,8}") {
        bodies::descriptor(text.as_bytes());
    }
}

#[test]
fn a_grain_never_inflates_beyond_its_size() {
    let file = Arc::new(MemoryDisk::new(0));
    let stream = VmdkBuilder::new(4 << 20)
        .subformat(Subformat::StreamOptimized)
        .grain_size(1 << 20);
    let writer = stream.create(file.clone(), &NoExtentFiles).unwrap();
    writer.write_at(&vec![1; 1 << 20], 0).unwrap();
    writer.finish().unwrap();
    // The header says that grains are smaller than the one that is stored.
    let mut bytes = file.to_vec();
    let footer = bytes.len() - 1024;
    bytes[footer + 0x14..footer + 0x1C].copy_from_slice(&8_u64.to_le_bytes());
    let image = Vmdk::open(Arc::new(MemoryDisk::from(&bytes[..])), &NoExtentFiles);
    let Ok(image) = image else { return };
    let mut first = [0; 4096];
    let refused = image.read_at(&mut first, 0).unwrap_err();
    assert!(
        refused.to_string().contains("at most 4096 bytes when inflated"),
        "{refused}"
    );
}
