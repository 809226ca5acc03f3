//! Random trees.

use super::model::{Giving, Model, ModelFile, ModelStream, units};
use cv_ntfs::structure::FileAttributes;
use cv_ntfs::structure::extended_attribute::ExtendedAttribute;
use cv_ntfs::structure::reparse::ReparsePoint;
use cv_ntfs::write::Compression;
use proptest::prelude::*;
use std::ops::Range;

fn any_name() -> impl Strategy<Value = Vec<u16>> {
    let unit = prop_oneof![
        8 => (b'a'..=b'z').prop_map(u16::from),
        2 => (b'A'..=b'Z').prop_map(u16::from),
        1 => Just(u16::from(b'.')),
        1 => any::<u16>(),
        1 => 0xD800_u16..0xE000,
    ];
    prop_oneof![
        4 => prop::collection::vec(unit.clone(), 1..14),
        1 => prop::collection::vec(unit, 200..256),
    ]
    .prop_filter("Windows cannot use it", |name| {
        cv_winname::check_component(name).is_ok()
    })
}

fn any_stream() -> impl Strategy<Value = ModelStream> {
    let length = prop_oneof![3 => 0_usize..1200, 2 => 0_usize..30_000, 1 => 250_000_usize..1_200_000];
    let giving = prop::sample::select(vec![Giving::Bytes, Giving::Disk, Giving::Reader, Giving::Late]);
    let compression = prop::sample::select(vec![Compression::None, Compression::None, Compression::Lznt1]);
    let data = prop::option::weighted(0.2, prop::collection::vec((0_u64..1 << 21, 1_u64..100_000), 0..6));
    (length, giving, compression, data, any::<u8>()).prop_map(|(length, giving, compression, data, seed)| {
        let mut content = super::text(seed, length);
        if seed % 3 == 0 {
            content = super::random(seed, length);
        }
        let mut stream = ModelStream::of(content, giving);
        if let Some(ranges) = data {
            let mut sparse: Vec<Range<u64>> = Vec::new();
            stream.content = vec![0; 1 << 21];
            let mut ranges: Vec<_> = ranges;
            ranges.sort_unstable();
            for (start, length) in ranges {
                let start = start.max(sparse.last().map_or(0, |last| last.end));
                let end = (start + length).min(1 << 21);
                if start < end {
                    stream.content[start as usize..end as usize].fill(seed | 1);
                    sparse.push(start..end);
                }
            }
            stream.sparse = Some(sparse);
            stream.giving = Giving::Reader;
        } else if giving != Giving::Late {
            stream.compression = compression;
        }
        stream
    })
}

fn any_file() -> impl Strategy<Value = ModelFile> {
    let streams = prop::collection::btree_map(prop::collection::vec(b'a'..=b'z', 0..6), any_stream(), 0..3);
    let attributes = prop::sample::select(vec![
        FileAttributes::empty(),
        FileAttributes::ARCHIVE,
        FileAttributes::READONLY | FileAttributes::HIDDEN,
    ]);
    let extended = prop::collection::vec(prop::collection::vec(any::<u8>(), 0..3000), 0..3);
    let reparse = prop::option::weighted(0.2, prop::collection::vec(any::<u16>(), 0..800));
    (
        streams,
        attributes,
        any::<[u32; 4]>(),
        extended,
        reparse,
        any::<[u8; 16]>(),
    )
        .prop_map(|(streams, attributes, times, extended, reparse, id)| ModelFile {
            attributes,
            times: times.map(|time| (u64::from(time) + 1) << 25),
            streams: streams
                .into_iter()
                .map(|(name, stream)| (name.into_iter().map(u16::from).collect(), stream))
                .collect(),
            security: (id[0] % 3 == 0).then(|| super::security(id[1] % 8)),
            extended_attributes: extended
                .into_iter()
                .enumerate()
                .map(|(number, value)| ExtendedAttribute {
                    flags: 0,
                    name: format!("NAME{number}").into_bytes(),
                    value,
                })
                .collect(),
            reparse: reparse.map(|name| {
                let point = ReparsePoint::Symlink {
                    substitute_name: name,
                    print_name: Vec::new(),
                    is_relative: true,
                };
                point.to_bytes().unwrap()
            }),
            object_id: (id[0] % 4 == 0).then_some(id),
            ..ModelFile::default()
        })
}

/// Up to two dozen files and directories with anything attached to them.
pub fn any_model() -> impl Strategy<Value = Model> {
    let entry = (
        any::<prop::sample::Index>(),
        any_name(),
        any_file(),
        0_u8..8,
        prop::option::of(any_name()),
    );
    prop::collection::vec(entry, 0..24).prop_map(|entries| {
        let upcase = cv_winname::UpcaseTable::windows();
        let mut model = Model::new();
        let mut taken = std::collections::BTreeSet::new();
        let mut directories = vec![0];
        for (parent, name, mut file, kind, link) in entries {
            let parent = directories[parent.index(directories.len())];
            let (mut name, mut link) = (name, link);
            if file.streams.values().any(|stream| stream.giving == Giving::Late) {
                // What shares a file with a late stream must fit into one record.
                name = units(&format!("late {}", model.files.len()));
                file.streams
                    .retain(|name, stream| name.is_empty() || stream.giving == Giving::Late);
                for stream in file.streams.values_mut() {
                    stream.compression = Compression::None;
                }
                file.extended_attributes.clear();
                file.reparse = None;
                link = None;
            }
            if !taken.insert((parent, upcase.fold(&name))) {
                continue;
            }
            file.names.push((parent, name));
            if kind < 3 {
                file.is_directory = true;
                file.streams.remove(&Vec::new());
            } else if let Some(link) = link.filter(|link| taken.insert((0, upcase.fold(link)))) {
                file.names.push((0, link));
            }
            for (name, stream) in &mut file.streams {
                if kind == 4 && name.is_empty() && file.reparse.is_none() && stream.compression == Compression::Lznt1 {
                    stream.compression = Compression::WofXpress4k;
                }
            }
            if file.is_directory {
                directories.push(model.files.len());
            }
            model.files.push(file);
        }
        model
    })
}
