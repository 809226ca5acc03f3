//! Damage done to a sound volume, one kind at a time: the checker finds it, and nothing else.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![cfg(unix)]

mod support;

use cv_disk::{Faults, Severity};
use cv_ntfs::structure::AttributeType;
use support::lab::Lab;

const SI: AttributeType = AttributeType::STANDARD_INFORMATION;
const LIST: AttributeType = AttributeType::ATTRIBUTE_LIST;
const NAME: AttributeType = AttributeType::FILE_NAME;
const DATA: AttributeType = AttributeType::DATA;
const ROOT: AttributeType = AttributeType::INDEX_ROOT;
const BITMAP: AttributeType = AttributeType::BITMAP;

/// Everything worse than a note.
fn serious(faults: &Faults) -> Vec<String> {
    let faults = faults.listed().iter().filter(|fault| fault.severity > Severity::Note);
    faults.map(ToString::to_string).collect()
}

/// Damages a sound volume: each fault must hold one of the `expected` texts, and each of those must be met.
fn finds(expected: &[&str], damage: impl FnOnce(&mut Lab)) {
    let Some(mut lab) = Lab::new() else { return };
    damage(&mut lab);
    let faults = serious(&lab.check());
    for text in expected {
        assert!(
            faults.iter().any(|fault| fault.contains(text)),
            "no `{text}` in {faults:#?}"
        );
    }
    for fault in &faults {
        assert!(
            expected.iter().any(|text| fault.contains(text)),
            "unexpected: {fault}\nof {faults:#?}"
        );
    }
}

fn put(bytes: &mut [u8], offset: usize, value: impl AsRef<[u8]>) {
    let value = value.as_ref();
    bytes[offset..offset + value.len()].copy_from_slice(value);
}

fn get_u16(bytes: &[u8], offset: usize) -> u16 {
    u16::from_le_bytes([bytes[offset], bytes[offset + 1]])
}

fn get_u32(bytes: &[u8], offset: usize) -> u32 {
    u32::from_le_bytes(std::array::from_fn(|byte| bytes[offset + byte]))
}

fn get_u64(bytes: &[u8], offset: usize) -> u64 {
    u64::from_le_bytes(std::array::from_fn(|byte| bytes[offset + byte]))
}

fn clear_bit(bytes: &mut [u8], bit: u64) {
    bytes[(bit / 8) as usize] &= !(1 << (bit % 8));
}

fn set_bit(bytes: &mut [u8], bit: u64) {
    bytes[(bit / 8) as usize] |= 1 << (bit % 8);
}

#[test]
fn a_sound_volume_has_no_fault() {
    let Some(lab) = Lab::new() else { return };
    assert_eq!(lab.check().listed(), []);
}

#[test]
fn boot_sector() {
    finds(&["boot sector, signature", "boot sector, copy"], |lab| {
        let copy = lab.bytes.len() - 512;
        lab.bytes[0x1FE] = 0;
        lab.bytes[copy + 0x1FE] = 0;
    });
    finds(&["boot sector, OEM"], |lab| lab.bytes[3] = b'M');
    finds(&["boot sector, bytes per sector"], |lab| lab.bytes[0x0C] = 3);
    finds(&["boot sector, reserved sectors"], |lab| lab.bytes[0x0E] = 1);
    finds(&["copy in the last sector, $MFT LCN"], |lab| {
        let copy = lab.bytes.len() - 512;
        lab.bytes[copy + 0x30] ^= 1;
    });
    finds(&["copy in the last sector"], |lab| {
        let copy = lab.bytes.len() - 512;
        lab.bytes[copy..].fill(0);
    });
    finds(
        &[
            "boot sector, $MFT LCN",
            "$MFT: LCN",
            "$MFT, first cluster",
            "boot sector, copy",
        ],
        |lab| {
            put(&mut lab.bytes, 0x30, (1_u64 << 40).to_le_bytes());
        },
    );
    finds(&["$MFTMirr, first cluster", "boot sector, copy"], |lab| {
        lab.bytes[0x38] ^= 1;
    });
    finds(
        &[
            "boot sector, total sectors",
            "copy in the last sector",
            "$BadClus",
            "$Bitmap",
        ],
        |lab| {
            let copy = lab.bytes.len() - 512;
            for offset in [0x28, copy + 0x28] {
                let sectors = get_u64(&lab.bytes, offset);
                put(&mut lab.bytes, offset, (2 * sectors).to_le_bytes());
            }
        },
    );
}

