//! The subformats that only ESX writes. No tool here makes them, so the test does, from the specification and from what
//! QEMU and libvmdk know; QEMU then has to read them as this crate does.

use crate::tools::{assert_same, has, open, output, run, text, write_sample};
use cv_disk::{Differencing, ExtentKind, RawFile, ReadAt, Resize, WriteAt, is_zero};
use cv_vmdk::{NoExtentFiles, OpenError, Vmdk};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const SECTOR: u64 = 512;

/// Writes little-endian numbers one behind the other.
fn numbers<const N: usize>(values: &[[u8; N]]) -> Vec<u8> {
    values.concat()
}

fn new_raw(path: &Path, length: u64) -> RawFile {
    let file = std::fs::File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(path)
        .unwrap();
    let file = RawFile::from_file(file).unwrap();
    file.set_len(length).unwrap();
    file
}

fn descriptor(path: &Path, create_type: &str, kind: &str, sectors: u64, extent: &str, parent: &str) {
    let text = format!(
        "# Disk DescriptorFile\nversion=1\nencoding=\"UTF-8\"\nCID=0badcafe\n{parent}isNativeSnapshot=\"no\"\n\
         createType=\"{create_type}\"\n\n# Extent description\nRW {sectors} {kind} \"{extent}\"\n\n\
         # The Disk Data Base \n#DDB\n\nddb.adapterType = \"lsilogic\"\n"
    );
    std::fs::write(path, text).unwrap();
}

const NO_PARENT: &str = "parentCID=ffffffff\n";

/// Each grain of the source that is not zero, with its number.
fn stored_grains(source: &RawFile, grain: u64) -> Vec<(u64, Vec<u8>)> {
    (0..source.len().div_ceil(grain))
        .filter_map(|number| {
            let length = grain.min(source.len() - number * grain);
            let mut bytes = vec![0; length as usize];
            source.read_at(&mut bytes, number * grain).unwrap();
            (!is_zero(&bytes)).then_some((number, bytes))
        })
        .collect()
}

/// A `vmfsSparse` image (COWD) of the raw file.
fn write_cowd(folder: &Path, stem: &str, raw: &Path, grain_sectors: u32, parent: &str) -> PathBuf {
    const GTES: u64 = 4096;
    let source = RawFile::open(raw).unwrap();
    let grain = u64::from(grain_sectors) * SECTOR;
    let grains = stored_grains(&source, grain);
    let sectors = source.len() / SECTOR;
    let tables = source.len().div_ceil(grain * GTES);
    let directory_sectors = (tables * 4).div_ceil(SECTOR);
    let tables_start = 4 + directory_sectors;
    let table_sectors = GTES * 4 / SECTOR;
    let data_start = tables_start + tables * table_sectors;
    let end = data_start + grains.len() as u64 * u64::from(grain_sectors);
    let extent = format!("{stem}-delta.vmdk");
    let file = new_raw(&folder.join(&extent), end * SECTOR);
    let mut header = b"COWD".to_vec();
    header.extend(numbers(
        &[1, 3, sectors as u32, grain_sectors, 4, tables as u32, end as u32].map(u32::to_le_bytes),
    ));
    file.write_at(&header, 0).unwrap();
    // A table in which nothing is stored does not exist.
    for table in 0..tables {
        if grains.iter().any(|(number, _)| number / GTES == table) {
            let sector = (tables_start + table * table_sectors) as u32;
            file.write_at(&sector.to_le_bytes(), 4 * SECTOR + table * 4).unwrap();
        }
    }
    for (index, (number, bytes)) in grains.iter().enumerate() {
        let sector = data_start + index as u64 * u64::from(grain_sectors);
        file.write_at(bytes, sector * SECTOR).unwrap();
        file.write_at(&(sector as u32).to_le_bytes(), tables_start * SECTOR + number * 4)
            .unwrap();
    }
    let path = folder.join(format!("{stem}.vmdk"));
    descriptor(&path, "vmfsSparse", "VMFSSPARSE", sectors, &extent, parent);
    path
}

