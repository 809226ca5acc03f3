//! Files that Windows and others made.

use crate::tools::{corpus, guids, readable, sha256, sum_of_data};
use cv_disk::{RawFile, ReadAt};
use cv_vhd::vhdx::{Vhdx, VhdxSubformat, VhdxWriter};
use std::sync::Arc;

const DYNAMIC: &str = "d3d112d8dab7fd360609f7d5a7b769904b7a2a7d7b6b8c535f65a23293c05478";
const DATA_OF_DIRTY: &str = "e15c116878da7db4d7f69880685b799f36a66703abd95cce4caa1354961973ec";
const DIRTY: &str = "179cefe8b0587f123393eedf2aa7aa8d25798591178e6bc3950a09762f38f96f";

#[test]
fn a_file_of_hyper_v_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let Some(path) = corpus("iotest-dynamic-1G.vhdx", folder.path()) else {
        return;
    };
    let image = Vhdx::open(readable(&path)).unwrap();
    let info = image.info();
    assert_eq!(info.subformat, VhdxSubformat::Dynamic);
    assert_eq!(info.virtual_size, 1 << 30);
    assert_eq!(info.block_size, 32 << 20);
    assert_eq!((info.logical_sector_size, info.physical_sector_size), (512, 4096));
    assert_eq!(info.creator, "Microsoft Windows 6.2.9200.16384");
    assert_eq!(info.sequence_number, 15);
    assert_eq!(
        info.identity.data_write_guid.to_string(),
        "d247cbb2-15b6-404b-9133-790733d694c0"
    );
    assert_eq!(info.log_to_replay, None);
    assert_eq!(sha256(&image), DYNAMIC);
}

/// 10 GiB are hashed as a whole where `WHOLE_DISKS` is set.
fn assert_dirty_is_replayed(image: &Vhdx) {
    assert_eq!(sum_of_data(image), DATA_OF_DIRTY);
    if std::env::var_os("WHOLE_DISKS").is_some() {
        assert_eq!(sha256(image), DIRTY);
    }
}

#[test]
fn a_dirty_log_is_replayed_in_memory_and_the_file_is_not_touched() {
    let folder = tempfile::tempdir().unwrap();
    let Some(path) = corpus("iotest-dirtylog-10G-4M.vhdx", folder.path()) else {
        return;
    };
    let before = sha256(&*readable(&path));
    let mut permissions = path.metadata().unwrap().permissions();
    permissions.set_readonly(true);
    std::fs::set_permissions(&path, permissions).unwrap();
    let image = Vhdx::open(readable(&path)).unwrap();
    assert_eq!(image.info().log_to_replay.map(|log| log.entries), Some(1));
    assert_eq!(image.len(), 10 << 30);
    assert_dirty_is_replayed(&image);
    assert_eq!(sha256(&*readable(&path)), before);
}

#[test]
fn a_dirty_log_is_replayed_to_a_file_that_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let Some(path) = corpus("iotest-dirtylog-10G-4M.vhdx", folder.path()) else {
        return;
    };
    let file = Arc::new(RawFile::open_writable(&path).unwrap());
    VhdxWriter::open(file, guids()).unwrap().finish().unwrap();
    let image = Vhdx::open(readable(&path)).unwrap();
    assert_eq!(image.info().log_to_replay, None);
    assert_dirty_is_replayed(&image);
}