#[test]
fn record_headers() {
    finds(&["file record signature", "$Bitmap"], |lab| {
        let place = lab.place(lab.record("file"));
        put(&mut lab.bytes, place, b"BAAD");
    });
    finds(&["FILE update sequence number"], |lab| {
        let place = lab.place(lab.record("small"));
        lab.bytes[place + 1023] ^= 0x40;
    });
    finds(&["FILE update sequence array size"], |lab| {
        let place = lab.place(lab.record("small"));
        lab.bytes[place + 6] = 2;
    });
    let header = |expected: &[&str], offset: usize, value: &[u8]| {
        finds(expected, |lab| {
            lab.edit(lab.record("small"), |bytes| put(bytes, offset, value));
        });
    };
    header(&["file record header, link count"], 0x12, &2_u16.to_le_bytes());
    header(&["file record header, allocated size"], 0x1C, &2048_u32.to_le_bytes());
    header(&["file record header, record number"], 0x2C, &7_u32.to_le_bytes());
    header(&["first free byte"], 0x18, &2000_u32.to_le_bytes());
    header(&["file record header, used size"], 0x18, &1000_u32.to_le_bytes());
    header(&["first attribute offset"], 0x14, &3_u16.to_le_bytes());
    header(&["`small`, file", "sequence number"], 0x10, &9_u16.to_le_bytes());
    header(
        &["`small`, file", "in use, found free", "$MFT, $BITMAP"],
        0x16,
        &0_u16.to_le_bytes(),
    );
    header(
        &["expected record", "further record of a file"],
        0x20,
        &0x0001_0000_0000_0040_u64.to_le_bytes(),
    );
    finds(
        &[
            "file record header, flags",
            "`tiny`, file attributes",
            "that record is no directory",
        ],
        |lab| {
            lab.edit(lab.record("tiny"), |bytes| bytes[0x16] = 1);
        },
    );
    finds(&["$INDEX_ROOT:$I30", "`small`, file attributes"], |lab| {
        lab.edit(lab.record("small"), |bytes| bytes[0x16] = 3);
    });
    finds(
        &[
            "file record header, sequence number",
            "`$Bitmap`, file",
            "sequence number 6",
        ],
        |lab| {
            lab.edit(6, |bytes| bytes[0x10] = 7);
        },
    );
}

#[test]
fn attribute_headers() {
    let data = |expected: &[&str], file: &'static str, offset: usize, value: &[u8]| {
        finds(expected, |lab| {
            lab.edit_attribute(lab.record(file), DATA, "", |bytes| put(bytes, offset, value));
        });
    };
    data(&["$DATA header, record length"], "small", 4, &12_u32.to_le_bytes());
    data(
        &["order of attributes", "type", "$DATA"],
        "small",
        0,
        &0x28_u32.to_le_bytes(),
    );
    data(&["form code"], "small", 8, &[7]);
    data(&["resident attribute value"], "small", 0x10, &4000_u32.to_le_bytes());
    data(&["value offset"], "small", 0x14, &0x14_u16.to_le_bytes());
    data(&["$DATA, indexed flag"], "small", 0x16, &[1]);
    data(&["instance"], "small", 0x0E, &0_u16.to_le_bytes());
    data(&["$DATA, compression"], "file", 0x0C, &2_u16.to_le_bytes());
    data(&["$DATA, compression unit"], "file", 0x22, &[4]);
    data(
        &["$DATA, highest VCN", "$DATA, allocated size"],
        "file",
        0x18,
        &3_u64.to_le_bytes(),
    );
    data(
        &["$DATA, lowest VCN", "$DATA, highest VCN"],
        "file",
        0x10,
        &1_u64.to_le_bytes(),
    );
    data(
        &["mapping pairs offset", "$Bitmap"],
        "file",
        0x20,
        &0x400_u16.to_le_bytes(),
    );
    data(&["$DATA, allocated size"], "file", 0x28, &(1_u64 << 20).to_le_bytes());
    data(&["$DATA, allocated size"], "file", 0x28, &100_001_u64.to_le_bytes());
    data(&["$DATA, data size"], "file", 0x30, &200_000_u64.to_le_bytes());
    data(&["$DATA, initialized size"], "file", 0x38, &100_001_u64.to_le_bytes());
    data(
        &["$DATA, total allocated size"],
        "sparse",
        0x40,
        &4096_u64.to_le_bytes(),
    );
    data(
        &["$DATA, run list", "$DATA, compression unit"],
        "sparse",
        0x0C,
        &0_u16.to_le_bytes(),
    );
    finds(&["$FILE_NAME, indexed flag"], |lab| {
        lab.edit_attribute(lab.record("small"), NAME, "", |bytes| bytes[0x16] = 0);
    });
    finds(&["$STANDARD_INFORMATION, value length"], |lab| {
        lab.edit_attribute(lab.record("small"), SI, "", |bytes| bytes[0x10] = 50);
    });
    finds(&["name offset", "$INDEX_ROOT", "an entry in the index"], |lab| {
        lab.edit_attribute(lab.record("tiny"), ROOT, "$I30", |bytes| bytes[0x0A] = 0x1C);
    });
}