/// A `seSparse` image of the raw file; grains in `zeroed` are recorded as zero or unmapped, in turns.
fn write_sesparse(folder: &Path, stem: &str, raw: &Path, zeroed: &[u64], parent: &str) -> PathBuf {
    const GRAIN: u64 = 4096;
    const GTES: u64 = 4096;
    const TABLE_SECTORS: u64 = 64;
    let source = RawFile::open(raw).unwrap();
    let grains = stored_grains(&source, GRAIN);
    let sectors = source.len() / SECTOR;
    let directory_entries = source.len().div_ceil(GRAIN * GTES);
    let directory_sectors = (directory_entries * 8).div_ceil(SECTOR);
    // Const header, volatile header, journal header, journal, directory, tables, bitmap, backmap, grains.
    let (volatile, journal_header, journal) = (1, 2, 4);
    let directory = journal + 8;
    let tables = directory + directory_sectors;
    let bitmap = tables + directory_entries * TABLE_SECTORS;
    let backmap = bitmap + 1;
    let data = (backmap + 8).next_multiple_of(8);
    let extent = format!("{stem}-sesparse.vmdk");
    let file = new_raw(&folder.join(&extent), (data + grains.len() as u64 * 8) * SECTOR);
    let mut header = Vec::new();
    header.extend(numbers(
        &[
            0xcafe_babe,
            0x2_0000_0001,
            sectors,
            8,
            TABLE_SECTORS,
            0,
            0,
            0,
            0,
            0,
            volatile,
            1,
            journal_header,
            2,
            journal,
            8,
            directory,
            directory_sectors,
            tables,
            directory_entries * TABLE_SECTORS,
            bitmap,
            1,
            backmap,
            8,
            data,
            grains.len() as u64 * 8,
        ]
        .map(u64::to_le_bytes),
    ));
    file.write_at(&header, 0).unwrap();
    file.write_at(
        &numbers(&[0xcafe_cafe_u64, directory_entries, 0, 0].map(u64::to_le_bytes)),
        volatile * SECTOR,
    )
    .unwrap();
    // Tables are handed out in another order than the directory's.
    for entry in 0..directory_entries {
        let table = directory_entries - 1 - entry;
        file.write_at(
            &(0x1000_0000_0000_0000_u64 | table).to_le_bytes(),
            directory * SECTOR + entry * 8,
        )
        .unwrap();
    }
    let put = |number: u64, entry: u64| {
        let table = directory_entries - 1 - number / GTES;
        let at = (tables + table * TABLE_SECTORS) * SECTOR + number % GTES * 8;
        file.write_at(&entry.to_le_bytes(), at).unwrap();
    };
    for (index, (number, bytes)) in grains.iter().enumerate() {
        let index = index as u64;
        file.write_at(bytes, data * SECTOR + index * GRAIN).unwrap();
        put(*number, 0x3000_0000_0000_0000 | (index & 0xfff) << 48 | index >> 12);
    }
    for (index, number) in zeroed.iter().enumerate() {
        put(
            *number,
            if index % 2 == 0 {
                0x1000_0000_0000_0000
            } else {
                0x2000_0000_0000_0000
            },
        );
    }
    let path = folder.join(format!("{stem}.vmdk"));
    descriptor(&path, "seSparse", "SESPARSE", sectors, &extent, parent);
    path
}

fn compare(path: &Path, raw: &Path) {
    let image = open(path);
    assert_same(&image, &RawFile::open(raw).unwrap());
    if has("qemu-img") {
        let arguments = ["compare", "-f", "vmdk", "-F", "raw", text(path), text(raw)];
        run("qemu-img", &arguments);
    }
}

#[test]
fn cowd_reads_as_qemu_reads_it() {
    let folder = tempfile::tempdir().unwrap();
    let raw = folder.path().join("sample.raw");
    write_sample(&raw, (9 << 20) + 512 * 3, 41);
    for grain_sectors in [1, 8, 128] {
        let path = write_cowd(
            folder.path(),
            &format!("cowd{grain_sectors}"),
            &raw,
            grain_sectors,
            NO_PARENT,
        );
        compare(&path, &raw);
        let info = open(&path).info();
        assert_eq!(info.extents[0].kind, "VMFSSPARSE");
        assert_eq!(
            info.extents[0].sparse.unwrap().grain_size,
            u64::from(grain_sectors) * 512
        );
        let file: Arc<dyn ReadAt> = Arc::new(RawFile::open(&path).unwrap());
        let faults = cv_vmdk::check(&file, &crate::tools::folder_of(&path)).unwrap();
        assert!(faults.is_empty(), "{faults:?}");
    }
}

