//! What sgdisk, sfdisk and parted say of our tables, and what we say of theirs.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use cv_disk::partition::{
    self, Gpt, GptPartition, Mbr, MbrPartition, PartitionName, PartitionTable, SectorSize, gpt_type,
};
use cv_disk::{RawFile, ReadAt, Resize};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;
use uuid::Uuid;

const MIB: u64 = 1 << 20;

/// Whether the tools are there; in continuous integration they must be.
fn have(tools: &[&str]) -> bool {
    tools.iter().all(|tool| {
        let found = run(tool, &["--version"]).is_some();
        assert!(found || std::env::var_os("CI").is_none(), "{tool} is not installed");
        if !found {
            eprintln!("skipped: {tool} is not installed");
        }
        found
    })
}

/// What a tool prints, if it runs and exits with 0.
fn run(tool: &str, arguments: &[&str]) -> Option<String> {
    // Tools for partitions live where only root looks by default.
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let output = Command::new(tool)
        .args(arguments)
        .env("PATH", path)
        .env("LC_ALL", "C.UTF-8")
        .output()
        .ok()?;
    if !output.status.success() {
        eprintln!("{tool} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        return None;
    }
    // sgdisk cuts a surrogate pair of a name in half.
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn shell(script: &str, disk: &str) -> String {
    run("sh", &["-ec", script, "sh", disk]).unwrap_or_else(|| panic!("{script} fails"))
}

/// A file of `length` bytes in a folder that goes with it.
fn empty_disk(length: u64) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("disk.img");
    std::fs::File::create(&path).unwrap().set_len(length).unwrap();
    (folder, path)
}

/// A loop device with sectors of 4096 bytes: sgdisk and sfdisk take the sector size from the device alone.
struct LoopDevice(String);

impl LoopDevice {
    fn new(path: &Path) -> Option<Self> {
        let device = run(
            "losetup",
            &["--sector-size", "4096", "--show", "--find", path.to_str()?],
        );
        if device.is_none() {
            eprintln!("skipped: this machine lends no loop device");
        }
        device.map(|device| Self(device.trim().to_string()))
    }
}

impl Drop for LoopDevice {
    fn drop(&mut self) {
        run("losetup", &["--detach", &self.0]);
    }
}

fn sample(length: u64, sector_size: SectorSize) -> Gpt {
    let part = |number, range, type_id, attributes, name| GptPartition {
        number,
        range,
        type_id,
        id: Uuid::from_u128(0xA000_0000_0000_4000_8000_0000_0000_0000 + u128::from(number)),
        attributes,
        name: PartitionName::new(name).unwrap(),
    };
    let parts = vec![
        part(1, MIB..5 * MIB, gpt_type::EFI_SYSTEM, 1, "EFI"),
        part(2, 5 * MIB..6 * MIB, gpt_type::MICROSOFT_RESERVED, 0, ""),
        part(
            7,
            6 * MIB..60 * MIB,
            gpt_type::BASIC_DATA,
            1 << 63 | 1 << 60,
            "Schicht \u{e4}\u{1F4BE}",
        ),
    ];
    Gpt::new(
        length,
        sector_size,
        Uuid::from_u128(0xD15C_0000_0000_4000_8000_0000_0000_0001),
        parts,
    )
    .unwrap()
}

/// sfdisk's view of a disk must be ours.
fn compare_with_sfdisk(disk: &str, table: &PartitionTable) {
    let json: Value = serde_json::from_str(&run("sfdisk", &["--json", disk]).unwrap()).unwrap();
    let theirs = &json["partitiontable"];
    let listed = theirs["partitions"].as_array().cloned().unwrap_or_default();
    let number = |node: &Value| -> u32 {
        let node = node["node"].as_str().unwrap().strip_prefix(disk).unwrap();
        node.trim_start_matches('p').parse().unwrap()
    };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
    match table {
        PartitionTable::Gpt(gpt) => {
            let unit = gpt.sector_size.bytes();
            assert_eq!(theirs["label"], "gpt");
            assert_eq!(theirs["sectorsize"], unit);
            assert_eq!(text(&theirs["id"]).to_lowercase(), gpt.disk_id.to_string());
            assert_eq!(theirs["firstlba"], gpt.usable.start / unit);
            assert_eq!(theirs["lastlba"], gpt.usable.end / unit - 1);
            assert_eq!(listed.len(), gpt.partitions.len());
            for (their, our) in listed.iter().zip(&gpt.partitions) {
                assert_eq!(number(their), our.number);
                assert_eq!(their["start"], our.range.start / unit);
                assert_eq!(their["size"], (our.range.end - our.range.start) / unit);
                assert_eq!(text(&their["type"]).to_lowercase(), our.type_id.to_string());
                assert_eq!(text(&their["uuid"]).to_lowercase(), our.id.to_string());
                assert_eq!(text(&their["name"]), our.name.to_string());
                let attributes = text(&their["attrs"]);
                assert_eq!(attributes.contains("RequiredPartition"), our.attributes & 1 != 0);
                assert_eq!(attributes.contains("60"), our.attributes >> 60 & 1 != 0, "{attributes}");
                assert_eq!(attributes.contains("63"), our.attributes >> 63 & 1 != 0, "{attributes}");
            }
        }
        PartitionTable::Mbr(mbr) => {
            let unit = mbr.sector_size.bytes();
            assert_eq!(theirs["label"], "dos");
            assert_eq!(text(&theirs["id"]), format!("{:#010x}", mbr.signature));
            assert_eq!(listed.len(), mbr.partitions.len());
            for (their, our) in listed.iter().zip(&mbr.partitions) {
                assert_eq!(number(their), our.number);
                assert_eq!(their["start"], our.range.start / unit);
                assert_eq!(their["size"], (our.range.end - our.range.start) / unit);
                assert_eq!(text(&their["type"]), format!("{:x}", our.type_code));
                assert_eq!(their["bootable"].as_bool().unwrap_or_default(), our.active);
            }
        }
        PartitionTable::None => panic!("sfdisk finds {theirs}"),
    }
}

fn expect_sgdisk_content(disk: &str) {
    let verdict = run("sgdisk", &["--verify", disk]).unwrap();
    assert!(verdict.contains("No problems found"), "{verdict}");
}

/// parted's view: number, start, end and name of each partition.
fn compare_with_parted(disk: &str, sector_size: SectorSize, table: &PartitionTable) {
    let sector_size = sector_size.bytes();
    let script = format!("PARTED_SECTOR_SIZE={sector_size} parted --script --machine \"$1\" unit B print");
    let printed = shell(&script, disk);
    let theirs: Vec<_> = printed
        .lines()
        .skip(2)
        .map(|line| {
            let fields: Vec<_> = line.trim_end_matches(';').split(':').collect();
            let byte = |field: &str| field.trim_end_matches('B').parse::<u64>().unwrap();
            (
                fields[0].parse::<u32>().unwrap(),
                byte(fields[1])..byte(fields[2]) + 1,
                fields[5].to_string(),
            )
        })
        .collect();
    let ours: Vec<_> = table
        .partitions()
        .into_iter()
        // parted cannot convert what lies beyond the basic multilingual plane, and prints an empty name.
        .map(|part| {
            (
                part.number,
                part.range,
                if part.name.contains('\u{1F4BE}') {
                    String::new()
                } else {
                    part.name
                },
            )
        })
        .collect();
    assert_eq!(ours, theirs, "{printed}");
}

#[test]
fn other_tools_accept_our_gpt() {
    if !have(&["sgdisk", "sfdisk", "parted"]) {
        return;
    }
    let (_folder, path) = empty_disk(64 * MIB + 100);
    let disk = RawFile::open_writable(&path).unwrap();
    sample(disk.len(), SectorSize::Bytes512).write(&disk).unwrap();
    let table = partition::read(&disk, None).unwrap();
    let path = path.to_str().unwrap();
    expect_sgdisk_content(path);
    compare_with_sfdisk(path, &table);
    compare_with_parted(path, SectorSize::Bytes512, &table);
    let information = run("sgdisk", &["--info=7", path]).unwrap();
    for expected in [
        "Microsoft basic data",
        "Attribute flags: 9000000000000000",
        "Schicht \u{e4}",
    ] {
        assert!(information.contains(expected), "{information}");
    }
}

#[test]
fn other_tools_accept_our_gpt_of_4096_byte_sectors() {
    if !have(&["sgdisk", "sfdisk", "parted", "losetup"]) {
        return;
    }
    let (_folder, path) = empty_disk(64 * MIB);
    let disk = RawFile::open_writable(&path).unwrap();
    sample(disk.len(), SectorSize::Bytes4096).write(&disk).unwrap();
    let table = partition::read(&disk, None).unwrap();
    compare_with_parted(path.to_str().unwrap(), SectorSize::Bytes4096, &table);
    if let Some(device) = LoopDevice::new(&path) {
        expect_sgdisk_content(&device.0);
        compare_with_sfdisk(&device.0, &table);
        let through_device = RawFile::open(Path::new(&device.0)).unwrap();
        assert_eq!(partition::read(&through_device, None).unwrap(), table);
    }
}

#[test]
fn other_tools_accept_our_mbr() {
    if !have(&["sfdisk", "parted"]) {
        return;
    }
    let (_folder, path) = empty_disk(64 * MIB);
    let disk = RawFile::open_writable(&path).unwrap();
    let part = |number, range, type_code| MbrPartition {
        number,
        range,
        type_code,
        active: number == 1,
    };
    let parts = vec![
        part(1, MIB..16 * MIB, 0x07),
        part(2, 16 * MIB..17 * MIB, 0x27),
        part(4, 20 * MIB..64 * MIB, 0x0C),
    ];
    Mbr::new(SectorSize::Bytes512, 0x0BAD_CAFE, parts).write(&disk).unwrap();
    let table = partition::read(&disk, None).unwrap();
    let path = path.to_str().unwrap();
    compare_with_sfdisk(path, &table);
    compare_with_parted(path, SectorSize::Bytes512, &table);
    let verdict = run("sfdisk", &["--verify", path]).unwrap();
    assert!(verdict.contains("No errors detected"), "{verdict}");
}

const SGDISK: &str = r#"PATH=$PATH:/usr/sbin:/sbin
    sgdisk --new=1:2048:+10M --typecode=1:ef00 --change-name=1:"EFI system" --attributes=1:set:0 "$1"
    sgdisk --new=2:0:+16M --typecode=2:0c01 --new=5:0:0 --typecode=5:0700 --attributes=5:set:63 "$1""#;

#[test]
fn we_read_and_repair_what_sgdisk_writes() {
    if !have(&["sgdisk", "sfdisk"]) {
        return;
    }
    let (_folder, path) = empty_disk(64 * MIB);
    let disk = RawFile::open_writable(&path).unwrap();
    shell(SGDISK, path.to_str().unwrap());
    let table = partition::read(&disk, None).unwrap();
    assert_eq!(table.partitions().len(), 3);
    compare_with_sfdisk(path.to_str().unwrap(), &table);
    assert_eq!(partition::check(&disk, None).unwrap().listed(), []);

    // What we mend is what sgdisk wrote, byte by byte.
    let whole = std::fs::read(&path).unwrap();
    for place in [512 + 20, 1024 + 32, 454, whole.len() - 512 + 20, whole.len() - 1024] {
        let mut damaged = whole.clone();
        damaged[place] ^= 0xFF;
        std::fs::write(&path, damaged).unwrap();
        let disk = RawFile::open_writable(&path).unwrap();
        assert_eq!(partition::read(&disk, None).unwrap().partitions(), table.partitions());
        assert!(!partition::repair(&disk, None).unwrap().is_empty());
        assert!(std::fs::read(&path).unwrap() == whole, "damage at {place:#x}");
    }

    let disk = RawFile::open_writable(&path).unwrap();
    disk.set_len(100 * MIB).unwrap();
    partition::move_backup(&disk, SectorSize::Bytes512, 100 * MIB).unwrap();
    expect_sgdisk_content(path.to_str().unwrap());
    compare_with_sfdisk(path.to_str().unwrap(), &partition::read(&disk, None).unwrap());
}

#[test]
fn we_read_what_sgdisk_and_sfdisk_write_in_4096_byte_sectors() {
    if !have(&["sgdisk", "sfdisk", "losetup"]) {
        return;
    }
    for script in [
        SGDISK,
        r#"printf 'label: gpt\nsize=8M, name=one, attrs="GUID:60"\nsize=9M, type=E3C9E316-0B5C-4DB8-817D-F92DF00215AE\n' |
            PATH=$PATH:/sbin:/usr/sbin sfdisk --no-reread --no-tell-kernel "$1""#,
        r#"printf 'label: dos\nlabel-id: 0x12345678\nsize=8M, type=7, bootable\ntype=5\nsize=9M\nsize=5M, type=b\n' |
            PATH=$PATH:/sbin:/usr/sbin sfdisk --no-reread --no-tell-kernel "$1""#,
    ] {
        let (_folder, path) = empty_disk(64 * MIB);
        let Some(device) = LoopDevice::new(&path) else {
            return;
        };
        shell(script, &device.0);
        let disk = RawFile::open(Path::new(&device.0)).unwrap();
        let table = partition::read(&disk, Some(SectorSize::Bytes4096)).unwrap();
        assert!(table.partitions().len() > 1);
        if matches!(table, PartitionTable::Gpt(_)) {
            assert_eq!(
                partition::read(&disk, None).unwrap(),
                table,
                "the sector size is found by itself"
            );
        }
        compare_with_sfdisk(&device.0, &table);
        assert_eq!(
            partition::check(&disk, Some(SectorSize::Bytes4096)).unwrap().listed(),
            []
        );
    }
}

#[test]
fn we_read_what_sfdisk_and_parted_write() {
    if !have(&["sfdisk", "parted"]) {
        return;
    }
    for script in [
        r#"printf 'label: dos\nlabel-id: 0x12345678\nsize=8M, type=7, bootable\nsize=40M, type=f\nsize=9M\nsize=5M, type=b\nsize=1M, type=7\n' |
            PATH=$PATH:/sbin:/usr/sbin sfdisk "$1""#,
        r#"printf 'label: gpt\nsize=8M, name=one, attrs="GUID:60 RequiredPartition"\nsize=9M\n' | PATH=$PATH:/sbin:/usr/sbin sfdisk "$1""#,
        r#"printf 'label: gpt\ntable-length: 4\nsize=8M, name=one\nsize=9M\n' | PATH=$PATH:/sbin:/usr/sbin sfdisk "$1""#,
        r#"PATH=$PATH:/sbin:/usr/sbin parted --script "$1" mklabel gpt mkpart one ntfs 1MiB 9MiB mkpart two fat32 9MiB 100%"#,
        r#"PATH=$PATH:/sbin:/usr/sbin parted --script "$1" mklabel msdos mkpart primary ntfs 1MiB 9MiB mkpart extended 9MiB 100% \
            mkpart logical fat32 10MiB 20MiB mkpart logical ext4 21MiB 30MiB"#,
    ] {
        let (_folder, path) = empty_disk(64 * MIB);
        shell(script, path.to_str().unwrap());
        let disk = RawFile::open(&path).unwrap();
        let table = partition::read(&disk, None).unwrap();
        assert!(table.partitions().len() > 1);
        compare_with_sfdisk(path.to_str().unwrap(), &table);
        assert_eq!(partition::check(&disk, None).unwrap().listed(), [], "{script}");
    }
}