#[test]
fn run_lists() {
    let runs = |expected: &[&str], change: fn(&mut [u8])| {
        finds(expected, |lab| {
            lab.edit_attribute(lab.record("file"), DATA, "", |bytes| {
                let start = usize::from(get_u16(bytes, 0x20));
                change(&mut bytes[start..]);
            });
        });
    };
    runs(&["clusters below", "$Bitmap"], |pairs| {
        let (length, offset) = (usize::from(pairs[0] & 0xF), usize::from(pairs[0] >> 4));
        pairs[length + offset] = 0x7F;
    });
    runs(&["lengths of 1 to 8", "$Bitmap"], |pairs| {
        pairs[0] = 0x0F | pairs[0] & 0xF0;
    });
    runs(&["highest VCN", "$Bitmap"], |pairs| pairs[1] -= 1);
    finds(&["run list", "record", "$Bitmap"], |lab| {
        // Both files begin at the same cluster then.
        let other = lab.runs(lab.record("other"), DATA, "")[0].lcn.unwrap();
        lab.edit_attribute(lab.record("file"), DATA, "", |bytes| {
            let start = usize::from(get_u16(bytes, 0x20));
            let (length, offset) = (usize::from(bytes[start] & 0xF), usize::from(bytes[start] >> 4));
            let lcn = other.to_le_bytes();
            bytes[start + 1 + length..start + 1 + length + offset].copy_from_slice(&lcn[..offset]);
        });
    });
    finds(&["a hole of"], |lab| {
        // Without a difference of LCNs the run is a hole; its clusters are lost.
        let clusters = lab.runs(lab.record("other"), DATA, "")[0];
        let bitmap = lab.attribute(6, DATA, "").value;
        for cluster in clusters.lcn.unwrap()..clusters.lcn.unwrap() + clusters.clusters {
            clear_bit(&mut lab.bytes[bitmap..], cluster);
        }
        lab.edit_attribute(lab.record("other"), DATA, "", |bytes| {
            let start = usize::from(get_u16(bytes, 0x20));
            let length = usize::from(bytes[start] & 0xF);
            bytes[start] &= 0xF;
            bytes[start + 1 + length] = 0;
        });
    });
}

#[test]
fn bitmaps() {
    finds(&["$MFT, $BITMAP"], |lab| {
        let bitmap = lab.attribute(0, BITMAP, "").value;
        let record = lab.record("small");
        clear_bit(&mut lab.bytes[bitmap..], record);
    });
    finds(&["$MFT, $BITMAP"], |lab| {
        let bitmap = lab.attribute(0, BITMAP, "").value;
        set_bit(&mut lab.bytes[bitmap..], 40);
    });
    finds(&["error: $Bitmap"], |lab| {
        let bitmap = lab.attribute(6, DATA, "").value;
        let lcn = lab.runs(lab.record("file"), DATA, "")[0].lcn.unwrap();
        clear_bit(&mut lab.bytes[bitmap..], lcn + 3);
    });
    finds(&["warning: $Bitmap"], |lab| {
        let bitmap = lab.attribute(6, DATA, "").value;
        let last = lab.geometry.total_clusters - 1;
        assert_eq!(lab.bytes[bitmap + (last / 8) as usize] >> (last % 8) & 1, 0);
        set_bit(&mut lab.bytes[bitmap..], last);
    });
    let Some(mut lab) = Lab::new() else { return };
    let bitmap = lab.attribute(6, DATA, "").value;
    let end = lab.geometry.total_clusters;
    clear_bit(&mut lab.bytes[bitmap..], end);
    let faults = lab.check();
    assert_eq!(faults.listed().len(), 1);
    assert_eq!(faults.listed()[0].severity, Severity::Note);
}