#[test]
fn sesparse_reads_as_qemu_reads_it() {
    let folder = tempfile::tempdir().unwrap();
    let raw = folder.path().join("sample.raw");
    // More than 4096 stored grains, so that both parts of a grain's number are used; and two tables.
    let source = new_raw(&raw, 40 << 20);
    let bytes: Vec<u8> = (0..30_u32 << 20)
        .map(|index| (index % 251 + index / 4096) as u8 | 1)
        .collect();
    source.write_at(&bytes, 5 << 20).unwrap();
    let path = write_sesparse(folder.path(), "se", &raw, &[3, 4, 5], NO_PARENT);
    compare(&path, &raw);
    let file: Arc<dyn ReadAt> = Arc::new(RawFile::open(&path).unwrap());
    let faults = cv_vmdk::check(&file, &crate::tools::folder_of(&path)).unwrap();
    assert!(faults.is_empty(), "{faults:?}");
}

#[test]
fn snapshots_of_esx_are_read_over_their_parents() {
    let folder = tempfile::tempdir().unwrap();
    let (base_raw, child_raw) = (folder.path().join("base.raw"), folder.path().join("child.raw"));
    write_sample(&base_raw, 4 << 20, 1);
    let child_only = new_raw(&child_raw, 4 << 20);
    child_only.write_at(&[9; 5000], 1 << 20).unwrap();
    write_cowd(folder.path(), "base", &base_raw, 1, NO_PARENT);
    let parent = "parentCID=0badcafe\nparentFileNameHint=\"base.vmdk\"\n";
    let zeroed = [0, 1, 700];
    let children = [
        (write_cowd(folder.path(), "cowd", &child_raw, 1, parent), &[][..], 512),
        (
            write_sesparse(folder.path(), "se", &child_raw, &zeroed, parent),
            &zeroed[..],
            4096,
        ),
    ];
    for (child, zeroed, grain) in children {
        let image = open(&child);
        let mut expected = vec![0; 4 << 20];
        RawFile::open(&base_raw).unwrap().read_at(&mut expected, 0).unwrap();
        for number in zeroed {
            expected[*number as usize * 4096..][..4096].fill(0);
        }
        for (number, bytes) in stored_grains(&child_only, grain) {
            expected[(number * grain) as usize..][..bytes.len()].copy_from_slice(&bytes);
        }
        let merged = folder.path().join(format!("merged-{grain}.raw"));
        std::fs::write(&merged, expected).unwrap();
        compare(&child, &merged);
        let own = image.own_extent_at(1 << 20).unwrap();
        assert_eq!(own.kind, ExtentKind::Data);
        if !zeroed.is_empty() {
            assert_eq!(image.own_extent_at(0).unwrap().kind, ExtentKind::Zero);
        }
    }
}

#[test]
fn extents_alone_and_open_journals_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let raw = folder.path().join("sample.raw");
    write_sample(&raw, 1 << 20, 2);
    let path = write_sesparse(folder.path(), "se", &raw, &[], NO_PARENT);
    let extent = folder.path().join("se-sesparse.vmdk");
    let alone = Vmdk::open(Arc::new(RawFile::open(&extent).unwrap()), &NoExtentFiles).unwrap_err();
    assert!(alone.to_string().contains("descriptor is another file"), "{alone}");
    RawFile::open_writable(&extent)
        .unwrap()
        .write_at(&[1], 512 + 24)
        .unwrap();
    let refused = Vmdk::open(Arc::new(RawFile::open(&path).unwrap()), &crate::tools::folder_of(&path)).unwrap_err();
    let OpenError::In { source, .. } = &refused else {
        panic!("{refused}")
    };
    assert!(source.to_string().contains("journal"), "{source}");
    if has("qemu-img") {
        assert!(!output("qemu-img", &["info", text(&path)]).status.success());
    }
}