#[test]
fn mirror() {
    finds(&["$MFTMirr"], |lab| {
        let mirror = (lab.geometry.mirror_lcn * u64::from(lab.geometry.cluster_size)) as usize;
        lab.bytes[mirror + 1024 + 100] ^= 1;
    });
}

#[test]
fn attribute_lists() {
    let first_entry_elsewhere = |lab: &Lab, bytes: &[u8]| {
        let mut offset = 0;
        while get_u64(bytes, offset + 0x10) & 0xFFFF_FFFF_FFFF == lab.record("hub") {
            offset += usize::from(get_u16(bytes, offset + 4));
        }
        offset
    };
    // The list of 60 names is too long for the record.
    let list = |lab: &Lab| lab.attribute(lab.record("hub"), LIST, "").value;
    finds(&["$ATTRIBUTE_LIST entry at", "$ATTRIBUTE_LIST at"], |lab| {
        let list = list(lab);
        let entry = list + first_entry_elsewhere(lab, &lab.bytes[list..]);
        lab.bytes[entry + 0x18] ^= 0x40;
    });
    finds(&["$ATTRIBUTE_LIST entry: record", "further record of a file"], |lab| {
        let list = list(lab);
        let entry = list + first_entry_elsewhere(lab, &lab.bytes[list..]);
        lab.bytes[entry + 0x16] ^= 1;
    });
    finds(
        &["$ATTRIBUTE_LIST", "record length", "further record of a file"],
        |lab| {
            let list = list(lab);
            let entry = list + first_entry_elsewhere(lab, &lab.bytes[list..]);
            lab.bytes[entry + 4] = 0;
        },
    );
    finds(&["$ATTRIBUTE_LIST entry: record", "further record of a file"], |lab| {
        let list = list(lab);
        let entry = list + first_entry_elsewhere(lab, &lab.bytes[list..]);
        let segment = get_u64(&lab.bytes, entry + 0x10) & 0xFFFF_FFFF_FFFF;
        lab.edit(segment, |bytes| bytes[0x26] ^= 3);
    });
}

#[test]
fn names_and_entries() {
    finds(&["entry `small` at", "$FILE_NAME `smalm`"], |lab| {
        lab.edit_value(lab.record("small"), NAME, "", |value| value[0x42 + 8] += 1);
    });
    let root_entry = |lab: &mut Lab, number: usize, change: fn(&mut [u8])| {
        lab.edit_value(lab.record("tiny"), ROOT, "$I30", |value| {
            let offset = Lab::entries(value, true)[number];
            change(&mut value[offset..]);
        });
    };
    finds(&["`b`, file at", "sequence number"], |lab| {
        root_entry(lab, 1, |entry| entry[6] ^= 4);
    });
    finds(&["`b`, file at", "in use, found", "$FILE_NAME `b`"], |lab| {
        root_entry(lab, 1, |entry| entry[2] = 0x20);
    });
    finds(&["`b`, parent directory"], |lab| {
        root_entry(lab, 1, |entry| entry[0x10] ^= 1);
    });
    finds(&["order of entries", "`e`", "$FILE_NAME `b`"], |lab| {
        root_entry(lab, 1, |entry| entry[0x52] = b'e');
    });
    finds(&["index entry, length", "an entry in the index"], |lab| {
        root_entry(lab, 1, |entry| entry[8] = 0);
    });
    finds(&["index entry, length", "an entry in the index"], |lab| {
        root_entry(lab, 1, |entry| entry[0x0C] |= 1);
    });
    finds(&["$FILE_NAME `b` at"], |lab| {
        // The entry's room goes to the one before.
        lab.edit_value(lab.record("tiny"), ROOT, "$I30", |value| {
            let entries = Lab::entries(value, true);
            let end = entries[3] + 16;
            value.copy_within(entries[2]..end, entries[1]);
            let used = get_u32(value, 0x14) - (entries[2] - entries[1]) as u32;
            put(value, 0x14, used.to_le_bytes());
        });
        lab.edit(lab.record("tiny"), |_| ());
    });
    let Some(mut lab) = Lab::new() else { return };
    root_entry(&mut lab, 1, |entry| entry[0x10 + 0x30] ^= 1);
    let faults = lab.check();
    assert!(serious(&faults).is_empty());
    assert!(
        faults.listed()[0].damage.structure.contains("`b`, data size"),
        "{faults:?}"
    );
}

#[test]
fn index_trees() {
    let big = |expected: &[&str], change: &dyn Fn(&mut Lab, u64)| {
        finds(expected, |lab| change(lab, lab.record("big")));
    };
    big(&["INDX header, VCN", "an entry in the index"], &|lab, big| {
        lab.edit_index(big, "$I30", 0, |block| block[0x10] = 9);
    });
    big(&["INDX signature", "an entry in the index"], &|lab, big| {
        let place = lab.attribute(big, AttributeType::INDEX_ALLOCATION, "$I30").value;
        lab.bytes[place] = b'J';
    });
    big(
        &["INDX update sequence number", "an entry in the index"],
        &|lab, big| {
            let place = lab.attribute(big, AttributeType::INDEX_ALLOCATION, "$I30").value;
            lab.bytes[place + 511] ^= 1;
        },
    );
    big(
        &["index header, allocated size", "an entry in the index"],
        &|lab, big| {
            lab.edit_index(big, "$I30", 0, |block| put(block, 0x1C, 8000_u32.to_le_bytes()));
        },
    );
    big(&["index entry, flags"], &|lab, big| {
        lab.edit_index(big, "$I30", 0, |block| block[0x24] ^= 1);
    });
    big(&["order of entries"], &|lab, big| {
        lab.edit_index(big, "$I30", 0, |block| {
            // Two entries of one length change places.
            let entries = Lab::entries(block, false);
            let (first, second, third) = (entries[2], entries[3], entries[4]);
            assert_eq!(second - first, third - second);
            block[first..third].rotate_left(second - first);
        });
    });
    big(&["$BITMAP", "block 0 marked"], &|lab, big| {
        let bitmap = lab.attribute(big, BITMAP, "$I30");
        lab.edit(big, |bytes| {
            let start = bitmap.attribute + usize::from(get_u16(bytes, bitmap.attribute + 0x14));
            bytes[start] &= !1;
        });
    });
    big(&["$BITMAP", "bit 50 set"], &|lab, big| {
        let bitmap = lab.attribute(big, BITMAP, "$I30");
        lab.edit(big, |bytes| {
            let start = bitmap.attribute + usize::from(get_u16(bytes, bitmap.attribute + 0x14));
            set_bit(&mut bytes[start..], 50);
        });
    });
    let children = |block: &[u8]| -> Vec<usize> {
        let entries = Lab::entries(block, false).into_iter();
        entries
            .map(|entry| entry + usize::from(get_u16(block, entry + 8)) - 8)
            .collect()
    };
    big(
        &["a block that is reached once", "an entry in the index"],
        &|lab, big| {
            lab.edit_index(big, "$I30", lab.inner_block(big), |block| {
                let children = children(block);
                block.copy_within(children[0]..children[0] + 8, children[1]);
            });
        },
    );
    big(&["a block of the index's", "an entry in the index"], &|lab, big| {
        lab.edit_index(big, "$I30", lab.inner_block(big), |block| {
            let first = children(block)[0];
            put(block, first, (1_u64 << 50).to_le_bytes());
        });
    });
    big(&["$INDEX_ROOT, block size", "an entry in the index"], &|lab, big| {
        lab.edit_value(big, ROOT, "$I30", |value| put(value, 8, 5000_u32.to_le_bytes()));
    });
    big(&["$INDEX_ROOT, collation rule"], &|lab, big| {
        lab.edit_value(big, ROOT, "$I30", |value| value[4] = 2);
    });
}

#[test]
fn circles_of_directories() {
    finds(
        &["a circle of 2 directories", "`a`", "an entry in the index of directory"],
        |lab| {
            let inner = lab.record("a\\b");
            let sequence = u64::from(get_u16(&lab.load(inner), 0x10));
            lab.edit_value(lab.record("a"), NAME, "", |value| {
                put(value, 0, (inner | sequence << 48).to_le_bytes());
            });
        },
    );
}

#[test]
fn orphans() {
    finds(&["an orphan", "found free", "none in the record"], |lab| {
        lab.edit_value(lab.record("small"), NAME, "", |value| {
            put(value, 0, (0x28_u64 | 1 << 48).to_le_bytes());
        });
    });
}

#[test]
fn security() {
    let first = |lab: &Lab| lab.attribute(9, DATA, "$SDS").value;
    finds(
        &["$SDS entry, hash", "copy of the entry", "security descriptor"],
        |lab| {
            let place = first(lab) + 0x20;
            lab.bytes[place] ^= 0x10;
        },
    );
    finds(&["copy of the entry"], |lab| {
        let runs = lab.runs(9, DATA, "$SDS");
        let cluster = 0x4_0000 / u64::from(lab.geometry.cluster_size);
        let run = runs.iter().find(|run| cluster < run.end()).unwrap();
        let place = (run.lcn.unwrap() + cluster - run.vcn) * u64::from(lab.geometry.cluster_size);
        lab.bytes[place as usize + 0x20] ^= 1;
    });
    finds(&["the twin of security descriptor", "$SDS entry"], |lab| {
        lab.edit_value(9, ROOT, "$SII", |value| {
            let entry = Lab::entries(value, true)[0];
            value[entry + 0x14] ^= 1;
        });
    });
    finds(&["the twin of security descriptor"], |lab| {
        lab.edit_value(9, ROOT, "$SDH", |value| {
            let entry = Lab::entries(value, true)[0];
            value[entry + 0x18 + 8] ^= 0x10;
        });
    });
    finds(&["security id"], |lab| {
        lab.edit_value(lab.record("small"), SI, "", |value| {
            put(value, 0x34, 0x7777_u32.to_le_bytes());
        });
    });
}

#[test]
fn system_files() {
    finds(&["$UpCase at", "0x0041 for unit 0x61"], |lab| {
        let place = lab.attribute(10, DATA, "").value + 2 * usize::from(b'a');
        lab.bytes[place] = b'a';
    });
    finds(&["$UpCase, data size", "$DATA"], |lab| {
        lab.edit_attribute(10, DATA, "", |bytes| put(bytes, 0x30, 131_070_u64.to_le_bytes()));
    });
    finds(&["$UpCase:$Info", "$UpCase"], |lab| {
        let place = lab.attribute(10, DATA, "").value + 2 * 0xE9;
        lab.bytes[place] = 0xE9;
    });
    finds(&["$AttrDef"], |lab| {
        let place = lab.attribute(4, DATA, "").value + 0x80;
        lab.bytes[place] = 0x20;
    });
    finds(&["dirty flag"], |lab| {
        lab.edit_value(3, AttributeType::VOLUME_INFORMATION, "", |value| value[0x0A] |= 1);
    });
    finds(&["$VOLUME_INFORMATION, version"], |lab| {
        lab.edit_value(3, AttributeType::VOLUME_INFORMATION, "", |value| value[8] = 9);
    });
    finds(&["$LogFile"], |lab| {
        let place = lab.attribute(2, DATA, "").value;
        lab.bytes[place..place + 8192].fill(0x33);
    });
    finds(&["$BadClus"], |lab| {
        lab.edit_attribute(8, DATA, "$Bad", |bytes| {
            let start = usize::from(get_u16(bytes, 0x20));
            bytes[start + 1] -= 1;
            let clusters = get_u64(bytes, 0x18);
            put(bytes, 0x18, (clusters - 1).to_le_bytes());
            for size in [0x28, 0x30] {
                let bytes_before = get_u64(bytes, size);
                put(bytes, size, (bytes_before - 4096).to_le_bytes());
            }
        });
    });
}

#[test]
fn reparse_points_object_ids_and_extended_attributes() {
    finds(&["index $R"], |lab| {
        lab.edit_value(lab.record("link"), AttributeType::REPARSE_POINT, "", |value| {
            value[0] ^= 2;
        });
    });
    finds(&["$REPARSE_POINT"], |lab| {
        lab.edit_value(lab.record("link"), AttributeType::REPARSE_POINT, "", |value| {
            put(value, 4, 9999_u16.to_le_bytes());
        });
    });
    finds(&["$REPARSE_POINT, file attributes"], |lab| {
        lab.edit_value(lab.record("link"), SI, "", |value| value[0x21] &= !4);
    });
    finds(&["index $O"], |lab| {
        lab.edit_value(lab.record("identified"), AttributeType::OBJECT_ID, "", |value| {
            value[0] ^= 1;
        });
    });
    let attributed = |expected: &[&str], type_code, offset: usize| {
        finds(expected, |lab| {
            lab.edit_value(lab.record("attributed"), type_code, "", |value| value[offset] ^= 0x40);
        });
    };
    attributed(&["$EA_INFORMATION, packed size"], AttributeType::EA_INFORMATION, 0);
    attributed(&["$EA_INFORMATION, number"], AttributeType::EA_INFORMATION, 2);
    attributed(&["$EA_INFORMATION, size"], AttributeType::EA_INFORMATION, 4);
    attributed(&["$EA entry"], AttributeType::EA, 5);
}
